DROP VIEW IF EXISTS contact_card;
DROP VIEW IF EXISTS birthday_calendar;
DROP TABLE contact;
