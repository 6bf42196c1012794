//! Executes a script's statements one by one, and tells where one failed.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ffi};

use crate::error::{Error, ErrorKind, Result};
use crate::sql::{Script, Statement, complaint};
use crate::supervisor::Supervisor;

/// What can be said about a failure from its message, beyond where it was.
const ADVICE: [(&str, &str); 5] = [
    (
        "table is locked",
        "a statement is still open on this connection: finish reading it before migrating",
    ),
    ("disk is full", "make room and start again"),
    ("disk I/O error", "look after the disk and start again"),
    ("interrupted", "start again"),
    ("readonly database", "make the file and its folder writable and start again"),
];

/// Runs one statement to its end, and says how many rows it changed. A statement that gives rows is
/// stepped through them all.
pub(crate) fn execute(conn: &Connection, script: &Script, statement: &Statement) -> Result<u64> {
    let before = conn.total_changes();
    step(conn, script.sql(statement)).map_err(|error| failed(script, statement, error))?;
    Ok(conn.total_changes().saturating_sub(before))
}

fn step(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut prepared = conn.prepare(sql)?;
    if prepared.parameter_count() > 0 {
        let why = "a migration has nothing to bind to its parameters, which would be NULL";
        return Err(rusqlite::Error::ToSqlConversionFailure(why.into()));
    }
    let mut rows = prepared.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

/// The failure of a statement, at the place that SQLite names or else at the statement's start.
pub(crate) fn failed(script: &Script, statement: &Statement, error: rusqlite::Error) -> Error {
    let (within, error) = without_sql(error, script.sql(statement));
    let position = script.position(statement.start + within);
    let kind = ErrorKind::Statement { file: script.file.to_string(), position };
    let message = error.to_string();
    let advice = ADVICE.iter().find(|(part, _)| message.contains(part)).map(|(_, advice)| *advice);
    let failed = Error::from(kind).at(script, position).because(error);
    match advice {
        Some(advice) => failed.advise(advice),
        None => failed,
    }
}

/// The byte of the statement that SQLite complains about, and the complaint without the statement,
/// which the text of rusqlite's error repeats. Its variant for that is there only if rusqlite was
/// built for a SQLite that tells the place, which is not ours to know: the text tells.
pub(crate) fn without_sql(error: rusqlite::Error, sql: &str) -> (usize, rusqlite::Error) {
    match complaint(&error.to_string(), sql) {
        Some((offset, message)) => {
            let code = ffi::Error::new(ffi::SQLITE_ERROR);
            (offset, rusqlite::Error::SqliteFailure(code, Some(message)))
        }
        None if error.to_string() == "incomplete input" => (sql.len(), error),
        None => (0, error),
    }
}

/// Runs a verify script: each statement is a query for rows that are wrong.
pub(crate) fn verify(conn: &Connection, script: &Script, supervisor: &Supervisor) -> Result<()> {
    let of = script.statements.len();
    for (at, statement) in script.statements.iter().enumerate() {
        let wrong = supervisor.statement(script, statement, (at + 1, of), || {
            wrong_row(conn, script.sql(statement)).map_err(|error| failed(script, statement, error))
        })?;
        if let Some(row) = wrong {
            let position = script.position(statement.start);
            let kind = ErrorKind::Verify { file: script.file.to_string(), position, row };
            return Err(Error::from(kind).at(script, position));
        }
    }
    Ok(())
}

fn wrong_row(conn: &Connection, sql: &str) -> rusqlite::Result<Option<String>> {
    let mut query = conn.prepare(sql)?;
    if !query.readonly() || query.column_count() == 0 {
        let why = "a verify script holds queries only, and this is none";
        return Err(rusqlite::Error::ToSqlConversionFailure(why.into()));
    }
    let names: Vec<String> = query.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = query.raw_query();
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let mut cells = Vec::new();
    for (at, name) in names.iter().enumerate() {
        cells.push(format!("{name} = {}", shown(row.get_ref(at)?)));
    }
    Ok(Some(cells.join(", ")))
}

/// A value as a person reads it, cut short.
pub(crate) fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(text);
            let short: String = text.chars().take(40).collect();
            let dots = if short.len() < text.len() { "…" } else { "" };
            format!("'{short}{dots}'")
        }
        ValueRef::Blob(blob) => format!("a blob of {} bytes", blob.len()),
    }
}
