-- landfall: irreversible: this is about the up
UPDATE contact SET note = "none" WHERE note = '';
