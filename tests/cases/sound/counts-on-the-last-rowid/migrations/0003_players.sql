CREATE TABLE player (id INTEGER PRIMARY KEY, team_id INTEGER);
INSERT INTO player(team_id) SELECT id FROM team WHERE name = 'Reds';
