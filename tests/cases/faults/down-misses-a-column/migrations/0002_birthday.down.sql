ALTER TABLE contact DROP COLUMN birthday;
