//! Schemas by meaning: read from a database, compared, and written as SQL that a person reviews.
//!
//! SQLite keeps a schema as the text that made it, and rewrites that text at each `ALTER TABLE`. So
//! two databases that are the same hold different texts. A [`Snapshot`] is what the texts mean, and
//! [`diff`] tells where two of them differ.
//!
//! ```
//! use landfall::rusqlite::Connection;
//! use landfall::schema::{Snapshot, diff};
//!
//! let one = Connection::open_in_memory()?;
//! one.execute_batch("CREATE TABLE old(id INTEGER PRIMARY KEY); ALTER TABLE old RENAME TO note;
//!                    ALTER TABLE note ADD COLUMN text TEXT")?;
//! let other = Connection::open_in_memory()?;
//! other.execute_batch("create table [note] ([ID] integer primary key, -- its number
//!                                         \"text\" TEXT)")?;
//! assert!(diff(&Snapshot::of(&one)?, &Snapshot::of(&other)?).is_empty());
//!
//! other.execute_batch("CREATE INDEX by_text ON note(text)")?;
//! let changes = diff(&Snapshot::of(&one)?, &Snapshot::of(&other)?);
//! assert_eq!(changes[0].to_string(), "index `by_text` on table `note` is missing");
//! assert_eq!(changes[0].statement(), Some("CREATE INDEX by_text ON note (text)"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod change;
mod definition;
mod diff;
mod mend;
mod passed_over;
mod phrase;
mod print;
mod read;
mod table;

use std::collections::BTreeMap;
use std::fmt;

use rusqlite::Connection;

use crate::error::{Error, Result};
pub use change::{Change, Kind};
pub use diff::diff;
pub(crate) use passed_over::{keepers, shadows};
use table::{Index, Table, Trigger, View};

/// What the schema of a database's `main` means: tables, indexes, views and triggers.
///
/// These never count: what is SQLite's own (`sqlite_…`), the tables that a virtual table keeps for
/// itself, ledgers of landfall's of any prefix and of other tools, Litestream's tables, and what hangs on
/// any of them.
#[derive(Clone)]
pub struct Snapshot {
    objects: Objects,
}

/// By their names in lower case: SQLite's names are the same in either case of ASCII letters.
#[derive(Clone, Default)]
struct Objects {
    tables: BTreeMap<String, Table>,
    indexes: BTreeMap<String, Index>,
    views: BTreeMap<String, View>,
    triggers: BTreeMap<String, Trigger>,
    /// While it is being read.
    index_texts: BTreeMap<String, String>,
}

impl Snapshot {
    /// Reads the schema of a connection's `main`, in one read transaction. Neither the
    /// application's functions nor its modules are needed, and a view that does not work is no
    /// obstacle: nothing of the schema is used.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Sqlite`](crate::ErrorKind::Sqlite) where it cannot be read.
    ///
    /// ```
    /// use landfall::schema::Snapshot;
    ///
    /// let conn = landfall::Migrator::from_dir("migrations-example").open_in_memory()?;
    /// let snapshot = Snapshot::of(&conn)?;
    /// assert!(snapshot.to_sql().contains("CREATE TABLE contact ("));
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn of(conn: &Connection) -> Result<Self> {
        read::read(conn).map_err(Error::sqlite("reading the schema"))
    }

    /// Takes out what has such a name, and with a table its indexes and triggers. Reads nothing.
    /// In the name `*` stands for any text and `?` for any character.
    ///
    /// ```
    /// use landfall::schema::Snapshot;
    ///
    /// let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE sync_peer(id); CREATE INDEX i ON sync_peer(id)")?;
    /// assert_eq!(Snapshot::of(&conn)?.ignoring("sync_*").to_sql(), "");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn ignoring(mut self, names: &str) -> Self {
        self.objects.remove(|name| passed_over::matches(name, names));
        self
    }

    /// Takes out what has one of these very names.
    pub(crate) fn without(mut self, names: &[String]) -> Self {
        self.objects.remove(|name| names.iter().any(|other| other.eq_ignore_ascii_case(name)));
        self
    }

    /// The whole schema as SQL that makes it: tables, then indexes, views and triggers, each in the
    /// order of their names. For a file that is kept under review. Reads nothing.
    ///
    /// The text is that of the meaning: names stand in quotes only where they need some, comments
    /// are gone, and how a table came to be, made at once or by `ALTER TABLE`, does not show.
    ///
    /// ```
    /// use landfall::schema::Snapshot;
    ///
    /// let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// conn.execute_batch("create table \"pet\"(id integer primary key,[name] text not null)")?;
    /// assert_eq!(
    ///     Snapshot::of(&conn)?.to_sql(),
    ///     "CREATE TABLE pet (\n    id INTEGER PRIMARY KEY,\n    name TEXT NOT NULL\n);\n"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_sql(&self) -> String {
        print::snapshot(&self.objects)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_sql())
    }
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}
