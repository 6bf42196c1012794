//! The folder that one database's backups are in: their names, their order, and who may write.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, MAIN_DB, OpenFlags};

use crate::migration::BoxError;

/// The backups of one database.
pub(crate) struct Folder<'a> {
    path: &'a Path,
    /// The database's file name.
    file: Cow<'a, str>,
}

/// Holds off other processes until dropped; a process that is killed lets go too.
pub(crate) struct Lock {
    _conn: Connection,
}

/// A backup's name: `<file>.v<version>.<stamp>`, and `-002` and on within one second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    // The order of the fields is that of age.
    stamp: String,
    nth: u32,
    version: i64,
    text: String,
}

impl Name {
    fn new(file: &str, version: i64, stamp: &str, nth: u32) -> Self {
        let mut text = format!("{file}.v{version:04}.{stamp}");
        if nth > 1 {
            text.push_str(&format!("-{nth:03}"));
        }
        Name { stamp: stamp.to_owned(), nth, version, text }
    }

    /// Reads a name that is exactly one of ours.
    fn parse(file: &str, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(file)?.strip_prefix(".v")?;
        let (version, rest) = rest.split_once('.')?;
        let (stamp, nth) = match rest.split_once('-') {
            Some((stamp, nth)) => (stamp, nth.parse().ok()?),
            None => (rest, 1),
        };
        let form = stamp.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b });
        if !form.eq(*b"00000000T000000Z") {
            return None;
        }
        let name = Name::new(file, version.parse().ok()?, stamp, nth);
        // What was written otherwise, be it a number without its zeros, was not written by us.
        (name.text == text).then_some(name)
    }
}

/// The version in a file's name, if that is the name of a backup of a database of this name.
pub(super) fn version_in(database: &str, file: &str) -> Option<i64> {
    Name::parse(database, file).map(|name| name.version)
}

impl<'a> Folder<'a> {
    pub(super) fn new(path: &'a Path, file: Cow<'a, str>) -> Self {
        Folder { path, file }
    }

    /// Takes the folder's lock, or fails at once with "busy".
    pub(super) fn lock(&self, database: &Path) -> Result<Lock, BoxError> {
        Lock::on(&self.path.join(format!(".{}.backup-lock", self.file)), database)
    }

    fn partial(&self) -> PathBuf {
        self.path.join(format!(".{}.backup-partial", self.file))
    }

    /// Removes what a process that was killed has left. Only the lock's holder writes there.
    pub(super) fn clear_partial(&self) -> io::Result<()> {
        remove(&self.partial())
    }

    /// A file to write into, empty, and readable by nobody who could not read the database.
    pub(super) fn create_partial(&self, database: &Path) -> io::Result<PathBuf> {
        let partial = self.partial();
        create(&partial, database)?;
        Ok(partial)
    }

    /// Gives the finished file its name. Its folder still has to be synced, see [`sync`].
    pub(super) fn finish(&self, version: i64, stamp: &str) -> io::Result<PathBuf> {
        let mut nth = 1;
        let path = loop {
            let path = self.path.join(Name::new(&self.file, version, stamp, nth).text);
            if !path.try_exists()? {
                break path;
            }
            nth += 1;
        };
        settle(&self.partial(), &path)?;
        Ok(path)
    }

    /// The newest backup, where it is of this version and holds just what was written now: a
    /// program that fails at every start must not push out the backups of better days.
    pub(super) fn same_as_newest(&self, version: i64) -> io::Result<Option<PathBuf>> {
        let newest = self.backups()?.into_iter().next_back();
        let Some(newest) = newest.filter(|name| name.version == version) else {
            return Ok(None);
        };
        let path = self.path.join(newest.text);
        Ok(same(&self.partial(), &path)?.then_some(path))
    }

    /// Deletes the oldest until so many are left, never the one just made.
    pub(super) fn prune(&self, keep: usize, made: &Path) -> io::Result<()> {
        let backups = self.backups()?;
        let mut surplus = backups.len().saturating_sub(keep.max(1));
        for backup in backups {
            let path = self.path.join(&backup.text);
            if surplus == 0 {
                break;
            }
            if path == made {
                continue;
            }
            fs::remove_file(path)?;
            surplus -= 1;
        }
        Ok(())
    }

    /// This database's backups, the oldest first.
    fn backups(&self) -> io::Result<Vec<Name>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path)? {
            let entry = entry?;
            let name = entry.file_name().to_str().and_then(|text| Name::parse(&self.file, text));
            if let Some(name) = name
                && entry.file_type()?.is_file()
            {
                found.push(name);
            }
        }
        found.sort();
        Ok(found)
    }
}

impl Lock {
    /// Takes the lock on a file that is empty, made if it is not there, or fails at once with
    /// "busy". It is SQLite's lock: of all locks it is the one that has to work here anyway.
    pub(super) fn on(path: &Path, database: &Path) -> Result<Lock, BoxError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let there = path.symlink_metadata().is_ok();
        let conn = Connection::open_with_flags(path, flags)?;
        if !there {
            // Through its path: opening and closing it as a file would let go of SQLite's lock.
            resemble(path, database);
        }
        if conn.is_readonly(MAIN_DB)? {
            // The lock would be one for reading, which others can have too.
            return Err(format!("{} may not be written by this user", path.display()).into());
        }
        conn.busy_timeout(Duration::ZERO)?;
        // A journal would be a file beside it.
        conn.execute_batch("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")?;
        Ok(Lock { _conn: conn })
    }
}

/// Removes a database file, and what SQLite may have left beside it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for tail in ["", "-journal", "-wal", "-shm"] {
        match fs::remove_file(beside(path, tail)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The file that SQLite keeps beside a database's.
pub(crate) fn beside(path: &Path, tail: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(tail);
    path.into()
}

/// An empty file in the place of whatever was there, which nobody can read who could not read the
/// database.
pub(super) fn create(path: &Path, database: &Path) -> io::Result<()> {
    remove(path)?;
    OpenOptions::new().write(true).create_new(true).open(path)?;
    resemble(path, database);
    Ok(())
}

/// Gives a finished file its name. It is synced before, so that what has the name is whole; its
/// folder still has to be synced, see [`sync`].
pub(super) fn settle(partial: &Path, path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).write(true).open(partial)?.sync_all()?;
    fs::rename(partial, path)
}

/// Syncs a file and its folder: from then on a power loss takes neither its content nor its name.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    // Windows syncs only what is open for writing.
    OpenOptions::new().read(true).write(cfg!(windows)).open(path)?.sync_all()?;
    // Elsewhere a folder cannot be opened as a file.
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Gives a file that was just made the database's owner and permissions, as far as this user may.
/// A file system without permissions has none to keep.
fn resemble(made: &Path, database: &Path) {
    let Ok(metadata) = fs::metadata(database) else { return };
    let permissions = own(made, &metadata);
    let _ = fs::set_permissions(made, permissions);
}

/// Hands a file over to the database's owner. Returns the permissions that it may have then: those
/// of the database's group are not for another one.
#[cfg(unix)]
fn own(made: &Path, database: &fs::Metadata) -> fs::Permissions {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
    let (user, group) = (database.uid(), database.gid());
    if lchown(made, Some(user), Some(group)).is_err() {
        let _ = lchown(made, None, Some(group));
    }
    let mut permissions = database.permissions();
    if fs::symlink_metadata(made).is_ok_and(|made| made.gid() != group) {
        permissions.set_mode(permissions.mode() & !0o070);
    }
    permissions
}

#[cfg(not(unix))]
fn own(_made: &Path, database: &fs::Metadata) -> fs::Permissions {
    database.permissions()
}

/// Whether two files hold the same bytes.
fn same(a: &Path, b: &Path) -> io::Result<bool> {
    if fs::metadata(a)?.len() != fs::metadata(b)?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    loop {
        of_a.clear();
        of_b.clear();
        let read = a.by_ref().take(1 << 16).read_to_end(&mut of_a)?;
        b.by_ref().take(1 << 16).read_to_end(&mut of_b)?;
        if of_a != of_b {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_ours_only_if_we_would_write_it_so() {
        for ours in [
            "app.db.v0007.20261121T120000Z",
            "app.db.v0000.20261121T120000Z-002",
            "app.db.v20261121120000.20261121T120000Z",
        ] {
            assert!(version_in("app.db", ours).is_some(), "{ours}");
        }
        for other in [
            "app.db",
            "app.db.v7.20261121T120000Z",
            "app.db.v00007.20261121T120000Z",
            "app.db.v0007.20261121T120000Z-2",
            "app.db.v0007.20261121T120000Z-001",
            "app.db.v0007.20261121T120000Z.gz",
            "app.db.v0007.20261121120000",
            "app.db.v0007",
            "my.app.db.v0007.20261121T120000Z",
            "app.db.v+007.20261121T120000Z",
        ] {
            assert!(version_in("app.db", other).is_none(), "{other}");
        }
    }

    #[test]
    fn names_sort_by_age() {
        let stamps = ["20261121T120000Z", "20261121T120001Z"];
        let first = Name::new("a", 9, stamps[0], 1);
        let names = [first, Name::new("a", 9, stamps[0], 2), Name::new("a", 8, stamps[1], 1)];
        assert!(names.is_sorted());
        assert!(names[0].text < names[1].text);
    }
}
