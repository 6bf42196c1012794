//! What recorded deeds changed, row by row, so that they can be put back exactly. Two tables, made
//! by the first deed that is recorded: most databases never have them.

use std::time::Duration;

use rusqlite::{Statement, params};

use super::{Ledger, NOW, foreign, format};
use crate::error::{Error, Result};
use crate::migration::Version;

/// Whose changes a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    Migration(Version),
    /// A seed, by the revision that ran, and the one that its sentinel had before, if any.
    Seed {
        revision: u32,
        before: Option<u32>,
    },
}

/// That there is a record, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: i64,
    pub(crate) of: Recorded,
    pub(crate) name: String,
    /// The versions that were applied before it, of which none is to be taken back before it.
    /// Empty for a migration: its own version says where it stands.
    pub(crate) after: Vec<Version>,
}

/// One row as it was and as it became; `None` where there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangedRow {
    pub(crate) table: String,
    pub(crate) key: Vec<u8>,
    pub(crate) before: Option<Vec<u8>>,
    pub(crate) after: Option<Vec<u8>>,
}

/// Writes a record: its rows one by one, then what they are the record of.
pub(crate) struct Recording<'c> {
    ledger: &'c Ledger<'c>,
    insert: Statement<'c>,
    first: i64,
}

impl Recording<'_> {
    pub(crate) fn push(&mut self, row: &ChangedRow) -> Result<()> {
        let ChangedRow { table, key, before, after } = row;
        let Recording { ledger, insert, .. } = self;
        let values = params![table, key, before, after];
        ledger
            .write("undo_rows", 1, || insert.execute(values))
            .map_err(Error::sqlite("recording a changed row"))
    }
}

impl Ledger<'_> {
    /// Makes the tables, those of records too, if they are not there. Inside a write transaction.
    pub(crate) fn begin_recording(&self) -> Result<Recording<'_>> {
        let begin = || {
            self.in_transaction()?;
            format::create(self.conn, self.prefix())?;
            format::create_undo(self.conn, self.prefix())?;
            let rows = &self.tables.undo_rows;
            let newest = format!("SELECT ifnull(max(id), 0) FROM {rows}");
            let newest: i64 = self.conn.query_row(&newest, [], |row| row.get(0))?;
            let insert =
                format!("INSERT INTO {rows} (tbl, key, before, after) VALUES (?1, ?2, ?3, ?4)");
            Ok(Recording { ledger: self, insert: self.conn.prepare(&insert)?, first: newest + 1 })
        };
        begin().map_err(Error::sqlite("making room for a record of changed rows"))
    }

    /// Says whose the rows are that were pushed. No number is given twice, since the history, which
    /// only grows, has a line for every record: who read one before another process took that record
    /// back does not take back another. What an earlier run of the same migration left
    /// goes: that run has been taken back, or the ledger would not have let it run again.
    pub(crate) fn end_recording(
        &self,
        recording: Recording<'_>,
        of: &Recorded,
        name: &str,
        tables: &str,
    ) -> Result<()> {
        let first = recording.first;
        drop(recording);
        let (version, revision, before) = match of {
            Recorded::Migration(version) => (Some(version.0), None, None),
            Recorded::Seed { revision, before } => (None, Some(*revision), *before),
        };
        if let Some(version) = version {
            self.forget_where("version = ?1", [version])?;
        }
        let sql = format!(
            "INSERT INTO {undo} (id, version, name, revision, revision_before, at, history, tables,
                                 first_row, last_row, app_version)
             SELECT 1 + max(history, (SELECT ifnull(max(id), 0) FROM {undo})),
                    ?1, ?2, ?3, ?4, {NOW}, history, ?5, ?6,
                    (SELECT ifnull(max(id), 0) FROM {rows}), ?7
             FROM (SELECT ifnull(max(id), 0) AS history FROM {history})",
            undo = self.tables.undo,
            history = self.tables.history,
            rows = self.tables.undo_rows,
        );
        let values = params![version, name, revision, before, tables, first, self.app_version];
        self.in_transaction()
            .and_then(|()| self.write("undo", 1, || self.conn.execute(&sql, values)))
            .map_err(Error::sqlite("recording what was changed"))
    }

    /// What can be put back, the oldest first.
    pub(super) fn records(&self) -> rusqlite::Result<Vec<Record>> {
        let sql = format!(
            "SELECT id, version, name, revision, revision_before, history FROM {} ORDER BY id",
            self.tables.undo
        );
        let mut statement = self.conn.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut records = Vec::new();
        let mut applied = None;
        while let Some(row) = rows.next()? {
            let version: Option<i64> = row.get(1)?;
            let (of, after) = match version {
                Some(version) => (Recorded::Migration(Version(version)), Vec::new()),
                None => {
                    let applied = match &mut applied {
                        Some(applied) => applied,
                        none => none.insert(self.applied_when()?),
                    };
                    let history: i64 = row.get(5)?;
                    let before = applied.iter().filter(|(_, id)| *id <= history);
                    let after = before.map(|(version, _)| *version).collect();
                    let (revision, before) = (row.get(3)?, row.get(4)?);
                    (Recorded::Seed { revision, before }, after)
                }
            };
            records.push(Record { id: row.get(0)?, of, name: row.get(2)?, after });
        }
        Ok(records)
    }

    /// The line of the history at which each migration was last applied.
    fn applied_when(&self) -> rusqlite::Result<Vec<(Version, i64)>> {
        let sql = format!(
            "SELECT version, max(id) FROM {}
             WHERE action IN ('apply', 'baseline') AND version IS NOT NULL GROUP BY version ORDER BY version",
            self.tables.history
        );
        let mut statement = self.conn.prepare(&sql)?;
        let rows = statement.query_map([], |row| Ok((Version(row.get(0)?), row.get(1)?)))?;
        rows.collect()
    }

    /// The tables of a record, each as it was then, one to a line.
    pub(crate) fn recorded_tables(&self, id: i64) -> Result<String> {
        let sql = format!("SELECT tables FROM {} WHERE id = ?1", self.tables.undo);
        self.conn
            .query_row(&sql, [id], |row| row.get(0))
            .map_err(Error::sqlite("reading what was changed"))
    }

    /// Goes over the rows of a record, in the order they were recorded in.
    pub(crate) fn each_recorded_row(
        &self,
        id: i64,
        look: &mut dyn FnMut(ChangedRow) -> Result<()>,
    ) -> Result<()> {
        let reading = "reading a changed row";
        let sql = format!(
            "SELECT r.tbl, r.key, r.before, r.after FROM {rows} AS r, {undo} AS u
             WHERE u.id = ?1 AND r.id BETWEEN u.first_row AND u.last_row ORDER BY r.id",
            rows = self.tables.undo_rows,
            undo = self.tables.undo,
        );
        let mut statement = self.conn.prepare(&sql).map_err(Error::sqlite(reading))?;
        let mut rows = statement.query([id]).map_err(Error::sqlite(reading))?;
        while let Some(row) = rows.next().map_err(Error::sqlite(reading))? {
            let read = || {
                Ok(ChangedRow {
                    table: row.get(0)?,
                    key: row.get(1)?,
                    before: row.get(2)?,
                    after: row.get(3)?,
                })
            };
            look(read().map_err(Error::sqlite(reading))?)?;
        }
        Ok(())
    }

    /// Forgets a record, whose rows have been put back. A seed's sentinel is again as it was.
    pub(crate) fn undone(&self, record: &Record) -> Result<()> {
        self.forget_where("id = ?1", [record.id])?;
        let Recorded::Seed { before, .. } = record.of else {
            return Ok(());
        };
        let name = &record.name;
        // Of a seed from a file, which text that was is not kept.
        let sql = format!(
            "UPDATE {} SET revision = ?2, cursor = CASE WHEN cursor NOT NULL THEN '' END
             WHERE name = ?1",
            self.tables.seeds
        );
        let take_back = || match before {
            Some(_) => self.write("seeds", 1, || self.conn.execute(&sql, params![name, before])),
            None => self.erase("seeds", "name = ?1", [name]),
        };
        self.in_transaction()
            .and_then(|()| take_back())
            .map_err(Error::sqlite("taking a seed's sentinel back"))
    }

    /// Forgets what was recorded of a seed: a run that is not recorded stands on top of it now.
    pub(crate) fn forget_recorded_seed(&self, name: &str) -> Result<()> {
        match foreign::inspect(self.conn, self.prefix())?.undo {
            true => self.forget_where("version IS NULL AND name = ?1", [name]).map(drop),
            false => Ok(()),
        }
    }

    /// Forgets what was recorded of a migration.
    pub(crate) fn forget_recorded(&self, version: Version) -> Result<()> {
        match foreign::inspect(self.conn, self.prefix())?.undo {
            true => self.forget_where("version = ?1", [version.0]).map(drop),
            false => Ok(()),
        }
    }

    /// Forgets every record older than that, and says of what.
    pub(crate) fn forget_older(&self, age: Duration) -> Result<Vec<(Option<Version>, String)>> {
        if !foreign::inspect(self.conn, self.prefix())?.undo {
            return Ok(Vec::new());
        }
        let which = "at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1)";
        self.forget_where(which, [format!("-{:.3} seconds", age.as_secs_f64())])
    }

    fn forget_where<P: rusqlite::ToSql>(
        &self,
        which: &str,
        value: [P; 1],
    ) -> Result<Vec<(Option<Version>, String)>> {
        let undo = &self.tables.undo;
        let forget = || {
            self.in_transaction()?;
            let mut found = self.conn.prepare(&format!(
                "SELECT id, first_row, last_row, version, name FROM {undo} WHERE {which} ORDER BY id"
            ))?;
            let found = found.query_map(value, |row| {
                let range: (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let version: Option<i64> = row.get(3)?;
                Ok((range, (version.map(Version), row.get::<_, String>(4)?)))
            })?;
            let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
            for ((id, first, last), _) in &found {
                self.erase("undo_rows", "id BETWEEN ?1 AND ?2", [first, last])?;
                self.erase("undo", "id = ?1", [id])?;
            }
            Ok(found.into_iter().map(|(_, of)| of).collect())
        };
        forget().map_err(Error::sqlite("forgetting what was recorded"))
    }
}
