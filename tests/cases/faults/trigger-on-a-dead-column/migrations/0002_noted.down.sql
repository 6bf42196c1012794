DROP TRIGGER contact_noted;
