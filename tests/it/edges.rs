//! Edges of the plan: each a place where one condition decides.

use landfall::rusqlite::Connection;
use landfall::{ErrorKind, Migration, Migrator, Newer, Target, Version};

use crate::support::{folder, memory, one, rows, set};

const ONE: (&str, &str) = ("0001_a.sql", "CREATE TABLE a(x);");

/// At version 2, of which a script outside a transaction stopped after its first statement.
fn stuck(reverting: bool) -> (Migrator, Connection) {
    let fails = "CREATE TABLE half(x); INSERT INTO nowhere VALUES (1);";
    let (up, down) = if reverting { ("SELECT 1;", fails) } else { (fails, "SELECT 1;") };
    let head = "-- landfall: no-transaction\n";
    let (_dir, files) = folder(&[
        ONE,
        ("0002_b.sql", &format!("{head}{up}")),
        ("0002_b.down.sql", &format!("{head}{down}")),
    ]);
    let conn = memory();
    if reverting {
        files.apply(&conn).unwrap();
        files.revert(&conn, Target::Steps(1)).unwrap_err();
    } else {
        files.apply(&conn).unwrap_err();
    }
    assert!(matches!(files.plan(&conn).unwrap_err().kind(), ErrorKind::Interrupted { .. }));
    let again = Migrator::from_migrations([
        Migration::sql(1, "a", ONE.1),
        Migration::sql(2, "b", format!("{head}{up}")).down(format!("{head}{down}")),
    ]);
    (again, conn)
}

#[test]
fn a_baseline_takes_what_was_interrupted_as_done_but_not_a_revert() {
    let (migrator, conn) = stuck(false);
    migrator.baseline(&conn, Version::from(1)).unwrap_err();
    migrator.baseline(&conn, Version::from(2)).unwrap();
    let (migrator, conn) = stuck(true);
    let error = migrator.baseline(&conn, Version::from(2)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Interrupted { .. }), "{error}");
}

#[test]
fn no_steps_are_none_though_a_baseline_would_mark_others() {
    let two = ("0002_b.sql", "CREATE TABLE b(x);");
    let baseline = ("0002_ab.baseline.sql", "CREATE TABLE a(x); CREATE TABLE b(x);");
    let (_dir, migrator) = folder(&[ONE, two, baseline]);
    let conn = memory();
    assert!(migrator.apply_to(&conn, Target::Steps(0)).unwrap().is_noop());
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master WHERE name IN ('a', 'b')"), "0");
}

#[test]
fn a_database_just_below_a_baseline_goes_on_with_the_migration_it_stands_for() {
    let conn = memory();
    set(&[(1, "a", ONE.1, "")]).apply(&conn).unwrap();
    let two = ("0002_b.sql", "CREATE TABLE b(x);");
    let baseline = ("0002_ab.baseline.sql", "CREATE TABLE a(x); CREATE TABLE b(x);");
    let (_dir, migrator) = folder(&[two, baseline]);
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 1);
}

#[test]
fn a_down_script_that_was_withdrawn_is_not_run_from_the_ledger() {
    let conn = memory();
    set(&[(1, "a", ONE.1, "DROP TABLE a")]).apply(&conn).unwrap();
    let error = set(&[(1, "a", ONE.1, "")]).revert(&conn, Target::Empty).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Irreversible { .. }), "{error}");
}

#[test]
fn an_edit_that_says_what_it_replaces_is_recorded_below_newer_migrations_too() {
    let conn = memory();
    let newer = (2, "b", "CREATE TABLE b(x)", "");
    set(&[(1, "a", ONE.1, ""), newer]).apply(&conn).unwrap();
    let sum = one(&conn, "SELECT checksum FROM schema_migrations WHERE version = 1");
    let edited = format!("-- landfall: replaces {sum}: a type\nCREATE TABLE a(x TEXT);");
    let older = Migrator::from_migrations([Migration::sql(1, "a", edited)]).newer(Newer::Ignore);
    assert_eq!(older.apply(&conn).unwrap().amended.len(), 1);
    assert_eq!(older.apply(&conn).unwrap().amended.len(), 0);
}

#[test]
fn a_drop_after_a_delete_does_not_take_the_deletes_cascade_away() {
    let conn = memory();
    conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    let tables = "CREATE TABLE other(x); CREATE TABLE parent(id INTEGER PRIMARY KEY);
                  CREATE TABLE child(p REFERENCES parent(id) ON DELETE CASCADE);
                  INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1), (2);";
    set(&[
        (1, "tables", tables, ""),
        (2, "delete", "DELETE FROM parent WHERE id = 1", ""),
        (3, "drop", "DROP TABLE other", ""),
    ])
    .apply(&conn)
    .unwrap();
    assert_eq!(rows(&conn, "SELECT p FROM child"), ["2"]);
}
