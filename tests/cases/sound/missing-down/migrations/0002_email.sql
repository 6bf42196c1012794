-- landfall: irreversible: addresses are not to be lost again
CREATE TABLE email (
  id INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
  address TEXT NOT NULL
);
