//! Runs a seed: its writes and its sentinel in one transaction.

use std::time::{Duration, Instant};

use rusqlite::Transaction;
use rusqlite::types::ValueRef;

use super::lend::{Stands, TAKEN_BACK, is_sqlites, lend};
use super::segment::{commit_failed, data_version};
use super::statements::without_sql;
use super::undo::Recorder;
use super::{Job, Run};
use crate::error::{Error, ErrorKind, Result};
use crate::escape::escaped;
use crate::event::Event;
use crate::held::HeldBack;
use crate::ledger::{Applied, Deed, Recorded, Sentinel};
use crate::migration::BoxError;
use crate::plan::Plan;
use crate::report::SeedDone;
use crate::seed::{Environments, Misstep, Registry, Seed, Seeds};

/// What runs what is registered.
pub(crate) struct Sowing {
    pub(crate) read: fn(&Seeds, &Environments) -> Result<Registry>,
    /// Adds to a plan what of the registry is to run, and what its steps have to wait for.
    pub(super) plan: fn(&Job<'_>, &Applied, &mut Plan) -> Result<()>,
    /// Those of a plan, by name.
    pub(super) all: fn(&mut Run<'_>, &[String]) -> Result<()>,
    /// The backfill of this name, before the file that requires it.
    pub(super) gate: fn(&mut Run<'_>, &str, &str) -> Result<()>,
}

pub(crate) const SOWING: Sowing = Sowing {
    read: Registry::read,
    plan: |job, applied, plan| job.plan_seeds(applied, plan),
    all: |run, names| run.seeds(names),
    gate: |run, name, file| run.gate(name, file),
};

impl Job<'_> {
    fn plan_seeds(&self, applied: &Applied, plan: &mut Plan) -> Result<()> {
        if plan.reaches_end && !self.seeds.is_empty() {
            let sentinels = self.sentinels(applied)?;
            let standing = self.standing(applied, plan, &sentinels);
            if let Some(error) = standing.refused {
                return Err(error);
            }
            (plan.seeds, plan.held) = (standing.run, standing.held);
        }
        if self.set.requires_backfills() {
            let sentinels = self.sentinels(applied)?;
            let is_open = |name: &&str| {
                let item = self.seeds.get(name).filter(|item| self.seeds.is_here(item));
                let sentinel = sentinels.iter().find(|sentinel| sentinel.name == *name);
                item.is_some_and(|item| !sentinel.is_some_and(|s| item.is_done(s, false)))
            };
            plan.put_gates(self.set, |name| {
                let mut open = self.seeds.backfills_up_to(name);
                // What is done needs nothing any more.
                if is_open(&name) {
                    open.retain(is_open)
                } else {
                    open.clear()
                }
                open
            });
        }
        Ok(())
    }
}

impl Run<'_> {
    fn seeds(&mut self, names: &[String]) -> Result<()> {
        let last = names.len();
        self.planned_seeds = None;
        for (at, name) in names.iter().enumerate() {
            let last = at + 1 == last;
            let passed = self.job.passed.borrow().len();
            let done = self.seed(name, last).and_then(|()| self.backfill(name, last));
            done.or_else(|error| self.forgive(name, error))?;
            if self.job.passed.borrow().len() > passed || self.job.seeds.backfill(name).is_some() {
                // Those that come after it may have to wait now.
                self.planned_seeds = None;
            }
        }
        Ok(())
    }

    /// Plans under the lock, unless nobody else has committed anything since that was done for an
    /// earlier seed of this run: then what was to run still is, but for what that seed itself did to
    /// this one's sentinel. Whether the seed is still to run.
    fn is_due(&mut self, tx: &Transaction<'_>, seed: &Seed) -> Result<bool> {
        let job = self.job;
        let version = data_version(tx)?;
        if let Some((_, planned)) = self.planned_seeds.as_ref().filter(|(at, _)| *at == version) {
            if !planned.contains(seed.name.as_ref()) {
                return Ok(false);
            }
            let sentinel = job.ledger.known_sentinel(&seed.name)?;
            let is_done =
                |sentinel: &Sentinel| sentinel.is_done(seed.revision) && !seed.is_edited(sentinel);
            return Ok(!sentinel.as_ref().is_some_and(is_done));
        }
        self.planned_seeds = None;
        let applied = job.applied()?;
        let plan = job.plan_from(&applied, self.goal)?;
        let is_pending = plan.seeds.iter().any(|pending| *pending == *seed.name);
        if plan.takeover.is_some() || !is_pending || !plan.steps.is_empty() {
            return Ok(false);
        }
        if !applied.complete {
            job.ledger.create()?;
        }
        self.planned_seeds = Some((version, plan.seeds.into_iter().collect()));
        Ok(true)
    }

    /// Runs a seed, if it is still to run once the lock is held: another program may have taken the
    /// schema elsewhere since the plan was made.
    pub(super) fn seed(&mut self, name: &str, last: bool) -> Result<()> {
        let job = self.job;
        let Some(seed) = job.seeds.seed(name) else {
            return Ok(());
        };
        job.supervisor.refuse_stopped()?;
        let settings = job.remember_settings(|_| true)?;
        let tx = job.patience.begin()?;
        if !self.is_due(&tx, seed)? {
            return Ok(());
        }
        let sentinel = job.ledger.sentinel(&seed.name)?;
        let revision = seed.next_revision(sentinel.as_ref());
        let is_sown = || {
            let sentinel = job.ledger.known_sentinel(&seed.name)?;
            Ok(sentinel.is_some_and(|sentinel| sentinel.is_done(revision)))
        };
        if sentinel.is_none() && asks_for_nothing(&tx, seed)? {
            return self.take_as_done(&tx, seed, revision);
        }
        let clock = Instant::now();
        job.supervisor.begin(None, name, || format!("seed {name}"));
        job.tell(&Event::SeedStarted { name });
        let recorder = match seed.undoable {
            true => Some(Recorder::of_code(&tx, job.ledger, format!("seed {name}"))?),
            false => None,
        };
        let ((returned, rows_changed), stands) = lend(&tx, job.enforces, |tx| {
            let before = tx.total_changes();
            let returned = job.supervisor.lending(Duration::ZERO, || (seed.deed)(tx));
            (returned, tx.total_changes().saturating_sub(before))
        })?;
        let failed = || Error::from(ErrorKind::Seed { name: name.to_owned() });
        if let (Err(error), Stands::No) = (&returned, &stands)
            && (is_sqlites(error) || error.is::<Misstep>() || job.supervisor.has_interrupted())
        {
            return returned.map_err(|error| with_place(failed(), error).changed(TAKEN_BACK));
        }
        refuse_ended(stands, seed)?;
        returned.map_err(|error| with_place(failed(), error))?;
        let took = clock.elapsed();
        let rows_changed = match recorder {
            Some(recorder) => {
                let kept = recorder.kept()?;
                let before = sentinel.as_ref().map(|sentinel| sentinel.revision);
                let of = Recorded::Seed { revision, before };
                let finish = || recorder.finish(job.ledger, &of, name, &job.undo);
                job.supervisor.during("recording what was changed by", finish)?;
                rows_changed.saturating_sub(kept)
            }
            None => {
                job.ledger.forget_recorded_seed(name)?;
                rows_changed
            }
        };
        job.ledger.sow(name, revision, rows_changed, took)?;
        if let Some(content) = &seed.content {
            job.ledger.note_content(name, content)?;
        }
        let detail = format!("revision {revision}, {rows_changed} rows");
        let (name, detail) = (Some(name), Some(detail.as_str()));
        job.ledger.record([Deed { action: "seed", name, detail, ..Deed::default() }])?;
        // Only the end of the run writes anything else into the report.
        let committed = last.then(|| self.report.clone());
        self.report.seeds.push(SeedDone {
            name: seed.name.to_string(),
            revision,
            rows_changed,
            took,
        });
        job.supervisor.end();
        let end = if last { self.finish_if_done() } else { Ok(()) };
        let end = end.and_then(|()| job.supervisor.refuse_interrupted());
        let done = end.and_then(|()| job.patience.commit(&tx, is_sown));
        if let Err(error) = done {
            match committed {
                Some(committed) => self.report = committed,
                None => drop(self.report.seeds.pop()),
            }
            let error = commit_failed(error, &tx, format!("seed {}", seed.name));
            return Err(match error.kind() {
                ErrorKind::ForeignKeys { .. } => failed().because(error.kind().to_string()),
                _ => error,
            });
        }
        settings.restore()?;
        job.tell(&Event::SeedFinished { name: &seed.name, took });
        log::debug!("seed {} in {took:?}", escaped(&seed.name));
        Ok(())
    }
}

impl Run<'_> {
    /// Records a seed that the application's own sentinel says has run.
    fn take_as_done(&mut self, tx: &Transaction<'_>, seed: &Seed, revision: u32) -> Result<()> {
        let job = self.job;
        job.ledger.create()?;
        job.ledger.sow(&seed.name, revision, 0, Duration::ZERO)?;
        if let Some(content) = &seed.content {
            job.ledger.note_content(&seed.name, content)?;
        }
        let (name, detail) = (Some(seed.name.as_ref()), Some("its own sentinel was there"));
        job.ledger.record([Deed { action: "seed", name, detail, ..Deed::default() }])?;
        job.patience.commit(tx, || Ok(job.ledger.known_sentinel(&seed.name)?.is_some()))?;
        self.pass(&seed.name, HeldBack::OwnSentinel);
        Ok(())
    }
}

/// Whether the application's own sentinel says that the seed has run.
fn asks_for_nothing(tx: &Transaction<'_>, seed: &Seed) -> Result<bool> {
    let Some(sql) = &seed.own_sentinel else { return Ok(false) };
    let ask = || {
        let mut query = tx.prepare(sql)?;
        if !query.readonly() || query.column_count() == 0 {
            let why = "a sentinel is a query, and this is none";
            return Err(rusqlite::Error::ToSqlConversionFailure(why.into()));
        }
        let mut rows = query.raw_query();
        let Some(row) = rows.next()? else { return Ok(false) };
        Ok(!matches!(row.get_ref(0)?, ValueRef::Null | ValueRef::Integer(0)))
    };
    ask().map_err(|error| {
        let (_, error) = without_sql(error, sql);
        let kind = ErrorKind::Seed { name: seed.name.to_string() };
        Error::from(kind).because(error).advise("correct the query given to `sentinel`")
    })
}

/// What SQLite refused in a seed's file, shown at its place.
fn with_place(failed: Error, error: BoxError) -> Error {
    match error.downcast::<Misstep>() {
        Ok(misstep) => {
            let Misstep { file, position, line, .. } = misstep.as_ref();
            failed.in_line(file, *position, line).because(misstep)
        }
        Err(error) => failed.because(error),
    }
}

/// A seed that ends the transaction is told off, whatever it returned.
fn refuse_ended(stands: Stands, seed: &Seed) -> Result<()> {
    if let Stands::Yes = stands {
        return Ok(());
    }
    Err(Error::from(ErrorKind::Seed { name: seed.name.to_string() })
        .because("the function ended the transaction that it was handed")
        .changed(
            "it ended the transaction itself, and what it had written by then, or has written \
             since, may be stored; its sentinel is not",
        )
        .advise("leave BEGIN, COMMIT and ROLLBACK to the migrator"))
}
