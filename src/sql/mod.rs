//! Reads scripts: tokens, statements, what each statement does, directives, checksums.
//! Text only: this room never sees a connection.

pub(crate) mod action;
pub(crate) mod canonical;
pub(crate) mod directive;
pub(crate) mod keyword;
pub(crate) mod losses;
mod position;
mod repeat;
pub(crate) mod rule;
pub(crate) mod script;
pub(crate) mod section;
pub(crate) mod split;
pub(crate) mod template;
pub(crate) mod token;

pub(crate) use action::{Action, Control, Object, Verb};
pub(crate) use canonical::checksum_of;
pub(crate) use directive::Requirement;
pub use position::Position;
pub(crate) use repeat::undo_of_repeatable;
pub(crate) use rule::Rule;
pub(crate) use script::{Script, Statement};
pub(crate) use token::quoted;

/// Whether a text holds a byte that few texts do: it is gone through to its end, many bytes at once.
pub(crate) fn holds(text: &str, rare: u8) -> bool {
    text.bytes().fold(false, |found, byte| found | (byte == rare))
}

/// The byte of a statement that a message of SQLite's complains about, and the message without the
/// statement, which rusqlite's text repeats.
pub(crate) fn complaint(message: &str, sql: &str) -> Option<(usize, String)> {
    let (before, offset) = message.rsplit_once(" at offset ")?;
    let message = before.strip_suffix(sql)?.strip_suffix(" in ")?;
    Some((offset.parse().ok()?, message.to_owned()))
}

/// Reads no database: the statements of a script, as SQLite would take them one by one, each from
/// its first token to its last, without the semicolon that ends it.
///
/// The rule is that of [`sqlite3_complete`](https://sqlite.org/c3ref/complete.html): a semicolon
/// ends a statement unless it stands in a string, a quoted name, a comment, or the body of a
/// trigger.
///
/// ```
/// let script = "CREATE TABLE a(x); -- one; not two\nINSERT INTO a VALUES (';');";
/// let statements: Vec<_> = landfall::sql::statements(script);
/// assert_eq!(statements, ["CREATE TABLE a(x)", "INSERT INTO a VALUES (';')"]);
/// ```
pub fn statements(script: &str) -> Vec<&str> {
    let mut found = Vec::new();
    split::split(script, |_, _| {}, |cut| found.extend(script.get(cut.start()..cut.end())));
    found
}

/// Reads no database: the checksum that the ledger keeps of a script, `sha256:<hex>`.
///
/// It is taken over the tokens. Comments, white space between tokens, a byte order mark, empty
/// statements and the last semicolon do not count, and CRLF is LF everywhere, also inside a
/// string. Anything else that SQLite would execute differently does.
///
/// ```
/// use landfall::sql::checksum;
///
/// assert_eq!(checksum("SELECT 1;"), checksum("-- one\r\nSELECT\t1"));
/// assert_ne!(checksum("SELECT 1;"), checksum("SELECT '1'"));
/// ```
pub fn checksum(script: &str) -> String {
    let script = script::line_feeds(script.to_owned().into());
    let mut canonical = canonical::Canonical::default();
    split::split(&script, |_, _| {}, |cut| canonical.push(&script, cut));
    canonical.checksum()
}
