//! The only room that names our tables: what has been applied, sown and done to a database.

pub(crate) mod adopt;
pub(crate) mod backfill;
pub(crate) mod foreign;
pub(crate) mod format;
mod held;
mod holder;
mod seal;
mod sentinel;
pub(crate) mod undo;
mod write;

use std::borrow::Cow;
use std::cell::RefCell;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use crate::error::{Error, ErrorKind, Result};
use crate::migration::Version;
use crate::report::{Compatibility, HistoryEntry};
use crate::source::Entry;
use crate::sql::Script;
pub(crate) use adopt::Takeover;
pub(crate) use holder::{Holder, Life, LiveRun};
pub(crate) use seal::{Moment, Program, Sight};
pub(crate) use undo::{
    ChangedRow, Damaged, Holding, Record, Recorded, Recording, RowsChecksum, damaged, damaged_line,
};

/// Our tables in one database, by their prefix.
pub(crate) struct Ledger<'c> {
    conn: &'c Connection,
    tables: Tables,
    app_version: Option<String>,
    /// A backup that the next lines of the history begin with.
    announced: RefCell<Option<String>>,
}

/// The names, in `main` and quoted: a TEMP table cannot get in between.
struct Tables {
    prefix: String,
    migrations: String,
    seeds: String,
    history: String,
    state: String,
    undo: String,
    undo_rows: String,
}

/// A row of `<prefix>_migrations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) version: Version,
    pub(crate) name: String,
    pub(crate) checksum: String,
    pub(crate) down_sql: Option<String>,
    pub(crate) compatibility: Compatibility,
    pub(crate) applied_at: String,
    pub(crate) app_version: Option<String>,
}

/// What the ledger says of a database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Applied {
    /// Rising by version.
    pub(crate) migrations: Vec<Row>,
    /// What the repeatables' rows say; their versions are negative and mean nothing.
    pub(crate) repeatables: Vec<Row>,
    pub(crate) mark: Option<Mark>,
    /// What was recorded and can be put back, the oldest first.
    pub(crate) records: Vec<Record>,
    /// What was recorded and is damaged: nothing is undone while it is there.
    pub(crate) damaged: Vec<Damaged>,
    /// Another tool's ledger that all this is read from, until it is taken over.
    pub(crate) takeover: Option<Box<Takeover>>,
    /// Whether any of our tables is there.
    pub(crate) begun: bool,
    /// Whether all of them are.
    pub(crate) complete: bool,
}

/// What a `no-transaction` migration leaves behind before it starts, and takes away at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) version: Version,
    pub(crate) name: String,
    /// Statements known to have finished.
    pub(crate) finished: usize,
    pub(crate) revert: bool,
    /// Who runs it, as far as the mark says: those of an older release do not.
    pub(crate) holder: Option<Holder>,
    /// When the holder last said so.
    pub(crate) at: Option<String>,
}

/// A row to write.
pub(crate) struct NewRow<'a> {
    pub(crate) version: Version,
    pub(crate) name: &'a str,
    pub(crate) checksum: &'a str,
    pub(crate) down_sql: Option<Cow<'a, str>>,
    pub(crate) compatibility: Compatibility,
    pub(crate) took: Duration,
}

/// A line of the history to write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deed<'a> {
    pub(crate) action: &'a str,
    pub(crate) version: Option<Version>,
    pub(crate) name: Option<&'a str>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) detail: Option<&'a str>,
}

/// A sentinel as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentinel {
    pub(crate) name: String,
    pub(crate) revision: u32,
    pub(crate) finished_at: Option<String>,
    pub(crate) state: String,
    /// Of a seed from a file: the checksum of the text that has run.
    pub(crate) content: Option<String>,
    /// Of a backfill: rows done, and to do.
    pub(crate) done: Option<i64>,
    pub(crate) total: Option<i64>,
}

/// UTC, ISO 8601, to the millisecond.
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

impl<'c> Ledger<'c> {
    pub(crate) fn of(
        conn: &'c Connection,
        prefix: &str,
        app_version: Option<&str>,
    ) -> Result<Self> {
        check_prefix(prefix)?;
        // The prefix has been found to be plain: there is nothing in it to quote.
        let name = |what: &str| ["main.\"", prefix, "_", what, "\""].concat();
        Ok(Ledger {
            conn,
            tables: Tables {
                prefix: prefix.to_owned(),
                migrations: name("migrations"),
                seeds: name("seeds"),
                history: name("history"),
                state: name("state"),
                undo: name("undo"),
                undo_rows: name("undo_rows"),
            },
            app_version: app_version.map(str::to_owned),
            announced: RefCell::default(),
        })
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.tables.prefix
    }

    /// Whether a table of the database is one of ours.
    pub(crate) fn owns(&self, table: &str) -> bool {
        owned(&self.tables.prefix).any(|name| table.eq_ignore_ascii_case(&name))
    }

    /// Reads what has been applied; a database without a ledger has had nothing.
    pub(crate) fn read(&self) -> Result<Applied> {
        let found = foreign::inspect(self.conn, &self.tables.prefix)?;
        let unnumbered = || format::is_unnumbered(self.conn, &self.tables.prefix);
        let mut applied = Applied {
            begun: found != foreign::Found::default(),
            complete: found.all()
                && !unnumbered().map_err(Error::sqlite("looking at the ledger's tables"))?,
            ..Applied::default()
        };
        if found.state {
            self.refuse_future_format()?;
            applied.mark = self.read_mark()?;
        }
        if applied.begun && !found.migrations {
            let table = format!("{}_migrations", self.tables.prefix);
            return Err(ErrorKind::LostLedger { table }.into());
        }
        if found.undo && found.history {
            let records = self.records().map_err(Error::sqlite("reading what was recorded"));
            (applied.records, applied.damaged) = records?;
        }
        if found.migrations {
            for row in self.rows().map_err(Error::sqlite("reading the ledger"))? {
                let repeatable = row.version.0 < 0;
                let list =
                    if repeatable { &mut applied.repeatables } else { &mut applied.migrations };
                list.push(row);
            }
        }
        Ok(applied)
    }

    fn rows(&self) -> rusqlite::Result<Vec<Row>> {
        let sql = format!(
            "SELECT version, name, checksum, down_sql, compatible, applied_at, app_version
             FROM {} ORDER BY version",
            self.tables.migrations
        );
        let mut statement = self.conn.prepare(&sql)?;
        let rows = statement.query_map([], |row| {
            let compatible: bool = row.get(4)?;
            Ok(Row {
                version: Version(row.get(0)?),
                name: row.get(1)?,
                checksum: row.get(2)?,
                down_sql: row.get(3)?,
                compatibility: match compatible {
                    true => Compatibility::Compatible,
                    false => Compatibility::Breaking,
                },
                applied_at: row.get(5)?,
                app_version: row.get(6)?,
            })
        })?;
        rows.collect()
    }

    /// Makes the tables that are not there. Inside a write transaction.
    pub(crate) fn create(&self) -> Result<()> {
        format::create(self.conn, &self.tables.prefix)
            .map_err(Error::sqlite("creating the ledger's tables"))
    }

    fn refuse_future_format(&self) -> Result<()> {
        let found = self.state("format").map_err(Error::sqlite("reading the ledger's format"))?;
        let Some(found) = found else { return Ok(()) };
        match found.parse::<i64>() {
            Ok(number) if number <= format::NUMBER => Ok(()),
            _ => {
                let table = format!("{}_state", self.tables.prefix);
                Err(ErrorKind::FutureFormat { table, found, known: format::NUMBER }.into())
            }
        }
    }

    fn state(&self, key: &str) -> rusqlite::Result<Option<String>> {
        let sql = format!("SELECT value FROM {} WHERE key = ?1", self.tables.state);
        self.conn.query_row(&sql, [key], |row| row.get(0)).optional()
    }

    fn set_state(&self, key: &str, value: &str) -> rusqlite::Result<()> {
        let sql = format!("REPLACE INTO {} (key, value) VALUES (?1, ?2)", self.tables.state);
        self.write("state", 1, || self.conn.execute(&sql, [key, value]))
    }

    fn read_mark(&self) -> Result<Option<Mark>> {
        let read = || Ok((self.state(RUNNING)?, self.state(HOLDER)?));
        let (mark, holder) = read().map_err(Error::sqlite("reading the ledger"))?;
        Ok(mark.as_deref().and_then(|mark| Mark::parse(mark, holder.as_deref())))
    }

    /// Writes the mark of a migration that begins. Inside a write transaction.
    pub(crate) fn begin_mark(&self, mark: &Mark) -> Result<()> {
        let set = || {
            self.in_transaction()?;
            self.set_state(RUNNING, &mark.to_text())?;
            match &mark.holder {
                Some(holder) => self.set_state(HOLDER, &mark.holding(&self.now()?, holder)),
                None => Ok(()),
            }
        };
        set().map_err(Error::sqlite("marking a migration as begun"))
    }

    /// Moves the mark on, if it is still this holder's; says whether it is. One statement that only
    /// writes: one that read first, in a transaction that was not begun as a writing one, could not
    /// write any more once others have committed (<https://sqlite.org/rescode.html#busy_snapshot>).
    /// It is an UPDATE, which leaves `last_insert_rowid()` to the script.
    pub(crate) fn move_mark(&self, mark: &Mark) -> Result<bool> {
        let Some(holder) = &mark.holder else { return Ok(true) };
        let sql = format!(
            "UPDATE {state} SET value = CASE key WHEN '{RUNNING}' THEN ?1 ELSE {NOW} || ?2 END
             WHERE key IN ('{RUNNING}', '{HOLDER}')
             AND EXISTS (SELECT 1 FROM {state} WHERE key = '{HOLDER}'
                         AND substr(value, instr(value, ' ') + 1, length(?3)) = ?3)",
            state = self.tables.state
        );
        let now = mark.holding("", holder);
        let values = [&mark.to_text(), &now, &format!("{}\n", holder.to_text())];
        let moving = "marking how far a migration is";
        let before = self.conn.total_changes();
        let rows = self.conn.execute(&sql, values).map_err(Error::sqlite(moving))?;
        if rows == 0 && !self.is_held_by(holder)? {
            return Ok(false);
        }
        self.refuse_disturbed("state", before, rows, 2).map_err(Error::sqlite(moving))?;
        Ok(true)
    }

    /// Whether the mark that is there, if any, is the one of this holder.
    pub(crate) fn is_held_by(&self, holder: &Holder) -> Result<bool> {
        Ok(self.read_mark()?.is_some_and(|mark| mark.holder.as_ref() == Some(holder)))
    }

    pub(crate) fn clear_mark(&self) -> Result<()> {
        self.erase("state", "key IN (?1, ?2)", [RUNNING, HOLDER])
            .map_err(Error::sqlite("clearing the mark of a migration"))
    }

    /// Writes rows, each through the one statement.
    pub(crate) fn insert<'r>(&self, rows: impl IntoIterator<Item = NewRow<'r>>) -> Result<()> {
        self.insert_rows(rows).map_err(Error::sqlite("writing the ledger"))
    }

    fn insert_rows<'r>(&self, rows: impl IntoIterator<Item = NewRow<'r>>) -> rusqlite::Result<()> {
        let sql = format!(
            "INSERT INTO {} (version, name, checksum, down_sql, compatible, applied_at, took_us,
                             app_version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            self.tables.migrations
        );
        self.in_transaction()?;
        self.touch()?;
        let mut statement = self.conn.prepare(&sql)?;
        // What is bound stays bound: https://sqlite.org/c3ref/bind_blob.html
        statement.raw_bind_parameter(6, self.now()?)?;
        statement.raw_bind_parameter(8, &self.app_version)?;
        for row in rows {
            statement.raw_bind_parameter(1, row.version.0)?;
            statement.raw_bind_parameter(2, row.name)?;
            statement.raw_bind_parameter(3, row.checksum)?;
            statement.raw_bind_parameter(4, row.down_sql.as_deref())?;
            let compatible = row.compatibility == Compatibility::Compatible;
            statement.raw_bind_parameter(5, compatible)?;
            statement.raw_bind_parameter(7, microseconds(row.took))?;
            self.write("migrations", 1, || statement.raw_execute())?;
        }
        Ok(())
    }

    fn now(&self) -> rusqlite::Result<String> {
        self.conn.query_row(&format!("SELECT {NOW}"), [], |row| row.get(0))
    }

    /// Deletes a row, and what is on record of its migration: that does not fit another run of it.
    pub(crate) fn delete(&self, version: Version) -> Result<()> {
        self.forget_recorded(version)?;
        self.in_transaction()
            .and_then(|()| self.touch())
            .and_then(|()| self.erase("migrations", "version = ?1", [version.0]))
            .map_err(Error::sqlite("deleting a row of the ledger"))
    }

    /// Makes a repeatable's row one that no text matches: it will run again.
    pub(crate) fn outdate(&self, version: Version) -> Result<()> {
        let sql = format!("UPDATE {} SET checksum = '' WHERE version = ?1", self.tables.migrations);
        self.in_transaction()
            .and_then(|()| self.touch())
            .and_then(|()| self.write("migrations", 1, || self.conn.execute(&sql, [version.0])))
            .map_err(Error::sqlite("amending a row of the ledger"))
    }

    /// Brings a row in line with the set.
    pub(crate) fn amend(&self, entry: &Entry) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET name = ?2, checksum = ?3, down_sql = ?4, compatible = ?5
             WHERE version = ?1",
            self.tables.migrations
        );
        let Entry { version, name, .. } = entry;
        let down = entry.down.as_deref().map(Script::stored);
        let compatible = entry.compatibility == Compatibility::Compatible;
        let values = params![version.0, name, entry.checksum(), down, compatible];
        self.in_transaction()
            .and_then(|()| self.touch())
            .and_then(|()| self.write("migrations", 1, || self.conn.execute(&sql, values)))
            .map_err(Error::sqlite("amending a row of the ledger"))
    }

    /// A backup of this file name was made: the next lines of the history begin with that, so that
    /// it is told by the first transaction that changes what it is a backup of.
    pub(crate) fn announce_backup(&self, file: String) {
        *self.announced.borrow_mut() = Some(file);
    }

    /// Adds lines to the history, each through the one statement.
    pub(crate) fn record<'a>(&self, deeds: impl IntoIterator<Item = Deed<'a>>) -> Result<()> {
        self.record_each(&mut deeds.into_iter())
    }

    fn record_each<'a>(&self, deeds: &mut dyn Iterator<Item = Deed<'a>>) -> Result<()> {
        let writing = "writing the history";
        if let Some(file) = self.announced.borrow_mut().take() {
            let backup = Deed { action: "backup", detail: Some(&file), ..Deed::default() };
            self.record_all(&mut std::iter::once(backup)).map_err(Error::sqlite(writing))?;
        }
        self.record_all(deeds).map_err(Error::sqlite(writing))
    }

    fn record_all<'a>(&self, deeds: &mut dyn Iterator<Item = Deed<'a>>) -> rusqlite::Result<()> {
        let mut deeds = deeds.peekable();
        if deeds.peek().is_none() {
            return Ok(());
        }
        self.in_transaction()?;
        let sql = format!(
            "INSERT INTO {} (at, action, version, name, reason, detail, app_version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            self.tables.history
        );
        let mut statement = self.conn.prepare(&sql)?;
        statement.raw_bind_parameter(1, self.now()?)?;
        statement.raw_bind_parameter(7, &self.app_version)?;
        for deed in deeds {
            let Deed { action, version, name, reason, detail } = deed;
            statement.raw_bind_parameter(2, action)?;
            statement.raw_bind_parameter(3, version.map(|version| version.0))?;
            statement.raw_bind_parameter(4, name)?;
            statement.raw_bind_parameter(5, reason)?;
            statement.raw_bind_parameter(6, detail)?;
            self.write("history", 1, || statement.raw_execute())?;
        }
        Ok(())
    }

    /// The number and the time of the last line of the history, by which what is stored can be told
    /// from what was there before; `None` where there is no line.
    pub(crate) fn last_line(&self) -> Result<Option<String>> {
        let sql =
            format!("SELECT id || ' ' || at FROM {} ORDER BY id DESC LIMIT 1", self.tables.history);
        match self.conn.query_row(&sql, [], |row| row.get(0)).optional() {
            // There is no such table.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => Ok(None),
            line => line.map_err(Error::sqlite("reading the history")),
        }
    }

    /// The whole history, oldest first.
    pub(crate) fn history(&self) -> Result<Vec<HistoryEntry>> {
        if !foreign::inspect(self.conn, &self.tables.prefix)?.history {
            return Ok(Vec::new());
        }
        self.history_rows().map_err(Error::sqlite("reading the history"))
    }

    fn history_rows(&self) -> rusqlite::Result<Vec<HistoryEntry>> {
        let sql = format!(
            "SELECT id, at, action, version, name, reason, detail, app_version
             FROM {} ORDER BY id",
            self.tables.history
        );
        let mut statement = self.conn.prepare(&sql)?;
        let rows = statement.query_map([], |row| {
            let version: Option<i64> = row.get(3)?;
            Ok(HistoryEntry {
                id: row.get(0)?,
                at: row.get(1)?,
                action: row.get(2)?,
                version: version.map(Version),
                name: row.get(4)?,
                reason: row.get(5)?,
                detail: row.get(6)?,
                app_version: row.get(7)?,
            })
        })?;
        rows.collect()
    }

    /// Every sentinel, in one query.
    pub(crate) fn sentinels(&self) -> Result<Vec<Sentinel>> {
        if !foreign::inspect(self.conn, &self.tables.prefix)?.seeds {
            return Ok(Vec::new());
        }
        self.sentinel_rows("", []).map_err(Error::sqlite("reading the seeds' sentinels"))
    }

    /// One sentinel, read again under the lock.
    pub(crate) fn sentinel(&self, name: &str) -> Result<Option<Sentinel>> {
        let found = self.sentinel_rows("WHERE name = ?1", [name]);
        let mut found = found.map_err(Error::sqlite("reading a seed's sentinel"))?;
        Ok(found.pop())
    }

    fn sentinel_rows(
        &self,
        which: &str,
        values: impl rusqlite::Params,
    ) -> rusqlite::Result<Vec<Sentinel>> {
        let sql = format!(
            "SELECT name, revision, finished_at, state, done, total,
                    CASE WHEN done IS NULL THEN cursor END
             FROM {} {which} ORDER BY finished_at, name",
            self.tables.seeds
        );
        let mut statement = self.conn.prepare(&sql)?;
        let rows = statement.query_map(values, |row| {
            Ok(Sentinel {
                name: row.get(0)?,
                revision: row.get(1)?,
                finished_at: row.get(2)?,
                state: row.get(3)?,
                done: row.get(4)?,
                total: row.get(5)?,
                content: row.get(6)?,
            })
        })?;
        rows.collect()
    }

    /// Writes a seed's sentinel, inside the transaction of its writes.
    pub(crate) fn sow(
        &self,
        name: &str,
        revision: u32,
        rows_changed: u64,
        took: Duration,
    ) -> Result<()> {
        let sql = format!(
            "REPLACE INTO {} (name, revision, state, rows_changed, started_at, finished_at,
                              took_us, app_version)
             VALUES (?1, ?2, 'done', ?3,
                     strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?4 || ' seconds'), {NOW}, ?5, ?6)",
            self.tables.seeds
        );
        let rows_changed = i64::try_from(rows_changed).unwrap_or(i64::MAX);
        let ago = format!("-{:.3}", took.as_secs_f64());
        let values =
            params![name, revision, rows_changed, ago, microseconds(took), self.app_version];
        self.in_transaction()
            .and_then(|()| self.write("seeds", 1, || self.conn.execute(&sql, values)))
            .map_err(Error::sqlite("writing a seed's sentinel"))
    }

    /// Forgets that one seed or backfill has run.
    pub(crate) fn forget_seed(&self, name: &str) -> Result<()> {
        self.erase("seeds", "name = ?1", [name])
            .map_err(Error::sqlite("deleting a seed's sentinel"))
    }

    /// Forgets every sentinel: nothing of what the seeds wrote is left.
    pub(crate) fn forget_seeds(&self) -> Result<()> {
        self.in_transaction()
            .and_then(|()| self.erase("seeds", "1", []))
            .and_then(|()| self.forget_skipped(None))
            .map_err(Error::sqlite("deleting the seeds' sentinels"))
    }
}

/// The tables of a ledger, as they are called.
pub(crate) fn owned(prefix: &str) -> impl Iterator<Item = String> {
    let ours = format::TABLES.iter().chain(&format::UNDO).chain([&format::SKIPPED]);
    ours.map(move |(what, _)| format!("{prefix}_{what}"))
}

/// Refuses a prefix that would need quotes, or that SQLite keeps for itself.
pub(crate) fn check_prefix(prefix: &str) -> Result<()> {
    let plain = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let reserved = prefix.get(..6).is_some_and(|head| head.eq_ignore_ascii_case("sqlite"));
    if !prefix.is_empty() && plain && !reserved {
        return Ok(());
    }
    let why = "a ledger's prefix is of letters, digits and `_`, and not `sqlite`".to_owned();
    let kind = ErrorKind::BadName { file: prefix.to_owned(), why };
    Err(Error::from(kind).advise("give `ledger` another prefix"))
}

/// Keys of the state: the mark of a migration that runs outside a transaction, and who holds it.
const RUNNING: &str = "running";
const HOLDER: &str = "holder";

impl Mark {
    /// Whether two looks found the same, times left out.
    pub(crate) fn is(&self, other: &Mark) -> bool {
        Mark { at: None, ..self.clone() } == Mark { at: None, ..other.clone() }
    }

    /// `<time> <holder>`, and on a line of its own the mark that it is of.
    fn holding(&self, now: &str, holder: &Holder) -> String {
        format!("{now} {}\n{}", holder.to_text(), self.to_text())
    }

    /// `<version>/<finished>/<up or down>/<name>`
    fn to_text(&self) -> String {
        let way = if self.revert { "down" } else { "up" };
        format!("{}/{}/{way}/{}", self.version, self.finished, self.name)
    }

    fn parse(text: &str, holder: Option<&str>) -> Option<Self> {
        let mut parts = text.splitn(4, '/');
        // Of another mark, which an earlier release has replaced by this one, it says nothing.
        let holder = holder.and_then(|holder| holder.split_once('\n'));
        let holder = holder.filter(|(_, of)| *of == text).map(|(holder, _)| holder);
        let (at, holder) = holder.and_then(|holder| holder.split_once(' ')).unzip();
        Some(Mark {
            at: at.map(str::to_owned),
            holder: holder.and_then(Holder::parse),
            version: Version(parts.next()?.parse().ok()?),
            finished: parts.next()?.parse().ok()?,
            revert: parts.next()? == "down",
            name: parts.next()?.to_owned(),
        })
    }
}

fn microseconds(took: Duration) -> i64 {
    i64::try_from(took.as_micros()).unwrap_or(i64::MAX)
}
