//! What crosses from one feature into another.

use landfall::rusqlite::Connection;
use landfall::{ErrorKind, Late, Migrator, Seeds, Version};

use crate::support::{folder, memory, one, refused, rows, set};

const PARENT: (i64, &str, &str, &str) = (
    1,
    "a",
    "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT); CREATE UNIQUE INDEX pc ON p(code);
     CREATE TABLE c(code TEXT REFERENCES p(code));
     INSERT INTO p VALUES (1, 'a'); INSERT INTO c VALUES ('a');",
    "",
);

#[test]
fn a_rebuild_that_loses_the_key_that_others_refer_to_is_refused() {
    let conn = memory();
    set(&[PARENT]).apply(&conn).unwrap();
    let rebuild =
        "CREATE TABLE n(id INTEGER PRIMARY KEY, code TEXT); INSERT INTO n SELECT * FROM p;
                   DROP TABLE p; ALTER TABLE n RENAME TO p;";
    let error = refused(&conn, &set(&[PARENT, (2, "b", rebuild, "")]));
    assert!(matches!(error.kind(), ErrorKind::ForeignKeys { .. }), "{error}");
    let whole = format!("{rebuild} CREATE UNIQUE INDEX pc ON p(code);");
    let whole = landfall::Migration::sql(2, "b", whole);
    set(&[PARENT]).with(whole).apply(&conn).unwrap();
    conn.execute("INSERT INTO c VALUES ('a')", []).unwrap();
}

#[test]
fn an_index_that_foreign_keys_need_is_not_dropped() {
    let conn = memory();
    set(&[PARENT]).apply(&conn).unwrap();
    let error = refused(&conn, &set(&[PARENT, (2, "b", "DROP INDEX pc;", "")]));
    assert!(matches!(error.kind(), ErrorKind::ForeignKeys { .. }), "{error}");
    let another = "CREATE UNIQUE INDEX other ON p(code); DROP INDEX pc;";
    set(&[PARENT, (2, "b", another, "")]).apply(&conn).unwrap();
}

#[test]
fn a_column_that_a_trigger_cannot_do_with_is_not_added() {
    let first = (
        1,
        "a",
        "CREATE TABLE t(x); CREATE TABLE gone(x);
         CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO gone VALUES (old.x); END;",
        "",
    );
    let conn = memory();
    set(&[first]).apply(&conn).unwrap();
    let error = refused(&conn, &set(&[first, (2, "b", "ALTER TABLE gone ADD COLUMN y;", "")]));
    assert!(matches!(error.kind(), ErrorKind::BrokenObject { .. }), "{error}");
}

#[test]
fn a_seed_does_not_run_on_a_schema_that_another_program_has_changed_since() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let conn = Connection::open(&path).unwrap();
    let first = (1, "a", "CREATE TABLE t(x);", "");
    let second = (2, "b", "DROP TABLE t; CREATE TABLE t(x);", "");
    let add = |tx: &rusqlite::Transaction<'_>| tx.execute("INSERT INTO t VALUES (1)", []).map(drop);
    let seeds = Seeds::new().ensure("one", add).ensure("two", add).ensure("three", add);
    let old: Migrator = set(&[first]).seeds(seeds).on_event(move |event| {
        if let landfall::Event::SeedFinished { name: "one", .. } = event {
            let newer = set(&[first, second]).data_loss(landfall::DataLoss::Allow);
            newer.apply(&Connection::open(&path).unwrap()).unwrap();
        }
    });
    let error = old.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Newer { .. }), "{error}");
    assert_eq!(one(&conn, "SELECT count(*) FROM t"), "0");
    assert_eq!(rows(&conn, "SELECT name FROM schema_seeds"), ["one"]);
}

#[test]
fn a_baseline_alone_does_not_pass_for_what_an_older_database_lacks() {
    let conn = memory();
    set(&[(1, "a", "CREATE TABLE a(x);", "")]).apply(&conn).unwrap();
    let squashed = "CREATE TABLE a(x); CREATE TABLE b(x);";
    let (_dir, only) = folder(&[("2_all.baseline.sql", squashed)]);
    let error = refused(&conn, &only);
    assert!(matches!(error.kind(), ErrorKind::Missing { .. }), "{error}");
}

#[test]
fn what_a_baseline_stood_for_is_not_run_when_its_files_come_back() {
    let base = ("3_all.baseline.sql", "CREATE TABLE a(x); INSERT INTO a VALUES (2);");
    let (_dir, squashed) = folder(&[base]);
    let (_dir2, whole) = folder(&[
        ("1_a.sql", "CREATE TABLE IF NOT EXISTS a(x); INSERT INTO a VALUES (1);"),
        ("2_b.sql", "UPDATE a SET x = x + 1;"),
        base,
        ("4_c.sql", "CREATE TABLE c(x);"),
    ]);
    let conn = memory();
    squashed.apply(&conn).unwrap();
    assert_eq!(whole.late(Late::Apply).apply(&conn).unwrap().applied.len(), 1);
    assert_eq!(rows(&conn, "SELECT x FROM a"), ["2"]);
}

#[test]
fn a_baseline_does_not_answer_for_an_interrupted_migration_that_it_does_not_know() {
    let known = [(1, "a", "CREATE TABLE t(x);", ""), (3, "c", "CREATE TABLE u(x);", "")];
    let fails = "-- landfall: no-transaction\nCREATE TABLE k(x); CREATE TABLE t(x);";
    let conn = memory();
    set(&known).apply(&conn).unwrap();
    let [first, last] = known;
    let more = set(&[first, (2, "b", fails, ""), last]).late(Late::Apply);
    more.apply(&conn).unwrap_err();
    let error = set(&known).baseline(&conn, Version::from(3)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Interrupted { .. }), "{error}");
    more.baseline(&conn, Version::from(3)).unwrap();
    assert!(more.apply(&conn).unwrap().is_noop());
}

const TABLE: (&str, &str) = ("1_t.sql", "CREATE TABLE t(x, y);");
const VIEW: (&str, &str) = ("R__v.sql", "CREATE VIEW v AS SELECT x FROM t;");

/// Applies one set of files after another to one database.
fn grown(sets: &[&[(&str, &str)]]) -> Connection {
    let conn = memory();
    for files in sets {
        let (_dir, migrator) = folder(files);
        migrator.apply(&conn).unwrap();
        assert!(migrator.apply(&conn).unwrap().is_noop());
    }
    conn
}

fn kinds(conn: &Connection) -> Vec<String> {
    let ours = "name NOT LIKE 'schema\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    rows(conn, &format!("SELECT type || ' ' || name FROM sqlite_master WHERE {ours} ORDER BY 1"))
}

#[test]
fn views_make_way_for_a_migration_outside_any_transaction() {
    let drop = ("2_d.sql", "-- landfall: no-transaction\nALTER TABLE t DROP COLUMN y;");
    let conn = grown(&[&[TABLE, VIEW], &[TABLE, drop, VIEW]]);
    assert_eq!(kinds(&conn), ["table t", "view v"]);
}

#[test]
fn a_trigger_on_a_view_stays_when_the_view_of_another_file_changes() {
    let trigger =
        "CREATE TRIGGER g INSTEAD OF INSERT ON v BEGIN INSERT INTO t(x) VALUES (new.x); END";
    let other = ("R__w.sql", trigger);
    let wider = ("R__v.sql", "CREATE VIEW v AS SELECT x, y FROM t;");
    let conn = grown(&[&[TABLE, VIEW, other], &[TABLE, wider, other]]);
    assert_eq!(kinds(&conn), ["table t", "trigger g", "view v"]);
}

#[test]
fn a_migration_can_drop_the_view_of_a_repeatable_that_is_gone() {
    let drop = ("2_d.sql", "DROP VIEW IF EXISTS v;");
    let conn = grown(&[&[TABLE, VIEW], &[TABLE, drop]]);
    assert_eq!(kinds(&conn), ["table t"]);
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations WHERE version < 0"), "0");
}

#[test]
fn a_table_can_take_the_place_of_the_view_of_a_repeatable_that_is_gone() {
    let turn = ("2_d.sql", "DROP VIEW IF EXISTS v; CREATE TABLE v(x);");
    let later = ("3_e.sql", "ALTER TABLE t DROP COLUMN y;");
    let conn = grown(&[&[TABLE, VIEW], &[TABLE, turn], &[TABLE, turn, later]]);
    assert_eq!(kinds(&conn), ["table t", "table v"]);
}

#[test]
fn a_repeatable_can_be_renamed() {
    let renamed = ("R__views.sql", "CREATE VIEW v AS SELECT x FROM t;");
    let conn = grown(&[&[TABLE, VIEW], &[TABLE, renamed]]);
    assert_eq!(kinds(&conn), ["table t", "view v"]);
    assert_eq!(one(&conn, "SELECT name FROM schema_migrations WHERE version < 0"), "views");
}

#[test]
fn an_older_program_leaves_the_views_of_a_newer_one() {
    let column = ("2_c.sql", "ALTER TABLE t ADD COLUMN z;");
    let newer = ("R__v.sql", "CREATE VIEW v AS SELECT x, z FROM t;");
    let conn = grown(&[&[TABLE, VIEW], &[TABLE, column, newer], &[TABLE, VIEW]]);
    assert_eq!(
        one(&conn, "SELECT sql FROM sqlite_master WHERE name = 'v'"),
        newer.1.trim_end_matches(';')
    );
}

#[test]
fn an_older_program_leaves_the_down_scripts_that_a_newer_one_corrected() {
    let old = set(&[(1, "a", "CREATE TABLE t(x);", "DROP TABLE t;")]);
    let corrected = (1, "a", "CREATE TABLE t(x);", "DROP TABLE IF EXISTS t;");
    let conn = memory();
    old.apply(&conn).unwrap();
    set(&[corrected, (2, "b", "CREATE TABLE u(x);", "")]).apply(&conn).unwrap();
    assert!(old.apply(&conn).unwrap().is_noop());
    assert_eq!(
        one(&conn, "SELECT down_sql FROM schema_migrations WHERE version = 1"),
        "DROP TABLE IF EXISTS t;"
    );
}

#[test]
fn rows_that_an_update_replaces_take_their_children_along_beside_a_rebuild() {
    let first = (
        1,
        "a",
        "CREATE TABLE p(id INTEGER PRIMARY KEY, code UNIQUE); CREATE TABLE z(x);
         CREATE TABLE c(p REFERENCES p(id) ON DELETE CASCADE);
         INSERT INTO p VALUES (1, 'a'), (2, 'b'); INSERT INTO c VALUES (1), (2);",
        "",
    );
    let update = (2, "b", "UPDATE OR REPLACE p SET code = 'a' WHERE id = 2;", "");
    let conn = memory();
    set(&[first]).apply(&conn).unwrap();
    set(&[first, update, (3, "c", "DROP TABLE z;", "")]).apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT p FROM c"), ["2"]);
}

#[test]
fn a_migration_does_not_roll_back_to_the_savepoint_of_another() {
    let conn = memory();
    let open = (1, "a", "SAVEPOINT s; CREATE TABLE k(x);", "");
    let error = refused(&conn, &set(&[open, (2, "b", "ROLLBACK TO s;", "")]));
    assert!(matches!(error.kind(), ErrorKind::TransactionControl { .. }), "{error}");
    let own = "SAVEPOINT \"S\"; CREATE TABLE k(x); ROLLBACK TRANSACTION TO SAVEPOINT s; RELEASE s;";
    set(&[(1, "a", own, "")]).apply(&conn).unwrap();
}
