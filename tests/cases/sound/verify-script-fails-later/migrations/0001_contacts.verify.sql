SELECT * FROM contact WHERE name = 'Ada';
