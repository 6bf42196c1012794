//! A process killed at any point: the next start completes, and everything happened once.

use std::path::Path;
use std::time::Duration;

use landfall::rusqlite::Connection;
use landfall::rusqlite::functions::FunctionFlags;
use landfall::{ErrorKind, Migration, Migrator, State, Version};

use crate::stage::{
    MODES, again, assert_counted_once, assert_ledger_tells_the_truth, counting, dies_at_event,
    dies_at_step, empty_file, transactions, variable,
};
use crate::support::{one, rows};

/// Not a test: what a child process does that is to be killed. It ends well only if it passes.
#[test]
fn a_child_to_be_killed() {
    let Some(path) = variable("LANDFALL_KILLED_AT") else { return };
    let mut conn = Connection::open(path).unwrap();
    dies_at_step(&mut conn, 1);
    counting()
        .transactions(transactions(&variable("LANDFALL_TRANSACTIONS").unwrap()))
        .on_event(dies_at_event())
        .apply(&conn)
        .unwrap();
}

/// A file that a child is killed at, and what the next start makes of it.
fn killed(mode: &str, together: &str, how: &str, kill: impl Fn(&Path) -> bool) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    empty_file(&path, mode);
    let passed = kill(&path);
    let what = format!("{mode}, {together}, {how}");
    let conn = Connection::open(&path).unwrap();
    assert_ledger_tells_the_truth(&conn, &what);
    if together == "Together" && one(&conn, "SELECT count(*) FROM sqlite_master") != "0" {
        assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations"), "12", "{what}");
    }
    let report = counting().transactions(transactions(together)).apply(&conn).unwrap();
    assert!(report.is_noop() || !passed, "{what}: {report}");
    assert_counted_once(&conn, &what);
    assert!(counting().transactions(transactions(together)).is_current(&conn).unwrap());
    passed
}

fn child(path: &Path, together: &str, more: &[(&str, String)]) -> std::process::Child {
    let mut variables = vec![
        ("LANDFALL_KILLED_AT", path.to_str().unwrap().to_owned()),
        ("LANDFALL_TRANSACTIONS", together.to_owned()),
    ];
    variables.extend_from_slice(more);
    again("killed::a_child_to_be_killed", &variables)
}

/// Aborts a child at the n-th of what the variable names, n = 1, then every `stride`-th, until one
/// passes. Returns how many did not.
fn aborted_everywhere(mode: &str, together: &str, variable: &str, stride: usize) -> usize {
    let passes = |n: &usize| {
        killed(mode, together, &format!("{variable} {n}"), |path| {
            let status = child(path, together, &[(variable, n.to_string())]).wait().unwrap();
            status.success()
        })
    };
    (1..).step_by(stride).take_while(|n| !passes(n)).count()
}

#[test]
fn a_process_that_dies_at_any_event_is_made_up_for() {
    for mode in MODES {
        let together = aborted_everywhere(mode, "Together", "LANDFALL_DIE_AT_EVENT", 1);
        let each = aborted_everywhere(mode, "Each", "LANDFALL_DIE_AT_EVENT", 1);
        println!("{mode}: dead at {together} events in one transaction, at {each} in several");
        assert!(together >= 30 && each >= 41, "{together}, {each}");
    }
}

#[test]
fn a_process_that_dies_at_any_step_of_sqlite_is_made_up_for() {
    for (mode, together, stride) in [
        ("DELETE", "Together", 97),
        ("DELETE", "Each", 499),
        ("WAL", "Together", 211),
        ("WAL", "Each", 503),
    ] {
        let died = aborted_everywhere(mode, together, "LANDFALL_DIE_AT_STEP", stride);
        println!("{mode}, {together}: dead at {died} steps");
        assert!(died >= 15, "{died}");
    }
}

#[test]
fn a_process_that_is_killed_at_any_time_is_made_up_for() {
    for (mode, together) in
        [("DELETE", "Together"), ("DELETE", "Each"), ("WAL", "Together"), ("WAL", "Each")]
    {
        let mut alive = 0;
        for delay in 0..14 {
            let passed = killed(mode, together, &format!("after {delay}"), |path| {
                let mut child = child(path, together, &[]);
                std::thread::sleep(Duration::from_micros(1500 * delay));
                child.kill().unwrap();
                child.wait().unwrap().success()
            });
            alive += usize::from(passed);
        }
        println!("{mode}, {together}: {alive} of 14 were done before they were killed");
    }
}

/// `die()` ends the process where `LANDFALL_DIE` says so; elsewhere it is 0.
fn mortal(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    let dies = variable("LANDFALL_DIE").is_some();
    let die = move |_: &landfall::rusqlite::functions::Context<'_>| {
        if dies {
            std::process::abort();
        }
        Ok(0)
    };
    conn.create_scalar_function("die", 0, FunctionFlags::SQLITE_UTF8, die).unwrap();
    conn
}

fn outside() -> Migrator {
    Migrator::from_migrations([
        Migration::sql(1, "log", "CREATE TABLE log(who TEXT NOT NULL)"),
        Migration::sql(
            2,
            "outside",
            "-- landfall: no-transaction
             INSERT INTO log VALUES ('before');
             INSERT INTO log SELECT 'at' || die();
             INSERT INTO log VALUES ('after');",
        ),
        Migration::sql(3, "last", "INSERT INTO log VALUES ('last')"),
    ])
}

/// Not a test: dies in the middle of a migration that runs outside a transaction.
#[test]
fn a_child_that_dies_outside_a_transaction() {
    let Some(path) = variable("LANDFALL_DIE") else { return };
    outside().apply(&mortal(path.as_ref())).unwrap();
}

fn interrupted_outside(mode: &str) -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    empty_file(&path, mode);
    let variables = [("LANDFALL_DIE", path.to_str().unwrap().to_owned())];
    let status = again("killed::a_child_that_dies_outside_a_transaction", &variables).wait();
    assert!(!status.unwrap().success());
    let conn = mortal(&path);
    for _ in 0..2 {
        let error = outside().wait(Duration::from_millis(150)).apply(&conn).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Interrupted { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "migration 2 (outside), which runs outside a transaction, was interrupted: of it, the \
             first statement finished and the second may have; nothing was changed"
        );
        assert_eq!(
            error.advice(),
            Some(
                "look at the database; then call `repair` with a reason to run it again from its \
                 start, or `baseline` with its version to take it as done"
            )
        );
        assert_eq!(rows(&conn, "SELECT who FROM log"), ["before"]);
        let states: Vec<State> =
            outside().status(&conn).unwrap().migrations.iter().map(|m| m.state).collect();
        assert_eq!(states, [State::Applied, State::Interrupted, State::Pending]);
    }
    (dir, conn)
}

#[test]
fn what_was_interrupted_outside_a_transaction_runs_again_only_when_repaired() {
    for mode in MODES {
        let (_dir, conn) = interrupted_outside(mode);
        outside().repair(&conn, "the one row may be there twice").unwrap();
        let report = outside().apply(&conn).unwrap();
        assert_eq!(report.applied.len(), 2, "{report}");
        assert_eq!(
            rows(&conn, "SELECT who FROM log"),
            ["before", "before", "at0", "after", "last"]
        );
        assert!(outside().apply(&conn).unwrap().is_noop());
    }
}

#[test]
fn what_was_interrupted_outside_a_transaction_can_be_taken_as_done() {
    for mode in MODES {
        let (_dir, conn) = interrupted_outside(mode);
        outside().baseline(&conn, Version::from(2)).unwrap();
        let report = outside().apply(&conn).unwrap();
        assert_eq!(report.applied.len(), 1, "{report}");
        assert_eq!(rows(&conn, "SELECT who FROM log"), ["before", "last"]);
        assert!(outside().apply(&conn).unwrap().is_noop());
    }
}
