CREATE TABLE loan(book INTEGER REFERENCES book(id), reader INTEGER REFERENCES reader(id));
