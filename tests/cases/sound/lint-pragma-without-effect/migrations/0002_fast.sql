-- landfall: irreversible: this is about the up
PRAGMA user_version = 2;
UPDATE contact SET note = 'none' WHERE note = '';
