CREATE INDEX "Page_bookId_idx" ON "Page"("bookId");
