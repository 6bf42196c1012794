INSERT OR IGNORE INTO role(name) VALUES ('admin'), ('member');
