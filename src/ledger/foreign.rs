//! Whose a table of our name is, told by its columns.

use rusqlite::Connection;

use super::format::{TABLES, columns};
use crate::error::{Error, ErrorKind, Result};

/// Which of our tables are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) migrations: bool,
    pub(crate) seeds: bool,
    pub(crate) history: bool,
    pub(crate) state: bool,
}

impl Found {
    pub(crate) fn all(self) -> bool {
        self.migrations && self.seeds && self.history && self.state
    }
}

/// Other tools that keep a table of our default name, by a column that only theirs has.
const TOOLS: [(&str, &str); 4] = [
    ("dirty", "it looks like golang-migrate's"),
    ("id", "it looks like geni's"),
    ("hash", "it looks like another migrator's, which keeps hashes"),
    ("version", "it looks like dbmate's or Rails's"),
];

/// Looks for our tables in `main`; one of the name that is not ours is refused.
pub(crate) fn inspect(conn: &Connection, prefix: &str) -> Result<Found> {
    let mut found = Found::default();
    let tables = tables(conn, prefix).map_err(Error::sqlite("looking for the ledger's tables"))?;
    for (table, its_columns) in tables {
        let what = table.get(prefix.len() + 1..).unwrap_or_default().to_ascii_lowercase();
        let Some((name, definition)) = TABLES.iter().find(|(name, _)| *name == what) else {
            continue;
        };
        let has = |column: &str| its_columns.split(',').any(|c| c.eq_ignore_ascii_case(column));
        if !columns(definition).all(has) {
            let looks_like = TOOLS
                .iter()
                .find(|(column, _)| *name == "migrations" && has(column))
                .map_or_else(|| format!("its columns are {its_columns}"), |(_, t)| (*t).to_owned());
            return Err(ErrorKind::ForeignLedger { table, looks_like }.into());
        }
        match *name {
            "migrations" => found.migrations = true,
            "seeds" => found.seeds = true,
            "history" => found.history = true,
            _ => found.state = true,
        }
    }
    Ok(found)
}

/// Tables and views of our names, with their columns' names.
fn tables(conn: &Connection, prefix: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = conn.prepare(
        "SELECT m.name, (SELECT group_concat(name) FROM pragma_table_info(m.name, 'main'))
         FROM main.sqlite_master AS m
         WHERE m.type IN ('table', 'view') AND m.name COLLATE NOCASE IN (?1, ?2, ?3, ?4)",
    )?;
    let names = TABLES.map(|(what, _)| format!("{prefix}_{what}"));
    let rows = statement.query_map(names, |row| {
        let columns: Option<String> = row.get(1)?;
        Ok((row.get(0)?, columns.unwrap_or_default()))
    })?;
    rows.collect()
}
