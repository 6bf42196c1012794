-- landfall: irreversible: this is about the up
CREATE TEMP TABLE kept AS SELECT id, address FROM main.email;
DELETE FROM main.email WHERE id NOT IN (SELECT id FROM temp.kept);
DROP TABLE temp.kept;
