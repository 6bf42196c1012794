DROP VIEW IF EXISTS contact_card;
DROP VIEW IF EXISTS birthday_calendar;

DROP INDEX contact_by_group;
ALTER TABLE contact DROP COLUMN group_id;
DROP TABLE contact_group;
