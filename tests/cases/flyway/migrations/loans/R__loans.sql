CREATE VIEW loans AS SELECT book, reader FROM loan;
