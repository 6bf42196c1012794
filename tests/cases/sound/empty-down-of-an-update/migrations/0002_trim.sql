UPDATE contact SET name = name || '.';
