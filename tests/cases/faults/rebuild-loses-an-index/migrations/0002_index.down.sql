DROP INDEX contact_by_name;
