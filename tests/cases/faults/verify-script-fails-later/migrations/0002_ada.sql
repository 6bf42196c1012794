INSERT INTO contact(name) VALUES ('Ada');
