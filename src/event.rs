//! What a migrator tells while it works.

use std::time::{Duration, Instant};

use crate::held::Progress;
use crate::migration::Version;
use crate::plan::{Direction, Plan};
use crate::sql::Position;

/// What a migrator tells while it works, to the function given to
/// [`Migrator::on_event`](crate::Migrator::on_event). It is called on the thread that migrates,
/// inside the transaction where there is one: be quick, and leave the connection alone.
///
/// [`Progress`](Event::Progress) alone may come from another thread, while the one that migrates is
/// inside SQLite: do not wait for that one. No event comes after the verb has returned. If the
/// function panics, the panic goes on on the thread that migrates, and what was not committed is
/// rolled back.
///
/// Patterns end in `..`, and a match in `_`, so that events may learn more:
///
/// ```
/// use landfall::Event;
///
/// fn tell(event: &Event<'_>) {
///     match event {
///         Event::Planned { plan, .. } => eprintln!("{plan}"),
///         Event::Progress { name, elapsed, .. } => eprintln!("{name}: {elapsed:?} so far"),
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
    /// Another connection holds the lock, or another process is at it; so long has been waited for
    /// it. It comes first after a quarter of a second, and then once a second.
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
    /// A step is being done that takes long; told at least once a second, from another thread.
    #[non_exhaustive]
    Progress {
        /// Its version; `None` where it has none.
        version: Option<Version>,
        /// The name of the migration, repeatable, seed or backfill; or `backup` or `restore`.
        name: &'a str,
        /// What is being done with it: `running`, `verifying`, …
        doing: &'a str,
        /// The file of the statement that is running, or was last; of a migration from code, its name.
        file: Option<&'a str>,
        /// Where that statement begins.
        position: Option<Position>,
        /// Which statement that is, counted from 1, and how many the script has.
        statement: Option<(usize, usize)>,
        /// How far it is, where that is known: rows of a backfill, pages of a backup or restore.
        done: Option<Progress>,
        /// Since it began.
        elapsed: Duration,
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

/// A function of the application that is told of events.
pub(crate) type Listener = dyn Fn(&Event<'_>) + Send + Sync;

/// Whatever is told of events on this thread.
pub(crate) type Ear<'a> = dyn Fn(&Event<'_>) + 'a;

/// A wait for others, and when it is to be told.
pub(crate) struct Wait {
    start: Instant,
    told: u64,
}

impl Wait {
    pub(crate) fn new() -> Self {
        Wait { start: Instant::now(), told: 0 }
    }

    pub(crate) fn waited(&self) -> Duration {
        self.start.elapsed()
    }

    /// The event, where one is due by now.
    pub(crate) fn due(&mut self) -> Option<Event<'static>> {
        let waited = self.waited();
        let due = times_due(waited);
        let is_due = due > self.told;
        self.told = due;
        is_due.then_some(Event::Waiting { waited })
    }
}

/// How often a wait of that length is to have been told.
fn times_due(waited: Duration) -> u64 {
    let since_first = waited.checked_sub(Duration::from_millis(250));
    since_first.map_or(0, |since| since.as_secs() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_due_after_250_ms_and_then_each_second() {
        let table =
            [(0, 0), (249, 0), (250, 1), (1249, 1), (1250, 2), (2249, 2), (2250, 3), (60_250, 61)];
        for (milliseconds, times) in table {
            assert_eq!(times_due(Duration::from_millis(milliseconds)), times, "{milliseconds} ms");
        }
    }
}
