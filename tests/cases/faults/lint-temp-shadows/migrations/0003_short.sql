-- landfall: irreversible: this is about the up
CREATE TEMP TABLE email AS SELECT id, address FROM main.email;
DELETE FROM main.email WHERE id NOT IN (SELECT id FROM temp.email);
DROP TABLE temp.email;
