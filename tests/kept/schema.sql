CREATE TABLE contact (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CHECK (name <> ''),
    note TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    favourite INTEGER NOT NULL DEFAULT 0 CHECK (favourite IN (0, 1)),
    group_id INTEGER REFERENCES contact_group(id) ON DELETE SET NULL,
    updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    birthday TEXT CHECK (birthday LIKE '____-__-__')
);

CREATE TABLE contact_change (
    id INTEGER PRIMARY KEY,
    contact_id INTEGER NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('renamed', 'deleted')),
    old_name TEXT,
    changed_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE contact_group (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE contact_tag (
    contact_id INTEGER NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
    tag_id INTEGER NOT NULL REFERENCES tag(id) ON DELETE CASCADE,
    PRIMARY KEY (contact_id, tag_id)
) WITHOUT ROWID;

CREATE TABLE email (
    id INTEGER PRIMARY KEY,
    contact_id INTEGER NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
    label TEXT NOT NULL DEFAULT 'home',
    address TEXT NOT NULL,
    address_as_typed TEXT
);

CREATE TABLE phone (
    id INTEGER PRIMARY KEY,
    contact_id INTEGER NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
    label TEXT NOT NULL DEFAULT 'mobile',
    number TEXT NOT NULL
);

CREATE TABLE tag (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE
);

CREATE INDEX contact_by_birthday ON contact (substr(birthday, 6)) WHERE birthday IS NOT NULL;
CREATE INDEX contact_by_group ON contact (group_id);
CREATE INDEX contact_by_name ON contact (name COLLATE NOCASE);
CREATE INDEX contact_tag_by_tag ON contact_tag (tag_id);
CREATE UNIQUE INDEX email_once ON email (contact_id, address COLLATE NOCASE);
CREATE INDEX phone_by_contact ON phone (contact_id);
CREATE INDEX phone_by_number ON phone (number);

CREATE VIEW birthday_calendar AS
SELECT substr(birthday, 6) AS month_and_day,
    id,
    name,
    birthday
FROM contact
WHERE birthday IS NOT NULL
ORDER BY substr(birthday, 6),
    name;

CREATE VIEW contact_card AS
SELECT c.id,
    c.name,
    c.favourite,
    g.name AS group_name,
    (SELECT e.address FROM email AS e WHERE e.contact_id = c.id ORDER BY e.id LIMIT 1) AS email,
    (SELECT p.number FROM phone AS p WHERE p.contact_id = c.id ORDER BY p.id LIMIT 1) AS phone,
    (SELECT group_concat(t.name, ', ') FROM contact_tag AS ct JOIN tag AS t ON t.id = ct.tag_id WHERE ct.contact_id = c.id) AS tags
FROM contact AS c
LEFT JOIN contact_group AS g ON g.id = c.group_id;

CREATE TRIGGER contact_deleted AFTER DELETE ON contact
BEGIN
    INSERT INTO contact_change(contact_id, action, old_name) VALUES (OLD.id, 'deleted', OLD.name);
END;

CREATE TRIGGER contact_renamed AFTER UPDATE OF name ON contact WHEN OLD.name IS NOT NEW.name
BEGIN
    INSERT INTO contact_change(contact_id, action, old_name) VALUES (OLD.id, 'renamed', OLD.name);
END;

CREATE TRIGGER contact_touched AFTER UPDATE OF name, note, favourite, group_id, birthday ON contact
BEGIN
    UPDATE contact SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id;
END;
