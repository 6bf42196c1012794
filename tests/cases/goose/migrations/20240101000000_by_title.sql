-- +goose Up
CREATE INDEX IF NOT EXISTS by_title ON book(title);
-- +goose Down
