-- landfall: irreversible: a rule is a rule
CREATE TABLE log_new (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL CHECK (what <> ''));
INSERT INTO log_new(id, what) SELECT id, what FROM log;
UPDATE sqlite_sequence SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'log') WHERE name = 'log_new';
INSERT INTO sqlite_sequence(name, seq) SELECT 'log_new', seq FROM sqlite_sequence WHERE name = 'log' AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'log_new');
DROP TABLE log;
ALTER TABLE log_new RENAME TO log;
