DROP TABLE email;
