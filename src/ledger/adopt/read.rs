//! Finds another tool's ledger in a database and reads it, by the names of its columns.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension as _};

use super::format::{FORMATS, Format};
use crate::adoption::{Adopt, Adoption};
use crate::error::{Error, Result, Unfit};
use crate::sql::quoted;

/// A ledger that is there.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Table {
        format: &'static Format,
        table: String,
    },
    /// `PRAGMA user_version`, and whether somebody said that it is a ledger.
    UserVersion {
        number: i64,
        is_guess: bool,
    },
}

impl Found {
    pub(crate) fn tool(&self) -> Adopt {
        match self {
            Found::Table { format, .. } => format.tool,
            Found::UserVersion { .. } => Adopt::RusqliteMigration,
        }
    }

    pub(crate) fn ledger(&self) -> &str {
        match self {
            Found::Table { table, .. } => table,
            Found::UserVersion { .. } => "PRAGMA user_version",
        }
    }
}

/// A row, with the cells of the columns that were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cells {
    pub(crate) cells: Vec<(&'static str, Value)>,
    /// When it says that its migration was applied, as our ledger writes it.
    pub(crate) at: Option<String>,
}

impl Cells {
    pub(crate) fn get(&self, column: &str) -> &Value {
        let found = self.cells.iter().find(|(name, _)| *name == column);
        found.map_or(&Value::Null, |(_, value)| value)
    }

    pub(crate) fn is_null(&self, column: &str) -> bool {
        *self.get(column) == Value::Null
    }

    /// A whole number, whatever it is stored as.
    pub(crate) fn number(&self, column: &str) -> Option<i64> {
        match self.get(column) {
            Value::Integer(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Real(number) => number.to_string().parse().ok(),
            Value::Blob(bytes) => std::str::from_utf8(bytes).ok()?.trim().parse().ok(),
            Value::Null => None,
        }
    }

    pub(crate) fn truth(&self, column: &str) -> Option<bool> {
        match self.get(column) {
            Value::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "t" => Some(true),
                "false" | "f" => Some(false),
                _ => self.number(column).map(|number| number != 0),
            },
            _ => self.number(column).map(|number| number != 0),
        }
    }

    pub(crate) fn text(&self, column: &str) -> String {
        match self.get(column) {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Real(number) => number.to_string(),
            Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::Null => "NULL".to_owned(),
        }
    }
}

const LOOKING: &str = "looking for the ledger of another tool";

/// The ledger that is to be taken over, if it is there.
pub(crate) fn find(conn: &Connection, adoption: &Adoption) -> Result<Option<Found>> {
    let Adoption { tool, table, .. } = adoption;
    let user_version = |is_guess| -> Result<Option<Found>> {
        let number = conn.query_row("PRAGMA main.user_version", [], |row| row.get(0));
        let number: i64 = number.map_err(Error::sqlite(LOOKING))?;
        Ok((number != 0).then_some(Found::UserVersion { number, is_guess }))
    };
    match (tool, table) {
        (Adopt::RusqliteMigration, _) => user_version(false),
        (Adopt::Auto, None) => {
            let mut all = all(conn)?;
            match (all.pop(), all.pop()) {
                (None, _) => user_version(true),
                (Some(only), None) => Ok(Some(only)),
                (Some(last), Some(one)) => {
                    let (tool, ledger) = (one.tool(), one.ledger().to_owned());
                    let other = (last.tool(), last.ledger().to_owned());
                    Err(Error::unfit(tool, &ledger, Unfit::Ambiguous { other }))
                }
            }
        }
        (tool, table) => {
            let format = Format::of(*tool);
            let usual = format.map_or("", |format| format.table);
            named(conn, format, table.as_deref().unwrap_or(usual))
        }
    }
}

/// Every table that is another tool's ledger, by its usual name and its columns.
pub(crate) fn all(conn: &Connection) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for format in &FORMATS {
        if let Some((table, columns)) = columns(conn, format.table)?
            && format.fits(&columns)
        {
            found.push(Found::Table { format, table });
        }
    }
    Ok(found)
}

/// The table of that name, if it is there: of the format, or of the one that asks for most.
fn named(conn: &Connection, format: Option<&'static Format>, name: &str) -> Result<Option<Found>> {
    let Some((table, columns)) = columns(conn, name)? else {
        return Ok(None);
    };
    let fitting = FORMATS.iter().filter(|format| format.fits(&columns));
    let likely = fitting.max_by_key(|format| format.has.len());
    match format {
        None if likely.is_some() => {}
        Some(format) if format.fits(&columns) => {
            return Ok(Some(Found::Table { format, table }));
        }
        _ => {
            let unfit = Unfit::Columns {
                expected: format.map_or(&[], |format| format.has),
                found: columns,
                likely: likely.map(|format| format.tool),
            };
            let tool = format.map_or(Adopt::Auto, |format| format.tool);
            return Err(Error::unfit(tool, &table, unfit));
        }
    }
    Ok(likely.map(|format| Found::Table { format, table }))
}

/// A table's name as it was given, and its columns.
fn columns(conn: &Connection, table: &str) -> Result<Option<(String, Vec<String>)>> {
    let read = || {
        let there = "SELECT name FROM main.sqlite_master
                     WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
        let name: Option<String> = conn.query_row(there, [table], |row| row.get(0)).optional()?;
        let Some(name) = name else { return Ok(None) };
        let mut statement = conn.prepare("SELECT name FROM pragma_table_xinfo(?1, 'main')")?;
        let rows = statement.query_map([&name], |row| row.get(0))?;
        let columns = rows.collect::<rusqlite::Result<Vec<String>>>()?;
        Ok(Some((name, columns)))
    };
    read().map_err(Error::sqlite(LOOKING))
}

/// Whether anything in the database has that name.
pub(crate) fn is_taken(conn: &Connection, name: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE name = ?1 COLLATE NOCASE)";
    conn.query_row(sql, [name], |row| row.get(0)).map_err(Error::sqlite(LOOKING))
}

/// The rows of a ledger, in no order.
pub(crate) fn rows(conn: &Connection, format: &Format, table: &str) -> Result<Vec<Cells>> {
    let read = || {
        let there = columns(conn, table)?.map(|(_, columns)| columns).unwrap_or_default();
        // A name in quotes that is no column's would be a string.
        let asked: Vec<&'static str> = format
            .has
            .iter()
            .chain(format.may_have)
            .copied()
            .filter(|name| there.iter().any(|column| column.eq_ignore_ascii_case(name)))
            .collect();
        let list: Vec<String> = asked.iter().map(|name| quoted(name)).collect();
        let sql = format!("SELECT {} FROM main.{}", list.join(", "), quoted(table));
        fetch(conn, &sql, &asked, format.time)
            .map_err(Error::sqlite("reading another tool's ledger"))
    };
    read()
}

fn fetch(
    conn: &Connection,
    sql: &str,
    asked: &[&'static str],
    time: &str,
) -> rusqlite::Result<Vec<Cells>> {
    // A number is of seconds, or from 1973 on of milliseconds, since 1970; one before 2001 is none.
    let mut moment = conn.prepare(
        "SELECT CASE
             WHEN typeof(?1) NOT IN ('integer', 'real') THEN strftime('%Y-%m-%dT%H:%M:%fZ', ?1)
             WHEN ?1 > 100000000000 THEN strftime('%Y-%m-%dT%H:%M:%fZ', ?1 / 1000.0, 'unixepoch')
             WHEN ?1 > 1000000000 THEN strftime('%Y-%m-%dT%H:%M:%fZ', ?1, 'unixepoch')
         END",
    )?;
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells = Vec::with_capacity(asked.len());
        for (at, name) in asked.iter().enumerate() {
            cells.push((*name, value(row.get_ref(at)?)));
        }
        let mut row = Cells { cells, at: None };
        let said = match row.get(time) {
            Value::Text(text) => match text.parse::<i64>() {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Text(text.clone()),
            },
            value => value.clone(),
        };
        row.at = moment.query_row([said], |row| row.get(0))?;
        all.push(row);
    }
    Ok(all)
}

/// Not all that is stored as text is UTF-8.
fn value(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_owned()),
    }
}
