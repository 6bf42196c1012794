CREATE UNIQUE INDEX contact_once ON contact(name);
