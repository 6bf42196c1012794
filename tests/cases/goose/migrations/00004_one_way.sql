--+goose Up
INSERT INTO book(title, read) VALUES ('Emma', 1)