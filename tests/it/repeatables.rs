//! Definitions that may run again: when their text changed, and after what they stand on changed.

use landfall::Target;

use crate::support::{example, folder, memory, one, rows, schema};

#[test]
fn a_repeatable_runs_again_only_when_its_text_changed() {
    let table = ("0001_a.sql", "CREATE TABLE a(x, y);");
    let (_dir, first) = folder(&[table, ("R__v.sql", "CREATE VIEW v AS SELECT x FROM a;")]);
    let conn = memory();
    assert_eq!(first.apply(&conn).unwrap().repeated.len(), 1);
    assert!(first.apply(&conn).unwrap().is_noop());
    let (_dir, commented) =
        folder(&[table, ("R__v.sql", "-- the view\nCREATE VIEW v AS SELECT x FROM a;")]);
    assert!(commented.apply(&conn).unwrap().is_noop());
    // Even without DROP VIEW IF EXISTS: what it made before is dropped by what the ledger knows.
    let (_dir, second) =
        folder(&[table, ("repeatable/v.sql", "CREATE VIEW v AS SELECT y FROM a;")]);
    assert_eq!(second.apply(&conn).unwrap().repeated.len(), 1);
    assert_eq!(
        one(&conn, "SELECT sql FROM sqlite_master WHERE name = 'v'"),
        "CREATE VIEW v AS SELECT y FROM a"
    );
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations WHERE version < 0"), "1");
}

#[test]
fn a_view_that_its_pack_no_longer_defines_goes() {
    let table = ("0001_a.sql", "CREATE TABLE a(x);");
    let (_dir, two) = folder(&[
        table,
        ("R__v.sql", "CREATE VIEW v AS SELECT x FROM a; CREATE VIEW w AS SELECT x FROM v;"),
    ]);
    let (_dir2, one_left) = folder(&[table, ("R__v.sql", "CREATE VIEW v AS SELECT x FROM a;")]);
    let conn = memory();
    two.apply(&conn).unwrap();
    one_left.apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT name FROM sqlite_master WHERE type = 'view'"), ["v"]);
}

#[test]
fn a_view_that_no_longer_fits_is_to_be_corrected_where_it_is() {
    let table = ("0001_a.sql", "CREATE TABLE a(x, y);");
    let drop = ("0002_a.sql", "ALTER TABLE a DROP COLUMN y;");
    let advice = |view: &str| {
        let conn = memory();
        folder(&[table, ("R__v.sql", view)]).1.apply(&conn).unwrap();
        let (_dir, second) = folder(&[table, drop, ("R__v.sql", view)]);
        second.apply(&conn).unwrap_err().advice().unwrap().to_owned()
    };
    for view in [
        "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT y FROM a;",
        "CREATE VIEW v AS SELECT y FROM a;",
    ] {
        assert_eq!(
            advice(view),
            "drop and recreate it in the same migration, or keep it in a repeatable \
             `R__<name>.sql`, which is set aside and run again by itself; if it is in one \
             already, correct it there"
        );
    }
}

#[test]
fn views_step_aside_while_the_table_below_them_is_rebuilt() {
    let conn = memory();
    let base = (
        "0001_a.sql",
        "CREATE TABLE a(id INTEGER PRIMARY KEY, x); INSERT INTO a VALUES (1, 'one');",
    );
    let view = ("R__v.sql", "CREATE VIEW v AS SELECT id, x FROM a;");
    let (_dir, first) = folder(&[base, view]);
    first.apply(&conn).unwrap();
    let rebuild = (
        "0002_a.sql",
        "CREATE TABLE new_a(id INTEGER PRIMARY KEY, x TEXT NOT NULL);
         INSERT INTO new_a SELECT * FROM a; DROP TABLE a; ALTER TABLE new_a RENAME TO a;",
    );
    let (_dir, second) = folder(&[base, rebuild, view]);
    let report = second.apply(&conn).unwrap();
    assert_eq!(report.repeated.len(), 1);
    assert_eq!(rows(&conn, "SELECT id, x FROM v"), ["1|one"]);
}

#[test]
fn views_come_back_after_a_revert_and_the_next_apply() {
    let conn = memory();
    example().apply(&conn).unwrap();
    let complete = schema(&conn);
    example().revert(&conn, Target::Version(4.into())).unwrap();
    assert!(rows(&conn, "SELECT name FROM sqlite_master WHERE type = 'view'").is_empty());
    example().apply(&conn).unwrap();
    assert_eq!(schema(&conn), complete);
}

#[test]
fn repeatables_wait_until_nothing_is_left_pending() {
    let (_dir, migrator) = folder(&[
        ("0001_a.sql", "CREATE TABLE a(x);"),
        ("0002_b.sql", "CREATE TABLE b(x);"),
        ("R__v.sql", "CREATE VIEW v AS SELECT x FROM b;"),
    ]);
    let conn = memory();
    assert!(migrator.apply_to(&conn, Target::Steps(1)).unwrap().repeated.is_empty());
    assert_eq!(migrator.apply(&conn).unwrap().repeated.len(), 1);
}

#[test]
fn views_are_there_after_a_failure_between_two_transactions() {
    let base = ("0001_a.sql", "CREATE TABLE a(x, y);");
    let pack = (
        "R__v.sql",
        "CREATE VIEW v AS SELECT x FROM a; CREATE VIEW w AS SELECT y FROM a;
         CREATE VIEW vv AS SELECT x FROM v;",
    );
    let drops = ("0002_b.sql", "ALTER TABLE a DROP COLUMN y;");
    let broken = ("0003_c.sql", "SELECT nothing;");
    let conn = memory();
    let (_dir, first) = folder(&[base, pack]);
    first.apply(&conn).unwrap();
    let (_dir, second) = folder(&[base, drops, broken, pack]);
    let error = second.transactions(landfall::Transactions::Each).apply(&conn).unwrap_err();
    assert_eq!(error.report().unwrap().applied.len(), 1);
    // What still works is there; what cannot work goes, and its pack will run again.
    let views = "SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY name";
    assert_eq!(rows(&conn, views), ["v", "vv"]);
    let mended = ("R__v.sql", "CREATE VIEW v AS SELECT x FROM a;");
    let (_dir, third) = folder(&[base, drops, mended]);
    assert_eq!(third.apply(&conn).unwrap().repeated.len(), 1);
    assert_eq!(rows(&conn, views), ["v"]);
}
