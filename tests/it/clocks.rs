//! Leases go by the clock, and clocks are put back and forward: each row of a backfill is done once
//! all the same, and a process that lost its lease while it was stopped ends well.

use std::path::PathBuf;
use std::process::Command;

use landfall::rusqlite::Connection;

use crate::backfills::{ROWS, assert_each_once, child, items, slugs, wait_for, with};
use crate::stage::{MODES, empty_file};
use crate::support::one;

/// A worker that has done two batches and waits, until `lose` has made it lose its lease and another
/// process has done the rest.
fn loses_its_lease(mode: &str, variables: &[(&str, String)], lose: impl Fn(&Connection, u32)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    empty_file(&path, mode);
    let conn = Connection::open(&path).unwrap();
    items(ROWS).apply(&conn).unwrap();
    let slow = dir.path().join("slow");
    let mut all = vec![
        ("LANDFALL_DIE_AT", "2".to_owned()),
        ("LANDFALL_SLOW", slow.to_str().unwrap().to_owned()),
    ];
    all.extend_from_slice(variables);
    let mut worker = child(&path, &all);
    wait_for(&mut worker, &slow);
    lose(&conn, worker.id());
    let report = with(items(ROWS), slugs()).apply(&conn).unwrap();
    assert_eq!(report.backfills.len(), 1, "{mode}: {report}");
    std::fs::remove_file(&slow).unwrap();
    signal("-CONT", worker.id());
    assert!(worker.wait().unwrap().success(), "{mode}");
    assert_each_once(&conn, ROWS, mode);
    assert_eq!(one(&conn, "SELECT state FROM schema_seeds"), "done");
    let history = "SELECT count(*) FROM schema_history WHERE action = 'backfill'";
    assert_eq!(one(&conn, history), "1");
}

#[cfg(unix)]
fn signal(signal: &str, process: u32) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

#[cfg(not(unix))]
fn signal(_signal: &str, _process: u32) {}

/// As if so much time had passed since the worker took its lease, or its clock were wrong by it.
fn moved(conn: &Connection, by: &str) {
    let sql = "UPDATE schema_seeds SET state = 'running ' ||
                   strftime('%Y-%m-%dT%H:%M:%fZ', substr(state, 9, 24), ?1) || substr(state, 33)";
    assert_eq!(conn.execute(sql, [by]).unwrap(), 1);
}

#[test]
fn worker_whose_lease_ran_out_does_no_row_twice() {
    for mode in MODES {
        for by in ["-1 day", "+1 day", "+100 years"] {
            loses_its_lease(mode, &[], |conn, _| moved(conn, by));
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn worker_that_was_stopped_past_its_lease_ends_well() {
    for mode in MODES {
        loses_its_lease(mode, &[], |conn, process| {
            signal("-STOP", process);
            while !std::fs::read_to_string(format!("/proc/{process}/stat"))
                .unwrap()
                .contains(") T ")
            {
                std::thread::yield_now();
            }
            moved(conn, "-1 day");
        });
    }
}

/// Where it is installed, as Debian's package of that name has it.
fn libfaketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let mut files = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    files.find(|file| file.exists())
}

#[test]
fn worker_whose_clock_is_a_day_off_does_no_row_twice() {
    let Some(library) = libfaketime() else {
        println!("skipped: libfaketime is not installed");
        return;
    };
    for mode in MODES {
        for off in ["-1d", "+1d"] {
            let variables = [
                ("LD_PRELOAD", library.to_str().unwrap().to_owned()),
                ("FAKETIME", off.to_owned()),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ];
            loses_its_lease(mode, &variables, |conn, _| {
                let said = "SELECT substr(state, 9, 10) <> date('now') FROM schema_seeds";
                assert_eq!(one(conn, said), "1", "the clock is not off");
            });
        }
    }
}
