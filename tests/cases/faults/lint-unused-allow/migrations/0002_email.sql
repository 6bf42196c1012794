-- landfall: allow copy-by-star: the columns are the same
CREATE TABLE email (
  id INTEGER PRIMARY KEY,
  contact_id INTEGER NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
  address TEXT NOT NULL
);
