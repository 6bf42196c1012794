-- landfall: irreversible: this is about the up
ALTER TABLE contact RENAME TO contact_old;
CREATE TABLE contact (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  note TEXT NOT NULL DEFAULT 'none'
);
INSERT INTO contact(id, name, note) SELECT id, name, note FROM contact_old;
DROP TABLE contact_old;
