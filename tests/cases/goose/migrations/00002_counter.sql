-- +goose Up
-- +goose StatementBegin
CREATE TRIGGER no_empty_title BEFORE INSERT ON book
WHEN NEW.title = ''
BEGIN
  SELECT RAISE(ABORT, 'no title');
  SELECT 1;
END;
-- +goose StatementEnd
INSERT INTO book(title) VALUES ('a -- +goose Down in a string');

-- +goose Down
-- +goose StatementBegin
DROP TRIGGER no_empty_title;
DELETE FROM book WHERE title LIKE 'a -- +goose%';
-- +goose StatementEnd
