-- +migrate Up
CREATE TABLE book(id INTEGER PRIMARY KEY, title TEXT NOT NULL);
-- +migrate StatementBegin
CREATE TRIGGER no_empty_title BEFORE INSERT ON book WHEN NEW.title = ''
BEGIN
  SELECT RAISE(ABORT, 'no title');
END;
-- +migrate StatementEnd

-- +migrate Down
DROP TABLE book;
