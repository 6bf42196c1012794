DROP INDEX contact_once;
