INSERT INTO contact(name) SELECT 'Ada' WHERE NOT EXISTS (SELECT 1 FROM contact WHERE name = 'Ada');
