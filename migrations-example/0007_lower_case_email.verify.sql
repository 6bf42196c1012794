-- Each query looks for rows that are wrong.
SELECT id, address FROM email WHERE address <> lower(address);

-- Only a spelling that differs is worth keeping.
SELECT id, address_as_typed FROM email WHERE address_as_typed = lower(address_as_typed);
