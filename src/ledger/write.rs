//! Writes to the ledger's tables: each has to change the rows that it is meant to change.
//!
//! A trigger with `RAISE(IGNORE)` makes SQLite pass over a row without an error:
//! <https://sqlite.org/lang_createtrigger.html#the_raise_function>. What is not stored must not
//! count as stored, or a seed runs again and again and a migration runs a second time.

use super::Ledger;
use super::format::IS_OWN_TRIGGER;
use crate::error::{LostTransaction, NotWritten};
use crate::sql::token::{tokens, unquoted};

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
        self.refuse_disturbed(table, before, changed, rows)
    }

    /// Deletes the rows, called `r`, that a condition matches; they have to be gone then.
    pub(super) fn erase<P: rusqlite::Params + Clone>(
        &self,
        table: Table,
        condition: &str,
        values: P,
    ) -> rusqlite::Result<()> {
        let name = self.named(table);
        let before = self.conn.total_changes();
        let sql = format!("DELETE FROM {name} AS r WHERE {condition}");
        let changed = self.conn.execute(&sql, values.clone())?;
        let left = format!("SELECT EXISTS (SELECT 1 FROM {name} AS r WHERE {condition})");
        let left: bool = self.conn.query_row(&left, values, |row| row.get(0))?;
        self.refuse_disturbed(table, before, changed, changed + usize::from(left))
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

    /// Refuses a write that did not change as many rows as it should, and one that set off a trigger
    /// which writes to the ledger's tables itself: that may undo it. SQLite counts what triggers change
    /// in the total only: <https://sqlite.org/c3ref/changes.html>.
    pub(super) fn refuse_disturbed(
        &self,
        table: Table,
        before: u64,
        rows: usize,
        wanted: usize,
    ) -> rusqlite::Result<()> {
        let by_triggers = self.conn.total_changes().saturating_sub(before) != rows as u64;
        if rows == wanted && !by_triggers {
            return Ok(());
        }
        let table = format!("{}_{table}", self.prefix());
        let mut triggers = self.triggers_on(&table)?;
        if rows == wanted {
            triggers.retain(|(_, sql)| self.writes_to_the_ledger(sql));
            if triggers.is_empty() {
                return Ok(());
            }
        }
        let triggers = triggers.into_iter().map(|(name, _)| name).collect();
        Err(NotWritten { table, triggers }.into())
    }

    /// Whether a trigger writes to one of the ledger's tables.
    fn writes_to_the_ledger(&self, sql: &str) -> bool {
        let tokens: Vec<_> = tokens(sql).filter(|token| token.is_significant()).collect();
        let words: Vec<&str> = tokens.iter().map(|token| token.text(sql)).collect();
        let is = |at: usize, word: &str| {
            words.get(at).is_some_and(|found| found.eq_ignore_ascii_case(word))
        };
        (1..words.len()).any(|at| {
            let is_target = is(at - 1, "INTO")
                || is(at - 1, "UPDATE")
                || (at > 1 && is(at - 2, "OR") && at > 2 && is(at - 3, "UPDATE"))
                || (at > 1 && is(at - 2, "DELETE") && is(at - 1, "FROM"));
            is_target && words.get(at).is_some_and(|name| self.owns(&unquoted(name)))
        })
    }

    /// The triggers on a table that are not the ledger's own, those in TEMP too.
    fn triggers_on(&self, table: &str) -> rusqlite::Result<Vec<(String, String)>> {
        let sql = format!(
            "SELECT name, sql FROM main.sqlite_master
             WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE AND NOT {IS_OWN_TRIGGER}
             UNION ALL SELECT name, sql FROM temp.sqlite_master
             WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE"
        );
        let mut statement = self.conn.prepare(&sql)?;
        let names = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
        names.collect()
    }
}
