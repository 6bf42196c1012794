ALTER TABLE `book` ADD `shelf` integer
--> statement-breakpoint
CREATE INDEX `by_title` ON `book` (`title`)--> statement-breakpoint
INSERT INTO `book`(`title`) VALUES ('--> statement-breakpoint')