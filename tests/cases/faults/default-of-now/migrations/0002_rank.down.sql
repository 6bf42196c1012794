ALTER TABLE contact DROP COLUMN made_at;
