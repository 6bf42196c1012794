CREATE TABLE contact_old (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  note TEXT NOT NULL DEFAULT ''
);
INSERT INTO contact_old(id, name, note) SELECT id, name, note FROM contact;
DROP TABLE contact;
ALTER TABLE contact_old RENAME TO contact;
CREATE INDEX contact_by_name ON contact(name);
