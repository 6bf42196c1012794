DELETE FROM contact WHERE name = 'Ada';
