//! Rows made up for every table, so that migrations meet data. The same database gets the same rows
//! each time: nothing is drawn, everything is tried in one order.

mod candidates;
mod insert;
mod table;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::own_rows::SampleRows;
use crate::error::{Error, Result};
use crate::migration::Version;
use crate::sql::quoted;
use table::Table;

/// How many rows a table gets when it is met for the first time, and after each change of it.
const AT_FIRST: usize = 4;
const AFTERWARDS: usize = 2;
/// A table that has so many gets no more.
const ENOUGH: i64 = 60;

/// A table that could not be given rows, and what SQLite said to the last attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfilled {
    pub(crate) table: String,
    pub(crate) why: String,
}

/// What has been filled so far: each table by the texts that it and what stands on it had then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filled {
    known: BTreeMap<String, String>,
    /// Every table that there was, in lower case.
    met: BTreeSet<String>,
    /// How many rows were made.
    pub(crate) rows: usize,
}

/// Which tables are to be given rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that are new, or were changed since.
    All,
    /// Those that are new.
    New,
}

impl Filled {
    /// Whether there ever was a table of this name.
    pub(crate) fn has_met(&self, table: &str) -> bool {
        self.met.contains(&table.to_ascii_lowercase())
    }

    /// Goes on with another database, in which no table has been given rows.
    pub(crate) fn begin_anew(&mut self) {
        self.known.clear();
    }

    /// Writes: gives rows to the tables that `wanted` names.
    pub(crate) fn fill(
        &mut self,
        conn: &mut Connection,
        at: Version,
        which: Which,
        own: &SampleRows,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<Vec<Unfilled>> {
        let enforces: bool = conn
            .query_row("PRAGMA foreign_keys", [], |row| row.get(0))
            .map_err(Error::sqlite("looking at foreign keys"))?;
        let filled = without_keys(conn, |conn| {
            let tables = table::in_order(conn, is_ours)?;
            let mut unfilled = Vec::new();
            for table in &tables {
                self.met.insert(table.key());
                let known = self.known.get(&table.key());
                let is_changed = known != Some(&table.signature);
                let wanted = match which {
                    Which::All => is_changed,
                    Which::New => known.is_none(),
                };
                if !wanted || own.is_passed_over(&table.name) {
                    continue;
                }
                let count = if known.is_none() { AT_FIRST } else { AFTERWARDS };
                self.known.insert(table.key(), table.signature.clone());
                let rows = table.count(conn)?;
                if rows >= ENOUGH {
                    continue;
                }
                match give(conn, table, count, own, at)? {
                    Ok(made) => self.rows += made,
                    Err(why) if rows == 0 && !table.is_virtual => {
                        unfilled.push(Unfilled { table: table.name.clone(), why });
                    }
                    Err(_) => {}
                }
            }
            unfilled.extend(sweep(conn, &tables)?);
            refresh(conn, &tables)?;
            Ok(unfilled)
        });
        let keys = if enforces { "ON" } else { "OFF" };
        conn.execute_batch(&format!("PRAGMA foreign_keys = {keys}"))
            .and(filled)
            .map_err(Error::sqlite("making up rows"))
    }
}

fn without_keys<T>(
    conn: &mut Connection,
    work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    conn.execute_batch("PRAGMA foreign_keys = OFF")?;
    work(conn)
}

/// Gives one table its rows, in a transaction of its own: a trigger may roll it back.
fn give(
    conn: &mut Connection,
    table: &Table,
    count: usize,
    own: &SampleRows,
    at: Version,
) -> rusqlite::Result<std::result::Result<usize, String>> {
    let tx = conn.transaction()?;
    let before = table.count(&tx)?;
    let given = match own.of(&table.name, at) {
        Some(deed) => deed(&tx).map_err(|error| format!("its own rows: {error}")),
        None => insert::rows(&tx, table, count)?,
    };
    if tx.is_autocommit() {
        let why = given.err().map(|why| format!(": {why}")).unwrap_or_default();
        return Ok(Err(format!("a trigger or its own rows ended the transaction{why}")));
    }
    let made = table.count(&tx)? - before;
    if made == 0 {
        tx.rollback()?;
        let none = "an insert was taken, and left no row".to_owned();
        return Ok(Err(given.err().unwrap_or(none)));
    }
    if table.counts_on && before == 0 {
        // It has lived for a while: AUTOINCREMENT has given numbers away whose rows are gone.
        tx.execute("UPDATE sqlite_sequence SET seq = seq + 5 WHERE name = ?1", [&table.name])?;
    }
    tx.commit()?;
    Ok(Ok(usize::try_from(made).unwrap_or(0)))
}

/// Full text indexes over other tables are as the rows are: what comes then is the migration's.
fn refresh(conn: &Connection, tables: &[Table]) -> rusqlite::Result<()> {
    for index in tables.iter().flat_map(|table| &table.stands_for) {
        let index = quoted(index);
        conn.execute_batch(&format!("INSERT INTO {index}({index}) VALUES ('rebuild')"))?;
    }
    Ok(())
}

/// Takes rows away whose keys find nothing, until there are none: they were put in before what they
/// refer to.
fn sweep(conn: &mut Connection, tables: &[Table]) -> rusqlite::Result<Vec<Unfilled>> {
    let mut unfilled = Vec::new();
    for table in tables.iter().filter(|table| !table.keys.is_empty()) {
        let name = quoted(&table.name);
        let orphans: Vec<Option<i64>> = {
            let mut check = match conn.prepare(&format!("PRAGMA main.foreign_key_check({name})")) {
                Ok(check) => check,
                Err(error) => {
                    unfilled.push(Unfilled { table: table.name.clone(), why: error.to_string() });
                    continue;
                }
            };
            let rows = check.query_map([], |row| row.get(1));
            match rows.and_then(Iterator::collect) {
                Ok(orphans) => orphans,
                // A key that no column of the parent could ever answer.
                Err(error) => {
                    unfilled.push(Unfilled { table: table.name.clone(), why: error.to_string() });
                    continue;
                }
            }
        };
        if orphans.is_empty() {
            continue;
        }
        if orphans.contains(&None) {
            conn.execute(&format!("DELETE FROM main.{name}"), [])?;
        }
        for rowid in orphans.into_iter().flatten() {
            conn.execute(&format!("DELETE FROM main.{name} WHERE rowid = ?1"), [rowid])?;
        }
        if table.count(conn)? == 0 {
            let why = "its rows refer to a table that has none".to_owned();
            unfilled.push(Unfilled { table: table.name.clone(), why });
        }
    }
    Ok(unfilled)
}
