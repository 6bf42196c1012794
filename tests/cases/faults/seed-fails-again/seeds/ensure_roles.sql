INSERT INTO role(name) VALUES ('admin');
