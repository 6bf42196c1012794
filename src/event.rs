//! What a migrator tells while it works.

use std::time::Duration;

use crate::migration::Version;
use crate::plan::Plan;

/// What a migrator tells while it works, to the function given to
/// [`Migrator::on_event`](crate::Migrator::on_event). It is called on the thread that migrates,
/// inside the transaction where there is one: be quick, and leave the connection alone.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Another connection holds the lock; so long has been waited for it.
    #[non_exhaustive]
    Waiting {
        /// Since the first attempt.
        waited: Duration,
    },
    /// This is about to be done. Under the lock it is planned again.
    #[non_exhaustive]
    Planned {
        /// What is about to be done.
        plan: &'a Plan,
    },
    /// Pages of the backup are written.
    #[non_exhaustive]
    Backup {
        /// So many.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// Pages of a backup are put back into the database, in a transaction that is not yet
    /// committed.
    #[non_exhaustive]
    Restore {
        /// So many.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// A step begins.
    #[non_exhaustive]
    Started {
        /// Its version; `None` for a repeatable.
        version: Option<Version>,
        /// Its name.
        name: &'a str,
    },
    /// A step is done, though not yet committed unless it runs outside a transaction.
    #[non_exhaustive]
    Finished {
        /// Its version; `None` for a repeatable.
        version: Option<Version>,
        /// Its name.
        name: &'a str,
        /// How long it took.
        took: Duration,
    },
    /// A transaction is committed: what was finished stays.
    Committed,
    /// A seed begins.
    #[non_exhaustive]
    SeedStarted {
        /// Its name.
        name: &'a str,
    },
    /// A seed and its sentinel are committed.
    #[non_exhaustive]
    SeedFinished {
        /// Its name.
        name: &'a str,
        /// How long it took.
        took: Duration,
    },
}
