//! Runs a seed: its writes and its sentinel in one transaction.

use std::time::Instant;

use super::Run;
use super::lend::{Stands, lend};
use super::segment::commit_failed;
use super::session::Settings;
use super::undo::Recorder;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ledger::{Deed, Recorded};
use crate::report::SeedDone;
use crate::seed::Seed;

impl Run<'_> {
    /// Runs a seed, if it is still to run once the lock is held: another program may have taken the
    /// schema elsewhere since the plan was made.
    pub(super) fn seed(&mut self, name: &str, last: bool) -> Result<()> {
        let job = self.job;
        let Some(seed) = job.seeds.iter().find(|seed| seed.name == name) else {
            return Ok(());
        };
        let settings = Settings::remember(job.conn, |_| true)?;
        let tx = job.patience.begin()?;
        let is_sown = || {
            let sentinel = job.ledger.sentinel(&seed.name)?;
            Ok(sentinel.is_some_and(|sentinel| sentinel.revision >= seed.revision))
        };
        let plan = job.plan(self.goal)?;
        if !plan.seeds.iter().any(|pending| pending == name) || !plan.steps.is_empty() {
            return Ok(());
        }
        // No migration has made it, where the set has none.
        job.ledger.create()?;
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
        refuse_ended(stands, seed)?;
        let failed = || Error::from(ErrorKind::Seed { name: name.to_owned() });
        returned.map_err(|error| failed().because(error))?;
        let took = clock.elapsed();
        let rows_changed = match recorder {
            Some(recorder) => {
                let kept = recorder.kept()?;
                let before = job.ledger.sentinels()?.into_iter().find(|s| s.name == name);
                let before = before.map(|sentinel| sentinel.revision);
                let of = Recorded::Seed { revision: seed.revision, before };
                recorder.finish(job.ledger, &of, name, &job.undo)?;
                rows_changed.saturating_sub(kept)
            }
            None => {
                job.ledger.forget_recorded_seed(name)?;
                rows_changed
            }
        };
        job.ledger.sow(name, seed.revision, rows_changed, took)?;
        let detail = format!("revision {}, {rows_changed} rows", seed.revision);
        let (name, detail) = (Some(name), Some(detail.as_str()));
        job.ledger.record([Deed { action: "seed", name, detail, ..Deed::default() }])?;
        let committed = self.report.clone();
        self.report.seeds.push(SeedDone {
            name: seed.name.to_string(),
            revision: seed.revision,
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
