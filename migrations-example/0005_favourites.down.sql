-- DROP COLUMN refuses while any view reads the column.
DROP VIEW IF EXISTS contact_card;
DROP VIEW IF EXISTS birthday_calendar;

ALTER TABLE contact DROP COLUMN favourite;
