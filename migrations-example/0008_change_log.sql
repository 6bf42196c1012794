-- No REFERENCES: the log outlives the contact it speaks of.
CREATE TABLE contact_change (
  id INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('renamed', 'deleted')),
  old_name TEXT,
  changed_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

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
