//! Ledgers that are nearly what they seem, and verbs before the first start.

use std::time::Duration;

use landfall::{Adopt, Migration, Migrator, Target, Version};

use crate::adopt::{DBMATE, FLYWAY, NUMBERS, PERSON, SQLX, database, migrator};
use crate::support::{everything, folder, memory, one, refused, rows, set};

/// Below zero our ledger keeps what may run again.
#[test]
fn a_version_below_zero_is_none() {
    let ledger = format!("{SQLX} UPDATE _sqlx_migrations SET version = -1 WHERE version = 3");
    let error = refused(&database(&ledger), &migrator(NUMBERS).adopt(Adopt::Sqlx.trusting()));
    assert!(error.to_string().contains("whose `version` is `-1`, which is no version"), "{error}");
}

/// `B3__name.sql` on an empty schema stands for everything up to 3.
#[test]
fn flyway_s_baseline_migrations_stand_for_what_is_below_them() {
    let ledger = format!(
        "{FLYWAY} DELETE FROM flyway_schema_history; INSERT INTO flyway_schema_history VALUES
         (1, '3', 'all', 'SQL_BASELINE', 'B3__all.sql', 5, '', '2024-01-05 10:11:12', 1, 1)"
    );
    let conn = database(&ledger);
    let report = migrator(NUMBERS).adopt(Adopt::Flyway).apply(&conn).unwrap();
    assert_eq!(report.adopted.unwrap().migrations.len(), 3);
    assert_eq!(report.applied.len(), 1);
    // Where the set has no more than the baseline, its row is the baseline's.
    let all = [PERSON, crate::adopt::LETTER, crate::adopt::BORN].concat();
    let files = [("B3__all.sql", all.as_str()), ("V4__note.sql", "CREATE TABLE note(x);")];
    let (_dir, squashed) = folder(&files);
    let conn = database(&ledger);
    let error = refused(&conn, &squashed.clone().adopt(Adopt::Flyway));
    assert!(error.to_string().contains("is not that of B3__all.sql"), "{error}");
    let report = squashed.clone().adopt(Adopt::Flyway.trusting()).apply(&conn).unwrap();
    assert_eq!((report.adopted.unwrap().migrations.len(), report.applied.len()), (1, 1));
    assert!(squashed.is_current(&conn).unwrap());
    assert!(squashed.drift(&conn).unwrap().is_empty());
}

/// Flyway compares versions as numbers: what `U3.0__born.sql` takes back is V3.
#[test]
fn flyway_takes_back_by_number() {
    let ledger = format!(
        "{FLYWAY} DELETE FROM flyway_schema_history WHERE installed_rank = 5;
         UPDATE flyway_schema_history SET version = '3.0' WHERE installed_rank = 4;
         ALTER TABLE person DROP COLUMN born"
    );
    let conn = database(&ledger);
    let report = migrator(NUMBERS).adopt(Adopt::Flyway).apply(&conn).unwrap();
    assert_eq!(report.adopted.unwrap().migrations, [Version::from(1), Version::from(2)]);
    assert_eq!(report.applied.len(), 2);
}

#[test]
fn what_rails_keeps_beside_its_ledger_is_no_difference() {
    let rails = "CREATE TABLE ar_internal_metadata(key varchar NOT NULL PRIMARY KEY, value varchar,
        created_at datetime(6) NOT NULL, updated_at datetime(6) NOT NULL);";
    let conn = database(&format!("{DBMATE}{rails}"));
    migrator(NUMBERS).adopt(Adopt::Dbmate).apply(&conn).unwrap();
}

/// An `id` beside other columns counts rows, and names no migration.
#[test]
fn a_table_that_counts_its_rows_is_not_geni_s() {
    let own = "CREATE TABLE schema_migrations(id INTEGER PRIMARY KEY, filename TEXT, at TEXT);
        INSERT INTO schema_migrations VALUES (1, '0010_person.sql', ''), (2, '0020_letter.sql', '')";
    for adopt in [Adopt::Auto, Adopt::Geni] {
        let error = refused(&database(own), &migrator(NUMBERS).adopt(adopt.trusting()));
        assert!(!error.advice().unwrap_or_default().contains("Adopt::Geni)"), "{error:?}");
    }
    let error = refused(&database(own), &migrator(NUMBERS));
    assert!(error.to_string().contains("its columns are id, filename, at"), "{error}");
}

/// How many migrations a baseline stands for is not known, and the count counted them.
#[test]
fn a_count_means_nothing_to_a_set_whose_beginning_is_a_baseline() {
    let (_dir, squashed) = folder(&[
        ("0050_all.baseline.sql", PERSON),
        ("0051_a.sql", "CREATE TABLE a(x);"),
        ("0052_b.sql", "CREATE TABLE b(x);"),
        ("0053_c.sql", "CREATE TABLE c(x);"),
    ]);
    for adopt in [Adopt::RusqliteMigration.trusting(), Adopt::RusqliteMigration.into()] {
        let conn = database("PRAGMA user_version = 2");
        let error = refused(&conn, &squashed.clone().adopt(adopt));
        assert!(error.to_string().contains("baseline"), "{error}");
    }
}

#[test]
fn drift_before_the_first_start_is_from_what_theirs_says() {
    for (ledger, adopt) in [(SQLX, Adopt::Sqlx), (DBMATE, Adopt::Dbmate)] {
        let conn = database(ledger);
        let migrator = migrator(NUMBERS).adopt(adopt);
        let before = everything(&conn);
        let drift = migrator.drift(&conn).unwrap();
        assert!(drift.is_empty(), "{adopt}: {drift:?}");
        conn.execute_batch("CREATE TABLE stray(x)").unwrap();
        let drift = migrator.drift(&conn).unwrap();
        assert_eq!(drift.len(), 1, "{adopt}: {drift:?}");
        conn.execute_batch("DROP TABLE stray").unwrap();
        assert_eq!(everything(&conn), before);
    }
}

#[test]
fn verify_before_the_first_start_asks_of_what_theirs_says() {
    let conn = database(SQLX);
    let migrator = Migrator::from_migrations([
        Migration::sql(1, "person", PERSON).verify("SELECT name FROM person"),
        Migration::sql(2, "letter", crate::adopt::LETTER),
        Migration::sql(3, "born", crate::adopt::BORN),
    ])
    .adopt(Adopt::Sqlx);
    assert!(migrator.verify(&conn).is_err());
    migrator.apply(&conn).unwrap();
    assert!(migrator.verify(&conn).is_err());
}

#[test]
fn a_reader_waits_for_the_takeover() {
    let conn = database(SQLX);
    let three = migrator(NUMBERS).adopt(Adopt::Sqlx);
    assert!(!three.is_current(&conn).unwrap());
    assert!(three.wait_until_current(&conn, Duration::ZERO).is_err());
    three.apply_to(&conn, Target::Version(3.into())).unwrap();
    assert!(!three.is_current(&conn).unwrap());
    three.apply(&conn).unwrap();
    three.wait_until_current(&conn, Duration::ZERO).unwrap();
}

#[test]
fn a_revert_takes_over_first() {
    let conn = database(DBMATE);
    let migrator = migrator(NUMBERS).adopt(Adopt::Dbmate);
    let report = migrator.revert(&conn, Target::Steps(1)).unwrap();
    assert_eq!(report.reverted.len(), 1);
    assert_eq!(report.adopted.unwrap().migrations.len(), 3);
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations"), "2");
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations_dbmate"), "3");
}

/// A set that begins beside a ledger that became ours under another prefix.
#[test]
fn another_prefix_does_not_begin_anew() {
    let conn = database(DBMATE);
    migrator(NUMBERS).adopt(Adopt::Dbmate).apply(&conn).unwrap();
    let moved = migrator(NUMBERS).adopt(Adopt::Dbmate).ledger("app");
    let _ = refused(&conn, &moved);
}

#[test]
fn inside_a_transaction_nothing_is_taken_over() {
    let conn = database(SQLX);
    conn.execute_batch("BEGIN").unwrap();
    let migrator = migrator(NUMBERS).adopt(Adopt::Sqlx);
    assert!(migrator.apply(&conn).is_err());
    assert_eq!(migrator.plan(&conn).unwrap().adoption.unwrap().migrations.len(), 3);
    assert!(!conn.is_autocommit());
    conn.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn a_number_of_the_application_s_own_is_not_believed() {
    let person = || {
        set(&[(1, "person", PERSON, ""), (2, "row", "INSERT INTO person(name) VALUES ('a')", "")])
    };
    for number in ["1", "2", "3", "-7", "20240101"] {
        let conn = memory();
        conn.execute_batch(&format!("CREATE TABLE own(x); PRAGMA user_version = {number}"))
            .unwrap();
        let _ = refused(&conn, &person().adopt(Adopt::Auto));
        let _ = refused(&conn, &person().adopt(Adopt::Auto.trusting()));
        assert_eq!(rows(&conn, "PRAGMA user_version"), [number]);
    }
}

/// Search, views on each other, a table without rowid, a generated column.
#[test]
fn a_schema_with_everything_is_the_same_as_itself() {
    let all = "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT COLLATE NOCASE,
            b AS (a || 'x') STORED);
        CREATE VIRTUAL TABLE search USING fts5(a, content='t', content_rowid='id');
        CREATE TABLE w(k TEXT PRIMARY KEY) WITHOUT ROWID;
        CREATE VIEW v1 AS SELECT a FROM t; CREATE VIEW v2 AS SELECT a FROM v1;
        CREATE TRIGGER tr AFTER INSERT ON t BEGIN
            INSERT INTO search(rowid, a) VALUES (new.id, new.a);
        END;
        CREATE UNIQUE INDEX i ON t(lower(a)) WHERE a > '';";
    let conn = memory();
    conn.execute_batch(&format!("{all} INSERT INTO t(a) VALUES ('x'); PRAGMA user_version = 1"))
        .unwrap();
    let migrator = set(&[(1, "all", all, "")]).adopt(Adopt::RusqliteMigration);
    migrator.plan(&conn).unwrap();
    let other = "DROP TRIGGER tr; CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END";
    conn.execute_batch(other).unwrap();
    migrator.plan(&conn).unwrap_err();
}

/// golang-migrate's row after the last down, and one that no tool writes.
#[test]
fn golang_migrate_may_have_taken_everything_back() {
    let ledger = |version: i64| {
        format!(
            "CREATE TABLE schema_migrations(version uint64, dirty bool);
             INSERT INTO schema_migrations VALUES ({version}, 0);"
        )
    };
    let migrator = migrator(NUMBERS).adopt(Adopt::GolangMigrate);
    let conn = memory();
    conn.execute_batch(&ledger(-1)).unwrap();
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 4);
    let conn = memory();
    conn.execute_batch(&ledger(-2)).unwrap();
    let error = refused(&conn, &migrator);
    assert!(error.to_string().contains("whose `version` is `-2`"), "{error}");
}
