//! A connection that cannot write: what needs no writing works, and what does is refused by name.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use landfall::rusqlite::{Connection, OpenFlags};
use landfall::{ErrorKind, Migrator, State, Target, Version};

use crate::stage::{MODES, assert_counted_once, counting, empty_file, whole};
use crate::support::{example, one};

fn read_only(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn query_only(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA query_only = ON").unwrap();
    conn
}

/// How it is opened, and why it cannot be written then.
type Way = (fn(&Path) -> Connection, &'static str);

const WAYS: [Way; 2] = [
    (read_only, "the database is read-only"),
    (query_only, "the connection has query_only switched on"),
];

fn file(mode: &str, version: i64) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    empty_file(&path, mode);
    let conn = Connection::open(&path).unwrap();
    match version {
        0 => {}
        12 => drop(counting().apply(&conn).unwrap()),
        version => {
            counting().apply_to(&conn, Target::Version(Version::from(version))).unwrap();
        }
    }
    (dir, path)
}

#[test]
fn with_nothing_to_do_a_reader_boots_and_writes_nothing() {
    for mode in MODES {
        for (open, _) in WAYS {
            let (_dir, path) = file(mode, 12);
            let before = std::fs::read(&path).unwrap();
            let conn = open(&path);
            assert!(counting().apply(&conn).unwrap().is_noop());
            assert!(counting().is_current(&conn).unwrap());
            counting().wait_until_current(&conn, Duration::ZERO).unwrap();
            // Unsealed for another program that knows the same migrations.
            let unsealed = counting().late(landfall::Late::Apply);
            assert!(unsealed.apply(&conn).unwrap().is_noop());
            assert!(unsealed.is_current(&conn).unwrap());
            assert_eq!(std::fs::read(&path).unwrap(), before, "{mode}");
            assert_counted_once(&conn, mode);
        }
    }
}

#[test]
fn with_something_to_do_a_reader_is_refused() {
    for mode in MODES {
        for (open, why) in WAYS {
            for (version, steps) in [
                (11, "there are 3 steps (apply 12 (step12), …)"),
                (0, "there are 14 steps (apply 1 (counter), …)"),
            ] {
                let (_dir, path) = file(mode, version);
                let conn = open(&path);
                let before = whole(&conn);
                let error = counting().apply(&conn).unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::ReadOnly { .. }), "{error}");
                assert_eq!(error.to_string(), format!("{steps}, and {why}; nothing was changed"));
                assert!(error.report().is_none());
                assert!(conn.is_autocommit());
                assert_eq!(whole(&conn), before);
            }
        }
    }
}

#[test]
fn a_reader_may_ask_how_things_stand() {
    for mode in MODES {
        for (open, _) in WAYS {
            for version in [0, 11, 12] {
                let (_dir, path) = file(mode, version);
                let before = std::fs::read(&path).unwrap();
                let conn = open(&path);
                let status = counting().status(&conn).unwrap();
                let applied = status.migrations.iter().filter(|m| m.state == State::Applied);
                assert_eq!(applied.count(), usize::try_from(version).unwrap());
                let plan = counting().plan(&conn).unwrap();
                assert_eq!(plan.steps.len(), usize::try_from(12 - version).unwrap());
                assert_eq!(counting().is_current(&conn).unwrap(), version == 12);
                let history = counting().history(&conn).unwrap().len();
                assert_eq!(
                    history,
                    if version == 12 { 14 } else { usize::try_from(version).unwrap() }
                );
                counting().verify(&conn).unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), before, "{mode}, {version}");
            }
        }
    }
}

#[test]
fn a_file_of_no_bytes_can_be_asked_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty.db");
    std::fs::write(&path, "").unwrap();
    let conn = read_only(&path);
    assert_eq!(example().plan(&conn).unwrap().steps.len(), 12);
    assert!(!example().is_current(&conn).unwrap());
    assert!(example().history(&conn).unwrap().is_empty());
    assert!(example().status(&conn).unwrap().migrations.iter().all(|m| m.state == State::Pending));
    let nothing = Migrator::from_migrations([]);
    assert!(nothing.apply(&conn).unwrap().is_noop());
    assert!(matches!(example().apply(&conn).unwrap_err().kind(), ErrorKind::ReadOnly { .. }));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}

#[test]
fn a_reader_waits_until_another_has_applied() {
    for mode in MODES {
        for (open, _) in WAYS {
            let (_dir, path) = file(mode, 0);
            thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let conn = open(&path);
                    counting().wait_until_current(&conn, Duration::from_secs(3600)).unwrap();
                    assert_counted_once(&conn, mode);
                });
                thread::sleep(Duration::from_millis(60));
                assert!(!reader.is_finished());
                counting().apply(&Connection::open(&path).unwrap()).unwrap();
                reader.join().unwrap();
            });
        }
    }
}

#[test]
fn a_reader_waits_no_longer_than_it_was_told() {
    for mode in MODES {
        let (_dir, path) = file(mode, 11);
        let conn = read_only(&path);
        let limit = Duration::from_millis(150);
        let start = Instant::now();
        let error = counting().wait_until_current(&conn, limit).unwrap_err();
        assert!(start.elapsed() >= limit, "{:?}", start.elapsed());
        assert!(matches!(error.kind(), ErrorKind::NotCurrent { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "the database is not current: there are 3 steps (apply 12 (step12), …); nothing was \
             changed"
        );
    }
}

#[test]
fn a_reader_waits_no_longer_for_a_lock_either() {
    let (_dir, path) = file("DELETE", 11);
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let conn = read_only(&path);
    // The lock stays: without a limit this would never come back.
    let limit = Duration::from_millis(150);
    let start = Instant::now();
    let error = counting().wait_until_current(&conn, limit).unwrap_err();
    let ErrorKind::Busy { waited, .. } = error.kind() else { panic!("{error}") };
    assert!(*waited >= limit, "{waited:?}");
    assert!(start.elapsed() >= limit, "{:?}", start.elapsed());
    assert_eq!(one(&conn, "PRAGMA busy_timeout"), "5000");
}
