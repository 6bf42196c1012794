//! A batch that failed: tried again smaller, down to the row that is named or skipped.

use std::time::Duration;

use rusqlite::ErrorCode;
use rusqlite::types::Value;

use super::super::lend::{TAKEN_BACK, is_sqlites};
use super::super::statements::shown;
use super::batch::Worked;
use super::walk::shown_key;
use super::{Outcome, Runner};
use crate::error::{Error, Result};
use crate::escape::escaped;
use crate::ledger::backfill::{Place, Skipped, Step};
use crate::migration::BoxError;
use crate::seed::{CursorFault, Failures, Work};

/// Why it did not.
pub(super) enum Failed {
    /// It is the fault of some row: this one, if it is known, after so many units that went well, if
    /// they are counted.
    Row { error: BoxError, row: Option<Value>, before: Option<u32> },
    /// It is not: no smaller batch would help.
    Anyhow(BoxError),
}

impl Runner<'_, '_> {
    /// A batch that failed was taken back. It is tried again with fewer rows; one row that fails
    /// alone is skipped or named.
    pub(super) fn after_failure(
        &mut self,
        failed: Failed,
        size: u32,
        place: &Place,
    ) -> Result<Outcome> {
        let (error, row) = match failed {
            Failed::Anyhow(error) => {
                let fault = error.downcast_ref();
                return Err(match fault {
                    Some(CursorFault::Stays { at }) => self.stays(at),
                    Some(CursorFault::OtherType { .. } | CursorFault::OtherKey { .. }) => {
                        self.failed("failed", None).because(error).advise(
                            "put back what it went by, or give it a higher `revision`, and it \
                             begins again with the first row",
                        )
                    }
                    _ => self.failed("failed", None).because(error),
                });
            }
            Failed::Row { before, .. } if self.sizes.failed(size, before) => {
                return Ok(Outcome::More);
            }
            Failed::Row { error, row, .. } => (error, row),
        };
        let is_update = matches!(self.backfill.work, Work::Update(_));
        let is_call = matches!(self.backfill.work, Work::Calls(_));
        match (self.backfill.failures, &row) {
            (Failures::Skip, Some(row)) if !is_call => {
                return self.skip(row, &error.to_string(), place);
            }
            _ => {}
        }
        let shown = |row: &Value| if is_update { shown_key(row) } else { shown(row.into()) };
        let (what, row) = match (&row, is_call, &place.cursor) {
            (Some(row), false, _) => (format!("failed at row {}", shown(row)), Some(shown(row))),
            (Some(row), true, _) | (None, _, Some(row)) => {
                (format!("failed at the row after cursor {}", shown(row)), None)
            }
            (None, _, None) => ("failed at its first row".to_owned(), None),
        };
        let failed = self.failed(&what, row).because(error);
        Err(match self.backfill.failures {
            Failures::Skip => failed.advise(
                "its function has to say which row it is at, with `Batch::at`, before that can be \
                 skipped",
            ),
            Failures::Stop => failed.advise(
                "correct the row, or the backfill, and start again; or let it skip such rows with \
                 `on_failure(Failures::Skip)`",
            ),
        })
    }

    /// Leaves a row as it is, on record, and goes on after it; unless somebody has moved on since
    /// it failed, whose rows would be done again.
    fn skip(&mut self, row: &Value, why: &str, failed: &Place) -> Result<Outcome> {
        let (job, backfill) = (self.job, self.backfill);
        let tx = job.patience.begin()?;
        let place = match self.place(failed.progress.total)? {
            Ok(place) => place,
            Err(end) => return Ok(Outcome::Ended(end)),
        };
        if place.cursor != failed.cursor {
            return Ok(Outcome::More);
        }
        let next = Some(row.clone());
        let worked = Worked { next, rows: 0, exact: true, units: 1, row: None };
        self.refuse_circle(&place, &worked)?;
        let (name, revision) = (self.name(), backfill.revision);
        job.ledger.skip(&Skipped { name, revision, row, why })?;
        job.ledger.advance(&Step {
            name,
            next: Some(row),
            rows: 0,
            rows_changed: 0,
            took: Duration::ZERO,
            holder: &self.lease.holder,
            lease: backfill.lease + self.pause,
        })?;
        let stored = || {
            let place = self.known_place()?;
            Ok(place.is_some_and(|place| place.cursor.as_ref() == Some(row)))
        };
        job.patience.commit(&tx, stored)?;
        let told = format!("backfill {name} skipped row {}: {why}", shown_key(row));
        log::debug!("{}", escaped(told));
        self.trail.pass(Some(row));
        self.lease.is_held = true;
        self.done.skipped += 1;
        self.done.batches += 1;
        self.sizes.passed();
        Ok(Outcome::More)
    }

    /// The transaction is gone after a function failed. Where that was SQLite's error, it was
    /// SQLite that took it back: an interrupt or a full disk can do that, and a trigger.
    pub(super) fn taken_back(&self, failed: Failed) -> Error {
        let (Failed::Row { error, .. } | Failed::Anyhow(error)) = failed;
        if !is_sqlites(&error) && !self.job.supervisor.has_interrupted() {
            return self.ended();
        }
        let kept = match self.done.progress.done {
            0 => String::new(),
            _ => format!("{} are done and stay so, ", self.done.progress),
        };
        self.failed("failed", None)
            .because(error)
            .changed(format!("{kept}{TAKEN_BACK}"))
            .advise("see the cause below it, and start again: it goes on where its cursor is")
    }

    pub(super) fn ended(&self) -> Error {
        self.failed("failed", None)
            .because("the function ended the transaction that it was handed")
            .changed(
                "it ended the transaction itself, and what it had written by then, or has written \
                 since, may be stored; its cursor is where it was",
            )
            .advise("leave BEGIN, COMMIT and ROLLBACK to the migrator")
    }
}

/// Sorts a failure: some are no row's.
pub(super) fn failed(error: BoxError, row: Option<Value>, before: Option<u32>) -> Failed {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
        OperationInterrupted, OutOfMemory, ReadOnly, SystemIoFailure,
    };
    let code = error.downcast_ref().and_then(rusqlite::Error::sqlite_error_code);
    let is_about_database = matches!(
        code,
        Some(
            CannotOpen
                | DatabaseBusy
                | DatabaseCorrupt
                | DatabaseLocked
                | DiskFull
                | NotADatabase
                | OperationInterrupted
                | OutOfMemory
                | ReadOnly
                | SystemIoFailure
        )
    );
    if is_about_database || error.is::<CursorFault>() {
        return Failed::Anyhow(error);
    }
    Failed::Row { error, row, before }
}
