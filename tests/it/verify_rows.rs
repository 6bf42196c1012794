//! Rows can be made up for every table that can have any, and each keeps the rules of its table.

use std::sync::{Arc, Mutex};

use landfall::rusqlite::Connection;
use landfall::testing::{Check, SampleRows, verify};
use landfall::{ErrorKind, Migration, Migrator};

use crate::support::rows;

/// What a migration sees that comes after these, on the database with the most rows.
fn seen(sql: &'static str, query: &'static str) -> Vec<String> {
    seen_with(sql, query, SampleRows::new())
}

fn seen_with(sql: &'static str, query: &'static str, own: SampleRows) -> Vec<String> {
    let most: Arc<Mutex<Vec<String>>> = Arc::default();
    let look = {
        let most = Arc::clone(&most);
        move |conn: &Connection| {
            let found = rows(conn, query);
            let mut most = most.lock().unwrap();
            if found.len() > most.len() {
                *most = found;
            }
        }
    };
    let migrator = Migrator::from_migrations([
        Migration::sql(1, "tables", sql),
        Migration::code(2, "look", move |tx| {
            assert_eq!(rows(tx, "PRAGMA foreign_key_check"), [""; 0]);
            assert_eq!(rows(tx, "PRAGMA integrity_check"), ["ok"]);
            look(tx);
            Ok::<(), landfall::rusqlite::Error>(())
        }),
    ]);
    let result = verify(&migrator).with(own).skip(Check::Downs, "only rows are looked at").run();
    if let Err(error) = result {
        panic!("{error:?}");
    }
    most.lock().unwrap().clone()
}

#[test]
fn two_are_alike_one_has_nulls_and_one_is_in_capitals() {
    let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT NOT NULL, note TEXT, n INTEGER)";
    assert_eq!(
        seen(sql, "SELECT * FROM t"),
        ["1|name 1|note 1|1", "2|name 1|note 1|1", "3|name 2|NULL|NULL", "4|NAME 3|NOTE 3|3"]
    );
    // The same each time.
    assert_eq!(seen(sql, "SELECT * FROM t"), seen(sql, "SELECT * FROM t"));
}

/// Tables that are hard to fill, each with what has to be there afterwards.
const HARD: &[(&str, &str)] = &[
    // CHECKs by list, range, pattern, length, name, several columns, and function.
    ("CREATE TABLE t(s TEXT NOT NULL CHECK (s IN ('open', 'shut')))", "SELECT s FROM t"),
    ("CREATE TABLE t(n INTEGER CHECK (n BETWEEN 1000 AND 1001))", "SELECT n FROM t"),
    ("CREATE TABLE t(d TEXT NOT NULL CHECK (d LIKE '____-__-__'))", "SELECT d FROM t"),
    ("CREATE TABLE t(d TEXT NOT NULL CHECK (d IS date(d)))", "SELECT d FROM t"),
    ("CREATE TABLE t(d TEXT NOT NULL CHECK (d GLOB '[A-Z][A-Z][0-9]'))", "SELECT d FROM t"),
    ("CREATE TABLE t(d TEXT NOT NULL CHECK (d NOT GLOB '*[^0-9]*'))", "SELECT d FROM t"),
    ("CREATE TABLE t(c TEXT NOT NULL CHECK (length(c) = 3))", "SELECT c FROM t"),
    ("CREATE TABLE t(c BLOB NOT NULL CHECK (length(c) = 20))", "SELECT c FROM t"),
    ("CREATE TABLE t(c TEXT NOT NULL CHECK (json_valid(c)))", "SELECT c FROM t"),
    ("CREATE TABLE t(c TEXT NOT NULL CHECK (c <> '' AND c = lower(c)))", "SELECT c FROM t"),
    (
        "CREATE TABLE t(a INT NOT NULL, b INT NOT NULL, CONSTRAINT rising CHECK (a < b))",
        "SELECT a FROM t",
    ),
    ("CREATE TABLE t(a TEXT, b TEXT, CHECK ((a IS NULL) <> (b IS NULL)))", "SELECT a FROM t"),
    (
        "CREATE TABLE t(k TEXT NOT NULL CHECK (k IN ('a', 'b')), v TEXT NOT NULL, CHECK (k <> 'a' OR v = 'x'))",
        "SELECT k FROM t",
    ),
    ("CREATE TABLE t(p REAL NOT NULL CHECK (p >= 0.0 AND p <= 1.0))", "SELECT p FROM t"),
    ("CREATE TABLE t(n INTEGER NOT NULL CHECK (n < -5))", "SELECT n FROM t"),
    // UNIQUE: one column, several, an expression, a partial one, ignoring case.
    ("CREATE TABLE t(a TEXT NOT NULL UNIQUE)", "SELECT a FROM t"),
    ("CREATE TABLE t(a INT, b INT, UNIQUE(a, b))", "SELECT a FROM t"),
    ("CREATE TABLE t(a TEXT NOT NULL); CREATE UNIQUE INDEX i ON t(lower(a))", "SELECT a FROM t"),
    (
        "CREATE TABLE t(a TEXT NOT NULL); CREATE UNIQUE INDEX i ON t(a) WHERE a > ''",
        "SELECT a FROM t",
    ),
    ("CREATE TABLE t(a TEXT PRIMARY KEY NOT NULL COLLATE NOCASE) WITHOUT ROWID", "SELECT a FROM t"),
    ("CREATE TABLE t(a BOOLEAN NOT NULL UNIQUE)", "SELECT a FROM t"),
    // STRICT, every type.
    (
        "CREATE TABLE t(a INT NOT NULL, b INTEGER, c REAL NOT NULL, d TEXT NOT NULL, e BLOB NOT NULL, f ANY) STRICT",
        "SELECT a FROM t",
    ),
    ("CREATE TABLE t(a TEXT NOT NULL CHECK (a > 5)) STRICT", "SELECT a FROM t"),
    // Keys of all kinds.
    ("CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT, b)", "SELECT a FROM t"),
    ("CREATE TABLE t(a INTEGER, b INTEGER, c, PRIMARY KEY(a, b)) WITHOUT ROWID", "SELECT a FROM t"),
    ("CREATE TABLE t(a INTEGER PRIMARY KEY)", "SELECT a FROM t"),
    ("CREATE TABLE t(a DEFAULT 5)", "SELECT a FROM t"),
    // Generated columns are nobody's to give.
    (
        "CREATE TABLE t(a INT NOT NULL, b AS (a * 2), c TEXT NOT NULL AS (a || '!') STORED)",
        "SELECT a FROM t",
    ),
    // Names that want quotes.
    (
        "CREATE TABLE \"order by\"(\"group\" TEXT NOT NULL CHECK (\"group\" IN ('a')), \"a \"\"b\" INT)",
        "SELECT 1 FROM \"order by\"",
    ),
    // Foreign keys: plain, composite, to itself, both ways, to what is not the primary key.
    (
        "CREATE TABLE c(p INTEGER NOT NULL REFERENCES t(id)); CREATE TABLE t(id INTEGER PRIMARY KEY)",
        "SELECT p FROM c",
    ),
    (
        "CREATE TABLE p(a TEXT, b INT, PRIMARY KEY(a, b)); CREATE TABLE t(x TEXT NOT NULL, y INT NOT NULL, FOREIGN KEY(x, y) REFERENCES p)",
        "SELECT x FROM t",
    ),
    (
        "CREATE TABLE t(id INTEGER PRIMARY KEY, up INTEGER REFERENCES t(id))",
        "SELECT up FROM t WHERE up IS NOT NULL",
    ),
    (
        "CREATE TABLE t(id INTEGER PRIMARY KEY, up INTEGER NOT NULL REFERENCES t(id))",
        "SELECT up FROM t",
    ),
    (
        "CREATE TABLE a(id INTEGER PRIMARY KEY, b INTEGER NOT NULL REFERENCES t(id)); CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER NOT NULL REFERENCES a(id))",
        "SELECT t.a FROM t, a",
    ),
    (
        "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE NOT NULL); CREATE TABLE t(code TEXT NOT NULL REFERENCES p(code))",
        "SELECT code FROM t",
    ),
    (
        "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE t(id INTEGER PRIMARY KEY REFERENCES p(id), x)",
        "SELECT x FROM t",
    ),
    (
        "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE t(p INTEGER NOT NULL UNIQUE REFERENCES p(id))",
        "SELECT p FROM t",
    ),
    (
        "CREATE TABLE a(id INTEGER PRIMARY KEY); CREATE TABLE b(id INTEGER PRIMARY KEY); CREATE TABLE t(a INTEGER NOT NULL REFERENCES a, b INTEGER NOT NULL REFERENCES b, PRIMARY KEY(a, b)) WITHOUT ROWID",
        "SELECT a FROM t",
    ),
    (
        "CREATE TABLE p(k TEXT PRIMARY KEY); CREATE TABLE t(k TEXT NOT NULL REFERENCES P(K) CHECK (k <> ''))",
        "SELECT k FROM t",
    ),
    // Triggers that refuse, and that write elsewhere.
    (
        "CREATE TABLE t(a TEXT NOT NULL); CREATE TRIGGER g BEFORE INSERT ON t WHEN NEW.a NOT IN ('red', 'blue') BEGIN SELECT RAISE(ABORT, 'no colour'); END",
        "SELECT a FROM t",
    ),
    (
        "CREATE TABLE t(a INT NOT NULL); CREATE TRIGGER g BEFORE INSERT ON t WHEN NEW.a < 500 BEGIN SELECT RAISE(FAIL, 'too little'); END",
        "SELECT a FROM t",
    ),
    (
        "CREATE TABLE t(a INT); CREATE TABLE log(x INT UNIQUE); CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.rowid * 1000); END",
        "SELECT a FROM t WHERE 4 <= (SELECT count(*) FROM log)",
    ),
    // Virtual tables.
    ("CREATE VIRTUAL TABLE t USING fts5(a, b)", "SELECT a FROM t WHERE t MATCH 'a'"),
    (
        "CREATE TABLE c(id INTEGER PRIMARY KEY, a TEXT); CREATE VIRTUAL TABLE t USING fts5(a, content='c', content_rowid='id')",
        "SELECT a FROM t WHERE t MATCH 'a'",
    ),
    ("CREATE VIRTUAL TABLE t USING rtree(id, x0, x1)", "SELECT id FROM t"),
];

#[test]
fn every_table_that_can_have_rows_gets_some() {
    for (sql, query) in HARD {
        assert!(!seen(sql, query).is_empty(), "no rows for {sql}");
    }
}

#[test]
fn duplicates_are_there_wherever_they_may_be() {
    let sql =
        "CREATE TABLE p(id INTEGER PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('a', 'b')));
               CREATE TABLE t(p INTEGER NOT NULL REFERENCES p(id), kind TEXT NOT NULL)";
    let twice = "SELECT kind FROM p GROUP BY kind HAVING count(*) > 1";
    assert!(!seen(sql, twice).is_empty());
    let twice = "SELECT p FROM t GROUP BY p, kind HAVING count(*) > 1";
    assert!(!seen(sql, twice).is_empty());
}

#[test]
fn autoincrement_has_given_away_more_than_is_there() {
    let sql = "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT, b)";
    let query = "SELECT seq FROM sqlite_sequence WHERE seq > (SELECT max(a) FROM t)";
    assert_eq!(seen(sql, query), ["9"]);
}

#[test]
fn the_applications_own_rows_are_taken_by_table_and_version() {
    let vault = "CREATE TABLE vault(secret TEXT NOT NULL CHECK (secret = hex(secret) || 'x' OR secret LIKE 's%' AND length(secret) > 7));
                 CREATE TABLE shut(x)";
    let own = SampleRows::new()
        .table("VAULT", |tx| tx.execute("INSERT INTO vault VALUES ('secret one')", []).map(drop))
        .table_from(9, "vault", |tx| tx.execute("INSERT INTO nowhere VALUES (1)", []).map(drop))
        .none("shut", "nobody writes to it");
    assert_eq!(seen_with(vault, "SELECT secret FROM vault", own.clone()), ["secret one"]);
    assert_eq!(seen_with(vault, "SELECT * FROM shut", own), [""; 0]);
}

#[test]
fn a_table_that_could_not_be_filled_is_told_with_the_reason() {
    let told = |sql: &'static str, own: SampleRows| {
        let set =
            [Migration::sql(1, "tables", sql), Migration::sql(2, "more", "CREATE TABLE more(x)")];
        let migrator = Migrator::from_migrations(set);
        let error = verify(&migrator).with(own).skip(Check::Downs, "not now").run().unwrap_err();
        let ErrorKind::Unsound { findings, .. } = error.kind() else { panic!("{error:?}") };
        assert_eq!(findings.len(), 1, "{findings}");
        let finding = findings.iter().next().unwrap();
        assert_eq!((finding.check, finding.code), (Check::Rows, "not-filled"));
        finding.what.clone()
    };
    assert_eq!(
        told("CREATE TABLE t(a NOT NULL CHECK (a > 5 AND a < 5))", SampleRows::new()),
        "no rows could be made up for `t` at version 1: CHECK constraint failed: a > 5 AND a < 5"
    );
    let closed = "CREATE TABLE t(a); CREATE TRIGGER g BEFORE INSERT ON t
                  BEGIN SELECT RAISE(ROLLBACK, 'closed'); END";
    assert_eq!(
        told(closed, SampleRows::new()),
        "no rows could be made up for `t` at version 1: a trigger or its own rows ended the \
         transaction: closed"
    );
    let own = SampleRows::new().table("t", |tx| tx.execute("INSERT INTO x", []).map(drop));
    assert!(told("CREATE TABLE t(a)", own).contains("its own rows: incomplete input"));
    assert_eq!(
        told("CREATE TABLE t(a NOT NULL REFERENCES gone(id))", SampleRows::new()),
        "no rows could be made up for `t` at version 1: its rows refer to a table that has none"
    );
}
