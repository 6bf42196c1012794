//! A migration that runs outside any transaction: marked before, recorded after.

use std::time::Instant;

use rusqlite::Connection;

use super::lock::roll_back;
use super::session::Settings;
use super::{Run, statements};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ledger::Mark;
use crate::plan::{Direction, Goal, Step};
use crate::sql::{Script, quoted};

impl Run<'_> {
    pub(super) fn outside(&mut self, step: &Step) -> Result<()> {
        let job = self.job;
        let (Some(version), Some(script)) = (step.version, job.script(&step.work)) else {
            return Ok(());
        };
        let mut mark = Mark {
            version,
            name: step.name.clone(),
            finished: 0,
            revert: step.direction == Direction::Revert,
        };
        let settings = Settings::remember(job.conn, |_| true)?;
        if !self.begin_outside(step, &mark)? {
            return Ok(());
        }
        let clock = Instant::now();
        job.tell(&Event::Started { version: step.version, name: &step.name });
        let attached = databases(job.conn);
        let result = self.statements_outside(script, &mut mark).and_then(|()| {
            match job.verify_script(&step.work) {
                Some(verify) => statements::verify(job.conn, verify),
                None => Ok(()),
            }
        });
        roll_back(job.conn);
        detach_others(job.conn, &attached);
        let restored = settings.restore();
        result.map_err(|error| self.failed_outside(error, &mark, script))?;
        let took = clock.elapsed();
        self.end_outside(step, took)?;
        restored?;
        job.tell(&Event::Finished { version: step.version, name: &step.name, took });
        log::debug!("{} {} in {took:?}", step.direction, step.label());
        Ok(())
    }

    /// Leaves the mark, if this is still what is to be done.
    fn begin_outside(&self, step: &Step, mark: &Mark) -> Result<bool> {
        let job = self.job;
        let tx = job.patience.begin()?;
        let applied = job.ledger.read()?;
        if job.is_overtaken(&applied, self.goal) {
            return Ok(false);
        }
        let plan = job.plan_from(&applied, self.goal)?;
        let still = plan.first_segment().first().is_some_and(|first| {
            first.version == step.version
                && first.direction == step.direction
                && first.transaction.is_none()
        });
        if still {
            job.ledger.create()?;
            job.ledger.set_mark(mark)?;
            let stored = || Ok(job.ledger.read()?.mark.as_ref() == Some(mark));
            job.patience.commit(tx, stored)?;
        }
        Ok(still)
    }

    fn statements_outside(&self, script: &Script, mark: &mut Mark) -> Result<()> {
        let job = self.job;
        let last = script.statements.len();
        for (at, statement) in script.statements.iter().enumerate() {
            statements::execute(job.conn, script, statement)?;
            if at + 1 < last {
                // Inside a transaction of the script's own, this is part of it.
                mark.finished = at + 1;
                job.patience.retry(|| job.ledger.set_mark(mark))?;
            }
        }
        if job.conn.is_autocommit() {
            return Ok(());
        }
        let position = script.position(script.text.len());
        let kind = ErrorKind::TransactionControl {
            file: script.file.clone(),
            position,
            statement: "BEGIN without COMMIT".to_owned(),
        };
        Err(Error::from(kind).at(script, position).advise("end the transaction that it begins"))
    }

    /// Where nothing had finished, the failed statement took itself back, and the mark goes.
    fn failed_outside(&self, error: Error, mark: &Mark, script: &Script) -> Error {
        let job = self.job;
        // A transaction of the script's own took its marks back with it.
        let read = job.patience.retry(|| job.ledger.read());
        let finished =
            read.ok().and_then(|applied| applied.mark).map_or(mark.finished, |m| m.finished);
        let cleared = finished == 0 && job.patience.retry(|| job.ledger.clear_mark()).is_ok();
        if cleared {
            return error;
        }
        let ran = match script.statements.get(finished.saturating_sub(1)) {
            Some(statement) => format!("up to {}", script.position(statement.start)),
            None => "before it".to_owned(),
        };
        error
            .changed(format!(
                "it runs outside a transaction: its statements {ran} are in effect, and it is \
                 marked as interrupted"
            ))
            .advise(
                "look at the database; then call `repair` with a reason to run it again from its \
                 start, or `baseline` with its version to take it as done",
            )
    }

    fn end_outside(&mut self, step: &Step, took: std::time::Duration) -> Result<()> {
        let job = self.job;
        let tx = job.patience.begin()?;
        match (step.direction, step.version) {
            (Direction::Revert, Some(version)) => job.ledger.delete(version)?,
            _ => job.ledger.insert(&self.row(step, took).into_iter().collect::<Vec<_>>())?,
        }
        if self.goal == Goal::Down(crate::Target::Empty) {
            job.ledger.forget_seeds()?;
        }
        job.ledger.clear_mark()?;
        job.ledger.record(self.deeds(step))?;
        let before = self.report.clone();
        self.report.add(step.direction, step.version, &step.name, took);
        let stored = || Ok(job.ledger.read()?.mark.is_none());
        let committed = self.finish_if_done().and_then(|()| job.patience.commit(tx, stored));
        if let Err(error) = committed {
            self.report = before;
            return Err(error.changed(
                "its statements are all in effect, but that could not be recorded: it is marked \
                 as interrupted",
            ));
        }
        job.tell(&Event::Committed);
        Ok(())
    }
}

fn databases(conn: &Connection) -> Vec<String> {
    let list = || {
        let mut statement = conn.prepare("SELECT name FROM pragma_database_list")?;
        let names = statement.query_map([], |row| row.get(0))?;
        names.collect::<rusqlite::Result<Vec<String>>>()
    };
    list().unwrap_or_default()
}

fn detach_others(conn: &Connection, before: &[String]) {
    for name in databases(conn) {
        if name != "temp" && !before.contains(&name) {
            let _ = conn.execute_batch(&format!("DETACH {}", quoted(&name)));
        }
    }
}
