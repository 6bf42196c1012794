//! What a migrator tells while it works.

use std::time::Duration;

use crate::held::Progress;
use crate::migration::Version;
use crate::plan::{Direction, Plan};

/// What a migrator tells while it works, to the function given to
/// [`Migrator::on_event`](crate::Migrator::on_event). It is called on the thread that migrates,
/// inside the transaction where there is one: be quick, and leave the connection alone.
///
/// Patterns end in `..`, and a match in `_`, so that events may learn more:
///
/// ```
/// use landfall::Event;
///
/// fn tell(event: &Event<'_>) {
///     match event {
///         Event::Planned { plan, .. } => eprintln!("{plan}"),
///         Event::Finished { name, took, .. } => eprintln!("{name} took {took:?}"),
///         _ => {}
///     }
/// }
/// # landfall::Migrator::from_dir("migrations-example").on_event(tell).open_in_memory()?;
/// # Ok::<(), landfall::Error>(())
/// ```
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
        /// What is done with it.
        direction: Direction,
    },
    /// A step is done, though not yet committed unless it runs outside a transaction.
    #[non_exhaustive]
    Finished {
        /// Its version; `None` for a repeatable.
        version: Option<Version>,
        /// Its name.
        name: &'a str,
        /// What was done with it.
        direction: Direction,
        /// How long it took.
        took: Duration,
    },
    /// A transaction is committed: what was finished stays.
    Committed,
    /// A batch of a backfill is committed.
    #[non_exhaustive]
    Backfill {
        /// The backfill's name.
        name: &'a str,
        /// How far it is, since its beginning.
        progress: Progress,
        /// Rows in a second, since it was taken up in this run.
        rate: f64,
        /// How long the rest will take at that rate, where it is known how much that is.
        left: Option<Duration>,
    },
    /// A seed or backfill begins.
    #[non_exhaustive]
    SeedStarted {
        /// Its name.
        name: &'a str,
    },
    /// A seed and its sentinel, or the last batch of a backfill, are committed.
    #[non_exhaustive]
    SeedFinished {
        /// Its name.
        name: &'a str,
        /// How long it took.
        took: Duration,
    },
}
