-- The views do not read this column, but DROP COLUMN refuses while any view in
-- the database is broken, and theirs may be halfway down.
DROP VIEW IF EXISTS contact_card;
DROP VIEW IF EXISTS birthday_calendar;

-- An address that was edited since keeps its new value.
UPDATE email
SET address = address_as_typed
WHERE lower(address_as_typed) = address;

ALTER TABLE email DROP COLUMN address_as_typed;
