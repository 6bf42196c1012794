//! A transaction is wholly there or not at all, whoever tries to end it, and the connection comes
//! back as it was handed over.

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use landfall::rusqlite::functions::FunctionFlags;
use landfall::rusqlite::{self, Connection, Transaction, TransactionBehavior};
use landfall::{DataLoss, ErrorKind, Migration, Migrator, Seeds, Target, Version};

use crate::support::{cause, everything, memory, one, refused, rows, set};

/// Pragmas that take effect inside a transaction and survive its end, with a value that is not
/// their default.
const SETTINGS: [(&str, &str); 24] = [
    ("analysis_limit", "77"),
    ("automatic_index", "OFF"),
    ("busy_timeout", "77"),
    ("cache_size", "77"),
    ("cache_spill", "OFF"),
    ("cell_size_check", "ON"),
    ("checkpoint_fullfsync", "ON"),
    ("full_column_names", "ON"),
    ("fullfsync", "ON"),
    ("ignore_check_constraints", "ON"),
    ("journal_size_limit", "77"),
    ("legacy_alter_table", "ON"),
    ("locking_mode", "EXCLUSIVE"),
    ("max_page_count", "7777"),
    ("mmap_size", "65536"),
    ("read_uncommitted", "ON"),
    ("recursive_triggers", "ON"),
    ("reverse_unordered_selects", "ON"),
    ("secure_delete", "FAST"),
    ("short_column_names", "OFF"),
    ("threads", "2"),
    ("trusted_schema", "OFF"),
    ("wal_autocheckpoint", "77"),
    ("writable_schema", "ON"),
];

fn settings(conn: &Connection) -> Vec<String> {
    let mut all: Vec<String> = SETTINGS
        .iter()
        .map(|(name, _)| format!("{name} = {:?}", rows(conn, &format!("PRAGMA {name}"))))
        .collect();
    all.push(format!("foreign_keys = {}", one(conn, "PRAGMA foreign_keys")));
    all.push(format!("main.locking_mode = {}", one(conn, "PRAGMA main.locking_mode")));
    all.push(format!("case_sensitive_like = {}", one(conn, "SELECT 'a' NOT LIKE 'A'")));
    all.push(format!("query_only = {}", one(conn, "PRAGMA query_only")));
    all
}

fn changes() -> String {
    let all = SETTINGS.iter().chain(&[("case_sensitive_like", "ON")]);
    all.map(|(name, value)| format!("PRAGMA {name} = {value};\n")).collect()
}

fn file() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("app.db")).unwrap();
    (dir, conn)
}

/// Every row of a pragma's answer is read away: some of them answer when they are set.
fn run(tx: &Transaction<'_>, sql: &str) -> rusqlite::Result<()> {
    tx.execute_batch(sql)
}

/// These survive even ROLLBACK.
#[test]
fn the_settings_that_a_script_changes_are_put_back() {
    let (_dir, control) = file();
    let before = settings(&control);
    control.execute_batch(&format!("BEGIN; {} ROLLBACK;", changes())).unwrap();
    for (was, is) in before.iter().zip(settings(&control)).take(SETTINGS.len()) {
        assert_ne!(*was, is, "the value in the table is the default, or does not survive");
    }

    for (end, succeeds) in [("CREATE TABLE t(x)", true), ("INSERT INTO nowhere VALUES (1)", false)]
    {
        let (_dir, conn) = file();
        let before = settings(&conn);
        let script = Migration::sql(1, "settings", format!("{} {end}", changes()));
        let result = Migrator::from_migrations([script]).apply(&conn);
        assert_eq!(result.is_ok(), succeeds, "{result:?}");
        assert_eq!(settings(&conn), before);
        assert!(conn.is_autocommit());
    }
}

#[test]
fn the_settings_that_code_changes_are_put_back() {
    for outcome in ["returns", "fails", "panics", "commits"] {
        let (_dir, conn) = file();
        let before = settings(&conn);
        let migrator = Migrator::from_migrations([Migration::code(1, "settings", move |tx| {
            run(tx, &changes())?;
            match outcome {
                "fails" => Err(rusqlite::Error::QueryReturnedNoRows),
                "panics" => panic!("on purpose"),
                "commits" => run(tx, "COMMIT; PRAGMA foreign_keys = OFF; PRAGMA query_only = ON"),
                _ => Ok(()),
            }
        })]);
        let result = catch_unwind(AssertUnwindSafe(|| migrator.apply(&conn)));
        assert_eq!(matches!(result, Ok(Ok(_))), outcome == "returns", "{outcome}");
        assert_eq!(settings(&conn), before, "{outcome}");
        assert!(conn.is_autocommit(), "{outcome}");
    }
}

#[test]
fn the_settings_that_a_seed_changes_are_put_back() {
    for outcome in ["returns", "fails", "panics", "commits"] {
        let (_dir, conn) = file();
        let before = settings(&conn);
        let seeds = Seeds::new().ensure("settings", move |tx| {
            run(tx, &changes())?;
            match outcome {
                "fails" => Err(rusqlite::Error::QueryReturnedNoRows),
                "panics" => panic!("on purpose"),
                "commits" => run(tx, "COMMIT; PRAGMA foreign_keys = OFF; PRAGMA query_only = ON"),
                _ => Ok(()),
            }
        });
        let migrator = set(&[(1, "t", "CREATE TABLE t(x)", "")]).seeds(seeds);
        let result = catch_unwind(AssertUnwindSafe(|| migrator.apply(&conn)));
        assert_eq!(matches!(result, Ok(Ok(_))), outcome == "returns", "{outcome}");
        assert_eq!(settings(&conn), before, "{outcome}");
        assert!(conn.is_autocommit(), "{outcome}");
    }
}

/// A script that makes the connection read-only cannot be recorded, and is taken back.
#[test]
fn a_script_that_forbids_writing_fails_and_the_connection_can_write_again() {
    let conn = memory();
    refused(&conn, &set(&[(1, "t", "CREATE TABLE t(x); PRAGMA query_only = ON", "")]));
    set(&[(1, "t", "CREATE TABLE t(x)", "")]).apply(&conn).unwrap();
}

/// With `count_changes` every INSERT answers, which rusqlite's `execute` takes for an error.
#[test]
fn a_script_that_makes_inserts_answer_leaves_no_connection_where_they_do() {
    let conn = memory();
    refused(&conn, &set(&[(1, "t", "CREATE TABLE t(x); PRAGMA count_changes = ON", "")]));
    set(&[(1, "t", "CREATE TABLE t(x)", "")]).apply(&conn).unwrap();
    conn.execute("INSERT INTO t VALUES (1)", []).unwrap();
}

/// `journal_mode = WAL` silently does nothing in a transaction, `synchronous` and VACUUM fail
/// there, DETACH is locked.
#[test]
fn what_needs_no_transaction_is_refused_before_anything_runs() {
    let statements = [
        "PRAGMA journal_mode = WAL",
        "PRAGMA main.journal_mode(wal)",
        "pragma Synchronous = OFF",
        "PRAGMA auto_vacuum = FULL",
        "PRAGMA page_size = 8192",
        "PRAGMA encoding = 'UTF-16'",
        "PRAGMA wal_checkpoint",
        "PRAGMA temp_store = MEMORY",
        "VACUUM",
        "ATTACH 'other.db' AS other",
        "DETACH other",
    ];
    for statement in statements {
        let conn = memory();
        let migrator = Migrator::from_migrations([
            Migration::sql(1, "first", "CREATE TABLE first(x)"),
            Migration::sql(2, "second", format!("CREATE TABLE second(x);\n  {statement};")),
        ]);
        let error = refused(&conn, &migrator);
        assert!(matches!(error.kind(), ErrorKind::NeedsNoTransaction { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            format!(
                "migration 2_second cannot run `{statement}` at line 2, column 3 inside a \
                 transaction; nothing was changed"
            )
        );
        assert_eq!(everything(&conn), "");
    }
    let asks = "PRAGMA journal_mode; PRAGMA synchronous; CREATE TABLE t(x)";
    set(&[(1, "asks", asks, "")]).apply(&memory()).unwrap();
}

/// After a COMMIT half would be stored; after a ROLLBACK nothing, and recorded all the same.
#[test]
fn transaction_control_is_refused_before_anything_runs() {
    let files = [
        ("COMMIT;", "COMMIT", "line 1, column 1"),
        ("CREATE TABLE c(x);\nROLLBACK;", "ROLLBACK", "line 2, column 1"),
        ("CREATE TABLE c(x);\n end transaction;", "end transaction", "line 2, column 2"),
        ("/* ; */ BEGIN; CREATE TABLE c(x);", "BEGIN", "line 1, column 9"),
        ("COMMIT; CREATE TABLE c(x); BEGIN;", "COMMIT", "line 1, column 1"),
        ("BEGIN; CREATE TABLE c(x); ROLLBACK;", "BEGIN", "line 1, column 1"),
        ("BEGIN; CREATE TABLE c(x); COMMIT; SELECT 1;", "BEGIN", "line 1, column 1"),
        ("BEGIN; SELECT 1; COMMIT; BEGIN; SELECT 2; COMMIT;", "BEGIN", "line 1, column 1"),
        ("ROLLBACK TRANSACTION", "ROLLBACK TRANSACTION", "line 1, column 1"),
    ];
    for (file, said, place) in files {
        let conn = memory();
        let migrator = set(&[
            (1, "a", "CREATE TABLE a(x)", ""),
            (2, "b", "CREATE TABLE b(x)", ""),
            (3, "c", file, ""),
        ])
        .transactions(landfall::Transactions::Each);
        let error = refused(&conn, &migrator);
        assert!(matches!(error.kind(), ErrorKind::TransactionControl { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            format!("migration 3_c may not say `{said}` at {place}; nothing was changed")
        );
        assert!(error.report().is_none());
        assert_eq!(everything(&conn), "", "the first two were applied");
        assert_eq!(
            migrator.plan(&conn).unwrap_err().to_string(),
            error.to_string(),
            "the dry run does not tell"
        );
    }
}

/// SQLite takes the pair as one transaction, and so is it meant.
#[test]
fn a_single_wrapper_is_taken_as_written() {
    let body = "CREATE TABLE t(x); INSERT INTO t VALUES (1);";
    let files = [
        format!("BEGIN; {body} COMMIT;"),
        format!("begin transaction; {body} end"),
        format!("BEGIN IMMEDIATE TRANSACTION; {body} END TRANSACTION;"),
        format!("-- first\nBEGIN EXCLUSIVE;\n{body}\nCOMMIT TRANSACTION; -- last\n"),
        format!("PRAGMA foreign_keys=OFF; BEGIN; {body} COMMIT; PRAGMA foreign_keys=ON;"),
        format!("BEGIN; SAVEPOINT s; {body} RELEASE s; COMMIT"),
        format!("BEGIN; {body} SAVEPOINT s; DROP TABLE t; ROLLBACK TO s; RELEASE SAVEPOINT s; END"),
        "BEGIN; CREATE TABLE t(x); INSERT INTO t VALUES (1); SAVEPOINT left_open; COMMIT"
            .to_owned(),
    ];
    for file in files {
        let conn = memory();
        let migrator = Migrator::from_migrations([Migration::sql(1, "t", file.clone())]);
        migrator.apply(&conn).unwrap();
        assert_eq!(rows(&conn, "SELECT x FROM t"), ["1"], "{file}");
        assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations"), "1");
        assert!(conn.is_autocommit());
    }
    // The wrapper is one with the ledger and with what comes after it.
    let conn = memory();
    refused(&conn, &set(&[(1, "t", "BEGIN; CREATE TABLE t(x); COMMIT", ""), (2, "u", "oops", "")]));
}

#[test]
fn the_words_of_transaction_control_are_free_elsewhere() {
    let conn = memory();
    let file = "
        -- COMMIT; BEGIN;
        /* ROLLBACK; */
        CREATE TABLE \"commit\"(\"begin\", [end], note DEFAULT '; COMMIT;');
        CREATE TABLE rollback_log(x);
        CREATE TRIGGER t AFTER INSERT ON \"commit\" BEGIN
            INSERT INTO rollback_log VALUES ('COMMIT;'); -- END; COMMIT;
            UPDATE rollback_log SET x = CASE WHEN x = 1 THEN 2 ELSE x END;
        END;
        INSERT INTO \"commit\" VALUES ('a
COMMIT;
b', 2, 3);";
    set(&[(1, "words", file, "")]).apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT x FROM rollback_log"), ["COMMIT;"]);
}

/// The whole transaction is gone then, and what follows would run in autocommit.
#[test]
fn a_statement_that_rolls_back_takes_everything_back_and_nothing_follows() {
    let clash = "CREATE TABLE t(x UNIQUE); INSERT INTO t VALUES (1);
INSERT OR ROLLBACK INTO t VALUES (1);
CREATE TABLE after_it(x);";
    let raise = "CREATE TABLE t(x); CREATE TRIGGER no AFTER INSERT ON t
BEGIN SELECT RAISE(ROLLBACK, 'not here'); END;
INSERT INTO t VALUES (1); CREATE TABLE after_it(x);";
    let constraint = "CREATE TABLE t(x NOT NULL ON CONFLICT ROLLBACK);\n
INSERT INTO t VALUES (NULL); CREATE TABLE after_it(x);";
    let cases = [
        (clash, 2, "UNIQUE constraint failed: t.x"),
        (raise, 3, "not here"),
        (constraint, 3, "NOT NULL constraint failed: t.x"),
    ];
    for (script, line, why) in cases {
        let conn = memory();
        let migrator = set(&[(1, "first", "CREATE TABLE first(x)", ""), (2, "second", script, "")]);
        let error = refused(&conn, &migrator);
        assert_eq!(
            error.to_string(),
            format!("migration 2_second failed at line {line}, column 1; nothing was changed")
        );
        assert_eq!(cause(&error), why);
        assert_eq!(everything(&conn), "");
    }
}

/// An interrupt in an INSERT, UPDATE or DELETE rolls the whole transaction back.
#[test]
fn an_interrupted_statement_takes_everything_back() {
    let conn = memory();
    let handle = conn.get_interrupt_handle();
    conn.create_scalar_function("stop", 0, FunctionFlags::SQLITE_UTF8, move |_| {
        handle.interrupt();
        Ok(1)
    })
    .unwrap();
    let script = "CREATE TABLE t(x); INSERT INTO t VALUES (1), (2);
UPDATE t SET x = stop();
CREATE TABLE after_it(x);";
    let error = refused(&conn, &set(&[(1, "t", script, "")]));
    assert_eq!(error.to_string(), "migration 1_t failed at line 2, column 1; nothing was changed");
    assert_eq!(cause(&error), "interrupted");
}

/// Interrupts whenever the number of times that SQLite has come by from now is one of these, and
/// counts them.
fn interrupt_at(conn: &mut Connection, at: RangeInclusive<u32>) -> Arc<AtomicU32> {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let handler = move || at.contains(&(counted.fetch_add(1, Relaxed) + 1));
    let _ = conn.progress_handler(1, Some(handler));
    count
}

/// An interrupted BEGIN may have begun, and an interrupted PRAGMA may have switched.
#[test]
fn an_interrupt_anywhere_leaves_all_or_nothing() {
    let first = "CREATE TABLE p(id INTEGER PRIMARY KEY);
        CREATE TABLE c(p REFERENCES p(id) ON DELETE CASCADE);
        INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);";
    let rebuild = "PRAGMA cache_size = 77;
        CREATE TABLE n(id INTEGER PRIMARY KEY); INSERT INTO n SELECT id FROM p;
        DROP TABLE p; ALTER TABLE n RENAME TO p;";
    let all = [(1, "first", first, ""), (2, "rebuild", rebuild, "")];
    let seeds = Seeds::new().ensure("c", |tx| tx.execute_batch("INSERT INTO c VALUES (1)"));
    let migrator = set(&all).seeds(seeds);
    let populated = || {
        let conn = memory();
        set(&all[..1]).apply(&conn).unwrap();
        conn
    };
    let mut counting = populated();
    let never = interrupt_at(&mut counting, 0..=0);
    migrator.apply(&counting).unwrap();
    let total = never.load(Relaxed);
    let (mut at, mut failures) = (1, 0);
    while at <= total {
        let mut conn = populated();
        let (before, content) = (settings(&conn), everything(&conn));
        interrupt_at(&mut conn, at..=at);
        let result = migrator.apply(&conn);
        let _ = conn.progress_handler(0, None::<fn() -> bool>);
        assert!(conn.is_autocommit(), "open after an interrupt at {at}");
        assert_eq!(settings(&conn), before, "after an interrupt at {at}");
        match result {
            Ok(report) => {
                assert_eq!((report.applied.len(), report.seeds.len()), (1, 1), "{report}");
            }
            Err(error) => {
                failures += 1;
                match error.report() {
                    Some(report) => assert_eq!(report.applied.len(), 1, "{error}"),
                    None => assert_eq!(everything(&conn), content, "{error}"),
                }
                migrator.apply(&conn).unwrap();
            }
        }
        assert_eq!(rows(&conn, "SELECT p FROM c"), ["1", "1"], "interrupted at {at}");
        assert!(migrator.apply(&conn).unwrap().is_noop(), "interrupted at {at}");
        at += 1 + at / 100;
    }
    assert!(failures > 50, "only {failures} of {total} places were felt");
}

/// An interrupt that goes on interrupts the ROLLBACK as well.
#[test]
fn a_transaction_that_could_not_be_rolled_back_is_told() {
    let migrator = set(&[(1, "t", "CREATE TABLE t(x); INSERT INTO t VALUES (1)", "")]);
    let (mut told, mut at) = (0, 1);
    loop {
        let mut conn = memory();
        let count = interrupt_at(&mut conn, at..=u32::MAX);
        let result = migrator.apply(&conn);
        let felt = count.load(Relaxed) >= at;
        let _ = conn.progress_handler(0, None::<fn() -> bool>);
        if !felt {
            break;
        }
        let open = !conn.is_autocommit();
        if let Err(error) = &result {
            let says = error
                .to_string()
                .ends_with("; its transaction could not be rolled back and is still open");
            assert_eq!(says, open, "{error}");
        }
        assert!(result.is_err() || !open, "open after an interrupt at {at}");
        if open {
            told += 1;
            conn.execute_batch("ROLLBACK").unwrap();
        }
        migrator.apply(&conn).unwrap();
        assert_eq!(rows(&conn, "SELECT x FROM t"), ["1"], "interrupted from {at}");
        at += 1 + at / 50;
    }
    assert!(told > 0, "the hazard is gone");
}

/// A deferred BEGIN that turns into a write fails at once, whatever the busy timeout.
#[test]
fn simultaneous_starts_all_succeed_and_apply_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let first = set(&[(1, "t", "CREATE TABLE t(x); INSERT INTO t VALUES (0)", "")]);
    first.apply(&Connection::open(&path).unwrap()).unwrap();
    let both = set(&[
        (1, "t", "CREATE TABLE t(x); INSERT INTO t VALUES (0)", ""),
        (2, "more", "UPDATE t SET x = x + 1", ""),
    ]);
    let barrier = Barrier::new(6);
    let applied: Vec<usize> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let conn = Connection::open(&path).unwrap();
                    conn.busy_timeout(Duration::ZERO).unwrap();
                    barrier.wait();
                    both.apply(&conn).unwrap().applied.len()
                })
            })
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert_eq!(applied.iter().sum::<usize>(), 1, "{applied:?}");
    assert_eq!(one(&Connection::open(&path).unwrap(), "SELECT x FROM t"), "1");
}

/// The lock is waited for as long as the migrator was told, and the caller's timeout comes back.
#[test]
fn a_lock_that_stays_is_told_and_the_busy_timeout_is_the_callers() {
    let (dir, conn) = file();
    conn.busy_timeout(Duration::from_millis(1234)).unwrap();
    let mut other = Connection::open(dir.path().join("app.db")).unwrap();
    let lock = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let migrator = set(&[(1, "t", "CREATE TABLE t(x)", "")]).wait(Duration::from_millis(30));
    let error = migrator.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error}");
    assert_eq!(one(&conn, "PRAGMA busy_timeout"), "1234");
    drop(lock);
    migrator.apply(&conn).unwrap();
    assert_eq!(one(&conn, "PRAGMA busy_timeout"), "1234");
}

/// `BEGIN IMMEDIATE` on a read-only database silently becomes a read transaction.
#[test]
fn a_read_only_database_is_refused_by_name_and_a_current_one_is_not() {
    let (dir, conn) = file();
    let one_table = set(&[(1, "t", "CREATE TABLE t(x)", "")]);
    one_table.apply(&conn).unwrap();
    let two = set(&[(1, "t", "CREATE TABLE t(x)", ""), (2, "u", "CREATE TABLE u(x)", "")]);
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let reader = Connection::open_with_flags(dir.path().join("app.db"), flags).unwrap();
    assert!(one_table.apply(&reader).unwrap().is_noop());
    let error = refused(&reader, &two);
    assert_eq!(
        error.to_string(),
        "there is 1 step (apply 2 (u)), and the database is read-only; nothing was changed"
    );
    conn.execute_batch("PRAGMA query_only = ON").unwrap();
    assert!(one_table.apply(&conn).unwrap().is_noop());
    let error = refused(&conn, &two);
    assert_eq!(
        error.to_string(),
        "there is 1 step (apply 2 (u)), and the connection has query_only switched on; nothing \
         was changed"
    );
    assert_eq!(one(&conn, "PRAGMA query_only"), "1");
}

/// What a function does to the transaction that it was only lent, what it does then, and whether
/// foreign keys are enforced, under which SQLite refuses its COMMIT.
fn endings() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    let endings = ["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "ROLLBACK; BEGIN", "END"];
    endings.into_iter().flat_map(|ending| {
        ["returns", "fails", "panics"].into_iter().flat_map(move |outcome| {
            [false, true].into_iter().map(move |enforced| (ending, outcome, enforced))
        })
    })
}

fn with_keys(enforced: bool) -> Connection {
    let conn = memory();
    conn.pragma_update(None, "foreign_keys", enforced).unwrap();
    conn
}

#[test]
fn code_that_ends_the_transaction_is_told_off_whatever_it_returns() {
    for (ending, outcome, enforced) in endings() {
        let conn = with_keys(enforced);
        let refused = enforced && !ending.starts_with("ROLLBACK");
        let migrator = Migrator::from_migrations([
            Migration::sql(1, "t", "CREATE TABLE t(x)"),
            Migration::code(2, "ends", move |tx| {
                run(tx, "INSERT INTO t VALUES (1)")?;
                run(tx, ending)?;
                match outcome {
                    "fails" => Err(rusqlite::Error::QueryReturnedNoRows),
                    "panics" => panic!("on purpose"),
                    _ => Ok(()),
                }
            }),
            Migration::sql(3, "after", "CREATE TABLE after_it(x)"),
        ]);
        let result = catch_unwind(AssertUnwindSafe(|| migrator.apply(&conn)));
        let about = format!("{ending}, {outcome}, {enforced}");
        if outcome == "panics" && !refused {
            assert!(result.is_err(), "{about}");
        } else {
            let error = result.unwrap().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Code { .. }), "{about}: {error}");
            let told = match refused {
                true => "code migration 2_ends failed; nothing was changed",
                false => {
                    "code migration 2_ends failed; it ended the transaction itself, and what \
                         it had written by then, or has written since, may be stored"
                }
            };
            assert_eq!(error.to_string(), told, "{about}");
        }
        assert!(conn.is_autocommit(), "{about}");
        let after = "SELECT name FROM sqlite_master WHERE name = 'after_it'";
        assert_eq!(rows(&conn, after).len(), 0, "{about}");
        let ledger = "SELECT name FROM sqlite_master WHERE name = 'schema_migrations'";
        if !rows(&conn, ledger).is_empty() {
            assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations"), "0", "{about}");
        }
        set(&[(9, "u", "CREATE TABLE u(x)", "")]).apply(&conn).unwrap();
    }
}

#[test]
fn a_seed_that_ends_the_transaction_is_told_off_whatever_it_returns() {
    for (ending, outcome, enforced) in endings() {
        let conn = with_keys(enforced);
        let refused = enforced && !ending.starts_with("ROLLBACK");
        let plain = set(&[(1, "t", "CREATE TABLE t(x)", "")]);
        let migrator = plain.clone().seeds(Seeds::new().ensure("ends", move |tx| {
            run(tx, "INSERT INTO t VALUES (1)")?;
            run(tx, ending)?;
            match outcome {
                "fails" => Err(rusqlite::Error::QueryReturnedNoRows),
                "panics" => panic!("on purpose"),
                _ => Ok(()),
            }
        }));
        let result = catch_unwind(AssertUnwindSafe(|| migrator.apply(&conn)));
        let about = format!("{ending}, {outcome}, {enforced}");
        if outcome == "panics" && !refused {
            assert!(result.is_err(), "{about}");
        } else {
            let error = result.unwrap().unwrap_err();
            let told = match refused {
                true => {
                    "seed ends failed; what came before stays (applied 1 t), nothing else \
                         was changed"
                }
                false => {
                    "seed ends failed; it ended the transaction itself, and what it had \
                         written by then, or has written since, may be stored; its sentinel is not"
                }
            };
            assert_eq!(error.to_string(), told, "{about}");
            assert_eq!(error.report().unwrap().applied.len(), 1, "{about}");
        }
        assert!(conn.is_autocommit(), "{about}");
        assert_eq!(one(&conn, "SELECT count(*) FROM schema_seeds"), "0", "{about}");
        if enforced {
            assert_eq!(one(&conn, "SELECT count(*) FROM t"), "0", "{about}");
        }
        assert!(plain.apply(&conn).unwrap().is_noop(), "{about}");
    }
}

/// Savepoints nest, and are the function's own business.
#[test]
fn code_may_use_savepoints() {
    let conn = memory();
    let migrator = Migrator::from_migrations([Migration::code(1, "saves", |tx| {
        run(tx, "CREATE TABLE t(x); SAVEPOINT s; INSERT INTO t VALUES (1); ROLLBACK TO s")?;
        run(tx, "RELEASE s; SAVEPOINT left_open; INSERT INTO t VALUES (2)")
    })])
    .seeds(Seeds::new().ensure("saves", |tx| run(tx, "SAVEPOINT s; INSERT INTO t VALUES (3)")));
    migrator.apply(&conn).unwrap();
    assert!(conn.is_autocommit());
    assert_eq!(rows(&conn, "SELECT x FROM t"), ["2", "3"]);
}

/// DROP TABLE is "locked" while a SELECT is open on the same connection.
#[test]
fn a_statement_left_open_is_named_as_the_reason() {
    let conn = memory();
    let first = (1, "t", "CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)", "");
    set(&[first]).apply(&conn).unwrap();
    let migrator =
        set(&[first, (2, "drop", "SELECT 1; DROP TABLE t", "")]).data_loss(DataLoss::Allow);
    let mut open = conn.prepare("SELECT x FROM t").unwrap();
    let mut reading = open.query([]).unwrap();
    assert!(reading.next().unwrap().is_some());
    let error = refused(&conn, &migrator);
    assert_eq!(
        error.to_string(),
        "migration 2_drop failed at line 1, column 11; nothing was changed"
    );
    assert_eq!(cause(&error), "database table is locked");
    assert_eq!(
        error.advice().unwrap(),
        "a statement is still open on this connection: finish reading it before migrating"
    );
    drop(reading);
    drop(open);
    migrator.apply(&conn).unwrap();
}

/// A cached statement remembers the columns that it was prepared for.
#[test]
fn a_cached_statement_sees_the_new_columns() {
    let conn = memory();
    let first = (1, "t", "CREATE TABLE t(x); INSERT INTO t VALUES (1)", "");
    set(&[first]).apply(&conn).unwrap();
    assert_eq!(conn.prepare_cached("SELECT * FROM t").unwrap().column_count(), 1);
    let second = "ALTER TABLE t ADD COLUMN y DEFAULT 2";
    set(&[first, (2, "y", second, "")]).apply(&conn).unwrap();
    let mut cached = conn.prepare_cached("SELECT * FROM t").unwrap();
    let names: Vec<String> = cached.column_names().into_iter().map(str::to_owned).collect();
    assert_eq!(names, ["x", "y"]);
    assert_eq!(cached.query_row([], |row| row.get::<_, i64>(1)).unwrap(), 2);
}

/// A transaction of the caller's is not ours to end or to extend.
#[test]
fn a_caller_inside_a_transaction_is_refused_even_with_nothing_to_do() {
    let conn = memory();
    let migrator = set(&[(1, "t", "CREATE TABLE t(x)", "DROP TABLE t")]);
    for begin in ["BEGIN", "SAVEPOINT s", "BEGIN IMMEDIATE"] {
        conn.execute_batch(begin).unwrap();
        conn.execute_batch("CREATE TABLE mine(x)").unwrap();
        let errors = [
            migrator.apply(&conn).unwrap_err(),
            migrator.apply_to(&conn, Target::Steps(1)).unwrap_err(),
            migrator.revert(&conn, Target::Empty).unwrap_err(),
            migrator.baseline(&conn, Version::from(1)).unwrap_err(),
            migrator.repair(&conn, "why not").unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error.kind(), ErrorKind::InTransaction));
            assert_eq!(
                error.to_string(),
                "the connection is inside a transaction; nothing was changed"
            );
        }
        assert!(!conn.is_autocommit(), "the caller's transaction was ended");
        assert_eq!(one(&conn, "SELECT count(*) FROM mine"), "0");
        conn.execute_batch("ROLLBACK").unwrap();
        // The second and third time there is nothing to do.
        migrator.apply(&conn).unwrap();
    }
}

/// SQLite would take a parameter that nothing is bound to as NULL.
#[test]
fn a_parameter_in_a_migration_is_refused() {
    let conn = memory();
    for parameter in ["?", "?1", ":name", "@name", "$name"] {
        let script = format!("CREATE TABLE t(x);\nINSERT INTO t VALUES ({parameter});");
        let migrator = Migrator::from_migrations([Migration::sql(1, "t", script)]);
        let error = refused(&conn, &migrator);
        assert_eq!(
            error.to_string(),
            "migration 1_t failed at line 2, column 1; nothing was changed"
        );
        assert_eq!(
            cause(&error),
            "a migration has nothing to bind to its parameters, which would be NULL"
        );
    }
    set(&[(1, "t", "CREATE TABLE t(x DEFAULT '?')", "")]).apply(&conn).unwrap();
}

#[test]
fn pragmas_around_a_wrapper_do_not_stand_in_its_way() {
    for text in [
        "PRAGMA foreign_keys = OFF; BEGIN; CREATE TABLE t(x); COMMIT; PRAGMA foreign_key_check;",
        "PRAGMA cache_size = 1000; BEGIN; CREATE TABLE t(x); END; PRAGMA foreign_keys = ON;",
    ] {
        let conn = memory();
        set(&[(1, "t", text, "")]).apply(&conn).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(one(&conn, "SELECT count(*) FROM t"), "0");
    }
}
