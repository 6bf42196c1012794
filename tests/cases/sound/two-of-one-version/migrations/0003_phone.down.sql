DROP TABLE phone;
