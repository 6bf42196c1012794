CREATE TABLE email (
  id INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
  address TEXT NOT NULL
);
CREATE TABLE vault (secret TEXT NOT NULL CHECK (secret = 'x' || hex(secret)));
