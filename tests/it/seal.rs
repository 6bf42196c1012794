//! "Nothing to do" is never said wrongly: whatever changes behind a sealed database or set is
//! noticed, and a seal that is wrong or missing only costs time.

use landfall::rusqlite::{self, Connection};
use landfall::{
    Backup, ErrorKind, Late, Migration, Migrator, Missing, Newer, Report, Result, Seed, Seeds,
};

use crate::support::{folder, memory, one, queries, rows, told};

const FILES: [(&str, &str); 4] = [
    ("0001_t.sql", "CREATE TABLE t(x)"),
    ("0002_two.sql", "INSERT INTO t VALUES ('two')"),
    ("0003_three.sql", "INSERT INTO t VALUES ('three')"),
    ("R__v.sql", "CREATE VIEW v AS SELECT x FROM t"),
];

fn seeds(revision: u32) -> Seeds {
    let seed =
        |tx: &rusqlite::Transaction<'_>| tx.execute("INSERT INTO t VALUES ('seed')", []).map(drop);
    Seeds::new().add(Seed::new("s", seed).revision(revision))
}

/// A start, and whether the one query of the seal was all that it asked.
fn start(conn: &Connection, migrator: &Migrator) -> (Result<Report>, bool) {
    let mut result = None;
    let asked = queries(conn, |conn| result = Some(migrator.apply(conn)));
    (result.unwrap(), asked == 1)
}

fn sealed() -> (Connection, tempfile::TempDir, Migrator) {
    let (dir, migrator) = folder(&FILES);
    let migrator = migrator.seeds(seeds(2));
    let conn = memory();
    migrator.apply(&conn).unwrap();
    let (result, at_once) = start(&conn, &migrator);
    assert!(result.unwrap().is_noop() && at_once, "it is not sealed to begin with");
    (conn, dir, migrator)
}

#[test]
fn what_somebody_did_to_the_database_is_noticed() {
    for (deed, wanted) in [
        ("DELETE FROM schema_migrations WHERE version = 3", "applied 1"),
        ("DELETE FROM schema_migrations WHERE version = 2", "Late"),
        ("DELETE FROM schema_migrations WHERE version < 0; DROP VIEW v", "repeated 1"),
        ("UPDATE schema_migrations SET checksum = 'x' WHERE version = 2", "Modified"),
        ("UPDATE schema_migrations SET checksum = 'x' WHERE version < 0", "repeated 1"),
        ("UPDATE schema_migrations SET name = 'other' WHERE version = 2", "amended 1"),
        ("UPDATE schema_migrations SET compatible = 1 WHERE version = 2", "amended 1"),
        ("UPDATE schema_migrations SET version = 4 WHERE version = 3", "Newer"),
        ("INSERT INTO schema_migrations SELECT 9, name, checksum, down_sql, 1, applied_at, took_us,
              app_version FROM schema_migrations WHERE version = 3", "newer 1"),
        ("INSERT INTO schema_migrations SELECT 9, name, checksum, down_sql, 0, applied_at, took_us,
              app_version FROM schema_migrations WHERE version = 3", "Newer"),
        ("DELETE FROM schema_seeds", "seeds 1"),
        ("UPDATE schema_seeds SET revision = 1", "seeds 1"),
        ("UPDATE schema_seeds SET state = 'begun'", "seeds 1"),
        ("UPDATE schema_seeds SET name = 'other'", "seeds 1"),
        ("DROP TABLE schema_seeds", "seeds 1"),
        ("DROP TABLE schema_migrations", "LostLedger"),
        ("INSERT INTO schema_state VALUES ('running', '2/1/up/two')", "Interrupted"),
        ("UPDATE schema_state SET value = '99' WHERE key = 'format'", "FutureFormat"),
        ("DROP TABLE schema_history; CREATE TABLE schema_history(z)", "ForeignLedger"),
    ] {
        let (conn, _dir, migrator) = sealed();
        let migrator = migrator.wait(std::time::Duration::ZERO);
        conn.execute_batch(deed).unwrap();
        assert_eq!(told(&start(&conn, &migrator).0), wanted, "{deed}");
    }
}

#[test]
fn what_somebody_did_to_the_set_is_noticed() {
    type Edit = fn(&std::path::Path);
    let cases: [(Edit, &str); 8] = [
        (|dir| std::fs::write(dir.join("0004_four.sql"), "SELECT 4").unwrap(), "applied 1"),
        (|dir| std::fs::write(dir.join("0002_two.sql"), "SELECT 2").unwrap(), "Modified"),
        (|dir| std::fs::remove_file(dir.join("0003_three.sql")).unwrap(), "Newer"),
        (|dir| std::fs::remove_file(dir.join("0002_two.sql")).unwrap(), "Missing"),
        (
            |dir| std::fs::write(dir.join("R__v.sql"), "CREATE VIEW v AS SELECT 1").unwrap(),
            "repeated 1",
        ),
        (
            |dir| std::fs::write(dir.join("R__w.sql"), "CREATE VIEW w AS SELECT 1").unwrap(),
            "repeated 1",
        ),
        (|dir| std::fs::write(dir.join("0003_three.down.sql"), "SELECT 3").unwrap(), "amended 1"),
        (|dir| std::fs::write(dir.join("odd.sql"), "").unwrap(), "BadName"),
    ];
    for (edit, wanted) in cases {
        let (conn, dir, migrator) = sealed();
        edit(dir.path());
        assert_eq!(told(&start(&conn, &migrator).0), wanted);
    }
    let (conn, _dir, migrator) = sealed();
    assert_eq!(told(&start(&conn, &migrator.clone().seeds(seeds(3))).0), "seeds 1");
    let added = migrator.clone().with(Migration::sql(7, "seven", "SELECT 7"));
    assert_eq!(told(&start(&conn, &added).0), "applied 1");
    assert_eq!(told(&start(&conn, &migrator.clone().seeds(seeds(3))).0), "newer 1");
    assert_eq!(told(&start(&conn, &migrator.ledger("other")).0), "Statement");
}

#[test]
fn a_backup_put_back_is_another_database() {
    let folder = tempfile::tempdir().unwrap();
    let (_files, migrator) = crate::support::folder(&FILES);
    let migrator = migrator.seeds(seeds(2)).backup(Backup::to_dir(folder.path()));
    let mut conn = Connection::open(folder.path().join("app.db")).unwrap();
    migrator.apply_to(&conn, landfall::Target::Steps(1)).unwrap();
    let report = migrator.apply(&conn).unwrap();
    let backup = report.backup.as_ref().and_then(|backup| backup.path()).unwrap();
    assert!(start(&conn, &migrator).1);
    migrator.restore(&mut conn, backup).unwrap();
    let (result, _) = start(&conn, &migrator);
    assert_eq!(told(&result), "applied 2, repeated 1, seeds 1");
    assert_eq!(rows(&conn, "SELECT x FROM t"), ["two", "three", "seed"]);
}

#[test]
fn a_seal_that_is_wrong_or_missing_only_costs_time() {
    for damage in [
        "DELETE FROM schema_state WHERE key = 'seal'",
        "UPDATE schema_state SET value = 'nonsense' WHERE key = 'seal'",
        "UPDATE schema_state SET value = '' WHERE key = 'seal'",
        "UPDATE schema_state SET value = replace(value, substr(value, 1, 1), 'g') WHERE key = 'seal'",
        "INSERT INTO schema_state VALUES ('something', 'else')",
        "DROP TABLE schema_state",
        "DROP TABLE schema_history",
    ] {
        let (conn, _dir, migrator) = sealed();
        conn.execute_batch(damage).unwrap();
        let (result, at_once) = start(&conn, &migrator);
        assert_eq!((told(&result).as_str(), at_once), ("", false), "{damage}");
        let (result, at_once) = start(&conn, &migrator);
        assert_eq!((told(&result).as_str(), at_once), ("", true), "{damage}: not sealed again");
        assert_eq!(one(&conn, "SELECT count(*) FROM t"), "3", "{damage}");
    }
    // A policy decides what is refused: the next start looks again, once.
    let (conn, _dir, migrator) = sealed();
    for other in [
        migrator.clone().late(Late::Apply),
        migrator.clone().missing(Missing::Ignore),
        migrator.clone().newer(Newer::Refuse),
    ] {
        let (result, at_once) = start(&conn, &other);
        assert_eq!((told(&result).as_str(), at_once), ("", false));
        assert!(start(&conn, &other).1);
    }
}

#[test]
fn an_error_seals_nothing() {
    let (conn, dir, migrator) = sealed();
    std::fs::write(dir.path().join("0004_four.sql"), "INSERT INTO nowhere VALUES (1)").unwrap();
    for _ in 0..2 {
        let (result, at_once) = start(&conn, &migrator);
        assert!(matches!(result.unwrap_err().kind(), ErrorKind::Statement { .. }));
        assert!(!at_once);
    }
}

#[test]
fn a_value_of_another_type_is_another_value() {
    const ANEW: &str = "CREATE TABLE anew AS SELECT * FROM schema_migrations;
                        DROP TABLE schema_migrations;
                        ALTER TABLE anew RENAME TO schema_migrations;";
    for edit in [
        "UPDATE schema_migrations SET compatible = x'30' WHERE version = 3",
        "UPDATE schema_migrations SET compatible = 'no' WHERE version = 3",
        "UPDATE schema_migrations SET compatible = NULL WHERE version = 3",
        "UPDATE schema_migrations SET compatible = 0.5 WHERE version = 3",
        "UPDATE schema_migrations SET name = CAST(name AS BLOB) WHERE version = 3",
        "UPDATE schema_migrations SET name = name || char(0) WHERE version = 3",
        "UPDATE schema_migrations SET name = checksum, checksum = name WHERE version = 3",
        "UPDATE schema_migrations SET name = name || substr(checksum, 1, 1),
             checksum = substr(checksum, 2) WHERE version = 3",
        "INSERT INTO schema_migrations (version) VALUES (NULL)",
        "INSERT INTO schema_migrations (version, name, checksum) VALUES (NULL, 'seal', 'x')",
        "INSERT INTO schema_migrations (version, name, checksum)
             SELECT NULL, key, value FROM schema_state WHERE key = 'seal'",
        "INSERT INTO schema_migrations SELECT * FROM schema_migrations WHERE version = 3",
        "UPDATE schema_state SET key = 'Format' WHERE key = 'format'",
        "UPDATE schema_seeds SET revision = '2x'",
    ] {
        let (conn, _dir, migrator) = sealed();
        conn.execute_batch(ANEW).unwrap();
        conn.execute_batch(edit).unwrap();
        assert!(!start(&conn, &migrator).1, "{edit}");
    }
}

#[test]
fn every_byte_of_a_set_counts() {
    let mut seen = std::collections::BTreeMap::new();
    let mut sealed_as = |what: String, migrations: Vec<Migration>| {
        let conn = memory();
        Migrator::from_migrations(migrations).apply(&conn).unwrap();
        let seal = one(&conn, "SELECT substr(value, 1, 16) FROM schema_state WHERE key = 'seal'");
        let other = seen.insert(seal, what.clone());
        assert_eq!(other, None, "{what} has the same seal");
    };
    for length in [7, 8, 15, 16, 17, 33] {
        let text = |at: usize| {
            let letters = (0..length).map(|n| if n == at { 'b' } else { 'a' });
            format!("SELECT '{}'", letters.collect::<String>())
        };
        for at in 0..=length {
            let what = format!("{length} letters, another at {at}");
            sealed_as(what, vec![Migration::sql(1, "one", text(at))]);
        }
    }
    for (name, sql) in [("one", "SELECT 12"), ("one1", "SELECT 2"), ("on", "SELECT 12")] {
        sealed_as(format!("{name}: {sql}"), vec![Migration::sql(1, name, sql)]);
        let down = Migration::sql(1, name, sql).down("SELECT 12");
        sealed_as(format!("{name}: {sql}, and a way back"), vec![down]);
    }
    for spaces in 1..20 {
        let sql = format!("SELECT{}1", " ".repeat(spaces));
        sealed_as(format!("{spaces} spaces"), vec![Migration::sql(1, "one", sql)]);
    }
}
