//! A rehearsal says what a start would do.
