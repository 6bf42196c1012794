CREATE TABLE archive AS SELECT id, name FROM contact;
