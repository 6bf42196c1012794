INSERT INTO role(name) VALUES ('guest');
