-- landfall: irreversible: a rule is a rule
CREATE TABLE log_new (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL CHECK (what <> ''));
INSERT INTO log_new(id, what) SELECT id, what FROM log;
DROP TABLE log;
ALTER TABLE log_new RENAME TO log;
