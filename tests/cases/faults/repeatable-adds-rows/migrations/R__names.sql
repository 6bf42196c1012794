DROP VIEW IF EXISTS names;
CREATE VIEW names AS SELECT name FROM contact;
INSERT INTO contact(name) VALUES ('Ada');
