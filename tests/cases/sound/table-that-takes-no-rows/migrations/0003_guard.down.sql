DROP TRIGGER email_guard;
