-- landfall: allow-data-loss: nobody reads the notes
-- landfall: irreversible: this is about the up
ALTER TABLE contact DROP COLUMN note;
