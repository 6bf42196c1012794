-- The list is sorted by name; an incoming call is looked up by number.
CREATE INDEX contact_by_name ON contact(name COLLATE NOCASE);
CREATE INDEX phone_by_contact ON phone(contact_id);
CREATE INDEX phone_by_number ON phone(number);
