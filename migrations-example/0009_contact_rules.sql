-- Every contact has a name and knows when it last changed. ALTER TABLE can add
-- neither rule, so the table is built anew.
DROP VIEW IF EXISTS contact_card;
DROP VIEW IF EXISTS birthday_calendar;

CREATE TABLE contact_new (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL CHECK (name <> ''),
  note TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
  favourite INTEGER NOT NULL DEFAULT 0 CHECK (favourite IN (0, 1)),
  group_id INTEGER REFERENCES contact_group(id) ON DELETE SET NULL,
  updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO contact_new(id, name, note, created_at, favourite, group_id, updated_at)
SELECT id, coalesce(nullif(name, ''), '(unnamed)'), note, created_at,
  favourite <> 0, group_id, created_at
FROM contact;
DROP TABLE contact;
ALTER TABLE contact_new RENAME TO contact;

-- Indexes and triggers went with the old table.
CREATE INDEX contact_by_name ON contact(name COLLATE NOCASE);
CREATE INDEX contact_by_group ON contact(group_id);
CREATE TRIGGER contact_renamed AFTER UPDATE OF name ON contact
WHEN OLD.name IS NOT NEW.name
BEGIN
  INSERT INTO contact_change(contact_id, action, old_name)
  VALUES (OLD.id, 'renamed', OLD.name);
END;
CREATE TRIGGER contact_deleted AFTER DELETE ON contact
BEGIN
  INSERT INTO contact_change(contact_id, action, old_name)
  VALUES (OLD.id, 'deleted', OLD.name);
END;
