//! Writes to the ledger's tables: each has to change the rows that it is meant to change.
//!
//! A trigger with `RAISE(IGNORE)` makes SQLite pass over a row without an error:
//! <https://sqlite.org/lang_createtrigger.html#the_raise_function>. What is not stored must not
//! count as stored, or a seed runs again and again and a migration runs a second time.

use super::format::IS_OWN_TRIGGER;
use super::{Ledger, owned};
use crate::error::{Error, ErrorKind, LostTransaction, NotWritten, Result};

/// Which of the ledger's tables, by what stands after the prefix.
pub(super) type Table = &'static str;

impl Ledger<'_> {
    /// Runs one statement, which has to change exactly this many rows of the table.
    pub(super) fn write(
        &self,
        table: Table,
        rows: usize,
        execute: impl FnOnce() -> rusqlite::Result<usize>,
    ) -> rusqlite::Result<()> {
        let before = self.conn.total_changes();
        let changed = execute()?;
        self.note_write(before, changed);
        if changed == rows { Ok(()) } else { Err(self.not_written(table)) }
    }

    /// Deletes what a condition matches, which has to be gone then.
    pub(super) fn erase<P: rusqlite::Params + Clone>(
        &self,
        table: Table,
        condition: &str,
        values: P,
    ) -> rusqlite::Result<()> {
        let name = self.named(table);
        let before = self.conn.total_changes();
        let sql = format!("DELETE FROM {name} WHERE {condition}");
        let changed = self.conn.execute(&sql, values.clone())?;
        self.note_write(before, changed);
        let left = format!("SELECT EXISTS (SELECT 1 FROM {name} WHERE {condition})");
        match self.conn.query_row(&left, values, |row| row.get(0))? {
            true => Err(self.not_written(table)),
            false => Ok(()),
        }
    }

    /// Refuses to write where the transaction is gone that the write belongs to.
    pub(super) fn in_transaction(&self) -> rusqlite::Result<()> {
        match self.conn.is_autocommit() {
            true => Err(LostTransaction.into()),
            false => Ok(()),
        }
    }

    /// A table's name, in `main` and quoted.
    fn named(&self, table: Table) -> String {
        format!("main.\"{}_{table}\"", self.prefix())
    }

    /// Notes whether a trigger wrote something besides: it may have undone what was written.
    /// SQLite counts what triggers change in the total only: <https://sqlite.org/c3ref/changes.html>.
    fn note_write(&self, before: u64, changed: usize) {
        let all = self.conn.total_changes().saturating_sub(before);
        if all != changed as u64 {
            self.has_triggers.set(true);
        }
    }

    /// Before a commit: refuses it where triggers wrote something while the ledger was written to, and
    /// what is to be `stored` is not there any more.
    pub(crate) fn refuse_undone(&self, stored: &dyn Fn() -> Result<bool>) -> Result<()> {
        if !self.has_triggers.take() || stored()? {
            return Ok(());
        }
        let tables = owned(self.prefix());
        let found = tables.map(|table| Ok((self.triggers_on(&table)?, table)));
        let found = found.collect::<rusqlite::Result<Vec<_>>>();
        let found = found.map_err(Error::sqlite("looking for triggers on the ledger's tables"))?;
        let (triggers, table) =
            found.into_iter().find(|(triggers, _)| !triggers.is_empty()).unwrap_or_default();
        Err(ErrorKind::NotWritten { table, triggers }.into())
    }

    fn not_written(&self, table: Table) -> rusqlite::Error {
        let table = format!("{}_{table}", self.prefix());
        match self.triggers_on(&table) {
            Ok(triggers) => NotWritten { table, triggers }.into(),
            Err(error) => error,
        }
    }

    /// The triggers on a table that are not the ledger's own, those in TEMP too.
    fn triggers_on(&self, table: &str) -> rusqlite::Result<Vec<String>> {
        let sql = format!(
            "SELECT name FROM main.sqlite_master
             WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE AND NOT {IS_OWN_TRIGGER}
             UNION ALL SELECT name FROM temp.sqlite_master
             WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE"
        );
        let mut statement = self.conn.prepare(&sql)?;
        let names = statement.query_map([table], |row| row.get(0))?;
        names.collect()
    }
}
