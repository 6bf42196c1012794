CREATE TRIGGER email_guard BEFORE INSERT ON email WHEN NEW.address NOT LIKE '%@%'
BEGIN
  SELECT RAISE(ABORT, 'no address');
END;
