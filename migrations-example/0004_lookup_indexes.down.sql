DROP INDEX phone_by_number;
DROP INDEX phone_by_contact;
DROP INDEX contact_by_name;
