DROP VIEW IF EXISTS contact_card;
DROP TABLE phone;
DROP TABLE email;
