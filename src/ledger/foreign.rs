//! Whose a table of our name is, told by its columns.

use std::collections::BTreeSet;

use rusqlite::{Connection, params_from_iter};

use super::format::{SKIPPED, TABLES, UNDO, columns};
use crate::adoption::Adopt;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::quoted;

/// Which of our tables are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) migrations: bool,
    pub(crate) seeds: bool,
    pub(crate) history: bool,
    pub(crate) state: bool,
    /// Both tables of records; they are there only where a deed was recorded.
    pub(crate) undo: bool,
}

impl Found {
    pub(crate) fn all(self) -> bool {
        self.migrations && self.seeds && self.history && self.state
    }
}

/// Other tools that keep a table of our default name, by a column that only theirs has.
const TOOLS: [(&str, &str, Option<Adopt>); 4] = [
    ("dirty", "it looks like golang-migrate's", Some(Adopt::GolangMigrate)),
    ("id", "it looks like geni's", Some(Adopt::Geni)),
    ("hash", "it looks like another migrator's, which keeps hashes", None),
    ("version", "it looks like dbmate's or Rails's", Some(Adopt::Dbmate)),
];

/// Looks for our tables in `main`; one of the name that is not ours is refused.
pub(crate) fn inspect(conn: &Connection, prefix: &str) -> Result<Found> {
    let mut found = Found::default();
    let mut undo = 0;
    let tables = tables(conn, prefix).map_err(Error::sqlite("looking for the ledger's tables"))?;
    for (table, kind) in tables {
        if let Some(looks_like) = kind {
            return Err(ErrorKind::ForeignLedger { table, looks_like, adopt: None }.into());
        }
        let what = table.get(prefix.len() + 1..).unwrap_or_default().to_ascii_lowercase();
        let mut known = TABLES.iter().chain(&UNDO).chain([&SKIPPED]);
        let Some((name, definition)) = known.find(|(name, _)| *name == what) else {
            continue;
        };
        let wanted: Vec<&str> = columns(definition).collect();
        let query = format!("SELECT {} FROM main.{}", wanted.join(", "), quoted(&table));
        match conn.prepare(&query) {
            Ok(_) => {}
            Err(error) if error.to_string().contains("no such column") => {
                return Err(foreign(conn, table, name));
            }
            Err(error) => return Err(Error::sqlite("looking at the ledger's tables")(error)),
        }
        match *name {
            "migrations" => found.migrations = true,
            "seeds" => found.seeds = true,
            "history" => found.history = true,
            "undo" | "undo_rows" => undo += 1,
            "state" => found.state = true,
            _ => {}
        }
    }
    found.undo = undo == UNDO.len();
    Ok(found)
}

fn foreign(conn: &Connection, table: String, name: &str) -> Error {
    let its_columns = match column_names(conn, &table) {
        Ok(names) => names,
        Err(error) => return Error::sqlite("looking at a table with the ledger's name")(error),
    };
    let has = |column: &str| its_columns.iter().any(|its| its.eq_ignore_ascii_case(column));
    // Beside others an `id` counts rows.
    let is_its = |column: &str| has(column) && (column != "id" || its_columns.len() == 1);
    let tool = TOOLS.iter().find(|(column, ..)| name == "migrations" && is_its(column));
    let (looks_like, adopt) = match tool {
        Some((_, sentence, adopt)) => ((*sentence).to_owned(), *adopt),
        None => (format!("its columns are {}", its_columns.join(", ")), None),
    };
    ErrorKind::ForeignLedger { table, looks_like, adopt }.into()
}

/// What has one of our names, and what it is where that is not an ordinary table. A view can show any
/// rows and pass over what is written to it.
fn tables(conn: &Connection, prefix: &str) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let mut statement = conn.prepare(
        "SELECT name,
                CASE WHEN type = 'view' THEN 'it is a view'
                     WHEN rootpage = 0 THEN 'it is a virtual table' END
         FROM main.sqlite_master
         WHERE name COLLATE NOCASE IN (?1, ?2, ?3, ?4, ?5, ?6, ?7) AND type IN ('table', 'view')",
    )?;
    let ours = TABLES.iter().chain(&UNDO).chain([&SKIPPED]);
    let names = ours.map(|(what, _)| format!("{prefix}_{what}"));
    let rows =
        statement.query_map(params_from_iter(names), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn column_names(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare("SELECT name FROM pragma_table_info(?1, 'main')")?;
    let rows = statement.query_map([table], |row| row.get(0))?;
    rows.collect()
}

/// Of tables and their columns, those that are a ledger's, whatever its prefix, in lower case. The
/// columns of some of ours could be anybody's: they count beside one of those that say more.
pub(crate) fn of_any_prefix<'t>(
    tables: impl Iterator<Item = (&'t str, Vec<&'t str>)>,
) -> BTreeSet<String> {
    const LEADERS: [&str; 3] = ["migrations", "seeds", "history"];
    let mut found: Vec<(String, &str)> = Vec::new();
    for (name, its_columns) in tables {
        let name = name.to_ascii_lowercase();
        let ours = TABLES.iter().chain(&UNDO).chain([&SKIPPED]);
        for (what, definition) in ours {
            let prefix = name.strip_suffix(what).and_then(|name| name.strip_suffix('_'));
            let has = |column: &str| its_columns.iter().any(|its| its.eq_ignore_ascii_case(column));
            if let Some(prefix) = prefix
                && columns(definition).all(has)
            {
                found.push((prefix.to_owned(), what));
            }
        }
    }
    let led: BTreeSet<String> = found
        .iter()
        .filter(|(_, what)| LEADERS.contains(what))
        .map(|(prefix, _)| prefix.clone())
        .collect();
    let ours = found.iter().filter(|(prefix, _)| led.contains(prefix));
    ours.map(|(prefix, what)| format!("{prefix}_{what}")).collect()
}
