CREATE TABLE `book` (`id` integer PRIMARY KEY, `title` text NOT NULL)--> statement-breakpoint
CREATE INDEX `by_title` ON `book` (`title`);