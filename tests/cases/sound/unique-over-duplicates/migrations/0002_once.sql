UPDATE contact SET name = name || ' (' || id || ')'
WHERE EXISTS (SELECT 1 FROM contact AS other WHERE other.name = contact.name AND other.id < contact.id);
CREATE UNIQUE INDEX contact_once ON contact(name);
