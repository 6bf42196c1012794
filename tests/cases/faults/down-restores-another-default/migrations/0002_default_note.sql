CREATE TABLE contact_new (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  note TEXT NOT NULL DEFAULT 'none'
);
INSERT INTO contact_new(id, name, note) SELECT id, name, note FROM contact;
DROP TABLE contact;
ALTER TABLE contact_new RENAME TO contact;
