-- landfall: irreversible: this is about the up
UPDATE contact SET name = upper(name) || '!', note = 'gone';
INSERT INTO contact_text(contact_text) VALUES ('rebuild');
