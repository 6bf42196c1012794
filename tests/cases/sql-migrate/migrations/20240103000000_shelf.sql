-- +migrate Up
ALTER TABLE book ADD COLUMN shelf INTEGER;
-- +migrate Down
ALTER TABLE book DROP COLUMN shelf;
