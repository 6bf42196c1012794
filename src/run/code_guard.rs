//! What a function of the application is about to lose, judged by the tables before and after it.

use rusqlite::Connection;

use super::guard::Verdict;
use super::statements::is_about_sql;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::DataLoss;
use crate::source::Entry;
use crate::sql::quoted;

/// What code would drop: tables that have rows before and are not there after.
pub(crate) struct CodeGuard<'a> {
    conn: &'a Connection,
    filled: Vec<Known>,
}

/// A table as code finds or leaves it.
#[derive(PartialEq, Eq)]
struct Known {
    name: String,
    root: i64,
    columns: Option<String>,
}

impl Known {
    /// The same table, perhaps under another name: a RENAME leaves it in its place.
    fn is_same(&self, other: &Known) -> bool {
        self.root == other.root && self.columns == other.columns
    }
}

impl<'a> CodeGuard<'a> {
    pub(crate) fn before(conn: &'a Connection, policy: DataLoss) -> Result<Option<Self>> {
        if policy == DataLoss::Allow {
            return Ok(None);
        }
        let filled = filled(conn).map_err(Error::sqlite("looking for tables that have rows"))?;
        Ok(Some(CodeGuard { conn, filled }))
    }

    pub(crate) fn after(self, entry: &Entry) -> Result<Verdict> {
        let now = tables(self.conn).map_err(Error::sqlite("reading the schema"))?;
        let full = filled(self.conn).map_err(Error::sqlite("looking for tables that have rows"))?;
        let stays = |table: &Known| {
            let named = |other: &&Known| other.name.eq_ignore_ascii_case(&table.name);
            match now.iter().find(named) {
                // Rows that code deletes are its own affair, a table that it makes anew is not.
                Some(other) => other.is_same(table) || full.iter().any(|other| named(&other)),
                None => full.iter().any(|other| other.is_same(table)),
            }
        };
        let mut verdict = Verdict::default();
        for table in self.filled.iter().filter(|table| !stays(table)) {
            let table = table.name.clone();
            let what = format!("drop table `{table}`, which has rows");
            if entry.allow_data_loss.is_none() {
                let (file, position, column) = (entry.label.clone(), None, None);
                let kind = ErrorKind::DataLoss { file, position, what, table, column, rows: 0 };
                return Err(kind.into());
            }
            verdict.waived.push(what);
        }
        Ok(verdict)
    }
}

/// Tables with rows. One that cannot be looked into counts as one: it is only missed once it is
/// gone.
fn filled(conn: &Connection) -> rusqlite::Result<Vec<Known>> {
    let mut filled = Vec::new();
    for table in tables(conn)? {
        let any = format!("SELECT EXISTS (SELECT 1 FROM main.{})", quoted(&table.name));
        let some = match conn.query_row(&any, [], |row| row.get(0)) {
            Err(error) if is_about_sql(&error) => true,
            some => some?,
        };
        if some {
            filled.push(table);
        }
    }
    Ok(filled)
}

fn tables(conn: &Connection) -> rusqlite::Result<Vec<Known>> {
    let mut statement = conn.prepare(
        "SELECT name, rootpage,
                (SELECT group_concat(x.name, char(0)) FROM pragma_table_xinfo(m.name, 'main') x)
         FROM main.sqlite_master m
         WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let tables = statement.query_map([], |row| {
        Ok(Known { name: row.get(0)?, root: row.get(1)?, columns: row.get(2)? })
    })?;
    tables.collect()
}
