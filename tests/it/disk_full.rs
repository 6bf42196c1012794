//! The disk is full: nothing has changed, and with more room the next run completes.

use std::path::Path;

use landfall::rusqlite::{Connection, ErrorCode};
use landfall::{Migration, Migrator, Target, Version};

use crate::stage::{MODES, counting, empty_file, settings, whole};
use crate::support::{memory, one};

fn number(conn: &Connection, sql: &str) -> u32 {
    one(conn, sql).parse().unwrap()
}

/// The code of SQLite's error at the bottom of an error.
fn code(error: &landfall::Error) -> Option<ErrorCode> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut found = None;
    while let Some(error) = cause {
        let sqlite = error.downcast_ref::<landfall::rusqlite::Error>();
        found = sqlite.and_then(landfall::rusqlite::Error::sqlite_error_code).or(found);
        cause = error.source();
    }
    found
}

/// Allows one page more after every failure. Returns how many times it failed.
fn page_by_page(conn: &Connection, migrator: &Migrator, what: &str) -> usize {
    let (before, were) = (whole(conn), settings(conn));
    let (mut latest, mut failures) = (before.clone(), 0);
    for pages in number(conn, "PRAGMA page_count").max(1).. {
        one(conn, &format!("PRAGMA max_page_count = {pages}"));
        let result = migrator.apply(conn);
        assert!(conn.is_autocommit(), "{what}, {pages} pages: {result:?}");
        assert_eq!(settings(conn), were, "{what}, {pages} pages");
        assert_eq!(one(conn, "PRAGMA integrity_check"), "ok", "{what}, {pages} pages");
        let now = whole(conn);
        match result {
            Ok(_) => break,
            Err(error) => {
                failures += 1;
                assert_eq!(code(&error), Some(ErrorCode::DiskFull), "{what}, {pages}: {error:?}");
                // What earlier transactions committed stays, and is said to.
                let unchanged = error.to_string().ends_with("; nothing was changed");
                assert_eq!(now == latest, unchanged, "{what}, {pages} pages: {error}");
                assert_eq!(error.report().is_none(), unchanged, "{what}, {pages} pages: {error}");
                latest = now;
            }
        }
    }
    one(conn, "PRAGMA max_page_count = 1000000");
    failures
}

/// What an apply with room enough makes of it.
fn end(from: Option<i64>) -> String {
    let conn = memory();
    if let Some(version) = from {
        populate(&conn, version);
    }
    counting().apply(&conn).unwrap();
    whole(&conn)
}

/// At a version with a rebuild to come, and with some pages of rows.
fn populate(conn: &Connection, version: i64) {
    counting().apply_to(conn, Target::Version(Version::from(version))).unwrap();
    conn.execute_batch(
        "WITH RECURSIVE c(x) AS (SELECT 100 UNION ALL SELECT x + 1 FROM c WHERE x < 400)
         INSERT INTO parent(id, name) SELECT x, printf('%.80c', 'n') FROM c;
         INSERT INTO child(parent_id) SELECT id FROM parent WHERE id >= 100;",
    )
    .unwrap();
}

fn on_a_full_disk(conn: &Connection, from: Option<i64>, what: &str) {
    if let Some(version) = from {
        populate(conn, version);
    }
    let failures = page_by_page(conn, &counting(), what);
    println!("{what}: full {failures} times");
    assert!(failures >= 8, "{what}: {failures}");
    assert_eq!(whole(conn), end(from), "{what}");
}

fn file(path: &Path, mode: &str) -> Connection {
    empty_file(path, mode);
    Connection::open(path).unwrap()
}

#[test]
fn a_first_start_on_a_full_disk_changes_nothing() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        on_a_full_disk(&file(&dir.path().join("app.db"), mode), None, mode);
    }
    on_a_full_disk(&memory(), None, "memory");
}

#[test]
fn a_record_that_the_disk_has_no_room_for_takes_the_deed_with_it() {
    let data = "-- landfall: undo\nUPDATE parent SET name = upper(name)";
    let migrator = |migrations: Migrator| migrations.with(Migration::sql(20, "upper", data));
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let conn = file(&dir.path().join("app.db"), mode);
        populate(&conn, 12);
        counting().apply(&conn).unwrap();
        let before = whole(&conn);
        let failures = page_by_page(&conn, &migrator(counting()), mode);
        assert!(failures >= 8, "{mode}: {failures}");
        migrator(counting()).revert(&conn, Target::Steps(1)).unwrap();
        let data = |whole: &str| whole.lines().filter(|l| l.starts_with("parent: ")).count();
        assert_eq!(data(&whole(&conn)), data(&before));
        assert!(whole(&conn).contains("|nnnn"), "put back");
    }
}

#[test]
fn a_rebuild_on_a_full_disk_changes_nothing() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        on_a_full_disk(&file(&dir.path().join("app.db"), mode), Some(6), mode);
    }
    on_a_full_disk(&memory(), Some(6), "memory");
}
