DROP INDEX "Page_bookId_idx";
