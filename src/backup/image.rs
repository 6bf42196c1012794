//! One whole copy of a database: written through SQLite's backup API, and looked over.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Wait};
use crate::ledger::{Applied, Ledger};
use crate::migration::BoxError;
use crate::path;
use crate::supervisor::Supervisor;

/// Is told what there is to tell between two steps, and may refuse to go on.
pub(crate) type Teller<'a> = dyn Fn(Option<Event<'_>>) -> Result<()> + 'a;

/// Pages copied between two events.
const PAGES: i32 = 256;

/// Writes a copy of what `from` sees into an empty file, as one that needs no file beside it.
pub(crate) fn write(
    from: &Connection,
    path: &Path,
    wait: Duration,
    tell: &Teller<'_>,
) -> Result<(), BoxError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut to = path::open(path, flags)?;
    // A copy that is not finished is thrown away, and one that is is synced as a file.
    to.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    copy(from, &mut to, wait, tell, |done, total| Event::Backup { done, total })?;
    to.close().map_err(|(_, error)| error)?;
    // The copy of a WAL database says in its header that it is one.
    let conn = path::open(path, flags)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("delete") {
        return Err(format!("the copy's journal mode stayed {mode}").into());
    }
    conn.close().map_err(|(_, error)| error.into())
}

/// Copies a whole database in steps. Locks in the way are waited for.
pub(crate) fn copy(
    from: &Connection,
    to: &mut Connection,
    wait: Duration,
    tell: &Teller<'_>,
    event: fn(u64, u64) -> Event<'static>,
) -> Result<(), BoxError> {
    step_through(&Backup::new(from, to)?, wait, tell, event)
}

/// Copies an attached database, or TEMP, into the one of that name.
pub(crate) fn copy_attached(
    from: &Connection,
    name: &str,
    to: &mut Connection,
    wait: Duration,
) -> Result<(), BoxError> {
    let backup = {
        // Older releases of rusqlite want the name in a type of this name. What a block imports
        // goes before what stands around it, so that it is taken where it is there.
        #[allow(unused_imports)]
        use rusqlite::*;
        let (source, target) = (DatabaseName::Attached(name), DatabaseName::Attached(name));
        Backup::new_with_names(from, source, to, target)?
    };
    step_through(&backup, wait, &|_| Ok(()), |done, total| Event::Backup { done, total })
}

#[allow(dead_code, non_snake_case)]
mod DatabaseName {
    pub(super) fn Attached(name: &str) -> &str {
        name
    }
}

fn step_through(
    backup: &Backup<'_, '_>,
    wait: Duration,
    tell: &Teller<'_>,
    event: fn(u64, u64) -> Event<'static>,
) -> Result<(), BoxError> {
    let mut stuck: Option<Wait> = None;
    loop {
        let step = backup.step(PAGES)?;
        if matches!(step, StepResult::Busy | StepResult::Locked) {
            let stuck = stuck.get_or_insert_with(Wait::new);
            let waited = stuck.waited();
            if waited >= wait {
                return Err(Error::from(ErrorKind::Busy { waited }).into());
            }
            tell(stuck.due())?;
            std::thread::sleep(Duration::from_millis(10).min(wait));
            continue;
        }
        stuck = None;
        let progress = backup.progress();
        let pages = |number: i32| u64::try_from(number).unwrap_or_default();
        let total = pages(progress.pagecount);
        let told = tell(Some(event(total.saturating_sub(pages(progress.remaining)), total)));
        if step == StepResult::Done {
            // It is committed.
            return Ok(());
        }
        told?;
    }
}

/// Whether a check of the rows' bytes finds nothing.
pub(super) fn is_whole(conn: &Connection) -> bool {
    let is_rule = |found: &String| found.starts_with("CHECK constraint failed");
    findings(conn).is_ok_and(|found| found.iter().all(|found| is_rule(found) || !is_damage(found)))
}

/// A NULL in a column that has become NOT NULL since is a matter of its rows.
fn is_damage(found: &str) -> bool {
    !found.starts_with("NULL value in ")
}

/// What a check has found.
#[derive(Debug, thiserror::Error)]
#[error("the file is damaged: {0}")]
pub(crate) struct Damaged(String);

pub(super) fn open(path: &Path) -> Result<Connection, BoxError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    path::open(path, flags)
}

/// Opens a copy for reading and makes sure that it is whole. Says what its ledger says.
pub(super) fn check(
    path: &Path,
    prefix: &str,
    supervisor: &Supervisor,
) -> Result<(Connection, Applied), BoxError> {
    let conn = open(path)?;
    refuse_cut_off(&conn, path)?;
    // Whether the rows are as the application wants them is not the question, and its functions
    // are not at hand to answer it.
    conn.execute_batch("PRAGMA ignore_check_constraints = ON")?;
    // A NULL in a column that has become NOT NULL since is a matter of its rows, and no damage.
    let looked = supervisor.during_on(&conn, "checking", || {
        findings(&conn).map_err(Error::sqlite("checking the copy"))
    });
    let found = looked.map_err(|error| supervisor.explain(error))?;
    if let Some(wrong) = found.into_iter().find(|found| is_damage(found)) {
        return Err(Damaged(wrong).into());
    }
    let applied = match Ledger::of(&conn, prefix, None)?.read() {
        // From before another tool's ledger was taken over.
        Err(error) if error.is_foreign_ledger() => Applied::default(),
        read => read?,
    };
    Ok((conn, applied))
}

/// What is missing of the last page SQLite takes for zeros.
fn refuse_cut_off(conn: &Connection, path: &Path) -> Result<(), BoxError> {
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode.eq_ignore_ascii_case("wal") {
        // Somebody else's copy: its last pages may be in the `-wal` beside it.
        return Ok(());
    }
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    let whole: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    let length = std::fs::metadata(path)?.len();
    if length == 0 {
        // To SQLite an empty database, and to a restore the loss of everything.
        return Err("the file is empty".into());
    }
    if i64::try_from(length)? < whole {
        return Err(format!("the file is damaged: it has {length} of {whole} bytes").into());
    }
    Ok(())
}

/// What `quick_check` finds: <https://sqlite.org/pragma.html#pragma_quick_check>.
pub(crate) fn findings(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    match quick_check(conn, "PRAGMA main.quick_check") {
        Err(error) if is_foreign(&error) => in_tables(conn),
        found => found,
    }
}

/// Table by table. Those that stand on a collation or function of the application cannot be
/// checked without it.
fn in_tables(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare("SELECT name FROM main.sqlite_master WHERE type = 'table'")?;
    let names = statement.query_map([], |row| row.get(0))?;
    let mut found = Vec::new();
    for name in names.collect::<rusqlite::Result<Vec<String>>>()? {
        let sql = format!("PRAGMA main.quick_check({})", crate::sql::quoted(&name));
        match quick_check(conn, &sql) {
            Err(error) if is_foreign(&error) => {}
            one => found.extend(one?),
        }
    }
    Ok(found)
}

fn quick_check(conn: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(sql)?;
    let mut answers = statement.query([])?;
    let mut found: Vec<String> = Vec::new();
    loop {
        match answers.next() {
            Ok(Some(row)) => found.push(row.get(0)?),
            // It may get no further than to the damage, which it has told by then.
            Err(error) if found.is_empty() => return Err(error),
            Ok(None) | Err(_) => break,
        }
    }
    found.retain(|answer| answer != "ok");
    Ok(found)
}

/// `SQLITE_ERROR`, which here is "no such collation sequence" or "unknown function".
fn is_foreign(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::Unknown)
}
