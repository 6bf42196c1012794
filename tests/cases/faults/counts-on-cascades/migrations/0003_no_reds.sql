-- landfall: irreversible: the team is gone
DELETE FROM team WHERE name = 'Reds';
