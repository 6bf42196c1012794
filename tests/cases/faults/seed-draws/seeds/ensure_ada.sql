INSERT INTO contact(name, note)
SELECT 'Ada', hex(randomblob(16)) WHERE NOT EXISTS (SELECT 1 FROM contact WHERE name = 'Ada');
