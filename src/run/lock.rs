//! The write lock: taken at once and waited for, never half taken.

use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::{Error, ErrorKind, LostTransaction, Result};
use crate::event::Wait;
pub(crate) use crate::event::{Ear, Listener};
use crate::stop::Stop;
use crate::supervisor::stopped;

/// Waits for other connections, up to a limit.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    conn: &'a Connection,
    wait: Duration,
    /// The caller's own, in milliseconds. It stays as it is where there is none: then the caller
    /// may have a busy handler, which setting a timeout would throw out.
    busy_timeout: u64,
    listener: Option<&'a Ear<'a>>,
    stop: Option<&'a Stop>,
}

/// Between attempts, in milliseconds; the last one repeats.
const PAUSES: [u64; 7] = [1, 2, 5, 10, 20, 40, 50];

impl<'a> Patience<'a> {
    pub(crate) fn new(
        conn: &'a Connection,
        wait: Duration,
        listener: Option<&'a Ear<'a>>,
        stop: Option<&'a Stop>,
    ) -> Result<Self> {
        let busy_timeout = conn
            .query_row("PRAGMA busy_timeout", [], |row| row.get(0))
            .map(|milliseconds: u32| milliseconds.into())
            .map_err(Error::sqlite("reading the busy timeout"))?;
        Ok(Patience { conn, wait, busy_timeout, listener, stop })
    }

    pub(crate) fn limit(&self) -> Duration {
        self.wait
    }

    /// Tries until another connection is no longer in the way.
    pub(crate) fn retry<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let mut wait = Wait::new();
        let mut pauses = PAUSES.as_slice();
        loop {
            match self.at_once(&mut attempt) {
                Err(error) if error.is_busy() => self.try_later(&mut wait, &mut pauses, error)?,
                done => return done,
            }
        }
    }

    /// Waits before another attempt, if there is time left for one.
    #[cold]
    fn try_later(&self, wait: &mut Wait, pauses: &mut &[u64], error: Error) -> Result<()> {
        let waited = wait.waited();
        let left = self.wait.saturating_sub(waited);
        if left.is_zero() {
            let kind = ErrorKind::Busy { waited };
            return Err(Error::from(kind).because(error));
        }
        let (pause, longer) = pauses.split_first().unwrap_or((&1, &[]));
        self.pause(wait, Duration::from_millis(*pause).min(left))?;
        if !longer.is_empty() {
            *pauses = longer;
        }
        Ok(())
    }

    /// Sleeps while it waits for others, which is told when it is due, unless the run is stopped.
    pub(crate) fn pause(&self, wait: &mut Wait, d: Duration) -> Result<()> {
        if let (Some(event), Some(listener)) = (wait.due(), self.listener) {
            listener(&event);
        }
        let Some(stop) = self.stop else {
            std::thread::sleep(d);
            return Ok(());
        };
        stop.sleep(d);
        match stop.is_stopped() {
            true => Err(stopped("while waiting for another connection")),
            false => Ok(()),
        }
    }

    /// Makes SQLite say at once that it is busy, so that the waiting is ours to limit and tell.
    pub(crate) fn at_once<T>(&self, attempt: impl FnOnce() -> T) -> T {
        let _restore =
            (self.busy_timeout > 0).then(|| BusyTimeout::none(self.conn, self.busy_timeout));
        attempt()
    }

    /// Begins a write transaction. A deferred one that turns into a write could fail at once,
    /// whatever the busy timeout: <https://sqlite.org/rescode.html#busy_snapshot>.
    pub(crate) fn begin(&self) -> Result<Transaction<'a>> {
        self.retry(|| self.begin_once())
    }

    pub(crate) fn begin_once(&self) -> Result<Transaction<'a>> {
        let begun = Transaction::new_unchecked(self.conn, TransactionBehavior::Immediate);
        begun.map_err(|error| {
            // An interrupted BEGIN may have begun.
            roll_back(self.conn);
            Error::sqlite("beginning a transaction")(error)
        })
    }

    /// Commits. A COMMIT that finds a reader in the way leaves the transaction open and is tried
    /// again: <https://sqlite.org/lang_transaction.html>. After any other failure the database is
    /// asked whether it is `stored`, as [`settle`](Patience::settle) says.
    pub(crate) fn commit(
        &self,
        tx: &Transaction<'_>,
        stored: impl Fn() -> Result<bool>,
    ) -> Result<()> {
        let committed = self.retry(|| commit(tx));
        committed.or_else(|error| self.settle(error, stored))
    }

    /// As [`commit`](Patience::commit), without waiting for a reader.
    pub(crate) fn commit_once(
        &self,
        tx: &Transaction<'_>,
        stored: impl Fn() -> Result<bool>,
    ) -> Result<()> {
        let committed = self.at_once(|| commit(tx));
        committed.or_else(|error| self.settle(error, stored))
    }

    /// Decides what a failed commit came to. An interrupt, or an I/O error while SQLite unlocks the
    /// file, deletes the journal or syncs its folder, can fail a commit that is through already.
    ///
    /// * The transaction is still open: nothing is stored.
    /// * It is not: the database is asked a second time. If it is stored, the commit succeeded.
    /// * That question fails too: the error says that it is not known.
    #[cold]
    pub(crate) fn settle(&self, error: Error, stored: impl Fn() -> Result<bool>) -> Result<()> {
        if !self.conn.is_autocommit() {
            return Err(error);
        }
        let again = |error: Error| match error.is_interrupt() {
            // It takes down one attempt and not the next.
            true => self.retry(&stored),
            false => Err(error),
        };
        match self.retry(&stored).or_else(again) {
            Ok(true) => {
                log::warn!("{}, but it is stored: {}", error.kind(), error.why());
                Ok(())
            }
            Ok(false) => Err(error),
            Err(_) => Err(error.not_known()),
        }
    }
}

fn commit(tx: &Transaction<'_>) -> Result<()> {
    tx.execute_batch("COMMIT").map_err(Error::sqlite("committing"))
}

/// Begins to read: what is read until it is dropped is of one moment.
pub(crate) fn read(conn: &Connection) -> Result<Transaction<'_>> {
    let begun = Transaction::new_unchecked(conn, TransactionBehavior::Deferred);
    begun.map_err(|error| {
        // An interrupted BEGIN may have begun.
        roll_back(conn);
        Error::sqlite("beginning a transaction")(error)
    })
}

/// No busy timeout, until dropped.
struct BusyTimeout<'a> {
    conn: &'a Connection,
    milliseconds: u64,
}

impl<'a> BusyTimeout<'a> {
    fn none(conn: &'a Connection, milliseconds: u64) -> Self {
        let _ = conn.busy_timeout(Duration::ZERO);
        BusyTimeout { conn, milliseconds }
    }
}

impl Drop for BusyTimeout<'_> {
    fn drop(&mut self) {
        let _ = self.conn.busy_timeout(Duration::from_millis(self.milliseconds));
    }
}

/// Refuses to go on where the transaction is gone that the next statement belongs to. SQLite answers
/// some failures, such as `SQLITE_NOMEM` and `SQLITE_IOERR`, by rolling the whole transaction back,
/// and what runs after that would stay whatever becomes of the rest:
/// <https://sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction>.
pub(crate) fn refuse_lost(conn: &Connection) -> Result<()> {
    match conn.is_autocommit() {
        true => Err(Error::from(ErrorKind::Sqlite { doing: "going on in the transaction" })
            .because(LostTransaction)),
        false => Ok(()),
    }
}

/// Ends a transaction if one is open: after a failure the connection knows, the error does not.
pub(crate) fn roll_back(conn: &Connection) {
    if !conn.is_autocommit() {
        let _ = conn.execute_batch("ROLLBACK");
    }
}
