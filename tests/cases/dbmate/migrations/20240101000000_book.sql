-- migrate:up
CREATE TABLE book(id INTEGER PRIMARY KEY, title TEXT NOT NULL);

-- migrate:down
DROP TABLE book;
