//! A handle that stops what a migrator is doing.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Stops what a migrator is doing, from another thread or from an
/// [`on_event`](crate::Migrator::on_event) function. Its clones are the same handle: one goes to
/// [`Migrator::stop_on`](crate::Migrator::stop_on), another stays with the part of the program that
/// decides to end it. It cannot be unset: to go on, make a new handle, or use a migrator without one.
///
/// What was committed before stays, and the next start, or
/// [`run_backfills`](crate::Migrator::run_backfills), goes on from there:
///
/// | running | what a stop does |
/// |---|---|
/// | a statement, a verify script, a check, a count of rows | interrupts SQLite, and rolls its transaction back |
/// | a function of the application (code migration, seed) | interrupts its SQL, not its Rust code, and rolls the transaction back |
/// | a batch of a backfill | lets it finish for a quarter of a second, then interrupts and rolls the batch back |
/// | a statement outside a transaction | interrupts it; the migration is marked as interrupted, as after any other failure |
/// | waiting for a lock, a pause | ends it at once |
/// | copying a backup, or restoring one | ends it between two pages; there is no backup, or the database is as it was |
/// | a COMMIT | lets it finish |
///
/// The verb then returns [`ErrorKind::Stopped`](crate::ErrorKind::Stopped), whose
/// [`report`](crate::Error::report) holds what was committed. Backfills are the exception: they are
/// made to be stopped, so that a verb that was stopped at one returns `Ok` and lists it in
/// [`Report::held`](crate::Report::held).
///
/// A handle that is used before a start stops it before it changes anything: `Stopped` where
/// migrations, repeatables or seeds are pending, `Ok` where only backfills are, or nothing.
///
/// An interrupt also ends queries that the application has open on the same connection, as
/// [SQLite's interrupt](https://sqlite.org/c3ref/interrupt.html) does. Statements that it runs after
/// the verb has returned are not affected.
///
/// ```
/// use landfall::{ErrorKind, Event, Migration, Migrator, Stop};
///
/// let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)
///                SELECT count(*) FROM c";
/// let stop = Stop::new();
/// let handle = stop.clone();
/// let error = Migrator::from_migrations([Migration::sql(1, "endless", endless)])
///     .stop_on(&stop)
///     .on_event(move |event| {
///         if let Event::Progress { .. } = event {
///             handle.stop();
///         }
///     })
///     .open_in_memory()
///     .unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::Stopped { .. }));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// A handle that has not been used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops, now and from now on.
    pub fn stop(&self) {
        *self.stopped() = true;
        self.0.1.notify_all();
    }

    /// Whether [`stop`](Stop::stop) was called.
    pub fn is_stopped(&self) -> bool {
        *self.stopped()
    }

    fn stopped(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until it is stopped, but no longer than that.
    pub(crate) fn sleep(&self, d: Duration) {
        let guard = self.stopped();
        let _ = self.0.1.wait_timeout_while(guard, d, |stopped| !*stopped);
    }

    /// Waits while that holds, with whether it is stopped; no longer than the limit, if there is one.
    pub(crate) fn wait_while(&self, limit: Option<Duration>, holds: impl Fn(bool) -> bool) {
        let guard = self.stopped();
        match limit {
            Some(limit) => {
                drop(self.0.1.wait_timeout_while(guard, limit, |stopped| holds(*stopped)));
            }
            None => drop(self.0.1.wait_while(guard, |stopped| holds(*stopped))),
        }
    }

    /// Has all that wait look again.
    pub(crate) fn wake(&self) {
        // With the lock: otherwise one that has looked and does not wait yet would miss it.
        let _guard = self.stopped();
        self.0.1.notify_all();
    }
}
