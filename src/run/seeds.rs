//! Runs a seed: its writes and its sentinel in one transaction.

use std::time::{Duration, Instant};

use rusqlite::Transaction;
use rusqlite::types::ValueRef;

use super::Run;
use super::lend::{Stands, TAKEN_BACK, is_sqlites, lend};
use super::segment::commit_failed;
use super::session::Settings;
use super::statements::without_sql;
use super::undo::Recorder;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::held::HeldBack;
use crate::ledger::{Deed, Recorded};
use crate::migration::BoxError;
use crate::report::SeedDone;
use crate::seed::{Misstep, Seed};

impl Run<'_> {
    /// Runs a seed, if it is still to run once the lock is held: another program may have taken the
    /// schema elsewhere since the plan was made.
    pub(super) fn seed(&mut self, name: &str, last: bool) -> Result<()> {
        let job = self.job;
        let Some(seed) = job.seeds.seed(name) else {
            return Ok(());
        };
        let settings = Settings::remember(job.conn, |_| true)?;
        let tx = job.patience.begin()?;
        let applied = job.applied()?;
        let plan = job.plan_from(&applied, self.goal)?;
        if plan.takeover.is_some() {
            return Ok(());
        }
        if !plan.seeds.iter().any(|pending| pending == name) || !plan.steps.is_empty() {
            return Ok(());
        }
        if !applied.complete {
            job.ledger.create()?;
        }
        let sentinel = job.ledger.sentinel(&seed.name)?;
        let revision = seed.next_revision(sentinel.as_ref());
        let is_sown = || {
            let sentinel = job.ledger.sentinel(&seed.name)?;
            Ok(sentinel.is_some_and(|sentinel| sentinel.is_done(revision)))
        };
        if sentinel.is_none() && asks_for_nothing(&tx, seed)? {
            return self.take_as_done(&tx, seed, revision);
        }
        let clock = Instant::now();
        job.tell(&Event::SeedStarted { name });
        let recorder = match seed.undoable {
            true => Some(Recorder::of_code(&tx, job.ledger, format!("seed {name}"))?),
            false => None,
        };
        let ((returned, rows_changed), stands) = lend(&tx, job.enforces, |tx| {
            let before = tx.total_changes();
            let returned = (seed.deed)(tx);
            (returned, tx.total_changes().saturating_sub(before))
        })?;
        let failed = || Error::from(ErrorKind::Seed { name: name.to_owned() });
        if let (Err(error), Stands::No) = (&returned, &stands)
            && (is_sqlites(error) || error.is::<Misstep>())
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
                recorder.finish(job.ledger, &of, name, &job.undo)?;
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
        let committed = self.report.clone();
        self.report.seeds.push(SeedDone {
            name: seed.name.to_string(),
            revision,
            rows_changed,
            took,
        });
        let end = if last { self.finish_if_done() } else { Ok(()) };
        let done = end.and_then(|()| job.patience.commit(&tx, is_sown));
        if let Err(error) = done {
            self.report = committed;
            let error = commit_failed(error, &tx, format!("seed {}", seed.name));
            return Err(match error.kind() {
                ErrorKind::ForeignKeys { .. } => failed().because(error.kind().to_string()),
                _ => error,
            });
        }
        settings.restore()?;
        job.tell(&Event::SeedFinished { name: &seed.name, took });
        log::debug!("seed {} in {took:?}", seed.name);
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
