//! A baseline stands for what came before it: as a file on an empty database, as a verb on one
//! whose schema is already there.

use landfall::{ErrorKind, State, Target, Version};

use crate::support::{folder, memory, one, rows, set};

const SQUASHED: [(&str, &str); 3] = [
    ("0050_start.baseline.sql", "CREATE TABLE a(x); CREATE TABLE b(x);"),
    ("0051_c.sql", "CREATE TABLE c(x);"),
    ("0051_c.down.sql", "DROP TABLE c;"),
];

#[test]
fn an_empty_database_starts_from_the_baseline() {
    let (_dir, migrator) = folder(&SQUASHED);
    let conn = memory();
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(report.applied.len(), 2);
    assert_eq!(rows(&conn, "SELECT version FROM schema_migrations"), ["50", "51"]);
    assert!(migrator.apply(&conn).unwrap().is_noop());
    let states: Vec<_> =
        migrator.status(&conn).unwrap().migrations.iter().map(|m| m.state).collect();
    assert_eq!(states, [State::Applied, State::Applied]);
    assert_eq!(
        rows(&conn, "SELECT action || version FROM schema_history"),
        ["baseline50", "apply51"]
    );
}

#[test]
fn a_database_that_has_the_old_migrations_goes_on_after_the_baseline() {
    let conn = memory();
    set(&[(49, "a", "CREATE TABLE a(x)", ""), (50, "b", "CREATE TABLE b(x)", "")])
        .apply(&conn)
        .unwrap();
    let (_dir, migrator) = folder(&SQUASHED);
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 1);
    assert!(migrator.apply(&conn).unwrap().is_noop());
}

#[test]
fn a_database_older_than_the_baseline_is_told_to_take_the_release_in_between() {
    let conn = memory();
    set(&[(49, "a", "CREATE TABLE a(x)", "")]).apply(&conn).unwrap();
    let (_dir, migrator) = folder(&SQUASHED);
    let error = migrator.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Missing { .. }));
    assert_eq!(
        error.advice().unwrap(),
        "the database is at version 49 and this program starts from 50: run a release that \
         still holds the migrations in between first"
    );
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master WHERE name = 'c'"), "0");
}

#[test]
fn a_baseline_beside_what_it_stands_for_runs_in_its_place() {
    let (_dir, migrator) = folder(&[
        ("0001_a.sql", "CREATE TABLE a(x); CREATE TABLE scratch(x);"),
        ("0002_b.sql", "CREATE TABLE b(x); DROP TABLE scratch;"),
        ("0002_both.baseline.sql", "CREATE TABLE a(x); CREATE TABLE b(x);"),
        ("0003_c.sql", "CREATE TABLE c(x);"),
    ]);
    let conn = memory();
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(report.applied.len(), 2);
    assert_eq!(report.marked.len(), 1);
    assert_eq!(rows(&conn, "SELECT version FROM schema_migrations"), ["1", "2", "3"]);
    assert!(migrator.apply(&conn).unwrap().is_noop());
    // Half-way databases take the long way to the same end.
    let half = memory();
    migrator.apply_to(&half, Target::Version(1.into())).unwrap_or_else(|e| panic!("{e:?}"));
    migrator.apply(&half).unwrap();
    let names = "SELECT name FROM sqlite_master ORDER BY name";
    assert_eq!(rows(&half, names), rows(&conn, names));
}

#[test]
fn a_baseline_is_not_run_over_tables_that_are_there() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE a(x); CREATE TABLE b(x)").unwrap();
    let (_dir, migrator) = folder(&SQUASHED);
    let error = migrator.apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the database holds tables of `0050_start.baseline.sql` but no ledger; nothing was changed"
    );
    let report = migrator.baseline(&conn, Version::from(50)).unwrap();
    assert_eq!(report.marked.len(), 1);
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 1);
}

#[test]
fn the_verb_marks_what_is_there_and_runs_nothing() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE a(x); INSERT INTO a VALUES (7)").unwrap();
    let set = set(&[
        (1, "a", "CREATE TABLE a(x)", "DROP TABLE a"),
        (2, "fill", "INSERT INTO a VALUES (2)", ""),
        (3, "b", "CREATE TABLE b(x)", ""),
    ]);
    let error = set.apply(&conn).unwrap_err();
    assert_eq!(
        error.advice().unwrap(),
        "the database has no ledger and is not empty: if it is already at one of the set's \
         versions, call `baseline` with that version once"
    );
    let report = set.baseline(&conn, Version::from(2)).unwrap();
    let marked: Vec<_> = report.marked.iter().filter_map(|d| d.version).collect();
    assert_eq!(marked, [Version::from(1), Version::from(2)]);
    assert_eq!(rows(&conn, "SELECT x FROM a"), ["7"]);
    assert_eq!(set.apply(&conn).unwrap().applied.len(), 1);
    assert_eq!(
        rows(&conn, "SELECT action || version FROM schema_history"),
        ["baseline1", "baseline2", "apply3"]
    );
    let error = set.baseline(&conn, Version::from(9)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnknownTarget { .. }));
}

#[test]
fn a_baseline_runs_beside_the_tables_of_others() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE _litestream_seq(id INTEGER PRIMARY KEY, seq INTEGER)")
        .unwrap();
    set(&[(1, "log", "CREATE TABLE log(x)", "")]).ledger("audit").apply(&conn).unwrap();
    let (_dir, migrator) = folder(&SQUASHED);
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 2);
}
