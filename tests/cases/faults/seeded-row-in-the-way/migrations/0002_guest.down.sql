DELETE FROM role WHERE name = 'guest';
