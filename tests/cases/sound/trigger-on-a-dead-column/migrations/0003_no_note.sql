-- landfall: allow-data-loss: nobody reads the notes
-- landfall: irreversible: this is about the up
DROP TRIGGER contact_noted;
ALTER TABLE contact DROP COLUMN note;
CREATE TRIGGER contact_noted AFTER UPDATE OF name ON contact
BEGIN
  SELECT 1;
END;
