//! A `Stop` ends whatever is running and leaves everything as before; long work tells how far it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use landfall::rusqlite::functions::FunctionFlags;
use landfall::rusqlite::{self, Connection, Transaction};
use landfall::{
    Backfill, Backup, Error, ErrorKind, Event, HeldBack, Migration, Migrator, Report, Seed, Seeds,
    Stop, Target, Transactions,
};

use crate::stage::settings;
use crate::support::{cause, everything, one};

/// Never ends by itself. It calls `halt()`, with which a test stops the run from inside of it.
const ENDLESS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) \
                       SELECT count(halt()) FROM c";

const ROLLED_BACK: &str = "its transaction was rolled back and nothing of it stays";

fn first() -> Migration {
    Migration::sql(
        1,
        "people",
        "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT);
         INSERT INTO person(name) VALUES ('Ada'), ('Bob'), ('Cy');",
    )
}

fn then(second: Migration) -> Migrator {
    Migrator::from_migrations([first(), second])
}

/// A connection whose `halt()` uses the handle.
fn halting(conn: &Connection, stop: &Stop) {
    let stop = stop.clone();
    let halt = move |_: &rusqlite::functions::Context<'_>| {
        stop.stop();
        Ok(0)
    };
    conn.create_scalar_function("halt", 0, FunctionFlags::SQLITE_UTF8, halt).unwrap();
}

/// A database after its first migration, and with settings of its own.
fn at_one() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.busy_timeout(Duration::from_millis(1234)).unwrap();
    Migrator::from_migrations([first()]).apply(&conn).unwrap();
    conn
}

/// Runs what is to be stopped by itself, and looks that everything is as before.
fn stopped(
    conn: &Connection,
    migrator: &Migrator,
    verb: impl FnOnce(&Migrator, &Connection) -> landfall::Result<Report>,
) -> Error {
    let stop = Stop::new();
    halting(conn, &stop);
    let state = || (everything(conn), settings(conn));
    let before = state();
    let error = verb(&migrator.clone().stop_on(&stop), conn).unwrap_err();
    assert!(conn.is_autocommit(), "{error}");
    for n in 0..200 {
        let now: i64 = conn.query_row("SELECT count(*) FROM person", [], |row| row.get(0)).unwrap();
        assert_eq!(now, 3, "statement {n} after {error}");
    }
    assert!(matches!(error.kind(), ErrorKind::Stopped { .. }), "{error:?}");
    assert_eq!(state(), before, "{error}");
    error
}

fn endless(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute("UPDATE person SET name = 'begun'", [])?;
    tx.query_row(ENDLESS, [], |_| Ok(()))
}

#[test]
fn stop_interrupts_any_long_work_and_leaves_all_as_before() {
    let seeded = |seed: Seed| Migrator::from_migrations([first()]).seeds(Seeds::new().add(seed));
    let rebuild = "CREATE TABLE next(id INTEGER PRIMARY KEY, name TEXT);
                   INSERT INTO next SELECT * FROM person;
                   DROP TABLE person; ALTER TABLE next RENAME TO person;";
    let broken_by = |work: &str| format!("UPDATE person SET name = 'begun';\n{work}");
    let cases: [(&str, Migrator, String); 9] = [
        (
            "a query",
            then(Migration::sql(2, "big", broken_by(&format!("  {ENDLESS}")))),
            "stopped while running statement 2 of 2 of 2_big, line 2, column 3".to_owned(),
        ),
        (
            "a write",
            then(Migration::sql(2, "big", broken_by(&format!("INSERT INTO person(id) {ENDLESS}")))),
            "stopped while running statement 2 of 2 of 2_big, line 2, column 1".to_owned(),
        ),
        (
            "a rebuild, with foreign keys off and a setting changed",
            then(Migration::sql(
                2,
                "big",
                format!("PRAGMA legacy_alter_table = ON; {rebuild} {ENDLESS}"),
            )),
            "stopped while running statement 6 of 6 of 2_big, line 3, column 74".to_owned(),
        ),
        (
            "a verify script",
            then(Migration::sql(2, "big", broken_by("")).verify(ENDLESS)),
            "stopped while running statement 1 of 1 of 2_big.verify, line 1, column 1".to_owned(),
        ),
        (
            "code",
            then(Migration::code(2, "big", endless)),
            "stopped while running migration 2_big".to_owned(),
        ),
        (
            "code that takes the interrupt for an answer",
            then(Migration::code(2, "big", |tx: &Transaction<'_>| {
                let _ = endless(tx);
                Ok::<(), rusqlite::Error>(())
            })),
            "stopped while running migration 2_big".to_owned(),
        ),
        ("a seed", seeded(Seed::new("big", endless)), "stopped while running seed big".to_owned()),
        (
            "an optional seed",
            seeded(Seed::new("big", endless).optional()),
            "stopped while running seed big".to_owned(),
        ),
        (
            "what is recorded for undo",
            then(Migration::sql(
                2,
                "big",
                format!(
                    "-- landfall: undo\n{}",
                    broken_by(&format!("INSERT INTO person(id) {ENDLESS}"))
                ),
            )),
            "stopped while running statement 2 of 2 of 2_big, line 3, column 1".to_owned(),
        ),
    ];
    for (what, migrator, told) in cases {
        let error = stopped(&at_one(), &migrator, |migrator, conn| migrator.apply(conn));
        assert_eq!(error.to_string(), format!("{told}; {ROLLED_BACK}"), "{what}");
        assert!(error.report().is_none(), "{what}");
        let advice = "start again: it goes on from what is committed";
        assert_eq!(error.advice(), Some(advice), "{what}");
    }
}

#[test]
fn stop_interrupts_checks_of_the_schema_around_a_rebuild() {
    // The key of a generated column has the check of foreign keys call a function for each row.
    let conn = at_one();
    let slow = |_: &rusqlite::functions::Context<'_>| Ok(1);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function("slow", 1, flags, slow).unwrap();
    conn.execute_batch(
        "CREATE TABLE letter(id INTEGER PRIMARY KEY, p AS (slow(id)) REFERENCES person(id));
         WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000)
         INSERT INTO letter(id) SELECT x FROM c;",
    )
    .unwrap();
    let stop = Stop::new();
    let halt = {
        let stop = stop.clone();
        move |_: &rusqlite::functions::Context<'_>| {
            // Slow enough never to come to its end, were it not interrupted.
            stop.stop();
            std::thread::sleep(Duration::from_millis(2));
            Ok(1)
        }
    };
    let migrator = then(Migration::sql(
        2,
        "rebuild",
        "CREATE TABLE next(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO next SELECT * FROM person;
         DROP TABLE person; ALTER TABLE next RENAME TO person;",
    ));
    conn.create_scalar_function("slow", 1, flags, halt).unwrap();
    let error = migrator.stop_on(&stop).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "stopped while checking the schema and the foreign keys of migration 2_rebuild; \
             {ROLLED_BACK}"
        )
    );
    assert!(conn.is_autocommit());
    assert_eq!(one(&conn, "SELECT count(*) FROM person"), "3");
}

#[test]
fn stop_interrupts_a_revert() {
    let conn = at_one();
    let two =
        Migration::sql(2, "two", "CREATE TABLE two(x)").down(format!("DROP TABLE two; {ENDLESS}"));
    then(two.clone()).apply(&conn).unwrap();
    let error =
        stopped(&conn, &then(two), |migrator, conn| migrator.revert(conn, Target::Steps(1)));
    assert_eq!(
        error.to_string(),
        format!(
            "stopped while running statement 2 of 2 of 2_two.down, line 1, column 17; {ROLLED_BACK}"
        )
    );
}

#[test]
fn stopped_run_reports_what_is_committed_and_the_next_goes_on() {
    let conn = at_one();
    let big = |sql: &str| {
        Migrator::from_migrations([
            first(),
            Migration::sql(2, "two", "CREATE TABLE two(x)"),
            Migration::sql(3, "big", sql.to_owned()),
            Migration::sql(4, "four", "CREATE TABLE four(x)"),
        ])
        .transactions(Transactions::Each)
    };
    let stop = Stop::new();
    halting(&conn, &stop);
    let error = big(ENDLESS).stop_on(&stop).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "stopped while running statement 1 of 1 of 3_big, line 1, column 1; {ROLLED_BACK}; what \
             came before stays (applied 2 two)"
        )
    );
    assert_eq!(cause(&error), "interrupted");
    assert_eq!(error.report().unwrap().applied.len(), 1);
    let report = big("CREATE TABLE big(x)").apply(&conn).unwrap();
    assert_eq!(
        report.applied.iter().map(|done| done.name.as_str()).collect::<Vec<_>>(),
        ["big", "four"]
    );
}

#[test]
fn stop_between_two_steps_begins_no_other() {
    let conn = at_one();
    let stop = Stop::new();
    let handle = stop.clone();
    let migrator = Migrator::from_migrations([
        first(),
        Migration::sql(2, "two", "CREATE TABLE two(x)"),
        Migration::sql(3, "three", "CREATE TABLE three(x)"),
    ])
    .seeds(Seeds::new().ensure("seed", |_: &Transaction<'_>| Ok::<(), rusqlite::Error>(())))
    .stop_on(&stop)
    .on_event(move |event| {
        if matches!(event, Event::Committed) {
            handle.stop();
        }
    });
    let error = migrator.clone().transactions(Transactions::Each).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "stopped before its next step; what came before stays (applied 2 two), nothing else was changed"
    );
}

#[test]
fn stop_before_a_start_changes_nothing_but_lets_it_be_current() {
    let conn = at_one();
    let stop = Stop::new();
    stop.stop();
    let before = everything(&conn);
    for migrator in [
        then(Migration::sql(2, "two", "CREATE TABLE two(x)")),
        Migrator::from_migrations([first()]).seeds(
            Seeds::new().ensure("seed", |_: &Transaction<'_>| Ok::<(), rusqlite::Error>(())),
        ),
    ] {
        let error = migrator.stop_on(&stop).apply(&conn).unwrap_err();
        assert_eq!(error.to_string(), "stopped before its next step; nothing was changed");
        assert_eq!(everything(&conn), before);
    }
    let current = Migrator::from_migrations([first()]).stop_on(&stop);
    assert!(current.apply(&conn).unwrap().is_noop());
    let fill = Backfill::update("fill", "person", "name = upper(name)", "");
    let report = current.seeds(Seeds::new().backfill(fill)).apply(&conn).unwrap();
    assert!(matches!(report.held[0].why, HeldBack::Stopped { .. }), "{report}");
    let error = then(Migration::sql(2, "two", "CREATE TABLE two(x)"))
        .stop_on(&stop)
        .open_in_memory()
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Stopped { .. }), "{error}");
}

#[test]
fn stop_interrupts_a_long_batch_and_the_next_start_does_it() {
    let updates = |set: String| Backfill::update("fill", "person", set, "");
    let with =
        |fill: Backfill| Migrator::from_migrations([first()]).seeds(Seeds::new().backfill(fill));
    let fills = [
        updates(format!("name = ({ENDLESS})")),
        updates("name = 'filled'".to_owned()).total(ENDLESS),
        Backfill::new("fill", |tx: &Transaction<'_>, _: Option<i64>| {
            tx.query_row(ENDLESS, [], |_| Ok(None))
        }),
    ];
    for (n, fill) in fills.into_iter().enumerate() {
        let conn = at_one();
        let stop = Stop::new();
        halting(&conn, &stop);
        let rows = || crate::support::rows(&conn, "SELECT id, name FROM person");
        let before = (rows(), settings(&conn));
        let report = with(fill).stop_on(&stop).apply(&conn).unwrap();
        assert!(matches!(report.held[0].why, HeldBack::Stopped { .. }), "{n}: {report}");
        assert!(conn.is_autocommit(), "{n}");
        assert_eq!((rows(), settings(&conn)), before, "{n}");
        let report = with(updates("name = 'filled'".to_owned())).apply(&conn).unwrap();
        assert_eq!(report.backfills[0].rows, 3, "{n}");
    }
}

#[test]
fn stop_of_a_functions_write_in_a_batch_tells_the_rollback() {
    let conn = at_one();
    let stop = Stop::new();
    halting(&conn, &stop);
    let before = everything(&conn);
    let fill = Backfill::new("fill", |tx: &Transaction<'_>, _: Option<i64>| {
        tx.execute(&format!("INSERT INTO person(id) {ENDLESS}"), []).map(|_| None)
    });
    let migrator = Migrator::from_migrations([first()]).seeds(Seeds::new().backfill(fill));
    let error = migrator.stop_on(&stop).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "stopped while running backfill fill; SQLite took its transaction back, and only what it \
         may have written after that is stored"
    );
    assert_eq!(everything(&conn), before);
}

#[test]
fn stop_outside_a_transaction_marks_as_any_failure_does() {
    let outside =
        |sql: String| then(Migration::sql(2, "out", format!("-- landfall: no-transaction\n{sql}")));
    let conn = at_one();
    let stop = Stop::new();
    halting(&conn, &stop);
    let migrator = outside(format!("CREATE TABLE a(x);\n{ENDLESS};\nCREATE TABLE b(x)"));
    let error = migrator.clone().stop_on(&stop).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "stopped while running statement 2 of 3 of 2_out, line 3, column 1; it runs outside a \
         transaction: `CREATE TABLE a(x)` at line 2, column 1 is in effect, and it is marked as \
         interrupted"
    );
    assert!(
        error.advice().unwrap().starts_with("undo by hand, in this order: drop the table `a`"),
        "{error:?}"
    );
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master WHERE name IN ('a', 'b')"), "1");
    let error = migrator.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Interrupted { .. }), "{error}");
    assert!(conn.is_autocommit());
}

/// Holds the write lock of a database until it is dropped.
struct Held(Connection);

impl Held {
    fn of(path: &Path) -> Self {
        let conn = Connection::open(path).unwrap();
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        Held(conn)
    }
}

fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    Migrator::from_migrations([first()]).open(&path).unwrap();
    (dir, path)
}

#[test]
fn stop_ends_waiting_for_a_lock_at_once() {
    let (_dir, path) = file();
    let held = Held::of(&path);
    let stop = Stop::new();
    let handle = stop.clone();
    let migrator = then(Migration::sql(2, "two", "CREATE TABLE two(x)"))
        .wait(Duration::from_secs(3600))
        .stop_on(&stop)
        .on_event(move |event| {
            if let Event::Waiting { .. } = event {
                handle.stop();
            }
        });
    let conn = Connection::open(&path).unwrap();
    let error = migrator.apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "stopped while waiting for another connection; nothing was changed"
    );
    let error = migrator.wait_until_current(&conn, Duration::from_secs(3600)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Stopped { .. }), "{error}");
    drop(held);
}

#[test]
fn waiting_is_told_after_250_ms_and_then_each_second() {
    let (_dir, path) = file();
    let held = Held::of(&path);
    let (tell, told) = mpsc::channel();
    let migrator = then(Migration::sql(2, "two", "CREATE TABLE two(x)"))
        .wait(Duration::from_secs(3600))
        .on_event(move |event| {
            if let Event::Waiting { waited, .. } = event {
                tell.send(*waited).unwrap();
            }
        });
    let thread =
        std::thread::spawn(move || migrator.apply(&Connection::open(&path).unwrap()).map(drop));
    let (first, second) = (told.recv().unwrap(), told.recv().unwrap());
    held.0.execute_batch("ROLLBACK").unwrap();
    thread.join().unwrap().unwrap();
    assert!(first >= Duration::from_millis(250), "{first:?}");
    assert!(second >= Duration::from_millis(1250), "{second:?}");
    assert!(told.iter().all(|later| later >= Duration::from_millis(2250)));
}

#[test]
fn progress_of_a_statement_tells_its_place_and_time() {
    let conn = at_one();
    let (stop, main) = (Stop::new(), std::thread::current().id());
    let handle = stop.clone();
    let told: Arc<Mutex<Vec<(String, Duration)>>> = Arc::default();
    let hears = Arc::clone(&told);
    let error = then(Migration::sql(
        2,
        "big",
        "CREATE TABLE two(x);\n\n  ".to_owned() + &ENDLESS.replace("halt()", "1"),
    ))
    .stop_on(&stop)
    .on_event(move |event| {
        if let Event::Progress {
            version,
            name,
            doing,
            file,
            position,
            statement,
            done,
            elapsed,
            ..
        } = event
        {
            assert_ne!(std::thread::current().id(), main);
            let place = position.unwrap();
            let text = format!(
                "{} {name} {doing} {} {place} {statement:?} {done:?}",
                version.unwrap(),
                file.unwrap()
            );
            let mut told = hears.lock().unwrap();
            told.push((text, *elapsed));
            if told.len() == 3 {
                handle.stop();
            }
        }
    })
    .apply(&conn)
    .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Stopped { .. }), "{error}");
    let told = told.lock().unwrap();
    for (text, _) in told.iter() {
        assert_eq!(text, "2 big running 2_big line 3, column 3 Some((2, 2)) None");
    }
    assert!(told.is_sorted_by(|a, b| a.1 < b.1), "{told:?}");
}

#[test]
fn progress_of_a_backfill_tells_its_rows() {
    let conn = at_one();
    let stop = Stop::new();
    let handle = stop.clone();
    let told: Arc<Mutex<Option<String>>> = Arc::default();
    let hears = Arc::clone(&told);
    let fill = Backfill::new("fill", |tx: &Transaction<'_>, after: Option<i64>| match after {
        None => tx.execute("UPDATE person SET name = 'x' WHERE id <= 2", []).map(|_| Some(2)),
        Some(_) => tx.query_row(&ENDLESS.replace("halt()", "1"), [], |_| Ok(None)),
    })
    .total("SELECT count(*) FROM person")
    .batch_time(Duration::from_millis(1));
    let report = Migrator::from_migrations([first()])
        .seeds(Seeds::new().backfill(fill))
        .stop_on(&stop)
        .on_event(move |event| {
            if let Event::Progress { version: None, name, done, .. } = event {
                *hears.lock().unwrap() = Some(format!("{name}: {}", done.unwrap()));
                handle.stop();
            }
        })
        .apply(&conn)
        .unwrap();
    assert_eq!(report.held[0].to_string(), "fill: stopped, 2 of 3 rows");
    assert_eq!(told.lock().unwrap().as_deref(), Some("fill: 2 of 3 rows"));
}

#[test]
fn progress_of_a_copy_tells_its_pages() {
    let (dir, path) = file();
    let mut conn = Connection::open(&path).unwrap();
    conn.execute("CREATE TABLE big AS SELECT zeroblob(3000000) AS b", []).unwrap();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let (tell, told) = mpsc::channel();
    let (told, hears) = (Mutex::new(told), Arc::clone(&heard));
    let migrator = then(Migration::sql(2, "two", "CREATE TABLE two(x)"))
        .backup(Backup::to_dir(dir.path()))
        .on_event(move |event| match event {
            Event::Progress { name, doing: "copying", done: Some(done), .. } => {
                tell.send(format!("{name} {}", done.total.is_some_and(|total| done.done < total)))
                    .unwrap();
            }
            // The copy goes on once its progress was told.
            Event::Backup { done, total, .. } | Event::Restore { done, total, .. }
                if done < total =>
            {
                let mut heard = hears.lock().unwrap();
                if heard.len() < 2 {
                    heard.push(told.lock().unwrap().recv().unwrap());
                }
            }
            _ => {}
        });
    let report = migrator.apply(&conn).unwrap();
    let backup = report.backup.as_ref().unwrap().path().unwrap().to_owned();
    assert_eq!(std::mem::take(&mut *heard.lock().unwrap()), ["backup true", "backup true"]);
    migrator.restore(&mut conn, &backup).unwrap();
    assert!(heard.lock().unwrap().contains(&"restore true".to_owned()));
}

#[test]
fn listeners_panic_in_progress_goes_on_where_the_run_is() {
    let conn = at_one();
    let before = (everything(&conn), settings(&conn));
    let migrator =
        then(Migration::sql(2, "big", ENDLESS.replace("halt()", "1"))).on_event(|event| {
            if let Event::Progress { .. } = event {
                panic!("on purpose");
            }
        });
    let panic = catch_unwind(AssertUnwindSafe(|| migrator.apply(&conn).map(drop))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    assert!(conn.is_autocommit());
    assert_eq!((everything(&conn), settings(&conn)), before);
}

#[test]
fn stop_between_two_pages_leaves_no_backup_and_no_half_restore() {
    let (dir, path) = file();
    let folder = dir.path().join("backups");
    std::fs::create_dir(&folder).unwrap();
    let mut conn = Connection::open(&path).unwrap();
    conn.execute("CREATE TABLE big AS SELECT zeroblob(3000000) AS b", []).unwrap();
    let two = Migration::sql(2, "two", "CREATE TABLE two(x)");
    let backed_up = || then(two.clone()).backup(Backup::to_dir(&folder));
    let stopping = |stop: &Stop| {
        let (handle, heard) = (stop.clone(), AtomicUsize::new(0));
        backed_up().stop_on(stop).on_event(move |event| {
            if matches!(event, Event::Backup { .. } | Event::Restore { .. })
                && heard.fetch_add(1, Ordering::Relaxed) == 1
            {
                handle.stop();
            }
        })
    };
    let before = everything(&conn);
    let error = stopping(&Stop::new()).apply(&conn).unwrap_err();
    assert_eq!(error.to_string(), "stopped while copying the backup; nothing was changed");
    let left: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".app.db.backup-lock"]);
    assert_eq!(everything(&conn), before);

    let report = backed_up().apply(&conn).unwrap();
    let backup = report.backup.as_ref().unwrap().path().unwrap().to_owned();
    let before = everything(&conn);
    let error = stopping(&Stop::new()).restore(&mut conn, &backup).unwrap_err();
    let told =
        format!("stopped while copying the backup {}; nothing was changed", backup.display());
    assert_eq!(error.to_string(), told);
    assert_eq!(everything(&conn), before);
    assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok");
    backed_up().restore(&mut conn, &backup).unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master WHERE name = 'two'"), "0");
}

#[test]
fn stop_interrupts_a_rehearsal_and_a_verify() {
    let stop = Stop::new();
    let handle = stop.clone();
    let migrator = then(Migration::sql(2, "big", ENDLESS)).stop_on(&stop).on_connect(move |conn| {
        halting(conn, &handle);
        Ok(())
    });
    let rehearsal = migrator.rehearse(&at_one()).unwrap();
    let error = rehearsal.error.unwrap();
    assert!(matches!(error.kind(), ErrorKind::Stopped { .. }), "{error}");

    let (conn, stop) = (at_one(), Stop::new());
    halting(&conn, &stop);
    let verified = Migrator::from_migrations([first().verify(ENDLESS)]).stop_on(&stop);
    let error = verified.verify(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Stopped { .. }), "{error}");
}

#[test]
fn stop_while_short_statements_run_hits_nothing_else() {
    for round in 0..40 {
        let conn = at_one();
        let stop = Stop::new();
        let (go, gone) = mpsc::channel::<()>();
        let handle = stop.clone();
        let stopper = std::thread::spawn(move || {
            gone.recv().unwrap();
            handle.stop();
        });
        let go = Mutex::new(Some(go));
        let many: String =
            (0..300).map(|n| format!("INSERT INTO person(id) VALUES ({});", n + 10)).collect();
        let before = everything(&conn);
        let result = then(Migration::sql(2, "many", many))
            .stop_on(&stop)
            .on_event(move |event| {
                if let Event::Started { .. } = event {
                    go.lock().unwrap().take().map(|go| go.send(()));
                }
            })
            .apply(&conn);
        stopper.join().unwrap();
        assert!(conn.is_autocommit(), "round {round}");
        for _ in 0..200 {
            conn.query_row("SELECT 1", [], |_| Ok(())).unwrap();
        }
        match result {
            Ok(report) => assert_eq!(report.applied.len(), 1),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Stopped { .. }), "{error:?}");
                assert_eq!(everything(&conn), before, "round {round}");
            }
        }
    }
}
