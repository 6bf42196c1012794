//! Schemas are compared by meaning: what SQLite takes for the same is the same, and nothing else.

use landfall::rusqlite::Connection;
use landfall::schema::{Change, Snapshot, diff};

use crate::support::{example, memory};

fn made(sql: &str) -> Connection {
    let conn = memory();
    conn.execute_batch(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    conn
}

fn snapshot(sql: &str) -> Snapshot {
    Snapshot::of(&made(sql)).unwrap()
}

fn changes(first: &str, second: &str) -> Vec<Change> {
    diff(&snapshot(first), &snapshot(second))
}

fn told(first: &str, second: &str) -> Vec<String> {
    changes(first, second).iter().map(ToString::to_string).collect()
}

/// Schemas of every kind of thing, for what has to hold of all.
const WHOLE: &[&str] = &[
    "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT NOT NULL DEFAULT 'it''s', b INT DEFAULT -5,
        c REAL DEFAULT 1.5e3, d BLOB DEFAULT x'00ff', e DEFAULT (1 + 2), f DEFAULT CURRENT_TIMESTAMP,
        g DEFAULT TRUE, h TEXT DEFAULT bare, i VARCHAR(255), j DECIMAL ( 10 , 5 ), k DOUBLE PRECISION)",
    "CREATE TABLE t(a, b INT GENERATED ALWAYS AS (a * 2) VIRTUAL, c AS (a || 'x') STORED)",
    "CREATE TABLE t(a TEXT COLLATE NOCASE PRIMARY KEY, b COLLATE RTRIM) WITHOUT ROWID",
    "CREATE TABLE t(a INTEGER, b TEXT, PRIMARY KEY (b DESC, a)) WITHOUT ROWID, STRICT",
    "CREATE TABLE t(a INTEGER PRIMARY KEY DESC, b)",
    "CREATE TABLE t(a INTEGER PRIMARY KEY ON CONFLICT REPLACE, b NOT NULL ON CONFLICT IGNORE UNIQUE ON CONFLICT FAIL)",
    "CREATE TABLE t(a, b, c, UNIQUE (a, b COLLATE NOCASE), UNIQUE (c DESC) ON CONFLICT IGNORE, UNIQUE(b))",
    "CREATE TABLE t(a CONSTRAINT positive CHECK (a > 0), b, CHECK (a <> b), CONSTRAINT \"not c\" CHECK ((b IN ('x', 'Y'))))",
    "CREATE TABLE p(x, y, PRIMARY KEY (x, y)); CREATE TABLE q(id INTEGER PRIMARY KEY);
     CREATE TABLE t(a REFERENCES q ON DELETE CASCADE, b REFERENCES q(id) ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED,
        c, d, FOREIGN KEY (c, d) REFERENCES p ON DELETE SET DEFAULT ON UPDATE RESTRICT, FOREIGN KEY (d) REFERENCES q NOT DEFERRABLE INITIALLY DEFERRED)",
    "CREATE TABLE t(a TEXT, b TEXT COLLATE NOCASE); CREATE INDEX i ON t(a DESC, b); CREATE UNIQUE INDEX j ON t(b COLLATE BINARY);
     CREATE INDEX k ON t(lower(a), a || b, b COLLATE RTRIM DESC) WHERE a IS NOT NULL AND b <> 'x'; CREATE INDEX l ON t((a COLLATE BINARY || 'x'))",
    "CREATE TABLE t(a, b); CREATE VIEW v AS SELECT a, b AS \"B b\", (SELECT max(x.a) FROM t x) m FROM t LEFT OUTER JOIN t u USING (a) WHERE a > -1 AND t.b = 'X, y' GROUP BY a ORDER BY a, b LIMIT 5;
     CREATE VIEW w(one, two) AS WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n, n * -2 FROM c;
     CREATE TRIGGER r AFTER UPDATE OF a, b ON t FOR EACH ROW WHEN NEW.a > OLD.a BEGIN UPDATE t SET b = 1; DELETE FROM t WHERE a IN (SELECT 1); END;
     CREATE TRIGGER s INSTEAD OF INSERT ON v BEGIN SELECT CASE WHEN NEW.a THEN RAISE(ABORT, 'no; never') END; END;
     CREATE TRIGGER z INSERT ON t BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE f USING fts5(title, body, tokenize = 'porter ascii'); CREATE TABLE doc(id INTEGER PRIMARY KEY, text);
     CREATE VIRTUAL TABLE g USING fts5(text, content='doc', content_rowid='id'); CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)",
    "CREATE TABLE \"select\"(\"order\" TEXT, [a b] INT, `c\"d` , 'e''f', \"group\" REFERENCES \"select\"(\"order\"), \"Ä\" UNIQUE, \"1x\", \"null\" CHECK (\"null\" > 1), CHECK (\"a b\" > 0));
     CREATE INDEX \"from\" ON \"select\"(\"order\", [a b]); CREATE VIEW \"my view\" AS SELECT \"order\", \"a b\" FROM \"select\"; 
     CREATE TRIGGER \"my trigger\" AFTER DELETE ON \"select\" BEGIN INSERT INTO \"select\"(\"a b\") VALUES (OLD.\"a b\"); END",
    "CREATE TABLE t(a, b DEFAULT \"x y\", c CHECK (c IN (\"draft\", 'Done')), d \"my type\", e [int])",
    "CREATE TABLE t AS SELECT 1 AS a, 'x' AS b, CAST(3 AS TEXT) AS \"c d\"",
];

#[test]
fn a_schema_written_as_sql_makes_the_same_schema() {
    for sql in WHOLE {
        let first = snapshot(sql);
        let text = first.to_sql();
        let second = snapshot(&text);
        assert_eq!(diff(&first, &second), [], "{sql}\n{text}");
        assert_eq!(second.to_sql(), text, "it is not stable: {sql}");
    }
}

/// SQLite is asked for its keywords, and whether a name needs its quotes.
#[test]
fn a_name_has_quotes_where_sqlite_wants_them() {
    use landfall::rusqlite::ffi::{sqlite3_keyword_count, sqlite3_keyword_name};
    // SAFETY: they read a table that is compiled in.
    let count = unsafe { sqlite3_keyword_count() };
    let keywords = (0..count).map(|at| {
        let (mut text, mut length) = (std::ptr::null(), 0);
        unsafe {
            assert_eq!(sqlite3_keyword_name(at, &mut text, &mut length), 0);
            let bytes = std::slice::from_raw_parts(text.cast::<u8>(), length as usize);
            String::from_utf8_lossy(bytes).to_lowercase()
        }
    });
    let mut names: Vec<String> = keywords.collect();
    assert!(names.len() > 140);
    names.extend(
        ["a b", "1a", "a\"b", "ä", "true", "new", "rowid_", "_", "a$b", "[x]", "a.b", ""]
            .map(str::to_owned),
    );
    for name in names {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let sql = format!(
            "CREATE TABLE {quoted}(id INTEGER PRIMARY KEY, {quoted} INT CHECK ({quoted} > 0) REFERENCES {quoted}({quoted}),
                z INT AS ({quoted} + 1), CHECK (z > {quoted}), UNIQUE ({quoted}, z), UNIQUE ({quoted}));
             CREATE INDEX \"x{}\" ON {quoted}({quoted}, {quoted} + 1) WHERE {quoted} > 1;
             CREATE TRIGGER {quoted} AFTER UPDATE OF {quoted} ON {quoted} BEGIN DELETE FROM {quoted} WHERE {quoted} = OLD.{quoted}; END;
             CREATE VIEW \"v{}\"({quoted}) AS SELECT {quoted} FROM {quoted}",
            name.replace('"', "\"\""),
            name.replace('"', "\"\""),
        );
        let first = snapshot(&sql);
        let text = first.to_sql();
        let conn = memory();
        conn.execute_batch(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(diff(&first, &Snapshot::of(&conn).unwrap()), [], "{text}");
    }
}

/// `UPDATE_LOCK=1` writes it.
#[test]
fn the_example_has_its_schema_on_file() {
    landfall::testing::schema_file(&example(), "tests/kept/schema.sql").unwrap();
}
