//! Many start at once on one file: each thing is done once, and nobody fails.

use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use landfall::rusqlite::Connection;
use landfall::{
    ErrorKind, Event, Migration, Migrator, Report, Result, Target, Transactions, Version,
};

use crate::stage::{
    MODES, again, assert_counted_once, counting, empty_file, transactions, variable,
};
use crate::support::{one, rows};

const BOOTS: usize = 8;

/// What an application does at its start: WAL is for `open` to switch to.
fn boot(migrator: &Migrator, path: &Path, mode: &str) -> Result<Report> {
    match mode {
        "WAL" => migrator.open(path).map(|_| Report::default()),
        _ => migrator.apply(&Connection::open(path).unwrap()),
    }
}

/// A file where nothing, or all but the last data migration, is applied.
fn prepare(path: &Path, pending: &str, mode: &str) {
    if pending == "one" {
        empty_file(path, mode);
        let conn = Connection::open(path).unwrap();
        counting().apply_to(&conn, Target::Version(Version::from(11))).unwrap();
    }
}

fn threads(migrator: &Migrator, path: &Path, mode: &str) -> Vec<Result<Report>> {
    let barrier = Barrier::new(BOOTS);
    thread::scope(|scope| {
        let start = || {
            barrier.wait();
            boot(migrator, path, mode)
        };
        let boots: Vec<_> = (0..BOOTS).map(|_| scope.spawn(start)).collect();
        boots.into_iter().map(|boot| boot.join().unwrap()).collect()
    })
}

#[test]
fn eight_threads_apply_once() {
    for mode in MODES {
        for pending in ["all", "one"] {
            for round in 0..6 {
                let together = if round % 2 == 0 { "Together" } else { "Each" };
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("app.db");
                prepare(&path, pending, mode);
                let migrator = counting().transactions(transactions(together));
                let what = format!("{mode}, {pending} pending, {together}, round {round}");
                let results = threads(&migrator, &path, mode);
                let mut applied = 0;
                for result in results {
                    applied +=
                        result.unwrap_or_else(|error| panic!("{what}: {error:?}")).applied.len();
                }
                if mode == "DELETE" {
                    assert_eq!(applied, if pending == "one" { 1 } else { 12 }, "{what}");
                }
                assert_counted_once(&Connection::open(&path).unwrap(), &what);
            }
        }
    }
}

/// Not a test: one of several processes that start once a file is there.
#[test]
fn a_child_that_starts_with_others() {
    let Some(path) = variable("LANDFALL_STARTED_AT") else { return };
    let mode = variable("LANDFALL_MODE").unwrap();
    let migrator =
        counting().transactions(transactions(&variable("LANDFALL_TRANSACTIONS").unwrap()));
    let path = Path::new(&path);
    std::fs::write(path.with_extension(std::process::id().to_string()), "").unwrap();
    while !path.with_extension("go").exists() {
        thread::sleep(Duration::from_micros(200));
    }
    boot(&migrator, path, &mode).unwrap();
}

fn started_together(path: &Path, mode: &str, together: &str) {
    let variables = [
        ("LANDFALL_STARTED_AT", path.to_str().unwrap().to_owned()),
        ("LANDFALL_MODE", mode.to_owned()),
        ("LANDFALL_TRANSACTIONS", together.to_owned()),
    ];
    let test = "together::a_child_that_starts_with_others";
    let mut children: Vec<Child> = (0..BOOTS).map(|_| again(test, &variables)).collect();
    for child in &children {
        while !path.with_extension(child.id().to_string()).exists() {
            thread::sleep(Duration::from_millis(1));
        }
    }
    std::fs::write(path.with_extension("go"), "").unwrap();
    for child in &mut children {
        assert!(child.wait().unwrap().success(), "{mode}, {together}: a boot failed");
    }
}

#[test]
fn eight_processes_apply_once() {
    for mode in MODES {
        for pending in ["all", "one"] {
            for together in ["Together", "Each", "Together", "Each"] {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("app.db");
                prepare(&path, pending, mode);
                started_together(&path, mode, together);
                let what = format!("{mode}, {pending} pending, {together}");
                assert_counted_once(&Connection::open(&path).unwrap(), &what);
            }
        }
    }
}

fn outside() -> Migrator {
    Migrator::from_migrations([
        Migration::sql(1, "log", "CREATE TABLE log(id INTEGER PRIMARY KEY, who TEXT NOT NULL)"),
        Migration::sql(
            2,
            "outside",
            "-- landfall: no-transaction
             INSERT INTO log(who) VALUES ('first');
             WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 20000)
             SELECT sum(x) FROM c;
             INSERT INTO log(who) VALUES ('second');
             VACUUM;",
        ),
        Migration::sql(3, "last", "INSERT INTO log(who) VALUES ('last')"),
    ])
}

#[test]
fn eight_boots_run_what_is_outside_a_transaction_once() {
    for mode in MODES {
        for round in 0..6 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("app.db");
            if round % 2 == 0 {
                empty_file(&path, mode);
                let conn = Connection::open(&path).unwrap();
                outside().apply_to(&conn, Target::Version(Version::from(1))).unwrap();
            }
            for result in threads(&outside(), &path, mode) {
                result.unwrap_or_else(|error| panic!("{mode}, round {round}: {error:?}"));
            }
            let conn = Connection::open(&path).unwrap();
            assert_eq!(rows(&conn, "SELECT who FROM log ORDER BY id"), ["first", "second", "last"]);
        }
    }
}

/// Holds a lock on a file from another connection until told otherwise.
struct Holder {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Holder {
    /// Runs `begin` and keeps what it took, for `at_most` so long.
    fn hold(path: &Path, begin: &'static str, at_most: Duration) -> Holder {
        let (path, stop) = (path.to_owned(), Arc::new(AtomicBool::new(false)));
        let barrier = Arc::new(Barrier::new(2));
        let (stopped, held) = (Arc::clone(&stop), Arc::clone(&barrier));
        let thread = thread::spawn(move || {
            let conn = Connection::open(path).unwrap();
            conn.execute_batch(begin).unwrap();
            held.wait();
            let start = Instant::now();
            while start.elapsed() < at_most && !stopped.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
            conn.execute_batch("COMMIT").unwrap();
        });
        barrier.wait();
        Holder { stop, thread: Some(thread) }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

fn one_pending(mode: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    prepare(&path, "one", mode);
    (dir, path)
}

#[test]
fn a_boot_waits_for_the_one_before_it() {
    for mode in MODES {
        let (_dir, path) = one_pending(mode);
        let conn = Connection::open(&path).unwrap();
        conn.busy_timeout(Duration::from_millis(77)).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let listened = Arc::clone(&told);
        let migrator = counting().on_event(move |event| {
            if let Event::Waiting { waited, .. } = event {
                listened.lock().unwrap().push(*waited);
            }
        });
        let held = Duration::from_millis(1200);
        let start = Instant::now();
        let holder = Holder::hold(&path, "BEGIN IMMEDIATE", held);
        migrator.apply(&conn).unwrap();
        assert!(start.elapsed() >= held, "{:?}", start.elapsed());
        assert!(start.elapsed() < held + Duration::from_millis(1500), "{:?}", start.elapsed());
        assert!(!told.lock().unwrap().is_empty());
        assert_eq!(one(&conn, "PRAGMA busy_timeout"), "77");
        assert_counted_once(&conn, mode);
        drop(holder);
    }
}

#[test]
fn past_its_patience_a_boot_says_busy_and_for_how_long() {
    for (mode, begin) in
        [("DELETE", "BEGIN IMMEDIATE"), ("WAL", "BEGIN IMMEDIATE"), ("DELETE", "BEGIN EXCLUSIVE")]
    {
        let (_dir, path) = one_pending(mode);
        let conn = Connection::open(&path).unwrap();
        for busy_timeout in [5000, 20, 0] {
            conn.busy_timeout(Duration::from_millis(busy_timeout)).unwrap();
            let holder = Holder::hold(&path, begin, Duration::from_secs(20));
            let limit = Duration::from_millis(300);
            let start = Instant::now();
            let error = counting().wait(limit).apply(&conn).unwrap_err();
            let took = start.elapsed();
            drop(holder);
            let what = format!("{mode}, {begin}, {busy_timeout}: {error}");
            let ErrorKind::Busy { waited, .. } = error.kind() else { panic!("{what}") };
            assert_eq!(
                error.to_string(),
                format!(
                    "the database is locked by another connection; gave up after {} ms; nothing \
                     was changed",
                    waited.as_millis()
                )
            );
            assert!(*waited >= limit && *waited <= took, "{what}");
            assert!(took < limit + Duration::from_millis(1500), "{what}, after {took:?}");
            assert_eq!(one(&conn, "PRAGMA busy_timeout"), busy_timeout.to_string());
            assert!(conn.is_autocommit());
        }
        counting().apply(&conn).unwrap();
        assert_counted_once(&conn, mode);
    }
}

#[test]
fn a_reader_in_the_way_of_a_commit_is_waited_for() {
    for mode in MODES {
        let (_dir, path) = one_pending(mode);
        let conn = Connection::open(&path).unwrap();
        conn.busy_timeout(Duration::ZERO).unwrap();
        let reads = "BEGIN; SELECT count(*) FROM log;";
        let held = Duration::from_millis(700);
        let start = Instant::now();
        let holder = Holder::hold(&path, reads, held);
        counting().apply(&conn).unwrap();
        if mode == "DELETE" {
            assert!(start.elapsed() >= held, "{:?}", start.elapsed());
        }
        drop(holder);
        assert_counted_once(&conn, mode);
    }
}

#[test]
fn a_reader_that_stays_in_the_way_leaves_nothing_changed() {
    let (_dir, path) = one_pending("DELETE");
    let conn = Connection::open(&path).unwrap();
    let before = crate::stage::whole(&conn);
    let reads = "BEGIN; SELECT count(*) FROM log;";
    let holder = Holder::hold(&path, reads, Duration::from_secs(20));
    let error = counting().wait(Duration::from_millis(200)).apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
    assert!(conn.is_autocommit());
    drop(holder);
    assert_eq!(crate::stage::whole(&conn), before);
    counting().apply(&conn).unwrap();
    assert_counted_once(&conn, "after a reader");
}

/// A migrator that lets another connection do the same work when it has planned and not locked.
fn overtaken(path: &Path, migrator: Migrator) -> Migrator {
    let (path, other) = (path.to_owned(), migrator.clone());
    migrator.on_event(move |event| {
        if let Event::Planned { .. } = event {
            let report = other.apply(&Connection::open(&path).unwrap()).unwrap();
            assert!(!report.is_noop());
        }
    })
}

#[test]
fn what_another_did_between_preview_and_lock_is_not_done_again() {
    for mode in MODES {
        for pending in ["all", "one"] {
            for together in [Transactions::Together, Transactions::Each] {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("app.db");
                empty_file(&path, mode);
                prepare(&path, pending, mode);
                let conn = Connection::open(&path).unwrap();
                let migrator = counting().transactions(together);
                let report = overtaken(&path, migrator).apply(&conn).unwrap();
                assert!(report.is_noop(), "{mode}, {pending}: {report}");
                assert_counted_once(&conn, mode);
            }
        }
    }
}

#[test]
fn what_another_ran_outside_a_transaction_meanwhile_is_not_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let conn = Connection::open(&path).unwrap();
    outside().apply_to(&conn, Target::Version(Version::from(1))).unwrap();
    let report = overtaken(&path, outside()).apply(&conn).unwrap();
    assert!(report.is_noop(), "{report}");
    assert_eq!(rows(&conn, "SELECT who FROM log ORDER BY id"), ["first", "second", "last"]);
}

#[test]
fn what_another_process_does_between_two_transactions_is_not_done_again() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        crate::stage::empty_file(&path, mode);
        let each = || counting().transactions(landfall::Transactions::Each);
        let other = std::sync::Mutex::new(Some(path.clone()));
        let commits = std::sync::atomic::AtomicUsize::new(0);
        let between = each().on_event(move |event| {
            let nth = || commits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if matches!(event, landfall::Event::Committed) && nth() == 3 {
                let path = other.lock().unwrap().take().unwrap();
                let conn = Connection::open(path).unwrap();
                each().apply_to(&conn, landfall::Target::Steps(4)).unwrap();
            }
        });
        let conn = Connection::open(&path).unwrap();
        let report = between.apply(&conn).unwrap();
        assert_eq!(report.applied.len(), 8, "{mode}: four were done by the other");
        let alone = Connection::open_in_memory().unwrap();
        each().apply(&alone).unwrap();
        let deeds = "SELECT who FROM log ORDER BY id";
        assert_eq!(crate::support::rows(&conn, deeds), crate::support::rows(&alone, deeds));
    }
}
