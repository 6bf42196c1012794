CREATE TRIGGER `no_empty_title` BEFORE INSERT ON `book`
WHEN NEW.`title` = ''
BEGIN
	SELECT RAISE(ABORT, 'no title');
END;
--> statement-breakpoint
CREATE UNIQUE INDEX `title_unique` ON `book` (`title`);