DROP TABLE contact_text;
