DROP TRIGGER contact_touched;
