//! A ledger is taken over wholly or not at all, whoever is killed or interrupted at it, and once,
//! however many start.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use landfall::rusqlite::{Connection, ErrorCode};
use landfall::{Adopt, Adoption, Backup, Event, Migrator, Seeds};

use crate::adopt::{DBMATE, GOLANG_MIGRATE, NUMBERS, SQLX, database, fill, migrator};
use crate::interrupted::{copied, interrupted_at};
use crate::stage::{MODES, again, dies_at_event, dies_at_step, empty_file, settings, variable};
use crate::support::{one, rows};

/// Theirs and ours, with one migration and a seed that are pending.
fn taking(adopt: impl Into<Adoption>) -> Migrator {
    let seeds =
        Seeds::new().ensure("note", |tx| tx.execute("INSERT INTO note VALUES ('n')", []).map(drop));
    migrator(NUMBERS).adopt(adopt).seeds(seeds)
}

const LEDGERS: [(&str, Adopt); 2] = [(SQLX, Adopt::Sqlx), (DBMATE, Adopt::Dbmate)];

/// Everything in the database but the times at which something was done, and how often the schema
/// was changed.
fn state(conn: &Connection) -> String {
    let mut out = String::new();
    for table in rows(conn, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1") {
        let columns = format!(
            "SELECT '\"' || name || '\"' FROM pragma_table_info('{table}')
             WHERE name NOT IN ('applied_at', 'took_us', 'at', 'started_at', 'finished_at')"
        );
        let columns = match table.as_str() {
            "schema_state" => "key, CASE key WHEN 'untouched' THEN '' ELSE value END".to_owned(),
            _ => rows(conn, &columns).join(", "),
        };
        for row in rows(conn, &format!("SELECT {columns} FROM \"{table}\"")) {
            out.push_str(&format!("{table}: {row}\n"));
        }
    }
    out.push_str(&rows(conn, "SELECT type || name FROM sqlite_master ORDER BY 1").join("\n"));
    out
}

/// What another connection sees at the start and after each commit.
fn stages(ledger: &str, migrator: &Migrator) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stages.db");
    let conn = Connection::open(&path).unwrap();
    fill(&conn, ledger);
    let seen = Arc::new(Mutex::new(vec![state(&conn)]));
    let told = {
        let seen = Arc::clone(&seen);
        migrator.clone().on_event(move |event| {
            if matches!(event, Event::Committed | Event::SeedFinished { .. }) {
                seen.lock().unwrap().push(state(&Connection::open(&path).unwrap()));
            }
        })
    };
    told.apply(&conn).unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.last(), Some(&state(&conn)));
    seen
}

/// Closely where the takeover is written, and at every step with `LANDFALL_EVERY_STEP` in the
/// environment, which takes minutes.
#[test]
fn never_in_between_when_interrupted_at_any_step() {
    let all = std::env::var_os("LANDFALL_EVERY_STEP").is_some();
    let ways = LEDGERS.map(|(ledger, adopt)| (ledger, adopt.trusting(), 37));
    let proved = LEDGERS.map(|(ledger, adopt)| (ledger, Adoption::from(adopt), 331));
    for (ledger, adopt, stride) in ways.into_iter().chain(proved) {
        let migrator = taking(adopt.clone());
        let stages = stages(ledger, &migrator);
        assert_eq!(stages.len(), 4, "the adoption, the migration, the seed");
        let template = database(ledger);
        let always = Arc::new(AtomicBool::new(true));
        let (mut n, mut points) = (1, [0; 4]);
        loop {
            let mut conn = copied(&template);
            let before = settings(&conn);
            let (result, reached) = interrupted_at(n, &mut conn, &always, |c| migrator.apply(c));
            assert!(conn.is_autocommit(), "step {n}: {result:?}");
            assert_eq!(settings(&conn), before, "step {n}: {result:?}");
            let now = state(&conn);
            let stage = stages.iter().position(|stage| *stage == now);
            let stage = stage.unwrap_or_else(|| panic!("step {n}: {result:?} left\n{now}"));
            points[stage] += 1;
            match result {
                Ok(_) => assert_eq!(stage, 3),
                Err(error) => {
                    let told = error.report().is_some_and(|report| report.adopted.is_some());
                    assert_eq!(told, stage > 0, "step {n}: {error:?}");
                    migrator.apply(&conn).unwrap();
                    assert_eq!(state(&conn), stages[3], "step {n}");
                }
            }
            if reached < n {
                break;
            }
            n += if all { 1 } else { stride };
        }
        println!("{adopt:?}: of {n} steps, {points:?} at the stages");
        assert!(points.iter().all(|points| *points > 0), "{points:?}");
    }
}

#[test]
fn a_disk_that_is_full_leaves_theirs_as_it_was() {
    for mode in MODES {
        for (ledger, adopt) in LEDGERS {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("app.db");
            empty_file(&path, mode);
            let conn = Connection::open(&path).unwrap();
            fill(&conn, ledger);
            let migrator = taking(adopt);
            let stages = stages(ledger, &migrator);
            let mut failures = 0;
            for pages in one(&conn, "PRAGMA page_count").parse::<u32>().unwrap().. {
                one(&conn, &format!("PRAGMA max_page_count = {pages}"));
                let Err(error) = migrator.apply(&conn) else { break };
                failures += 1;
                let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
                let mut full = false;
                while let Some(error) = cause {
                    let sqlite = error.downcast_ref::<landfall::rusqlite::Error>();
                    let code = sqlite.and_then(|error| error.sqlite_error_code());
                    full |= code == Some(ErrorCode::DiskFull);
                    cause = error.source();
                }
                assert!(full && conn.is_autocommit(), "{error:?}");
                assert!(stages.contains(&state(&conn)), "{mode}, {pages} pages: {error:?}");
            }
            assert!(failures >= 4, "{failures}");
            assert_eq!(state(&conn), stages[3]);
        }
    }
}

/// Not a test: what a child process does that is to be killed, or one of several that start at once.
#[test]
fn a_child_that_takes_over() {
    let Some(path) = variable("LANDFALL_TAKEN_AT") else { return };
    let mut conn = Connection::open(&path).unwrap();
    dies_at_step(&mut conn, 1);
    let path = Path::new(&path);
    if variable("LANDFALL_TOGETHER").is_some() {
        std::fs::write(path.with_extension(std::process::id().to_string()), "").unwrap();
        while !path.with_extension("go").exists() {
            thread::sleep(Duration::from_micros(200));
        }
    }
    let done = taking(Adopt::Auto).on_event(dies_at_event()).apply(&conn);
    if let Err(error) = done {
        std::fs::write(path.with_extension("error"), format!("{error:?}")).unwrap();
        panic!("{error:?}");
    }
}

#[test]
fn a_process_that_dies_at_any_point_is_made_up_for() {
    for (mode, ledger, adopt, variable, stride) in [
        ("DELETE", SQLX, Adopt::Sqlx, "LANDFALL_DIE_AT_EVENT", 1),
        ("WAL", DBMATE, Adopt::Dbmate, "LANDFALL_DIE_AT_EVENT", 1),
        ("DELETE", DBMATE, Adopt::Dbmate, "LANDFALL_DIE_AT_STEP", 397),
        ("WAL", SQLX, Adopt::Sqlx, "LANDFALL_DIE_AT_STEP", 431),
    ] {
        let stages = stages(ledger, &taking(adopt));
        let mut died = 0;
        for n in (1..).step_by(stride) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("app.db");
            empty_file(&path, mode);
            fill(&Connection::open(&path).unwrap(), ledger);
            let variables = [
                ("LANDFALL_TAKEN_AT", path.to_str().unwrap().to_owned()),
                (variable, n.to_string()),
            ];
            let passed =
                again("adopt_safe::a_child_that_takes_over", &variables).wait().unwrap().success();
            let conn = Connection::open(&path).unwrap();
            let now = state(&conn);
            assert!(stages.contains(&now), "{mode}, {variable} {n}:\n{now}");
            taking(adopt).apply(&conn).unwrap();
            assert_eq!(state(&conn), stages[3], "{mode}, {variable} {n}");
            if passed {
                break;
            }
            died += 1;
        }
        println!("{mode}, {variable}: died {died} times");
        assert!(died >= 5, "{mode}, {variable}: {died}");
    }
}

#[test]
fn eight_processes_take_over_once() {
    for mode in MODES {
        for (ledger, adopt) in [LEDGERS[0], LEDGERS[1], (GOLANG_MIGRATE, Adopt::GolangMigrate)] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("app.db");
            empty_file(&path, mode);
            fill(&Connection::open(&path).unwrap(), ledger);
            let variables = [
                ("LANDFALL_TAKEN_AT", path.to_str().unwrap().to_owned()),
                ("LANDFALL_TOGETHER", "yes".to_owned()),
            ];
            let start = || again("adopt_safe::a_child_that_takes_over", &variables);
            let mut children: Vec<_> = (0..8).map(|_| start()).collect();
            for child in &children {
                while !path.with_extension(child.id().to_string()).exists() {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            std::fs::write(path.with_extension("go"), "").unwrap();
            for child in &mut children {
                let why = || std::fs::read_to_string(path.with_extension("error"));
                assert!(child.wait().unwrap().success(), "{mode}, {adopt}: {:?}", why());
            }
            let conn = Connection::open(&path).unwrap();
            assert_eq!(state(&conn), *stages(ledger, &taking(adopt)).last().unwrap());
            let deeds = "SELECT action, count(*) FROM schema_history GROUP BY action";
            assert_eq!(rows(&conn, deeds), ["adopt|1", "apply|1", "seed|1"], "{mode}, {adopt}");
        }
    }
}

/// A file that was empty at the first look is the other tool's by the time that the lock is held.
#[test]
fn a_tool_that_comes_in_between_is_taken_over_all_the_same() {
    for (ledger, adopt) in LEDGERS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        let conn = Connection::open(&path).unwrap();
        let migrator = taking(adopt).on_event(move |event| {
            if matches!(event, Event::Planned { .. }) {
                fill(&Connection::open(&path).unwrap(), ledger);
            }
        });
        let report = migrator.apply(&conn).unwrap();
        assert_eq!(report.adopted.unwrap().migrations.len(), 3, "{adopt}");
        assert_eq!((report.applied.len(), report.seeds.len()), (1, 1), "{adopt}");
    }
    // With nothing applied what is to be done is the same, and their table is in the way.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let conn = Connection::open(&path).unwrap();
    let (create, _) = DBMATE.split_once("INSERT INTO").unwrap();
    let migrator = taking(Adopt::Dbmate).on_event(move |event| {
        if matches!(event, Event::Planned { .. }) {
            Connection::open(&path).unwrap().execute_batch(create).unwrap();
        }
    });
    let report = migrator.apply(&conn).unwrap();
    assert_eq!((report.adopted.unwrap().migrations.len(), report.applied.len()), (0, 4));
}

fn backups(dir: &tempfile::TempDir) -> Backup {
    let folder = dir.path().join("backups");
    std::fs::create_dir(&folder).unwrap();
    Backup::to_dir(folder)
}

/// What is written between the preview and the lock is seen under it.
#[test]
fn what_changes_before_the_lock_is_looked_at_again() {
    let changes = [
        // The other tool applies one more, takes one back, or somebody alters the schema.
        ("CREATE TABLE note(text TEXT); UPDATE schema_migrations SET version = 4", Ok(4)),
        ("ALTER TABLE person DROP COLUMN born; UPDATE schema_migrations SET version = 2", Ok(2)),
        ("CREATE TABLE extra(x)", Err("table `extra` should not be there")),
        ("UPDATE schema_migrations SET dirty = 1", Err("its `dirty` is 1")),
        ("UPDATE schema_migrations SET version = 2", Err("has a column `born` too many")),
    ];
    for (change, outcome) in changes {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        let conn = Connection::open(&path).unwrap();
        fill(&conn, GOLANG_MIGRATE);
        let done = AtomicBool::new(false);
        // The backup is made after the proof and before the lock.
        let migrator = migrator(NUMBERS)
            .adopt(Adopt::GolangMigrate)
            .backup(backups(&dir))
            .on_event(move |event| {
                if matches!(event, Event::Backup { .. }) && !done.swap(true, Ordering::Relaxed) {
                    Connection::open(&path).unwrap().execute_batch(change).unwrap();
                }
            });
        conn.execute_batch("PRAGMA journal_mode = WAL").unwrap_or_default();
        match (migrator.apply(&conn), outcome) {
            (Ok(report), Ok(count)) => {
                assert_eq!(report.adopted.unwrap().migrations.len(), count, "{change}");
                assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations"), "4");
            }
            (Err(error), Err(why)) => {
                assert!(error.to_string().contains(why), "{change}: {error}");
                let ours = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_history'";
                assert_eq!(one(&conn, ours), "0", "{change}");
            }
            (result, _) => panic!("{change}: {result:?}"),
        }
    }
}

#[test]
fn a_backup_is_made_before_anything_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("app.db")).unwrap();
    fill(&conn, SQLX);
    let before = state(&conn);
    let migrator = taking(Adopt::Sqlx).backup(backups(&dir));
    let report = migrator.apply(&conn).unwrap();
    let backup = report.backup.as_ref().and_then(|backup| backup.path()).unwrap();
    assert_eq!(state(&Connection::open(backup).unwrap()), before);
    assert_eq!(
        rows(&conn, "SELECT action FROM schema_history ORDER BY id")[..2],
        ["backup", "adopt"]
    );
}

#[test]
fn a_backup_from_before_is_taken_over_again_once_it_is_restored() {
    for (ledger, adopt) in LEDGERS {
        let dir = tempfile::tempdir().unwrap();
        let mut conn = Connection::open(dir.path().join("app.db")).unwrap();
        fill(&conn, ledger);
        let migrator = taking(adopt).backup(backups(&dir));
        let report = migrator.apply(&conn).unwrap();
        let backup = report.backup.as_ref().and_then(|backup| backup.path()).unwrap();
        migrator.restore(&mut conn, backup).unwrap();
        assert!(!migrator.is_current(&conn).unwrap());
        let report = migrator.apply(&conn).unwrap();
        assert_eq!(report.adopted.unwrap().tool, adopt);
        let actions = rows(&conn, "SELECT action FROM schema_history ORDER BY id");
        assert_eq!(actions, ["restore", "backup", "adopt", "apply", "seed"]);
        assert!(migrator.apply(&conn).unwrap().is_noop());
    }
}
