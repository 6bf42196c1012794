-- landfall: allow-data-loss: nobody reads the notes
ALTER TABLE contact DROP COLUMN note;
