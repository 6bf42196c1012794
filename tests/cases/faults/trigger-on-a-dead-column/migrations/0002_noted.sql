CREATE TRIGGER contact_noted AFTER UPDATE OF name, note ON contact
BEGIN
  SELECT 1;
END;
