//! The ledger: its tables, those of others, those of another prefix, and what is on record.

use landfall::{ErrorKind, Migration, Migrator, Target};

use crate::support::{memory, one, rows, set};

fn people() -> Migrator {
    set(&[
        (1, "person", "CREATE TABLE person(name)", "DROP TABLE person"),
        (2, "ada", "INSERT INTO person VALUES ('Ada')", "DELETE FROM person"),
    ])
}

#[test]
fn rows_say_what_was_applied_by_whom_and_how_to_take_it_back() {
    let conn = memory();
    people().app_version("3.1").apply(&conn).unwrap();
    assert_eq!(
        rows(
            &conn,
            "SELECT version, name, checksum, down_sql, compatible, app_version FROM schema_migrations"
        ),
        [
            format!(
                "1|person|{}|DROP TABLE person|1|3.1",
                landfall::sql::checksum("CREATE TABLE person(name)")
            ),
            format!(
                "2|ada|{}|DELETE FROM person|0|3.1",
                landfall::sql::checksum("INSERT INTO person VALUES ('Ada')")
            ),
        ]
    );
    assert_eq!(
        one(
            &conn,
            "SELECT count(*) FROM schema_migrations WHERE took_us >= 0
                    AND applied_at GLOB '20[0-9][0-9]-[01][0-9]-[0-3][0-9]T*Z'"
        ),
        "2"
    );
}

#[test]
fn the_history_is_only_ever_added_to() {
    let conn = memory();
    let migrator = people().app_version("3.1");
    migrator.apply(&conn).unwrap();
    migrator.revert(&conn, Target::Steps(1)).unwrap();
    migrator.apply(&conn).unwrap();
    let history = migrator.history(&conn).unwrap();
    let lines: Vec<_> =
        history.iter().map(|e| format!("{} {} {}", e.id, e.action, e.version.unwrap())).collect();
    assert_eq!(lines, ["1 apply 1", "2 apply 2", "3 revert 2", "4 apply 2"]);
    assert!(history.iter().all(|e| e.app_version.as_deref() == Some("3.1") && e.at.ends_with('Z')));
    assert!(people().history(&memory()).unwrap().is_empty());
}

#[test]
fn two_prefixes_share_a_database_without_knowing_each_other() {
    let conn = memory();
    let other = set(&[(1, "log", "CREATE TABLE log(line)", "DROP TABLE log")]).ledger("audit");
    people().apply(&conn).unwrap();
    other.apply(&conn).unwrap();
    assert!(people().apply(&conn).unwrap().is_noop());
    assert!(other.apply(&conn).unwrap().is_noop());
    other.revert(&conn, Target::Empty).unwrap();
    assert_eq!(rows(&conn, "SELECT name FROM person"), ["Ada"]);
    assert_eq!(one(&conn, "SELECT count(*) FROM audit_migrations"), "0");
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations"), "2");
}

#[test]
fn a_table_of_our_name_that_is_not_ours_is_refused_by_the_name_of_its_tool() {
    for (table, looks_like) in [
        (
            "CREATE TABLE schema_migrations(version uint64, dirty bool)",
            "table `schema_migrations` is not landfall's: it looks like golang-migrate's",
        ),
        (
            "CREATE TABLE \"schema_migrations\" (version varchar(128) primary key)",
            "table `schema_migrations` is not landfall's: it looks like dbmate's or Rails's",
        ),
        (
            "CREATE TABLE Schema_Migrations(id VARCHAR(255) PRIMARY KEY)",
            "table `Schema_Migrations` is not landfall's: it looks like geni's",
        ),
        (
            "CREATE TABLE schema_state(a, b)",
            "table `schema_state` is not landfall's: its columns are a, b",
        ),
    ] {
        let conn = memory();
        conn.execute_batch(table).unwrap();
        let error = people().apply(&conn).unwrap_err();
        assert_eq!(error.to_string(), format!("{looks_like}; nothing was changed"));
        assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master WHERE type = 'table'"), "1");
        people().ledger("app").apply(&conn).unwrap();
    }
}

#[test]
fn a_ledger_of_a_future_format_is_refused() {
    let conn = memory();
    people().apply(&conn).unwrap();
    for future in ["2", "one"] {
        conn.execute("UPDATE schema_state SET value = ?1 WHERE key = 'format'", [future]).unwrap();
        for result in [
            people().apply(&conn).map(drop),
            people().status(&conn).map(drop),
            people().repair(&conn, "why").map(drop),
            people().history(&conn).map(drop),
        ] {
            assert_eq!(
                result.unwrap_err().to_string(),
                format!(
                    "the ledger `schema_state` has format {future}, and this program reads up to 1; \
                     nothing was changed"
                )
            );
        }
    }
}

#[test]
fn a_ledger_with_a_table_missing_is_made_whole() {
    for table in ["schema_state", "schema_history", "schema_seeds"] {
        let conn = memory();
        people().apply(&conn).unwrap();
        conn.execute_batch(&format!("DROP TABLE {table}")).unwrap();
        assert!(people().apply(&conn).unwrap().is_noop());
        assert_eq!(one(&conn, &format!("SELECT count(*) >= 0 FROM {table}")), "1");
    }
}

#[test]
fn a_row_deleted_or_edited_by_hand_is_noticed_in_spite_of_the_seal() {
    let conn = memory();
    people().apply(&conn).unwrap();
    assert!(people().apply(&conn).unwrap().is_noop());
    conn.execute("UPDATE schema_migrations SET checksum = 'sha256:00' WHERE version = 1", [])
        .unwrap();
    assert!(matches!(people().apply(&conn).unwrap_err().kind(), ErrorKind::Modified { .. }));
    let conn = memory();
    people().apply(&conn).unwrap();
    conn.execute("DELETE FROM schema_migrations WHERE version = 2", []).unwrap();
    assert_eq!(people().apply(&conn).unwrap().applied.len(), 1);
}

#[test]
fn odd_rows_in_the_ledger_give_errors_not_panics() {
    for damage in [
        "UPDATE schema_migrations SET name = x'ff'",
        "UPDATE schema_migrations SET compatible = 'perhaps'",
        "UPDATE schema_migrations SET checksum = 7",
        "UPDATE schema_state SET value = x'00'",
    ] {
        let conn = memory();
        people().apply(&conn).unwrap();
        conn.execute_batch(damage).unwrap();
        let error = people().apply(&conn).unwrap_err();
        assert!(error.to_string().ends_with("nothing was changed"), "{damage}: {error}");
    }
}

#[test]
fn repair_accepts_edits_on_record() {
    let conn = memory();
    people().apply(&conn).unwrap();
    let edited = set(&[
        (1, "person", "CREATE TABLE person(name, born)", "DROP TABLE person"),
        (3, "index", "CREATE INDEX person_name ON person(name)", ""),
    ]);
    assert_eq!(
        edited.repair(&conn, " ").unwrap_err().to_string(),
        "repair goes on record and needs a reason; nothing was changed"
    );
    let report = edited.repair(&conn, "column added by hand in production").unwrap();
    assert_eq!(report.amended.len(), 2);
    assert_eq!(edited.apply(&conn).unwrap().applied.len(), 1);
    let lines = rows(
        &conn,
        "SELECT version, reason, detail FROM schema_history WHERE action = 'repair' ORDER BY id",
    );
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("1|column added by hand in production|sha256:"));
    assert!(
        lines[1].contains("removed: sha256:") && lines[1].ends_with("down: DELETE FROM person")
    );
    assert!(edited.repair(&conn, "again").unwrap().is_noop());
}

#[test]
fn repair_leaves_what_a_newer_program_did() {
    let conn = memory();
    people().apply(&conn).unwrap();
    let older = set(&[(1, "person", "CREATE TABLE person(name)", "DROP TABLE person")]);
    assert!(older.repair(&conn, "by the older one").unwrap().is_noop());
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations"), "2");
}

#[test]
fn an_application_table_that_only_begins_like_ours_is_the_applications() {
    let migrator = Migrator::from_migrations([Migration::sql(
        1,
        "odd",
        "CREATE TABLE schema_migrations_log(x); CREATE TABLE schemaxstate(x)",
    )]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    assert!(migrator.apply(&conn).unwrap().is_noop());
}

#[test]
fn a_ledger_that_has_lost_what_is_applied_is_refused() {
    let conn = memory();
    people().apply(&conn).unwrap();
    conn.execute_batch("DROP TABLE schema_migrations").unwrap();
    let error = people().apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ledger has lost its table `schema_migrations`, and what is applied cannot be told; \
         nothing was changed"
    );
    assert_eq!(one(&conn, "SELECT count(*) FROM person"), "1");
}
