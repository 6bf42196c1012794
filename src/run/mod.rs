//! Carries out what is planned: a plan and a connection become a report.

pub(crate) mod adopt;
mod aside;
mod backfill;
pub(crate) mod backup;
mod book;
mod code_guard;
mod deletes;
pub(crate) mod empty_downs;
pub(crate) mod foreign_keys;
mod guard;
mod lend;
pub(crate) mod lock;
pub(crate) mod objects;
mod outside;
pub(crate) mod preflight;
mod rebuilt;
pub(crate) mod repair;
pub(crate) mod seeds;
pub(crate) mod segment;
pub(crate) mod session;
pub(crate) mod statements;
pub(crate) mod table;
pub(crate) mod undo;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::backup::{Backup, Lock};
use crate::error::{Error, ErrorKind, Result};
use crate::escape::escaped;
use crate::event::{Event, Wait};
use crate::held::{Held, HeldBack};
use crate::ledger::{Applied, Deed, Holder, Ledger, Life, Mark, Program, Sentinel};
use crate::migration::Target;
use crate::plan::{self, Amendment, Direction, Facts, Goal, Plan, Policies, Step, Work};
use crate::report::{Done, Report};
use crate::seed::{Deferred, Need, Now, Registry, Standing};
use crate::source::{Entry, Set, Task};
use crate::sql::Script;
use crate::stop::Stop;
use crate::supervisor::Supervisor;
use adopt::Adopting;
use backup::BackUp;
use guard::Terms;
use lock::{Ear, Patience};
use seeds::Sowing;
use segment::Call;
use session::Settings;
use undo::PutBack;

/// Everything a run has to know and does not change.
pub(crate) struct Job<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) ledger: &'a Ledger<'a>,
    pub(crate) set: &'a Set,
    pub(crate) seeds: Registry,
    /// What this run has tried of the registry and left.
    pub(crate) passed: RefCell<Vec<Held>>,
    pub(crate) deferred: Deferred,
    /// What runs the registry, where there is one.
    pub(crate) sow: Option<&'static Sowing>,
    /// What calls the functions of migrations in code, where there can be any.
    pub(crate) call: Option<Call>,
    /// What puts back what is on record, where anything is to go back.
    pub(crate) put_back: Option<PutBack>,
    /// The ledger that is taken over where ours is not there yet.
    pub(crate) adopt: Option<Adopting<'a>>,
    pub(crate) stop: Option<&'a Stop>,
    pub(crate) supervisor: Supervisor,
    pub(crate) policies: Policies,
    pub(crate) backup: Option<(&'a Backup, BackUp)>,
    pub(crate) undo: undo::Terms,
    pub(crate) listener: Option<&'a Ear<'a>>,
    pub(crate) patience: Patience<'a>,
    /// What to seal the ledger with, where the goal is everything that the program knows.
    pub(crate) program: Option<Program>,
    /// Whether the connection enforces foreign keys when nobody switches them off.
    pub(crate) enforces: bool,
    /// Whether settings of the connection could not be put back as they were.
    pub(crate) lost_settings: Cell<bool>,
}

/// A run: the job, and what has been done and committed of it.
pub(crate) struct Run<'a> {
    job: &'a Job<'a>,
    goal: Goal,
    report: Report,
    /// Whether the last transaction did what belongs to the end of a run.
    finished: bool,
    /// The seeds that were found to be what is to run, under the lock, and the data version then.
    planned_seeds: Option<(i64, BTreeSet<String>)>,
    /// The lock on backups, held until others may start beside this run.
    alone: Option<Lock>,
}

/// What a plan was made from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// A ledger that others may have written to since: a preview.
    WithoutLock,
    /// The ledger as it was when the connection's data version was this. Until that changes nobody
    /// else has committed anything, and what is left of the plan is still what is to be done:
    /// <https://sqlite.org/pragma.html#pragma_data_version>.
    UnderLock { at: i64 },
}

/// Works towards the goal. What was committed before a failure is in the error's report.
pub(crate) fn run(job: &Job<'_>, goal: Goal) -> Result<Report> {
    carry_out(job, goal, Run::all)
}

/// Runs the backfills alone.
pub(crate) fn run_backfills(job: &Job<'_>) -> Result<Report> {
    carry_out(job, Goal::Up(Target::Latest), Run::backfills)
}

fn carry_out<'a>(
    job: &'a Job<'a>,
    goal: Goal,
    work: impl FnOnce(&mut Run<'a>) -> Result<()>,
) -> Result<Report> {
    let clock = Instant::now();
    let mut run = Run {
        job,
        goal,
        report: Report::default(),
        finished: false,
        planned_seeds: None,
        alone: None,
    };
    let result = work(&mut run);
    job.supervisor.close();
    // Cached statements would remember columns as they were.
    job.conn.flush_prepared_statement_cache();
    let mut report = run.report;
    report.took = clock.elapsed();
    match result {
        Ok(()) => Ok(report),
        Err(error) => {
            let error = job.supervisor.explain(error);
            let error = match job.lost_settings.get() {
                true => error.advise(
                    "close this connection, some of whose settings could not be put back, and start again \
                     on another",
                ),
                false => error,
            };
            Err(still_open(job.conn, error).after(report))
        }
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
        .also("its transaction could not be rolled back and is still open")
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
            self.job.refuse_to_begin(&first)?;
        }
        let proved = self.job.prove(&first)?;
        self.alone = match self.job.backup {
            Some((backup, back_up)) => back_up(self, backup, &first)?,
            None => None,
        };
        let mut plan = self.take_over(first, proved)?;
        let mut made = Made::WithoutLock;
        while !plan.is_empty() {
            if plan.takeover.is_some() {
                // The other tool has been here since the first look.
                let proved = self.job.prove(&plan)?;
                (plan, made) = (self.take_over(plan, proved)?, Made::WithoutLock);
                continue;
            }
            if let (Some(name), Some(step), Some(sow)) =
                (plan.gate(), plan.steps.first(), self.job.sow)
            {
                (sow.gate)(self, name, &self.job.label(step))?;
                (plan, made) = (self.plan_patiently()?, Made::WithoutLock);
                continue;
            }
            match plan.first_segment() {
                [] => self.sow(&plan.seeds)?,
                [step] if step.transaction.is_none() => self.outside(step)?,
                _ => {
                    if let Some(at) = self.segment(&plan, made)? {
                        plan.drop_first_segment();
                        made = Made::UnderLock { at };
                        continue;
                    }
                }
            }
            if self.finished {
                return Ok(());
            }
            (plan, made) = (self.plan_patiently()?, Made::WithoutLock);
        }
        self.report_held(&plan);
        self.finish_alone(&plan)
    }

    fn sow(&mut self, names: &[String]) -> Result<()> {
        self.job.sow.map_or(Ok(()), |sow| (sow.all)(self, names))
    }

    /// An optional seed's own failure is a warning.
    fn forgive(&mut self, name: &str, error: Error) -> Result<()> {
        let is_its_own =
            matches!(error.kind(), ErrorKind::Seed { .. } | ErrorKind::Backfill { .. });
        let item = self.job.seeds.get(name);
        let is_optional = item.is_some_and(|item| item.conditions().need == Need::Optional);
        let was_stopped = self.job.supervisor.has_interrupted();
        let is_damage = error.damage().is_some();
        if !is_its_own || !is_optional || was_stopped || is_damage || !self.job.conn.is_autocommit()
        {
            return Err(error);
        }
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let why = format!("{error}{}", cause.unwrap_or_default());
        // What it had done of the end of the run was taken back with it.
        self.finished = false;
        log::warn!("{}", escaped(&why));
        self.report.warnings.push(why.clone());
        self.pass(name, HeldBack::Failed { why });
        Ok(())
    }

    /// Those that are done by a sentinel of their own are in no plan any more.
    fn report_held(&mut self, plan: &Plan) {
        let passed = self.job.passed.borrow();
        let own = passed.iter().filter(|held| held.why == HeldBack::OwnSentinel);
        self.report.held = own.chain(&plan.held).cloned().collect();
    }

    /// Leaves one of the registry for this run.
    fn pass(&self, name: &str, why: HeldBack) {
        self.job.passed.borrow_mut().push(Held::new(name, why));
    }

    /// Plans; where a migration outside any transaction seems interrupted, waits to see whether
    /// another process is still at it.
    fn plan_patiently(&self) -> Result<Plan> {
        let mut wait = Wait::new();
        let mut last: Option<Mark> = None;
        let mut moves = false;
        loop {
            let planned = self.job.patience.retry(|| self.job.plan(self.goal));
            let Err(error) = planned else { return planned };
            let ErrorKind::Interrupted { .. } = error.kind() else {
                return Err(error);
            };
            let Some(mark) = self.job.patience.retry(|| self.job.ledger.read())?.mark else {
                continue;
            };
            let locked = self.job.patience.begin_once().is_err_and(|error| error.is_busy());
            let seen = last.replace(mark.clone());
            moves |= locked || seen.as_ref().is_some_and(|seen| *seen != mark);
            let waited = wait.waited();
            let is_over = waited >= self.job.patience.limit();
            let holder = mark.holder.as_ref();
            match holder.map_or(Life::Unknown, Holder::life) {
                // The mark may have gone with its holder: it has to be there at a second look.
                Life::Gone if !locked && seen.is_some_and(|seen| seen == mark) => {
                    return Err(self.naming_backup(error));
                }
                Life::Gone if !is_over => {}
                Life::Gone if !moves => return Err(self.naming_backup(error)),
                Life::Alive if is_over => return Err(still_running(&mark, waited)),
                _ if is_over && moves => return Err(still_running(&mark, waited)),
                _ if is_over => return Err(self.naming_backup(silent(error, &mark))),
                _ => {}
            }
            self.job.patience.pause(&mut wait, Duration::from_millis(20))?;
        }
    }

    /// Plans again, and finishes if nothing is left to do.
    fn finish_if_done(&mut self) -> Result<()> {
        let plan = self.job.plan(self.goal)?;
        if plan.is_empty() { self.finish(&plan) } else { Ok(()) }
    }

    /// What belongs to the end of the last transaction: the ledger brought in line with the set, why
    /// seeds have not run, and the seal. The plan has to be made under the lock that is held: the seal says that
    /// nothing is left to do.
    fn finish(&mut self, plan: &Plan) -> Result<()> {
        for amendment in &plan.amendments {
            self.amend(amendment)?;
        }
        self.report_held(plan);
        self.job.ledger.record_held(&self.report.held)?;
        if let (Some(program), true) = (self.job.program, plan.settles()) {
            self.job.ledger.seal(program)?;
        }
        self.finished = true;
        Ok(())
    }

    /// The same in a transaction of its own, where there was no last one. Nothing depends on it:
    /// a database that cannot be written right now stays unsealed, which only costs time.
    fn finish_alone(&mut self, plan: &Plan) -> Result<()> {
        let job = self.job;
        let is_due = || {
            let news = || job.ledger.news_of(&self.report.held).is_ok_and(|news| !news.is_empty());
            plan.settles() || !plan.amendments.is_empty() || job.patience.at_once(news)
        };
        let wanted = !self.finished && job.program.is_some() && is_due();
        if !wanted || preflight::read_only(job.conn)?.is_some() {
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
        job.patience.commit_once(&tx, || Ok(job.plan(self.goal)?.amendments.is_empty()))
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
            detail: Some(entry.checksum()),
        }])?;
        self.report.amended.push(Done::in_ledger(Some(entry.version), entry.name.clone()));
        Ok(())
    }
}

/// Another process is at a migration outside any transaction.
fn still_running(mark: &Mark, waited: Duration) -> Error {
    let who = mark.holder.as_ref().map_or("another process".to_owned(), ToString::to_string);
    let Mark { version, name, .. } = mark;
    Error::from(ErrorKind::Busy { waited }).advise(format!(
        "{who} runs migration {version} ({name}) outside a transaction: wait for it and start again; \
         if it hangs, end it first"
    ))
}

/// Says of a migration that seems interrupted to one who does not wait that its process is alive.
pub(crate) fn judge_interrupted(job: &Job<'_>, error: Error) -> Error {
    let ErrorKind::Interrupted { .. } = error.kind() else { return error };
    match job.ledger.read().map(|applied| applied.mark) {
        Ok(Some(mark)) if mark.holder.as_ref().map(Holder::life) == Some(Life::Alive) => {
            still_running(&mark, Duration::ZERO)
        }
        _ => error,
    }
}

/// Nothing was heard of the process that began it, and whether that is alive cannot be told from here.
fn silent(error: Error, mark: &Mark) -> Error {
    let who = match (&mark.holder, &mark.at) {
        (Some(holder), Some(at)) => format!("{holder}, last heard of at {at}"),
        _ => "the process that began it".to_owned(),
    };
    let advice = error.advice().unwrap_or_default().to_owned();
    error.advise(format!("make sure that {who}, is not at it any more; {advice}"))
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
    /// Remembers settings, and that they could not be put back where that fails.
    fn remember_settings(&self, may_change: impl Fn(&str) -> bool) -> Result<Settings<'_>> {
        Ok(Settings::remember(self.conn, may_change)?.telling(&self.lost_settings))
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Some(listener) = self.listener {
            listener(event);
        }
    }

    /// Refuses to begin anything where the run is to stop. Backfills are left where they are.
    fn refuse_to_begin(&self, plan: &Plan) -> Result<()> {
        let is_backfill = |name: &String| self.seeds.backfill(name).is_some();
        let only_backfills = plan.steps.is_empty() && plan.adoption.is_none();
        match only_backfills && plan.seeds.iter().all(is_backfill) {
            true => Ok(()),
            false => self.supervisor.refuse_stopped(),
        }
    }

    /// Reads the ledger and plans. Outside the write transaction this is a preview.
    pub(crate) fn plan(&self, goal: Goal) -> Result<Plan> {
        let applied = self.applied()?;
        self.plan_from(&applied, goal)
    }

    /// What is applied, by our ledger or, where that is not there yet, by the one to be taken over.
    pub(crate) fn applied(&self) -> Result<Applied> {
        let Some(adopting) = &self.adopt else {
            return self.ledger.read();
        };
        let _at_one_moment =
            self.conn.is_autocommit().then(|| lock::read(self.conn)).transpose()?;
        match adopting.find(self.ledger, self.set)? {
            Some(takeover) => Ok(takeover.applied()),
            None => self.ledger.read(),
        }
    }

    /// The sentinels of a ledger that was read: one that is to be taken over has none.
    pub(crate) fn sentinels(&self, applied: &Applied) -> Result<Vec<Sentinel>> {
        if applied.takeover.is_some() { Ok(Vec::new()) } else { self.ledger.sentinels() }
    }

    fn plan_from(&self, applied: &Applied, goal: Goal) -> Result<Plan> {
        let asks = applied.migrations.is_empty() && !self.set.baselines.is_empty();
        let empty = asks && preflight::is_empty(self.conn, self.set)?;
        let facts = Facts { empty, enforces: self.enforces };
        let mut plan = plan::plan(self.set, applied, goal, &self.policies, facts)?;
        plan.adoption = applied.takeover.as_ref().map(|takeover| takeover.told.clone());
        plan.takeover.clone_from(&applied.takeover);
        plan.of_nothing = !applied.begun && applied.takeover.is_none() && !asks;
        if let (Goal::Up(_), Some(sow)) = (goal, self.sow) {
            (sow.plan)(self, applied, &mut plan)?;
        }
        Ok(plan)
    }

    /// How the registry stands once the plan's steps are done.
    pub(crate) fn standing(
        &self,
        applied: &Applied,
        plan: &Plan,
        sentinels: &[Sentinel],
    ) -> Standing {
        let is = |direction| move |step: &&Step| step.direction == direction;
        let versions = |direction| plan.steps.iter().filter(is(direction)).map(|s| s.version);
        let reverted: Vec<_> = versions(Direction::Revert).collect();
        let applied = applied.migrations.iter().map(|row| Some(row.version));
        let stays = applied.filter(|version| !reverted.contains(version));
        let comes = versions(Direction::Apply).chain(versions(Direction::Mark));
        self.seeds.standing(&Now {
            sentinels,
            version: stays.chain(comes).max().flatten(),
            newer: !plan.newer.is_empty(),
            passed: &self.passed.borrow(),
            deferred: self.deferred,
        })
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
            signed_off: script.directives().allow_data_loss.is_some(),
            outside,
        }
    }

    pub(crate) fn verify_script(&self, work: &Work) -> Option<&Script> {
        match work {
            Work::Migration(version) => self.set.get(*version)?.verify.as_deref(),
            _ => None,
        }
    }

    fn code(&self, work: &Work) -> Option<(&Entry, &crate::migration::Deed)> {
        let Work::Migration(version) = work else {
            return None;
        };
        let entry = self.set.get(*version)?;
        match &entry.task {
            Task::Code(code) => Some((entry, &code.deed)),
            Task::Sql(_) => None,
        }
    }

    /// The step as errors call it: its file, or its name.
    fn label(&self, step: &Step) -> String {
        match (self.script(&step.work), &step.work) {
            (Some(script), _) => script.file.to_string(),
            (None, Work::Migration(version)) => {
                self.set.get(*version).map_or(step.name.clone(), |entry| entry.label().to_owned())
            }
            _ => step.label(),
        }
    }
}

impl Report {
    fn add(&mut self, step: &Step, rows_changed: u64, took: Duration) {
        let Step { version, name, direction, .. } = step;
        let done = Done { version: *version, name: name.clone(), rows_changed, took };
        match direction {
            Direction::Apply => self.applied.push(done),
            Direction::Revert => self.reverted.push(done),
            Direction::Repeat => self.repeated.push(done),
            Direction::Mark => self.marked.push(done),
            Direction::SetAside => {}
        }
    }
}
