SELECT title FROM book WHERE title = '';
