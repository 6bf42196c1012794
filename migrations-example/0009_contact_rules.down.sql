-- A card that came without a name is without one again.
DROP VIEW IF EXISTS contact_card;
DROP VIEW IF EXISTS birthday_calendar;

CREATE TABLE contact_old (
  id INTEGER PRIMARY KEY,
  name TEXT,
  note TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
  favourite INTEGER NOT NULL DEFAULT 0,
  group_id INTEGER REFERENCES contact_group(id) ON DELETE SET NULL
);
INSERT INTO contact_old(id, name, note, created_at, favourite, group_id)
SELECT id, nullif(name, '(unnamed)'), note, created_at, favourite, group_id
FROM contact;
DROP TABLE contact;
ALTER TABLE contact_old RENAME TO contact;

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
