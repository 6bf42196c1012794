//! Accepts what a ledger says, on record.

use std::time::Duration;

use super::{Job, still_running};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Wait;
use crate::ledger::{Applied, Deed, Holder, Life, Mark};
use crate::report::Done;

/// Refuses to take a migration that runs outside a transaction from the process that is at it: one that
/// is alive, or one of which that cannot be told and that gives a sign of life while this waits.
pub(crate) fn refuse_running(job: &Job<'_>) -> Result<()> {
    let mut wait = Wait::new();
    let mut first: Option<Mark> = None;
    loop {
        let Some(mark) = job.patience.retry(|| Ok(job.ledger.read()?.mark))? else {
            return Ok(());
        };
        let (waited, limit) = (wait.waited(), job.patience.limit());
        let moves = first.as_ref().is_some_and(|first| *first != mark);
        match mark.holder.as_ref().map_or(Life::Unknown, Holder::life) {
            Life::Gone => return Ok(()),
            Life::Unknown if waited >= limit && !moves => return Ok(()),
            _ if waited >= limit => return Err(still_running(&mark, waited)),
            _ => {}
        }
        first.get_or_insert(mark);
        job.patience.pause(&mut wait, Duration::from_millis(20))?;
    }
}

/// The same under the lock, where nothing can be waited for.
pub(super) fn refuse_alive(mark: &Mark) -> Result<()> {
    match mark.holder.as_ref().map(Holder::life) {
        Some(Life::Alive) => Err(still_running(mark, Duration::ZERO)),
        _ => Ok(()),
    }
}

/// An empty ledger of ours would stand in the way of taking over the one that is there.
pub(crate) fn refuse_unadopted(job: &Job<'_>) -> Result<()> {
    let applied = job.patience.retry(|| job.applied())?;
    let Some(takeover) = applied.takeover else { return Ok(()) };
    let pending = takeover.told.pending();
    Err(Error::from(ErrorKind::NotCurrent { pending }).advise("run `apply` first"))
}

/// Accepts the ledger as it stands, each row on record. Inside a write transaction.
pub(crate) fn repair(job: &Job<'_>, why: &str) -> Result<Vec<Done>> {
    let (ledger, set) = (job.ledger, job.set);
    let Applied { migrations, mark, .. } = ledger.read()?;
    let mut amended = Vec::new();
    for row in &migrations {
        let (detail, name) = match set.get(row.version) {
            Some(entry) if entry.checksum() == row.checksum => continue,
            Some(entry) => {
                ledger.amend(entry)?;
                (format!("{} is now {}", row.checksum, entry.checksum()), &entry.name)
            }
            None if Some(row.version) > set.newest() => continue,
            None if set.baselines.iter().any(|b| b.version >= row.version) => continue,
            None => {
                ledger.delete(row.version)?;
                let down = row.down_sql.as_deref().unwrap_or("none");
                let was = format!("removed: {} of {}; down: {down}", row.checksum, row.applied_at);
                (was, &row.name)
            }
        };
        ledger.record([Deed {
            action: "repair",
            version: Some(row.version),
            name: Some(name),
            reason: Some(why),
            detail: Some(&detail),
        }])?;
        let name = name.clone();
        amended.push(Done::in_ledger(Some(row.version), name));
    }
    if let Some(mark) = mark {
        refuse_alive(&mark)?;
        ledger.clear_mark()?;
        let detail = match &mark.holder {
            Some(holder) => format!("was interrupted in {holder}; will run again"),
            None => "was interrupted; will run again".to_owned(),
        };
        ledger.record([Deed {
            action: "repair",
            version: Some(mark.version),
            name: Some(&mark.name),
            reason: Some(why),
            detail: Some(&detail),
        }])?;
        let version = Some(mark.version);
        amended.push(Done::in_ledger(version, mark.name));
    }
    Ok(amended)
}
