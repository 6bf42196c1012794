//! Whether a backup is due before anything is changed, and of what.

use std::path::Path;

use rusqlite::{Transaction, TransactionBehavior};

use super::{Job, Run, preflight};
use crate::backup::{Backup, Lock, Snapshot};
use crate::error::{Error, Result};
use crate::escape::escaped;
use crate::ledger::Applied;
use crate::plan::{Direction, Goal, Plan, Step};
use crate::report::BackupOutcome;
use crate::sql::action::Change;
use crate::sql::{Action, Object, Script, Verb};

/// Takes a backup, where a plan gives reason to.
pub(crate) type BackUp = fn(&mut Run<'_>, &Backup, &Plan) -> Result<Option<Lock>>;

pub(crate) const BACK_UP: BackUp = |run, backup, preview| run.back_up(backup, preview);

impl Run<'_> {
    /// Takes the backup that was asked for, if there is anything to do and to lose. Whoever holds
    /// the lock has the backups to himself: of several processes that start at once, one makes a
    /// backup and works, and the others find nothing to do.
    fn back_up(&mut self, backup: &Backup, preview: &Plan) -> Result<Option<Lock>> {
        let job = self.job;
        if matches!(self.goal, Goal::Mark(_)) {
            return Ok(None);
        }
        if !job.patience.retry(|| job.begins_something(preview))? {
            return Ok(None);
        }
        backup.refuse_file()?;
        let asked = crate::backup::file_of(job.conn);
        let Some(database) = asked.map_err(Error::sqlite("asking for the database's file"))? else {
            return Ok(self.pass_over("the database is in memory"));
        };
        if job.patience.retry(|| preflight::holds_only_ours(job.conn, job.ledger))? {
            return Ok(self.pass_over("the database is empty"));
        }
        if backup.only_destructive() && !job.is_destructive(preview) {
            return Ok(self.pass_over("nothing that is pending takes anything away"));
        }
        let folder = backup.folder_of(&database);
        let lock = job.patience.retry(|| backup.lock(&folder, &database))?;
        let (snapshot, applied) = self.snapshot()?;
        if !job.begins_something(&job.plan_from(&applied, self.goal)?)? {
            return Ok(Some(lock));
        }
        // Before a takeover the file has no ledger that a restore could know it by.
        let newest = applied.migrations.last().filter(|_| applied.takeover.is_none());
        job.supervisor.begin(None, "backup", || "the backup".to_owned());
        let made = backup.make(
            &folder,
            &Snapshot {
                conn: &snapshot,
                database: &database,
                ledger: job.ledger,
                newest: newest.map(|row| row.version),
                wait: job.patience.limit(),
                supervisor: &job.supervisor,
            },
            &job.supervisor.copying(job.listener),
        );
        job.supervisor.end();
        let made = made?;
        drop(snapshot);
        self.keep(backup, &database, made);
        Ok(Some(lock))
    }

    /// Adds to what to do about a migration that was interrupted: the backup is a way out.
    pub(super) fn naming_backup(&self, error: Error) -> Error {
        let history = self.job.ledger.history().unwrap_or_default();
        let backup = history.iter().rfind(|entry| entry.action == "backup");
        let Some((file, at)) = backup.and_then(|entry| Some((entry.detail.as_ref()?, &entry.at)))
        else {
            return error;
        };
        let advice = error.advice().unwrap_or_default();
        let advice = format!("{advice}; or `restore` a backup: the last on record is {file}, {at}");
        error.advise(advice)
    }

    fn pass_over(&mut self, why: &'static str) -> Option<Lock> {
        self.report.backup = Some(BackupOutcome::PassedOver { why });
        None
    }

    fn keep(&mut self, backup: &Backup, database: &Path, made: BackupOutcome) {
        let job = self.job;
        if let Some(path) = made.path() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            job.ledger.announce_backup(name.into_owned());
            log::info!("backup {}", escaped(path.display()));
            if let Err(error) = backup.prune(&backup.folder_of(database), path) {
                self.report.warnings.push(format!("old backups could not be deleted: {error}"));
            }
        }
        self.report.backup = Some(made);
    }

    /// A read transaction: what is copied is one state of the database, whoever writes meanwhile,
    /// and the version in its name is the one in its ledger.
    fn snapshot(&self) -> Result<(Transaction<'_>, Applied)> {
        let job = self.job;
        loop {
            let (tx, applied) = job.patience.retry(|| {
                let tx = Transaction::new_unchecked(job.conn, TransactionBehavior::Deferred)
                    .map_err(Error::sqlite("beginning a transaction"))?;
                let applied = job.applied()?;
                Ok((tx, applied))
            })?;
            if !job.is_overtaken(&applied, self.goal) {
                return Ok((tx, applied));
            }
            drop(tx);
            self.plan_patiently()?;
        }
    }
}

impl Job<'_> {
    /// Whether anything is to be done but to go on with backfills, of which every start would make a
    /// backup and push out those from before.
    fn begins_something(&self, plan: &Plan) -> Result<bool> {
        if plan.adoption.is_some() || !plan.steps.is_empty() {
            return Ok(true);
        }
        for name in &plan.seeds {
            let Some(backfill) = self.seeds.backfill(name) else { return Ok(true) };
            let sentinel = self.ledger.known_sentinel(name)?;
            if sentinel.is_none_or(|sentinel| sentinel.revision < backfill.revision) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a step of the plan could take something away that nothing brings back.
    fn is_destructive(&self, plan: &Plan) -> bool {
        plan.steps.iter().any(|step| self.takes_away(step))
    }

    fn takes_away(&self, step: &Step) -> bool {
        step.direction == Direction::Revert
            || step.transaction.is_none()
            || self.code(&step.work).is_some()
            || self.script(&step.work).is_some_and(overwrites_or_deletes)
    }
}

fn overwrites_or_deletes(script: &Script) -> bool {
    script.statements.iter().any(|statement| match &statement.action {
        Action::Drop { what, .. } => matches!(what, Object::Table | Object::VirtualTable),
        Action::Alter { change, .. } => matches!(change, Change::DropColumn(_)),
        Action::Write { verb: Verb::Insert, .. } => {
            // `ON CONFLICT … DO UPDATE`
            script.sql(statement).to_ascii_uppercase().contains("UPDATE")
        }
        Action::Write { .. } | Action::Unknown => true,
        _ => false,
    })
}
