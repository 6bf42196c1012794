//! The n-th step of SQLite's virtual machine is interrupted, n = 1, 2, 3 …: what is left is what
//! was committed, and the next run goes on from there.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall::rusqlite::backup::Backup;
use landfall::rusqlite::{Connection, Transaction};
use landfall::{
    DataLoss, ErrorKind, Event, Migration, Migrator, Report, Result, Seed, Seeds, State, Target,
    Transactions, Version,
};

use crate::stage::{settings, whole};
use crate::support::{folder, memory, rows};

const OLD: [(&str, &str); 2] = [
    (
        "1_people.sql",
        "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, born TEXT);
         CREATE TABLE letter(id INTEGER PRIMARY KEY,
                             person_id INTEGER NOT NULL REFERENCES person(id) ON DELETE CASCADE,
                             text TEXT);
         INSERT INTO person(name) VALUES ('Ada'), ('Bob'), ('Cy');
         INSERT INTO letter(person_id, text) VALUES (1, 'a'), (1, 'b'), (2, 'c'), (3, 'd');",
    ),
    ("R__pack.sql", "CREATE VIEW letters AS SELECT name, text FROM person JOIN letter USING (id);"),
];

const NEW: [(&str, &str); 6] = [
    OLD[0],
    (
        "2_rebuild.sql",
        "PRAGMA legacy_alter_table = ON;
         CREATE TABLE person_new(id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER);
         INSERT INTO person_new(id, name) SELECT id, name FROM person;
         DROP TABLE person;
         ALTER TABLE person_new RENAME TO person;
         CREATE INDEX person_name ON person(name);",
    ),
    (
        "2_rebuild.down.sql",
        "PRAGMA recursive_triggers = ON;
         CREATE TABLE person_old(id INTEGER PRIMARY KEY, name TEXT, born TEXT);
         INSERT INTO person_old(id, name) SELECT id, name FROM person;
         DROP TABLE person;
         ALTER TABLE person_old RENAME TO person;",
    ),
    ("3_data.sql", "UPDATE letter SET text = text || text; UPDATE person SET age = length(name);"),
    ("3_data.down.sql", "UPDATE letter SET text = substr(text, 1, length(text) / 2);"),
    (
        "R__pack.sql",
        "CREATE VIEW letters AS SELECT name, text FROM person JOIN letter ON person.id = person_id;
         CREATE TRIGGER named AFTER INSERT ON person WHEN new.name = '' BEGIN
             UPDATE person SET name = 'nobody' WHERE id = new.id;
         END;",
    ),
];

fn greet(tx: &Transaction<'_>) -> landfall::rusqlite::Result<()> {
    tx.execute("INSERT INTO letter(person_id, text) SELECT id, 'hello' FROM person", []).map(drop)
}

fn adopt_one(tx: &Transaction<'_>) -> landfall::rusqlite::Result<()> {
    tx.execute("INSERT INTO person(name) VALUES ('')", []).map(drop)
}

fn seeded(migrator: Migrator) -> Migrator {
    let seeds = Seeds::new().ensure("greet", greet).ensure("adopt_one", adopt_one);
    migrator.data_loss(DataLoss::Allow).seeds(seeds)
}

pub fn copied(template: &Connection) -> Connection {
    let mut copy = memory();
    let backup = Backup::new(template, &mut copy).unwrap();
    backup.run_to_completion(i32::MAX, Duration::ZERO, None).unwrap();
    drop(backup);
    copy
}

/// What another connection sees after each commit: the start, the stages, the end.
fn stages(
    template: &Connection,
    migrator: &Migrator,
    verb: impl Fn(&Migrator, &Connection) -> Result<Report>,
) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stages.db");
    template.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
    let look = |path: &Path| whole(&Connection::open(path).unwrap());
    let seen = Arc::new(Mutex::new(vec![look(&path)]));
    let told = {
        let (seen, path) = (Arc::clone(&seen), path.clone());
        migrator.clone().on_event(move |event| {
            if matches!(event, Event::Committed | Event::SeedFinished { .. }) {
                seen.lock().unwrap().push(look(&path));
            }
        })
    };
    verb(&told, &Connection::open(&path).unwrap()).unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.last(), Some(&look(&path)));
    seen
}

/// Interrupts at the n-th step of those that count. Returns also how many of them there were.
pub fn interrupted_at(
    n: u64,
    conn: &mut Connection,
    counts: &Arc<AtomicBool>,
    run: impl Fn(&Connection) -> Result<Report>,
) -> (Result<Report>, u64) {
    let count = Arc::new(AtomicU64::new(0));
    let (counted, counts) = (Arc::clone(&count), Arc::clone(counts));
    let interrupt =
        move || counts.load(Ordering::Relaxed) && counted.fetch_add(1, Ordering::Relaxed) + 1 == n;
    // From rusqlite 0.38 on it returns a result, from 0.41 on it wants the connection alone.
    let _ = conn.progress_handler(1, Some(interrupt));
    let result = run(conn);
    let _ = conn.progress_handler(0, None::<fn() -> bool>);
    (result, count.load(Ordering::Relaxed))
}

/// Interrupts a run at the n-th step for every n up to `closely`, and for every `stride`-th from
/// there, until a run is not interrupted any more. Returns how many were. With
/// `LANDFALL_EVERY_STEP` in the environment it leaves none out, which takes minutes.
fn never_in_between(
    template: &Connection,
    migrator: &Migrator,
    verb: impl Fn(&Migrator, &Connection) -> Result<Report> + Copy,
    foreign_keys: bool,
    (closely, stride): (u64, u64),
) -> (u64, Vec<String>) {
    let stride = if std::env::var_os("LANDFALL_EVERY_STEP").is_some() { 1 } else { stride };
    let stages = stages(template, migrator, verb);
    let end = stages.last().unwrap();
    let always = Arc::new(AtomicBool::new(true));
    let (mut n, mut points, mut latest) = (1, 0, 0);
    loop {
        let mut conn = copied(template);
        conn.execute_batch(&format!("PRAGMA foreign_keys = {foreign_keys}")).unwrap();
        conn.busy_timeout(Duration::from_millis(1234)).unwrap();
        let before = settings(&conn);
        let (result, reached) = interrupted_at(n, &mut conn, &always, |conn| verb(migrator, conn));
        assert!(conn.is_autocommit(), "step {n}: a transaction is open after {result:?}");
        assert_eq!(settings(&conn), before, "step {n}: after {result:?}");
        let now = whole(&conn);
        let Some(stage) = stages.iter().position(|stage| *stage == now) else {
            panic!("step {n}: {result:?} left what nobody committed:\n{now}");
        };
        match result {
            Ok(_) => assert_eq!(now, *end, "step {n}: passed"),
            Err(error) => {
                assert!(stage >= latest, "step {n}: back from stage {latest} to {stage}");
                latest = stage;
                assert_eq!(error.report().is_some(), stage > 0, "step {n}, stage {stage}: {error}");
                let text = error.to_string();
                assert_eq!(text.ends_with("; nothing was changed"), stage == 0, "step {n}: {text}");
                verb(migrator, &conn).unwrap();
                assert_eq!(whole(&conn), *end, "step {n}: after the next run");
                assert_eq!(settings(&conn), before, "step {n}: after the next run");
            }
        }
        if reached < n {
            return (points, stages);
        }
        points += 1;
        n += if n < closely { 1 } else { stride };
    }
}

/// The old database, and the migrator that has work to do on it.
fn old_and_new() -> (Connection, tempfile::TempDir, Migrator) {
    let (_files, old) = folder(&OLD);
    let conn = memory();
    old.apply(&conn).unwrap();
    let (dir, new) = folder(&NEW);
    (conn, dir, seeded(new))
}

#[test]
fn an_interrupted_apply_is_never_in_between() {
    let (old, _dir, migrator) = old_and_new();
    let apply = |migrator: &Migrator, conn: &Connection| migrator.apply(conn);
    let (points, stages) = never_in_between(&old, &migrator, apply, true, (150, 17));
    assert_eq!(stages.len(), 4, "the start, the migrations, two seeds");
    println!("apply, together: {points} points");
    assert!(points > 300, "{points}");
}

#[test]
fn an_interrupted_apply_in_several_transactions_is_never_in_between() {
    let (old, _dir, migrator) = old_and_new();
    let migrator = migrator.transactions(Transactions::Each);
    let apply = |migrator: &Migrator, conn: &Connection| migrator.apply(conn);
    let (points, stages) = never_in_between(&old, &migrator, apply, false, (0, 23));
    assert!(stages.len() > 4, "{}", stages.len());
    println!("apply, each: {points} points");
}

#[test]
fn an_interrupted_revert_is_never_in_between() {
    let (old, _dir, migrator) = old_and_new();
    let current = copied(&old);
    migrator.apply(&current).unwrap();
    let revert = |migrator: &Migrator, conn: &Connection| {
        migrator.revert(conn, Target::Version(Version::from(1)))
    };
    let (points, stages) = never_in_between(&current, &migrator, revert, true, (0, 11));
    assert_eq!(stages.len(), 2);
    println!("revert: {points} points");
}

#[test]
fn an_interrupted_first_start_leaves_an_empty_database() {
    let (_dir, migrator) = folder(&NEW);
    let migrator = seeded(migrator);
    let apply = |migrator: &Migrator, conn: &Connection| migrator.apply(conn);
    let (points, stages) = never_in_between(&memory(), &migrator, apply, true, (0, 11));
    assert_eq!(stages[0], "");
    println!("first start: {points} points");
}

/// Data work that is recorded, by a script and by a seed, on a table with a trigger.
fn recorded() -> Migrator {
    let first = "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT UNIQUE, n INTEGER DEFAULT 0);
        CREATE TRIGGER touch AFTER UPDATE OF text ON note BEGIN
            UPDATE note SET n = n + 1 WHERE id = NEW.id; END;
        INSERT INTO note(text) VALUES ('a'), ('b'), ('c');";
    let data = "-- landfall: undo
        UPDATE note SET text = upper(text); DELETE FROM note WHERE id = 2;
        INSERT OR REPLACE INTO note(id, text) VALUES (7, 'C');";
    let seed = Seed::new("more", |tx| {
        tx.execute_batch("INSERT INTO note(text) VALUES ('d'); UPDATE note SET text = text || '!'")
    });
    Migrator::from_migrations([Migration::sql(1, "note", first), Migration::sql(2, "data", data)])
        .seeds(Seeds::new().add(seed.undoable()))
}

#[test]
fn interrupted_while_it_is_recorded_nothing_is_in_between() {
    let template = memory();
    recorded().apply_to(&template, Target::Steps(1)).unwrap();
    let apply = |migrator: &Migrator, conn: &Connection| migrator.apply(conn);
    let (points, stages) = never_in_between(&template, &recorded(), apply, true, (60, 83));
    assert_eq!(stages.len(), 3, "the start, the migration, the seed");
    println!("recorded: {points} points");
}

#[test]
fn interrupted_while_it_is_undone_nothing_is_in_between() {
    let template = memory();
    recorded().apply(&template).unwrap();
    let revert = |migrator: &Migrator, conn: &Connection| {
        migrator.revert(conn, Target::Version(Version::from(1)))
    };
    let (points, stages) = never_in_between(&template, &recorded(), revert, true, (60, 13));
    assert_eq!(stages.len(), 2);
    assert!(stages[1].contains("note: 2|b|0") && !stages[1].contains("note: 7"), "{}", stages[1]);
    println!("undone: {points} points");
}

fn outside() -> Migrator {
    Migrator::from_migrations([
        Migration::sql(1, "log", "CREATE TABLE log(id INTEGER PRIMARY KEY, who TEXT)"),
        Migration::sql(
            2,
            "outside",
            "-- landfall: no-transaction
             INSERT INTO log(who) VALUES ('one');
             PRAGMA recursive_triggers = ON;
             INSERT INTO log(who) VALUES ('two');
             VACUUM;
             INSERT INTO log(who) VALUES ('three');",
        ),
        Migration::sql(3, "last", "INSERT INTO log(who) VALUES ('last')"),
    ])
    .wait(Duration::ZERO)
}

#[test]
fn what_is_interrupted_outside_a_transaction_is_never_taken_for_done_or_untouched() {
    let template = memory();
    outside().apply_to(&template, Target::Steps(1)).unwrap();
    let stride = if std::env::var_os("LANDFALL_EVERY_STEP").is_some() { 1 } else { 7 };
    let (mut n, mut marked) = (1, 0);
    loop {
        let mut conn = copied(&template);
        let before = settings(&conn);
        // The steps from the plan to the record of the migration: the others are of no interest.
        let counts = Arc::new(AtomicBool::new(false));
        let tells = Arc::clone(&counts);
        let told = outside().on_event(move |event| match event {
            Event::Planned { .. } => tells.store(true, Ordering::Relaxed),
            Event::Committed => tells.store(false, Ordering::Relaxed),
            _ => {}
        });
        let (result, reached) = interrupted_at(n, &mut conn, &counts, |conn| told.apply(conn));
        assert!(conn.is_autocommit(), "step {n}: a transaction is open after {result:?}");
        assert_eq!(settings(&conn), before, "step {n}: after {result:?}");
        let log = rows(&conn, "SELECT who FROM log ORDER BY id");
        let state = outside().status(&conn).unwrap().migrations[1].state;
        let expected: &[&[&str]] = match (&result, state) {
            (Ok(_), State::Applied) => &[&["one", "two", "three", "last"]],
            (Err(_), State::Applied) => {
                &[&["one", "two", "three"], &["one", "two", "three", "last"]]
            }
            (Err(_), State::Pending) => &[&[]],
            (Err(_), State::Interrupted) => {
                &[&[], &["one"], &["one", "two"], &["one", "two", "three"]]
            }
            _ => panic!("step {n}: {state:?} after {result:?}"),
        };
        assert!(
            expected.iter().any(|rows| log == *rows),
            "step {n}: {state:?}, {log:?}, {result:?}"
        );
        if let Err(error) = &result {
            let unchanged = error.to_string().ends_with("; nothing was changed");
            assert_eq!(unchanged, state == State::Pending, "step {n}: {state:?}, {error}");
        }
        if state == State::Interrupted {
            marked += 1;
            let again = outside().apply(&conn).unwrap_err();
            assert!(matches!(again.kind(), ErrorKind::Interrupted { .. }), "step {n}: {again}");
            assert_eq!(rows(&conn, "SELECT who FROM log ORDER BY id"), log, "step {n}");
            outside().repair(&conn, "it is a test").unwrap();
        }
        outside().apply(&conn).unwrap();
        let twice = if state == State::Interrupted { log } else { Vec::new() };
        let now = rows(&conn, "SELECT who FROM log ORDER BY id");
        assert_eq!(now[..twice.len()], twice, "step {n}");
        assert_eq!(now[twice.len()..], ["one", "two", "three", "last"], "step {n}");
        assert!(outside().apply(&conn).unwrap().is_noop());
        if reached < n {
            println!("outside a transaction: up to step {n}, marked at {marked}");
            assert!(marked > 20, "{marked}");
            return;
        }
        n += stride;
    }
}

#[test]
fn what_fails_its_verify_script_outside_a_transaction_is_not_taken_for_untouched() {
    let (_dir, migrator) = folder(&[
        ("1_only.sql", "-- landfall: no-transaction\nCREATE TABLE t(x, y);"),
        ("1_only.verify.sql", "SELECT 1 AS wrong;"),
    ]);
    let migrator = migrator.wait(Duration::ZERO);
    let conn = memory();
    let error = migrator.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Verify { .. }), "{error}");
    let end = "it runs outside a transaction: `CREATE TABLE t(x, y)` at line 2, column 1 is in \
               effect, and it is marked as interrupted";
    assert!(error.to_string().ends_with(end), "{error}");
    let again = migrator.apply(&conn).unwrap_err();
    assert!(matches!(again.kind(), ErrorKind::Interrupted { .. }), "{again}");
}
