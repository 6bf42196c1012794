DROP VIEW IF EXISTS contact_card;
DROP VIEW IF EXISTS birthday_calendar;

DROP INDEX contact_by_birthday;
ALTER TABLE contact DROP COLUMN birthday;
