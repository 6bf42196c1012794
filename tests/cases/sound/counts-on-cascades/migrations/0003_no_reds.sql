-- landfall: irreversible: the team is gone
DELETE FROM player WHERE team_id IN (SELECT id FROM team WHERE name = 'Reds');
DELETE FROM team WHERE name = 'Reds';
