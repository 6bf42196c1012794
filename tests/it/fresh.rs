//! Fresh databases are what a migration of an empty one would have made, and nobody else's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use landfall::rusqlite::{self, Connection};
use landfall::testing::sandbox;
use landfall::{ErrorKind, Migration, Migrator, Seeds};

use crate::stage::whole;
use crate::support::{example, one, rows};

const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT UNIQUE);
    CREATE TRIGGER up AFTER INSERT ON t BEGIN UPDATE t SET x = upper(x) WHERE id = NEW.id; END;
    INSERT INTO t(x) VALUES ('a'), ('b'); DELETE FROM t WHERE id = 2;
    PRAGMA user_version = 7; PRAGMA application_id = 77;";

fn schema() -> Migrator {
    Migrator::from_migrations([Migration::sql(1, "t", SCHEMA)])
}

fn replayed(migrator: &Migrator) -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    migrator.apply(&conn).unwrap();
    conn
}

/// What a user could see of a database.
fn seen(conn: &Connection) -> String {
    let pragmas = ["user_version", "application_id", "page_size", "encoding", "auto_vacuum"];
    let pragmas = pragmas.map(|name| one(conn, &format!("PRAGMA {name}")));
    let sql = "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema ORDER BY rowid";
    let sequence = "SELECT * FROM sqlite_sequence";
    format!("{pragmas:?}{:?}{:?}{}", rows(conn, sql), rows(conn, sequence), whole(conn))
}

#[test]
fn a_copy_is_what_a_replay_would_be() {
    for migrator in [schema(), schema().app_version("1.2")] {
        let made = replayed(&migrator);
        for _ in 0..3 {
            let copy = migrator.open_in_memory().unwrap();
            assert_eq!(seen(&copy), seen(&made));
            assert!(migrator.is_current(&copy).unwrap());
            assert!(migrator.apply(&copy).unwrap().is_noop());
            assert_eq!(one(&copy, "PRAGMA integrity_check"), "ok");
            let fresh = Connection::open_in_memory().unwrap();
            for pragma in ["journal_mode", "foreign_keys", "cache_size", "max_page_count"] {
                let sql = format!("PRAGMA {pragma}");
                assert_eq!(one(&copy, &sql), one(&fresh, &sql), "{pragma}");
            }
        }
    }
}

#[test]
fn copies_are_written_to_and_grow_each_for_itself() {
    let (one_of, other) = (schema().open_in_memory().unwrap(), schema().open_in_memory().unwrap());
    let fill = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000)
                INSERT INTO t(x) SELECT 'row ' || n FROM c";
    one_of.execute(fill, []).unwrap();
    assert_eq!(one(&one_of, "SELECT count(*) || ' ' || max(id) FROM t"), "20001 20002");
    one_of.execute_batch("DROP TABLE t; VACUUM").unwrap();
    assert_eq!(rows(&other, "SELECT id, x FROM t"), ["1|A"]);
    assert_eq!(rows(&schema().open_in_memory().unwrap(), "SELECT id, x FROM t"), ["1|A"]);
}

#[test]
fn the_first_call_migrates_and_the_others_copy_on_whatever_thread() {
    fn ensure(tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<()> {
        RAN.fetch_add(1, Ordering::SeqCst);
        tx.execute("INSERT INTO once VALUES (1)", []).map(drop)
    }
    static RAN: AtomicUsize = AtomicUsize::new(0);
    let migrator = || {
        Migrator::from_migrations([Migration::sql(1, "once", "CREATE TABLE once(n)")])
            .seeds(Seeds::new().ensure("once", ensure))
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(
                        rows(&migrator().open_in_memory().unwrap(), "SELECT n FROM once"),
                        ["1"]
                    );
                }
            });
        }
    });
    assert_eq!(RAN.load(Ordering::SeqCst), 1);
}

#[test]
fn whatever_decides_what_a_fresh_database_is_like_makes_another_template() {
    let base = || Migrator::from_migrations([Migration::sql(1, "t", "CREATE TABLE t(x)")]);
    let seeded = |value: i64| {
        let seed = move |tx: &rusqlite::Transaction<'_>| {
            tx.execute("INSERT INTO t VALUES (?1)", [value]).map(drop)
        };
        base().seeds(Seeds::new().ensure("s", seed))
    };
    let x = |migrator: Migrator| rows(&migrator.open_in_memory().unwrap(), "SELECT x FROM t");
    assert_eq!(x(base()), Vec::<String>::new());
    // Of one name, one type and one revision: only what they hold is different.
    assert_eq!(x(seeded(1)), ["1"]);
    assert_eq!(x(seeded(2)), ["2"]);
    assert_eq!(
        x(base().seeds(
            Seeds::new().ensure("s", |tx| tx.execute("INSERT INTO t VALUES (3)", []).map(drop))
        )),
        ["3"]
    );
    assert_eq!(
        x(base().seeds(
            Seeds::new().ensure("s", |tx| tx.execute("INSERT INTO t VALUES (4)", []).map(drop))
        )),
        ["4"]
    );
    let code = |migration: Migration| x(base().with(migration));
    assert_eq!(
        code(Migration::code(2, "c", |tx| tx.execute("INSERT INTO t VALUES (5)", []).map(drop))),
        ["5"]
    );
    assert_eq!(
        code(Migration::code(2, "c", |tx| tx.execute("INSERT INTO t VALUES (6)", []).map(drop))),
        ["6"]
    );
    let version = |version: &str| {
        let conn = base().app_version(version).open_in_memory().unwrap();
        one(&conn, "SELECT app_version FROM schema_migrations")
    };
    assert_eq!((version("1"), version("2")), ("1".to_owned(), "2".to_owned()));
    // A folder whose files change under it.
    let (dir, migrator) = crate::support::folder(&[("1_t.sql", "CREATE TABLE t(x)")]);
    assert_eq!(x(migrator.clone()).len(), 0);
    std::fs::write(dir.path().join("2_row.sql"), "INSERT INTO t VALUES (7)").unwrap();
    assert_eq!(x(migrator), ["7"]);
}

#[test]
fn a_template_that_could_not_be_made_is_tried_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let migrator = Migrator::from_migrations([]).seeds(Seeds::new().ensure("s", move |_| {
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => Err("not yet".to_owned()),
            1 => panic!("not yet either"),
            _ => Ok(()),
        }
    }));
    assert!(matches!(migrator.open_in_memory().unwrap_err().kind(), ErrorKind::Seed { .. }));
    assert!(catch_unwind(AssertUnwindSafe(|| migrator.open_in_memory())).is_err());
    migrator.open_in_memory().unwrap();
    migrator.open_in_memory().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[test]
fn more_templates_than_are_kept_are_only_slower() {
    for round in 0..2 {
        for n in 0..40 {
            let sql = format!("CREATE TABLE t{n}(x)");
            let migrator = Migrator::from_migrations([Migration::sql(1, "t", sql)]);
            let conn = migrator.open_in_memory().unwrap();
            let made = one(&conn, "SELECT name FROM sqlite_schema WHERE name GLOB 't[0-9]*'");
            assert_eq!(made, format!("t{n}"), "round {round}");
        }
    }
}

#[test]
fn a_file_is_copied_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let made = seen(&replayed(&schema()));
    let conn = schema().open_copy(&path).unwrap();
    assert_eq!(seen(&conn), made);
    assert_eq!(one(&conn, "PRAGMA journal_mode"), "wal");
    conn.execute("INSERT INTO t(x) VALUES ('mine')", []).unwrap();
    let error = schema().open_copy(&path).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotFresh { .. }), "{error}");
    assert_eq!(rows(&conn, "SELECT x FROM t"), ["A", "MINE"]);
    let empty = dir.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    assert_eq!(seen(&schema().open_copy(&empty).unwrap()), made);
    drop(conn);
    let mut left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["app.db", "empty.db"]);
    let missing = schema().open_copy(dir.path().join("nowhere").join("app.db")).unwrap_err();
    assert!(matches!(missing.kind(), ErrorKind::Sqlite { .. }), "{missing}");
}

#[test]
fn a_sandbox_takes_everything_back() {
    let migrator = schema();
    let look = |db: &Connection| (whole(db), rows(db, "SELECT * FROM sqlite_sequence"));
    let before = sandbox(&migrator, look).unwrap();
    for _ in 0..3 {
        let now = sandbox(&migrator, |db| {
            let now = look(db);
            db.execute_batch(
                "INSERT INTO t(x) VALUES ('mine'); CREATE TABLE u(y); DROP TABLE schema_history;
                 SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; PRAGMA user_version = 9;
                 CREATE TEMP TABLE own(z);",
            )
            .unwrap();
            now
        });
        assert_eq!(now.unwrap(), before);
    }
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        sandbox(&migrator, |db| {
            db.execute("DELETE FROM t", []).unwrap();
            panic!("a test that fails");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(sandbox(&migrator, look).unwrap(), before);
    let within = sandbox(&migrator, |db| {
        db.execute("DELETE FROM t", []).unwrap();
        sandbox(&migrator, look).unwrap()
    });
    assert_eq!(within.unwrap(), before, "one inside the other is another database");
}

#[test]
fn a_sandbox_that_was_left_says_so_and_is_not_lent_again() {
    let migrator = schema();
    for leave in ["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "COMMIT; BEGIN; SAVEPOINT s"] {
        let error = sandbox(&migrator, |db| {
            db.execute("DELETE FROM t", []).unwrap();
            db.execute_batch(leave).unwrap();
        });
        assert_eq!(
            format!("{:#}", error.unwrap_err()),
            "the test ended the transaction that its database was lent in; its database was thrown \
             away\nwhat to do: use `open_in_memory` for a test that begins or ends transactions"
        );
        assert_eq!(sandbox(&migrator, |db| rows(db, "SELECT x FROM t")).unwrap(), ["A"]);
    }
    let error = sandbox(&migrator, |db| db.execute_batch("BEGIN").unwrap_err()).unwrap();
    assert!(error.to_string().contains("within a transaction"), "{error}");
}

#[test]
fn a_sandbox_is_of_its_migrator() {
    let other = Migrator::from_migrations([Migration::sql(1, "u", "CREATE TABLE u(x)")]);
    sandbox(&schema(), |db| rows(db, "SELECT x FROM t")).unwrap();
    sandbox(&other, |db| rows(db, "SELECT x FROM u")).unwrap();
    sandbox(&example(), |db| rows(db, "SELECT name FROM contact")).unwrap();
    sandbox(&schema(), |db| rows(db, "SELECT x FROM t")).unwrap();
}

/// A function of the application's that its schema needs.
fn shout(conn: &Connection) -> rusqlite::Result<()> {
    use rusqlite::functions::FunctionFlags;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function("shout", 1, flags, |context| {
        Ok(context.get::<String>(0)?.to_uppercase() + "!")
    })
}

fn shouting() -> Migrator {
    let table = "CREATE TABLE said(x, loud AS (shout(x)) STORED, CHECK (loud <> shout(x) || 'x'));
                 CREATE INDEX by_loud ON said(shout(loud)); INSERT INTO said VALUES ('hey')";
    Migrator::from_migrations([Migration::sql(1, "said", table)])
}

#[test]
fn every_connection_that_is_opened_here_has_what_the_application_registers() {
    let migrator = shouting().on_connect(shout);
    let say = |conn: &Connection| {
        conn.execute("INSERT INTO said VALUES ('ho')", []).unwrap();
        assert_eq!(rows(conn, "SELECT loud FROM said ORDER BY x"), ["HEY!", "HO!"]);
        assert!(migrator.drift(conn).unwrap().is_empty());
    };
    // The template, and two copies of it.
    say(&migrator.open_in_memory().unwrap());
    say(&migrator.open_in_memory().unwrap());
    sandbox(&migrator, say).unwrap();
    sandbox(&migrator, say).unwrap();
    let folder = tempfile::tempdir().unwrap();
    say(&migrator.open(folder.path().join("opened.db")).unwrap());
    say(&migrator.open_copy(folder.path().join("copied.db")).unwrap());
}

#[test]
fn what_prepares_a_connection_decides_which_template_it_is() {
    let with = |sign: &'static str| {
        let prepare = move |conn: &Connection| {
            use rusqlite::functions::FunctionFlags;
            conn.create_scalar_function(
                "shout",
                1,
                FunctionFlags::SQLITE_DETERMINISTIC,
                move |_| Ok(sign),
            )
        };
        shouting().on_connect(prepare)
    };
    for sign in ["a", "b"] {
        let conn = with(sign).open_in_memory().unwrap();
        assert_eq!(rows(&conn, "SELECT loud FROM said"), [sign]);
    }
    assert_eq!(
        rows(&shouting().on_connect(shout).open_in_memory().unwrap(), "SELECT loud FROM said"),
        ["HEY!"]
    );
}

#[test]
fn a_connection_that_cannot_be_prepared_is_not_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let migrator = schema().on_connect(|conn| conn.execute_batch("SELECT nonsense"));
    for error in [migrator.open(&path).unwrap_err(), migrator.open_in_memory().unwrap_err()] {
        assert_eq!(
            error.to_string(),
            "preparing a connection with `on_connect` failed; nothing was changed"
        );
    }
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}
