DROP INDEX by_title;
