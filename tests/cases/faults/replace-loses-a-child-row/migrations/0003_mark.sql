-- landfall: irreversible: names stay as they are
REPLACE INTO contact(id, name, note) SELECT id, upper(name), note FROM contact;
