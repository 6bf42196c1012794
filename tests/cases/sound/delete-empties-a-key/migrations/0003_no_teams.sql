-- landfall: irreversible: the teams are gone
UPDATE player SET team_id = NULL;
DELETE FROM team;
