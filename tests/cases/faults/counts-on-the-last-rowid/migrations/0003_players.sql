CREATE TABLE player (id INTEGER PRIMARY KEY, team_id INTEGER);
INSERT INTO player(team_id) VALUES (last_insert_rowid());
