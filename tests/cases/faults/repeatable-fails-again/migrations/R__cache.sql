CREATE TABLE cache (key TEXT);
