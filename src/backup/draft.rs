//! A copy under a name that somebody chose: it has another one until it is finished.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::folder::{Lock, beside, create, remove, resemble, settle, sync_whole};
use super::image::{self, Teller};
use super::restore::same_file;
use super::stop_or_cause;
use crate::error::{Error, ErrorKind, Result};
use crate::migration::BoxError;
use crate::path::refuse_no_file;

/// A copy that is being made. Until [`finish`](Draft::finish) an empty file has its name, and this
/// process SQLite's lock on that; the copy is beside it, and goes if it is never finished. A process
/// that is killed leaves the two, and the next one clears them away.
pub(crate) struct Draft {
    path: PathBuf,
    partial: PathBuf,
    lock: Option<Lock>,
    /// Whether the empty file was made for it.
    made: bool,
    finished: bool,
}

impl Draft {
    /// Takes the name. One that is taken by anything but an empty file is refused, and so is that of
    /// a database of the connection, which may be empty too. The first of these is whose owner and
    /// permissions the copy gets.
    pub(crate) fn begin(path: &Path, databases: &[PathBuf]) -> Result<Draft> {
        let database = databases.first().map_or(Path::new(""), PathBuf::as_path);
        let mut partial = OsString::from(".");
        partial.push(path.file_name().unwrap_or_default());
        partial.push(".rehearsal-partial");
        let partial = path.with_file_name(partial);
        let refused = || Err(ErrorKind::NotFresh { path: path.to_owned() }.into());
        if is_taken(path) || databases.iter().any(|database| same_file(path, database)) {
            return refused();
        }
        let advice = "give it a folder that is there and may be written";
        let cannot = |cause: BoxError| failed(path, cause).advise(advice);
        refuse_no_file(path).map_err(cannot)?;
        let made = path.symlink_metadata().is_err();
        if made {
            refuse_left_beside(path)?;
        }
        let made = made && OpenOptions::new().write(true).create_new(true).open(path).is_ok();
        if made {
            resemble(path, database);
        }
        let placeholder = identity(path);
        let lock = Lock::on(path, database).map_err(cannot)?;
        // Another process may have finished its own in the meantime.
        if is_taken(path) {
            return refused();
        }
        // Or given up, and removed the file that is locked here.
        if identity(path) != placeholder {
            return Err(cannot("another process is at it".into()));
        }
        let draft =
            Draft { path: path.to_owned(), partial, lock: Some(lock), made, finished: false };
        create(&draft.partial, database).map_err(|cause| failed(path, cause))?;
        Ok(draft)
    }

    /// The copy, to be written to.
    pub(crate) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Copies what the connection sees into it.
    pub(crate) fn write(&self, from: &Connection, wait: Duration, tell: &Teller<'_>) -> Result<()> {
        let written = image::write(from, &self.partial, wait, tell);
        written.map_err(|cause| failed(&self.path, cause))
    }

    /// Gives it its name. Nobody may have it open any more.
    pub(crate) fn finish(mut self) -> Result<PathBuf> {
        if cfg!(windows) {
            // There a file that is open cannot be replaced.
            self.lock = None;
        }
        settle(&self.partial, &self.path).map_err(|cause| failed(&self.path, cause))?;
        self.finished = true;
        sync_whole(&self.path).map_err(|cause| {
            failed(&self.path, cause).changed("the copy has its name, but could not be synced")
        })?;
        Ok(std::mem::take(&mut self.path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            let _ = remove(&self.partial);
            if self.made && !is_taken(&self.path) {
                let _ = fs::remove_file(&self.path);
            }
        }
    }
}

/// Refuses a missing database's name, where a log or journal is waiting for it. That belongs to one
/// that was deleted or moved away, and may be all that is left of its last transactions; SQLite
/// would read it into the file that gets the name.
pub(crate) fn refuse_left_beside(path: &Path) -> Result<()> {
    let files = ["-journal", "-wal", "-shm"].map(|tail| beside(path, tail));
    let left = files
        .into_iter()
        .find(|file| file.metadata().is_ok_and(|file| file.len() > 0 || !file.is_file()));
    left.map_or(Ok(()), |path| {
        Err(Error::from(ErrorKind::NotFresh { path }).advise(
            "it belongs to a database that is gone, and may hold that one's last transactions: \
             bring the database back, or, if they are not needed, move it away, or delete it",
        ))
    })
}

/// What tells a file from another one that has got its name.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    path.metadata().ok().map(|file| (file.dev(), file.ino()))
}

/// Elsewhere a file that is open keeps its name.
#[cfg(not(unix))]
fn identity(_path: &Path) -> Option<(u64, u64)> {
    None
}

fn is_taken(path: &Path) -> bool {
    path.metadata().is_ok_and(|there| there.len() > 0 || !there.is_file())
}

fn failed(path: &Path, cause: impl Into<BoxError>) -> Error {
    let cause = match stop_or_cause(cause.into()) {
        Ok(stopped) => return stopped,
        Err(cause) => cause,
    };
    let kind = ErrorKind::Backup { path: path.to_owned(), doing: "rehearsing in" };
    Error::from(kind).because(cause).advise("see the cause below, and rehearse again")
}
