CREATE TABLE contact (
  id INTEGER PRIMARY KEY,
  name TEXT,  -- an imported card may come without one
  note TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
