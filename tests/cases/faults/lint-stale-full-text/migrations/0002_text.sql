CREATE VIRTUAL TABLE contact_text USING fts5(name, note, content='contact', content_rowid='id');
INSERT INTO contact_text(contact_text) VALUES ('rebuild');
