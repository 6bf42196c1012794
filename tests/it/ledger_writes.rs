//! What the ledger's tables did not store does not count as stored, whatever trigger or view stands
//! in the way.

use std::time::Duration;

use landfall::rusqlite::Connection;
use landfall::{
    Backfill, ErrorKind, Migration, Migrator, Report, Result, Seed, Seeds, Target, Version,
};

use crate::support::{dump, everything, memory, one, rows};

type Verb = fn(&Connection) -> Result<Report>;

fn first() -> Migrator {
    Migrator::from_migrations([Migration::sql(
        1,
        "n",
        "CREATE TABLE n(x INTEGER); INSERT INTO n VALUES (0);
         CREATE TABLE m(x INTEGER); INSERT INTO m VALUES (0);",
    )])
}

fn second() -> Migrator {
    first().with(Migration::sql(2, "up", "UPDATE n SET x = x + 1").down("UPDATE n SET x = x - 1"))
}

fn seeded() -> Migrator {
    let up = |tx: &landfall::rusqlite::Transaction<'_>| {
        tx.execute("UPDATE n SET x = x + 1", []).map(drop)
    };
    let fill = Backfill::update("fill", "m", "x = x + 10", "x < 10").pause(Duration::ZERO);
    second().seeds(Seeds::new().add(Seed::new("up", up).undoable()).backfill(fill))
}

fn outside() -> Migrator {
    first().with(Migration::sql(2, "out", "-- landfall: no-transaction\nUPDATE n SET x = x + 1;"))
}

fn edited() -> Migrator {
    Migrator::from_migrations([Migration::sql(1, "n", "CREATE TABLE n(x)")])
}

fn undone() -> Migrator {
    first().with(Migration::sql(2, "up", "-- landfall: undo\nUPDATE n SET x = x + 1"))
}

/// What is done to a database of [`first`], and before that to it.
const VERBS: [(&str, Verb, Verb); 9] = [
    ("apply", |conn| first().apply(conn), |conn| second().apply(conn)),
    ("seeds", |conn| second().apply(conn), |conn| seeded().apply(conn)),
    ("revert", |conn| second().apply(conn), |conn| second().revert(conn, Target::Steps(1))),
    (
        "revert all",
        |conn| seeded().apply(conn),
        |conn| seeded().revert(conn, Target::Version(Version::from(1))),
    ),
    ("outside", |conn| first().apply(conn), |conn| outside().apply(conn)),
    ("repair", |conn| first().apply(conn), |conn| edited().repair(conn, "a test")),
    ("baseline", |conn| first().apply(conn), |conn| second().baseline(conn, Version::from(2))),
    ("undo", |conn| undone().apply(conn), |conn| undone().revert(conn, Target::Steps(1))),
    ("undo again", |conn| first().apply(conn), |conn| undone().apply(conn)),
];

const TABLES: [&str; 6] = [
    "schema_migrations",
    "schema_seeds",
    "schema_history",
    "schema_state",
    "schema_undo",
    "schema_undo_rows",
];

/// What a trigger does to a write of ours, by what is put into its text.
const DEEDS: [(&str, &str, &str); 6] = [
    ("BEFORE INSERT", "SELECT RAISE(IGNORE)", "ignored"),
    ("BEFORE UPDATE", "SELECT RAISE(IGNORE)", "ignored"),
    ("BEFORE DELETE", "SELECT RAISE(IGNORE)", "ignored"),
    ("AFTER INSERT", "DELETE FROM {table} WHERE rowid = new.rowid", "taken away"),
    ("AFTER INSERT", "INSERT INTO audit VALUES ('{table}')", "harmless"),
    ("AFTER INSERT", "INSERT INTO audit SELECT count(*) FROM {table}", "harmless"),
];

/// Everything but the times and what counts how often the schema was changed.
fn state(conn: &Connection) -> String {
    let mut out = dump(conn);
    for (table, columns) in [
        ("schema_migrations", "version, name, checksum, down_sql, compatible"),
        ("schema_seeds", "name, revision, substr(state, 1, 7), cursor, done, rows_changed"),
        ("schema_history", "id, action, version, name, reason, detail"),
        ("schema_state", "key, CASE WHEN key IN ('seal', 'untouched') THEN '' ELSE value END"),
    ] {
        let there = format!("SELECT count(*) FROM sqlite_master WHERE name = '{table}'");
        if one(conn, &there) == "1" {
            out.push_str(
                &rows(conn, &format!("SELECT {columns} FROM {table} ORDER BY 1")).join("\n"),
            );
        }
    }
    out
}

#[test]
fn write_that_a_trigger_undoes_is_refused_by_name() {
    let (mut refused, mut passed) = (0, 0);
    for temp in ["", "TEMP "] {
        for (what, before, verb) in VERBS {
            let undisturbed = memory();
            undisturbed.execute_batch("CREATE TABLE audit(x)").unwrap();
            before(&undisturbed).unwrap();
            verb(&undisturbed).unwrap();
            for table in TABLES {
                for (event, deed, kind) in DEEDS {
                    let conn = memory();
                    conn.execute_batch("CREATE TABLE audit(x)").unwrap();
                    before(&conn).unwrap();
                    let on = match temp {
                        "" => table.to_owned(),
                        _ => format!("main.{table}"),
                    };
                    // SQLite has no numbers for rows WITHOUT ROWID.
                    let deed = match table {
                        "schema_seeds" => deed.replace("rowid = new.rowid", "name = new.name"),
                        _ => deed.to_owned(),
                    };
                    let deed = deed.replace("{table}", table);
                    let sql =
                        format!("CREATE {temp}TRIGGER guard {event} ON {on} BEGIN {deed}; END");
                    if conn.execute_batch(&sql).is_err() {
                        // Of undo there are tables only once something was recorded.
                        assert!(table.starts_with("schema_undo"), "{sql}");
                        continue;
                    }
                    let what = format!("{what}, {kind}: {sql}");
                    let was = everything(&conn);
                    match verb(&conn) {
                        Ok(_) => {
                            conn.execute_batch("DROP TRIGGER guard; DELETE FROM audit").unwrap();
                            assert_eq!(state(&conn), state(&undisturbed), "{what}");
                            passed += 1;
                        }
                        Err(error) => {
                            refused += 1;
                            assert!(conn.is_autocommit(), "{what}");
                            if error
                                .to_string()
                                .contains("this connection has a TEMP trigger `guard`")
                            {
                                // What is recorded for undo allows none.
                                assert!(
                                    error.report().is_some() || everything(&conn) == was,
                                    "{what}"
                                );
                                continue;
                            }
                            assert_ne!(kind, "harmless", "{what}: {error:?}");
                            let ErrorKind::NotWritten { table: told, triggers, .. } = error.kind()
                            else {
                                panic!("{what}: {error:?}");
                            };
                            assert_eq!(
                                (told.as_str(), triggers.as_slice()),
                                (table, &["guard".to_owned()][..]),
                                "{what}"
                            );
                            if error.to_string().contains("marked as interrupted") {
                                let marks =
                                    "SELECT count(*) FROM schema_state WHERE key = 'running'";
                                assert_eq!(one(&conn, marks), "1", "{what}");
                                conn.execute_batch("DROP TRIGGER guard").unwrap();
                                outside().baseline(&conn, Version::from(2)).unwrap();
                                assert_eq!(one(&conn, "SELECT x FROM n"), "1", "{what}");
                                continue;
                            }
                            if error.report().is_none() {
                                assert_eq!(everything(&conn), was, "{what}: {error:?}");
                            }
                            conn.execute_batch("DROP TRIGGER guard").unwrap();
                            verb(&conn).unwrap_or_else(|error| panic!("{what}: {error:?}"));
                            assert_eq!(state(&conn), state(&undisturbed), "{what}");
                        }
                    }
                }
            }
        }
    }
    assert!(refused > 40 && passed > 100, "{refused} refused, {passed} passed");
}

#[test]
fn ignored_write_tells_table_trigger_and_cure() {
    let conn = memory();
    first().apply(&conn).unwrap();
    conn.execute_batch(
        "CREATE TRIGGER \"the \"\"guard\" BEFORE INSERT ON schema_migrations
         BEGIN SELECT RAISE(IGNORE); END",
    )
    .unwrap();
    let error = second().apply(&conn).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "the trigger `the \"guard` keeps writes to the ledger's table `schema_migrations` from \
         taking effect; nothing was changed\n\
         what to do: drop the trigger with `DROP TRIGGER \"the \"\"guard\"`, or have it let the \
         ledger's rows through, and start again"
    );
    assert_eq!(one(&conn, "SELECT x FROM n"), "0");
}

#[test]
fn view_in_place_of_a_ledger_table_is_refused() {
    for (table, columns) in [
        (
            "schema_migrations",
            "version, name, checksum, down_sql, compatible, applied_at, took_us, app_version",
        ),
        ("schema_state", "key, value"),
        ("schema_history", "id, at, action, version, name, reason, detail, app_version"),
    ] {
        let conn = memory();
        first().apply(&conn).unwrap();
        conn.execute_batch(&format!(
            "CREATE TABLE hidden AS SELECT {columns} FROM {table}; DROP TABLE {table};
             CREATE VIEW {table} AS SELECT {columns} FROM hidden;"
        ))
        .unwrap();
        let before = dump(&conn);
        let error = second().apply(&conn).unwrap_err();
        let told = format!("table `{table}` is not landfall's: it is a view; nothing was changed");
        assert_eq!(error.to_string(), told);
        assert_eq!(dump(&conn), before);
    }
}
