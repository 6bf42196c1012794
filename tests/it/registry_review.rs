//! What an attacker of seeds and backfills has tried: interrupts at every step, stopped processes,
//! clocks that jump, odd keys, sentinels written by hand.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall::rusqlite::{self, Connection, Transaction};
use landfall::{
    Backfill, Batch, ErrorKind, Event, Failures, HeldBack, Migration, Migrator, Report, Result,
    RowPolicy, Rows, Seed, Seeds,
};

use crate::backfills::{ROWS, assert_each_once, child, items, sized, slugs, wait_for, with};
use crate::interrupted::{copied, interrupted_at};
use crate::registry::dir;
use crate::stage::{empty_file, settings};
use crate::support::{cause, dump, memory, one, rows, set};

fn nothing(_: &Transaction<'_>) -> rusqlite::Result<()> {
    Ok(())
}

/// What is stored, without times and names of processes.
fn look(conn: &Connection) -> String {
    let mut out = dump(conn);
    let there = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_seeds'";
    if one(conn, there) == "1" {
        let seeds = "SELECT name, revision, substr(state, 1, 7), cursor, done, total, rows_changed
                     FROM schema_seeds ORDER BY 1";
        out.push_str(&format!("{:?}\n", rows(conn, seeds)));
        let history = "SELECT action, name, detail FROM schema_history ORDER BY id";
        out.push_str(&format!("{:?}\n", rows(conn, history)));
        out.push_str(&one(conn, "SELECT count(*) FROM schema_state WHERE key = 'seal'"));
    }
    let there = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_skipped'";
    if one(conn, there) == "1" {
        out.push_str(&format!("{:?}", rows(conn, "SELECT name, key FROM schema_skipped")));
    }
    out
}

/// Interrupts at the n-th step, for every n with `stride` in between: what is left is a stage that
/// was committed, and the next run goes on from there.
fn never_in_between(
    template: &Connection,
    migrator: &Migrator,
    verb: impl Fn(&Migrator, &Connection) -> Result<Report>,
    stride: u64,
) -> (u64, usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stages.db");
    template.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
    let seen = Arc::new(Mutex::new(vec![look(&Connection::open(&path).unwrap())]));
    let told = {
        let (seen, path) = (seen.clone(), path.clone());
        migrator.clone().on_event(move |event| {
            if matches!(
                event,
                Event::Committed | Event::SeedFinished { .. } | Event::Backfill { .. }
            ) {
                let now = look(&Connection::open(&path).unwrap());
                let mut seen = seen.lock().unwrap();
                if seen.last() != Some(&now) {
                    seen.push(now);
                }
            }
        })
    };
    verb(&told, &Connection::open(&path).unwrap()).unwrap();
    let mut stages = seen.lock().unwrap().clone();
    let end = look(&Connection::open(&path).unwrap());
    if stages.last() != Some(&end) {
        stages.push(end.clone());
    }
    let always = Arc::new(AtomicBool::new(true));
    let stride = if std::env::var_os("LANDFALL_EVERY_STEP").is_some() { 1 } else { stride };
    let (mut n, mut points, mut latest) = (1, 0, 0);
    loop {
        let mut conn = copied(template);
        conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        let before = settings(&conn);
        let (result, reached) = interrupted_at(n, &mut conn, &always, |conn| verb(migrator, conn));
        assert!(conn.is_autocommit(), "step {n}: a transaction is open after {result:?}");
        assert_eq!(settings(&conn), before, "step {n}: after {result:?}");
        let now = look(&conn);
        let Some(stage) = stages.iter().position(|stage| *stage == now) else {
            panic!("step {n}: {result:?} left what nobody committed:\n{now}");
        };
        if let Err(error) = &result {
            assert!(stage >= latest, "step {n}: back from stage {latest} to {stage}");
            latest = stage;
            let text = error.to_string();
            if !text.contains("SQLite took its transaction back") {
                assert_eq!(text.ends_with("; nothing was changed"), stage == 0, "step {n}: {text}");
            }
            assert!(
                !format!("{error:?}").contains("ended the transaction"),
                "step {n}: blames the function: {error:?}"
            );
        }
        verb(migrator, &conn).unwrap();
        let after = look(&conn);
        assert_eq!(after, end, "step {n}: after the next run");
        assert_eq!(settings(&conn), before, "step {n}: after the next run");
        if reached < n {
            return (points, stages.len());
        }
        points += 1;
        n += stride;
    }
}

/// Batches of three rows, whatever they take.
fn in_threes(backfill: Backfill) -> Backfill {
    let long = Duration::from_secs(3600);
    backfill.batch(3).batch_at_most(3).batch_time(long).pause(Duration::ZERO)
}

fn fills() -> [Backfill; 3] {
    let told = Backfill::sized("slugs", |tx: &Transaction<'_>, after, batch: &Batch| {
        sized(tx, after, batch, &[])
    });
    let calls = Backfill::new("slugs", |tx: &Transaction<'_>, after: Option<i64>| {
        let next = "SELECT min(id) FROM item WHERE id > ?1";
        let id: Option<i64> = tx.query_row(next, [after.unwrap_or(0)], |row| row.get(0))?;
        if let Some(id) = id {
            tx.execute("UPDATE item SET slug = lower(name) WHERE id = ?1", [id])?;
        }
        Ok::<_, rusqlite::Error>(id)
    });
    [slugs(), told, calls].map(in_threes)
}

#[test]
fn an_interrupted_backfill_is_never_in_between() {
    for (fill, stride) in fills().into_iter().zip([13, 29, 31]) {
        let old = memory();
        items(8).apply(&old).unwrap();
        let migrator = with(items(8), fill);
        let apply = |migrator: &Migrator, conn: &Connection| migrator.apply(conn);
        let (points, stages) = never_in_between(&old, &migrator, apply, stride);
        println!("apply: {points} points, {stages} stages");
        assert!(points > 50 && stages >= 4, "{points}, {stages}");
    }
}

#[test]
fn an_interrupted_backfill_in_the_background_is_never_in_between() {
    for (fill, stride) in fills().into_iter().zip([13, 29, 31]) {
        let migrator = with(items(8), fill.deferred());
        let old = memory();
        migrator.apply(&old).unwrap();
        let run = |migrator: &Migrator, conn: &Connection| migrator.run_backfills(conn);
        let (points, stages) = never_in_between(&old, &migrator, run, stride);
        println!("run_backfills: {points} points, {stages} stages");
        assert!(points > 50 && stages >= 4, "{points}, {stages}");
    }
}

#[test]
fn an_interrupted_backfill_that_skips_is_never_in_between() {
    let refuse = "CREATE TRIGGER refuses BEFORE UPDATE ON item WHEN new.id IN (1, 5)
                  BEGIN SELECT RAISE(ABORT, 'not this one'); END;";
    let old = memory();
    items(8).apply(&old).unwrap();
    old.execute_batch(refuse).unwrap();
    let migrator = with(items(8), in_threes(slugs()).on_failure(Failures::Skip));
    let apply = |migrator: &Migrator, conn: &Connection| migrator.apply(conn);
    let (points, _) = never_in_between(&old, &migrator, apply, 29);
    assert!(points > 50, "{points}");
}

#[test]
fn an_interrupted_gate_is_never_in_between() {
    let gated = items(8).with(Migration::sql(
        2,
        "later",
        "-- landfall: requires backfill slugs
         CREATE TABLE later AS SELECT slug FROM item;",
    ));
    let old = memory();
    items(8).apply(&old).unwrap();
    let migrator = with(gated, in_threes(slugs()));
    let apply = |migrator: &Migrator, conn: &Connection| migrator.apply(conn);
    let (points, stages) = never_in_between(&old, &migrator, apply, 37);
    assert!(points > 50 && stages >= 5, "{points}, {stages}");
}

#[cfg(unix)]
fn signal(child: &std::process::Child, name: &str) {
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_process_that_was_stopped_and_overtaken_does_nothing_twice() {
    for finishes in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        empty_file(&path, "WAL");
        let conn = Connection::open(&path).unwrap();
        items(ROWS).apply(&conn).unwrap();
        let slow = dir.path().join("slow");
        let mut stopped = child(
            &path,
            &[
                ("LANDFALL_DIE_AT", "2".to_owned()),
                ("LANDFALL_SLOW", slow.to_str().unwrap().to_owned()),
                ("LANDFALL_LEASE", "50".to_owned()),
            ],
        );
        wait_for(&mut stopped, &slow);
        // It waits between two batches, and its lease runs out.
        signal(&stopped, "-STOP");
        std::thread::sleep(Duration::from_millis(100));
        let before: u64 = one(&conn, "SELECT done FROM schema_seeds").parse().unwrap();
        let mine = match finishes {
            true => slugs(),
            false => slugs().budget(Duration::ZERO).batch(5000),
        };
        let report = with(items(ROWS), mine).apply(&conn).unwrap();
        assert!(report.backfills[0].rows > 0, "{report}");
        std::fs::remove_file(&slow).unwrap();
        signal(&stopped, "-CONT");
        if finishes {
            assert!(stopped.wait().unwrap().success());
            assert_eq!(report.backfills[0].rows + before, u64::from(ROWS));
        } else {
            // It goes on, from where the other one came to.
            let done = || one(&conn, "SELECT done FROM schema_seeds").parse::<u64>().unwrap();
            while done() <= before + 5000 {
                assert!(stopped.try_wait().unwrap().is_none_or(|status| status.success()));
                std::thread::sleep(Duration::from_millis(1));
            }
            stopped.kill().unwrap();
            stopped.wait().unwrap();
            with(items(ROWS), slugs()).run_backfills(&conn).unwrap();
        }
        assert_each_once(&conn, ROWS, "a stopped process");
    }
}

#[test]
fn a_lease_from_a_clock_that_was_ahead_keeps_nobody_waiting() {
    let conn = memory();
    with(items(500), slugs().budget(Duration::ZERO)).apply(&conn).unwrap();
    let ahead = "UPDATE schema_seeds SET state = 'running 2999-01-01T00:00:00.000Z 1-abc'";
    conn.execute(ahead, []).unwrap();
    let report = with(items(500), slugs().budget(Duration::ZERO)).apply(&conn).unwrap();
    assert_eq!(report.backfills.len(), 1, "{report}");
    conn.execute(ahead, []).unwrap();
    with(items(500), slugs()).run_backfills(&conn).unwrap();
    assert_each_once(&conn, 500, "after the clock was set back");
}

/// What runs in the middle of A's work: right after it has rolled back, before it locks again.
fn between_rollback_and_begin(conn: &mut Connection, work: impl FnMut() + Send + 'static) {
    let rolled_back = Arc::new(AtomicBool::new(false));
    let (tells, mut work) = (rolled_back.clone(), work);
    let alone = &mut *conn;
    let _ = alone.rollback_hook(Some(move || tells.store(true, Ordering::SeqCst)));
    let _ = conn.progress_handler(
        1,
        Some(move || {
            if rolled_back.swap(false, Ordering::SeqCst) {
                work();
            }
            false
        }),
    );
}

#[test]
fn a_row_is_skipped_only_where_nobody_has_gone_past_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    empty_file(&path, "WAL");
    let mut conn = Connection::open(&path).unwrap();
    items(40).apply(&conn).unwrap();
    conn.execute_batch(
        "CREATE TRIGGER refuses BEFORE UPDATE ON item WHEN new.id = 1
         BEGIN SELECT RAISE(ABORT, 'not this one'); END;",
    )
    .unwrap();
    let fill = Backfill::update("slugs", "item", "slug = lower(name)", "").pause(Duration::ZERO);
    let skips = fill.batch(1).batch_at_most(10).on_failure(Failures::Skip);
    let (at, other) = (path.clone(), with(items(40), skips.clone().budget(Duration::ZERO)));
    let rounds = Arc::new(AtomicU64::new(0));
    between_rollback_and_begin(&mut conn, move || {
        if rounds.fetch_add(1, Ordering::SeqCst) == 0 {
            for _ in 0..4 {
                other.apply(&Connection::open(&at).unwrap()).unwrap();
            }
        }
    });
    with(items(40), skips).apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT count(*), min(n), max(n) FROM hit"), "39|1|1");
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_skipped"), "1");
}

#[test]
fn the_total_is_told_also_where_the_first_row_is_skipped() {
    let conn = memory();
    items(9).apply(&conn).unwrap();
    conn.execute_batch(
        "CREATE TRIGGER refuses BEFORE UPDATE ON item WHEN new.id = 1
         BEGIN SELECT RAISE(ABORT, 'not this one'); END;",
    )
    .unwrap();
    let report = with(items(9), slugs().on_failure(Failures::Skip)).apply(&conn).unwrap();
    assert_eq!(report.backfills[0].progress.to_string(), "8 of 9 rows");
}

#[test]
fn the_key_of_a_table_that_was_rebuilt_on_the_way_is_not_passed_over() {
    let text = "CREATE TABLE t(id TEXT PRIMARY KEY NOT NULL, n INTEGER DEFAULT 0) WITHOUT ROWID;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
         INSERT INTO t(id) SELECT 'k' || i FROM n;";
    let add = Backfill::update("add", "t", "n = n + 1", "").batch(10);
    let conn = memory();
    with(set(&[(1, "t", text, "")]), add.clone().budget(Duration::ZERO)).apply(&conn).unwrap();
    conn.execute_batch(
        "CREATE TABLE u(id INTEGER PRIMARY KEY, n INTEGER DEFAULT 0);
         INSERT INTO u SELECT substr(id, 2), n FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t;",
    )
    .unwrap();
    let error = with(set(&[(1, "t", text, "")]), add).apply(&conn).unwrap_err();
    assert!(cause(&error).starts_with("the cursor stored is a text"), "{error:?}");

    let number = "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER DEFAULT 0);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
         INSERT INTO t(id) SELECT i FROM n;";
    let add = Backfill::update("add", "t", "n = n + 1", "").batch(10);
    for key in ["TEXT PRIMARY KEY NOT NULL", "BLOB PRIMARY KEY NOT NULL"] {
        let conn = memory();
        let start = with(set(&[(1, "t", number, "")]), add.clone().budget(Duration::ZERO));
        start.apply(&conn).unwrap();
        conn.execute_batch(&format!(
            "CREATE TABLE u(id {key}, n INTEGER DEFAULT 0) WITHOUT ROWID;
             INSERT INTO u SELECT 'k' || id, n FROM t; DROP TABLE t; ALTER TABLE u RENAME TO t;"
        ))
        .unwrap();
        let error = start.apply(&conn).unwrap_err();
        assert!(cause(&error).starts_with("the cursor stored is an integer"), "{error:?}");
    }
}

#[test]
fn a_key_of_mixed_types_is_walked_whatever_is_deleted() {
    let table = "CREATE TABLE t(id PRIMARY KEY NOT NULL, n DEFAULT 0) WITHOUT ROWID;
         INSERT INTO t(id) VALUES (1), (2.5), ('1'), ('a'), (''), (x''), (x'00'), (-3), ('A'),
                                  (1e300), (9223372036854775807);";
    let add = Backfill::update("add", "t", "n = n + 1", "").batch_at_most(1);
    for deletes in [false, true] {
        let conn = memory();
        let migrator = with(set(&[(1, "t", table, "")]), add.clone().budget(Duration::ZERO));
        let mut starts = 0;
        while !migrator.is_current(&conn).unwrap() {
            migrator.apply(&conn).unwrap();
            starts += 1;
            assert!(starts < 20);
            if deletes {
                // The row that the cursor is at goes, as long as one of its type is left.
                conn.execute("DELETE FROM t WHERE n = 1 AND id NOT IN (-3, '', x'')", []).unwrap();
            }
        }
        let left = if deletes { ["1|3"] } else { ["1|11"] };
        assert_eq!(rows(&conn, "SELECT n, count(*) FROM t GROUP BY n"), left);
        assert_eq!(one(&conn, "SELECT done FROM schema_seeds"), "11");
    }
}

#[test]
fn collations_and_descending_keys_are_walked() {
    for table in [
        "CREATE TABLE t(id TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, n DEFAULT 0)",
        "CREATE TABLE t(id INTEGER PRIMARY KEY DESC, n DEFAULT 0)",
        "CREATE TABLE t(id, n DEFAULT 0, PRIMARY KEY (id DESC)) WITHOUT ROWID",
        "CREATE TABLE t(id TEXT, x DEFAULT 'B', n DEFAULT 0,
                        PRIMARY KEY (x COLLATE RTRIM, id COLLATE NOCASE DESC)) WITHOUT ROWID",
        "CREATE TABLE t(id TEXT NOT NULL, n DEFAULT 0, PRIMARY KEY (id COLLATE RTRIM))",
    ] {
        let conn = memory();
        let values =
            if table.contains("INTEGER") { "i" } else { "char(65 + i % 26 + 32 * (i % 2), i)" };
        let sql = format!(
            "{table}; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
             INSERT INTO t(id) SELECT {values} FROM n;"
        );
        let add = Backfill::update("add", "t", "n = n + 1", "").batch(7).batch_at_most(7);
        let migrator = with(set(&[(1, "t", sql.leak(), "")]), add.budget(Duration::ZERO));
        let mut starts = 0;
        while !migrator.is_current(&conn).unwrap() {
            migrator.apply(&conn).unwrap();
            starts += 1;
            assert!(starts < 30, "{table}");
        }
        assert_eq!(rows(&conn, "SELECT n, count(*) FROM t GROUP BY n"), ["1|100"], "{table}");
    }
}

#[test]
fn a_column_that_is_called_as_the_rowid_may_be_set() {
    let table = "CREATE TABLE t(id INTEGER PRIMARY KEY, oid TEXT); INSERT INTO t VALUES (7, 'a');";
    let conn = memory();
    let fill = Backfill::update("fill", "t", "oid = upper(oid)", "");
    with(set(&[(1, "t", table, "")]), fill).apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT * FROM t"), "7|A");
}

#[test]
fn a_parameter_is_refused_also_in_a_table_of_several_batches() {
    for set_sql in ["slug = ?1", "slug = ?", "slug = :id", "slug = @p", "slug = $p"] {
        let conn = memory();
        let fill = Backfill::update("fill", "item", set_sql, "");
        let error = with(items(500), fill).apply(&conn).unwrap_err();
        assert!(cause(&error).contains("nothing to bind"), "{set_sql}: {error:?}");
        assert_eq!(one(&conn, "SELECT count(slug) FROM item"), "0", "{set_sql}");
    }
}

#[test]
fn parts_of_an_update_cannot_reach_out_of_their_batch() {
    for (set_sql, filter) in [
        ("slug = 'x' /* all", "id = 1"),
        ("slug = 'x'", "id = 1) OR (1"),
        ("slug = ('x'", "id = 1"),
        ("slug = 'x' WHERE id = 3 --", "id = 1"),
        ("slug = 'x", "id = 1"),
        ("slug = 'x'", "id = 1 /* one"),
    ] {
        for count in [5, 500] {
            let conn = memory();
            let fill = Backfill::update("fill", "item", set_sql, filter);
            let error = with(items(count), fill).apply(&conn).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Backfill { .. }), "{error:?}");
            assert_eq!(one(&conn, "SELECT count(slug) FROM item"), "0", "{set_sql}, {filter}");
        }
    }
}

#[test]
fn a_total_that_writes_is_refused() {
    let conn = memory();
    let total = "DELETE FROM item RETURNING 1";
    let error = with(items(9), slugs().total(total)).apply(&conn).unwrap_err();
    assert!(cause(&error).contains("query"), "{error:?}");
    assert_eq!(one(&conn, "SELECT count(*) FROM item"), "9");
}

#[test]
fn backfills_alone_do_not_run_before_the_seed_they_come_after() {
    let conn = memory();
    let broken =
        Seed::new("broken", |_: &Transaction<'_>| Err::<(), _>(rusqlite::Error::InvalidQuery));
    let all = |broken: Seed| {
        let next = Backfill::update("next", "item", "name = name || '!'", "");
        let seeds = Seeds::new()
            .add(broken.optional())
            .backfill(slugs().deferred().after("broken"))
            .backfill(next.deferred().after("slugs"))
            .backfill(Backfill::update("free", "item", "name = name || '?'", "").deferred());
        items(9).seeds(seeds)
    };
    all(broken.clone()).apply(&conn).unwrap();
    let report = all(broken).run_backfills(&conn).unwrap();
    assert_eq!(report.backfills.len(), 1, "{report}");
    assert_eq!(one(&conn, "SELECT count(slug) FROM item"), "0");
    assert!(
        report.held.iter().any(|held| held.to_string() == "slugs: waits for broken"),
        "{report}"
    );
    assert!(report.held.iter().any(|held| held.to_string() == "next: waits for slugs"), "{report}");
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_state WHERE key = 'seal'"), "0");
    let mended = all(Seed::new("broken", nothing));
    mended.apply(&conn).unwrap();
    assert_eq!(mended.run_backfills(&conn).unwrap().backfills.len(), 2);
    assert!(mended.apply(&conn).unwrap().is_noop());
}

#[test]
fn a_migration_waits_for_a_backfill_and_for_those_that_it_comes_after() {
    let gated = || {
        items(9).with(Migration::sql(
            2,
            "later",
            "-- landfall: requires backfill second\nCREATE TABLE later AS SELECT slug FROM item;",
        ))
    };
    let seeds = || {
        let second = Backfill::update("second", "item", "slug = slug || '!'", "");
        Seeds::new().backfill(slugs()).backfill(second.after("slugs"))
    };
    let conn = memory();
    items(9).apply(&conn).unwrap();
    let plan = gated().seeds(seeds()).plan(&conn).unwrap().to_string();
    assert!(plan.contains("after the backfills slugs, second"), "{plan}");
    gated().seeds(seeds()).apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM later WHERE slug LIKE 'item%!'"), "9");
}

#[test]
fn a_table_of_the_applications_own_is_not_taken_for_the_list_of_skipped_rows() {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE schema_skipped(name TEXT); INSERT INTO schema_skipped VALUES ('slugs');",
    )
    .unwrap();
    let before = rows(&conn, "SELECT * FROM schema_skipped");
    let result = with(items(9), slugs()).apply(&conn);
    assert_eq!(rows(&conn, "SELECT * FROM schema_skipped"), before, "{result:?}");
    if let Err(error) = result {
        assert!(matches!(error.kind(), ErrorKind::ForeignLedger { .. }), "{error}");
    }
}

#[test]
fn rows_in_sync_have_the_case_that_is_listed() {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE role(name TEXT PRIMARY KEY, label TEXT COLLATE NOCASE, n, i INTEGER);
         INSERT INTO role VALUES ('a', 'ADMIN', 1, 1);",
    )
    .unwrap();
    let sync = Rows::of("role", ["name", "label", "n", "i"]).policy(RowPolicy::KeepInSync);
    let told = |label: &str, n: &dyn rusqlite::ToSql, i: &dyn rusqlite::ToSql| {
        sync.write(&conn, [rusqlite::params![&"a", &label, n, i]]).unwrap().to_string()
    };
    let updated = "0 inserted, 1 updated, 0 left alone";
    let alone = "0 inserted, 0 updated, 1 left alone";
    assert_eq!(told("Admin", &1, &1), updated);
    assert_eq!(one(&conn, "SELECT label FROM role"), "Admin");
    assert_eq!(told("Admin", &1, &"1"), alone, "it is stored as the number that is there");
    assert_eq!(told("Admin", &"1", &1), updated);
    assert_eq!(one(&conn, "SELECT typeof(n) FROM role"), "text");
    assert_eq!(told("Admin", &"1", &1), alone);
}

#[test]
fn rows_that_clash_elsewhere_are_sqlites_error_and_nothing_is_thrown_out() {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE role(name TEXT PRIMARY KEY, code TEXT UNIQUE, up AS (upper(name))) WITHOUT ROWID;
         CREATE TABLE log(x);
         CREATE TRIGGER logs AFTER UPDATE ON role BEGIN INSERT INTO log VALUES (new.name); END;
         INSERT INTO role(name, code) VALUES ('a', '1'), ('b', '2');",
    )
    .unwrap();
    for policy in [RowPolicy::InsertMissing, RowPolicy::KeepInSync, RowPolicy::InsertOnce] {
        let roles = Rows::of("role", ["name", "code"]).policy(policy);
        let error = roles.write(&conn, [("c", "1")]).unwrap_err();
        assert!(error.to_string().contains("UNIQUE constraint failed: role.code"), "{error}");
    }
    let sync = Rows::of("role", ["name", "code"]).policy(RowPolicy::KeepInSync);
    assert!(sync.write(&conn, [("a", "2")]).is_err());
    assert_eq!(sync.write(&conn, [("a", "1"), ("b", "3")]).unwrap().updated, 1);
    assert_eq!(rows(&conn, "SELECT * FROM log"), ["b"]);
    assert_eq!(rows(&conn, "SELECT * FROM role"), ["a|1|A", "b|3|B"]);
}

#[test]
fn a_seed_of_any_bytes_is_read_or_refused() {
    let roles = set(&[(1, "role", "CREATE TABLE role(name TEXT PRIMARY KEY)", "")]);
    let with_file = |text: &'static str| {
        roles.clone().seeds(Seeds::from_embedded(dir(&[("ensure_roles.sql", text)])))
    };
    for text in [
        "\u{feff}-- landfall: undo\r\nINSERT INTO role\r\nVALUES ('a');\r\n",
        "-- landfall: undo\nINSERT INTO role VALUES ('a')",
    ] {
        let conn = memory();
        with_file(text).apply(&conn).unwrap();
        assert_eq!(rows(&conn, "SELECT name FROM role"), ["a"]);
        let checksum = "SELECT cursor = 'sha256:' || substr(cursor, 8) FROM schema_seeds";
        assert_eq!(one(&conn, checksum), "1");
        with_file(text).revert_seed(&conn, "roles").unwrap();
    }
    for empty in ["", "\u{feff}", "-- later\n", ";;"] {
        let conn = memory();
        with_file(empty).apply(&conn).unwrap();
        assert!(with_file(empty).apply(&conn).unwrap().is_noop(), "{empty:?}");
    }
    for off in
        ["PRAGMA foreign_keys = OFF;\nINSERT INTO role VALUES ('a')", "PRAGMA foreign_keys=0"]
    {
        let error = with_file(off).check().unwrap_err();
        assert!(error.to_string().contains("`ensure_roles.sql`, line 1"), "{error}");
        assert!(error.to_string().contains("may not say `PRAGMA foreign_keys"), "{error}");
    }
    let conn = memory();
    let before = settings(&conn);
    with_file("PRAGMA recursive_triggers = ON; CREATE TABLE more(x); DROP TABLE more")
        .apply(&conn)
        .unwrap();
    assert_eq!(settings(&conn), before);
}

#[test]
fn sentinels_edited_by_hand_never_pass_for_done() {
    for (edit, again) in [
        ("UPDATE schema_seeds SET state = 'Done'", true),
        ("UPDATE schema_seeds SET state = '', cursor = NULL, done = 0", true),
        ("UPDATE schema_seeds SET state = 'running x', cursor = NULL", true),
        ("DELETE FROM schema_seeds", true),
        ("UPDATE schema_seeds SET revision = 7", false),
    ] {
        let conn = memory();
        let migrator = with(items(20), slugs());
        migrator.apply(&conn).unwrap();
        conn.execute("UPDATE item SET slug = NULL", []).unwrap();
        conn.execute(edit, []).unwrap();
        let report = migrator.apply(&conn).unwrap();
        assert_eq!(report.backfills.len() == 1, again, "{edit}: {report}");
    }
}

#[test]
fn an_interrupt_of_a_function_that_writes_is_not_taken_for_its_fault() {
    let long = "UPDATE item SET slug = (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1
                FROM n WHERE i < 1000000) SELECT max(i) FROM n)";
    let writes =
        Backfill::sized("slugs", move |tx: &Transaction<'_>, after: Option<i64>, _: &Batch| {
            if after.is_some() {
                tx.execute(long, [])?;
                return Ok(None);
            }
            Ok::<_, rusqlite::Error>(Some(1))
        });
    let mut conn = memory();
    items(5).apply(&conn).unwrap();
    let handle = Arc::new(Mutex::new(0_u64));
    let alone = &mut conn;
    let _ = alone.progress_handler(
        1000,
        Some(move || {
            let mut steps = handle.lock().unwrap();
            *steps += 1;
            *steps > 100
        }),
    );
    let error = with(items(5), writes).apply(&conn).unwrap_err();
    assert!(format!("{error:?}").contains("interrupted"), "{error:?}");
    assert!(!format!("{error:?}").contains("the function ended"), "{error:?}");
}

#[test]
fn deferred_backfills_in_a_template_are_not_called_done() {
    let migrator = with(items(7), slugs().deferred());
    for _ in 0..2 {
        let conn = migrator.open_in_memory().unwrap();
        assert_eq!(one(&conn, "SELECT count(slug) FROM item"), "0");
        assert!(matches!(migrator.apply(&conn).unwrap().held[0].why, HeldBack::Deferred { .. }));
        migrator.run_backfills(&conn).unwrap();
        assert_each_once(&conn, 7, "a copy");
    }
}

#[test]
fn a_total_that_asks_something_else_is_no_reason_to_stop() {
    let conn = memory();
    items(30_000).apply(&conn).unwrap();
    conn.execute_batch("UPDATE item SET slug = 'x' WHERE id > 5; DELETE FROM hit").unwrap();
    let all = Backfill::update("slugs", "item", "slug = coalesce(slug, lower(name))", "")
        .total("SELECT count(*) FROM item WHERE slug IS NULL")
        .pause(Duration::ZERO);
    let report = with(items(30_000), all.batch_at_most(2000)).apply(&conn).unwrap();
    assert_eq!(report.backfills[0].rows, 30_000);
}

#[test]
fn an_update_may_read_another_table_with_a_key_of_the_same_name() {
    let table = "CREATE TABLE item(id INTEGER PRIMARY KEY, label TEXT);
         CREATE TABLE source(id INTEGER PRIMARY KEY, label TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
         INSERT INTO item(id) SELECT i FROM n;
         INSERT INTO source SELECT id, 'l' || id FROM item;";
    let conn = memory();
    let fill =
        Backfill::update("fill", "item", "label = s.label FROM source AS s", "s.id = item.id");
    with(set(&[(1, "t", table, "")]), fill).apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM item WHERE label = 'l' || id"), "300");
}

#[test]
fn taken_back_in_the_middle_a_backfill_begins_again() {
    let migrator = Migrator::from_migrations([
        Migration::sql(1, "t", "CREATE TABLE t(id INTEGER PRIMARY KEY)").down("DROP TABLE t"),
        Migration::sql(
            2,
            "n",
            "ALTER TABLE t ADD COLUMN n DEFAULT 0;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
             INSERT INTO t(id) SELECT i FROM n;",
        )
        .down("DELETE FROM t; ALTER TABLE t DROP COLUMN n;"),
    ])
    .data_loss(landfall::DataLoss::Allow);
    let add = || Backfill::update("add", "t", "n = n + 1", "").budget(Duration::ZERO);
    let conn = memory();
    let part = with(migrator.clone(), add());
    part.apply(&conn).unwrap();
    part.revert(&conn, landfall::Target::Empty).unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_seeds"), "0");
    while !part.is_current(&conn).unwrap() {
        part.apply(&conn).unwrap();
    }
    assert_eq!(rows(&conn, "SELECT n, count(*) FROM t GROUP BY n"), ["1|300"]);
}

#[test]
fn a_backup_restored_in_the_middle_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let mut conn = Connection::open(&path).unwrap();
    let part = with(items(500), slugs().budget(Duration::ZERO));
    part.apply(&conn).unwrap();
    let copy = folder.path().join("copy.db");
    conn.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    part.apply(&conn).unwrap();
    part.restore(&mut conn, &copy).unwrap();
    assert_eq!(one(&conn, "SELECT done FROM schema_seeds"), "100");
    with(items(500), slugs()).apply(&conn).unwrap();
    assert_each_once(&conn, 500, "a restored backup");
}

#[test]
fn gates_hold_in_transactions_of_their_own_and_on_the_way_to_a_target() {
    use landfall::{Target, Transactions, Version};
    for mode in [Transactions::Each, Transactions::Together] {
        let gated = items(300)
            .with(Migration::sql(2, "between", "CREATE TABLE between_(x)"))
            .with(Migration::sql(
                3,
                "later",
                "-- landfall: requires backfill slugs\nCREATE TABLE later AS SELECT slug FROM item;",
            ))
            .with(Migration::sql(4, "last", "CREATE TABLE last(x)"))
            .transactions(mode);
        let conn = memory();
        let small = with(gated.clone(), slugs().budget(Duration::ZERO).deferred());
        small.apply_to(&conn, Target::Version(Version::from(2))).unwrap();
        assert_eq!(one(&conn, "SELECT count(*) FROM schema_seeds"), "0");
        assert!(!small.is_current(&conn).unwrap());
        let error = small.wait_until_current(&conn, Duration::ZERO).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotCurrent { .. }), "{error}");
        small.apply_to(&conn, Target::Version(Version::from(3))).unwrap_err();
        assert_eq!(one(&conn, "SELECT max(version) FROM schema_migrations"), "2");
        let report = small.run_backfills(&conn).unwrap();
        assert_eq!(report.backfills.len(), 1);
        small.apply_to(&conn, Target::Version(Version::from(3))).unwrap();
        assert_eq!(one(&conn, "SELECT count(slug) FROM later"), "300");
        small.apply(&conn).unwrap();
        assert!(small.is_current(&conn).unwrap());
        assert!(small.apply(&conn).unwrap().is_noop());
        assert_each_once(&conn, 300, "gated");
    }
}

#[test]
fn a_ledger_of_another_name_has_skipped_rows_of_its_own() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE schema_skipped(whatever)").unwrap();
    let migrator = items(9).ledger("other");
    migrator.apply(&conn).unwrap();
    conn.execute_batch(
        "CREATE TRIGGER refuses BEFORE UPDATE ON item WHEN new.id = 4
         BEGIN SELECT RAISE(ABORT, 'not this one'); END;",
    )
    .unwrap();
    let report = with(migrator, slugs().on_failure(Failures::Skip)).apply(&conn).unwrap();
    assert_eq!(report.warnings, ["backfill slugs skipped 1 row: see other_skipped"]);
    assert_eq!(one(&conn, "SELECT name || key FROM other_skipped"), "slugs4");
}

#[test]
fn an_older_program_leaves_a_newer_revision_alone_while_that_is_under_way() {
    let conn = memory();
    with(items(500), slugs()).apply(&conn).unwrap();
    let newer = Backfill::update("slugs", "item", "slug = upper(slug)", "").revision(2);
    let newer = with(items(500), newer.budget(Duration::ZERO));
    newer.apply(&conn).unwrap();
    let before = look(&conn);
    for older in [with(items(500), slugs()), items(500)] {
        assert!(older.apply(&conn).unwrap().is_noop());
        assert!(older.run_backfills(&conn).unwrap().is_noop());
        let now = look(&conn);
        assert_eq!(now[..now.len() - 1], before[..before.len() - 1], "all but the seal");
    }
    // An older program's seal is no newer program's.
    assert!(!newer.is_current(&conn).unwrap());
    while !newer.is_current(&conn).unwrap() {
        newer.apply(&conn).unwrap();
    }
    assert_eq!(one(&conn, "SELECT min(n), max(n) FROM hit"), "2|2");
}

#[test]
fn the_log_is_written_back_unless_something_else_does_that() {
    let bound = 4 << 20;
    for (pages, is_bounded) in [(1000, true), (0, false)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        empty_file(&path, "WAL");
        let conn = Connection::open(&path).unwrap();
        let settings = format!("PRAGMA wal_autocheckpoint = {pages}; PRAGMA synchronous = OFF");
        conn.execute_batch(&settings).unwrap();
        items(ROWS).apply(&conn).unwrap();
        with(items(ROWS), slugs()).apply(&conn).unwrap();
        let left = std::fs::metadata(folder.path().join("app.db-wal")).unwrap().len();
        assert_eq!(left <= bound, is_bounded, "{left} bytes, {pages} pages");
    }
}

#[test]
fn what_a_function_sets_on_the_connection_is_put_back() {
    for fails in [false, true] {
        let conn = memory();
        let before = settings(&conn);
        let sets = Backfill::new("sets", move |tx: &Transaction<'_>, _: Option<i64>| {
            tx.execute_batch("PRAGMA recursive_triggers = ON; PRAGMA cache_size = 77")?;
            if fails { Err(rusqlite::Error::InvalidQuery) } else { Ok(None) }
        });
        assert_eq!(with(items(3), sets).apply(&conn).is_err(), fails);
        assert_eq!(settings(&conn), before);
    }
}

#[test]
fn what_an_earlier_revision_skipped_is_forgotten() {
    let conn = memory();
    items(9).apply(&conn).unwrap();
    conn.execute_batch(
        "CREATE TRIGGER refuses BEFORE UPDATE ON item WHEN new.id IN (2, 5)
         BEGIN SELECT RAISE(ABORT, 'not this one'); END;",
    )
    .unwrap();
    let skips = slugs().on_failure(Failures::Skip);
    with(items(9), skips.clone()).apply(&conn).unwrap();
    conn.execute_batch("DROP TRIGGER refuses").unwrap();
    with(items(9), skips.revision(2)).apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_skipped"), "0");
    let told = rows(&conn, "SELECT detail FROM schema_history WHERE action = 'backfill'");
    assert_eq!(told, ["revision 1, 7 of 9 rows, 2 skipped", "revision 2, 2 of 2 rows"]);
}

#[test]
fn an_optional_backfill_that_fails_in_the_background_is_a_warning_and_the_others_go_on() {
    let conn = memory();
    let bad = Backfill::update("bad", "nowhere", "x = 1", "").optional();
    let seeds = Seeds::new().backfill(bad.deferred()).backfill(slugs().deferred());
    let migrator = items(9).seeds(seeds);
    migrator.apply(&conn).unwrap();
    let report = migrator.run_backfills(&conn).unwrap();
    assert_eq!((report.warnings.len(), report.backfills.len()), (1, 1), "{report}");
    assert_each_once(&conn, 9, "beside one that fails");
}

#[test]
fn calls_share_a_transaction_only_for_as_long_as_a_batch_is_to_take() {
    let conn = memory();
    let slow = Backfill::new("slow", |_: &Transaction<'_>, after: Option<i64>| {
        std::thread::sleep(Duration::from_millis(5));
        let next = after.unwrap_or(0) + 1;
        Ok::<_, rusqlite::Error>((next < 20).then_some(next))
    });
    let slow = slow.batch(1000).batch_time(Duration::from_millis(20));
    let report = with(items(1), slow).apply(&conn).unwrap();
    assert!(report.backfills[0].batches >= 5, "{report}");
}
