DELETE FROM contact WHERE name = 'Grace';
