INSERT INTO contact(name) VALUES ('Grace');
