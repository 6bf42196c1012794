//! The way back: a backup's content in the place of the database's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::image::Teller;
use super::{file_name, folder, image, stop_or_cause};
use crate::error::{Error, ErrorKind, RESTORING, Result};
use crate::event::Event;
use crate::ledger::Applied;
use crate::migration::{BoxError, Version};
use crate::source::Set;
use crate::supervisor::Supervisor;

/// A backup that was opened and found whole.
pub(crate) struct Source<'a> {
    path: &'a Path,
    conn: Connection,
    applied: Applied,
}

/// The database that a backup is to be put into, as far as it can still be read.
pub(crate) struct Live<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) applied: &'a Applied,
    pub(crate) set: &'a Set,
    pub(crate) prefix: &'a str,
}

impl<'a> Source<'a> {
    pub(crate) fn open(path: &'a Path, prefix: &str, supervisor: &Supervisor) -> Result<Self> {
        let checked = image::check(path, prefix, supervisor);
        let (conn, applied) = checked.map_err(|cause| failed(path, cause))?;
        Ok(Source { path, conn, applied })
    }

    /// Refuses a backup of another application, told by what this one calls its own: its
    /// `application_id`, its ledger, and the migrations in it.
    pub(crate) fn refuse_other(&self, live: &Live<'_>) -> Result<()> {
        let refuse = |why: String| {
            Err(failed(self.path, why)
                .advise("give it a backup of this database, under the name it was made with"))
        };
        let database = super::file_of(live.conn).ok().flatten().unwrap_or_default();
        if same_file(self.path, &database) {
            return refuse("it is the database itself".to_owned());
        }
        let (its, ours) = (application_id(&self.conn), application_id(live.conn).unwrap_or(0));
        let its = its.map_err(|error| failed(self.path, error))?;
        if ours != 0 && its != ours {
            return refuse(format!(
                "it is of another application: its application_id is {its}, and this database's \
                 is {ours}"
            ));
        }
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Before the first migration there may be none.
        if !self.applied.begun && folder::version_in(&file_name(&database), name) != Some(0) {
            return refuse(format!(
                "it is of another application: it has no ledger `{}_migrations`",
                live.prefix
            ));
        }
        match self.stranger(live) {
            None => Ok(()),
            Some(row) => refuse(format!(
                "it is of another application: migration {row} in its ledger is not one of this \
                 application's"
            )),
        }
    }

    /// A migration of the backup that this application has another one for; or any, where it
    /// shares none with the application. Rows agree where name or checksum does.
    fn stranger(&self, live: &Live<'_>) -> Option<String> {
        let mut known: BTreeMap<Version, Vec<(&str, &str)>> = BTreeMap::new();
        for row in &live.applied.migrations {
            known.entry(row.version).or_default().push((&row.name, &row.checksum));
        }
        for entry in &live.set.migrations {
            known.entry(entry.version).or_default().push((entry.name.as_str(), entry.checksum()));
        }
        let mut shared = known.is_empty();
        for row in &self.applied.migrations {
            let Some(ours) = known.get(&row.version) else {
                continue;
            };
            shared = true;
            if !ours.iter().any(|(name, sum)| *name == row.name || *sum == row.checksum) {
                return Some(format!("{} ({})", row.version, row.name));
            }
        }
        let first = self.applied.migrations.first().filter(|_| !shared)?;
        Some(format!("{} ({})", first.version, first.name))
    }

    /// Puts a record into what is to be restored, so that the content comes with it, in one
    /// transaction. The backup stays as it is: it is a copy that gets the record, a temporary
    /// database of SQLite's, which is in no folder and goes with its connection. Where that
    /// cannot be, the backup itself is what is restored.
    pub(crate) fn record(
        &mut self,
        wait: Duration,
        tell: &Teller<'_>,
        record: impl FnOnce(&Connection) -> Result<()>,
    ) -> Result<(), BoxError> {
        // "If the filename is an empty string, then a private, temporary on-disk database will be
        // created": <https://sqlite.org/c3ref/open.html>.
        let mut copy = Connection::open("")?;
        let size: i64 = self.conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        copy.execute_batch(&format!("PRAGMA page_size = {size}; PRAGMA synchronous = OFF"))?;
        let event = |done, total| Event::Restore { done, total };
        image::copy(&self.conn, &mut copy, wait, &|_| tell(None), event)?;
        record(&copy)?;
        self.conn = copy;
        Ok(())
    }

    /// What is to be restored.
    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Writes the backup's content over the database's, in one transaction of SQLite's own. Being
    /// a transaction like any other, it goes through the `-wal` where there is one: replacing the
    /// file below a `-wal` would have that applied to the restored file at the next start.
    pub(crate) fn put_into(
        &self,
        conn: &mut Connection,
        wait: Duration,
        tell: &Teller<'_>,
    ) -> Result<()> {
        self.refuse_page_size(conn)?;
        let guard = Impatient::new(conn).map_err(|error| failed(self.path, error))?;
        let event = |done, total| Event::Restore { done, total };
        let copied = image::copy(&self.conn, guard.conn, wait, tell, event);
        copied.map_err(|cause| match cause.downcast::<Error>() {
            Ok(busy) => *busy,
            Err(cause) => failed(self.path, cause),
        })
    }

    /// "The sqlite3_backup_step() might return SQLITE_READONLY if the destination database is an
    /// in-memory database, or in WAL mode, and the page sizes differ":
    /// <https://sqlite.org/c3ref/backup_finish.html>.
    fn refuse_page_size(&self, conn: &Connection) -> Result<()> {
        let sizes = || {
            let size = |conn: &Connection| -> rusqlite::Result<i64> {
                conn.query_row("PRAGMA page_size", [], |row| row.get(0))
            };
            let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
            let fixed = mode.eq_ignore_ascii_case("wal") || mode.eq_ignore_ascii_case("memory");
            let pages: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            Ok((size(&self.conn)?, size(conn)?, fixed && pages > 0))
        };
        // A database that cannot say is damaged, which is what a restore is for.
        let sizes: rusqlite::Result<(i64, i64, bool)> = sizes();
        match sizes {
            Ok((its, ours, true)) if its != ours => {
                let why = format!("its pages are of {its} bytes, and this database's of {ours}");
                Err(failed(self.path, why).advise(
                    "execute `PRAGMA journal_mode = DELETE` on the database and restore again",
                ))
            }
            _ => Ok(()),
        }
    }
}

fn application_id(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA main.application_id", [], |row| row.get(0))
}

pub(super) fn same_file(path: &Path, database: &Path) -> bool {
    match (path.canonicalize(), database.canonicalize()) {
        (Ok(path), Ok(database)) => path == database,
        _ => false,
    }
}

fn failed(path: &Path, cause: impl Into<BoxError>) -> Error {
    let cause = match stop_or_cause(cause.into()) {
        Ok(stopped) => return stopped,
        Err(cause) => cause,
    };
    Error::from(ErrorKind::Backup { path: path.to_owned(), doing: RESTORING })
        .because(cause)
        .advise("see the cause below; the database is as it was")
}

/// A connection without a busy timeout, until dropped: the waiting is ours to limit and tell. It
/// syncs the folder after it deletes a journal: SQLite cuts a file that becomes shorter only then, and
/// does not keep what it cuts, so that a journal which a power loss brought back would be no way back.
/// <https://sqlite.org/pragma.html#pragma_synchronous>
struct Impatient<'c> {
    conn: &'c mut Connection,
    /// Where it is zero there may be a busy handler, which setting a timeout would throw out.
    milliseconds: u64,
    /// `None` where it is as it was: a database that is damaged may not say.
    synchronous: Option<u8>,
}

impl<'c> Impatient<'c> {
    fn new(conn: &'c mut Connection) -> rusqlite::Result<Self> {
        let milliseconds: u32 = conn.query_row("PRAGMA busy_timeout", [], |row| row.get(0))?;
        let synchronous = conn.query_row("PRAGMA main.synchronous", [], |row| row.get(0)).ok();
        let guard = Impatient { conn, milliseconds: milliseconds.into(), synchronous };
        if guard.milliseconds > 0 {
            guard.conn.busy_timeout(Duration::ZERO)?;
        }
        if guard.synchronous.is_some() {
            guard.conn.execute_batch("PRAGMA main.synchronous = EXTRA")?;
        }
        Ok(guard)
    }
}

impl Drop for Impatient<'_> {
    fn drop(&mut self) {
        if self.milliseconds > 0 {
            let _ = self.conn.busy_timeout(Duration::from_millis(self.milliseconds));
        }
        if let Some(synchronous) = self.synchronous {
            // It reads the schema, where an error may pass.
            let put_back = format!("PRAGMA main.synchronous = {synchronous}");
            let _ =
                self.conn.execute_batch(&put_back).or_else(|_| self.conn.execute_batch(&put_back));
        }
    }
}
