-- As 1815-12-10.
ALTER TABLE contact
  ADD COLUMN birthday TEXT CHECK (birthday LIKE '____-__-__');

-- By month and day: the calendar does not care about the year.
CREATE INDEX contact_by_birthday ON contact(substr(birthday, 6))
WHERE birthday IS NOT NULL;
