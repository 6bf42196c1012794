INSERT INTO contact(name, note)
SELECT 'Ada', datetime('now') WHERE NOT EXISTS (SELECT 1 FROM contact WHERE name = 'Ada');
