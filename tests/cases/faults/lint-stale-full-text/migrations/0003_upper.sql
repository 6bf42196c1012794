-- landfall: irreversible: this is about the up
UPDATE contact SET name = upper(name) || '!', note = 'gone';
