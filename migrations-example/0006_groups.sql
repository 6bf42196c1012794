-- "group" alone is a keyword.
CREATE TABLE contact_group (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

-- A contact outlives its group.
ALTER TABLE contact
  ADD COLUMN group_id INTEGER REFERENCES contact_group(id) ON DELETE SET NULL;

CREATE INDEX contact_by_group ON contact(group_id);
