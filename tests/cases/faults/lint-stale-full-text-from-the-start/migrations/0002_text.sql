CREATE VIRTUAL TABLE contact_text USING fts5(name, note, content='contact', content_rowid='id');
