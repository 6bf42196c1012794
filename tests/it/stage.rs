//! What the reliability tests share: looking at everything, counting deeds, child processes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use landfall::rusqlite::Connection;
use landfall::rusqlite::config::DbConfig;
use landfall::{Event, Migration, Migrator, Seeds, Transactions};

use crate::support::{dump, one, rows};

/// The user's data and schema, and what our tables say, times left out.
pub fn whole(conn: &Connection) -> String {
    let mut out = dump(conn);
    let parts = [
        ("schema_migrations", "version, name, checksum, down_sql, compatible"),
        ("schema_seeds", "name, revision, state, rows_changed"),
        ("schema_history", "id, action, version, name, reason, detail"),
        // How often the schema was changed depends on what was tried before.
        ("schema_state", "key, CASE key WHEN 'untouched' THEN '' ELSE value END"),
        (
            "schema_undo",
            "id, version, name, revision, revision_before, tables, first_row, last_row",
        ),
        ("schema_undo_rows", "id, tbl, key, before, after"),
    ];
    for (table, columns) in parts {
        let found = format!("SELECT count(*) FROM sqlite_master WHERE name = '{table}'");
        if one(conn, &found) == "1" {
            out.push_str(&format!("{table}\n"));
            for row in rows(conn, &format!("SELECT {columns} FROM {table} ORDER BY 1")) {
                out.push_str(&format!("{table}: {row}\n"));
            }
        }
    }
    out
}

/// The connection's settings that a run may touch, and what it may leave behind on it.
pub fn settings(conn: &Connection) -> Vec<String> {
    let names = [
        "foreign_keys",
        "busy_timeout",
        "legacy_alter_table",
        "recursive_triggers",
        "cache_size",
        "ignore_check_constraints",
    ];
    let pragma = |name: &&str| format!("{name}={}", one(conn, &format!("PRAGMA {name}")));
    let mut settings: Vec<String> = names.iter().map(pragma).collect();
    let triggers = conn.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER).unwrap();
    settings.push(format!("triggers={triggers}"));
    settings.extend(rows(conn, "SELECT name FROM temp.sqlite_master"));
    settings
}

/// How many deeds [`counting`] does.
pub const DEEDS: usize = 8;

/// Twelve migrations and two seeds. Six of the migrations and both seeds each count up by one and
/// leave a line in a log, so that what ran twice, or not, can be seen.
pub fn counting() -> Migrator {
    let mut list = vec![Migration::sql(
        1,
        "counter",
        "CREATE TABLE counter(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
         INSERT INTO counter VALUES (1, 0);
         CREATE TABLE log(id INTEGER PRIMARY KEY, who TEXT NOT NULL);
         CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT);
         CREATE TABLE child(id INTEGER PRIMARY KEY,
                            parent_id INTEGER NOT NULL REFERENCES parent(id) ON DELETE CASCADE);",
    )];
    for version in 2..=12 {
        let sql = match version {
            7 => "CREATE TABLE parent_new(id INTEGER PRIMARY KEY, name TEXT NOT NULL, extra TEXT);
                  INSERT INTO parent_new(id, name) SELECT id, name FROM parent;
                  DROP TABLE parent;
                  ALTER TABLE parent_new RENAME TO parent;"
                .to_owned(),
            _ if version % 2 == 0 => format!(
                "UPDATE counter SET n = n + 1;
                 INSERT INTO log(who) VALUES ('{version}');
                 INSERT INTO parent(id, name) VALUES ({version}, 'p');
                 INSERT INTO child(parent_id) VALUES ({version});"
            ),
            _ => {
                format!("CREATE TABLE t{version}(x, y); CREATE INDEX i{version} ON t{version}(x);")
            }
        };
        list.push(Migration::sql(version, format!("step{version}"), sql));
    }
    let count = |who: &'static str| {
        move |tx: &landfall::rusqlite::Transaction<'_>| {
            tx.execute("UPDATE counter SET n = n + 1", [])?;
            tx.execute("INSERT INTO log(who) VALUES (?1)", [who]).map(drop)
        }
    };
    Migrator::from_migrations(list)
        .seeds(Seeds::new().ensure("first", count("first")).ensure("second", count("second")))
}

/// That what is in the database of [`counting`] is what its ledger says, whatever that is.
pub fn assert_ledger_tells_the_truth(conn: &Connection, what: &str) {
    assert_eq!(one(conn, "PRAGMA integrity_check"), "ok", "{what}");
    let exists = "SELECT count(*) FROM sqlite_master WHERE name IN ('log', 'schema_migrations')";
    match one(conn, exists).as_str() {
        "0" => return,
        "2" => {}
        _ => panic!("{what}: {}", whole(conn)),
    }
    let recorded = rows(
        conn,
        "SELECT CAST(version AS TEXT) FROM schema_migrations WHERE version % 2 = 0
         UNION ALL SELECT name FROM schema_seeds ORDER BY 1",
    );
    assert_eq!(rows(conn, "SELECT who FROM log ORDER BY 1"), recorded, "{what}");
    assert_eq!(one(conn, "SELECT n FROM counter"), recorded.len().to_string(), "{what}");
    let children = "SELECT count(*) FROM child JOIN parent ON parent.id = parent_id";
    assert_eq!(one(conn, children), one(conn, "SELECT count(*) FROM child"), "{what}");
}

/// That everything of [`counting`] is there, once.
pub fn assert_counted_once(conn: &Connection, what: &str) {
    assert_ledger_tells_the_truth(conn, what);
    assert_eq!(one(conn, "SELECT n FROM counter"), DEEDS.to_string(), "{what}");
    assert_eq!(one(conn, "SELECT count(*) FROM child"), "6", "{what}");
    assert_eq!(one(conn, "SELECT count(*) FROM schema_migrations"), "12", "{what}");
    let history = rows(conn, "SELECT action, name FROM schema_history");
    let distinct: std::collections::BTreeSet<&String> = history.iter().collect();
    assert_eq!(history.len(), 14, "{what}: {history:?}");
    assert_eq!(distinct.len(), 14, "{what}: {history:?}");
}

pub const MODES: [&str; 2] = ["DELETE", "WAL"];

pub fn transactions(name: &str) -> Transactions {
    match name {
        "Each" => Transactions::Each,
        _ => Transactions::Together,
    }
}

/// An empty file in a journal mode, which for WAL sticks to the file.
pub fn empty_file(path: &Path, mode: &str) {
    let conn = Connection::open(path).unwrap();
    assert_eq!(one(&conn, &format!("PRAGMA journal_mode = {mode}")), mode.to_lowercase());
}

/// Starts this test binary again for one test, which does what the variables say.
pub fn again(test: &str, variables: &[(&str, String)]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).stdin(Stdio::null()).stdout(Stdio::null());
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
    command.stderr(Stdio::null()).spawn().unwrap()
}

/// A variable that [`again`] was given; `None` in an ordinary run of the tests.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Has the process die in the middle of the step that `LANDFALL_DIE_AT_STEP` says, if it is set,
/// counted in so many of SQLite's.
pub fn dies_at_step(conn: &mut Connection, of: i32) {
    let Some(step) = variable("LANDFALL_DIE_AT_STEP") else { return };
    let (step, mut steps): (u64, u64) = (step.parse().unwrap(), 0);
    let count = move || {
        steps += 1;
        if steps == step {
            std::process::abort();
        }
        false
    };
    // From rusqlite 0.38 on it returns a result, from 0.41 on it wants the connection alone.
    let _ = conn.progress_handler(of, Some(count));
}

/// For `on_event`: has the process die at the event that `LANDFALL_DIE_AT_EVENT` says, if it is set.
pub fn dies_at_event() -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    let event = variable("LANDFALL_DIE_AT_EVENT").map(|text| text.parse::<u64>().unwrap());
    let events = AtomicU64::new(0);
    move |_| {
        if Some(events.fetch_add(1, Ordering::Relaxed) + 1) == event {
            std::process::abort();
        }
    }
}
