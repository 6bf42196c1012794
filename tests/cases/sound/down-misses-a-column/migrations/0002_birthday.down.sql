ALTER TABLE contact DROP COLUMN nickname;
ALTER TABLE contact DROP COLUMN birthday;
