//! One batch, from BEGIN to COMMIT.

use std::time::Instant;

use rusqlite::Transaction;
use rusqlite::types::Value;

use super::super::lend::{Stands, lend};
use super::super::segment::commit_failed;
use super::failure::{Failed, failed};
use super::triggers::Suppressed;
use super::walk::{Walk, WalkFailure, Walked};
use super::{End, Occasion, Outcome, Runner};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::held::Progress;
use crate::ledger::Deed;
use crate::ledger::backfill::{Place, Step};
use crate::seed::{Batch, CursorFault, Work};
use crate::supervisor::GRACE;

/// What the function of a batch, or its `UPDATE`, did.
pub(super) struct Worked {
    pub(super) next: Option<Value>,
    pub(super) rows: u64,
    /// Whether these are the rows that it was to do, and not all that changed.
    pub(super) exact: bool,
    pub(super) units: u32,
    /// Which row it was, where it was one and that is known.
    pub(super) row: Option<Value>,
}
impl Runner<'_, '_> {
    /// One batch: the lock, the work, the cursor, the commit.
    pub(super) fn batch(&mut self, total: Option<u64>) -> Result<Outcome> {
        let (job, backfill) = (self.job, self.backfill);
        let tx = job.patience.begin()?;
        let clock = Instant::now();
        if self.is_overtaken(&tx)? {
            return Ok(Outcome::Ended(End::Overtaken));
        }
        let place = match self.place(total)? {
            Ok(place) => place,
            Err(end) => return Ok(Outcome::Ended(end)),
        };
        if !self.begun {
            self.begun = true;
            job.tell(&Event::SeedStarted { name: self.name() });
        }
        self.done.progress = place.progress;
        let size = self.sizes.next();
        let ((worked, changed), stands) = {
            let _triggers = Suppressed::by(&tx, backfill.triggers)?;
            lend(&tx, job.enforces, |tx| {
                let before = tx.total_changes();
                let work = || self.work(tx, place.cursor.clone(), size);
                let worked = job.supervisor.lending(GRACE, work);
                (worked, tx.total_changes().saturating_sub(before))
            })?
        };
        if job.supervisor.has_interrupted() && matches!(stands, Stands::Yes) {
            return Ok(Outcome::Ended(End::Stopped));
        }
        let is_update = matches!(backfill.work, Work::Update(_));
        let worked = match (worked, stands) {
            (Ok(worked), Stands::Yes) => worked,
            // No function: a row's trigger or constraint took everything back.
            // It was SQLite's, for an interrupt of ours: nothing else can have been written since.
            (Err(_), Stands::No) if is_update && job.supervisor.has_interrupted() => {
                return Ok(Outcome::Ended(End::Stopped));
            }
            (Err(failed), Stands::No) if is_update => {
                drop(tx);
                return self.after_failure(failed, size, &place);
            }
            (Err(failed), Stands::No) => return Err(self.taken_back(failed)),
            (Ok(_), Stands::No) => return Err(self.ended()),
            (Err(failed), Stands::Yes) => {
                drop(tx);
                return self.after_failure(failed, size, &place);
            }
        };
        self.refuse_circle(&place, &worked)?;
        let step = Step {
            name: self.name(),
            next: worked.next.as_ref(),
            rows: worked.rows,
            rows_changed: changed,
            took: clock.elapsed(),
            holder: &self.lease.holder,
            lease: backfill.lease + self.pause,
        };
        job.ledger.advance(&step)?;
        let (is_done, before) = (worked.next.is_none(), self.run.report.clone());
        if is_done {
            self.end(&place, &worked)?;
        }
        let revision = backfill.revision;
        let stored = || {
            let stored = self.known_place()?;
            Ok(stored.is_some_and(|stored| {
                stored.revision == revision
                    && (stored.is_done == is_done)
                    && (is_done || stored.cursor == worked.next)
            }))
        };
        if let Err(error) = job.patience.commit(&tx, stored) {
            self.run.report = before;
            self.run.finished = false;
            let error = commit_failed(error, &tx, format!("backfill {}", self.name()));
            let ErrorKind::ForeignKeys { .. } = error.kind() else { return Err(error) };
            drop(tx);
            let Worked { units, row, .. } = worked;
            let error = error.kind().to_string().into();
            return self.after_failure(Failed::Row { error, row, before: None }, units, &place);
        }
        drop(tx);
        self.trail.pass(worked.next.as_ref());
        self.tally.add(if worked.exact { worked.rows } else { worked.units.into() }, changed);
        self.lease.is_held = !is_done;
        // From now on others see that somebody is at it, and go on.
        self.run.alone = None;
        self.sizes.went_well(worked.units, clock.elapsed());
        self.done.batches += 1;
        self.done.rows += worked.rows;
        self.done.progress.done += worked.rows;
        self.done.is_finished = is_done;
        Ok(if is_done { Outcome::Ended(End::Done) } else { Outcome::More })
    }

    /// Whether the plan, made under the lock, has this backfill no more. It is made once, and again
    /// when somebody has changed the schema.
    fn is_overtaken(&mut self, tx: &Transaction<'_>) -> Result<bool> {
        let schema: i64 = tx
            .query_row("PRAGMA main.schema_version", [], |row| row.get(0))
            .map_err(Error::sqlite("asking whether the schema has changed"))?;
        if self.schema == Some(schema) {
            return Ok(false);
        }
        let plan = self.job.plan(self.run.goal)?;
        let is_gate = plan.gate() == Some(self.name());
        let is_next = plan.steps.is_empty() && plan.seeds.iter().any(|name| name == self.name());
        let planned = match self.occasion {
            Occasion::Start => is_next,
            Occasion::Gate => is_gate,
            Occasion::Background => is_gate || is_next,
        };
        self.schema = Some(schema);
        Ok(!planned)
    }

    /// Where it goes on, read under the lock; or that somebody else is at it, or has done it.
    pub(super) fn place(&self, total: Option<u64>) -> Result<std::result::Result<Place, End>> {
        let (ledger, revision) = (self.job.ledger, self.backfill.revision);
        ledger.create()?;
        let place =
            ledger.place(self.name(), self.longest())?.filter(|place| place.revision >= revision);
        let Some(place) = place else {
            ledger.begin_backfill(self.name(), revision, total)?;
            let progress = Progress { done: 0, total };
            return Ok(Ok(Place { revision, progress, ..Place::default() }));
        };
        if place.is_done || place.revision > revision {
            return Ok(Err(End::Overtaken));
        }
        if place.holder.as_ref().is_some_and(|holder| *holder != self.lease.holder) {
            return Ok(Err(End::Elsewhere));
        }
        Ok(Ok(place))
    }

    /// Where it goes on, where the table is there at all.
    pub(super) fn known_place(&self) -> Result<Option<Place>> {
        let ledger = self.job.ledger;
        match ledger.known_sentinel(self.name())? {
            Some(_) => ledger.place(self.name(), self.longest()),
            None => Ok(None),
        }
    }

    /// What belongs to the last batch.
    fn end(&mut self, place: &Place, worked: &Worked) -> Result<()> {
        let progress =
            Progress { done: place.progress.done + worked.rows, total: place.progress.total };
        let skipped = match self.job.ledger.skipped_by(self.name())? {
            0 => String::new(),
            skipped => format!(", {skipped} skipped"),
        };
        let detail = format!("revision {}, {progress}{skipped}", self.backfill.revision);
        let (name, detail) = (Some(self.name()), Some(detail.as_str()));
        self.job.ledger.record([Deed { action: "backfill", name, detail, ..Deed::default() }])?;
        if self.last { self.run.finish_if_done() } else { Ok(()) }
    }

    fn work(
        &self,
        tx: &Transaction<'_>,
        cursor: Option<Value>,
        size: u32,
    ) -> std::result::Result<Worked, Failed> {
        match &self.backfill.work {
            Work::Calls(function) => {
                let (clock, before) = (Instant::now(), tx.total_changes());
                let (mut cursor, mut units) = (cursor, 0);
                loop {
                    let next = function(tx, cursor.clone(), &Batch::of(1)).map_err(|error| {
                        let row = cursor.clone();
                        failed(error, row, Some(units))
                    })?;
                    units += 1;
                    if let (Some(at), true) = (&next, next == cursor) {
                        return Err(Failed::Anyhow(CursorFault::Stays { at: at.clone() }.into()));
                    }
                    let full = units >= size || clock.elapsed() >= self.backfill.pace.target;
                    if next.is_none() || full || tx.is_autocommit() {
                        let rows = tx.total_changes().saturating_sub(before);
                        return Ok(Worked { next, rows, exact: false, units, row: None });
                    }
                    cursor = next;
                }
            }
            Work::Sized(function) => {
                let (batch, before) = (Batch::of(size), tx.total_changes());
                let next = function(tx, cursor, &batch)
                    .map_err(|error| failed(error, batch.row(), None))?;
                let changed = tx.total_changes().saturating_sub(before);
                let (told, row) = (batch.told(), batch.row());
                let (rows, exact) = (told.unwrap_or(changed), told.is_some());
                Ok(Worked { next, rows, exact, units: size, row })
            }
            Work::Update(update) => {
                let walked = Walk::of(tx, update)
                    .and_then(|walk| walk.batch(tx, cursor.as_ref(), size))
                    .map_err(|failure| match failure {
                        WalkFailure::Anyhow(why) => Failed::Anyhow(why),
                        WalkFailure::Cursor(fault) => Failed::Anyhow(fault.into()),
                        WalkFailure::Row(error, row) => failed(error.into(), row, None),
                    })?;
                let Walked { next, rows, row } = walked;
                Ok(Worked { next, rows, exact: true, units: size, row })
            }
        }
    }
}
