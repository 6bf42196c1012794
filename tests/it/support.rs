//! What the tests share: databases, sets, and ways to look at them.

use std::cell::RefCell;

use include_dir::{Dir, include_dir};
use landfall::rusqlite::Connection;
use landfall::{Migration, Migrator};

pub static EXAMPLE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/migrations-example");

/// The migrator of `migrations-example/`.
pub fn example() -> Migrator {
    Migrator::from_embedded(&EXAMPLE)
}

/// A set made of `(version, name, up, down)`.
pub fn set(migrations: &[(i64, &'static str, &'static str, &'static str)]) -> Migrator {
    Migrator::from_migrations(migrations.iter().map(|&(version, name, up, down)| {
        let migration = Migration::sql(version, name, up);
        if down.is_empty() { migration } else { migration.down(down) }
    }))
}

pub fn memory() -> Connection {
    Connection::open_in_memory().unwrap()
}

/// A boot that has to fail, and to leave everything as it was: the database, the ledger, the
/// transaction state and the foreign keys.
pub fn refused(conn: &Connection, migrator: &Migrator) -> landfall::Error {
    let state = || (everything(conn), one(conn, "PRAGMA foreign_keys"));
    let before = state();
    let error = migrator.apply(conn).unwrap_err();
    assert!(conn.is_autocommit(), "a transaction was left open by: {error}");
    assert_eq!(state(), before, "changed by: {error}");
    error
}

/// What stands below an error, as text.
pub fn cause(error: &landfall::Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

/// As [`dump`], the ledger's tables included.
pub fn everything(conn: &Connection) -> String {
    let mut out = dump(conn);
    let ours = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'schema_*'";
    for name in rows(conn, ours) {
        out.push_str(&format!("{name}: {:?}\n", rows(conn, &format!("SELECT * FROM {name}"))));
    }
    out
}

/// A folder of files, and a migrator that reads it.
pub fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Migrator) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let migrator = Migrator::from_dir(dir.path());
    (dir, migrator)
}

/// Everything in the database that a user could see: the schema and every row of every table but
/// the ledger's, as text.
pub fn dump(conn: &Connection) -> String {
    let mut out = String::new();
    let objects: Vec<(String, String, Option<String>)> = conn
        .prepare(
            "SELECT type, name, sql FROM sqlite_master
             WHERE name NOT LIKE 'schema\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
             ORDER BY type, name",
        )
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for (kind, name, sql) in &objects {
        out.push_str(&format!("{kind} {name}: {}\n", sql.as_deref().unwrap_or("")));
    }
    for (_, name, _) in objects.iter().filter(|(kind, ..)| kind == "table") {
        let mut rows = rows(conn, &format!("SELECT * FROM \"{}\"", name.replace('"', "\"\"")));
        rows.sort();
        for row in rows {
            out.push_str(&format!("{name}: {row}\n"));
        }
    }
    out
}

/// Every row of a query as `a|b|c`.
pub fn rows(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(sql).unwrap();
    let columns = statement.column_count();
    statement
        .query_map([], |row| {
            let cells: Vec<String> = (0..columns)
                .map(|at| match row.get_ref(at).unwrap() {
                    rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    rusqlite::types::ValueRef::Real(number) => number.to_string(),
                    rusqlite::types::ValueRef::Text(text) => {
                        String::from_utf8_lossy(text).into_owned()
                    }
                    rusqlite::types::ValueRef::Blob(blob) => format!("{blob:x?}"),
                })
                .collect();
            Ok(cells.join("|"))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

pub fn one(conn: &Connection, sql: &str) -> String {
    let mut all = rows(conn, sql);
    assert_eq!(all.len(), 1, "{sql} gave {} rows", all.len());
    all.remove(0)
}

/// The user's schema by meaning, a line for each thing: objects, columns, indexes, foreign keys.
/// SQL text is left out where SQLite rewrites it.
pub fn schema(conn: &Connection) -> Vec<String> {
    let ours =
        "m.name NOT LIKE 'schema\\_%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let queries = [
        format!(
            "SELECT type || ' ' || name || ' on ' || tbl_name || CASE WHEN type IN ('view', 'trigger')
                    THEN ' ' || sql ELSE '' END FROM sqlite_master m WHERE {ours}"
        ),
        format!(
            "SELECT m.name || '.' || x.name || ' ' || x.type || ' ' || x.\"notnull\" || ' '
                    || ifnull(x.dflt_value, '-') || ' ' || x.pk || ' ' || x.hidden
             FROM sqlite_master m, pragma_table_xinfo(m.name) x WHERE m.type = 'table' AND {ours}"
        ),
        format!(
            "SELECT m.name || ' index ' || i.\"unique\" || i.origin || i.partial || ' '
                    || group_concat(ifnull(x.name, 'expression') || x.\"desc\" || x.coll)
             FROM sqlite_master m, pragma_index_list(m.name) i, pragma_index_xinfo(i.name) x
             WHERE m.type = 'table' AND {ours} GROUP BY m.name, i.name"
        ),
        format!(
            "SELECT m.name || '(' || k.\"from\" || ') references ' || k.\"table\" || '('
                    || ifnull(k.\"to\", '') || ') ' || k.on_delete || ' ' || k.on_update
             FROM sqlite_master m, pragma_foreign_key_list(m.name) k
             WHERE m.type = 'table' AND {ours}"
        ),
    ];
    let mut lines: Vec<String> = queries.iter().flat_map(|query| rows(conn, query)).collect();
    lines.sort();
    lines
}

thread_local! {
    static ASKED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A statement begins, or a trigger of it, whose text is a comment.
unsafe extern "C" fn begins(
    _: std::ffi::c_uint,
    _: *mut std::ffi::c_void,
    _: *mut std::ffi::c_void,
    text: *mut std::ffi::c_void,
) -> std::ffi::c_int {
    // SAFETY: of SQLITE_TRACE_STMT this is the statement's text.
    let sql = unsafe { std::ffi::CStr::from_ptr(text.cast()) };
    ASKED.with_borrow_mut(|asked| asked.push(sql.to_string_lossy().into_owned()));
    0
}

/// Every statement that SQLite runs for the work. SQLite is asked itself: what rusqlite has for it
/// differs from release to release.
pub fn asked(conn: &Connection, work: impl FnOnce(&Connection)) -> Vec<String> {
    ASKED.take();
    let trace = |mask, callback| {
        // SAFETY: the connection is open, and the callback takes nothing of ours.
        let done = unsafe {
            let nothing = std::ptr::null_mut();
            rusqlite::ffi::sqlite3_trace_v2(conn.handle(), mask, callback, nothing)
        };
        assert_eq!(done, rusqlite::ffi::SQLITE_OK);
    };
    trace(rusqlite::ffi::SQLITE_TRACE_STMT as std::ffi::c_uint, Some(begins));
    work(conn);
    trace(0, None);
    ASKED.take()
}

/// How many statements SQLite runs for the work, settings of the connection left out: these are
/// asked of the connection, not of the database.
pub fn queries(conn: &Connection, work: impl FnOnce(&Connection)) -> usize {
    asked(conn, work).iter().filter(|sql| !sql.starts_with("PRAGMA")).count()
}

/// In a word, what a start did.
pub fn told(result: &landfall::Result<landfall::Report>) -> String {
    match result {
        Err(error) => format!("{:?}", error.kind()).split([' ', '{']).next().unwrap().to_owned(),
        Ok(report) => {
            let counts = [
                ("applied", report.applied.len()),
                ("amended", report.amended.len()),
                ("repeated", report.repeated.len()),
                ("seeds", report.seeds.len()),
                ("newer", report.newer.len()),
            ];
            let told = counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{what} {n}"));
            told.collect::<Vec<_>>().join(", ")
        }
    }
}
