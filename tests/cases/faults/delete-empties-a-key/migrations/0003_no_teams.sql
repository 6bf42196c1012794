-- landfall: irreversible: the teams are gone
DELETE FROM team;
