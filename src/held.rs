//! Why a seed or a backfill of the registry has not run: values and sentences.

use std::fmt;

use crate::escape::escaped;
use crate::migration::Version;

/// A seed or backfill that is not done and was not brought to its end, and the reason.
///
/// ```
/// use landfall::{HeldBack, Migrator, Seed, Seeds};
///
/// let demo = Seed::new("demo", |tx| {
///     tx.execute("INSERT INTO contact(name) VALUES ('Ada')", []).map(drop)
/// })
/// .environment("dev");
/// let conn = landfall::rusqlite::Connection::open_in_memory()?;
/// let report = Migrator::from_dir("migrations-example").seeds(Seeds::new().add(demo)).apply(&conn)?;
/// assert_eq!(report.held[0].name, "demo");
/// assert!(matches!(report.held[0].why, HeldBack::Environment { .. }));
/// assert_eq!(report.held[0].to_string(), "demo: only in the environment dev");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// Its name.
    pub name: String,
    /// The reason.
    pub why: HeldBack,
}

/// Why a seed or backfill has not run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeldBack {
    /// It names environments, and the migrator's is none of them.
    #[non_exhaustive]
    Environment {
        /// Those it names.
        only: Vec<String>,
    },
    /// The schema has not the version that it asks for.
    #[non_exhaustive]
    Schema {
        /// The version that it asks for.
        at_least: Version,
    },
    /// One that it comes after is not done.
    #[non_exhaustive]
    After {
        /// That one's name.
        name: String,
    },
    /// The application's own sentinel says that it is done; that is recorded now.
    OwnSentinel,
    /// It is optional, and failed. It runs again at the next start.
    #[non_exhaustive]
    Failed {
        /// The error, in one line.
        why: String,
    },
    /// A backfill that a start does not wait for.
    #[non_exhaustive]
    Deferred {
        /// How far it is.
        progress: Progress,
    },
    /// A backfill that took the time that one start gives it. The next one goes on with it.
    #[non_exhaustive]
    OverBudget {
        /// How far it is.
        progress: Progress,
    },
    /// A backfill that another process is at.
    #[non_exhaustive]
    Elsewhere {
        /// How far it is.
        progress: Progress,
    },
    /// A backfill that the application stopped. It can go on at any time.
    #[non_exhaustive]
    Stopped {
        /// How far it is.
        progress: Progress,
    },
}

/// How far a backfill is. `Display` is `120 of 200 rows`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Rows done.
    pub done: u64,
    /// Rows to do, counted once at its beginning, where it was told how to count them.
    pub total: Option<u64>,
}

impl Held {
    pub(crate) fn new(name: &str, why: HeldBack) -> Self {
        Held { name: name.to_owned(), why }
    }

    /// Whether it may run at a later start although nothing that the seal vouches for has changed.
    /// What waits for another one is as settled as that, which is held as well.
    pub(crate) fn is_unsettled(&self) -> bool {
        match self.why {
            HeldBack::Environment { .. }
            | HeldBack::Schema { .. }
            | HeldBack::After { .. }
            | HeldBack::OwnSentinel => false,
            HeldBack::Failed { .. }
            | HeldBack::Deferred { .. }
            | HeldBack::OverBudget { .. }
            | HeldBack::Elsewhere { .. }
            | HeldBack::Stopped { .. } => true,
        }
    }
}

impl Held {
    /// What the history says of it, which is the same as long as nothing is done about it. One with
    /// a sentinel of its own is on record as a seed that is done.
    pub(crate) fn on_record(&self) -> Option<String> {
        match &self.why {
            HeldBack::OwnSentinel => None,
            HeldBack::Failed { why } => Some(why.clone()),
            HeldBack::Deferred { .. } => Some("deferred".to_owned()),
            HeldBack::Elsewhere { .. } => Some("another process is at it".to_owned()),
            why => Some(why.to_string()),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", escaped(&self.name), self.why)
    }
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeldBack::Environment { only } => {
                let s = if only.len() == 1 { "" } else { "s" };
                write!(f, "only in the environment{s} {}", escaped(only.join(", ")))
            }
            HeldBack::Schema { at_least } => {
                write!(f, "waits for version {at_least} of the schema")
            }
            HeldBack::After { name } => write!(f, "waits for {}", escaped(name)),
            HeldBack::OwnSentinel => f.write_str("its own sentinel says that it has run"),
            HeldBack::Failed { why } => write!(f, "{}", escaped(why)),
            HeldBack::Deferred { progress } => {
                write!(f, "deferred, {progress}; `run_backfills` goes on with it")
            }
            HeldBack::OverBudget { progress } => {
                write!(f, "over its budget, {progress}; the next start goes on with it")
            }
            HeldBack::Elsewhere { progress } => {
                write!(f, "another process is at it, {progress}")
            }
            HeldBack::Stopped { progress } => write!(f, "stopped, {progress}"),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total {
            Some(total) => write!(f, "{} of {total} rows", self.done),
            None => write!(f, "{} row{}", self.done, if self.done == 1 { "" } else { "s" }),
        }
    }
}
