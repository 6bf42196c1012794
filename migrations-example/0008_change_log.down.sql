DROP TRIGGER contact_deleted;
DROP TRIGGER contact_renamed;
DROP TABLE contact_change;
