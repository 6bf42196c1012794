//! A copy under a name that somebody chose: it has another one until it is finished.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::folder::{Lock, create, remove, settle, sync};
use super::restore::same_file;
use super::{file_name, image};
use crate::error::{Error, ErrorKind, Result};
use crate::migration::BoxError;

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
        let partial = path.with_file_name(format!(".{}.rehearsal-partial", file_name(path)));
        let refused = || Err(ErrorKind::NotFresh { path: path.to_owned() }.into());
        if is_taken(path) || databases.iter().any(|database| same_file(path, database)) {
            return refused();
        }
        let made = path.symlink_metadata().is_err();
        let lock = Lock::on(path, database).map_err(|cause| {
            failed(path, cause).advise("give it a folder that is there and may be written")
        })?;
        // Another process may have finished its own in the meantime.
        if is_taken(path) {
            return refused();
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
    pub(crate) fn write(&self, from: &Connection, wait: Duration) -> Result<()> {
        image::write(from, &self.partial, wait, &|_| ()).map_err(|cause| failed(&self.path, cause))
    }

    /// Gives it its name. Nobody may have it open any more.
    pub(crate) fn finish(mut self) -> Result<PathBuf> {
        if cfg!(windows) {
            // There a file that is open cannot be replaced.
            self.lock = None;
        }
        settle(&self.partial, &self.path).map_err(|cause| failed(&self.path, cause))?;
        self.finished = true;
        sync(&self.path).map_err(|cause| {
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

fn is_taken(path: &Path) -> bool {
    path.metadata().is_ok_and(|there| there.len() > 0 || !there.is_file())
}

fn failed(path: &Path, cause: impl Into<BoxError>) -> Error {
    let kind = ErrorKind::Backup { path: path.to_owned(), doing: "rehearsing in" };
    Error::from(kind).because(cause).advise("see the cause below, and rehearse again")
}
