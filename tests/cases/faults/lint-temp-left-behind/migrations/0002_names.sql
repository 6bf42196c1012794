-- landfall: irreversible: this is about the up
CREATE TEMP TABLE names AS SELECT id, upper(name) AS name FROM contact;
UPDATE contact SET name = (SELECT name FROM names WHERE names.id = contact.id);
