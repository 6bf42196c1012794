-- Addresses and numbers belong to their contact and go when it goes.
CREATE TABLE email (
  id INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
  label TEXT NOT NULL DEFAULT 'home',
  address TEXT NOT NULL
);

-- Ada@example.org and ada@example.org are one address.
CREATE UNIQUE INDEX email_once ON email(contact_id, address COLLATE NOCASE);

CREATE TABLE phone (
  id INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
  label TEXT NOT NULL DEFAULT 'mobile',
  number TEXT NOT NULL
);
