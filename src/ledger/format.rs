//! The tables as they are made, and their format's number.

use rusqlite::Connection;

/// The format's number. A release that changes the tables raises it and turns those of every
/// earlier number into its own in [`create`], inside the transaction that is open anyway.
pub(crate) const NUMBER: i64 = 1;

/// What a table is called after its prefix, and its columns. Keys of text stand in the table
/// itself (`WITHOUT ROWID`), which spares an index.
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

pub(crate) fn create(conn: &Connection, prefix: &str) -> rusqlite::Result<()> {
    create_tables(conn, prefix, &TABLES)?;
    conn.execute(
        &format!(
            "INSERT OR IGNORE INTO main.\"{prefix}_state\" (key, value) VALUES ('format', ?1)"
        ),
        [NUMBER.to_string()],
    )?;
    Ok(())
}

pub(crate) fn create_undo(conn: &Connection, prefix: &str) -> rusqlite::Result<()> {
    create_tables(conn, prefix, &UNDO)
}

fn create_tables(conn: &Connection, prefix: &str, tables: &[(&str, &str)]) -> rusqlite::Result<()> {
    for (what, definition) in tables {
        let tail = if definition.contains("TEXT PRIMARY KEY") { " WITHOUT ROWID" } else { "" };
        let table = format!("main.\"{prefix}_{what}\"");
        conn.execute(&format!("CREATE TABLE IF NOT EXISTS {table} ({definition}){tail}"), [])?;
    }
    Ok(())
}

/// Makes the triggers that are not there, which tell when somebody writes to what is applied. SQLite
/// has one for each kind of write: <https://sqlite.org/lang_createtrigger.html>. A row that REPLACE
/// throws out fires none for its deletion, but the row that comes in its place does.
///
/// One of them is made twice, so that the schema's version is higher than there are objects: a
/// database that is loaded from a dump, whose rows somebody may have edited, has counted its objects.
pub(crate) fn create_triggers(conn: &Connection, prefix: &str) -> rusqlite::Result<()> {
    let name = |write| format!("main.\"{prefix}_migrations_{write}_unseals\"");
    let create = |write| {
        let sql = format!(
            "CREATE TRIGGER IF NOT EXISTS {} AFTER {write} ON \"{prefix}_migrations\" BEGIN \
             DELETE FROM \"{prefix}_state\" WHERE key = '{UNTOUCHED}'; END",
            name(write)
        );
        conn.execute(&sql, []).map(drop)
    };
    let before = schema_version(conn)?;
    ["insert", "update", "delete"].into_iter().try_for_each(create)?;
    if schema_version(conn)? != before {
        conn.execute(&format!("DROP TRIGGER {}", name("insert")), [])?;
        create("insert")?;
    }
    Ok(())
}

/// Of a row of `sqlite_master`: whether it is one of those triggers, of whatever ledger.
pub(crate) const IS_OWN_TRIGGER: &str = "(type = 'trigger' AND name IN (
    tbl_name || '_insert_unseals', tbl_name || '_update_unseals', tbl_name || '_delete_unseals'
))";

/// <https://sqlite.org/pragma.html#pragma_schema_version>
pub(crate) fn schema_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA main.schema_version", [], |row| row.get(0))
}
