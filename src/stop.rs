//! A handle that stops backfills between two batches.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Stops backfills after the batch in hand. Its clones are the same handle: one goes to
/// [`Migrator::stop_on`](crate::Migrator::stop_on), another stays with whoever ends the program.
/// What is done stays done, and the next start, or
/// [`run_backfills`](crate::Migrator::run_backfills), goes on from there.
///
/// ```
/// use landfall::{Migrator, Stop};
///
/// let stop = Stop::new();
/// let migrator = Migrator::from_dir("migrations-example").stop_on(&stop);
/// let conn = migrator.open_in_memory()?;
/// let thread = std::thread::spawn(move || migrator.run_backfills(&conn));
/// stop.stop();
/// thread.join().unwrap()?;
/// # Ok::<(), landfall::Error>(())
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
        let (stopped, changed) = self.0.as_ref();
        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether [`stop`](Stop::stop) was called.
    pub fn is_stopped(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, but not once it is stopped.
    pub(crate) fn sleep(&self, d: Duration) {
        let (stopped, changed) = self.0.as_ref();
        let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = changed.wait_timeout_while(guard, d, |stopped| !*stopped);
    }
}
