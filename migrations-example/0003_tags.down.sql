DROP VIEW IF EXISTS contact_card;
DROP TABLE contact_tag;
DROP TABLE tag;
