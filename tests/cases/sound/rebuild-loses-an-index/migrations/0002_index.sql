CREATE INDEX contact_by_name ON contact(name);
