CREATE TABLE scratch AS SELECT id, name FROM contact;
CREATE TABLE archive (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO archive(id, name) SELECT id, name FROM scratch;
DROP TABLE scratch;
