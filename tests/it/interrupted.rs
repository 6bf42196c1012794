//! The n-th step of SQLite's virtual machine is interrupted, n = 1, 2, 3 …: what is left is what
//! was committed, and the next run goes on from there.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall::rusqlite::backup::Backup;
use landfall::rusqlite::{Connection, Transaction};
use landfall::{Event, Migrator, Report, Result, Seeds, Target, Transactions, Version};

use crate::stage::{settings, whole};
use crate::support::{folder, memory};

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
    migrator.seeds(Seeds::new().ensure("greet", greet).ensure("adopt_one", adopt_one))
}

fn copied(template: &Connection) -> Connection {
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

/// Interrupts a run at the n-th step for every n up to `closely`, and for every `stride`-th from
/// there, until a run is not interrupted any more. Returns how many were.
fn never_in_between(
    template: &Connection,
    migrator: &Migrator,
    verb: impl Fn(&Migrator, &Connection) -> Result<Report> + Copy,
    foreign_keys: bool,
    (closely, stride): (u64, u64),
) -> (u64, Vec<String>) {
    let stages = stages(template, migrator, verb);
    let end = stages.last().unwrap();
    let (mut n, mut points, mut latest) = (1, 0, 0);
    loop {
        let conn = copied(template);
        conn.execute_batch(&format!("PRAGMA foreign_keys = {foreign_keys}")).unwrap();
        conn.busy_timeout(Duration::from_millis(1234)).unwrap();
        let before = settings(&conn);
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let interrupt = move || counted.fetch_add(1, Ordering::Relaxed) + 1 == n;
        conn.progress_handler(1, Some(interrupt)).unwrap();
        let result = verb(migrator, &conn);
        conn.progress_handler(0, None::<fn() -> bool>).unwrap();
        let reached = count.load(Ordering::Relaxed);
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
    let (points, stages) = never_in_between(&old, &migrator, apply, true, (1500, 7));
    assert_eq!(stages.len(), 4, "the start, the migrations, two seeds");
    println!("apply, together: {points} points");
    assert!(points > 1000);
}

#[test]
fn an_interrupted_apply_in_several_transactions_is_never_in_between() {
    let (old, _dir, migrator) = old_and_new();
    let migrator = migrator.transactions(Transactions::Each);
    let apply = |migrator: &Migrator, conn: &Connection| migrator.apply(conn);
    let (points, stages) = never_in_between(&old, &migrator, apply, false, (0, 13));
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
    let (points, stages) = never_in_between(&current, &migrator, revert, true, (0, 5));
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
