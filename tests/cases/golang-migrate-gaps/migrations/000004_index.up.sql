CREATE INDEX by_title ON book(title);
