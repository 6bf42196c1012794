DROP TABLE player;
DROP TABLE team;
