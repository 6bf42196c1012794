//! A migration outside a transaction: who is at it, what is done of it, and what becomes of a process
//! that was stopped in the middle.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall::rusqlite::Connection;
use landfall::rusqlite::functions::FunctionFlags;
use landfall::{DataLoss, ErrorKind, Event, Migration, Migrator, Target, Version};

use crate::stage::{again, empty_file, variable};
use crate::support::{dump, everything, memory, one, rows};

const LOG: &str = "CREATE TABLE log(id INTEGER PRIMARY KEY, what TEXT);";

/// Statements that leave a line each, with a pause after the first and before the last.
const LONG: &str = "-- landfall: no-transaction
INSERT INTO log(what) VALUES ('a');
SELECT nap();
INSERT INTO log(what) VALUES ('b');
INSERT INTO log(what) VALUES ('c');";

fn long() -> Migrator {
    Migrator::from_migrations([Migration::sql(1, "log", LOG), Migration::sql(2, "long", LONG)])
}

/// `nap()`, which does nothing here.
fn rested(conn: &Connection) {
    conn.create_scalar_function("nap", 0, FunctionFlags::SQLITE_UTF8, |_| Ok(0)).unwrap();
}

/// Not a test: a child that naps in the middle of its migration until a file is there, and says how
/// it ended in another.
#[test]
fn a_child_that_naps() {
    let Some(path) = variable("LANDFALL_NAPS_AT") else { return };
    let folder = Path::new(&path).parent().unwrap().to_owned();
    let conn = Connection::open(&path).unwrap();
    let (begun, go) = (folder.join("begun"), folder.join("go"));
    conn.create_scalar_function("nap", 0, FunctionFlags::SQLITE_UTF8, move |_| {
        std::fs::write(&begun, "").unwrap();
        while !go.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(0)
    })
    .unwrap();
    let told = match long().apply(&conn) {
        Ok(report) => report.to_string(),
        Err(error) => format!("{error:?}"),
    };
    std::fs::write(folder.join("told"), told).unwrap();
}

struct Napping {
    folder: tempfile::TempDir,
    child: Child,
}

impl Napping {
    fn begin(mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        empty_file(&path, mode);
        let path = path.to_str().unwrap().to_owned();
        let child = again("outside::a_child_that_naps", &[("LANDFALL_NAPS_AT", path)]);
        while !folder.path().join("begun").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Napping { folder, child }
    }

    fn open(&self) -> Connection {
        let conn = Connection::open(self.folder.path().join("app.db")).unwrap();
        rested(&conn);
        conn
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Lets the child go on, and returns how it ended.
    fn end(mut self) -> String {
        std::fs::write(self.folder.path().join("go"), "").unwrap();
        assert!(self.child.wait().unwrap().success());
        std::fs::read_to_string(self.folder.path().join("told")).unwrap()
    }
}

fn log(conn: &Connection) -> String {
    rows(conn, "SELECT what FROM log ORDER BY id").join(",")
}

#[cfg(target_os = "linux")]
#[test]
fn live_migration_is_waited_for_then_busy_names_its_process() {
    for mode in ["DELETE", "WAL"] {
        let napping = Napping::begin(mode);
        let conn = napping.open();
        let error = long().wait(Duration::from_millis(50)).apply(&conn).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{mode}: {error:?}");
        let told = format!(
            "process {} runs migration 2 (long) outside a transaction: wait for it and start \
             again; if it hangs, end it first",
            napping.child.id()
        );
        assert_eq!(error.advice(), Some(told.as_str()));
        let migrator = long().wait(Duration::from_millis(50));
        for error in [
            migrator.repair(&conn, "a test").unwrap_err(),
            migrator.baseline(&conn, Version::from(2)).unwrap_err(),
            migrator.revert(&conn, Target::Empty).unwrap_err(),
        ] {
            assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{mode}: {error:?}");
        }
        assert!(napping.end().contains("applied 2"), "{mode}");
        assert_eq!(log(&conn), "a,b,c");
        assert!(long().apply(&conn).unwrap().is_noop());
    }
}

#[test]
fn start_that_waits_for_a_live_migration_finds_it_done() {
    let napping = Napping::begin("WAL");
    let conn = napping.open();
    let go = napping.folder.path().join("go");
    // The first wait that is told wakes the other process.
    let migrator = long().wait(Duration::from_secs(600)).on_event(move |event| {
        if matches!(event, Event::Waiting { .. }) {
            std::fs::write(&go, "").unwrap();
        }
    });
    assert!(migrator.apply(&conn).unwrap().is_noop());
    assert!(napping.end().contains("applied 2"));
    assert_eq!(log(&conn), "a,b,c");
}

#[cfg(target_os = "linux")]
#[test]
fn stopped_process_that_lost_its_mark_writes_nothing_more() {
    for mode in ["DELETE", "WAL"] {
        let napping = Napping::begin(mode);
        let conn = napping.open();
        napping.signal("-STOP");
        let stat = format!("/proc/{}/stat", napping.child.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            std::thread::sleep(Duration::from_millis(5));
        }
        // A process that is stopped is alive.
        let migrator = long().wait(Duration::ZERO);
        let error = migrator.repair(&conn, "a test").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{mode}: {error:?}");
        // As another machine sees it.
        let elsewhere =
            "UPDATE schema_state SET value = replace(value, char(10), ' elsewhere' || char(10))
             WHERE key = 'holder'";
        assert_eq!(conn.execute(elsewhere, []).unwrap(), 1);
        let error = migrator.apply(&conn).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Interrupted { .. }), "{mode}: {error:?}");
        let advice = error.advice().unwrap();
        let who = format!("make sure that process {} of another machine", napping.child.id());
        assert!(advice.starts_with(&who), "{advice}");
        migrator.repair(&conn, "its machine is gone").unwrap();
        let history = "SELECT detail FROM schema_history WHERE action = 'repair'";
        let told = format!("was interrupted in process {}", napping.child.id());
        assert!(one(&conn, history).starts_with(&told));
        migrator.apply(&conn).unwrap();
        let before = everything(&conn);
        napping.signal("-CONT");
        let told = napping.end();
        assert!(
            told.starts_with(
                "migration 2 (long), which runs outside a transaction, was taken over by another \
                 process; `INSERT INTO log(what) VALUES ('a')` at line 2, column 1 is in effect, \
                 and nothing was written since by this process"
            ) || told.starts_with(
                "migration 2 (long), which runs outside a transaction, was taken over by another \
                 process; `INSERT INTO log(what) VALUES ('a')` at line 2, column 1, `SELECT nap()` \
                 at line 3, column 1 are in effect, and nothing was written since by this process"
            ),
            "{mode}: {told}"
        );
        assert_eq!(everything(&conn), before, "{mode}");
        assert_eq!(log(&conn), "a,a,b,c");
        assert!(long().apply(&conn).unwrap().is_noop());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn killed_holder_is_interrupted_and_counted_exactly() {
    let napping = Napping::begin("WAL");
    let conn = napping.open();
    napping.signal("-KILL");
    let Napping { folder: _folder, mut child } = napping;
    child.wait().unwrap();
    // Were it waited for, this would take an hour.
    let error = long().wait(Duration::from_secs(3600)).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration 2 (long), which runs outside a transaction, was interrupted: of it, the first \
         statement finished and the second may have; nothing was changed"
    );
    assert_eq!(log(&conn), "a");
}

/// A database of [`long`] with a mark, as an earlier release leaves it, or one of this release.
fn marked(holder: Option<&str>) -> Connection {
    let conn = memory();
    rested(&conn);
    Migrator::from_migrations([Migration::sql(1, "log", LOG)]).apply(&conn).unwrap();
    let insert = "INSERT INTO schema_state(key, value) VALUES (?1, ?2)";
    conn.execute(insert, ["running", "2/1/up/long"]).unwrap();
    if let Some(holder) = holder {
        conn.execute(insert, ["holder", holder]).unwrap();
    }
    conn
}

#[test]
fn mark_without_holder_is_waited_for_and_then_told() {
    let heard = Arc::new(AtomicBool::new(false));
    for holder in [None, Some("x"), Some("2026-01-01T00:00:00.000Z 1-1/2/3/elsewhere\n2/1/up/long")]
    {
        let conn = marked(holder);
        let hears = Arc::clone(&heard);
        let migrator = long().wait(Duration::from_millis(300)).on_event(move |event| {
            if matches!(event, Event::Waiting { .. }) {
                hears.store(true, Ordering::Relaxed);
            }
        });
        let error = migrator.apply(&conn).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Interrupted { .. }), "{error:?}");
        let advice = error.advice().unwrap();
        let told = match holder {
            Some(text) if text != "x" => {
                "make sure that process 2 of another machine or container, or from before a \
                 restart, last heard of at 2026-01-01T00:00:00.000Z, is not at it any more; "
            }
            _ => "make sure that the process that began it, is not at it any more; ",
        };
        assert!(advice.starts_with(told), "{advice}");
        migrator.clone().repair(&conn, "it is gone").unwrap();
        assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 1);
        assert_eq!(
            one(&conn, "SELECT count(*) FROM schema_state WHERE key IN ('running', 'holder')"),
            "0"
        );
    }
    assert!(heard.load(Ordering::Relaxed));
}

#[test]
fn sign_of_life_of_an_unknown_holder_makes_it_busy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    marked(None).execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
    let (conn, other) = (Connection::open(&path).unwrap(), Connection::open(&path).unwrap());
    let other = Mutex::new(other);
    // Each wait that is told, the other process comes further.
    let migrator = long().wait(Duration::from_millis(600)).on_event(move |event| {
        if matches!(event, Event::Waiting { .. }) {
            let further = "UPDATE schema_state SET value = '2/' || (substr(value, 3, 1) + 1)
                           || '/up/long' WHERE key = 'running'";
            other.lock().unwrap().execute(further, []).unwrap();
        }
    });
    let error = migrator.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn clock_decides_nothing_about_a_mark() {
    let napping = Napping::begin("DELETE");
    let conn = napping.open();
    for by in ["-1 day", "+1 day", "-100 years"] {
        let moved = "UPDATE schema_state SET value =
                         strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1) || substr(value, 25)
                     WHERE key = 'holder'";
        assert_eq!(conn.execute(moved, [by]).unwrap(), 1);
        let error = long().wait(Duration::ZERO).apply(&conn).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{by}: {error:?}");
    }
    assert!(napping.end().contains("applied 2"));
    assert_eq!(log(&conn), "a,b,c");
}

#[test]
fn loss_that_shows_only_at_the_end_is_refused_before_anything_runs() {
    let note = "CREATE TABLE note(id INTEGER PRIMARY KEY, body TEXT);
                INSERT INTO note VALUES (1, 'a'), (2, 'b');";
    for (text, policy) in [
        (
            "CREATE TABLE note_new(id INTEGER PRIMARY KEY); INSERT INTO note_new SELECT id FROM note;
             DROP TABLE note; ALTER TABLE note_new RENAME TO note;",
            DataLoss::Refuse,
        ),
        (
            "CREATE TABLE note_new(id INTEGER PRIMARY KEY, body TEXT);
             INSERT INTO note_new SELECT id, body FROM note WHERE id = 1;
             DROP TABLE note; ALTER TABLE note_new RENAME TO note; VACUUM;",
            DataLoss::Refuse,
        ),
        ("CREATE TABLE other(x); ALTER TABLE note DROP COLUMN body;", DataLoss::Refuse),
        ("PRAGMA foreign_keys = OFF; CREATE TABLE other(x); DELETE FROM note;", DataLoss::RefuseDeletes),
    ] {
        let conn = memory();
        let first = Migration::sql(1, "note", note);
        Migrator::from_migrations([first.clone()]).apply(&conn).unwrap();
        let text = format!("-- landfall: no-transaction\n{text}");
        let migrator = Migrator::from_migrations([first.clone(), Migration::sql(2, "new", text.clone())]);
        let migrator = migrator.data_loss(policy);
        let before = (everything(&conn), one(&conn, "PRAGMA foreign_keys"));
        let error = migrator.apply(&conn).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::DataLoss { .. }), "{text}: {error:?}");
        assert!(error.to_string().ends_with("nothing was changed"), "{text}: {error}");
        assert_eq!((everything(&conn), one(&conn, "PRAGMA foreign_keys")), before, "{text}");
        assert!(conn.is_autocommit());
        // With the sign-off that the help names, it runs.
        let signed = text.replace(
            "-- landfall: no-transaction",
            "-- landfall: no-transaction\n-- landfall: allow-data-loss: a test",
        );
        let migrator = Migrator::from_migrations([first, Migration::sql(2, "new", signed)]);
        assert_eq!(migrator.data_loss(policy).apply(&conn).unwrap().applied.len(), 1, "{text}");
    }
}

#[test]
fn failure_in_the_middle_tells_what_is_done_and_how_to_undo_it() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE note(id INTEGER PRIMARY KEY, body TEXT)").unwrap();
    let text = "-- landfall: no-transaction
CREATE TABLE note_new(id INTEGER PRIMARY KEY, body TEXT NOT NULL);
PRAGMA cache_size = 100;
INSERT INTO note_new VALUES (1, 'a');
ALTER TABLE note ADD COLUMN more;
ALTER TABLE note RENAME TO old_note;
VACUUM;
INSERT INTO note_new VALUES (1, 'b');
DROP TABLE old_note;";
    let migrator = Migrator::from_migrations([Migration::sql(1, "new", text)]);
    let error = migrator.apply(&conn).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "migration 1_new failed at line 8, column 1; it runs outside a transaction: \
         `CREATE TABLE note_new(id INTEGER PRIMARY…` at line 2, column 1, \
         `PRAGMA cache_size = 100` at line 3, column 1, \
         `INSERT INTO note_new VALUES (1, 'a')` at line 4, column 1, \
         `ALTER TABLE note ADD COLUMN more` at line 5, column 1, \
         `ALTER TABLE note RENAME TO old_note` at line 6, column 1, \
         `VACUUM` at line 7, column 1 are in effect, and it is marked as interrupted\n \
         --> 1_new:8:1\n  |\n8 | INSERT INTO note_new VALUES (1, 'b');\n  | ^\n\
         what to do: undo by hand, in this order: \
         rename `old_note` to `note` again, which line 6 renamed, \
         drop the column `more` of `note` that line 5 added, \
         what `INSERT INTO note_new VALUES (1, 'a')` in line 4 did, \
         drop the table `note_new` that line 2 made; \
         then call `repair` with a reason to run it again from its start; or do the rest of it by \
         hand and call `baseline` with its version to take it as done"
    );
    // What it says is right.
    conn.execute_batch(
        "ALTER TABLE old_note RENAME TO note; ALTER TABLE note DROP COLUMN more;
         DROP TABLE note_new",
    )
    .unwrap();
    migrator.repair(&conn, "the row is corrected").unwrap();
    let corrected = text.replace("(1, 'b')", "(2, 'b')");
    let migrator = Migrator::from_migrations([Migration::sql(1, "new", corrected)]);
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 1);
    assert_eq!(one(&conn, "SELECT group_concat(body) FROM note_new"), "a,b");
}

#[test]
fn first_statement_that_fails_leaves_no_mark() {
    let conn = memory();
    let failing = "-- landfall: no-transaction\nINSERT INTO missing VALUES (1);";
    let migrator = Migrator::from_migrations([Migration::sql(1, "new", failing)]);
    for _ in 0..2 {
        let error = migrator.apply(&conn).unwrap_err();
        assert!(error.to_string().ends_with("nothing was changed"), "{error}");
    }
    assert_eq!(dump(&conn), "");
}

/// A statement and its mark are one: each write of a script counts once, whatever is killed.
#[test]
fn rollback_by_a_statement_takes_its_mark_along() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE u(x UNIQUE); INSERT INTO u VALUES (1)").unwrap();
    let text = "-- landfall: no-transaction\nINSERT INTO u VALUES (2);\nINSERT OR ROLLBACK INTO u VALUES (1);";
    let migrator = Migrator::from_migrations([Migration::sql(1, "new", text)]);
    let error = migrator.apply(&conn).unwrap_err();
    let done = "`INSERT INTO u VALUES (2)` at line 2, column 1 is in effect";
    assert!(error.to_string().contains(done), "{error}");
    assert_eq!(one(&conn, "SELECT group_concat(x) FROM u"), "1,2");
    assert_eq!(one(&conn, "SELECT value FROM schema_state WHERE key = 'running'"), "1/1/up/new");
}

#[test]
fn statement_that_only_reads_takes_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    empty_file(&path, "WAL");
    let conn = Connection::open(&path).unwrap();
    let other = Mutex::new(Connection::open(&path).unwrap());
    conn.create_scalar_function("nap", 0, FunctionFlags::SQLITE_UTF8, move |_| {
        let other = other.lock().unwrap();
        other.execute("INSERT INTO log(what) VALUES ('other')", []).map(|n| n as i64)
    })
    .unwrap();
    long().apply(&conn).unwrap();
    assert_eq!(log(&conn), "a,other,b,c");
}

/// Another connection commits at a step of SQLite's, at one after the other: a transaction of the
/// script's own begins without the write lock, and must get it all the same.
#[test]
fn own_transaction_beside_other_writers_is_not_left_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let text = "-- landfall: no-transaction\nBEGIN; INSERT INTO log(what) VALUES ('a'); COMMIT;";
    let first = Migration::sql(1, "log", format!("{LOG} CREATE TABLE other(x);"));
    let mut wrote = 0;
    for n in (1..).step_by(7) {
        let path = folder.path().join(format!("{n}.db"));
        let conn = &mut Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF").unwrap();
        Migrator::from_migrations([first.clone()]).apply(conn).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("PRAGMA synchronous = OFF; PRAGMA busy_timeout = 0").unwrap();
        let (steps, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let intrude = {
            let (steps, done, other) = (Arc::clone(&steps), Arc::clone(&done), Mutex::new(other));
            move || {
                if steps.fetch_add(1, Ordering::Relaxed) + 1 == n {
                    let wrote = other.lock().unwrap().execute("INSERT INTO other VALUES (1)", []);
                    done.store(wrote.is_ok(), Ordering::Relaxed);
                }
                false
            }
        };
        // From rusqlite 0.38 on it returns a result, from 0.41 on it wants the connection alone.
        let _ = conn.progress_handler(1, Some(intrude));
        let migrator = Migrator::from_migrations([first.clone(), Migration::sql(2, "own", text)]);
        let result = migrator.apply(conn);
        let _ = conn.progress_handler(0, None::<fn() -> bool>);
        assert!(result.is_ok(), "at step {n}: {result:?}");
        assert_eq!(log(conn), "a", "at step {n}");
        wrote += u64::from(done.load(Ordering::Relaxed));
        if steps.load(Ordering::Relaxed) < n {
            break;
        }
    }
    assert!(wrote > 10, "{wrote}");
}

#[test]
fn last_insert_rowid_between_statements_is_the_scripts() {
    for (begin, commit) in [("", ""), ("BEGIN;", "COMMIT;")] {
        let conn = memory();
        let text = format!(
            "-- landfall: no-transaction
             CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p); {begin}
             INSERT INTO p(id) VALUES (77); INSERT INTO c VALUES (last_insert_rowid()); {commit}"
        );
        Migrator::from_migrations([Migration::sql(1, "p", text)]).apply(&conn).unwrap();
        assert_eq!(one(&conn, "SELECT p FROM c"), "77", "{begin}");
    }
}

#[test]
fn changes_between_statements_is_refused() {
    let conn = memory();
    let text = "-- landfall: no-transaction\nCREATE TABLE t(x);\nINSERT INTO t SELECT Changes();";
    let error = Migrator::from_migrations([Migration::sql(1, "t", text)]).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`1_t`, line 3, column 1: Changes() would count what is written down between two statements \
         of a migration outside a transaction; nothing was changed"
    );
    assert_eq!(dump(&conn), "");
    // In the body of a trigger it counts what the trigger did.
    let text = "-- landfall: no-transaction
        CREATE TABLE t(x);
        CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET x = changes(); END;";
    Migrator::from_migrations([Migration::sql(1, "t", text)]).apply(&conn).unwrap();
}

#[test]
fn query_whose_function_wrote_is_not_taken_for_untouched() {
    let conn = memory();
    conn.execute_batch(LOG).unwrap();
    conn.create_scalar_function("writes", 0, FunctionFlags::SQLITE_UTF8, |ctx| {
        // SAFETY: the connection is only used while it is lent.
        let conn = unsafe { ctx.get_connection()? };
        conn.execute("INSERT INTO log(what) VALUES ('w')", []).map(|n| n as i64)
    })
    .unwrap();
    let text = "-- landfall: no-transaction\nSELECT writes(), abs(-9223372036854775808);";
    let migrator = Migrator::from_migrations([Migration::sql(1, "t", text)]);
    let error = migrator.apply(&conn).unwrap_err();
    let told = "none of its statements is in effect, and the one that failed may be, and it is \
                marked as interrupted";
    assert!(error.to_string().ends_with(told), "{error}");
    assert_eq!(log(&conn), "w");
}

#[test]
fn loss_is_judged_beforehand_beside_pragmas_attach_and_savepoints() {
    let rebuild = "CREATE TABLE n(id INTEGER PRIMARY KEY, a); INSERT INTO n SELECT id, a FROM t \
                   WHERE id = 1; DROP TABLE t; ALTER TABLE n RENAME TO t;";
    for text in [
        format!("PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY; {rebuild}"),
        format!("ATTACH ':memory:' AS aux; {rebuild}"),
        format!("SAVEPOINT s; {rebuild} RELEASE s;"),
    ] {
        let conn = memory();
        let first = Migration::sql(
            1,
            "t",
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'x'), (2, 'y');",
        );
        Migrator::from_migrations([first.clone()]).apply(&conn).unwrap();
        let before = everything(&conn);
        let text = format!("-- landfall: no-transaction\n{text}");
        let migrator = Migrator::from_migrations([first, Migration::sql(2, "new", text.clone())]);
        let error = migrator.apply(&conn).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::DataLoss { .. }), "{text}: {error:?}");
        assert!(error.to_string().ends_with("nothing was changed"), "{text}: {error}");
        assert_eq!(everything(&conn), before, "{text}");
    }
}

#[test]
fn functions_of_the_application_are_called_once() {
    let conn = memory();
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    conn.create_scalar_function("mail", 0, FunctionFlags::SQLITE_UTF8, move |_| {
        *counted.lock().unwrap() += 1;
        Ok(1)
    })
    .unwrap();
    let first = Migration::sql(
        1,
        "t",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'x');",
    );
    let text = "-- landfall: no-transaction
        CREATE TABLE n(id INTEGER PRIMARY KEY, a, sent); INSERT INTO n SELECT id, a, Mail() FROM t;
        DROP TABLE t; ALTER TABLE n RENAME TO t;";
    Migrator::from_migrations([first, Migration::sql(2, "new", text)]).apply(&conn).unwrap();
    assert_eq!(*calls.lock().unwrap(), 1);
}

#[test]
fn mark_of_an_earlier_release_beside_a_holder_left_behind_has_none() {
    let conn = marked(Some("2026-01-01T00:00:00.000Z 1-1/1/1/-\n2/0/up/other"));
    // The holder is of another mark, so that nothing is known of this one's process.
    let error = long().wait(Duration::from_millis(50)).apply(&conn).unwrap_err();
    let advice = error.advice().unwrap();
    assert!(advice.starts_with("make sure that the process that began it, is not"), "{advice}");
}

#[cfg(target_os = "linux")]
#[test]
fn is_current_beside_a_live_migration_is_busy() {
    let napping = Napping::begin("WAL");
    let conn = napping.open();
    let error = long().is_current(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error:?}");
    let error = long().plan(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error:?}");
    assert!(napping.end().contains("applied 2"));
}

#[cfg(target_os = "linux")]
#[test]
fn start_that_does_not_wait_knows_a_dead_holder() {
    let napping = Napping::begin("WAL");
    let conn = napping.open();
    napping.signal("-KILL");
    let Napping { folder: _folder, mut child } = napping;
    child.wait().unwrap();
    let error = long().wait(Duration::ZERO).apply(&conn).unwrap_err();
    let advice = error.advice().unwrap();
    assert!(advice.starts_with("look at the database; then call `repair`"), "{advice}");
}

#[test]
fn deferred_key_broken_by_a_statement_tells_its_place() {
    let conn = memory();
    conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    let text = "-- landfall: no-transaction
CREATE TABLE p(id INTEGER PRIMARY KEY);
CREATE TABLE c(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO c VALUES (1);";
    let migrator = Migrator::from_migrations([Migration::sql(1, "keys", text)]);
    let error = migrator.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ForeignKeys { .. }), "{error:?}");
    let told = "foreign keys are broken by 1_keys at line 4, column 1: ";
    assert!(error.to_string().starts_with(told), "{error}");
    assert!(format!("{error:#}").contains("--> 1_keys:4:1"), "{error:#}");
}
