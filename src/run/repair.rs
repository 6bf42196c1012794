//! Accepts what a ledger says, on record.

use super::{GRACE, Job};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Applied, Deed};
use crate::report::Done;

/// A migration that runs outside any transaction in another process is not interrupted: it moves
/// its mark, or holds the lock.
pub(crate) fn refuse_running(job: &Job<'_>) -> Result<()> {
    let mark = || job.patience.retry(|| Ok(job.ledger.read()?.mark));
    let before = mark()?;
    if before.is_none() {
        return Ok(());
    }
    let waited = GRACE.min(job.patience.limit());
    std::thread::sleep(waited);
    if mark()? == before { Ok(()) } else { Err(ErrorKind::Busy { waited }.into()) }
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
        ledger.clear_mark()?;
        ledger.record([Deed {
            action: "repair",
            version: Some(mark.version),
            name: Some(&mark.name),
            reason: Some(why),
            detail: Some("was interrupted; will run again"),
        }])?;
        let version = Some(mark.version);
        amended.push(Done::in_ledger(version, mark.name));
    }
    Ok(amended)
}
