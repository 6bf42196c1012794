//! A backfill does each row once, in batches, however often it is stopped or killed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall::rusqlite::config::DbConfig;
use landfall::rusqlite::{self, Connection, Transaction};
use landfall::{
    Backfill, Batch, ErrorKind, Event, Failures, HeldBack, Migration, Migrator, Report, Seed,
    SeedState, Seeds, Stop, Target, UserTriggers, Version,
};

use crate::stage::{MODES, again, dies_at_step, empty_file, variable};
use crate::support::{cause, everything, memory, one, rows, set};

/// A table of so many rows, and a trigger that counts how often each is updated.
pub fn items(count: u32) -> Migrator {
    Migrator::from_migrations([Migration::sql(
        1,
        "item",
        format!(
            "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, slug TEXT);
             CREATE TABLE hit(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
             CREATE TRIGGER counts AFTER UPDATE ON item BEGIN
                 INSERT INTO hit VALUES (new.id, 1) ON CONFLICT DO UPDATE SET n = n + 1;
             END;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT INTO item(id, name) SELECT i, 'Item ' || i FROM n WHERE {count} > 0;"
        ),
    )])
}

/// Its batches grow by rows alone, from 100 on and twice as many each time: none takes an hour.
pub fn slugs() -> Backfill {
    Backfill::update("slugs", "item", "slug = lower(name)", "slug IS NULL")
        .total("SELECT count(*) FROM item WHERE slug IS NULL")
        .batch_time(Duration::from_secs(3600))
        .pause(Duration::ZERO)
}

pub fn with(migrator: Migrator, backfill: Backfill) -> Migrator {
    migrator.seeds(Seeds::new().backfill(backfill))
}

pub fn assert_each_once(conn: &Connection, count: u32, what: &str) {
    let once = "SELECT count(*), min(n), max(n) FROM hit";
    assert_eq!(one(conn, once), format!("{count}|1|1"), "{what}");
    assert_eq!(one(conn, "SELECT count(*) FROM item WHERE slug IS NULL"), "0", "{what}");
}

fn fine<T>(value: T) -> rusqlite::Result<T> {
    Ok(value)
}

fn state(conn: &Connection) -> String {
    one(
        conn,
        "SELECT substr(state, 1, 7) || ' ' || ifnull(cursor, '-') || ' ' || done FROM schema_seeds",
    )
}

/// A function that does a row at a time by its id, and fails where it is told.
fn by_id(tx: &Transaction<'_>, after: Option<i64>, bad: i64) -> rusqlite::Result<Option<i64>> {
    let after = after.unwrap_or(0);
    let next = "SELECT min(id) FROM item WHERE id > ?1";
    let Some(id) = tx.query_row(next, [after], |row| row.get::<_, Option<i64>>(0))? else {
        return Ok(None);
    };
    tx.execute("UPDATE item SET slug = lower(name) WHERE id = ?1", [id])?;
    if id == bad { Err(rusqlite::Error::InvalidQuery) } else { Ok(Some(id)) }
}

/// As above, as many rows as it is told to do.
pub fn sized(
    tx: &Transaction<'_>,
    after: Option<i64>,
    batch: &Batch,
    bad: &[i64],
) -> rusqlite::Result<Option<i64>> {
    let mut next = tx.prepare("SELECT id FROM item WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let ids = next.query_map((after.unwrap_or(0), batch.limit()), |row| row.get::<_, i64>(0))?;
    let mut last = None;
    for id in ids {
        let id = id?;
        batch.at(id);
        tx.execute("UPDATE item SET slug = lower(name) WHERE id = ?1", [id])?;
        if bad.contains(&id) {
            return Err(rusqlite::Error::InvalidQuery);
        }
        batch.did(1);
        last = Some(id);
    }
    Ok(last)
}

#[test]
fn every_row_is_done_once_and_a_finished_one_costs_no_second_look() {
    let row = Backfill::new("slugs", |tx: &Transaction<'_>, after| by_id(tx, after, -1));
    let sized = Backfill::sized("slugs", |tx: &Transaction<'_>, after, batch: &Batch| {
        sized(tx, after, batch, &[])
    });
    for backfill in [row, sized, slugs()] {
        let conn = memory();
        let migrator = with(items(1234), backfill);
        let report = migrator.apply(&conn).unwrap();
        let done = &report.backfills[0];
        assert!(done.is_finished && done.batches > 1, "{report}");
        assert_each_once(&conn, 1234, &report.to_string());
        let history = "SELECT count(*) FROM schema_history WHERE action = 'backfill'";
        assert_eq!(one(&conn, history), "1");
        assert!(migrator.is_current(&conn).unwrap());
        assert!(migrator.apply(&conn).unwrap().is_noop());
        assert_eq!(migrator.status(&conn).unwrap().seeds[0].state, SeedState::Done);
        // One query, and no lock: a database that nobody may write is told to be current.
        conn.execute_batch("PRAGMA query_only = ON").unwrap();
        assert!(migrator.apply(&conn).unwrap().is_noop());
    }
}

#[test]
fn progress_is_told_with_the_total_counted_once() {
    let conn = memory();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = told.clone();
    let migrator = with(items(1000), slugs()).on_event(move |event| {
        if let Event::Backfill { name, progress, rate, left, .. } = event {
            assert_eq!(*name, "slugs");
            assert!(*rate > 0.0 && left.is_some());
            tells.lock().unwrap().push((progress.done, progress.total));
        }
    });
    migrator.apply(&conn).unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told.first(), Some(&(100, Some(1000))));
    assert_eq!(told.last(), Some(&(1000, Some(1000))));
    assert_eq!(one(&conn, "SELECT done || ' ' || total FROM schema_seeds"), "1000 1000");
}

/// Tables of every kind that a key can have, each with 500 rows, and what to set.
const TABLES: [(&str, &str); 9] = [
    ("CREATE TABLE t(id INTEGER PRIMARY KEY, v, n DEFAULT 0)", "i * 7 - 900"),
    ("CREATE TABLE t(id, v, n DEFAULT 0)", "'k' || (i % 3)"),
    ("CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, v, n DEFAULT 0)", "'k' || (i * 31 % 500)"),
    ("CREATE TABLE t(id TEXT PRIMARY KEY, v, n DEFAULT 0)", "nullif('k' || i, 'k' || (i / 2 * 2))"),
    ("CREATE TABLE t(id REAL PRIMARY KEY, v, n DEFAULT 0) WITHOUT ROWID", "i / 3.0"),
    (
        "CREATE TABLE t(id BLOB, v, n DEFAULT 0, PRIMARY KEY (id, v)) WITHOUT ROWID",
        "zeroblob(i % 4)",
    ),
    (
        "CREATE TABLE t(id NOT NULL, v NOT NULL, n DEFAULT 0, PRIMARY KEY (id, v))",
        "'a;b:' || i % 5",
    ),
    ("CREATE TABLE t(id INTEGER, v, n DEFAULT 0, rowid, oid)", "i % 2"),
    ("CREATE TABLE t(rowid INTEGER PRIMARY KEY, id, _rowid_, oid, v, n DEFAULT 0)", "i"),
];

#[test]
fn an_update_walks_every_kind_of_table() {
    for (table, id) in TABLES {
        let conn = memory();
        let sql = format!(
            "{table}; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO t(id, v) SELECT {id}, 'v' || i FROM n;"
        );
        // Killed after each batch: the cursor is read back from the row every time.
        let add = Backfill::update("add", "T", "n = n + 1", "v <> 'v17'").batch_at_most(37);
        let migrator = with(set(&[(1, "t", sql.leak(), "")]), add.budget(Duration::ZERO));
        let mut starts = 0;
        while !migrator.is_current(&conn).unwrap() {
            migrator.apply(&conn).unwrap();
            starts += 1;
            assert!(starts < 50, "{table}");
        }
        assert_eq!(starts, 14, "{table}");
        let counted = "SELECT n, count(*) FROM t GROUP BY n ORDER BY n";
        assert_eq!(rows(&conn, counted), ["0|1", "1|499"], "{table}");
        assert_eq!(one(&conn, "SELECT done FROM schema_seeds"), "499", "{table}");
    }
}

#[test]
fn an_empty_table_is_done_at_once() {
    let conn = memory();
    let report = with(items(0), slugs()).apply(&conn).unwrap();
    assert_eq!((report.backfills[0].batches, report.backfills[0].progress.done), (1, 0));
    let conn = memory();
    let nothing = Backfill::new("n", |_: &Transaction<'_>, _: Option<i64>| fine(None));
    let report = with(items(3), nothing).apply(&conn).unwrap();
    assert!(report.backfills[0].is_finished);
}

#[test]
fn a_budget_ends_a_start_and_the_next_one_goes_on() {
    let conn = memory();
    let migrator = with(items(1000), slugs().budget(Duration::ZERO));
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(
        report.held[0].to_string(),
        "slugs: over its budget, 100 of 1000 rows; the next start goes on with it"
    );
    assert!(
        report.to_string().contains("went on with slugs: 100 of 1000 rows, 1 batch"),
        "{report}"
    );
    assert_eq!(state(&conn), "running 100 100");
    assert!(!migrator.is_current(&conn).unwrap());
    let status = migrator.status(&conn).unwrap();
    assert_eq!(status.seeds[0].state, SeedState::Running);
    assert_eq!(status.seeds[0].note.as_deref(), Some("100 of 1000 rows"));
    let mut starts = 1;
    while !migrator.is_current(&conn).unwrap() {
        starts += 1;
        migrator.apply(&conn).unwrap();
    }
    assert_eq!(starts, 10);
    assert_each_once(&conn, 1000, "in ten starts");
}

#[test]
fn a_start_does_not_wait_for_what_is_deferred_and_does_not_call_it_done() {
    let conn = memory();
    let later = Seed::new("later", |tx: &Transaction<'_>| {
        tx.execute("CREATE TABLE later(x)", []).map(drop)
    });
    let seeds = Seeds::new().backfill(slugs().deferred()).add(later.after("slugs"));
    let migrator = items(500).seeds(seeds);
    for _ in 0..2 {
        let report = migrator.apply(&conn).unwrap();
        assert!(matches!(report.held[0].why, HeldBack::Deferred { .. }));
        assert_eq!(report.held[1].to_string(), "later: waits for slugs");
        let noop = report.is_noop();
        assert!(!noop || report.to_string().starts_with("nothing to do now\n"), "{report}");
        assert!(
            report.to_string().contains("not run: slugs: deferred, 0 rows; `run_backfills`"),
            "{report}"
        );
        assert_eq!(one(&conn, "SELECT count(*) FROM schema_state WHERE key = 'seal'"), "0");
    }
    assert!(migrator.plan(&conn).unwrap().to_string().contains("not run: slugs: deferred"));
    let report = migrator.run_backfills(&conn).unwrap();
    assert_each_once(&conn, 500, &report.to_string());
    assert!(!migrator.is_current(&conn).unwrap(), "the seed after it has not run");
    assert_eq!(migrator.apply(&conn).unwrap().seeds.len(), 1);
    assert!(migrator.apply(&conn).unwrap().is_noop());
    assert!(migrator.run_backfills(&conn).unwrap().is_noop());
}

#[test]
fn backfills_alone_need_a_current_schema_and_seal_it_in_the_end() {
    let conn = memory();
    let migrator = with(items(10), slugs().deferred());
    let error = migrator.run_backfills(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotCurrent { .. }), "{error}");
    migrator.apply(&conn).unwrap();
    migrator.run_backfills(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_state WHERE key = 'seal'"), "1");
    conn.execute_batch("BEGIN").unwrap();
    assert!(matches!(migrator.run_backfills(&conn).unwrap_err().kind(), ErrorKind::InTransaction));
}

#[test]
fn a_handle_stops_between_two_batches_and_it_can_go_on() {
    let conn = memory();
    let stop = Stop::new();
    let (handle, batches) = (stop.clone(), AtomicU64::new(0));
    let migrator = with(items(5000), slugs().deferred());
    migrator.apply(&conn).unwrap();
    let stopping = migrator.clone().stop_on(&stop).on_event(move |event| {
        if matches!(event, Event::Backfill { .. }) && batches.fetch_add(1, Ordering::Relaxed) == 1 {
            handle.stop();
        }
    });
    let report = stopping.run_backfills(&conn).unwrap();
    assert_eq!(report.held[0].to_string(), "slugs: stopped, 300 of 5000 rows");
    assert_eq!(state(&conn), "running 300 300");
    assert!(stopping.run_backfills(&conn).unwrap().is_noop());
    migrator.run_backfills(&conn).unwrap();
    assert_each_once(&conn, 5000, "stopped once");
}

#[test]
fn a_row_that_fails_is_found_and_named_and_those_before_it_stay() {
    let refuse = "CREATE TRIGGER refuses BEFORE UPDATE ON item WHEN new.id = 777
                  BEGIN SELECT RAISE(ABORT, 'not this one'); END;";
    let functions: [(Backfill, &str, Option<&str>); 2] = [
        (
            Backfill::new("slugs", |tx: &Transaction<'_>, after| by_id(tx, after, 777)),
            "the row after cursor 776",
            None,
        ),
        (
            Backfill::sized("slugs", |tx: &Transaction<'_>, after, batch: &Batch| {
                sized(tx, after, batch, &[777])
            }),
            "row 777",
            Some("777"),
        ),
    ];
    let update = (slugs(), "row 777", Some("777"));
    for (backfill, place, row) in functions.into_iter().chain([update]) {
        let is_update = format!("{backfill:?}").contains("first: 100") && row.is_some();
        let conn = memory();
        items(1000).apply(&conn).unwrap();
        if is_update {
            conn.execute_batch(refuse).unwrap();
        }
        let migrator = with(items(1000), backfill);
        let error = migrator.apply(&conn).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("backfill slugs failed at {place}; ")),
            "{error}"
        );
        assert!(error.to_string().contains("are done and stay so"), "{error}");
        let ErrorKind::Backfill { row: named, .. } = error.kind() else { panic!("{error}") };
        assert_eq!(named.as_deref(), row);
        assert_eq!(one(&conn, "SELECT cursor FROM schema_seeds"), "776");
        assert_eq!(one(&conn, "SELECT count(*), max(n) FROM hit"), "776|1");
        assert_eq!(
            error.report().unwrap().backfills[0].rows,
            rows(&conn, "SELECT done FROM schema_seeds")[0].parse::<u64>().unwrap()
        );
        assert!(!cause(&error).is_empty());
    }
}

#[test]
fn rows_that_fail_are_skipped_where_that_is_said_and_listed() {
    let bad = [1, 13, 14, 500, 1000];
    let refuse =
        "CREATE TRIGGER refuses BEFORE UPDATE ON item WHEN new.id IN (1, 13, 14, 500, 1000)
                  BEGIN SELECT RAISE(ABORT, 'not this one'); END;";
    let told = Backfill::sized("slugs", move |tx: &Transaction<'_>, after, batch: &Batch| {
        sized(tx, after, batch, &bad)
    });
    for (backfill, refuse) in [(told, ""), (slugs(), refuse)] {
        let conn = memory();
        items(1000).apply(&conn).unwrap();
        conn.execute_batch(refuse).unwrap();
        let migrator = with(items(1000), backfill.on_failure(Failures::Skip));
        let report = migrator.apply(&conn).unwrap();
        assert_eq!(report.backfills[0].skipped, 5, "{report}");
        assert_eq!(report.warnings, ["backfill slugs skipped 5 rows: see schema_skipped"]);
        let keys = rows(&conn, "SELECT key FROM schema_skipped WHERE name = 'slugs' ORDER BY key");
        assert_eq!(keys, ["1", "13", "14", "500", "1000"]);
        assert_eq!(one(&conn, "SELECT count(*), max(n) FROM hit"), "995|1");
        assert!(migrator.apply(&conn).unwrap().is_noop());
    }
    let blind = Backfill::new("slugs", |tx: &Transaction<'_>, after| by_id(tx, after, 3));
    let error = with(items(5), blind.on_failure(Failures::Skip)).check().unwrap_err();
    assert!(error.to_string().contains("does not say which row it is at"), "{error}");
}

#[test]
fn a_row_that_takes_everything_back_or_breaks_a_key_is_found_as_well() {
    let rolls_back = "CREATE TRIGGER rolls_back BEFORE UPDATE ON item WHEN new.id = 333
                      BEGIN SELECT RAISE(ROLLBACK, 'all of it'); END;";
    let orphans = "CREATE TABLE parent(id INTEGER PRIMARY KEY);
                   CREATE TABLE child(id INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);
                   CREATE TRIGGER orphans AFTER UPDATE ON item WHEN new.id = 333
                   BEGIN INSERT INTO child VALUES (1); END;";
    for (harm, why) in [(rolls_back, "all of it"), (orphans, "foreign keys are broken by")] {
        let conn = memory();
        items(1000).apply(&conn).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        conn.execute_batch(harm).unwrap();
        let error = with(items(1000), slugs()).apply(&conn).unwrap_err();
        assert!(
            error.to_string().starts_with("backfill slugs failed at row 333; 332 of 1000"),
            "{error}"
        );
        assert!(cause(&error).contains(why), "{error:?}");
        let skips = with(items(1000), slugs().on_failure(Failures::Skip));
        assert_eq!(skips.apply(&conn).unwrap().backfills[0].skipped, 1);
        assert_eq!(one(&conn, "SELECT count(*), max(n) FROM hit"), "999|1");
    }
}

#[test]
fn an_interrupt_or_a_full_disk_is_no_rows_fault_and_it_goes_on_afterwards() {
    let conn = memory();
    let handle = conn.get_interrupt_handle();
    let interrupted = AtomicU64::new(0);
    let interrupts = Backfill::new("slugs", move |tx: &Transaction<'_>, after| {
        if after == Some(500) && interrupted.fetch_add(1, Ordering::Relaxed) == 0 {
            let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
            interrupted_at(tx, long, &handle)?;
        }
        by_id(tx, after, -1)
    });
    let migrator = with(items(1000), interrupts.on_failure(Failures::Stop));
    let error = migrator.apply(&conn).unwrap_err();
    assert!(error.to_string().starts_with("backfill slugs failed; "), "{error}");
    assert_eq!(cause(&error), "interrupted");
    migrator.apply(&conn).unwrap();
    assert_each_once(&conn, 1000, "interrupted");

    let conn = memory();
    items(20_000).apply(&conn).unwrap();
    let pages: u32 = one(&conn, "PRAGMA page_count").parse().unwrap();
    conn.execute_batch(&format!("PRAGMA max_page_count = {}", pages + 20)).unwrap();
    let full = with(items(20_000), slugs().on_failure(Failures::Skip));
    let error = full.apply(&conn).unwrap_err();
    assert_eq!(cause(&error), "database or disk is full");
    assert!(error.to_string().starts_with("backfill slugs failed; "), "{error}");
    assert!(conn.is_autocommit());
    conn.execute_batch("PRAGMA max_page_count = 1000000").unwrap();
    let report = full.apply(&conn).unwrap();
    assert_eq!(report.backfills[0].skipped, 0);
    assert_each_once(&conn, 20_000, "after the disk was full");
}

/// Interrupts from beside until it takes effect.
fn interrupted_at(
    tx: &Transaction<'_>,
    sql: &str,
    handle: &rusqlite::InterruptHandle,
) -> rusqlite::Result<i64> {
    std::thread::scope(|scope| {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        scope.spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                handle.interrupt();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let result = tx.query_row(sql, [], |row| row.get(0));
        over.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn a_row_of_several_key_columns_is_named_by_all_of_them() {
    let sql = "CREATE TABLE t(a, b, v CHECK (v IS NOT 'bad2'), PRIMARY KEY (a, b)) WITHOUT ROWID;
               INSERT INTO t VALUES ('x', 1, 'v'), ('x', 2, 'v'), ('y', 1, 'v');";
    let migrator = set(&[(1, "t", sql, "")]);
    let bad = Backfill::update("bad", "t", "v = 'bad' || b", "");
    let conn = memory();
    let error = with(migrator.clone(), bad.clone()).apply(&conn).unwrap_err();
    assert!(error.to_string().starts_with("backfill bad failed at row ('x', 2); 1 row"), "{error}");
    with(migrator, bad.on_failure(Failures::Skip)).apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT v FROM t ORDER BY a, b"), ["bad1", "v", "bad1"]);
}

fn triggers_fire(conn: &Connection) -> bool {
    conn.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER).unwrap()
}

#[test]
fn triggers_are_suppressed_where_that_is_said_and_never_for_longer() {
    for triggers in [UserTriggers::Fire, UserTriggers::Suppress] {
        let conn = memory();
        with(items(300), slugs().triggers(triggers)).apply(&conn).unwrap();
        let hits = if triggers == UserTriggers::Fire { "300" } else { "0" };
        assert_eq!(one(&conn, "SELECT count(*) FROM hit"), hits);
        assert!(triggers_fire(&conn));
    }
    for harm in ["fail", "panic", "commit", "rollback"] {
        let conn = memory();
        let backfill = Backfill::new("slugs", move |tx: &Transaction<'_>, after| {
            match (after, harm) {
                (None, _) => return by_id(tx, after, -1),
                (_, "panic") => panic!("on purpose"),
                (_, "commit") => tx.execute_batch("COMMIT")?,
                (_, "rollback") => tx.execute_batch("ROLLBACK")?,
                _ => return Err(rusqlite::Error::InvalidQuery),
            }
            by_id(tx, after, -1)
        });
        let migrator = with(items(10), backfill.triggers(UserTriggers::Suppress));
        let result = catch_unwind(AssertUnwindSafe(|| migrator.apply(&conn).map(drop)));
        assert!(!matches!(result, Ok(Ok(()))), "{harm}");
        assert!(triggers_fire(&conn) && conn.is_autocommit(), "{harm}");
        assert_eq!(one(&conn, "SELECT cursor FROM schema_seeds"), "1", "{harm}");
        assert_eq!(
            one(&conn, "SELECT count(*) FROM item WHERE slug IS NULL"),
            if harm == "rollback" { "8" } else { "9" },
            "{harm}"
        );
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        with(items(10), slugs().revision(2).triggers(UserTriggers::Suppress)).apply(&conn).unwrap();
        assert!(!triggers_fire(&conn), "a setting of the caller's own was changed");
    }
}

#[test]
fn a_higher_revision_starts_again_from_the_beginning() {
    let conn = memory();
    with(items(50), slugs()).apply(&conn).unwrap();
    let again = Backfill::update("slugs", "item", "slug = slug", "").revision(2);
    assert_eq!(with(items(50), again).apply(&conn).unwrap().backfills[0].rows, 50);
    assert_eq!(one(&conn, "SELECT revision || state FROM schema_seeds"), "2done");
    // A program of before that finds it done.
    assert!(with(items(50), slugs()).apply(&conn).unwrap().is_noop());
}

#[test]
fn a_cursor_may_be_text() {
    let conn = memory();
    let names = Backfill::new("names", |tx: &Transaction<'_>, after: Option<String>| {
        let next = "SELECT min(name) FROM item WHERE name > ?1";
        let name: Option<String> =
            tx.query_row(next, [after.unwrap_or_default()], |row| row.get(0))?;
        if let Some(name) = &name {
            tx.execute("UPDATE item SET slug = lower(name) WHERE name = ?1", [name])?;
        }
        fine(name)
    });
    let migrator = with(items(40), names.batch_at_most(1).budget(Duration::ZERO));
    migrator.apply(&conn).unwrap();
    assert_eq!(state(&conn), "running Item 1 1".replace("1 1", "1 2"));
    while !migrator.is_current(&conn).unwrap() {
        migrator.apply(&conn).unwrap();
    }
    assert_each_once(&conn, 40, "by name");
}

/// What cannot go on is refused, and nothing of the batch stays.
fn refused(migrator: &Migrator, backfill: Backfill, begins: &str, why: &str) {
    let conn = memory();
    migrator.apply(&conn).unwrap();
    let before = one(&conn, "SELECT group_concat(id || ifnull(slug, '-')) FROM item");
    let error = with(migrator.clone(), backfill).apply(&conn).unwrap_err();
    assert!(error.to_string().starts_with(begins), "{error}");
    assert!(format!("{error:?}").contains(why), "{error:?}");
    assert_eq!(one(&conn, "SELECT group_concat(id || ifnull(slug, '-')) FROM item"), before);
    assert!(conn.is_autocommit());
}

#[test]
fn a_cursor_that_does_not_advance_is_refused() {
    let stays = Backfill::new("stays", |tx: &Transaction<'_>, after: Option<i64>| {
        tx.execute("UPDATE item SET slug = id WHERE id = 1", [])?;
        fine(Some(after.unwrap_or(7)))
    });
    let conn = memory();
    let error = with(items(9), stays).apply(&conn).unwrap_err();
    assert!(
        error.to_string().starts_with("backfill stays does not advance: its cursor stays at 7"),
        "{error}"
    );
    assert!(conn.is_autocommit());

    let circles =
        Backfill::sized("circles", |_: &Transaction<'_>, after: Option<i64>, _: &Batch| {
            fine(Some((after.unwrap_or(0) + 1) % 100))
        });
    let error = with(items(9), circles).apply(&memory()).unwrap_err();
    assert!(error.to_string().contains("goes round in circles"), "{error}");
}

#[test]
fn a_batch_that_moves_its_rows_ahead_of_the_cursor_is_refused() {
    let set = |sql: &'static str| Backfill::update("moves", "item", sql, "");
    for sql in ["id = id + 1000", "slug = 'x', ID = 1", "(slug, \"id\") = (1, 2)", "_rowid_ = 1"] {
        refused(
            &items(9),
            set(sql),
            "backfill moves failed; nothing",
            "part of the key that it walks by",
        );
    }
    let moves =
        Backfill::sized("moves", |tx: &Transaction<'_>, after: Option<i64>, batch: &Batch| {
            let after = after.unwrap_or(0);
            let moved = tx.execute("UPDATE item SET id = id + 1000 WHERE id > ?1", [after])?;
            batch.did(moved as u64);
            fine(Some(after + 1000))
        });
    let conn = memory();
    let backfill = moves.total("SELECT count(*) FROM item").pause(Duration::ZERO);
    let error = with(items(900), backfill).apply(&conn).unwrap_err();
    assert!(error.to_string().starts_with("backfill moves does not end: "), "{error}");
}

/// A function that touches each row by the time of its last change, which that moves ahead.
fn by_time(tx: &Transaction<'_>, after: Option<i64>, size: u32) -> rusqlite::Result<Option<i64>> {
    let after = after.unwrap_or(0);
    let last = "SELECT max(at) FROM (SELECT at FROM item WHERE at > ?1 ORDER BY at LIMIT ?2)";
    let last = tx.query_row(last, (after, size), |row| row.get::<_, Option<i64>>(0))?;
    let Some(last) = last else { return Ok(None) };
    tx.execute("UPDATE item SET at = at + 1000 WHERE at > ?1 AND at <= ?2", (after, last))?;
    Ok(Some(last))
}

fn stamped(logs: &str) -> Migrator {
    let trigger =
        "CREATE TRIGGER logs AFTER UPDATE ON item BEGIN INSERT INTO log VALUES (new.id); END;";
    Migrator::from_migrations([Migration::sql(
        1,
        "item",
        format!(
            "CREATE TABLE item(id INTEGER PRIMARY KEY, at INTEGER NOT NULL);
             CREATE TABLE log(id INTEGER);
             {}
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
             INSERT INTO item SELECT i, i FROM n;",
            if logs.is_empty() { "" } else { trigger }
        ),
    )])
}

#[test]
fn a_function_that_chases_its_own_rows_comes_to_an_end() {
    for logs in ["", "logs"] {
        let chases = Backfill::sized("chases", |tx: &Transaction<'_>, after, batch: &Batch| {
            by_time(tx, after, batch.limit())
        });
        let conn = memory();
        let migrator = with(stamped(logs), chases.pause(Duration::ZERO));
        let error = migrator.apply(&conn).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("backfill chases does not end: it has changed "), "{text}");
        assert!(text.contains("are done and stay so, nothing else was changed"), "{text}");
        let advice = format!("{error:#}");
        assert!(advice.contains("must not change the column that its cursor goes by"), "{advice}");
        assert_eq!(one(&conn, "SELECT state FROM schema_seeds"), "running");
    }
}

#[test]
fn an_import_of_more_rows_than_there_were_is_not_taken_for_a_chase() {
    let conn = memory();
    let import =
        Backfill::sized("import", |tx: &Transaction<'_>, after: Option<i64>, _: &Batch| {
            let after = after.unwrap_or(0);
            tx.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
             INSERT INTO log SELECT i FROM n",
                [],
            )?;
            fine((after < 10).then_some(after + 1))
        });
    let report = with(stamped(""), import.pause(Duration::ZERO)).apply(&conn).unwrap();
    assert_eq!(report.backfills[0].rows, 330_000);
}

#[test]
fn a_table_that_grows_while_it_is_filled_is_filled_to_its_end() {
    let conn = memory();
    let migrator = with(items(200), slugs().budget(Duration::ZERO));
    migrator.apply(&conn).unwrap();
    conn.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
         INSERT INTO item(name) SELECT 'More' FROM n;",
    )
    .unwrap();
    let report = with(items(200), slugs()).apply(&conn).unwrap();
    assert_eq!(report.backfills[0].rows, 30_100, "{report}");
    assert_each_once(&conn, 30_200, "a grown table");
}

#[test]
fn what_a_backfill_cannot_work_on_is_refused_by_name() {
    let update = |table: &'static str, set: &'static str, filter: &'static str| {
        Backfill::update("wrong", table, set, filter).on_failure(Failures::Skip)
    };
    let begins = "backfill wrong failed; nothing was changed";
    for (backfill, why) in [
        (update("gone", "slug = 1", ""), "there is no table `gone`"),
        (update("item", "slugg = 1", ""), "no such column: slugg"),
        (update("item", "slug = 1; DELETE FROM item", ""), "more than a part of one statement"),
        (update("item", "slug = ?1", ""), "nothing to bind"),
        (update("item", "slug = 1", "id > ?"), "nothing to bind"),
    ] {
        refused(&items(9), backfill.clone(), begins, why);
    }
    for (backfill, why) in [
        (slugs().batch(0), "a batch of no rows never ends"),
        (slugs().batch_time(Duration::ZERO), "a batch cannot take no time"),
        (update(" ", "slug = 1", ""), "it names no table"),
        (update("item", "", ""), "it sets nothing"),
    ] {
        let error = with(items(9), backfill).check().unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let counted = slugs().total("SELECT count(*) FROM nowhere");
    refused(
        &items(9),
        counted,
        "backfill slugs failed counting its rows",
        "no such table: nowhere",
    );
}

#[test]
fn a_table_that_is_removed_on_the_way_is_named_and_nothing_is_lost() {
    let conn = memory();
    let migrator = with(items(500), slugs().budget(Duration::ZERO).on_failure(Failures::Skip));
    migrator.apply(&conn).unwrap();
    conn.execute_batch("ALTER TABLE item RENAME TO items").unwrap();
    let error = migrator.apply(&conn).unwrap_err();
    assert_eq!(cause(&error), "there is no table `item`");
    assert!(error.to_string().contains("100 of 500 rows are done and stay so"), "{error}");
    conn.execute_batch("ALTER TABLE items RENAME TO item").unwrap();
    with(items(500), slugs()).apply(&conn).unwrap();
    assert_each_once(&conn, 500, "after the table was away");
}

#[test]
fn a_cursor_of_another_type_than_stored_is_refused() {
    let conn = memory();
    with(items(500), slugs().budget(Duration::ZERO)).apply(&conn).unwrap();
    let before = everything(&conn);
    let text = Backfill::new("slugs", |_: &Transaction<'_>, after: Option<String>| fine(after));
    let error = with(items(500), text).apply(&conn).unwrap_err();
    assert_eq!(
        cause(&error),
        "the cursor stored is an integer, and the function takes another type"
    );
    assert_eq!(everything(&conn).replace(&state(&conn), ""), before.replace(&state(&conn), ""));
}

#[test]
fn a_name_is_a_seeds_or_a_backfills() {
    let seed = || Seed::new("slugs", |_: &Transaction<'_>| fine(()));
    let both = items(1).seeds(Seeds::new().add(seed()).backfill(slugs()));
    let error = both.check().unwrap_err();
    assert!(error.to_string().contains("a seed and a backfill are both called `slugs`"), "{error}");
    let conn = memory();
    items(1).seeds(Seeds::new().add(seed())).apply(&conn).unwrap();
    let error = with(items(1), slugs()).apply(&conn).unwrap_err();
    assert!(
        error.to_string().contains("has the name of a seed that has run on this database"),
        "{error}"
    );
    let conn = memory();
    with(items(1), slugs()).apply(&conn).unwrap();
    let error = items(1).seeds(Seeds::new().add(seed())).apply(&conn).unwrap_err();
    assert!(error.to_string().contains("has the name of a backfill that has run"), "{error}");
}

#[test]
fn a_read_only_database_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    items(10).apply(&Connection::open(&path).unwrap()).unwrap();
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let conn = Connection::open_with_flags(&path, flags).unwrap();
    let migrator = with(items(10), slugs());
    for error in [migrator.apply(&conn).unwrap_err(), migrator.run_backfills(&conn).unwrap_err()] {
        assert!(matches!(error.kind(), ErrorKind::ReadOnly { .. }), "{error}");
    }
    // What is deferred is not in a reader's way.
    with(items(10), slugs().deferred()).apply(&conn).unwrap();
}

#[test]
fn an_optional_backfill_that_fails_is_a_warning() {
    let conn = memory();
    let bad = Backfill::new("bad", |tx: &Transaction<'_>, after| by_id(tx, after, 3)).optional();
    let migrator = with(items(5), bad);
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(report.warnings.len(), 1);
    assert!(matches!(report.held[0].why, HeldBack::Failed { .. }));
    assert!(!migrator.is_current(&conn).unwrap());
}

/// Version 2 wants the slugs done, version 3 is beside the point.
fn gated(count: u32) -> Migrator {
    items(count)
        .with(Migration::sql(
            2,
            "not_null",
            "-- landfall: requires backfill slugs
             CREATE TABLE later AS SELECT slug FROM item;",
        ))
        .with(Migration::sql(3, "more", "CREATE TABLE more(x)"))
}

#[test]
fn a_migration_that_requires_a_backfill_is_applied_after_it() {
    let everything_new = |backfill: Backfill| {
        let conn = memory();
        let report = with(gated(300), backfill).apply(&conn).unwrap();
        assert_eq!((report.applied.len(), report.backfills.len()), (3, 1), "{report}");
        assert_eq!(one(&conn, "SELECT count(slug) FROM later"), "300");
        assert_each_once(&conn, 300, "on the way up");
        assert!(with(gated(300), slugs()).is_current(&conn).unwrap());
    };
    everything_new(slugs());
    everything_new(slugs().deferred());

    let conn = memory();
    with(gated(300), slugs()).apply_to(&conn, Target::Version(Version::from(1))).unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_seeds"), "0");
    let plan = with(gated(300), slugs()).plan(&conn).unwrap().to_string();
    assert!(plan.contains("after the backfill slugs"), "{plan}");
    with(gated(300), slugs()).apply(&conn).unwrap();
    assert_each_once(&conn, 300, "from version 1 on");
}

#[test]
fn a_migration_whose_backfill_is_over_budget_is_refused_with_how_far_it_is() {
    let conn = memory();
    let small = with(gated(500), slugs().budget(Duration::ZERO));
    let error = small.apply(&conn).unwrap_err();
    assert!(
        error.to_string().starts_with(
            "migration 2_not_null requires the backfill slugs, which has not come to its end \
             (100 of 500 rows); what came before stays"
        ),
        "{error}"
    );
    assert!(error.advice().unwrap().contains("start again to go on with it"));
    assert_eq!(one(&conn, "SELECT max(version) FROM schema_migrations"), "1");
    for _ in 0..3 {
        small.apply(&conn).unwrap_err();
    }
    let report = small.apply(&conn).unwrap();
    assert_eq!(report.applied.len(), 2, "{report}");
    assert_each_once(&conn, 500, "in five starts");
}

#[test]
fn a_backfill_that_a_migration_waits_for_can_be_finished_in_the_background() {
    let conn = memory();
    let slow = with(gated(500), slugs().budget(Duration::ZERO).deferred());
    assert!(slow.apply(&conn).is_err());
    let stop = Stop::new();
    stop.stop();
    let report = slow.clone().stop_on(&stop).run_backfills(&conn).unwrap();
    assert!(report.is_noop(), "{report}");
    let report = slow.run_backfills(&conn).unwrap();
    assert_eq!(report.backfills[0].rows, 400);
    assert!(matches!(slow.run_backfills(&conn).unwrap_err().kind(), ErrorKind::NotCurrent { .. }));
    assert_eq!(slow.apply(&conn).unwrap().applied.len(), 2);
    assert!(slow.apply(&conn).unwrap().is_noop());
}

#[test]
fn a_backfill_that_is_required_and_not_registered_is_refused() {
    let conn = memory();
    let error = gated(5).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the seeds are not sound: 2_not_null requires the backfill `slugs`, which is not \
         registered; nothing was changed"
    );
    let late = with(gated(5), slugs().after("seed"));
    let seed = Seed::new("seed", |_: &Transaction<'_>| fine(()));
    let error = late
        .seeds(Seeds::new().add(seed).backfill(slugs().after("seed")))
        .apply(&conn)
        .unwrap_err();
    assert!(error.to_string().contains("which comes after seed, and that is not done"), "{error}");
    let down = items(5)
        .with(Migration::sql(2, "x", "SELECT 1").down("-- landfall: requires backfill slugs"));
    assert!(down.check().unwrap_err().to_string().contains("has no place in a down script"));
}

pub const ROWS: u32 = 100_000;
/// A child that is to be killed does so many batches at most.
const AT_WORK: u64 = 6;

/// Not a test: what a child process does that is to be killed.
#[test]
fn a_child_that_fills() {
    let Some(path) = variable("LANDFALL_FILLS") else { return };
    let at = variable("LANDFALL_DIE_AT").map_or(u64::MAX, |text| text.parse().unwrap());
    let lease = variable("LANDFALL_LEASE").map_or(10_000, |text| text.parse().unwrap());
    let mut conn = Connection::open(path).unwrap();
    // What a killed process has written, the next one sees, synced or not.
    conn.execute_batch("PRAGMA synchronous = OFF").unwrap();
    dies_at_step(&mut conn, 100);
    let batches = AtomicU64::new(0);
    let backfill = slugs().batch_at_most(500).lease(Duration::from_millis(lease));
    with(items(ROWS), backfill)
        .on_event(move |event| {
            if !matches!(event, Event::Backfill { .. }) {
                return;
            }
            let batch = batches.fetch_add(1, Ordering::Relaxed) + 1;
            match variable("LANDFALL_SLOW").map(PathBuf::from) {
                // Waits between two batches for as long as the file is there.
                Some(file) if batch == at => {
                    std::fs::write(&file, "").unwrap();
                    while file.exists() {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                None if batch == at => std::process::abort(),
                _ => {}
            }
            // Says that it is at work, goes on for some batches, and then waits to be killed.
            if let Some(file) = variable("LANDFALL_AT_WORK") {
                std::fs::write(file, "").unwrap();
                if batch == AT_WORK {
                    loop {
                        std::thread::park();
                    }
                }
            }
        })
        .apply(&conn)
        .unwrap();
}

/// Waits until a child has written a file.
pub fn wait_for(child: &mut std::process::Child, file: &Path) {
    while !file.exists() {
        assert!(child.try_wait().unwrap().is_none(), "the child ended before it wrote {file:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn child(path: &Path, more: &[(&str, String)]) -> std::process::Child {
    let mut variables = vec![("LANDFALL_FILLS", path.to_str().unwrap().to_owned())];
    variables.extend_from_slice(more);
    again("backfills::a_child_that_fills", &variables)
}

/// That what is in the database is what its cursor says, whatever that is.
fn assert_cursor_tells_the_truth(conn: &Connection, what: &str) {
    assert_eq!(one(conn, "PRAGMA quick_check"), "ok", "{what}");
    let said = "SELECT ifnull(max(done), 0), ifnull(max(cursor), 0) FROM schema_seeds";
    let found = "SELECT count(*), ifnull(max(id), 0) FROM hit";
    if !one(conn, "SELECT count(*) FROM schema_seeds WHERE state = 'done'").eq("1") {
        assert_eq!(one(conn, said), one(conn, found), "{what}");
    }
    assert_eq!(one(conn, "SELECT ifnull(max(n), 1) FROM hit"), "1", "{what}");
}

#[test]
fn killed_again_and_again_every_row_is_done_once() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        empty_file(&path, mode);
        let conn = Connection::open(&path).unwrap();
        items(ROWS).apply(&conn).unwrap();
        // Together these do fewer rows than there are: each child dies before the end.
        for round in 0_u64..24 {
            let lease = ("LANDFALL_LEASE", "1".to_owned());
            let status = match round % 4 {
                // In a batch, at a step of SQLite's; right after a batch; by another process.
                0 | 2 => {
                    let step = 100 + 151 * (round % 23);
                    child(&path, &[lease, ("LANDFALL_DIE_AT_STEP", step.to_string())]).wait()
                }
                1 => {
                    child(&path, &[lease, ("LANDFALL_DIE_AT", (1 + round % 3).to_string())]).wait()
                }
                _ => {
                    let file = dir.path().join(format!("at-work-{round}"));
                    let at_work = ("LANDFALL_AT_WORK", file.to_str().unwrap().to_owned());
                    let mut child = child(&path, &[lease, at_work]);
                    wait_for(&mut child, &file);
                    child.kill().unwrap();
                    child.wait()
                }
            };
            let what = format!("{mode}, round {round}");
            assert_cursor_tells_the_truth(&conn, &what);
            assert!(!status.unwrap().success(), "{what}: {}", state(&conn));
        }
        println!("{mode}: killed 24 times, {}", state(&conn));
        assert!(child(&path, &[]).wait().unwrap().success());
        let report = with(items(ROWS), slugs()).apply(&conn).unwrap();
        assert!(report.is_noop(), "{report}");
        assert_each_once(&conn, ROWS, mode);
        let history = "SELECT count(*) FROM schema_history WHERE action = 'backfill'";
        assert_eq!(one(&conn, history), "1");
    }
}

#[test]
fn of_several_processes_one_fills_and_the_others_go_on_until_it_dies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    empty_file(&path, "WAL");
    let conn = Connection::open(&path).unwrap();
    items(ROWS).apply(&conn).unwrap();
    let slow = dir.path().join("slow");
    let mut holder = child(
        &path,
        &[
            ("LANDFALL_DIE_AT", "2".to_owned()),
            ("LANDFALL_SLOW", slow.to_str().unwrap().to_owned()),
            ("LANDFALL_LEASE", "50000".to_owned()),
        ],
    );
    wait_for(&mut holder, &slow);
    let migrator = with(items(ROWS), slugs().lease(Duration::from_millis(50)));
    let report = migrator.apply(&conn).unwrap();
    assert!(matches!(report.held[0].why, HeldBack::Elsewhere { .. }), "{report}");
    assert!(report.to_string().contains("slugs: another process is at it, "), "{report}");
    assert!(report.backfills.is_empty());
    assert!(!migrator.is_current(&conn).unwrap());
    holder.kill().unwrap();
    holder.wait().unwrap();
    let before: u64 = one(&conn, "SELECT done FROM schema_seeds").parse().unwrap();
    // Nobody says any more that it is alive, and its time runs out: as if that had passed.
    let past = "UPDATE schema_seeds
                SET state = 'running 2000-01-01T00:00:00.000Z' || substr(state, 33)";
    conn.execute(past, []).unwrap();
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(report.backfills[0].rows, u64::from(ROWS) - before, "{report}");
    assert_each_once(&conn, ROWS, "taken over");
}

#[test]
fn going_on_with_a_backfill_makes_no_backup_and_keeps_nobody_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let backups = dir.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    let conn = Connection::open(&path).unwrap();
    items(1000).apply(&conn).unwrap();
    let backup = landfall::Backup::to_dir(&backups);
    let slugs = || slugs().lease(Duration::from_millis(100));
    // It has something of its own to do, and makes a backup before.
    let extra = Seed::new("extra", |tx: &Transaction<'_>| {
        tx.execute("INSERT INTO item(id, name, slug) VALUES (0, 'Extra', 'extra')", []).map(drop)
    });
    let other = items(1000).seeds(Seeds::new().add(extra).backfill(slugs()));
    let other = other.backup(backup.clone()).wait(Duration::from_millis(500));
    let (at, seen) = (path.clone(), Arc::new(AtomicU64::new(0)));
    let count = seen.clone();
    let migrator =
        with(items(1000), slugs().budget(Duration::ZERO)).backup(backup).on_event(move |event| {
            if matches!(event, Event::Backfill { .. }) {
                // Another process starts while this one is at it; its sentinel says so until late.
                let other = other.apply(&Connection::open(&at).unwrap());
                count.fetch_add(u64::from(other.is_ok()), Ordering::Relaxed);
            }
        });
    migrator.apply(&conn).unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    with(items(1000), slugs()).backup(landfall::Backup::to_dir(&backups)).apply(&conn).unwrap();
    let made = std::fs::read_dir(&backups).unwrap().filter_map(Result::ok);
    let made = made.filter(|file| file.file_name().to_string_lossy().starts_with("app.db")).count();
    assert_eq!(made, 2);
    assert_each_once(&conn, 1000, "with a backup");
}

#[test]
fn a_start_does_not_wait_out_anothers_pause() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    empty_file(&path, "WAL");
    let conn = Connection::open(&path).unwrap();
    items(1000).apply(&conn).unwrap();
    let stop = Stop::new();
    let rests = slugs().lease(Duration::from_millis(50)).pause(Duration::from_secs(3600));
    let (at, resting) = (path.clone(), with(items(1000), rests.clone()).stop_on(&stop));
    let thread =
        std::thread::spawn(move || resting.run_backfills(&Connection::open(at).unwrap()).unwrap());
    while one(&conn, "SELECT count(*) FROM schema_seeds WHERE done > 0") == "0" {
        std::thread::sleep(Duration::from_millis(2));
    }
    let report = with(items(1000), rests).apply(&conn).unwrap();
    assert!(matches!(report.held[0].why, HeldBack::Elsewhere { .. }), "{report}");
    stop.stop();
    assert!(matches!(thread.join().unwrap().held[0].why, HeldBack::Stopped { .. }));
    with(items(1000), slugs()).apply(&conn).unwrap();
    assert_each_once(&conn, 1000, "after a pause");
}

#[test]
fn after_a_panic_the_next_start_goes_on_at_once() {
    let conn = memory();
    let panics = Backfill::new("slugs", |tx: &Transaction<'_>, after| match after {
        Some(_) => panic!("on purpose"),
        None => by_id(tx, after, -1),
    });
    let migrator = with(items(10), panics.lease(Duration::from_secs(3600)));
    assert!(catch_unwind(AssertUnwindSafe(|| migrator.apply(&conn).map(drop))).is_err());
    assert_eq!(state(&conn), "running 1 2");
    assert_eq!(one(&conn, "SELECT state FROM schema_seeds"), "running");
    with(items(10), slugs()).apply(&conn).unwrap();
    assert_each_once(&conn, 10, "after a panic");
}

#[test]
fn eight_at_once_do_each_row_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    empty_file(&path, "WAL");
    let count = 5000;
    items(count).apply(&Connection::open(&path).unwrap()).unwrap();
    let fill = || {
        let conn = Connection::open(&path).unwrap();
        with(items(count), slugs().batch_at_most(50)).run_backfills(&conn).unwrap()
    };
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(fill)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let rows: u64 = reports.iter().flat_map(|report| &report.backfills).map(|b| b.rows).sum();
    assert_eq!(rows, u64::from(count));
    assert_each_once(&Connection::open(&path).unwrap(), count, "eight at once");
}

#[test]
fn others_write_while_it_runs_and_the_log_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    empty_file(&path, "WAL");
    let conn = Connection::open(&path).unwrap();
    items(ROWS).apply(&conn).unwrap();
    conn.execute_batch("CREATE TABLE note(x)").unwrap();
    let (over, written) = (AtomicBool::new(false), Arc::new(AtomicU64::new(0)));
    let (counted, seen) = (written.clone(), written.clone());
    let log = Arc::new(AtomicU64::new(0));
    let (largest, wal) = (log.clone(), dir.path().join("app.db-wal"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = Connection::open(&path).unwrap();
            writer.busy_timeout(Duration::from_secs(3600)).unwrap();
            while !over.load(Ordering::Relaxed) {
                writer.execute("INSERT INTO note VALUES (1)", []).unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let migrator = with(items(ROWS), slugs()).on_event(move |event| {
            let size = std::fs::metadata(&wal).map_or(0, |wal| wal.len());
            largest.fetch_max(size, Ordering::Relaxed);
            // The lock is free between two batches: the other one gets it before the next.
            let before = seen.load(Ordering::Relaxed);
            while matches!(event, Event::Backfill { .. }) && seen.load(Ordering::Relaxed) == before
            {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let result = migrator.run_backfills(&conn);
        over.store(true, Ordering::Relaxed);
        assert!(result.unwrap().backfills[0].batches >= 8);
    });
    println!(
        "{} writes, a log of up to {} bytes",
        written.load(Ordering::Relaxed),
        log.load(Ordering::Relaxed)
    );
    assert!(written.load(Ordering::Relaxed) >= 8);
    assert!(log.load(Ordering::Relaxed) < 24 << 20);
    assert_each_once(&conn, ROWS, "beside a writer");
}
