INSERT OR IGNORE INTO role(name, rank) VALUES ('admin', 9), ('member', 0);
