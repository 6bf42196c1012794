//! Drift is every difference between the live schema and what the ledger says was applied, and
//! nothing else; and a start that looks for it pays once for each change of the schema.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use landfall::rusqlite::{self, Connection, OpenFlags};
use landfall::{
    Drifted, ErrorKind, Migration, Migrator, Missing, Newer, Seed, Seeds, Target, Transactions,
    Version,
};

use crate::support::{asked, cause, everything, example, folder, memory, one, queries};

fn told(migrator: &Migrator, conn: &Connection) -> Vec<String> {
    migrator.drift(conn).unwrap().iter().map(ToString::to_string).collect()
}

const NONE: [String; 0] = [];

fn set(versions: &[i64]) -> Migrator {
    Migrator::from_migrations(versions.iter().map(|v| {
        Migration::sql(
            *v,
            format!("m{v}"),
            format!("CREATE TABLE t{v}(x); CREATE INDEX i{v} ON t{v}(x)"),
        )
    }))
}

#[test]
fn a_database_as_its_migrations_left_it_has_no_drift() {
    let migrator = example();
    let conn = migrator.open_in_memory().unwrap();
    assert_eq!(told(&migrator, &conn), NONE);
    // At every version on the way, and on the way back.
    for version in 0..=11 {
        let conn = memory();
        let to = |version| match version {
            0 => Target::Empty,
            version => Target::Version(Version::from(version)),
        };
        migrator.apply_to(&conn, to(version)).unwrap();
        assert_eq!(told(&migrator, &conn), NONE, "at {version}");
        migrator.apply(&conn).unwrap();
        migrator.revert(&conn, to(version)).unwrap();
        assert_eq!(told(&migrator, &conn), NONE, "back at {version}");
    }
}

#[test]
fn an_applied_migration_that_the_set_lacks_is_named() {
    let conn = memory();
    set(&[1, 2, 3, 4]).app_version("7.1").apply(&conn).unwrap();
    let error = set(&[1, 3, 4]).missing(Missing::Ignore).drift(&conn).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Missing { version, .. } if *version == Version::from(2))
    );
    let error = set(&[1, 2]).drift(&conn).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Newer { version, .. } if *version == Version::from(4))
    );
    let edited = set(&[1, 2, 3]).with(Migration::sql(4, "m4", "CREATE TABLE t4(y)"));
    let error = edited.drift(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Modified { .. }));
    // A migration that is not applied has no part in it.
    assert_eq!(told(&set(&[1, 2, 3, 4, 5]), &conn), NONE);
}

#[test]
fn what_was_applied_out_of_order_is_replayed_in_order() {
    let conn = memory();
    set(&[1, 3]).apply(&conn).unwrap();
    set(&[1, 2, 3]).late(landfall::Late::Apply).apply(&conn).unwrap();
    assert_eq!(told(&set(&[1, 2, 3, 4]), &conn), NONE);
    conn.execute_batch("DROP TABLE t2").unwrap();
    let wanted = ["table `t2` is missing", "index `i2` on table `t2` is missing"];
    assert_eq!(told(&set(&[1, 2, 3, 4]), &conn), wanted);
}

#[test]
fn a_baseline_is_replayed_where_it_ran_and_where_it_stands_for_what_is_gone() {
    let one = ("0001_a.sql", "CREATE TABLE a(x)");
    let two = ("0002_b.sql", "CREATE TABLE b(x)");
    let base = ("0002_both.baseline.sql", "CREATE TABLE a(x); CREATE TABLE b(x)");
    let three = ("0003_c.sql", "ALTER TABLE b ADD COLUMN y");
    let (_d1, old) = folder(&[one, two]);
    let (_d2, both) = folder(&[one, two, base, three]);
    let (_d3, new) = folder(&[base, three]);
    let conn = memory();
    old.apply(&conn).unwrap();
    for migrator in [&old, &both, &new] {
        assert_eq!(told(migrator, &conn), NONE);
    }
    new.apply(&conn).unwrap();
    for conn in [conn, new.open_in_memory().unwrap(), both.open_in_memory().unwrap()] {
        assert_eq!(told(&both, &conn), NONE);
        assert_eq!(told(&new, &conn), NONE);
        conn.execute_batch("ALTER TABLE a ADD COLUMN z").unwrap();
        assert_eq!(told(&new, &conn), ["table `a` has a column `z` too many (z)"]);
    }
}

#[test]
fn a_repeatable_counts_as_it_was_when_it_ran() {
    let files = [
        ("1_t.sql", "CREATE TABLE t(x)"),
        ("R__a.sql", "CREATE VIEW a AS SELECT x FROM t"),
        ("R__b.sql", "CREATE VIEW b AS SELECT x FROM t"),
    ];
    let (dir, migrator) = folder(&files);
    let conn = migrator.open_in_memory().unwrap();
    assert_eq!(told(&migrator, &conn), NONE);
    // The set's text is not what ran, and what it makes is for the next start.
    std::fs::write(dir.path().join("R__a.sql"), "CREATE VIEW a AS SELECT 1 FROM t").unwrap();
    std::fs::remove_file(dir.path().join("R__b.sql")).unwrap();
    std::fs::write(dir.path().join("R__c.sql"), "CREATE VIEW c AS SELECT x FROM t").unwrap();
    assert_eq!(told(&migrator, &conn), NONE);
    migrator.apply(&conn).unwrap();
    assert_eq!(told(&migrator, &conn), NONE);
    conn.execute_batch("DROP VIEW c; CREATE VIEW c AS SELECT x + 1 FROM t").unwrap();
    assert_eq!(
        told(&migrator, &conn),
        ["view `c`: `… SELECT x + 1 FROM t` instead of `… SELECT x FROM t`"]
    );
}

#[test]
fn code_runs_again_in_memory_and_seeds_and_listeners_do_not() {
    let count = Arc::new(AtomicUsize::new(0));
    let calls = |of: &Arc<AtomicUsize>| of.load(Ordering::SeqCst);
    let (code, seed, event) = (Arc::clone(&count), Arc::clone(&count), Arc::clone(&count));
    let migrator = set(&[1])
        .with(Migration::code(2, "code", move |tx| {
            code.fetch_add(1, Ordering::SeqCst);
            tx.execute_batch("CREATE TABLE coded(x)")
        }))
        .seeds(Seeds::new().ensure("s", move |tx| {
            seed.fetch_add(100, Ordering::SeqCst);
            tx.execute("INSERT INTO coded VALUES (1)", []).map(drop)
        }))
        .on_event(move |_| {
            event.fetch_add(10_000, Ordering::SeqCst);
        });
    let conn = memory();
    migrator.apply(&conn).unwrap();
    let before = calls(&count);
    let data = everything(&conn);
    assert_eq!(told(&migrator, &conn), NONE);
    assert_eq!(calls(&count), before + 1);
    assert_eq!(everything(&conn), data);
}

#[test]
fn what_is_not_the_application_s_is_no_drift() {
    let migrator = set(&[1]);
    let conn = migrator.open_in_memory().unwrap();
    set(&[])
        .ledger("lib")
        .seeds(Seeds::new().ensure("s", |_| Ok::<_, String>(())))
        .apply(&conn)
        .unwrap();
    conn.execute_batch(
        "CREATE TABLE _litestream_seq(id INTEGER PRIMARY KEY, seq INTEGER); CREATE TABLE _litestream_lock(id INTEGER);
         CREATE TRIGGER on_ours AFTER INSERT ON schema_history BEGIN SELECT 1; END;
         INSERT INTO t1 VALUES (1); ANALYZE;
         CREATE TABLE sync_peer(id); CREATE INDEX by_id ON sync_peer(id);
         CREATE TRIGGER sync_t1 AFTER INSERT ON t1 BEGIN SELECT 1; END; CREATE VIEW Sync_View AS SELECT 1",
    )
    .unwrap();
    assert_eq!(told(&migrator.clone().ignore_drift_of(["sync_*"]), &conn), NONE);
    let one_by_one =
        migrator.clone().ignore_drift_of(["sync_peer", "sync_t?"]).ignore_drift_of(["*_view"]);
    assert_eq!(told(&one_by_one, &conn), NONE);
    assert_eq!(told(&migrator, &conn).len(), 3);
    // A table that looks like one of a ledger's and belongs to none is the application's.
    conn.execute_batch(
        "CREATE TABLE app_state(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID",
    )
    .unwrap();
    assert!(told(&migrator, &conn).contains(&"table `app_state` should not be there".to_owned()));
}

#[test]
fn a_migration_that_needs_a_function_is_told_where_to_register_it() {
    let migrator =
        Migrator::from_migrations([Migration::sql(1, "f", "CREATE TABLE f AS SELECT f(1) AS x")]);
    let conn = memory();
    let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8;
    conn.create_scalar_function("f", 1, flags, |_| Ok(7)).unwrap();
    migrator.apply(&conn).unwrap();
    let error = migrator.drift(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration 1_f failed at line 1, column 26; that was in memory, to see what the migrations make; \
         nothing was changed"
    );
    assert_eq!(cause(&error), "no such function: f");
    assert_eq!(
        error.advice(),
        Some("register it with `on_connect`, for databases that are opened here")
    );
    assert!(error.report().is_none());
}

/// A file whose schema somebody changed, with a migration pending.
fn drifted(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    set(&[1, 2]).apply(&conn).unwrap();
    conn.execute_batch("DROP INDEX i1; CREATE TABLE stray(x); ALTER TABLE t2 ADD COLUMN y")
        .unwrap();
    conn
}

const TOLD: [&str; 3] = [
    "table `stray` should not be there",
    "table `t2` has a column `y` too many (y)",
    "index `i1` on table `t1` is missing",
];

#[test]
fn a_start_refuses_drift_before_it_writes_anything() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let conn = drifted(&path);
    let before = std::fs::read(&path).unwrap();
    for migrator in [set(&[1, 2]), set(&[1, 2, 3])] {
        let migrator = migrator.drifted(Drifted::Refuse);
        let error = migrator.apply(&conn).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            format!(
                "the schema is not what was applied to this database: {}; nothing was changed\n\
                 what to do: find out who changed it; these statements mend it, and a DROP takes data \
                 with it:\n    DROP TABLE stray;\n    ALTER TABLE t2 DROP COLUMN y;\n    \
                 CREATE INDEX i1 ON t1 (x);\nor, if it is meant, put it into a migration, or leave it \
                 out with `ignore_drift_of`",
                TOLD.join("; ")
            )
        );
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
    let error = set(&[1, 2]).drifted(Drifted::Refuse).apply(&conn).unwrap_err();
    let ErrorKind::Drift { changes, .. } = error.kind() else { panic!("{error}") };
    for change in changes {
        conn.execute_batch(change.statement().unwrap()).unwrap();
    }
    let migrator = set(&[1, 2, 3]).drifted(Drifted::Refuse);
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 1);
    assert!(migrator.apply(&conn).unwrap().is_noop());
}

#[test]
fn a_rebuild_is_said_to_be_needed() {
    let conn = set(&[1]).open_in_memory().unwrap();
    conn.execute_batch("DROP TABLE t1; CREATE TABLE t1(x NOT NULL); CREATE INDEX i1 ON t1(x)")
        .unwrap();
    let error = set(&[1]).drifted(Drifted::Refuse).apply(&conn).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "the schema is not what was applied to this database: column `x` of table `t1`: NOT NULL \
         instead of NULL allowed; nothing was changed\nwhat to do: find out who changed it; if it is \
         meant, put it into a migration, or leave it out with `ignore_drift_of`; one difference takes a \
         rebuild of its table"
    );
}

#[test]
fn a_start_that_warns_goes_on_and_one_that_ignores_does_not_look() {
    let dir = tempfile::tempdir().unwrap();
    let conn = drifted(&dir.path().join("app.db"));
    let warned = TOLD.map(|told| format!("drift: {told}"));
    for versions in [&[1, 2][..], &[1, 2, 3], &[1, 2, 3]] {
        let pending =
            one(&conn, "SELECT max(version) FROM schema_migrations") != versions.len().to_string();
        let report = set(versions).drifted(Drifted::Warn).apply(&conn).unwrap();
        assert_eq!(report.warnings, warned);
        assert_eq!(report.applied.len(), usize::from(pending));
    }
    assert!(set(&[1, 2, 3, 4]).apply(&conn).unwrap().warnings.is_empty());
    assert_eq!(queries(&conn, |conn| drop(set(&[1, 2, 3, 4]).apply(conn).unwrap())), 1);
}

/// Whether a start looked, beyond the query and the pragma that any start asks.
fn looks(conn: &Connection, migrator: &Migrator) -> bool {
    let asked = asked(conn, |conn| drop(migrator.apply(conn).unwrap()));
    let schema = asked.iter().filter(|sql| sql.contains("schema_version")).count();
    let queries = asked.iter().filter(|sql| !sql.starts_with("PRAGMA")).count();
    assert!(schema > 0);
    (queries, schema) != (1, 1)
}

#[test]
fn an_unchanged_schema_is_not_looked_at_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let conn = Connection::open(&path).unwrap();
    let migrator = set(&[1, 2]).drifted(Drifted::Refuse);
    migrator.apply(&conn).unwrap();
    assert!(looks(&conn, &migrator), "it is not judged by what made it");
    let other = Connection::open(&path).unwrap();
    for deed in
        ["SELECT 1", "INSERT INTO t1 VALUES (1)", "DELETE FROM t1", "PRAGMA user_version = 7"]
    {
        other.execute_batch(deed).unwrap();
        assert!(!looks(&conn, &migrator), "{deed}");
    }
    // Neither the policy nor what else the migrator does is part of the judgement.
    let others = [
        migrator.clone().drifted(Drifted::Warn),
        migrator.clone().app_version("2"),
        migrator.clone(),
    ];
    for migrator in &others {
        assert!(!looks(&conn, migrator));
    }
    let fewer = conn.execute("DELETE FROM schema_state WHERE key = 'seal'", []).unwrap();
    assert_eq!(fewer, 1);
    migrator.apply(&conn).unwrap();
    assert!(!looks(&conn, &migrator));
}

#[test]
fn whatever_could_change_the_judgement_is_looked_at_again() {
    let judged = || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        let conn = Connection::open(&path).unwrap();
        let migrator = set(&[1, 2]).drifted(Drifted::Warn);
        migrator.apply(&conn).unwrap();
        assert!(looks(&conn, &migrator) && !looks(&conn, &migrator));
        (Connection::open(&path).unwrap(), conn, migrator, dir)
    };
    for deed in [
        "VACUUM",
        "CREATE TABLE z(x)",
        "CREATE TABLE z(x); DROP TABLE z",
        "ALTER TABLE t1 ADD COLUMN z",
        "DROP INDEX i1",
        "DELETE FROM schema_state WHERE key = 'drift'",
        "UPDATE schema_state SET value = 'x' WHERE key = 'drift'",
        "UPDATE schema_migrations SET name = 'other' WHERE version = 2",
    ] {
        let (other, conn, migrator, _dir) = judged();
        other.execute_batch(deed).unwrap();
        assert!(looks(&conn, &migrator), "{deed}");
    }
    let (_, conn, migrator, _dir) = judged();
    let ignoring = migrator.clone().ignore_drift_of(["x*"]);
    assert!(looks(&conn, &ignoring) && !looks(&conn, &ignoring));
    let more = set(&[1, 2, 3]).drifted(Drifted::Warn);
    assert!(looks(&conn, &more) && looks(&conn, &more) && !looks(&conn, &more));
    // Undone before it was committed, it never was.
    conn.execute_batch("BEGIN; CREATE TABLE z(x); ROLLBACK").unwrap();
    assert!(!looks(&conn, &more));
}

#[test]
fn a_database_that_cannot_be_written_is_judged_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let conn = Connection::open(&path).unwrap();
    set(&[1, 2]).apply(&conn).unwrap();
    let migrator = set(&[1, 2]).drifted(Drifted::Refuse);
    let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(looks(&reader, &migrator) && looks(&reader, &migrator));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // Once it was noted by who can write, the reader profits.
    assert!(looks(&conn, &migrator));
    assert!(!looks(&reader, &migrator));
    conn.execute_batch("DROP INDEX i1").unwrap();
    assert!(matches!(migrator.apply(&reader).unwrap_err().kind(), ErrorKind::Drift { .. }));
}

#[test]
fn somebody_who_writes_at_the_time_costs_only_the_note() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    set(&[1]).apply(&conn).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO t1 VALUES (1)").unwrap();
    let migrator = set(&[1]).drifted(Drifted::Refuse);
    assert!(looks(&conn, &migrator));
    other.execute_batch("COMMIT").unwrap();
    assert!(looks(&conn, &migrator) && !looks(&conn, &migrator));
}

#[test]
fn what_another_process_is_migrating_is_never_taken_for_drift() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = WAL").unwrap();
    let versions: Vec<i64> = (1..=20).collect();
    let boot = || {
        let conn = Connection::open(&path).unwrap();
        let migrator = set(&versions).transactions(Transactions::Each).drifted(Drifted::Refuse);
        migrator.apply(&conn).map(drop)
    };
    std::thread::scope(|scope| {
        let boots: Vec<_> = (0..4).map(|_| scope.spawn(boot)).collect();
        for boot in boots {
            boot.join().unwrap().unwrap();
        }
    });
    assert_eq!(told(&set(&versions), &Connection::open(&path).unwrap()), NONE);
}

#[test]
fn what_cannot_be_judged_is_for_the_other_policies_and_said() {
    let conn = memory();
    let compatible = Migration::sql(3, "m3", "CREATE TABLE t3(x)");
    set(&[1, 2]).with(compatible).app_version("2.0").apply(&conn).unwrap();
    let warning = "drift was not looked for: the database is at version 3 (m3), made by version 2.0 of \
                   the application, and this program knows only up to version 2; nothing was changed";
    let older = set(&[1, 2]).drifted(Drifted::Refuse);
    assert_eq!(older.apply(&conn).unwrap().warnings, [warning]);
    let error = older.newer(Newer::Refuse).apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Newer { .. }));
    // An edit is told as one.
    let edited = set(&[1, 3]).with(Migration::sql(2, "m2", "CREATE TABLE t2(y)"));
    let error = edited.drifted(Drifted::Refuse).apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Modified { .. }));
    // Where nothing was ever applied, nothing can have drifted.
    let conn = memory();
    conn.execute_batch("CREATE TABLE own(x)").unwrap();
    let report = set(&[1]).drifted(Drifted::Refuse).apply(&conn).unwrap();
    assert_eq!((report.applied.len(), report.warnings.len()), (1, 0));
}

#[test]
fn a_seed_s_rows_are_no_drift_and_its_tables_are() {
    let make = |sql: &'static str| Seed::new("s", move |tx| tx.execute_batch(sql));
    let conn = memory();
    let rows = set(&[1])
        .drifted(Drifted::Refuse)
        .seeds(Seeds::new().add(make("INSERT INTO t1 VALUES (1)")));
    rows.apply(&conn).unwrap();
    rows.apply(&conn).unwrap();
    let conn = memory();
    let table = set(&[1]).drifted(Drifted::Warn).seeds(Seeds::new().add(make("CREATE TABLE s(x)")));
    assert!(table.apply(&conn).unwrap().warnings.is_empty());
    assert_eq!(table.apply(&conn).unwrap().warnings, ["drift: table `s` should not be there"]);
}

#[test]
fn another_tool_s_ledger_is_taken_over_first() {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE schema_migrations(version uint64, dirty bool);
         INSERT INTO schema_migrations VALUES (2, 0);
         CREATE TABLE t1(x); CREATE INDEX i1 ON t1(x); CREATE TABLE t2(x); CREATE INDEX i2 ON t2(x)",
    )
    .unwrap();
    let plain = set(&[1, 2, 3]).drifted(Drifted::Refuse);
    let error = plain.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ForeignLedger { .. }), "{error}");
    let migrator = plain.adopt(landfall::Adopt::GolangMigrate);
    let report = migrator.apply(&conn).unwrap();
    assert_eq!((report.applied.len(), report.warnings), (1, vec![]));
    assert!(migrator.apply(&conn).unwrap().is_noop());
    assert_eq!(told(&migrator, &conn), NONE);
    conn.execute_batch("DROP INDEX i3").unwrap();
    assert!(matches!(migrator.apply(&conn).unwrap_err().kind(), ErrorKind::Drift { .. }));
}
