//! Carries out what is planned: a plan and a connection become a report.

mod aside;
mod backup;
mod book;
mod code_guard;
mod deletes;
pub(crate) mod foreign_keys;
mod guard;
mod lend;
pub(crate) mod lock;
pub(crate) mod objects;
mod outside;
pub(crate) mod preflight;
mod rebuilt;
pub(crate) mod repair;
mod seeds;
mod segment;
pub(crate) mod session;
pub(crate) mod statements;
mod table;
pub(crate) mod undo;

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::backup::Backup;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ledger::{Applied, Deed, Ledger};
use crate::migration::{Target, Version};
use crate::plan::{self, Amendment, Direction, Facts, Goal, Plan, Policies, Step, Work};
use crate::report::{Done, Report};
use crate::seed::Seeds;
use crate::source::{Entry, Set, Task};
use crate::sql::Script;
use guard::Terms;
use lock::{Listener, Patience};

/// Everything a run has to know and does not change.
pub(crate) struct Job<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) ledger: &'a Ledger<'a>,
    pub(crate) set: &'a Set,
    pub(crate) seeds: &'a Seeds,
    pub(crate) policies: Policies,
    pub(crate) backup: Option<&'a Backup>,
    pub(crate) undo: undo::Terms,
    pub(crate) listener: Option<&'a Listener>,
    pub(crate) patience: Patience<'a>,
    /// What to seal the ledger with, where the goal is everything that the program knows.
    pub(crate) fingerprint: Option<u64>,
    /// Whether the connection enforces foreign keys when nobody switches them off.
    pub(crate) enforces: bool,
}

/// A run: the job, and what has been done and committed of it.
struct Run<'a> {
    job: &'a Job<'a>,
    goal: Goal,
    report: Report,
    /// Whether the last transaction did what belongs to the end of a run.
    finished: bool,
}

/// How long the lock has to be free and nothing to happen before a migration that was begun
/// outside a transaction counts as interrupted and not as running in another process.
const GRACE: Duration = Duration::from_millis(1000);

/// Works towards the goal. What was committed before a failure is in the error's report.
pub(crate) fn run(job: &Job<'_>, goal: Goal) -> Result<Report> {
    let clock = Instant::now();
    let mut run = Run { job, goal, report: Report::default(), finished: false };
    let result = run.all();
    // Cached statements would remember columns as they were.
    job.conn.flush_prepared_statement_cache();
    let mut report = run.report;
    report.took = clock.elapsed();
    match result {
        Ok(()) => Ok(report),
        Err(error) => Err(still_open(job.conn, error).after(report)),
    }
}

/// An interrupt that goes on interrupts the ROLLBACK as well. It is tried once more, and told
/// where that does not help: the caller's next writes would be part of what failed.
fn still_open(conn: &Connection, error: Error) -> Error {
    lock::roll_back(conn);
    if conn.is_autocommit() {
        return error;
    }
    error
        .changed("its transaction could not be rolled back and is still open")
        .advise("execute ROLLBACK on this connection, or close it, and start again")
}

impl<'a> Run<'a> {
    fn all(&mut self) -> Result<()> {
        let first = self.plan_patiently()?;
        self.goal = fixed(self.goal, &first);
        self.report.newer = first.newer.clone();
        if !first.is_empty() {
            preflight::refuse_read_only(self.job.conn, &first)?;
            self.job.patience.retry(|| preflight::refuse_texts(self.job, &first))?;
            self.job.tell(&Event::Planned { plan: &first });
        }
        let _alone = self.back_up(&first)?;
        let mut plan = first;
        while !plan.is_empty() {
            match plan.first_segment() {
                [] => self.seeds(&plan.seeds)?,
                [step] if step.transaction.is_none() => self.outside(step)?,
                segment => self.segment(segment)?,
            }
            if self.finished {
                return Ok(());
            }
            plan = self.plan_patiently()?;
        }
        self.finish_alone(&plan)
    }

    fn seeds(&mut self, names: &[String]) -> Result<()> {
        let last = names.len();
        names.iter().enumerate().try_for_each(|(at, name)| self.seed(name, at + 1 == last))
    }

    /// Plans; where a migration outside any transaction seems interrupted, waits to see whether
    /// another process is still at it.
    fn plan_patiently(&self) -> Result<Plan> {
        let start = Instant::now();
        let mut quiet = Instant::now();
        let mut last = None;
        loop {
            let planned = self.job.patience.retry(|| self.job.plan(self.goal));
            let Err(error) = planned else { return planned };
            let ErrorKind::Interrupted { .. } = error.kind() else {
                return Err(error);
            };
            let mark = self.job.patience.retry(|| self.job.ledger.read())?.mark;
            let locked = self.job.patience.begin_once().is_err_and(|error| error.is_busy());
            let goes_on = locked || mark != last;
            if goes_on {
                quiet = Instant::now();
                last = mark;
            }
            let waited = start.elapsed();
            if quiet.elapsed() >= GRACE.min(self.job.patience.limit()) {
                return Err(self.naming_backup(error));
            }
            if waited >= self.job.patience.limit() {
                return Err(if goes_on { ErrorKind::Busy { waited }.into() } else { error });
            }
            self.job.tell(&Event::Waiting { waited });
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Plans again, and finishes if nothing is left to do.
    fn finish_if_done(&mut self) -> Result<()> {
        let plan = self.job.plan(self.goal)?;
        if plan.is_empty() { self.finish(&plan) } else { Ok(()) }
    }

    /// What belongs to the end of the last transaction: the ledger brought in line with the set,
    /// and the seal. The plan has to be made under the lock that is held: the seal says that
    /// nothing is left to do.
    fn finish(&mut self, plan: &Plan) -> Result<()> {
        for amendment in &plan.amendments {
            self.amend(amendment)?;
        }
        let whole = plan.reaches_end && plan.newer.is_empty();
        if let (Some(fingerprint), true) = (self.job.fingerprint, whole) {
            self.job.ledger.seal(fingerprint)?;
        }
        self.finished = true;
        Ok(())
    }

    /// The same in a transaction of its own, where there was no last one. Nothing depends on it:
    /// a database that cannot be written right now stays unsealed, which only costs time.
    fn finish_alone(&mut self, plan: &Plan) -> Result<()> {
        let job = self.job;
        let seals = plan.reaches_end && plan.newer.is_empty();
        let wanted = job.fingerprint.is_some() && (seals || !plan.amendments.is_empty());
        if self.finished || !wanted || preflight::read_only(job.conn)?.is_some() {
            return Ok(());
        }
        let before = self.report.clone();
        if self.try_to_finish().is_err() {
            self.report = before;
        }
        Ok(())
    }

    fn try_to_finish(&mut self) -> Result<()> {
        let job = self.job;
        let tx = job.patience.begin_once()?;
        if !job.ledger.read()?.begun {
            // An empty set leaves an empty database as it is.
            return Ok(());
        }
        job.ledger.create()?;
        self.finish_if_done()?;
        tx.execute_batch("COMMIT").map_err(Error::sqlite("committing the seal"))
    }

    fn amend(&mut self, amendment: &Amendment) -> Result<()> {
        let Some(entry) = self.job.set.get(amendment.version) else {
            return Ok(());
        };
        self.job.ledger.amend(entry)?;
        let action = if amendment.reason.is_some() { "replace" } else { "amend" };
        self.job.ledger.record([Deed {
            action,
            version: Some(entry.version),
            name: Some(&entry.name),
            reason: amendment.reason.as_deref(),
            detail: Some(&entry.checksum),
        }])?;
        self.report.amended.push(Done {
            version: Some(entry.version),
            name: entry.name.clone(),
            took: Duration::ZERO,
        });
        Ok(())
    }
}

/// A goal counted in steps becomes a version, so that planning again under the lock, perhaps
/// after another process did the same, goes no further.
fn fixed(goal: Goal, plan: &Plan) -> Goal {
    let last = |direction| {
        let versions = plan.steps.iter().filter(|step| step.direction == direction);
        versions.filter_map(|step| step.version).next_back()
    };
    match goal {
        Goal::Up(Target::Steps(_)) => {
            Goal::Up(last(Direction::Apply).map_or(Target::Empty, Target::Version))
        }
        goal => goal,
    }
}

impl<'a> Job<'a> {
    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Some(listener) = self.listener {
            listener(event);
        }
    }

    /// Reads the ledger and plans. Outside the write transaction this is a preview.
    pub(crate) fn plan(&self, goal: Goal) -> Result<Plan> {
        let applied = self.ledger.read()?;
        self.plan_from(&applied, goal)
    }

    fn plan_from(&self, applied: &Applied, goal: Goal) -> Result<Plan> {
        let asks = applied.migrations.is_empty() && !self.set.baselines.is_empty();
        let empty = asks && preflight::is_empty(self.conn, self.set)?;
        let facts = Facts { empty, enforces: self.enforces };
        let mut plan = plan::plan(self.set, applied, goal, &self.policies, facts)?;
        if matches!(goal, Goal::Up(_)) && plan.reaches_end && !self.seeds.is_empty() {
            let sentinels = self.ledger.sentinels()?;
            let pending = self.seeds.pending(&sentinels);
            plan.seeds = pending.into_iter().map(|seed| seed.name.to_string()).collect();
        }
        Ok(plan)
    }

    /// Whether another process has begun a migration outside any transaction since the preview.
    /// It may be at it still: that is for a plan made without the lock to wait for.
    fn is_overtaken(&self, applied: &Applied, goal: Goal) -> bool {
        applied.mark.is_some() && !matches!(goal, Goal::Mark(_))
    }

    /// The script that a step runs, if it runs one.
    pub(crate) fn script<'s>(&'s self, work: &'s Work) -> Option<&'s Script> {
        match work {
            Work::Migration(version) => self.set.get(*version)?.task.script(),
            Work::Baseline(version) => {
                let mut baselines = self.set.baselines.iter();
                Some(&baselines.find(|baseline| baseline.version == *version)?.script)
            }
            Work::Repeatable(name) => {
                let mut repeatables = self.set.repeatables.iter();
                Some(&repeatables.find(|repeatable| repeatable.name == *name)?.script)
            }
            Work::Script(script) => Some(script),
            Work::Undo(_) | Work::Nowhere => None,
        }
    }

    /// The migration that a step runs, if what it changes is to be recorded.
    fn recorded(&self, step: &Step) -> Option<&'a Entry> {
        let Work::Migration(version) = step.work else {
            return None;
        };
        self.set.get(version).filter(|entry| entry.undo)
    }

    /// What the guard of a script goes by.
    fn terms(&self, script: &Script, outside: bool) -> Terms {
        Terms {
            data_loss: self.policies.data_loss,
            strictness: self.policies.strictness,
            signed_off: script.directives.allow_data_loss.is_some(),
            outside,
        }
    }

    pub(crate) fn verify_script(&self, work: &Work) -> Option<&Script> {
        match work {
            Work::Migration(version) => self.set.get(*version)?.verify.as_ref(),
            _ => None,
        }
    }

    fn code(&self, work: &Work) -> Option<(&Entry, &crate::migration::Deed)> {
        let Work::Migration(version) = work else {
            return None;
        };
        let entry = self.set.get(*version)?;
        match &entry.task {
            Task::Code(deed) => Some((entry, deed)),
            Task::Sql(_) => None,
        }
    }

    /// The step as errors call it: its file, or its name.
    fn label(&self, step: &Step) -> String {
        match (self.script(&step.work), &step.work) {
            (Some(script), _) => script.file.clone(),
            (None, Work::Migration(version)) => {
                self.set.get(*version).map_or(step.name.clone(), |entry| entry.label.clone())
            }
            _ => step.label(),
        }
    }
}

impl Report {
    fn add(&mut self, direction: Direction, version: Option<Version>, name: &str, took: Duration) {
        let done = Done { version, name: name.to_owned(), took };
        match direction {
            Direction::Apply => self.applied.push(done),
            Direction::Revert => self.reverted.push(done),
            Direction::Repeat => self.repeated.push(done),
            Direction::Mark => self.marked.push(done),
            Direction::SetAside => {}
        }
    }
}
