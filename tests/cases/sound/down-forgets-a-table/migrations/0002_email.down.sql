DROP TABLE phone;
DROP TABLE email;
