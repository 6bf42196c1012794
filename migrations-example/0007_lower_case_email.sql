-- From here on addresses are stored in lower case. The spelling that a row had
-- before is kept, so that this step can be taken back.
ALTER TABLE email ADD COLUMN address_as_typed TEXT;

-- email_once ignores case already, so no two rows can become the same.
UPDATE email
SET address = lower(address), address_as_typed = address
WHERE address <> lower(address);
