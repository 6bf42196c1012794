//! The connection is the caller's, with whatever it has been told, and the only one there is.

use landfall::rusqlite::Connection;
use landfall::rusqlite::config::DbConfig;
use landfall::rusqlite::functions::FunctionFlags;
use landfall::{DataLoss, ErrorKind, Migration, Migrator, Seeds, Target, Version};

use crate::support::{dump, everything, example, memory, one, refused, rows, schema, set};

/// A TEMP table hides the one in `main` from every statement that does not say which it means.
#[test]
fn a_temp_table_that_hides_one_of_the_databases_is_refused_by_name() {
    let first = (1, "t", "CREATE TABLE t(x); CREATE VIEW v AS SELECT 1;", "");
    let second = (2, "more", "INSERT INTO t VALUES (1)", "");
    let shadows = [
        ("CREATE TEMP TABLE T(x)", "TEMP table `T` hides the database's own `T`"),
        ("CREATE TEMP VIEW t AS SELECT 1 AS x", "TEMP view `t` hides the database's own `t`"),
        ("CREATE TEMP TABLE V(x)", "TEMP table `V` hides the database's own `V`"),
    ];
    for (shadow, told) in shadows {
        let conn = memory();
        set(&[first]).apply(&conn).unwrap();
        conn.execute_batch(shadow).unwrap();
        let error = refused(&conn, &set(&[first, second]));
        assert!(matches!(error.kind(), ErrorKind::Shadowed { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            format!("the {told} on this connection; nothing was changed")
        );
        assert_eq!(one(&conn, "SELECT count(*) FROM main.t"), "0");
    }
}

/// What a migration is about to create would be hidden as soon as it is there.
#[test]
fn a_temp_table_that_would_hide_a_new_one_is_refused_too() {
    let conn = memory();
    conn.execute_batch("CREATE TEMP TABLE t(x)").unwrap();
    let two = set(&[(1, "a", "CREATE TABLE a(x)", ""), (2, "t", "CREATE TABLE t(x)", "")]);
    let error = refused(&conn, &two);
    assert!(matches!(error.kind(), ErrorKind::Shadowed { .. }), "{error}");
    conn.execute_batch("DROP TABLE temp.t").unwrap();
    two.apply(&conn).unwrap();
}

/// With one, SQLite has two schemas to read whenever one changes.
#[test]
fn a_connection_without_a_temp_database_is_left_without_one() {
    let conn = memory();
    let table = (1, "t", "CREATE TABLE t(x); CREATE VIEW v AS SELECT x FROM t;", "");
    let column = (2, "column", "ALTER TABLE t ADD COLUMN y; INSERT INTO t VALUES (1, 2);", "");
    set(&[table]).apply(&conn).unwrap();
    set(&[table, column]).apply(&conn).unwrap();
    assert!(set(&[table, column]).apply(&conn).unwrap().is_noop());
    assert_eq!(rows(&conn, "SELECT name FROM pragma_database_list"), ["main"]);
}

#[test]
fn temp_tables_that_hide_nothing_are_nobodys_business() {
    let conn = memory();
    conn.execute_batch("CREATE TEMP TABLE mine(x); CREATE TEMP TABLE \"ä\"(x)").unwrap();
    let migrator = set(&[
        (1, "t", "CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE TABLE \"Ä\"(x)", ""),
        (
            2,
            "through_temp",
            "CREATE TEMP TABLE kept AS SELECT * FROM t;
             DELETE FROM t;
             INSERT INTO t SELECT * FROM kept;
             DROP TABLE kept;
             CREATE TABLE temp.also_kept(x);
             DROP TABLE temp.also_kept;",
            "",
        ),
    ]);
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 2);
    assert_eq!(rows(&conn, "SELECT name FROM temp.sqlite_master"), ["mine", "ä"]);
}

/// A TEMP table with the name of one of the ledger's hides nothing from us.
#[test]
fn the_ledger_is_read_from_the_database_and_not_from_temp() {
    let conn = memory();
    let migrator = set(&[(1, "t", "CREATE TABLE t(x)", "")]);
    migrator.apply(&conn).unwrap();
    conn.execute_batch(
        "CREATE TEMP TABLE schema_migrations(x); CREATE TEMP TABLE schema_state(key, value)",
    )
    .unwrap();
    assert!(migrator.apply(&conn).unwrap().is_noop());
    assert_eq!(migrator.history(&conn).unwrap().len(), 1);
}

/// In memory every connection is a database of its own, and an encrypted one needs its key first:
/// a second connection would find nothing, or nothing legible.
#[test]
fn every_verb_makes_do_with_the_connection_it_is_given() {
    for name in [":memory:", ""] {
        let conn = Connection::open(name).unwrap();
        let seeds = Seeds::new().ensure("s", |tx| tx.execute_batch("INSERT INTO t VALUES (7)"));
        let first = Migration::sql(1, "t", "CREATE TABLE t(x)").down("DROP TABLE t");
        let migrator = Migrator::from_migrations([first.verify("SELECT 1 WHERE 0")])
            .data_loss(DataLoss::Allow)
            .seeds(seeds);
        assert!(!migrator.is_current(&conn).unwrap());
        assert_eq!(migrator.plan(&conn).unwrap().steps.len(), 1);
        assert_eq!(migrator.apply(&conn).unwrap().seeds.len(), 1);
        assert!(migrator.is_current(&conn).unwrap());
        assert!(migrator.apply(&conn).unwrap().is_noop());
        assert_eq!(migrator.status(&conn).unwrap().migrations.len(), 1);
        assert_eq!(migrator.history(&conn).unwrap().len(), 2);
        migrator.verify(&conn).unwrap();
        migrator.repair(&conn, "nothing to repair").unwrap();
        assert_eq!(migrator.revert(&conn, Target::Empty).unwrap().reverted.len(), 1);
        assert_eq!(migrator.baseline(&conn, Version::from(1)).unwrap().marked.len(), 1);
        assert_eq!(dump(&conn), "");
    }
}

/// With `SQLITE_DBCONFIG_DEFENSIVE` neither `writable_schema` nor `schema_version` can be set.
#[test]
fn a_defensive_connection_is_enough() {
    let conn = memory();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).unwrap();
    example().apply(&conn).unwrap();
    assert_eq!(schema(&conn), schema(&example().open_in_memory().unwrap()));
    example().revert(&conn, Target::Empty).unwrap();
    assert_eq!(dump(&conn), "");
    assert!(conn.db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE).unwrap());
}

/// What a host may have told its connection beforehand changes what SQL means.
#[test]
fn a_connection_with_settings_of_its_own_is_enough() {
    let expected = schema(&example().open_in_memory().unwrap());
    let settings = [
        "PRAGMA case_sensitive_like = ON",
        "PRAGMA reverse_unordered_selects = ON",
        "PRAGMA full_column_names = ON",
        "PRAGMA short_column_names = OFF",
        "PRAGMA empty_result_callbacks = ON",
        "PRAGMA trusted_schema = OFF",
        "PRAGMA recursive_triggers = ON",
        "PRAGMA foreign_keys = OFF",
        "PRAGMA legacy_alter_table = OFF",
        "PRAGMA encoding = 'UTF-16le'",
        "PRAGMA auto_vacuum = INCREMENTAL",
        "PRAGMA locking_mode = EXCLUSIVE",
    ];
    for setting in settings {
        let conn = memory();
        conn.execute_batch(setting).unwrap();
        let report = example().apply(&conn);
        assert!(report.is_ok(), "{setting}: {report:?}");
        assert_eq!(schema(&conn), expected, "{setting}");
        assert!(example().apply(&conn).unwrap().is_noop(), "{setting}");
    }
    let configs = [DbConfig::SQLITE_DBCONFIG_DQS_DDL, DbConfig::SQLITE_DBCONFIG_DQS_DML];
    let conn = memory();
    for config in configs {
        conn.set_db_config(config, false).unwrap();
    }
    example().apply(&conn).unwrap();
    assert_eq!(schema(&conn), expected);
}

/// A migration can be written for a newer SQLite than the user's.
#[test]
fn what_a_migration_requires_is_asked_before_anything_runs() {
    let version = landfall::rusqlite::version();
    let cases = [
        ("sqlite >= 9.1", format!("requires SQLite 9.1.0, and this is {version}")),
        (
            "module nonsense",
            "requires the module nonsense, which this SQLite does not have".to_owned(),
        ),
        (
            "function slugify",
            "requires the function slugify, which this connection does not have".to_owned(),
        ),
        (
            "collation german",
            "requires the collation german, which this connection does not have".to_owned(),
        ),
    ];
    for (requirement, told) in cases {
        let conn = memory();
        let second = format!("-- landfall: requires {requirement}\nCREATE TABLE u(x)");
        let migrator = Migrator::from_migrations([
            Migration::sql(1, "t", "CREATE TABLE t(x)"),
            Migration::sql(2, "u", second),
        ]);
        let error = refused(&conn, &migrator);
        assert!(matches!(error.kind(), ErrorKind::Requires { .. }), "{error}");
        assert_eq!(error.to_string(), format!("migration 2_u {told}; nothing was changed"));
        assert_eq!(everything(&conn), "");
    }
    let conn = memory();
    conn.create_scalar_function("Slugify", 1, FunctionFlags::SQLITE_UTF8, |_| Ok(1)).unwrap();
    let met = "
        -- landfall: requires sqlite >= 3.8.2
        -- landfall: requires function slugify
        -- landfall: requires collation nocase
        CREATE TABLE t(x);";
    set(&[(1, "t", met, "")]).apply(&conn).unwrap();
}
