//! The copy that a rehearsal works on: the whole database as one connection sees it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::backup::{Draft, beside, file_of, files_of, image};
use crate::error::{Error, ErrorKind, Result};
use crate::migration::BoxError;
use crate::migrator::Migrator;
use crate::path;
use crate::run::session;
use crate::sql::quoted;

/// Where a copy is kept.
#[derive(Clone, Copy)]
pub(super) enum Place<'p> {
    Memory,
    /// Where SQLite keeps what is temporary, in no folder.
    Temporary,
    /// A file that stays.
    File(&'p Path),
}

/// A database and a connection to it that nobody else has.
pub(super) struct Copy {
    pub(super) conn: Connection,
    draft: Option<Draft>,
}

impl Copy {
    /// Copies what the connection sees: `main`, what is attached, and TEMP. A read transaction is
    /// held meanwhile, so that it is one state, whoever writes.
    pub(super) fn of(from: &Connection, migrator: &Migrator, place: Place<'_>) -> Result<Copy> {
        let supervisor = migrator.supervisor(from);
        let tell = supervisor.copying(None);
        let patience = migrator.patience(from)?;
        let wait = patience.limit();
        let name = file_of(from).map_err(Error::sqlite("asking for the database's file"))?;
        let name = name.unwrap_or_else(|| PathBuf::from(":memory:"));
        let failed = |cause: BoxError| match cause.downcast::<Error>() {
            Ok(busy) => *busy,
            Err(cause) => {
                let kind = ErrorKind::Backup { path: name.clone(), doing: "copying" };
                Error::from(kind).because(cause).advise("see the cause below, and rehearse again")
            }
        };
        let draft = match place {
            Place::File(path) => {
                let asking = "asking for the databases' files";
                let files = patience.retry(|| files_of(from).map_err(Error::sqlite(asking)))?;
                Some(Draft::begin(path, &files)?)
            }
            Place::Memory | Place::Temporary => None,
        };
        let snapshot = patience.retry(|| {
            let sqlite = Error::sqlite("reading the database");
            Snapshot::of(from).map_err(sqlite)
        })?;
        let opening = "opening a copy of the database";
        let mut conn = match (&draft, place) {
            (Some(draft), _) => {
                draft.write(from, wait, &tell)?;
                path::open(draft.partial(), OpenFlags::default())
            }
            (None, Place::Temporary) => Connection::open("").map_err(BoxError::from),
            (None, _) => Connection::open_in_memory().map_err(BoxError::from),
        }
        .map_err(|cause| Error::from(ErrorKind::Sqlite { doing: opening }).because(cause))?;
        if draft.is_none() {
            // Before the first table, be it a TEMP one of `on_connect`.
            let like = || {
                let (size, encoding) = (page_size(from, "main")?, encoding(from)?);
                let text = format!("PRAGMA page_size = {size}; PRAGMA encoding = '{encoding}'");
                conn.execute_batch(&text)
            };
            like().map_err(Error::sqlite(opening))?;
        }
        migrator.prepare(&conn)?;
        // What the application attached there is no copy.
        detach_all(&conn).map_err(Error::sqlite(opening))?;
        if draft.is_none() {
            image::copy(from, &mut conn, wait, &tell, |done, total| crate::event::Event::Backup {
                done,
                total,
            })
            .map_err(failed)?;
        }
        for name in &snapshot.others {
            if name != "temp" {
                let file = if matches!(place, Place::Memory) { ":memory:" } else { "" };
                let name = quoted(name);
                let attach = || {
                    conn.execute_batch(&format!("ATTACH '{file}' AS {name}"))?;
                    let size = page_size(from, &name)?;
                    conn.execute_batch(&format!("PRAGMA {name}.page_size = {size}"))
                };
                attach().map_err(Error::sqlite(opening))?;
            }
            image::copy_attached(from, name, &mut conn, wait).map_err(failed)?;
        }
        drop(snapshot);
        session::carry_over(from, &conn).map_err(Error::sqlite(opening))?;
        if draft.is_some() {
            // What is written beside the file stays there, to be measured.
            let mode: String = from
                .query_row("PRAGMA main.journal_mode", [], |row| row.get(0))
                .map_err(Error::sqlite(opening))?;
            let wal = mode.eq_ignore_ascii_case("wal");
            let mode = if wal { "WAL; PRAGMA wal_autocheckpoint = 0" } else { "PERSIST" };
            run(&conn, &format!("PRAGMA main.journal_mode = {mode}"))?;
        }
        Ok(Copy { conn, draft })
    }

    /// How long the log or journal beside the file has become; `None` where there is no file.
    pub(super) fn beside(&self) -> Option<u64> {
        let path = self.draft.as_ref()?.partial();
        let lengths = ["-wal", "-journal"].map(|tail| beside(path, tail).metadata());
        Some(lengths.into_iter().flatten().map(|found| found.len()).max().unwrap_or(0))
    }

    /// Makes one finished file of it, if it is one.
    pub(super) fn finish(self) -> Result<Option<PathBuf>> {
        let Copy { conn, draft } = self;
        let Some(draft) = draft else { return Ok(None) };
        run(&conn, "PRAGMA main.journal_mode = DELETE")?;
        let closing = Error::sqlite("closing the copy of the database");
        conn.close().map_err(|(_, error)| closing(error))?;
        draft.finish().map(Some)
    }
}

/// A read transaction that has looked at every database of the connection.
struct Snapshot<'c> {
    _tx: Transaction<'c>,
    /// Those besides `main`.
    others: Vec<String>,
}

impl<'c> Snapshot<'c> {
    fn of(conn: &'c Connection) -> rusqlite::Result<Self> {
        let tx = Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
        let mut others = databases(&tx)?;
        let holds = |name: &str| -> rusqlite::Result<bool> {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {}.sqlite_master)", quoted(name));
            tx.query_row(&sql, [], |row| row.get(0))
        };
        holds("main")?;
        let mut empty = Vec::new();
        for name in &others {
            if !holds(name)? && name == "temp" {
                empty.push(name.clone());
            }
        }
        others.retain(|name| !empty.contains(name));
        Ok(Snapshot { _tx: tx, others })
    }
}

/// The databases of a connection besides `main`.
fn databases(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare("SELECT name FROM pragma_database_list WHERE seq <> 0")?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}

fn detach_all(conn: &Connection) -> rusqlite::Result<()> {
    for name in databases(conn)?.iter().filter(|name| *name != "temp") {
        conn.execute_batch(&format!("DETACH {}", quoted(name)))?;
    }
    Ok(())
}

fn page_size(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    conn.query_row(&format!("PRAGMA {name}.page_size"), [], |row| row.get(0))
}

fn encoding(conn: &Connection) -> rusqlite::Result<String> {
    conn.query_row("PRAGMA encoding", [], |row| row.get(0))
}

/// Runs pragmas, whatever they answer.
fn run(conn: &Connection, sql: &str) -> Result<()> {
    conn.execute_batch(sql).map_err(Error::sqlite("setting the journal of the copy"))
}
