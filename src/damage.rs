//! A damaged file: recognised by SQLite's codes, and told with the way back.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ffi};

use crate::backup::{Backup, file_of};
use crate::error::{Error, ErrorKind, Result};
use crate::migrator::Migrator;

/// What SQLite, or the check of a copy, has found damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// `SQLITE_CORRUPT`: a page of the file, which can be of any table.
    File,
    /// `SQLITE_NOTADB`: the header, unless the file is encrypted or another one.
    Header,
    /// `SQLITE_CORRUPT_INDEX`: entries of an index that do not fit its table.
    Index,
    /// `SQLITE_CORRUPT_SEQUENCE`: the table of AUTOINCREMENT's numbers.
    Sequence,
    /// `SQLITE_CORRUPT_VTAB`: what a virtual table keeps. The file itself may be whole.
    VirtualTable,
}

/// The newest backup of a database.
pub(crate) type Newest = fn(&Backup, &Path) -> Option<PathBuf>;

impl Damage {
    /// By SQLite's codes: <https://sqlite.org/rescode.html>.
    pub(crate) fn of(error: &rusqlite::Error) -> Option<Self> {
        let code = error.sqlite_error()?.extended_code;
        match code {
            ffi::SQLITE_CORRUPT_INDEX => Some(Damage::Index),
            ffi::SQLITE_CORRUPT_SEQUENCE => Some(Damage::Sequence),
            ffi::SQLITE_CORRUPT_VTAB => Some(Damage::VirtualTable),
            _ => match code & 0xff {
                ffi::SQLITE_CORRUPT => Some(Damage::File),
                ffi::SQLITE_NOTADB => Some(Damage::Header),
                _ => None,
            },
        }
    }

    fn what(self) -> &'static str {
        match self {
            Damage::File => "is damaged",
            Damage::Header => "is damaged, encrypted or no database",
            Damage::Index => "has a damaged index",
            Damage::Sequence => "has a damaged table `sqlite_sequence`",
            Damage::VirtualTable => "has a virtual table whose content is damaged",
        }
    }

    fn advice(self, backup: Option<&Path>) -> String {
        let first = match self {
            Damage::File | Damage::Sequence => "copy the file as it is to a safe place; then ",
            Damage::Header => {
                "check the path; if the file is encrypted, give its key before migrating; if it is \
                 damaged, move it and the files beside it (`-wal`, `-journal`, `-shm`) to a safe \
                 place, open a new one of that name; then "
            }
            Damage::Index => {
                "execute `REINDEX` and then `PRAGMA integrity_check`; if that does not say ok, "
            }
            Damage::VirtualTable => {
                "the file itself may be whole: build the virtual table again (FTS5: `INSERT INTO \
                 <table>(<table>) VALUES ('rebuild')`) and execute `PRAGMA integrity_check`; if \
                 that does not say ok, "
            }
        };
        let then = match backup {
            Some(path) => {
                format!(
                    "`restore` the newest backup, {}, which lacks what was written since",
                    path.display()
                )
            }
            None => {
                "`restore` a backup; without one, `.recover` of SQLite's command line saves what \
                     can be read (https://sqlite.org/recovery.html)"
                    .to_owned()
            }
        };
        format!("{first}{then}")
    }
}

impl Migrator {
    /// Says of an error that comes from damage that it does: what the statement, the function or the
    /// check was that met it is a matter of chance.
    pub(crate) fn judge<T>(&self, conn: &Connection, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error.damage() {
            Some(damage) => self.damaged(conn, damage, error),
            None => error,
        })
    }

    #[cold]
    fn damaged(&self, conn: &Connection, damage: Damage, error: Error) -> Error {
        let path = file_of(conn).ok().flatten();
        let newest = self.backup.as_ref().zip(self.means.newest_backup).zip(path.as_deref());
        let backup = newest.and_then(|((backup, newest), path)| newest(backup, path));
        let advice = damage.advice(backup.as_deref());
        let doing = error.kind().to_string();
        let path = path.unwrap_or_else(|| ":memory:".into());
        error
            .into_kind(ErrorKind::Damaged { path, what: damage.what(), doing, backup })
            .advise(advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_by_primary_and_extended_codes() {
        let table = [
            (ffi::SQLITE_CORRUPT, Some(Damage::File)),
            (ffi::SQLITE_NOTADB, Some(Damage::Header)),
            (ffi::SQLITE_CORRUPT_INDEX, Some(Damage::Index)),
            (ffi::SQLITE_CORRUPT_SEQUENCE, Some(Damage::Sequence)),
            (ffi::SQLITE_CORRUPT_VTAB, Some(Damage::VirtualTable)),
            // One that a later SQLite may add.
            (ffi::SQLITE_CORRUPT | 9 << 8, Some(Damage::File)),
            (ffi::SQLITE_IOERR, None),
            (ffi::SQLITE_ERROR, None),
        ];
        for (code, damage) in table {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(Damage::of(&error), damage, "{code}");
        }
        assert_eq!(Damage::of(&rusqlite::Error::QueryReturnedNoRows), None);
    }
}
