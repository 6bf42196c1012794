//! Backups: a database file's whole content in one other file, and the way back.

mod draft;
mod folder;
pub(crate) mod image;
pub(crate) mod restore;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ledger::Ledger;
use crate::migration::{BoxError, Version};
use crate::report::BackupOutcome;
pub(crate) use draft::Draft;
pub(crate) use folder::{Folder, Lock, beside};

/// Where backups go, when one is taken, and how many stay: an option of a
/// [`Migrator`](crate::Migrator::backup).
///
/// A backup is one file: `app.db.v0007.20261121T120000Z` is `app.db` at version 7 at that time,
/// UTC. The folder has to be there. Two databases of one file name need a folder each, for names
/// are all that retention goes by. In WAL mode other processes may go on writing while the copy is
/// made and before the first change: what they write then is in the database and not in the backup.
/// A process that is at it holds a lock on the folder's file
/// `.app.db.backup-lock`, which is empty and stays.
///
/// ```
/// use landfall::{Backup, Migration, Migrator};
///
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("app.db");
/// let first = Migration::sql(1, "note", "CREATE TABLE note(text TEXT)");
/// Migrator::from_migrations([first.clone()]).open(&file)?;
///
/// let conn = landfall::rusqlite::Connection::open(&file)?;
/// let report = Migrator::from_migrations([first])
///     .with(Migration::sql(2, "drop", "DROP TABLE note"))
///     .backup(Backup::to_dir(folder.path()).keep(3))
///     .apply(&conn)?;
/// let path = report.backup.as_ref().and_then(|backup| backup.path()).unwrap();
/// assert!(path.file_name().unwrap().to_str().unwrap().starts_with("app.db.v0001."));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    folder: PathBuf,
    keep: usize,
    when: When,
}

/// When a backup is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Whenever migrations, repeatables or seeds are about to run, or migrations to be reverted.
    #[default]
    Always,
    /// Only where one of the pending steps could take something away: it is a revert, code or
    /// runs outside a transaction, or its text drops a table or column, or has a `DELETE`,
    /// `UPDATE` or `REPLACE`. Seeds alone are not enough.
    Destructive,
}

impl Backup {
    /// Backups go into this folder, which has to be there. By default one is taken
    /// [`Always`](When::Always), and five are kept. An empty path is refused by the first verb, and
    /// a file in the folder's place whenever anything is to be run, whether or not a backup is due.
    pub fn to_dir(path: impl AsRef<Path>) -> Self {
        Backup { folder: path.as_ref().to_owned(), keep: 5, when: When::default() }
    }

    /// How many backups of a database stay, the newest. Older ones are deleted after each new
    /// one, which itself always stays; other files are left alone. Default: 5.
    pub fn keep(mut self, n: usize) -> Self {
        self.keep = n;
        self
    }

    /// When one is taken. Default: [`When::Always`].
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    pub(crate) fn only_destructive(&self) -> bool {
        self.when == When::Destructive
    }

    /// Refuses a folder without a name. To the system it is none, and joined to a file's name it
    /// would be the current one. Nothing is asked of the disk.
    pub(crate) fn refuse_nameless(&self) -> Result<()> {
        if self.folder.as_os_str().is_empty() {
            return Err(self.failed("writing a backup into")("the folder has no name")
                .advise("give `Backup::to_dir` the path of a folder; the current one is `.`"));
        }
        Ok(())
    }

    /// Refuses a file where the folder should be. A folder that is missing is only missed once
    /// there is something to back up: a test in memory needs none.
    pub(crate) fn refuse_file(&self) -> Result<()> {
        match self.folder.metadata() {
            Ok(found) if !found.is_dir() => {
                Err(self.failed("writing a backup into")("it is a file and no folder"))
            }
            _ => Ok(()),
        }
    }

    /// The backups of a database of this path.
    pub(crate) fn folder_of<'a>(&'a self, database: &'a Path) -> Folder<'a> {
        Folder::new(&self.folder, file_name(database))
    }

    /// Copies what the read transaction on `snapshot` sees. The folder has to be locked.
    pub(crate) fn make(
        &self,
        folder: &Folder<'_>,
        snapshot: &Snapshot<'_>,
        tell: &dyn Fn(&Event<'_>),
    ) -> Result<BackupOutcome> {
        let made = self.make_or_fail(folder, snapshot, tell);
        if made.is_err() {
            let _ = folder.clear_partial();
        }
        made
    }

    fn make_or_fail(
        &self,
        folder: &Folder<'_>,
        snapshot: &Snapshot<'_>,
        tell: &dyn Fn(&Event<'_>),
    ) -> Result<BackupOutcome> {
        let writing = "writing a backup into";
        let partial = folder.create_partial(snapshot.database).map_err(self.failed(writing))?;
        image::write(snapshot.conn, &partial, snapshot.wait, tell).map_err(self.failed(writing))?;
        let checking = "checking the backup written into";
        image::check(&partial, snapshot.ledger.prefix()).map_err(self.failed(checking))?;
        let version = snapshot.newest.map_or(0, |version| version.0);
        if let Some(path) = folder.same_as_newest(version).map_err(self.failed(checking))? {
            // The start that made it may have ended before it was synced.
            self.sync(&path)?;
            folder.clear_partial().map_err(self.failed(writing))?;
            return Ok(BackupOutcome::AlreadyThere { path });
        }
        let stamp = stamp(snapshot.conn)?;
        let path = folder.finish(version, &stamp).map_err(self.failed(writing))?;
        self.sync(&path)?;
        Ok(BackupOutcome::Made { path })
    }

    /// Makes sure that a backup is there after a power loss too.
    fn sync(&self, path: &Path) -> Result<()> {
        folder::sync(path).map_err(|cause| {
            self.failed("writing a backup into")(cause).changed(format!(
                "{} is whole, but could not be synced; the database was not changed",
                path.display()
            ))
        })
    }

    /// Deletes backups older than those to keep. Returns what stood in the way.
    pub(crate) fn prune(&self, folder: &Folder<'_>, made: &Path) -> std::io::Result<()> {
        folder.prune(self.keep, made)
    }

    /// Takes the folder for this process. Says "busy" where another one has it.
    pub(crate) fn lock(&self, folder: &Folder<'_>, database: &Path) -> Result<Lock> {
        folder.lock(database).map_err(self.failed("writing a backup into"))
    }

    fn failed<E: Into<BoxError>>(&self, doing: &'static str) -> impl FnOnce(E) -> Error {
        let path = self.folder.clone();
        move |cause| {
            Error::from(ErrorKind::Backup { path, doing }).because(cause).advise(
                "nothing runs without the backup that was asked for: see the cause below, and \
                 start again",
            )
        }
    }
}

/// What a backup is made of.
pub(crate) struct Snapshot<'a> {
    /// Inside a read transaction.
    pub(crate) conn: &'a Connection,
    pub(crate) database: &'a Path,
    pub(crate) ledger: &'a Ledger<'a>,
    /// The newest applied version.
    pub(crate) newest: Option<Version>,
    pub(crate) wait: Duration,
}

/// The time as backups' names have it, by SQLite's clock.
fn stamp(conn: &Connection) -> Result<String> {
    conn.query_row("SELECT strftime('%Y%m%dT%H%M%SZ', 'now')", [], |row| row.get(0))
        .map_err(Error::sqlite("reading the time"))
}

/// The last part of a database's path, as names of backups have it.
pub(crate) fn file_name(database: &Path) -> Cow<'_, str> {
    database.file_name().unwrap_or_default().to_string_lossy()
}

/// The file of a connection's main database; `None` for one in memory.
pub(crate) fn file_of(conn: &Connection) -> rusqlite::Result<Option<PathBuf>> {
    if let Some(path) = conn.path() {
        return Ok((!path.is_empty()).then(|| PathBuf::from(path)));
    }
    // There is none, or it is not UTF-8.
    let sql = "SELECT CAST(file AS BLOB) FROM pragma_database_list WHERE seq = 0";
    let bytes: Option<Vec<u8>> = conn.query_row(sql, [], |row| row.get(0))?;
    Ok(bytes.filter(|bytes| !bytes.is_empty()).map(as_path))
}

/// The files of all databases of a connection.
pub(crate) fn files_of(conn: &Connection) -> rusqlite::Result<Vec<PathBuf>> {
    let mut statement = conn.prepare("SELECT CAST(file AS BLOB) FROM pragma_database_list")?;
    let files = statement.query_map([], |row| row.get::<_, Option<Vec<u8>>>(0))?;
    let files = files.collect::<rusqlite::Result<Vec<_>>>()?;
    let named = files.into_iter().flatten().filter(|bytes| !bytes.is_empty());
    Ok(named.map(as_path).collect())
}

#[cfg(unix)]
fn as_path(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn as_path(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}
