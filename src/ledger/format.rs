//! The tables as they are made, and their format's number.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::error::is_about_sql;

/// The format's number. A release that changes the tables raises it and turns those of every
/// earlier number into its own in [`create`], inside the transaction that is open anyway.
pub(crate) const NUMBER: i64 = 1;

/// What a table is called after its prefix, and its columns.
pub(crate) const TABLES: [(&str, &str); 4] = [
    (
        "migrations",
        "version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, \
         down_sql TEXT, compatible INTEGER NOT NULL, applied_at TEXT NOT NULL, \
         took_us INTEGER NOT NULL, app_version TEXT",
    ),
    (
        "seeds",
        "name TEXT PRIMARY KEY NOT NULL, revision INTEGER NOT NULL, state TEXT NOT NULL, \
         cursor, done INTEGER, total INTEGER, rows_changed INTEGER, started_at TEXT, \
         finished_at TEXT, took_us INTEGER, app_version TEXT",
    ),
    (
        "history",
        "id INTEGER PRIMARY KEY, at TEXT NOT NULL, action TEXT NOT NULL, version INTEGER, \
         name TEXT, reason TEXT, detail TEXT, app_version TEXT",
    ),
    ("state", "key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL"),
];

/// The tables of what recorded deeds changed, made by the first such deed.
pub(crate) const UNDO: [(&str, &str); 2] = [
    (
        "undo",
        "id INTEGER PRIMARY KEY, version INTEGER, name TEXT NOT NULL, revision INTEGER, \
         revision_before INTEGER, at TEXT NOT NULL, history INTEGER NOT NULL, \
         tables TEXT NOT NULL, first_row INTEGER NOT NULL, last_row INTEGER NOT NULL, \
         app_version TEXT",
    ),
    (
        "undo_rows",
        "id INTEGER PRIMARY KEY, tbl TEXT NOT NULL, key BLOB NOT NULL, before BLOB, after BLOB",
    ),
];

/// The table of rows that backfills skipped, made by the first such row.
pub(crate) const SKIPPED: (&str, &str) = (
    "skipped",
    "id INTEGER PRIMARY KEY, at TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, \
     key NOT NULL, error TEXT NOT NULL",
);

/// The key of the state that the triggers take away.
pub(crate) const UNTOUCHED: &str = "untouched";

/// The names of a table's columns.
pub(crate) fn columns(definition: &str) -> impl Iterator<Item = &str> {
    definition.split(", ").filter_map(|column| column.split(' ').next())
}

/// Whether the table of the state is one of before rows had numbers.
pub(crate) fn is_unnumbered(conn: &Connection, prefix: &str) -> rusqlite::Result<bool> {
    let compiles =
        |column| match conn.prepare(&format!("SELECT {column} FROM main.\"{prefix}_state\"")) {
            Ok(_) => Ok(true),
            Err(error) if is_about_sql(&error) => Ok(false),
            Err(error) => Err(error),
        };
    Ok(compiles("key")? && !compiles("rowid")?)
}

pub(crate) fn create(conn: &Connection, prefix: &str) -> rusqlite::Result<()> {
    let state = match is_unnumbered(conn, prefix)? {
        true => taken_out(conn, prefix)?,
        false => Vec::new(),
    };
    create_tables(conn, prefix, &TABLES)?;
    for row in state {
        let sql = format!("INSERT INTO main.\"{prefix}_state\" (key, value) VALUES (?1, ?2)");
        conn.execute(&sql, params_from_iter(row))?;
    }
    conn.execute(
        &format!(
            "INSERT OR IGNORE INTO main.\"{prefix}_state\" (key, value) VALUES ('format', ?1)"
        ),
        [NUMBER.to_string()],
    )?;
    Ok(())
}

/// Drops the table of the state, whose rows are to be put into a new one.
fn taken_out(conn: &Connection, prefix: &str) -> rusqlite::Result<Vec<[Value; 2]>> {
    let sql = format!("SELECT key, value FROM main.\"{prefix}_state\"");
    let mut statement = conn.prepare(&sql)?;
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?]))?;
    let rows = rows.collect::<rusqlite::Result<_>>()?;
    drop(statement);
    conn.execute(&format!("DROP TABLE main.\"{prefix}_state\""), [])?;
    Ok(rows)
}

pub(crate) fn create_undo(conn: &Connection, prefix: &str) -> rusqlite::Result<()> {
    create_tables(conn, prefix, &UNDO)
}

fn create_tables(conn: &Connection, prefix: &str, tables: &[(&str, &str)]) -> rusqlite::Result<()> {
    for (what, definition) in tables {
        // Which spares an index. Of the state, a row's number tells where it was written.
        let tail = if *what == "seeds" { " WITHOUT ROWID" } else { "" };
        let table = format!("main.\"{prefix}_{what}\"");
        conn.execute(&format!("CREATE TABLE IF NOT EXISTS {table} ({definition}){tail}"), [])?;
    }
    Ok(())
}

/// The writes that a trigger of ours tells of. SQLite has one for each kind:
/// <https://sqlite.org/lang_createtrigger.html>. A row that REPLACE throws out fires none for its
/// deletion, but the row that comes in its place does.
const WRITES: [&str; 3] = ["insert", "update", "delete"];

/// Makes the triggers that tell when somebody writes to what is applied, if not exactly these are
/// there: one of that name may have gone with a table that was renamed, or write to one.
///
/// They fire before the write, for one that fires after it may be passed over, where a trigger of
/// somebody else's says `RAISE(IGNORE)`.
pub(crate) fn create_triggers(conn: &Connection, prefix: &str) -> rusqlite::Result<()> {
    let triggers = WRITES.map(|write| {
        format!(
            "CREATE TRIGGER \"{prefix}_migrations_{write}_unseals\" BEFORE {write} \
             ON \"{prefix}_migrations\" BEGIN \
             DELETE FROM \"{prefix}_state\" WHERE key = '{UNTOUCHED}'; END"
        )
    });
    let sql = format!(
        "SELECT count(*) = 3 FROM main.sqlite_master
         WHERE type = 'trigger' AND tbl_name = '{prefix}_migrations' AND sql IN (?1, ?2, ?3)"
    );
    if conn.query_row(&sql, params_from_iter(&triggers), |row| row.get(0))? {
        return Ok(());
    }
    drop_triggers(conn, prefix)?;
    let create = |sql: &String| conn.execute_batch(&sql.replacen("TRIGGER ", "TRIGGER main.", 1));
    triggers.iter().try_for_each(create)
}

/// Takes them away, so that nothing of ours can go wrong because of them.
pub(crate) fn drop_triggers(conn: &Connection, prefix: &str) -> rusqlite::Result<()> {
    WRITES.into_iter().try_for_each(|write| {
        let name = format!("{prefix}_migrations_{write}_unseals");
        conn.execute_batch(&format!("DROP TRIGGER IF EXISTS main.\"{name}\""))
    })
}

/// Of a row of `sqlite_master`: whether it is one of those triggers, of whatever ledger.
pub(crate) const IS_OWN_TRIGGER: &str = "(type = 'trigger' AND name IN (
    tbl_name || '_insert_unseals', tbl_name || '_update_unseals', tbl_name || '_delete_unseals'
))";

/// <https://sqlite.org/pragma.html#pragma_schema_version>
pub(crate) fn schema_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA main.schema_version", [], |row| row.get(0))
}
