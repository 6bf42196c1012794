DROP TABLE emial;
