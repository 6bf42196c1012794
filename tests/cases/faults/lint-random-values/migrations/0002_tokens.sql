-- landfall: irreversible: this is about the up
ALTER TABLE contact ADD COLUMN token TEXT;
UPDATE contact SET token = hex(randomblob(8));
