//! Each directive does what it promises, and one that waives a rule goes on record.

use landfall::rusqlite::functions::FunctionFlags;
use landfall::sql::checksum;
use landfall::{ErrorKind, ForeignKeys, Migration, Migrator, Target, Version};

use crate::support::{folder, memory, one, rows, set};

fn single(sql: impl Into<String>) -> Migrator {
    Migrator::from_migrations([Migration::sql(1, "a", sql.into())])
}

fn with(directive: &str, sql: &str) -> Migrator {
    single(format!("-- landfall: {directive}\n{sql}"))
}

/// What is refused before anything is written, in the same words by the dry run.
fn refused(migrator: &Migrator) -> landfall::Error {
    let conn = memory();
    let error = migrator.apply(&conn).expect_err("it was taken");
    assert_eq!(migrator.plan(&conn).unwrap_err().to_string(), error.to_string());
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_schema"), "0");
    error
}

const TABLE: &str = "CREATE TABLE t(x)";

#[test]
fn requires_asks_sqlite_for_its_version() {
    let version = landfall::rusqlite::version();
    for satisfied in ["3", "3.0", "3.8.11", version] {
        with(&format!("requires sqlite >= {satisfied}"), TABLE).open_in_memory().unwrap();
        with(&format!("requires sqlite >={satisfied}: for STRICT"), TABLE)
            .open_in_memory()
            .unwrap();
    }
    for (wanted, told) in [("4", "4.0.0"), ("3.999", "3.999.0"), ("3.900.12", "3.900.12")] {
        let error = refused(&with(&format!("requires sqlite >= {wanted}"), TABLE));
        assert_eq!(
            error.to_string(),
            format!(
                "migration 1_a requires SQLite {told}, and this is {version}; nothing was changed"
            )
        );
        assert!(matches!(error.kind(), ErrorKind::Requires { .. }));
    }
}

#[test]
fn requires_asks_for_modules_functions_and_collations() {
    for satisfied in
        ["module fts5", "module FTS5", "function upper", "function LIKELIHOOD", "collation nocase"]
    {
        with(&format!("requires {satisfied}"), TABLE).open_in_memory().unwrap();
    }
    for (what, why) in [
        ("module", "which this SQLite does not have"),
        ("function", "which this connection does not have"),
        ("collation", "which this connection does not have"),
    ] {
        let error = refused(&with(&format!("requires {what} no_such"), TABLE));
        assert_eq!(
            error.to_string(),
            format!("migration 1_a requires the {what} no_such, {why}; nothing was changed")
        );
        assert!(matches!(error.kind(), ErrorKind::Requires { .. }));
    }
}

#[test]
fn a_function_registered_by_the_application_is_enough() {
    let migrator = with("requires function slug", "CREATE TABLE t AS SELECT slug('A B') AS x");
    refused(&migrator);
    let conn = memory();
    conn.create_scalar_function("slug", 1, FunctionFlags::SQLITE_UTF8, |context| {
        Ok(context.get::<String>(0)?.to_lowercase().replace(' ', "-"))
    })
    .unwrap();
    migrator.apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT x FROM t"), "a-b");
}

#[test]
fn every_requirement_counts_and_only_what_is_pending_is_asked() {
    let head = "-- landfall: requires module fts5\n-- landfall: requires function no_such\n";
    let error = refused(&single(format!("{head}{TABLE}")));
    assert!(error.to_string().contains("the function no_such"), "{error}");
    let conn = memory();
    single(TABLE).apply(&conn).unwrap();
    assert!(single(format!("{head}{TABLE}")).apply(&conn).unwrap().is_noop());
}

#[test]
fn compatible_and_breaking_decide_what_the_ledger_records() {
    let drop = "CREATE TABLE u(x); DROP TABLE u";
    let cases = [
        (TABLE.to_owned(), "1"),
        (drop.to_owned(), "0"),
        (format!("-- landfall: breaking\n{TABLE}"), "0"),
        (format!("-- landfall: breaking: it is not for you\n{TABLE}"), "0"),
        (format!("-- landfall: compatible: u is its own\n{drop}"), "1"),
    ];
    for (sql, recorded) in cases {
        let conn = single(sql.clone()).open_in_memory().unwrap();
        let ledger = "SELECT compatible FROM schema_migrations";
        assert_eq!(one(&conn, ledger), recorded, "{sql}");
        // An older program starts, or does not.
        let older = Migrator::from_migrations([]).apply(&conn);
        assert_eq!(older.is_ok(), recorded == "1", "{sql}");
    }
}

#[test]
fn a_word_on_compatibility_added_later_reaches_the_ledger() {
    let conn = single(TABLE).open_in_memory().unwrap();
    let report = with("breaking", TABLE).apply(&conn).unwrap();
    assert!(report.applied.is_empty());
    assert_eq!(one(&conn, "SELECT compatible FROM schema_migrations"), "0");
}

#[test]
fn irreversible_tells_its_reason_to_whoever_reverts() {
    let migrator = with("irreversible: the old hashes cannot be rebuilt", TABLE);
    let conn = migrator.open_in_memory().unwrap();
    let error = migrator.revert(&conn, Target::Empty).unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration 1 (a) cannot be reverted: the old hashes cannot be rebuilt; nothing was changed"
    );
    assert!(matches!(error.kind(), ErrorKind::Irreversible { .. }));
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations"), "1");
    let plain = set(&[(1, "a", TABLE, "")]);
    let conn = plain.open_in_memory().unwrap();
    assert_eq!(
        plain.revert(&conn, Target::Empty).unwrap_err().to_string(),
        "migration 1 (a) cannot be reverted: it has no down script; nothing was changed"
    );
}

#[test]
fn replaces_accepts_the_edit_it_names_and_no_other() {
    let was = checksum(TABLE);
    let edited = "CREATE TABLE t(x, y)";
    for named in [was.as_str(), &was[..7 + 8], &was[..7 + 20]] {
        let (dir, migrator) = folder(&[("0001_a.sql", TABLE)]);
        let conn = memory();
        migrator.apply(&conn).unwrap();
        let file = dir.path().join("0001_a.sql");
        std::fs::write(&file, edited).unwrap();
        let error = migrator.apply(&conn).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Modified { .. }));
        let other = format!("-- landfall: replaces sha256:{}: why\n{edited}", "0".repeat(64));
        std::fs::write(&file, other).unwrap();
        let error = migrator.apply(&conn).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Modified { .. }));
        let meant = format!("-- landfall: replaces {named}: y was there all along\n{edited}");
        std::fs::write(&file, meant).unwrap();
        let report = migrator.apply(&conn).unwrap();
        assert!(report.applied.is_empty());
        assert_eq!(report.amended.len(), 1, "{report}");
        assert_eq!(one(&conn, "SELECT checksum FROM schema_migrations"), checksum(edited));
        assert_eq!(
            rows(&conn, "SELECT action, version, name, reason FROM schema_history WHERE id > 1"),
            ["replace|1|a|y was there all along"]
        );
        // It did not run again, and is settled.
        assert_eq!(one(&conn, "SELECT count(*) FROM pragma_table_info('t')"), "1");
        assert!(migrator.apply(&conn).unwrap().is_noop());
    }
    // On a fresh database it is what it is.
    let fresh = with(&format!("replaces {was}: why"), edited).open_in_memory().unwrap();
    assert_eq!(one(&fresh, "SELECT checksum FROM schema_migrations"), checksum(edited));
}

#[test]
fn what_waives_a_rule_goes_on_record_with_its_reason() {
    let head = "-- landfall: allow-data-loss: t was retired: long ago\n\
                -- landfall: irreversible: nothing is left of it\n\
                -- landfall: compatible: nobody reads it\n";
    let conn = single(format!("{head}CREATE TABLE u(x); DROP TABLE u")).open_in_memory().unwrap();
    assert_eq!(
        rows(
            &conn,
            "SELECT version, name, detail, reason FROM schema_history WHERE action = 'waive'
             ORDER BY id"
        ),
        [
            "1|a|allow-data-loss|t was retired: long ago",
            "1|a|compatible|nobody reads it",
            "1|a|irreversible|nothing is left of it",
        ]
    );
    for migration in [
        Migration::sql(1, "a", "CREATE TABLE u(x); DROP TABLE u"),
        Migration::code(1, "a", |_| Ok::<(), std::fmt::Error>(())),
    ] {
        let migrator = Migrator::from_migrations([migration.compatible("nobody reads it")]);
        let conn = migrator.open_in_memory().unwrap();
        assert_eq!(
            rows(&conn, "SELECT detail, reason FROM schema_history WHERE action = 'waive'"),
            ["compatible|nobody reads it"]
        );
    }
    let conn = single(TABLE).open_in_memory().unwrap();
    assert_eq!(rows(&conn, "SELECT action FROM schema_history"), ["apply"]);
}

#[test]
fn foreign_keys_are_off_where_it_is_said_and_on_again_after() {
    let tables = "CREATE TABLE p(id INTEGER PRIMARY KEY);
                  CREATE TABLE c(p REFERENCES p(id));";
    let child_first = "INSERT INTO c VALUES (1); INSERT INTO p VALUES (1);";
    let enforced = single(format!("{tables}{child_first}"));
    assert!(matches!(enforced.open_in_memory().unwrap_err().kind(), ErrorKind::Statement { .. }));
    let pragma = format!("PRAGMA foreign_keys = OFF; {tables}{child_first}");
    for off in [with("foreign-keys off", &format!("{tables}{child_first}")), single(pragma)] {
        let conn = memory();
        conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        assert_eq!(off.plan(&conn).unwrap().steps[0].foreign_keys, ForeignKeys::Off);
        off.apply(&conn).unwrap();
        assert_eq!(one(&conn, "PRAGMA foreign_keys"), "1");
        assert_eq!(one(&conn, "SELECT count(*) FROM c"), "1");
    }
    // Off is not unchecked.
    let dangling = with("foreign-keys off", &format!("{tables} INSERT INTO c VALUES (1)"));
    let conn = memory();
    let error = dangling.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ForeignKeys { .. }), "{error:?}");
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'c'"), "0");
    assert_eq!(one(&conn, "PRAGMA foreign_keys"), "1");
}

#[test]
fn no_transaction_runs_what_cannot_run_inside_one() {
    for sql in ["VACUUM", "PRAGMA page_size = 8192", "ATTACH ':memory:' AS aside"] {
        let error = refused(&single(format!("{TABLE};\n{sql}")));
        assert_eq!(
            error.to_string(),
            format!(
                "migration 1_a cannot run `{sql}` at line 2, column 1 inside a transaction; \
                 nothing was changed"
            )
        );
        assert!(matches!(error.kind(), ErrorKind::NeedsNoTransaction { .. }));
        let migrator = with("no-transaction", &format!("{TABLE};\n{sql}"));
        let conn = memory();
        let plan = migrator.plan(&conn).unwrap();
        assert_eq!(plan.steps[0].transaction, None);
        let report = migrator.apply(&conn).unwrap();
        assert_eq!(report.applied[0].version, Some(Version::from(1)));
        assert_eq!(one(&conn, "SELECT count(*) FROM t"), "0");
        assert!(migrator.apply(&conn).unwrap().is_noop());
    }
}

#[test]
fn no_transaction_may_have_one_of_its_own() {
    let error = refused(&single("SELECT 1;\nBEGIN;\nCREATE TABLE t(x);\nCOMMIT;"));
    assert_eq!(
        error.to_string(),
        "migration 1_a may not say `BEGIN` at line 2, column 1; nothing was changed"
    );
    let own = "SELECT 1; BEGIN; CREATE TABLE t(x); INSERT INTO t VALUES (1); COMMIT; VACUUM;";
    let conn = with("no-transaction", own).open_in_memory().unwrap();
    assert_eq!(one(&conn, "SELECT x FROM t"), "1");
}
