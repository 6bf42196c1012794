//! Seeds run once: wholly or not at all, in registered order, whatever they do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use landfall::rusqlite::{self, Connection, Transaction};
use landfall::{DataLoss, ErrorKind, Event, Migrator, SeedState, Seeds, Target, seeds};

use crate::support::{memory, one, rows, set};

fn roles() -> Migrator {
    set(&[(1, "role", "CREATE TABLE role(name TEXT)", "DROP TABLE role")])
}

fn ensure_admin(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute("INSERT INTO role VALUES ('admin')", []).map(drop)
}

mod nested {
    use super::*;

    pub fn ensure_member(tx: &Transaction<'_>) -> rusqlite::Result<()> {
        tx.execute("INSERT INTO role VALUES ('member')", []).map(drop)
    }
}

fn names(conn: &Connection) -> Vec<String> {
    rows(conn, "SELECT name FROM role ORDER BY rowid")
}

#[test]
fn seeds_run_once_in_registered_order_and_say_what_they_did() {
    let migrator = roles().seeds(seeds![ensure_admin, nested::ensure_member]);
    let conn = memory();
    let report = migrator.apply(&conn).unwrap();
    let done: Vec<_> = report.seeds.iter().map(|s| (s.name.as_str(), s.rows_changed)).collect();
    assert_eq!(done, [("admin", 1), ("member", 1)]);
    assert!(migrator.apply(&conn).unwrap().is_noop());
    assert_eq!(names(&conn), ["admin", "member"]);
    assert_eq!(
        rows(&conn, "SELECT name, revision, state, rows_changed FROM schema_seeds"),
        ["admin|1|done|1", "member|1|done|1"]
    );
    assert_eq!(
        rows(&conn, "SELECT name, detail FROM schema_history WHERE action = 'seed'"),
        ["admin|revision 1, 1 rows", "member|revision 1, 1 rows"]
    );
}

#[test]
fn a_seed_added_later_runs_alone() {
    let conn = memory();
    roles().seeds(seeds![ensure_admin]).apply(&conn).unwrap();
    let report = roles().seeds(seeds![nested::ensure_member, ensure_admin]).apply(&conn).unwrap();
    assert_eq!(report.seeds.len(), 1);
    assert_eq!(report.seeds[0].name, "member");
    assert_eq!(names(&conn), ["admin", "member"]);
}

#[test]
fn a_higher_revision_runs_again_and_a_lower_one_does_not() {
    let with =
        |revision| roles().seeds(Seeds::new().ensure_revision("admin", revision, ensure_admin));
    let conn = memory();
    with(2).apply(&conn).unwrap();
    with(1).apply(&conn).unwrap();
    assert_eq!(names(&conn).len(), 1);
    with(3).apply(&conn).unwrap();
    assert_eq!(names(&conn).len(), 2);
    assert_eq!(one(&conn, "SELECT revision FROM schema_seeds"), "3");
}

#[test]
fn deleting_a_sentinel_asks_for_its_seed_again() {
    let migrator = roles().seeds(seeds![ensure_admin, nested::ensure_member]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    conn.execute("DELETE FROM schema_seeds WHERE name = 'member'", []).unwrap();
    assert!(!migrator.is_current(&conn).unwrap());
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(report.seeds.len(), 1);
    assert_eq!(names(&conn), ["admin", "member", "member"]);
}

/// A seed that does harm after writing a row; then a mended registry on the same connection.
fn leaves_nothing_behind(
    harm: impl Fn(&Transaction<'_>) -> rusqlite::Result<()> + Send + Sync + 'static,
) -> String {
    let conn = memory();
    let bad = roles().seeds(Seeds::new().ensure("admin", move |tx: &Transaction<'_>| {
        ensure_admin(tx)?;
        harm(tx)
    }));
    let outcome = catch_unwind(AssertUnwindSafe(|| bad.apply(&conn).map(drop)));
    let text = match outcome {
        Ok(result) => format!("{:?}", result.unwrap_err()),
        Err(_) => "panicked".to_owned(),
    };
    assert!(conn.is_autocommit());
    assert_eq!(names(&conn), [""; 0], "{text}");
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_seeds"), "0");
    assert_eq!(rows(&conn, "SELECT name FROM temp.sqlite_master"), [""; 0]);
    let report = roles().seeds(seeds![ensure_admin]).apply(&conn).unwrap();
    assert_eq!(report.seeds.len(), 1);
    text
}

#[test]
fn a_seed_that_fails_leaves_nothing_behind() {
    let text =
        leaves_nothing_behind(|tx| tx.execute("INSERT INTO nowhere VALUES (1)", []).map(drop));
    assert!(
        text.starts_with(
            "seed admin failed; what came before stays (applied 1 role), nothing else was changed"
        ),
        "{text}"
    );
    assert!(text.contains("caused by: no such table: nowhere"), "{text}");
}

#[test]
fn a_seed_that_panics_leaves_nothing_behind() {
    assert_eq!(leaves_nothing_behind(|_| panic!("on purpose")), "panicked");
}

#[test]
fn a_seed_that_commits_by_itself_leaves_nothing_behind() {
    let text = leaves_nothing_behind(|tx| tx.execute_batch("COMMIT"));
    assert!(text.contains("FOREIGN KEY constraint failed"), "{text}");
}

#[test]
fn a_seed_that_rolls_back_by_itself_leaves_nothing_behind() {
    let text = leaves_nothing_behind(|tx| tx.execute_batch("ROLLBACK"));
    assert!(text.contains("the function ended the transaction that it was handed"), "{text}");
}

#[test]
fn a_seed_that_commits_where_foreign_keys_are_off_is_told_what_may_be_stored() {
    let conn = memory();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let bad = Seeds::new().ensure("admin", |tx: &Transaction<'_>| {
        ensure_admin(tx)?;
        tx.execute_batch("COMMIT")
    });
    let error = roles().seeds(bad).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "seed admin failed; it ended the transaction itself, and what it had written by then, or \
         has written since, may be stored; its sentinel is not"
    );
    assert!(conn.is_autocommit());
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_seeds"), "0");
}

#[test]
fn a_seed_may_drop_tables_and_check_keys() {
    let conn = memory();
    let seed = Seeds::new().ensure("staging", |tx: &Transaction<'_>| {
        tx.execute_batch(
            "CREATE TEMP TABLE staging(name); INSERT INTO staging VALUES ('x');
             INSERT INTO role SELECT name FROM staging; DROP TABLE staging;
             CREATE TABLE short(x); DROP TABLE short; SAVEPOINT s; RELEASE s;",
        )?;
        let wrong = tx.prepare("PRAGMA foreign_key_check")?.exists([])?;
        assert!(!wrong);
        Ok::<(), rusqlite::Error>(())
    });
    roles().seeds(seed).apply(&conn).unwrap();
    assert_eq!(names(&conn), ["x"]);
}

#[test]
fn seeds_before_a_failing_one_stay_and_are_reported() {
    let conn = memory();
    let registry = seeds![ensure_admin].ensure("broken", |_: &Transaction<'_>| {
        Err::<(), Box<dyn std::error::Error + Send + Sync>>("not today".into())
    });
    let error = roles().seeds(registry).apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Seed { name, .. } if name == "broken"));
    assert_eq!(error.report().unwrap().seeds[0].name, "admin");
    assert_eq!(
        error.to_string(),
        "seed broken failed; what came before stays (applied 1 role; seeded admin), nothing else \
         was changed"
    );
    assert_eq!(names(&conn), ["admin"]);
}

#[test]
fn seeds_wait_for_the_newest_schema() {
    let migrator = set(&[
        (1, "role", "CREATE TABLE role(name TEXT)", ""),
        (2, "index", "CREATE INDEX role_name ON role(name)", ""),
    ])
    .seeds(seeds![ensure_admin]);
    let conn = memory();
    assert!(migrator.apply_to(&conn, Target::Steps(1)).unwrap().seeds.is_empty());
    assert_eq!(migrator.apply_to(&conn, Target::Steps(1)).unwrap().seeds.len(), 1);
}

#[test]
fn going_back_to_nothing_forgets_the_seeds() {
    let migrator = roles().data_loss(DataLoss::Allow).seeds(seeds![ensure_admin]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    migrator.revert(&conn, Target::Empty).unwrap();
    migrator.apply(&conn).unwrap();
    assert_eq!(names(&conn), ["admin"]);
}

#[test]
fn a_registry_with_a_name_twice_is_refused_before_the_database_is_touched() {
    let conn = memory();
    let migrator = roles().seeds(seeds![ensure_admin, ensure_admin]);
    let error = migrator.apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the seeds are not sound: two seeds are called `admin`; nothing was changed"
    );
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master"), "0");
    assert!(migrator.check().is_err());
}

#[test]
fn a_sentinel_without_a_seed_is_left_alone_and_shown() {
    let conn = memory();
    roles().seeds(seeds![ensure_admin]).apply(&conn).unwrap();
    roles().apply(&conn).unwrap();
    let status = roles().status(&conn).unwrap();
    assert_eq!(status.seeds[0].state, SeedState::Unknown);
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_seeds"), "1");
}

#[test]
fn ten_boots_at_once_sow_once() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        let runs = std::sync::Arc::new(AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..10 {
                let (path, runs) = (path.clone(), runs.clone());
                scope.spawn(move || {
                    let registry = Seeds::new().ensure("admin", move |tx: &Transaction<'_>| {
                        runs.fetch_add(1, Ordering::SeqCst);
                        ensure_admin(tx)
                    });
                    let conn = Connection::open(path).unwrap();
                    roles().seeds(registry).apply(&conn).unwrap();
                });
            }
        });
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert_eq!(names(&Connection::open(&path).unwrap()), ["admin"]);
    }
}

#[test]
fn seeds_need_no_migration() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE t(x)").unwrap();
    let seeds = Seeds::new().ensure("s", |tx| tx.execute_batch("INSERT INTO t VALUES (1)"));
    let migrator = Migrator::from_migrations([]).seeds(seeds);
    assert_eq!(migrator.apply(&conn).unwrap().seeds.len(), 1);
    assert!(migrator.apply(&conn).unwrap().is_noop());
}

/// Steps of SQLite's virtual machine that so many seeds take on a new database.
fn steps_of_seeds(count: u64) -> u64 {
    let mut seeds = Seeds::new();
    for n in 0..count {
        let insert = |tx: &Transaction<'_>| tx.execute("INSERT INTO t VALUES (1)", []).map(drop);
        seeds = seeds.ensure(format!("seed{n:03}"), insert);
    }
    let migrator = set(&[(1, "t", "CREATE TABLE t(x)", "")]).seeds(seeds);
    let conn = &mut memory();
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    // From rusqlite 0.38 on it returns a result, from 0.41 on it wants the connection alone.
    let _ = conn.progress_handler(1, Some(count));
    migrator.apply(conn).unwrap();
    let _ = conn.progress_handler(0, None::<fn() -> bool>);
    steps.load(Ordering::Relaxed)
}

#[test]
fn steps_of_seeds_grow_linearly_with_their_number() {
    let [few, more, most] = [40, 80, 160].map(steps_of_seeds);
    let (first, second) = (more - few, most - more);
    // Each seed that reads all sentinels would make the second four times the first.
    assert!(second < 2 * first + first / 4, "{few}, {more}, {most}");
}

#[test]
fn sentinel_written_by_an_earlier_seed_or_another_process_is_heeded() {
    let mark = "INSERT INTO schema_seeds(name, revision, state) VALUES ('second', 1, 'done')";
    let count = |tx: &Transaction<'_>| tx.execute("INSERT INTO t VALUES (1)", []).map(drop);
    let by_seed = move |tx: &Transaction<'_>| tx.execute(mark, []).map(drop);
    let schema = || set(&[(1, "t", "CREATE TABLE t(x)", "")]);
    let conn = memory();
    let seeds =
        Seeds::new().ensure("first", by_seed).ensure("second", count).ensure("third", count);
    let report = schema().seeds(seeds).apply(&conn).unwrap();
    let names: Vec<&str> = report.seeds.iter().map(|seed| seed.name.as_str()).collect();
    assert_eq!(names, ["first", "third"]);
    assert_eq!(one(&conn, "SELECT count(*) FROM t"), "1");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let conn = Connection::open(&path).unwrap();
    let seeds = Seeds::new().ensure("first", count).ensure("second", count).ensure("third", count);
    let migrator = schema().seeds(seeds).on_event(move |event| {
        if let Event::SeedFinished { name: "first", .. } = event {
            Connection::open(&path).unwrap().execute(mark, []).unwrap();
        }
    });
    let report = migrator.apply(&conn).unwrap();
    let names: Vec<&str> = report.seeds.iter().map(|seed| seed.name.as_str()).collect();
    assert_eq!(names, ["first", "third"]);
    assert_eq!(one(&conn, "SELECT count(*) FROM t"), "2");
}
