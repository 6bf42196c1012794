-- One row per contact, as the list shows it.
DROP VIEW IF EXISTS contact_card;
CREATE VIEW contact_card AS
SELECT
  c.id,
  c.name,
  c.favourite,
  g.name AS group_name,
  (SELECT e.address FROM email AS e WHERE e.contact_id = c.id ORDER BY e.id LIMIT 1) AS email,
  (SELECT p.number FROM phone AS p WHERE p.contact_id = c.id ORDER BY p.id LIMIT 1) AS phone,
  (SELECT group_concat(t.name, ', ')
   FROM contact_tag AS ct JOIN tag AS t ON t.id = ct.tag_id
   WHERE ct.contact_id = c.id) AS tags
FROM contact AS c
LEFT JOIN contact_group AS g ON g.id = c.group_id;

-- Birthdays through the year.
DROP VIEW IF EXISTS birthday_calendar;
CREATE VIEW birthday_calendar AS
SELECT substr(birthday, 6) AS month_and_day, id, name, birthday
FROM contact
WHERE birthday IS NOT NULL
ORDER BY substr(birthday, 6), name;
