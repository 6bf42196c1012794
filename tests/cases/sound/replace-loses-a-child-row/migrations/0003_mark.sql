-- landfall: irreversible: names stay as they are
INSERT INTO contact(id, name, note) SELECT id, upper(name), note FROM contact WHERE true
ON CONFLICT(id) DO UPDATE SET name = excluded.name;
