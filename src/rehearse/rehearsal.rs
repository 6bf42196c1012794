//! What came of a rehearsal: values.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::migration::Version;
use crate::report::Report;
use crate::schema::Change;

/// What [`apply`](crate::Migrator::apply) would do to a database, as it went on a copy. `Display` is
/// a page that a person reads before a deployment.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let conn = landfall::rusqlite::Connection::open(folder.path().join("app.db"))?;
/// let rehearsal = landfall::Migrator::from_dir("migrations-example").rehearse(&conn)?;
/// println!("{rehearsal}");
/// assert!(rehearsal.error.is_none());
/// assert_eq!(rehearsal.steps.len(), 12);
/// assert!(rehearsal.foreign_keys.is_empty() && rehearsal.quick_check.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Rehearsal {
    /// The database's file; `None` for one in memory.
    pub database: Option<PathBuf>,
    /// The file that the copy is in; `None` where it was in memory and is gone.
    pub copy: Option<PathBuf>,
    /// The newest version that was applied before; `None` where there was none.
    pub from: Option<Version>,
    /// The newest version that is applied after it.
    pub to: Option<Version>,
    /// What was done and would stay. Of a transaction that failed there is nothing here.
    pub steps: Vec<Rehearsed>,
    /// How much room it takes.
    pub space: Space,
    /// How the schema before it differs from the one after it, by meaning.
    pub changes: Vec<Change>,
    /// What [`quick_check`](https://sqlite.org/pragma.html#pragma_quick_check) finds after it:
    /// damage, and rows that break a CHECK or a NOT NULL.
    pub quick_check: Vec<Finding>,
    /// Rows that refer to nothing after it, and keys to a table that is not there.
    pub foreign_keys: Vec<Finding>,
    /// Whether the downs bring the schema back.
    pub downs: Downs,
    /// What `apply` would fail with. What it says of the state of the database is about the copy.
    pub error: Option<Error>,
    /// All that the run on the copy reported: what was held back, what is of a newer program, and
    /// warnings.
    pub report: Report,
    /// How long it took to copy the database.
    pub copying: Duration,
    /// How long it all took.
    pub took: Duration,
}

/// One thing that was done on the copy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rehearsed {
    /// What it is.
    pub part: Part,
    /// Its version; `None` for what has none.
    pub version: Option<Version>,
    /// Its name.
    pub name: String,
    /// Rows inserted, updated or deleted, those by triggers and foreign-key actions included; of a
    /// backfill, rows done.
    pub rows_changed: u64,
    /// Rows that were in a table before it and are not after it, by table: those of a table that
    /// was dropped, deleted ones, and those that a rebuild left behind. A table that it renames
    /// loses none. Of virtual tables those count that hold their rows themselves.
    pub rows_lost: Vec<RowsLost>,
    /// How long it took.
    pub took: Duration,
}

/// What a step of a rehearsal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// A migration that was applied.
    Migration,
    /// A migration of a newer program that was taken back.
    Revert,
    /// A migration that was written into the ledger and not run: a baseline stands for it.
    Mark,
    /// A repeatable.
    Repeatable,
    /// A seed.
    Seed,
    /// A backfill.
    Backfill,
}

/// How many rows fewer a table of `main` has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowsLost {
    /// The table as it was called before, in lower case.
    pub table: String,
    /// So many.
    pub rows: u64,
}

/// How much room it takes, in bytes of the database's own file or files; attached databases, and
/// what SQLite writes to temporary files while it sorts, are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Space {
    /// Of the database before.
    pub before: u64,
    /// Of the database after. It does not shrink by itself: pages that are free stay in it.
    pub after: u64,
    /// Of the `-wal` or `-journal` beside it, while it runs.
    pub beside: Beside,
}

/// How long a `-wal` or `-journal` may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// On the copy in a file it became so long: the `-wal`, nothing of it written back meanwhile,
    /// as it is where somebody reads all the time; or the journal of the largest transaction.
    Measured(u64),
    /// In memory there is none. It is no more than this for each transaction: every page of the
    /// database once.
    AtMost(u64),
}

/// Something that a check found after it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What it found, in a sentence.
    pub what: String,
    /// Since when it is so.
    pub since: Since,
}

/// Since when something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// It was so in the database before.
    Before,
    /// It has come with what was applied.
    Now,
}

/// Whether the downs of what was applied bring the schema back. They were allowed to throw rows
/// away, which a [`revert`](crate::Migrator::revert) is not without a sign-off.
#[derive(Debug)]
#[non_exhaustive]
pub enum Downs {
    /// They do: afterwards it is, by meaning, what it was.
    Restore,
    /// They do not.
    #[non_exhaustive]
    Differ {
        /// How the schema that they left differs from the one that was there before.
        changes: Vec<Change>,
    },
    /// One of the migrations has no way back.
    #[non_exhaustive]
    Irreversible {
        /// Which, and why.
        why: String,
    },
    /// One of them fails.
    #[non_exhaustive]
    Fail {
        /// With this.
        error: Box<Error>,
    },
    /// They were not tried.
    #[non_exhaustive]
    NotTried {
        /// Why.
        why: &'static str,
    },
}

impl Downs {
    pub(super) fn not_tried(why: &'static str) -> Self {
        Downs::NotTried { why }
    }
}

impl Rehearsal {
    /// Whether there was nothing to do.
    pub fn is_noop(&self) -> bool {
        self.error.is_none() && self.report.is_noop()
    }
}
