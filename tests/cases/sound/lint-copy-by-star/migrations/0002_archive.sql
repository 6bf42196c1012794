CREATE TABLE archive (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT);
INSERT INTO archive(id, name, note) SELECT id, name, note FROM contact;
