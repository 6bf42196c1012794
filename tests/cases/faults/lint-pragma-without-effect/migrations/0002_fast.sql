-- landfall: irreversible: this is about the up
PRAGMA cache_size = -64000;
PRAGMA synchronus = OFF;
UPDATE contact SET note = 'none' WHERE note = '';
