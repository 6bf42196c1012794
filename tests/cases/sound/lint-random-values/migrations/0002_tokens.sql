-- landfall: allow random-values: a token is secret, and no two databases may share one
-- landfall: irreversible: this is about the up
ALTER TABLE contact ADD COLUMN token TEXT;
UPDATE contact SET token = hex(randomblob(8));
