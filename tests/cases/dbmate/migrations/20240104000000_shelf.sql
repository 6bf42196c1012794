-- The shelf comes last.
-- migrate:up transaction:true
ALTER TABLE book ADD COLUMN shelf INTEGER;

-- migrate:down

