CREATE TABLE book(id INTEGER PRIMARY KEY, title TEXT NOT NULL);
INSERT INTO book(title) VALUES ('Emma; or not'), ('Persuasion');
