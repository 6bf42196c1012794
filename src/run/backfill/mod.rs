//! Runs a backfill: batch after batch, each in a transaction with its cursor and its progress.

mod batch;
mod circle;
mod failure;
mod lease;
mod pace;
mod triggers;
mod walk;

use std::time::{Duration, Instant};

use super::{Job, Run, preflight};
use crate::backup::{beside, file_of};
use crate::error::{Error, ErrorKind, Result};
use crate::escape::escaped;
use crate::event::{Event, Wait};
use crate::held::{HeldBack, Progress};
use crate::report::BackfillDone;
use crate::seed::Backfill;
use crate::stop::Stop;
use crate::supervisor::stopped;
use circle::{Tally, Trail};
use lease::Lease;
use pace::Sizes;

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

/// How much longer than one's own the lease of another process may be, which may be of another
/// version of the program.
const ASTRAY: Duration = Duration::from_secs(60);

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
    tally: Tally,
    /// After so many rows they are counted again, and so many were left the last time.
    counted: Option<(u64, u64)>,
    /// Whether it has been told that it begins.
    begun: bool,
    done: BackfillDone,
    /// Whether its last batch is the run's last transaction.
    last: bool,
}
/// What a batch came to.
enum Outcome {
    More,
    Ended(End),
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
            if plan.adoption.is_some() || (!plan.steps.is_empty() && gate.is_none()) {
                if !self.report.backfills.is_empty() {
                    return Ok(());
                }
                let kind = ErrorKind::NotCurrent { pending: plan.gist() };
                return Err(Error::from(kind).advise("run `apply` first"));
            }
            let (next, held) = job.seeds.without_seeds(&plan.seeds);
            self.report.held.extend(held);
            let Some(backfill) = gate.or(next) else {
                return if plan.is_empty() { self.finish_alone(&plan) } else { Ok(()) };
            };
            if let (Some(_), Some(step)) = (gate, plan.steps.first()) {
                self.refuse_after_seed(backfill, &job.label(step))?;
            }
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
        let requires = |found| requires(file, name, found);
        let Some(backfill) = job.seeds.backfill(name) else {
            return Err(requires("which is not registered".to_owned()));
        };
        self.refuse_after_seed(backfill, file)?;
        let limit = backfill.budget.or(backfill.is_deferred().then_some(GLIMPSE));
        let (end, progress) = self.fill(backfill, Occasion::Gate, limit, false)?;
        let found = match end {
            End::Done | End::Overtaken => return Ok(()),
            End::Elsewhere => format!("which another process is at ({progress})"),
            End::Stopped => {
                let at = format!("at the backfill {name}, which {file} requires ({progress})");
                return Err(stopped(at));
            }
            End::OverBudget => format!("which has not come to its end ({progress})"),
        };
        Err(requires(found).advise(
            "start again to go on with it, or finish it with `run_backfills`, and start again then",
        ))
    }

    /// A migration cannot wait for what waits for a seed, which waits for all migrations.
    fn refuse_after_seed(&self, backfill: &Backfill, file: &str) -> Result<()> {
        let job = self.job;
        for after in &backfill.conditions.after {
            let Some(item) = job.seeds.get(after).filter(|item| job.seeds.is_here(item)) else {
                continue;
            };
            let sentinel = job.patience.retry(|| job.ledger.known_sentinel(after))?;
            if !sentinel.is_some_and(|sentinel| item.is_done(&sentinel, true)) {
                let found = format!("which comes after {after}, and that is not done");
                return Err(requires(file, &backfill.name, found)
                    .advise("seeds run after all migrations: take that condition away"));
            }
        }
        Ok(())
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
        let settings = job.remember_settings(|_| true)?;
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
            tally: Tally::default(),
            counted: None,
            begun: false,
            done: BackfillDone::new(&backfill.name, backfill.revision),
            last,
        };
        job.supervisor.begin(None, &backfill.name, || format!("backfill {}", backfill.name));
        let result = runner.all(limit);
        job.supervisor.end();
        let Runner { mut done, clock, lease, .. } = runner;
        drop(lease);
        job.conn.flush_prepared_statement_cache();
        done.took = clock.elapsed();
        let progress = done.progress;
        if matches!(result, Ok(End::Done)) {
            job.tell(&Event::SeedFinished { name: &backfill.name, took: done.took });
            log::debug!("backfill {}: {progress} in {:?}", escaped(&backfill.name), done.took);
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

fn requires(file: &str, name: &str, found: String) -> Error {
    let (file, what) = (file.to_owned(), format!("the backfill {name}"));
    ErrorKind::Requires { file, what, found }.into()
}

impl<'a> Runner<'_, 'a> {
    fn all(&mut self, limit: Option<Duration>) -> Result<End> {
        if self.job.stop.is_some_and(Stop::is_stopped) {
            return Ok(End::Stopped);
        }
        let total = match self.count() {
            Err(_) if self.job.stop.is_some_and(Stop::is_stopped) => return Ok(End::Stopped),
            total => total?,
        };
        // The last sign of life of another process: where none follows until it is out, a start
        // takes over, as one does that comes right after a kill.
        let mut seen = None;
        let mut wait = Wait::new();
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
                None => match self.batch(total) {
                    // Waiting for the lock: nothing was begun.
                    Err(error) if matches!(error.kind(), ErrorKind::Stopped { .. }) => {
                        return Ok(End::Stopped);
                    }
                    outcome => outcome?,
                },
            };
            match outcome {
                Outcome::More => {
                    self.tell();
                    self.refuse_chase()?;
                    self.write_log_back();
                    self.sleep(self.pause);
                    wait = Wait::new();
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
                        self.wait(&mut wait, GLANCE);
                    }
                    Occasion::Gate if self.clock.elapsed() >= self.patience(limit) => {
                        return Ok(End::Elsewhere);
                    }
                    _ => self.wait(&mut wait, LOOK),
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
        let longest = self.longest();
        let place = job.patience.retry(|| job.ledger.place(name, longest))?;
        let Some(place) = place else { return Ok(None) };
        self.done.progress = place.progress;
        let is_open = place.revision == self.backfill.revision && !place.is_done;
        let is_others = place.holder.is_some_and(|holder| holder != self.lease.holder);
        Ok(place.until.filter(|_| is_open && is_others))
    }

    /// How long a migration waits for another process that is at it.
    fn patience(&self, limit: Option<Duration>) -> Duration {
        limit.unwrap_or(self.job.patience.limit()).min(self.job.patience.limit())
    }

    /// How far ahead a sign of life can lie. One beyond that is from a clock that has been put back
    /// since, and would keep everybody waiting until then.
    fn longest(&self) -> Duration {
        self.backfill.lease + self.pause + ASTRAY
    }

    fn sleep(&self, d: Duration) {
        match self.job.stop {
            Some(stop) => stop.sleep(d),
            None => std::thread::sleep(d),
        }
    }

    /// Sleeps while another process is at it. The loop looks by itself whether it is to stop.
    fn wait(&self, wait: &mut Wait, d: Duration) {
        let _ = self.job.patience.pause(wait, d);
    }

    /// How many rows there are to do: asked before the lock is taken, and only at the beginning.
    fn count(&self) -> Result<Option<u64>> {
        let Some(sql) = &self.backfill.total else { return Ok(None) };
        let begun = self.job.patience.retry(|| self.job.ledger.known_sentinel(self.name()))?;
        if begun.is_some_and(|sentinel| sentinel.revision >= self.backfill.revision) {
            return Ok(None);
        }
        let count = || self.job.patience.retry(|| self.counted_by(sql));
        self.job.supervisor.during("counting the rows of", count).map(Some)
    }

    fn counted_by(&self, sql: &str) -> Result<u64> {
        let count = || {
            let mut query = self.job.conn.prepare(sql)?;
            if !query.readonly() {
                let why = "a total is a query, and this is none";
                return Err(rusqlite::Error::ToSqlConversionFailure(why.into()));
            }
            query.query_row([], |row| row.get::<_, i64>(0))
        };
        let counted = count()
            .map_err(|error| self.failed("failed counting its rows", None).because(error))?;
        Ok(u64::try_from(counted).unwrap_or_default())
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

    fn tell(&self) {
        let progress = self.done.progress;
        self.job.supervisor.is_at(progress);
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
        let Ok(Some(path)) = file_of(conn) else { return };
        let log = std::fs::metadata(beside(&path, "-wal")).map_or(0, |log| log.len());
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
