//! The n-th allocation inside SQLite fails, n = 1, 2, 3 …: what is left is what was committed, and
//! the next run goes on from there.
//!
//! A test binary of its own, for SQLite's allocator is one for the whole process.

mod allocator;
mod counting;
mod growth;
#[allow(dead_code)]
#[path = "../it/stage.rs"]
mod stage;
#[allow(dead_code)]
#[path = "../it/support.rs"]
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use landfall::rusqlite::backup::Backup as Pages;
use landfall::rusqlite::{self, Connection, Transaction};
use landfall::{
    Adopt, Backfill, Backup, DataLoss, Error, Event, Migration, Migrator, Report, Result, Seed,
    Seeds, Target, Transactions, Version,
};

use allocator::{Fails, armed, install};
use stage::{settings, whole};
use support::{dump, memory, one, rows};

/// Whether every allocation is tried, which takes minutes, and not only some of them.
fn all() -> bool {
    std::env::var_os("LANDFALL_EVERY_STEP").is_some()
}

const OLD: &str = "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE letter(id INTEGER PRIMARY KEY,
                        person_id INTEGER NOT NULL REFERENCES person(id) ON DELETE CASCADE, text TEXT);
    CREATE VIEW letters AS SELECT person_id, text FROM letter;
    CREATE TRIGGER named AFTER INSERT ON person WHEN new.name = '' BEGIN
        UPDATE person SET name = 'unnamed' WHERE id = new.id;
    END;
    INSERT INTO person(name) VALUES ('Ada'), ('Bob'), ('Cy');
    INSERT INTO letter(person_id, text) VALUES (1, 'a'), (1, 'b'), (2, 'c'), (3, 'd');";

const REBUILD: &str = "PRAGMA legacy_alter_table = ON;
    CREATE TABLE person_new(id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER);
    INSERT INTO person_new(id, name) SELECT id, name FROM person;
    DROP TABLE person;
    ALTER TABLE person_new RENAME TO person;
    CREATE TRIGGER named AFTER INSERT ON person WHEN new.name = '' BEGIN
        UPDATE person SET name = 'unnamed' WHERE id = new.id;
    END;";

const REBUILD_DOWN: &str = "CREATE TABLE person_old(id INTEGER PRIMARY KEY, name TEXT);
    INSERT INTO person_old(id, name) SELECT id, name FROM person;
    DROP TABLE person;
    ALTER TABLE person_old RENAME TO person;
    CREATE TRIGGER named AFTER INSERT ON person WHEN new.name = '' BEGIN
        UPDATE person SET name = 'unnamed' WHERE id = new.id;
    END;";

fn old() -> Migrator {
    Migrator::from_migrations([Migration::sql(1, "people", OLD)]).data_loss(DataLoss::Allow)
}

fn new() -> Migrator {
    let count = |tx: &Transaction<'_>| {
        tx.execute("UPDATE letter SET text = text || length(text)", []).map(drop)
    };
    let greet = |tx: &Transaction<'_>| {
        let hello = "INSERT INTO letter(person_id, text) SELECT id, 'hello' FROM person";
        tx.execute(hello, []).map(drop)
    };
    old()
        .with(Migration::sql(2, "rebuild", REBUILD).down(REBUILD_DOWN))
        .with(
            Migration::sql(3, "data", "-- landfall: undo\nUPDATE letter SET text = upper(text); DELETE FROM letter WHERE id = 2;"),
        )
        .with(Migration::code(4, "count", count).undoable())
        .seeds(Seeds::new().ensure("greet", greet).add(Seed::new("greet_again", greet).undoable()))
}

fn outside() -> Migrator {
    old().with(Migration::sql(
        2,
        "outside",
        "-- landfall: no-transaction
         INSERT INTO letter(person_id, text) VALUES (1, 'x');
         CREATE INDEX letter_text ON letter(text);
         UPDATE person SET name = name || '!';",
    ))
}

fn slugs() -> Migrator {
    let upper = Backfill::update("upper", "letter", "text = upper(text)", "text <> upper(text)");
    let count =
        Backfill::new("count", |tx: &Transaction<'_>, last: Option<i64>| -> rusqlite::Result<_> {
            let id: Option<i64> = tx.query_row(
                "SELECT min(id) FROM letter WHERE id > ?1",
                [last.unwrap_or(0)],
                |row| row.get(0),
            )?;
            if let Some(id) = id {
                tx.execute("UPDATE letter SET text = text || '+' WHERE id = ?1", [id])?;
            }
            Ok(id)
        });
    old().seeds(
        Seeds::new().backfill(upper.pause(Duration::ZERO)).backfill(count.pause(Duration::ZERO)),
    )
}

/// A database in memory with the same content.
fn copied(template: &Connection) -> Connection {
    let mut copy = memory();
    let pages = Pages::new(template, &mut copy).unwrap();
    pages.run_to_completion(i32::MAX, Duration::ZERO, None).unwrap();
    drop(pages);
    copy
}

/// What rusqlite says when it panics over a text for which SQLite had no memory.
const NO_TEXT: &str = "unexpected SQLITE_TEXT column type with NULL data";

/// Prints no backtrace for those.
fn quiet_about_rusqlite() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref() != Some(&NO_TEXT) {
                usual(info);
            }
        }));
    });
}

/// What a file holds after each commit of a run: the start, the stages, the end.
fn stages(template: &Connection, migrator: &Migrator, verb: &Verb) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stages.db");
    template.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
    let look = |path: &Path| whole(&Connection::open(path).unwrap());
    let seen = Arc::new(Mutex::new(vec![look(&path)]));
    let told = {
        let (seen, path) = (Arc::clone(&seen), path.clone());
        migrator.clone().on_event(move |event| {
            if matches!(
                event,
                Event::Committed | Event::SeedFinished { .. } | Event::Backfill { .. }
            ) {
                seen.lock().unwrap().push(look(&path));
            }
        })
    };
    verb(&told, &Connection::open(&path).unwrap()).unwrap();
    let mut seen = seen.lock().unwrap().clone();
    seen.push(look(&path));
    seen
}

type Verb = dyn Fn(&Migrator, &Connection) -> Result<Report>;

/// Fails allocations of a verb one after the other, every `stride`-th or all of them. After each the
/// verb must have left the connection in order, a state that `judge` accepts, and a database on which
/// it ends as if nothing had happened.
#[track_caller]
fn fails_everywhere(
    template: &Connection,
    verb: &dyn Fn(&mut Connection) -> Result<Report>,
    end: &dyn Fn(&Connection) -> String,
    judge: &dyn Fn(&Connection, Option<&Error>, &str),
    stride: u64,
) {
    quiet_about_rusqlite();
    let mut undisturbed = copied(template);
    verb(&mut undisturbed).unwrap();
    let expected = end(&undisturbed);
    for fails in [Fails::Once, Fails::FromThenOn] {
        let (mut nth, mut injected, mut panics) = (1, 0, 0);
        loop {
            let mut conn = copied(template);
            conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
            let before = settings(&conn);
            let (result, counted) =
                armed(nth, fails, || catch_unwind(AssertUnwindSafe(|| verb(&mut conn))));
            let what = format!("{fails:?} at allocation {nth}: {result:?}");
            if counted < nth {
                result.unwrap().unwrap();
                break;
            }
            injected += 1;
            let panicked = result.is_err();
            let error = match result {
                Ok(result) => result.err(),
                // rusqlite itself panics where SQLite has no memory to hand out a text.
                Err(panic) => {
                    assert_eq!(panic.downcast_ref(), Some(&NO_TEXT), "{what}");
                    panics += 1;
                    None
                }
            };
            let told = error.as_ref().map(|error| format!("{error:#}")).unwrap_or_default();
            if !conn.is_autocommit() {
                assert!(told.contains("its transaction could not be rolled back"), "{what}");
                conn.execute_batch("ROLLBACK").unwrap();
            }
            if settings(&conn) != before {
                let says = told.contains("settings could not be put back");
                // A panic tells nothing, and without memory the guards cannot do more.
                let cannot = panicked && fails == Fails::FromThenOn;
                assert!(says || told.contains("still open") || cannot, "{what}");
                assert_eq!(one(&conn, "PRAGMA foreign_keys"), "1", "{what}");
            }
            assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok", "{what}");
            judge(&conn, error.as_ref(), &what);
            verb(&mut conn).unwrap_or_else(|error| panic!("{error:?} after {what}"));
            assert_eq!(end(&conn), expected, "{what}");
            nth += if all() { 1 } else { stride };
        }
        assert!(injected > 10, "hardly any of {nth} allocations was failed");
        println!("{fails:?}: {injected} of {nth} allocations, {panics} panics of rusqlite's");
    }
}

/// As above, where every state left behind is one after a commit.
#[track_caller]
fn leaves_a_whole_step(template: &Connection, migrator: &Migrator, verb: &Verb, stride: u64) {
    let stages = stages(template, migrator, verb);
    let judge = |conn: &Connection, error: Option<&Error>, what: &str| {
        let state = whole(conn);
        let at = stages.iter().position(|stage| *stage == state);
        assert!(at.is_some(), "{what}\n{state}\n{}", stages.join("\n---\n"));
        if error.is_some_and(|error| error.report().is_none()) {
            assert_eq!(at, Some(0), "{what}");
        }
    };
    fails_everywhere(template, &|conn| verb(migrator, conn), &whole, &judge, stride);
}

fn at_first() -> Connection {
    install();
    let conn = memory();
    old().apply(&conn).unwrap();
    conn
}

#[test]
fn failed_allocation_in_rebuild_leaves_a_whole_step() {
    let template = at_first();
    let rebuild = old().with(Migration::sql(2, "rebuild", REBUILD));
    leaves_a_whole_step(&template, &rebuild, &|migrator, conn| migrator.apply(conn), 7);
}

#[test]
fn failed_allocation_in_apply_leaves_a_whole_step() {
    let template = at_first();
    leaves_a_whole_step(&template, &new(), &|migrator, conn| migrator.apply(conn), 509);
    let each = new().transactions(Transactions::Each);
    leaves_a_whole_step(&template, &each, &|migrator, conn| migrator.apply(conn), 701);
}

#[test]
fn failed_allocation_on_an_empty_database_leaves_a_whole_step() {
    install();
    leaves_a_whole_step(&memory(), &new(), &|migrator, conn| migrator.apply(conn), 907);
}

#[test]
fn failed_allocation_in_revert_leaves_a_whole_step() {
    let template = at_first();
    new().apply(&template).unwrap();
    let back = |migrator: &Migrator, conn: &Connection| {
        migrator.revert(conn, Target::Version(Version::from(1)))
    };
    leaves_a_whole_step(&template, &new(), &back, 503);
}

#[test]
fn failed_allocation_in_a_backfill_leaves_a_whole_batch() {
    // How many rows a batch has depends on how long they take, and the lease on the time.
    let end = |conn: &Connection| {
        let seeds = "SELECT name, revision, state, done, rows_changed FROM schema_seeds ORDER BY 1";
        format!("{}{:?}", dump(conn), rows(conn, seeds))
    };
    let judge = |conn: &Connection, _: Option<&Error>, what: &str| {
        let state = rows(conn, "SELECT name, done, cursor FROM schema_seeds ORDER BY name");
        let (upper, counted) = ("text GLOB '[A-Z]*'", "text GLOB '*+'");
        let has = |which| one(conn, &format!("SELECT count(*) FROM letter WHERE {which}"));
        let of = |name: &str| {
            let done =
                format!("SELECT ifnull(max(done), 0) FROM schema_seeds WHERE name = '{name}'");
            one(conn, &done)
        };
        assert_eq!((has(upper), has(counted)), (of("upper"), of("count")), "{what}: {state:?}");
        assert_eq!(has("text GLOB '*++'"), "0", "{what}");
    };
    let migrator = slugs();
    fails_everywhere(&at_first(), &|conn| migrator.apply(conn), &end, &judge, 143);
}

#[test]
fn failed_allocation_outside_a_transaction_is_told() {
    let end = |conn: &Connection| {
        let index = rows(conn, "SELECT name FROM sqlite_master WHERE name = 'letter_text'");
        format!("{index:?} {}", one(conn, "SELECT count(*) FROM schema_migrations"))
    };
    let judge = |conn: &Connection, error: Option<&Error>, what: &str| {
        let marked = one(conn, "SELECT count(*) FROM schema_state WHERE key = 'running'") == "1";
        if marked {
            assert!(error.is_none_or(|error| error.to_string().contains("interrupted")), "{what}");
            // What it did is looked at and taken back by hand.
            conn.execute_batch(
                "DROP INDEX IF EXISTS letter_text; DELETE FROM schema_state WHERE key = 'running'",
            )
            .unwrap();
        }
    };
    let migrator = outside();
    fails_everywhere(&at_first(), &|conn| migrator.apply(conn), &end, &judge, 97);
}

#[test]
fn failed_allocation_in_adoption_leaves_a_whole_step() {
    install();
    let template = memory();
    template.execute_batch(OLD).unwrap();
    template.execute_batch("PRAGMA user_version = 1").unwrap();
    let adopting = new().adopt(Adopt::RusqliteMigration);
    leaves_a_whole_step(&template, &adopting, &|migrator, conn| migrator.apply(conn), 1009);
}

#[test]
fn failed_allocation_in_restore_leaves_all_or_nothing() {
    install();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let conn = new().open(&path).unwrap();
    let more = new().with(Migration::sql(5, "more", "CREATE TABLE more(x); DELETE FROM letter"));
    let report = more.clone().backup(Backup::to_dir(folder.path())).apply(&conn).unwrap();
    let backup = report.backup.as_ref().and_then(|backup| backup.path()).unwrap().to_owned();
    let template = copied(&conn);
    let before = dump(&template);
    let restored = dump(&Connection::open(&backup).unwrap());
    assert_ne!(before, restored);
    let judge = |conn: &Connection, error: Option<&Error>, what: &str| {
        let state = dump(conn);
        assert!(state == before || state == restored, "{what}\n{state}");
        if let Some(error) = error {
            let told = error.to_string().contains("the backup is restored");
            assert_eq!(state == restored, told, "{what}");
        }
    };
    let restore = |conn: &mut Connection| more.restore(conn, &backup);
    fails_everywhere(&template, &restore, &dump, &judge, 151);
}
