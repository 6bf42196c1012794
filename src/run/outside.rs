//! A migration that runs outside any transaction: marked before, recorded after.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::guard::{Guard, Verdict};
use super::lock::roll_back;
use super::segment::commit_failed;
use super::session::Settings;
use super::{Run, empty_downs, statements};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ledger::Mark;
use crate::plan::{Direction, Goal, Step};
use crate::sql::{Script, Statement, quoted};

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
        let statements: Vec<&Statement> = script.statements.iter().collect();
        let terms = job.terms(script, true);
        let mut guard =
            job.patience.retry(|| Guard::before(job.conn, script, &statements, terms))?;
        if !self.begin_outside(step, &mark)? {
            return Ok(());
        }
        let clock = Instant::now();
        job.tell(&step.started());
        let attached = databases(job.conn);
        let mut inside = false;
        let result =
            self.statements_outside(script, &mut mark, &mut inside, &mut guard).and_then(|rows| {
                let verdict = guard.map_or_else(|| Ok(Verdict::default()), Guard::after)?;
                let verify = job.verify_script(&step.work);
                verify.map_or(Ok(()), |verify| statements::verify(job.conn, verify))?;
                Ok((verdict, rows))
            });
        roll_back(job.conn);
        detach_others(job.conn, &attached);
        let restored = settings.restore();
        let (verdict, rows) =
            result.map_err(|error| self.failed_outside(error, &mark, inside, script))?;
        let took = clock.elapsed();
        self.end_outside(step, rows, took, verdict)?;
        restored?;
        job.tell(&step.finished(took));
        log::debug!("{} {} in {took:?}", step.direction, step.label());
        Ok(())
    }

    /// Leaves the mark, if this is still what is to be done.
    fn begin_outside(&self, step: &Step, mark: &Mark) -> Result<bool> {
        let job = self.job;
        let tx = job.patience.begin()?;
        let applied = job.applied()?;
        if job.is_overtaken(&applied, self.goal) || applied.takeover.is_some() {
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
            job.ledger.record([])?;
            let stored = || Ok(job.ledger.read()?.mark.as_ref() == Some(mark));
            job.patience.commit(&tx, stored)?;
        }
        Ok(still)
    }

    /// Returns how many rows it changed, and says also whether it got to its end or failed `inside`
    /// a transaction of the script's own.
    fn statements_outside(
        &self,
        script: &Script,
        mark: &mut Mark,
        inside: &mut bool,
        guard: &mut Option<Guard<'_>>,
    ) -> Result<u64> {
        let job = self.job;
        let last = script.statements.len();
        let mut rows = 0;
        for (at, statement) in script.statements.iter().enumerate() {
            let wants_lock = guard.as_ref().is_some_and(|guard| guard.wants_lock(at));
            if wants_lock && job.conn.is_autocommit() {
                rows += self.locked(script, mark, at, statement, guard)?;
                continue;
            }
            rows += guarded(job.conn, script, at, statement, guard)?;
            mark.finished = at + 1;
            *inside = !job.conn.is_autocommit();
            if at + 1 < last {
                // Inside a transaction of the script's own, this is part of it.
                job.patience.retry(|| job.ledger.set_mark(mark))?;
            }
        }
        if job.conn.is_autocommit() {
            return Ok(rows);
        }
        let position = script.position(script.end());
        let kind = ErrorKind::TransactionControl {
            file: script.file.to_string(),
            position,
            statement: "BEGIN without COMMIT".to_owned(),
        };
        Err(Error::from(kind).at(script, position).advise("end the transaction that it begins"))
    }

    /// Runs a statement that takes something away under the write lock, which it would take for
    /// itself in any case: nobody can write between the guard's last look and the deed. It is one
    /// with its mark.
    fn locked(
        &self,
        script: &Script,
        mark: &mut Mark,
        at: usize,
        statement: &Statement,
        guard: &mut Option<Guard<'_>>,
    ) -> Result<u64> {
        let job = self.job;
        let tx = job.patience.begin()?;
        let rows = guarded(&tx, script, at, statement, guard)?;
        let done = Mark { finished: at + 1, ..mark.clone() };
        job.ledger.set_mark(&done)?;
        let stored = || Ok(job.ledger.read()?.mark.as_ref() == Some(&done));
        let committed = job.patience.commit(&tx, stored);
        committed.map_err(|error| commit_failed(error, &tx, script.file.to_string()))?;
        *mark = done;
        Ok(rows)
    }

    /// Where nothing is in effect the mark goes: the first statement failed and took itself back,
    /// which one that was interrupted or met an I/O error need not have done, or a transaction of the
    /// script's own did and took its marks along.
    fn failed_outside(&self, error: Error, mark: &Mark, inside: bool, script: &Script) -> Error {
        let job = self.job;
        let read = job.patience.retry(|| job.ledger.read());
        let stored =
            read.ok().and_then(|applied| applied.mark).map_or(mark.finished, |m| m.finished);
        let (finished, untouched) = match inside {
            true => (stored, stored == 0),
            false => (mark.finished, mark.finished == 0 && !error.is_ambiguous()),
        };
        if untouched && job.patience.retry(|| job.ledger.clear_mark()).is_ok() {
            return error;
        }
        let last = finished.checked_sub(1).and_then(|last| script.statements.get(last));
        let ran = match last {
            Some(statement) => {
                format!("its statements up to {} are", script.position(statement.start))
            }
            None => "its first statement may be".to_owned(),
        };
        let mut advice = "look at the database; then call `repair` with a reason to run it again \
                          from its start, or `baseline` with its version to take it as done"
            .to_owned();
        if let Some(path) = self.report.backup.as_ref().and_then(|backup| backup.path()) {
            advice.push_str(&format!("; or `restore` the backup {}", path.display()));
        }
        error
            .changed(format!(
                "it runs outside a transaction: {ran} in effect, and it is marked as \
                 interrupted"
            ))
            .advise(advice)
    }

    fn end_outside(
        &mut self,
        step: &Step,
        rows: u64,
        took: Duration,
        verdict: Verdict,
    ) -> Result<()> {
        let before = self.report.clone();
        if let Err(error) = self.record_outside(step, rows, took, verdict) {
            self.report = before;
            return Err(match error.is_unknown() {
                true => error.changed(
                    "its statements are all in effect, but it is not known whether that is \
                     recorded",
                ),
                false => error.changed(
                    "its statements are all in effect, but that could not be recorded: it is \
                     marked as interrupted",
                ),
            });
        }
        self.job.tell(&Event::Committed);
        Ok(())
    }

    fn record_outside(
        &mut self,
        step: &Step,
        rows: u64,
        took: Duration,
        verdict: Verdict,
    ) -> Result<()> {
        let job = self.job;
        let tx = job.patience.begin()?;
        match (step.direction, step.version) {
            (Direction::Revert, Some(version)) => job.ledger.delete(version)?,
            _ => job.ledger.insert(self.row(step, took))?,
        }
        if self.goal == Goal::Down(crate::Target::Empty) {
            job.ledger.forget_seeds()?;
        }
        job.ledger.clear_mark()?;
        job.ledger.record(self.deeds(step, &verdict.waived))?;
        self.report.warnings.extend(verdict.warnings);
        self.report.warnings.extend(empty_downs::warnings(job.set, std::slice::from_ref(step)));
        self.report.add(step, rows, took);
        self.finish_if_done()?;
        job.patience.commit(&tx, || Ok(job.ledger.read()?.mark.is_none()))
    }
}

/// One statement, between the guard's looks.
fn guarded(
    conn: &Connection,
    script: &Script,
    at: usize,
    statement: &Statement,
    guard: &mut Option<Guard<'_>>,
) -> Result<u64> {
    let counted = match guard {
        Some(guard) => guard.before_statement(at)?,
        None => None,
    };
    let rows = statements::execute(conn, script, statement)?;
    if let Some(guard) = guard {
        guard.after_statement(at, counted)?;
    }
    Ok(rows)
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
