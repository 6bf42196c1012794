-- Groups that everybody starts with.
INSERT OR IGNORE INTO contact_group(name) VALUES ('Family'), ('Friends'), ('Work');
