-- landfall: compatible: older programs need not know that the time is kept for them

-- updated_at is not in the list, so the trigger never sets itself off.
CREATE TRIGGER contact_touched
AFTER UPDATE OF name, note, favourite, group_id, birthday ON contact
BEGIN
  UPDATE contact SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id;
END;
