-- landfall: irreversible: this is about the up
PRAGMA writable_schema = ON;
UPDATE contact SET note = 'none' WHERE note = '';
PRAGMA writable_schema = OFF;
