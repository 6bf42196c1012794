//! Runs a backfill: batch after batch, each in a transaction with its cursor and its progress.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, Transaction};

use super::Run;
use super::lend::{Stands, lend};
use super::pace::Sizes;
use super::segment::commit_failed;
use super::session::Settings;
use super::statements::shown;
use super::walk::{Walk, WalkFailure, Walked, shown_key};
use super::{Job, preflight};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::held::{HeldBack, Progress};
use crate::ledger::Deed;
use crate::ledger::backfill::{Place, Skipped, Step};
use crate::migration::BoxError;
use crate::report::BackfillDone;
use crate::seed::{Backfill, Batch, CursorFault, Failures, UserTriggers, Work};
use crate::stop::Stop;

/// For what a backfill is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A start, in its place among the seeds.
    Start,
    /// A migration that requires it and is about to be applied.
    Gate,
    /// `run_backfills`.
    Background,
}

/// How it ended, if nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    OverBudget,
    Stopped,
    Elsewhere,
    /// Another program has taken the schema elsewhere.
    Overtaken,
}

/// How long a start works on a deferred backfill that a migration waits for: enough for a database
/// that has nothing to fill.
const GLIMPSE: Duration = Duration::from_secs(1);

/// How often somebody looks whether another process is still at it.
const LOOK: Duration = Duration::from_millis(100);
const GLANCE: Duration = Duration::from_millis(10);

/// From which size on the log of a database in WAL mode is written back between batches.
const LOG: u64 = 4 << 20;

struct Runner<'r, 'a> {
    run: &'r mut Run<'a>,
    job: &'a Job<'a>,
    backfill: &'a Backfill,
    occasion: Occasion,
    lease: Lease<'a>,
    pause: Duration,
    sizes: Sizes,
    clock: Instant,
    /// The schema that was last planned for.
    schema: Option<i64>,
    trail: Trail,
    /// After so many rows they are counted again, and so many were left the last time.
    counted: Option<(u64, u64)>,
    /// Whether it has been told that it begins.
    begun: bool,
    done: BackfillDone,
    /// Whether its last batch is the run's last transaction.
    last: bool,
}

/// A cursor from a while ago, each time twice as long: to come back to one is to go round in
/// circles.
#[derive(Default)]
struct Trail {
    seen: Option<Value>,
    steps: u64,
}

/// What a batch came to.
enum Outcome {
    More,
    Ended(End),
}

/// What the function of a batch, or its `UPDATE`, did.
struct Worked {
    next: Option<Value>,
    rows: u64,
    /// Whether these are the rows that it was to do, and not all that changed.
    exact: bool,
    units: u32,
    /// Which row it was, where it was one and that is known.
    row: Option<Value>,
}

/// Why it did not.
enum Failed {
    /// It is the fault of some row: this one, if it is known, after so many units that went well, if
    /// they are counted.
    Row { error: BoxError, row: Option<Value>, before: Option<u32> },
    /// It is not: no smaller batch would help.
    Anyhow(BoxError),
}

impl Trail {
    /// A cursor was committed.
    fn pass(&mut self, cursor: Option<&Value>) {
        self.steps += 1;
        if self.steps.is_power_of_two() {
            self.seen = cursor.cloned();
        }
    }
}

impl<'a> Run<'a> {
    /// Runs a backfill in its place among the seeds. What is left of it is for the next start.
    pub(super) fn backfill(&mut self, name: &str, last: bool) -> Result<()> {
        let Some(backfill) = self.job.seeds.backfill(name) else { return Ok(()) };
        let (end, progress) = self.fill(backfill, Occasion::Start, backfill.budget, last)?;
        match end {
            End::Done | End::Overtaken => {}
            End::OverBudget => self.pass(name, HeldBack::OverBudget { progress }),
            End::Stopped => self.pass(name, HeldBack::Stopped { progress }),
            End::Elsewhere => self.pass(name, HeldBack::Elsewhere { progress }),
        }
        Ok(())
    }

    /// Runs every backfill that is not done, deferred ones too. Where migrations are pending it
    /// runs those that the next one requires.
    pub(super) fn backfills(&mut self) -> Result<()> {
        let job = self.job;
        loop {
            let plan = self.plan_patiently()?;
            self.report_held(&plan);
            let gate = plan.gate().and_then(|name| job.seeds.backfill(name));
            if !plan.steps.is_empty() && gate.is_none() {
                if !self.report.backfills.is_empty() {
                    return Ok(());
                }
                let kind = ErrorKind::NotCurrent { pending: plan.gist() };
                return Err(Error::from(kind).advise("run `apply` first"));
            }
            let next = plan.seeds.iter().find_map(|name| job.seeds.backfill(name));
            let Some(backfill) = gate.or(next) else {
                return if plan.is_empty() { self.finish_alone(&plan) } else { Ok(()) };
            };
            preflight::refuse_read_only(job.conn, &plan)?;
            let name = backfill.name.as_ref();
            match self.fill(backfill, Occasion::Background, None, false) {
                Ok((End::Stopped, progress)) => {
                    self.pass(name, HeldBack::Stopped { progress });
                    if gate.is_some() {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(error) if gate.is_some() => return Err(error),
                Err(error) => self.forgive(name, error)?,
            }
        }
    }

    /// Brings a backfill to its end before the migration that requires it, or refuses that.
    pub(super) fn gate(&mut self, name: &str, file: &str) -> Result<()> {
        let job = self.job;
        let requires = |found: String| {
            let (file, what) = (file.to_owned(), format!("the backfill {name}"));
            Error::from(ErrorKind::Requires { file, what, found })
        };
        let Some(backfill) = job.seeds.backfill(name) else {
            return Err(requires("which is not registered".to_owned()));
        };
        for after in &backfill.conditions.after {
            let Some(item) = job.seeds.get(after).filter(|item| job.seeds.is_here(item)) else {
                continue;
            };
            let sentinel = job.patience.retry(|| job.ledger.known_sentinel(after))?;
            if !sentinel.is_some_and(|sentinel| item.is_done(&sentinel, true)) {
                return Err(requires(format!("which comes after {after}, and that is not done"))
                    .advise("seeds run after all migrations: take that condition away"));
            }
        }
        let limit = backfill.budget.or(backfill.is_deferred().then_some(GLIMPSE));
        let (end, progress) = self.fill(backfill, Occasion::Gate, limit, false)?;
        let found = match end {
            End::Done | End::Overtaken => return Ok(()),
            End::Elsewhere => format!("which another process is at ({progress})"),
            End::Stopped => format!("which was stopped ({progress})"),
            End::OverBudget => format!("which has not come to its end ({progress})"),
        };
        Err(requires(found).advise(
            "start again to go on with it, or finish it with `run_backfills`, and start again then",
        ))
    }

    /// Runs a backfill for as long as it may, and tells how it ended and how far it is.
    fn fill(
        &mut self,
        backfill: &'a Backfill,
        occasion: Occasion,
        limit: Option<Duration>,
        last: bool,
    ) -> Result<(End, Progress)> {
        let job = self.job;
        let settings = Settings::remember(job.conn, |_| true)?;
        let pause = match occasion {
            Occasion::Background => Duration::from_millis(25),
            Occasion::Start | Occasion::Gate => Duration::from_millis(2),
        };
        let mut runner = Runner {
            run: self,
            job,
            backfill,
            occasion,
            lease: Lease::new(job, &backfill.name),
            pause: backfill.pace.pause.unwrap_or(pause),
            sizes: Sizes::new(&backfill.pace),
            clock: Instant::now(),
            schema: None,
            trail: Trail::default(),
            counted: None,
            begun: false,
            done: BackfillDone::new(&backfill.name, backfill.revision),
            last,
        };
        let result = runner.all(limit);
        let Runner { mut done, clock, lease, .. } = runner;
        drop(lease);
        job.conn.flush_prepared_statement_cache();
        done.took = clock.elapsed();
        let progress = done.progress;
        if matches!(result, Ok(End::Done)) {
            job.tell(&Event::SeedFinished { name: &backfill.name, took: done.took });
            log::debug!("backfill {}: {progress} in {:?}", backfill.name, done.took);
        }
        if done.skipped > 0 {
            let s = if done.skipped == 1 { "" } else { "s" };
            let (name, skipped, prefix) = (&done.name, done.skipped, job.ledger.prefix());
            let warning = format!("backfill {name} skipped {skipped} row{s}: see {prefix}_skipped");
            self.report.warnings.push(warning);
        }
        if done.batches > 0 {
            self.report.backfills.push(done);
        }
        let end = result?;
        settings.restore()?;
        Ok((end, progress))
    }
}

impl<'a> Runner<'_, 'a> {
    fn all(&mut self, limit: Option<Duration>) -> Result<End> {
        let total = self.count()?;
        // The last sign of life of another process: where none follows until it is out, a start
        // takes over, as one does that comes right after a kill.
        let mut seen = None;
        loop {
            if self.job.stop.is_some_and(Stop::is_stopped) {
                return Ok(End::Stopped);
            }
            let over = limit.is_some_and(|limit| self.clock.elapsed() >= limit);
            if over && self.done.batches > 0 {
                return Ok(End::OverBudget);
            }
            let elsewhere = self.elsewhere()?;
            let outcome = match elsewhere {
                Some(_) => Outcome::Ended(End::Elsewhere),
                None => self.batch(total)?,
            };
            match outcome {
                Outcome::More => {
                    self.tell();
                    self.write_log_back();
                    self.sleep(self.pause);
                }
                Outcome::Ended(End::Elsewhere) => match self.occasion {
                    Occasion::Start if seen.is_some() && elsewhere != seen => {
                        return Ok(End::Elsewhere);
                    }
                    // It pauses for longer than that.
                    Occasion::Start if self.clock.elapsed() > self.backfill.lease + LOOK => {
                        return Ok(End::Elsewhere);
                    }
                    Occasion::Start => {
                        seen = elsewhere;
                        self.sleep(GLANCE);
                    }
                    Occasion::Gate if self.clock.elapsed() >= self.patience(limit) => {
                        return Ok(End::Elsewhere);
                    }
                    _ => self.sleep(LOOK),
                },
                Outcome::Ended(End::Done) => {
                    self.tell();
                    self.write_log_back();
                    return Ok(End::Done);
                }
                Outcome::Ended(end) => return Ok(end),
            }
        }
    }

    /// Until when another process counts as being at it, if one does; looked at without the lock,
    /// which is needed there.
    fn elsewhere(&mut self) -> Result<Option<String>> {
        let (job, name) = (self.job, self.name());
        let known = || job.patience.retry(|| job.ledger.known_sentinel(name));
        if self.done.batches > 0 || known()?.is_none() {
            return Ok(None);
        }
        let Some(place) = job.patience.retry(|| job.ledger.place(name))? else { return Ok(None) };
        self.done.progress = place.progress;
        let is_open = place.revision == self.backfill.revision && !place.is_done;
        let is_others = place.holder.is_some_and(|holder| holder != self.lease.holder);
        Ok(place.until.filter(|_| is_open && is_others))
    }

    /// How long a migration waits for another process that is at it.
    fn patience(&self, limit: Option<Duration>) -> Duration {
        limit.unwrap_or(self.job.patience.limit()).min(self.job.patience.limit())
    }

    fn sleep(&self, d: Duration) {
        match self.job.stop {
            Some(stop) => stop.sleep(d),
            None => std::thread::sleep(d),
        }
    }

    /// How many rows there are to do: asked before the lock is taken, and only at the beginning.
    fn count(&self) -> Result<Option<u64>> {
        let Some(sql) = &self.backfill.total else { return Ok(None) };
        let begun = self.job.patience.retry(|| self.job.ledger.known_sentinel(self.name()))?;
        if begun.is_some_and(|sentinel| sentinel.revision >= self.backfill.revision) {
            return Ok(None);
        }
        let count = || self.job.conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        let counted = self.job.patience.retry(|| {
            count().map_err(|error| self.failed("failed counting its rows", None).because(error))
        })?;
        Ok(u64::try_from(counted).ok())
    }

    fn name(&self) -> &'a str {
        &self.backfill.name
    }

    fn failed(&self, what: &str, row: Option<String>) -> Error {
        let (name, what) = (self.name().to_owned(), what.to_owned());
        let error = Error::from(ErrorKind::Backfill { name, what, row });
        let progress = self.done.progress;
        match progress.done {
            0 => error,
            _ => {
                error.changed(format!("{progress} are done and stay so, nothing else was changed"))
            }
        }
    }

    /// One batch: the lock, the work, the cursor, the commit.
    fn batch(&mut self, total: Option<u64>) -> Result<Outcome> {
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
                let worked = self.work(tx, place.cursor.clone(), size);
                (worked, tx.total_changes().saturating_sub(before))
            })?
        };
        let is_update = matches!(backfill.work, Work::Update(_));
        let worked = match (worked, stands) {
            (Ok(worked), Stands::Yes) => worked,
            // No function: a row's trigger or constraint took everything back.
            (Err(failed), Stands::No) if is_update => {
                drop(tx);
                return self.after_failure(failed, size, &place);
            }
            (_, Stands::No) => return Err(self.ended()),
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
            let stored = job.ledger.place(self.name())?;
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
    fn place(&self, total: Option<u64>) -> Result<std::result::Result<Place, End>> {
        let (ledger, revision) = (self.job.ledger, self.backfill.revision);
        ledger.create()?;
        let place = ledger.place(self.name())?.filter(|place| place.revision >= revision);
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

    /// What belongs to the last batch.
    fn end(&mut self, place: &Place, worked: &Worked) -> Result<()> {
        let progress =
            Progress { done: place.progress.done + worked.rows, total: place.progress.total };
        let skipped = match self.done.skipped {
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
                        WalkFailure::Anyhow(why) => Failed::Anyhow(why.into()),
                        WalkFailure::Cursor(fault) => Failed::Anyhow(fault.into()),
                        WalkFailure::Row(error, row) => failed(error.into(), row, None),
                    })?;
                let Walked { next, rows, row } = walked;
                Ok(Worked { next, rows, exact: true, units: size, row })
            }
        }
    }

    /// A batch that failed was taken back. It is tried again with fewer rows; one row that fails
    /// alone is skipped or named.
    fn after_failure(&mut self, failed: Failed, size: u32, place: &Place) -> Result<Outcome> {
        let (error, row) = match failed {
            Failed::Anyhow(error) => {
                return Err(match error.downcast_ref() {
                    Some(CursorFault::Stays { at }) => self.stays(at),
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
            (Failures::Skip, Some(row)) if !is_call => return self.skip(row, &error.to_string()),
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

    /// Leaves a row as it is, on record, and goes on after it.
    fn skip(&mut self, row: &Value, why: &str) -> Result<Outcome> {
        let (job, backfill) = (self.job, self.backfill);
        let tx = job.patience.begin()?;
        let place = match self.place(None)? {
            Ok(place) => place,
            Err(end) => return Ok(Outcome::Ended(end)),
        };
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
        let stored = || Ok(job.ledger.place(name)?.is_some_and(|p| p.cursor.as_ref() == Some(row)));
        job.patience.commit(&tx, stored)?;
        log::debug!("backfill {name} skipped row {}: {why}", shown_key(row));
        self.trail.pass(Some(row));
        self.lease.is_held = true;
        self.done.skipped += 1;
        self.done.batches += 1;
        self.sizes.passed();
        Ok(Outcome::More)
    }

    /// A cursor has to go somewhere: one that stays, or comes back, would run for ever. So would a
    /// batch that moves its own rows ahead of the cursor, which shows in the count.
    fn refuse_circle(&mut self, place: &Place, worked: &Worked) -> Result<()> {
        let Some(next) = &worked.next else { return Ok(()) };
        if place.cursor.as_ref() == Some(next) {
            return Err(self.stays(next));
        }
        if self.trail.seen.as_ref() == Some(next) {
            let at = shown(next.into());
            let what = format!("goes round in circles: its cursor is at {at} again");
            return Err(self.failed(&what, None).advise(CIRCLES));
        }
        if worked.exact && place.progress.total.is_some() {
            self.refuse_endless(place)
        } else {
            Ok(())
        }
    }

    /// Far more rows were done than were counted: they are counted again, for a table may have
    /// grown. Where as many are left as the last time, there is no end to it.
    fn refuse_endless(&mut self, place: &Place) -> Result<()> {
        let done = place.progress.done;
        let far = |total: u64| total.saturating_mul(2).saturating_add(10_000);
        let (limit, left) = match self.counted {
            Some((limit, left)) => (limit, Some(left)),
            None => (place.progress.total.map_or(u64::MAX, far), None),
        };
        let (true, Some(sql)) = (done > limit, &self.backfill.total) else { return Ok(()) };
        let now: i64 = self
            .job
            .conn
            .query_row(sql, [], |row| row.get(0))
            .map_err(|error| self.failed("failed counting its rows", None).because(error))?;
        let now = u64::try_from(now).unwrap_or_default();
        if left.is_none_or(|left| now < left) {
            self.counted = Some((done.saturating_add(far(now)), now));
            return Ok(());
        }
        let what = "does not end: far more rows are done than were counted";
        Err(self.failed(what, None).advise(
            "its batches must not change the column that its cursor goes by, nor add rows ahead of \
             it",
        ))
    }

    fn stays(&self, at: &Value) -> Error {
        let what = format!("does not advance: its cursor stays at {}", shown(at.into()));
        self.failed(&what, None).advise(CIRCLES)
    }

    fn ended(&self) -> Error {
        self.failed("failed", None)
            .because("the function ended the transaction that it was handed")
            .changed(
                "it ended the transaction itself, and what it had written by then, or has written \
                 since, may be stored; its cursor is where it was",
            )
            .advise("leave BEGIN, COMMIT and ROLLBACK to the migrator")
    }

    fn tell(&self) {
        let progress = self.done.progress;
        let seconds = self.clock.elapsed().as_secs_f64();
        let rate = if seconds > 0.0 { self.done.rows as f64 / seconds } else { 0.0 };
        let rest = progress.total.map(|total| total.saturating_sub(progress.done));
        let left = rest.filter(|_| rate > 0.0).map(|rest| rest as f64 / rate);
        let left = left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let name = self.name();
        self.job.tell(&Event::Backfill { name, progress, rate, left });
    }

    /// Bounds the `-wal` file. SQLite writes it back by itself as a rule, unless the application has
    /// switched that off because something else does it, which is left to that then.
    fn write_log_back(&self) {
        let conn = self.job.conn;
        let Some(path) = conn.path().filter(|path| !path.is_empty()) else { return };
        let log = std::fs::metadata(format!("{path}-wal")).map_or(0, |log| log.len());
        let by_itself =
            || conn.query_row("PRAGMA wal_autocheckpoint", [], |row| row.get::<_, i64>(0));
        if log > LOG && by_itself().is_ok_and(|pages| pages > 0) {
            // Whoever reads an older state stands in its way; then it is for the next time.
            let how = if self.done.is_finished { "TRUNCATE" } else { "PASSIVE" };
            let sql = format!("PRAGMA main.wal_checkpoint({how})");
            let _ = self.job.patience.at_once(|| conn.query_row(&sql, [], |_| Ok(())));
        }
    }
}

const CIRCLES: &str = "its function has to return a cursor that lies further on, or `None` when \
                       everything is done";

/// Sorts a failure: some are no row's.
fn failed(error: BoxError, row: Option<Value>, before: Option<u32>) -> Failed {
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

/// Who is at a backfill: this run of this process. It says so when it no longer is, also after a
/// panic; where it cannot, that shows by the time.
struct Lease<'a> {
    job: &'a Job<'a>,
    name: &'a str,
    holder: String,
    is_held: bool,
}

impl<'a> Lease<'a> {
    fn new(job: &'a Job<'a>, name: &'a str) -> Self {
        let number = RandomState::new().build_hasher().finish();
        let holder = format!("{}-{number:016x}", std::process::id());
        Lease { job, name, holder, is_held: false }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.is_held && self.job.conn.is_autocommit() {
            let release = || self.job.ledger.release(self.name, &self.holder);
            let _ = self.job.patience.at_once(release);
        }
    }
}

/// The application's triggers, silent until dropped.
struct Suppressed<'c> {
    conn: &'c Connection,
    were_on: bool,
}

impl<'c> Suppressed<'c> {
    fn by(conn: &'c Connection, triggers: UserTriggers) -> Result<Option<Self>> {
        if triggers == UserTriggers::Fire {
            return Ok(None);
        }
        let setting = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        let switch = || {
            let were_on = conn.db_config(setting)?;
            let guard = Suppressed { conn, were_on };
            conn.set_db_config(setting, false)?;
            Ok(Some(guard))
        };
        switch().map_err(Error::sqlite("suppressing triggers"))
    }
}

impl Drop for Suppressed<'_> {
    fn drop(&mut self) {
        let setting = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        let _ = self.conn.set_db_config(setting, self.were_on);
    }
}
