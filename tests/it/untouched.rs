//! What is applied is not read again at a start as long as nobody wrote to it: whatever writes is
//! told by the ledger's triggers, and whatever takes those away by the schema's version.

use landfall::rusqlite::config::DbConfig;
use landfall::rusqlite::{Connection, Transaction, backup};
use landfall::{Migration, Migrator, Report, Result, Seeds, Target};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::support::{asked, dumped, folder, memory, one, rows, told};

const FILES: [(&str, &str); 5] = [
    ("0001_t.sql", "CREATE TABLE t(x)"),
    ("0002_two.sql", "INSERT INTO t VALUES ('two')"),
    ("0003_three.sql", "INSERT INTO t VALUES ('three')"),
    ("0003_three.down.sql", "DELETE FROM t WHERE x = 'three'"),
    ("R__v.sql", "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT x FROM t"),
];

fn seed(tx: &Transaction<'_>) -> landfall::rusqlite::Result<()> {
    tx.execute("INSERT INTO t VALUES ('seed')", []).map(drop)
}

fn sealed() -> (Connection, tempfile::TempDir, Migrator) {
    let (dir, migrator) = folder(&FILES);
    let migrator = migrator.seeds(Seeds::new().ensure("seed", seed));
    let conn = memory();
    migrator.apply(&conn).unwrap();
    assert_eq!(start(&conn, &migrator).1, Way::AtOnce);
    (conn, dir, migrator)
}

/// How a start found that there is nothing to do, if it did.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// By what the state says.
    AtOnce,
    /// By reading what is applied as well.
    Read,
    Whole,
}

fn start(conn: &Connection, migrator: &Migrator) -> (Result<Report>, Way) {
    let mut result = None;
    let asked = asked(conn, |conn| result = Some(migrator.apply(conn)));
    let asked: Vec<_> = asked.iter().filter(|sql| !sql.starts_with("PRAGMA")).collect();
    let way = match asked.as_slice() {
        [_] => Way::AtOnce,
        [_, rows] if rows.contains("checksum") => Way::Read,
        _ => Way::Whole,
    };
    (result.unwrap(), way)
}

/// What somebody may do to a database, with a ledger that has our triggers or not.
const DEEDS: [&str; 26] = [
    "DELETE FROM schema_migrations WHERE version = 3",
    "DELETE FROM schema_migrations WHERE version = 2",
    "DELETE FROM schema_migrations WHERE version < 0",
    "UPDATE schema_migrations SET checksum = 'x' WHERE version = 2",
    "UPDATE schema_migrations SET checksum = 'x' WHERE version < 0",
    "UPDATE OR REPLACE schema_migrations SET version = 2 WHERE version = 3",
    "UPDATE schema_migrations SET took_us = took_us + 1",
    "REPLACE INTO schema_migrations
         SELECT version, 'other', checksum, down_sql, compatible, applied_at, took_us, app_version
         FROM schema_migrations WHERE version = 2",
    "INSERT INTO schema_migrations
         SELECT version, 'other', checksum, down_sql, compatible, applied_at, took_us, app_version
         FROM schema_migrations WHERE version = 2
         ON CONFLICT (version) DO UPDATE SET checksum = 'y'",
    "INSERT OR IGNORE INTO schema_migrations
         SELECT 4, name, checksum, down_sql, compatible, applied_at, took_us, app_version
         FROM schema_migrations WHERE version = 3",
    "CREATE TEMP TABLE IF NOT EXISTS kept AS SELECT * FROM schema_migrations",
    "CREATE TEMP TABLE IF NOT EXISTS kept AS SELECT * FROM schema_migrations;
     DELETE FROM schema_migrations; INSERT INTO schema_migrations SELECT * FROM kept;
     DROP TABLE kept",
    "DROP TRIGGER IF EXISTS schema_migrations_insert_unseals",
    "DROP TRIGGER IF EXISTS schema_migrations_update_unseals",
    "DROP TRIGGER IF EXISTS schema_migrations_delete_unseals",
    "CREATE TABLE anew AS SELECT * FROM schema_migrations; DROP TABLE schema_migrations;
     ALTER TABLE anew RENAME TO schema_migrations",
    "DELETE FROM schema_seeds",
    "UPDATE schema_seeds SET state = 'begun'",
    "DELETE FROM schema_state WHERE key = 'seal'",
    "UPDATE schema_state SET value = 7 WHERE key = 'untouched'",
    "DROP TABLE IF EXISTS schema_history",
    "VACUUM",
    "ANALYZE",
    "CREATE TABLE IF NOT EXISTS other(x)",
    "DROP TABLE IF EXISTS other",
    "PRAGMA recursive_triggers = ON",
];

/// A deed by number; those beyond the list are the program's own.
fn perform(deed: usize, conn: &Connection, migrator: &Migrator) {
    match DEEDS.get(deed) {
        // Some cannot be done twice.
        Some(sql) => drop(conn.execute_batch(sql)),
        None if deed.is_multiple_of(2) => drop(migrator.apply(conn)),
        None => drop(migrator.revert(conn, Target::Steps(1))),
    }
}

fn copied(conn: &Connection) -> Connection {
    let mut copy = memory();
    backup::Backup::new(conn, &mut copy).unwrap().step(-1).unwrap();
    copy
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(26),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_start_does_what_it_would_without_a_seal(
        deeds in prop::collection::vec(0..DEEDS.len() + 4, 1..5),
    ) {
        let (conn, _dir, migrator) = sealed();
        for deed in &deeds {
            perform(*deed, &conn, &migrator);
        }
        let unsealed = copied(&conn);
        // There may be no such table any more.
        let _ = unsealed.execute("DELETE FROM schema_state WHERE key IN ('seal', 'untouched')", []);
        let wanted = told(&start(&unsealed, &migrator).0);
        let (result, way) = start(&conn, &migrator);
        prop_assert_eq!(told(&result), wanted, "{:?}, by {:?}", deeds, way);
    }
}

#[test]
fn every_kind_of_write_takes_the_word_away() {
    for (deed, way) in [
        ("DELETE FROM schema_migrations WHERE version = 3", Way::Whole),
        ("UPDATE schema_migrations SET checksum = 'x' WHERE version < 0", Way::Whole),
        ("REPLACE INTO schema_migrations SELECT version, 'other', checksum, down_sql, compatible,
              applied_at, took_us, app_version FROM schema_migrations WHERE version = 2", Way::Whole),
        // It decides nothing.
        ("UPDATE schema_migrations SET took_us = 0", Way::Read),
        ("BEGIN; DELETE FROM schema_migrations; ROLLBACK", Way::AtOnce),
        ("INSERT INTO t VALUES ('a row of the application')", Way::AtOnce),
        ("UPDATE schema_history SET reason = 'none'", Way::AtOnce),
        // The triggers may be gone.
        ("VACUUM", Way::Read),
        ("CREATE TABLE other(x)", Way::Read),
        ("DROP TRIGGER schema_migrations_update_unseals", Way::Read),
        ("CREATE TEMP TABLE other(x)", Way::AtOnce),
        ("CREATE TEMP TABLE schema_state(key, value)", Way::AtOnce),
    ] {
        let (conn, _dir, migrator) = sealed();
        conn.execute_batch(deed).unwrap();
        assert_eq!(start(&conn, &migrator).1, way, "{deed}");
    }
}

#[test]
fn a_write_by_another_process_is_told_too() {
    let folder = tempfile::tempdir().unwrap();
    let (_files, migrator) = crate::support::folder(&FILES);
    let open = || Connection::open(folder.path().join("app.db")).unwrap();
    let (conn, other) = (open(), open());
    migrator.apply(&conn).unwrap();
    assert_eq!(start(&other, &migrator).1, Way::AtOnce);
    other.execute("DELETE FROM schema_migrations WHERE version = 3", []).unwrap();
    let (result, way) = start(&conn, &migrator);
    assert_eq!((result.unwrap().applied.len(), way), (1, Way::Whole));
}

#[test]
fn what_the_library_writes_is_told_where_triggers_are_off() {
    type Verb = fn(&Migrator, &Connection) -> Result<Report>;
    fn failing(tx: &Transaction<'_>) -> landfall::rusqlite::Result<()> {
        tx.execute("INSERT INTO nowhere VALUES (1)", []).map(drop)
    }
    let verbs: [(&str, Verb); 4] = [
        ("revert", |migrator, conn| migrator.revert(conn, Target::Steps(1))),
        ("baseline", |migrator, conn| migrator.baseline(conn, 3.into())),
        ("repair", |migrator, conn| migrator.repair(conn, "somebody edited it")),
        ("an apply whose seed fails", |migrator, conn| {
            migrator.clone().seeds(Seeds::new().ensure("failing", failing)).apply(conn)
        }),
    ];
    for (name, verb) in verbs {
        let (conn, _dir, migrator) = sealed();
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        let reverts = name != "revert" && name != "repair";
        if reverts {
            migrator.revert(&conn, Target::Steps(1)).unwrap();
        }
        if name == "repair" {
            conn.execute("UPDATE schema_migrations SET checksum = 'x' WHERE version = 2", [])
                .unwrap();
        }
        let version = one(&conn, "PRAGMA schema_version");
        conn.execute(
            "REPLACE INTO schema_state (rowid, key, value) VALUES (99, 'untouched', '99/' || ?1)",
            [version],
        )
        .unwrap();
        let changed = match verb(&migrator, &conn) {
            Ok(report) => !report.is_noop(),
            Err(error) => error.report().is_some_and(|report| !report.applied.is_empty()),
        };
        assert!(changed, "{name}");
        let word = "SELECT value FROM schema_state WHERE key = 'untouched'";
        assert!(rows(&conn, word).is_empty(), "{name}");
    }
}

#[test]
fn a_dump_that_was_edited_and_loaded_is_read() {
    let (conn, _dir, migrator) = sealed();
    let dump = dumped(&conn);
    for (edit, by, way) in [
        ("", "", Way::Read),
        (
            "INSERT INTO schema_migrations VALUES (3,",
            "INSERT INTO schema_migrations VALUES (4,",
            Way::Whole,
        ),
        ("'two'", "'zwei'", Way::Whole),
        ("INSERT INTO schema_seeds", "-- INSERT INTO schema_seeds", Way::Whole),
    ] {
        let loaded = memory();
        loaded.execute_batch(&dump.replacen(edit, by, usize::MAX)).unwrap();
        assert_eq!(start(&loaded, &migrator).1, way, "{edit}");
    }
}

#[test]
fn each_set_has_triggers_of_its_own() {
    let (conn, _dir, migrator) = sealed();
    let other = crate::support::set(&[(1, "u", "CREATE TABLE u(x)", "")]).ledger("other");
    other.apply(&conn).unwrap();
    let triggers = rows(&conn, "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY 1");
    assert_eq!(
        triggers,
        [
            "other_migrations_delete_unseals",
            "other_migrations_insert_unseals",
            "other_migrations_update_unseals",
            "schema_migrations_delete_unseals",
            "schema_migrations_insert_unseals",
            "schema_migrations_update_unseals",
        ]
    );
    assert!(
        migrator
            .drift(&conn)
            .unwrap()
            .iter()
            .all(|change| change.to_string() == "table `u` should not be there")
    );
    // The schema is another one: the first is found by its rows from here on, and writes nothing.
    assert_eq!(start(&conn, &migrator).1, Way::Read);
    assert_eq!(start(&conn, &other).1, Way::AtOnce);
    conn.execute("UPDATE schema_migrations SET took_us = 0", []).unwrap();
    assert_eq!(start(&conn, &other).1, Way::AtOnce);
}

#[test]
fn sentinels_mean_nothing_to_a_program_without_seeds() {
    let (dir, migrator) = folder(&FILES);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    conn.execute_batch(
        "INSERT INTO schema_seeds (name, revision, state) VALUES ('of another program', 1, 'done')",
    )
    .unwrap();
    assert_eq!(start(&conn, &migrator).1, Way::AtOnce);
    let sows = migrator.clone().seeds(Seeds::new().ensure("seed", seed));
    assert_eq!(start(&conn, &sows).0.unwrap().seeds.len(), 1);
    assert_eq!(start(&conn, &sows).1, Way::AtOnce);
    // Another program: it looks once, and each of them after that.
    assert_eq!(start(&conn, &migrator).1, Way::Whole);
    assert_eq!(start(&conn, &migrator).1, Way::AtOnce);
    drop(dir);
}

/// As it was made before rows of the state had numbers.
const UNNUMBERED: &str = "
    CREATE TEMP TABLE kept AS SELECT key, value FROM schema_state WHERE key <> 'untouched';
    DROP TABLE schema_state;
    CREATE TABLE schema_state(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO schema_state SELECT * FROM kept; DROP TABLE kept;
    DROP TRIGGER schema_migrations_insert_unseals; DROP TRIGGER schema_migrations_update_unseals;
    DROP TRIGGER schema_migrations_delete_unseals";

#[test]
fn a_state_without_numbers_is_made_anew_with_what_it_says() {
    let (conn, _dir, migrator) = sealed();
    let state = "SELECT key, value FROM schema_state WHERE key NOT IN ('seal', 'untouched')";
    let before = rows(&conn, state);
    for more in [0, 1] {
        conn.execute_batch(UNNUMBERED).unwrap();
        let migrator = match more {
            0 => migrator.clone(),
            _ => migrator.clone().with(Migration::sql(4, "four", "INSERT INTO t VALUES ('four')")),
        };
        let report = migrator.apply(&conn).unwrap();
        assert_eq!(report.applied.len(), more);
        assert_eq!(rows(&conn, state), before);
        assert_eq!(start(&conn, &migrator).1, Way::AtOnce);
    }
    // What is under way stays so.
    conn.execute_batch(UNNUMBERED).unwrap();
    conn.execute("INSERT INTO schema_state VALUES ('running', '5/1/up/five')", []).unwrap();
    assert_eq!(told(&migrator.apply(&conn)), "Interrupted");
}
