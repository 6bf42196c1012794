//! Schemas are compared by meaning: what SQLite takes for the same is the same, and nothing else.

use landfall::rusqlite::Connection;
use landfall::schema::{Change, Snapshot, diff};

use crate::support::{asked, example, memory};

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

/// Ways of writing that mean the same.
const SAME: &[(&str, &str)] = &[
    // Names, case, white space, comments.
    ("CREATE TABLE t(a TEXT, b INT)", "create table [T] /* c */ (\"A\" text,-- x\n `b`\tint)"),
    ("CREATE TABLE t(a VARCHAR(10, 2))", "CREATE TABLE t(a varchar ( 10 ,2 ))"),
    // What need not be said.
    ("CREATE TABLE t(a, b NOT NULL)", "CREATE TABLE t(a NULL DEFAULT NULL, b NOT NULL ON CONFLICT ABORT)"),
    ("CREATE TABLE t(a COLLATE BINARY)", "CREATE TABLE t(a)"),
    ("CREATE TABLE t(a DEFAULT 5, b DEFAULT 'x', c DEFAULT -1)", "CREATE TABLE t(a DEFAULT (5), b DEFAULT x, c DEFAULT (-1))"),
    ("CREATE TABLE t(a DEFAULT 'x')", "CREATE TABLE t(a DEFAULT \"x\")"),
    ("CREATE TABLE t(a DEFAULT x'AB', b DEFAULT 1E5)", "CREATE TABLE t(a DEFAULT X'ab', b DEFAULT 1e5)"),
    ("CREATE TABLE t(a INTEGER PRIMARY KEY)", "CREATE TABLE t(a INTEGER, PRIMARY KEY (a))"),
    ("CREATE TABLE t(a INTEGER PRIMARY KEY ASC AUTOINCREMENT)", "CREATE TABLE t(a INTEGER, CONSTRAINT pk PRIMARY KEY (a AUTOINCREMENT))"),
    ("CREATE TABLE t(a PRIMARY KEY, b) WITHOUT ROWID", "CREATE TABLE t(a PRIMARY KEY NOT NULL, b) without rowid"),
    ("CREATE TABLE t(a INT PRIMARY KEY) STRICT, WITHOUT ROWID", "CREATE TABLE t(a INT, PRIMARY KEY(a)) without rowid, strict"),
    // Where a constraint is written.
    ("CREATE TABLE t(a UNIQUE, b)", "CREATE TABLE t(a, b, CONSTRAINT u UNIQUE (A))"),
    ("CREATE TABLE t(a CHECK (a > 0), b)", "CREATE TABLE t(a, b, CONSTRAINT c CHECK ((A>0)))"),
    ("CREATE TABLE t(a, b, CHECK (a > 0), CHECK (b > 0))", "CREATE TABLE t(a, b, CHECK (b > 0) CHECK (a > 0))"),
    ("CREATE TABLE t(a CHECK (a <> 'x' AND a = 1))", "CREATE TABLE t(a CHECK (a != 'x' and \"a\" == 1))"),
    ("CREATE TABLE t(a CHECK (a IN ('draft', 'Done')))", "CREATE TABLE t(a CHECK (a IN (\"draft\", \"Done\")))"),
    ("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE t(a REFERENCES p)",
     "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE t(a, FOREIGN KEY (a) REFERENCES \"P\"([ID]) ON DELETE NO ACTION NOT DEFERRABLE)"),
    ("CREATE TABLE t(a REFERENCES p(x), b REFERENCES q(y) ON DELETE CASCADE)",
     "CREATE TABLE t(a, b, FOREIGN KEY (b) REFERENCES q(y) ON DELETE CASCADE FOREIGN KEY (a) REFERENCES p(x) DEFERRABLE INITIALLY IMMEDIATE)"),
    ("CREATE TABLE t(a, b AS (a + 1))", "CREATE TABLE t(a, b GENERATED ALWAYS AS ((A + 1)) VIRTUAL)"),
    // Indexes, views, triggers.
    ("CREATE TABLE t(a, b); CREATE INDEX i ON t(a, lower(b)) WHERE a > 1", "CREATE TABLE t(a, b); CREATE INDEX IF NOT EXISTS main.I ON T(\"a\" ASC, ( LOWER ( b ) )) WHERE (a>1)"),
    ("CREATE TABLE t(a COLLATE NOCASE); CREATE INDEX i ON t(a)", "CREATE TABLE t(a COLLATE nocase); CREATE INDEX i ON t(a COLLATE NoCase)"),
    ("CREATE TABLE t(a); CREATE VIEW v AS SELECT a FROM t", "CREATE TABLE t(a); CREATE VIEW main.[v] as\n select \"a\" -- the a\n from `t`"),
    ("CREATE TABLE t(a); CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT 'x'; END",
     "CREATE TABLE t(a); CREATE TRIGGER R insert on \"t\" for each row begin select 'x' ; end"),
    ("CREATE TABLE t(a); CREATE VIEW v AS SELECT 'Text' AS \"Name\" FROM t", "CREATE TABLE t(a); CREATE VIEW v AS SELECT \"Text\" AS Name FROM t"),
    // How it came to be.
    ("CREATE TABLE t(a, b TEXT DEFAULT 'x')", "CREATE TABLE t(a); ALTER TABLE t ADD b TEXT DEFAULT 'x'"),
    ("CREATE TABLE t(a, b)", "CREATE TABLE t(a, c, b); ALTER TABLE t DROP COLUMN c"),
    ("CREATE TABLE t(a, b CHECK (b > a)); CREATE INDEX i ON t(b)", "CREATE TABLE t(a, x CHECK (x > a)); CREATE INDEX i ON t(x); ALTER TABLE t RENAME x TO b"),
    ("CREATE TABLE t(a); CREATE TABLE u(b REFERENCES t(a)); CREATE VIEW v AS SELECT t.a FROM t; CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t WHERE t.a = 1; END",
     "CREATE TABLE s(x); CREATE TABLE u(b REFERENCES s(x)); CREATE VIEW v AS SELECT s.x FROM s; CREATE TRIGGER r AFTER INSERT ON s BEGIN DELETE FROM s WHERE s.x = 1; END;
      ALTER TABLE s RENAME TO t; ALTER TABLE t RENAME x TO a"),
    // Nobody's schema.
    ("CREATE TABLE t(a)", "CREATE TABLE t(a); ANALYZE; CREATE TABLE _litestream_seq(id)"),
    ("CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT)", "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (7)"),
    ("CREATE VIRTUAL TABLE f USING fts5(a, b, tokenize = 'porter')", "CREATE VIRTUAL TABLE F USING FTS5 ( a,b /* c */ , tokenize='porter' )"),
];

#[test]
fn what_means_the_same_is_the_same() {
    for (one, other) in SAME {
        assert_eq!(told(one, other), Vec::<String>::new(), "{one}\n{other}");
        assert_eq!(told(other, one), Vec::<String>::new(), "{one}\n{other}");
    }
}

/// Two schemas, and what is said of the first: what differs and, where there are any, the
/// statements that mend it.
type Different = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const DIFFERENT: &[Different] = &[
    ("", "CREATE TABLE t(a TEXT)", &[("table `t` is missing", "CREATE TABLE t (\n    a TEXT\n)")]),
    (
        "CREATE TABLE t(a TEXT); CREATE INDEX i ON t(a); CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END",
        "",
        &[("table `t` should not be there", "DROP TABLE t")],
    ),
    (
        "CREATE TABLE t(a)",
        "CREATE TABLE t(a, b TEXT NOT NULL DEFAULT 'x' COLLATE NOCASE CHECK (b <> a))",
        &[(
            "table `t` lacks the column `b` (b TEXT NOT NULL DEFAULT 'x' COLLATE NOCASE CHECK (b <> a))",
            "ALTER TABLE t ADD COLUMN b TEXT NOT NULL DEFAULT 'x' COLLATE NOCASE CHECK (b <> a)",
        )],
    ),
    (
        "CREATE TABLE p(x PRIMARY KEY); CREATE TABLE t(a)",
        "CREATE TABLE p(x PRIMARY KEY); CREATE TABLE t(a, b REFERENCES p ON DELETE CASCADE, c AS (a) VIRTUAL)",
        &[
            (
                "table `t` lacks the column `b` (b REFERENCES p(x) ON DELETE CASCADE)",
                "ALTER TABLE t ADD COLUMN b REFERENCES p(x) ON DELETE CASCADE",
            ),
            (
                "table `t` lacks the column `c` (c GENERATED ALWAYS AS (a) VIRTUAL)",
                "ALTER TABLE t ADD COLUMN c GENERATED ALWAYS AS (a) VIRTUAL",
            ),
        ],
    ),
    (
        "CREATE TABLE t(a)",
        "CREATE TABLE t(a, b NOT NULL)",
        &[("table `t` lacks the column `b` (b NOT NULL)", "")],
    ),
    (
        "CREATE TABLE t(a)",
        "CREATE TABLE t(a, b DEFAULT CURRENT_DATE)",
        &[("table `t` lacks the column `b` (b DEFAULT CURRENT_DATE)", "")],
    ),
    (
        "CREATE TABLE t(a)",
        "CREATE TABLE t(a, b DEFAULT (1 + 1))",
        &[("table `t` lacks the column `b` (b DEFAULT (1 + 1))", "")],
    ),
    (
        "CREATE TABLE t(a)",
        "CREATE TABLE t(a, b AS (a) STORED)",
        &[("table `t` lacks the column `b` (b GENERATED ALWAYS AS (a) STORED)", "")],
    ),
    (
        "CREATE TABLE t(a)",
        "CREATE TABLE t(a, b UNIQUE)",
        &[("table `t` lacks the column `b` (b UNIQUE)", "")],
    ),
    (
        "CREATE TABLE t(a, b CHECK (b > 0))",
        "CREATE TABLE t(a)",
        &[("table `t` has a column `b` too many (b CHECK (b > 0))", "ALTER TABLE t DROP COLUMN b")],
    ),
    // What is about other columns does not keep one.
    (
        "CREATE TABLE t(a CHECK (a > 0), b)",
        "CREATE TABLE t(a CHECK (a > 0))",
        &[("table `t` has a column `b` too many (b)", "ALTER TABLE t DROP COLUMN b")],
    ),
    (
        "CREATE TABLE p(x, y, UNIQUE (x, y)); CREATE TABLE t(a, b, c, FOREIGN KEY (a, b) REFERENCES p(x, y))",
        "CREATE TABLE p(x, y, UNIQUE (x, y)); CREATE TABLE t(a, b, FOREIGN KEY (a, b) REFERENCES p(x, y))",
        &[("table `t` has a column `c` too many (c)", "ALTER TABLE t DROP COLUMN c")],
    ),
    (
        "CREATE TABLE t(a, b UNIQUE)",
        "CREATE TABLE t(a)",
        &[("table `t` has a column `b` too many (b UNIQUE)", "")],
    ),
    (
        "CREATE TABLE t(a, b); CREATE VIEW v AS SELECT b FROM t",
        "CREATE TABLE t(a); CREATE VIEW v AS SELECT b FROM t",
        &[("table `t` has a column `b` too many (b)", "")],
    ),
    (
        "CREATE TABLE t(a, b); CREATE VIEW v AS SELECT b FROM t; CREATE INDEX i ON t(b)",
        "CREATE TABLE t(a)",
        &[
            ("view `v` should not be there", "DROP VIEW v"),
            ("index `i` on table `t` should not be there", "DROP INDEX i"),
            ("table `t` has a column `b` too many (b)", "ALTER TABLE t DROP COLUMN b"),
        ],
    ),
    (
        "CREATE TABLE t(a, b)",
        "CREATE TABLE t(b, a)",
        &[("table `t`: order of columns a, b instead of b, a", "")],
    ),
    (
        "CREATE TABLE t(a, c)",
        "CREATE TABLE t(a, b, c)",
        &[
            ("table `t` lacks the column `b` (b)", "ALTER TABLE t ADD COLUMN b"),
            ("table `t`: order of columns a, c, b instead of a, b, c", ""),
        ],
    ),
    (
        "CREATE TABLE t(a TEXT, b)",
        "CREATE TABLE t(a INT, b BLOB)",
        &[
            ("column `a` of table `t`: type TEXT instead of INT", ""),
            ("column `b` of table `t`: no type instead of BLOB", ""),
        ],
    ),
    (
        "CREATE TABLE t(a INT)",
        "CREATE TABLE t(a INTEGER)",
        &[("column `a` of table `t`: type INT instead of INTEGER", "")],
    ),
    (
        "CREATE TABLE t(a)",
        "CREATE TABLE t(a NOT NULL)",
        &[("column `a` of table `t`: NULL allowed instead of NOT NULL", "")],
    ),
    (
        "CREATE TABLE t(a NOT NULL)",
        "CREATE TABLE t(a NOT NULL ON CONFLICT IGNORE)",
        &[("column `a` of table `t`: NOT NULL instead of NOT NULL ON CONFLICT IGNORE", "")],
    ),
    (
        "CREATE TABLE t(a DEFAULT 'x', b DEFAULT 1, c)",
        "CREATE TABLE t(a DEFAULT 'X', b, c DEFAULT \"x\")",
        &[
            ("column `a` of table `t`: default 'x' instead of 'X'", ""),
            ("column `b` of table `t`: default 1 instead of no default", ""),
            ("column `c` of table `t`: no default instead of 'x'", ""),
        ],
    ),
    (
        "CREATE TABLE t(a DEFAULT 1)",
        "CREATE TABLE t(a DEFAULT '1')",
        &[("column `a` of table `t`: default 1 instead of '1'", "")],
    ),
    (
        "CREATE TABLE t(a DEFAULT CURRENT_TIME)",
        "CREATE TABLE t(a DEFAULT 'CURRENT_TIME')",
        &[("column `a` of table `t`: default CURRENT_TIME instead of 'CURRENT_TIME'", "")],
    ),
    (
        "CREATE TABLE t(a, b AS (a + 1))",
        "CREATE TABLE t(a, b AS (a + 2))",
        &[("column `b` of table `t`: AS (a + 1) VIRTUAL instead of AS (a + 2) VIRTUAL", "")],
    ),
    (
        "CREATE TABLE t(a, b AS (a))",
        "CREATE TABLE t(a, b AS (a) STORED)",
        &[("column `b` of table `t`: AS (a) VIRTUAL instead of AS (a) STORED", "")],
    ),
    (
        "CREATE TABLE t(a, b)",
        "CREATE TABLE t(a, b AS (a))",
        &[("column `b` of table `t`: not generated instead of AS (a) VIRTUAL", "")],
    ),
    (
        "CREATE TABLE t(a COLLATE NOCASE)",
        "CREATE TABLE t(a)",
        &[("column `a` of table `t`: collation NOCASE instead of BINARY", "")],
    ),
    (
        "CREATE TABLE t(a, b)",
        "CREATE TABLE t(a PRIMARY KEY, b)",
        &[("table `t`: no primary key instead of (a)", "")],
    ),
    (
        "CREATE TABLE t(a, b, PRIMARY KEY (a, b))",
        "CREATE TABLE t(a, b, PRIMARY KEY (b, a DESC))",
        &[("table `t`: primary key (a, b) instead of (b, a DESC)", "")],
    ),
    (
        "CREATE TABLE t(a INTEGER PRIMARY KEY)",
        "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT)",
        &[("table `t`: primary key (a) instead of (a) AUTOINCREMENT", "")],
    ),
    (
        "CREATE TABLE t(a INTEGER PRIMARY KEY)",
        "CREATE TABLE t(a INTEGER PRIMARY KEY DESC)",
        &[("table `t`: primary key (a) instead of (a DESC), not the rowid", "")],
    ),
    (
        "CREATE TABLE t(a PRIMARY KEY)",
        "CREATE TABLE t(a PRIMARY KEY ON CONFLICT REPLACE)",
        &[("table `t`: primary key (a) instead of (a) ON CONFLICT REPLACE", "")],
    ),
    (
        "CREATE TABLE t(a, b, PRIMARY KEY(b))",
        "CREATE TABLE t(a, b, PRIMARY KEY(b COLLATE NOCASE))",
        &[("table `t`: primary key (b) instead of (b COLLATE NOCASE)", "")],
    ),
    (
        "CREATE TABLE t(a, b, UNIQUE (a, b))",
        "CREATE TABLE t(a UNIQUE, b)",
        &[("table `t` has UNIQUE (a, b) too many", ""), ("table `t` lacks UNIQUE (a)", "")],
    ),
    (
        "CREATE TABLE t(a UNIQUE)",
        "CREATE TABLE t(a UNIQUE ON CONFLICT REPLACE)",
        &[
            ("table `t` has UNIQUE (a) too many", ""),
            ("table `t` lacks UNIQUE (a) ON CONFLICT REPLACE", ""),
        ],
    ),
    (
        "CREATE TABLE t(a REFERENCES p(x))",
        "CREATE TABLE t(a REFERENCES p(x) ON DELETE CASCADE)",
        &[(
            "table `t`: FOREIGN KEY (a) REFERENCES p(x) instead of FOREIGN KEY (a) REFERENCES p(x) ON DELETE CASCADE",
            "",
        )],
    ),
    (
        "CREATE TABLE t(a REFERENCES p(x) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE t(a REFERENCES p(x))",
        &[(
            "table `t`: FOREIGN KEY (a) REFERENCES p(x) DEFERRABLE INITIALLY DEFERRED instead of FOREIGN KEY (a) REFERENCES p(x)",
            "",
        )],
    ),
    (
        "CREATE TABLE t(a REFERENCES p(x))",
        "CREATE TABLE t(a)",
        &[("table `t` has FOREIGN KEY (a) REFERENCES p(x) too many", "")],
    ),
    (
        "CREATE TABLE t(a)",
        "CREATE TABLE t(a REFERENCES p)",
        &[("table `t` lacks FOREIGN KEY (a) REFERENCES p", "")],
    ),
    (
        "CREATE TABLE t(a CHECK (a IN ('x', 'y')))",
        "CREATE TABLE t(a CHECK (a IN ('x', 'Y')))",
        &[
            ("table `t` has CHECK (a IN ('x', 'y')) too many", ""),
            ("table `t` lacks CHECK (a IN ('x', 'Y'))", ""),
        ],
    ),
    (
        "CREATE TABLE t(a INT)",
        "CREATE TABLE t(a INT) STRICT",
        &[("table `t`: not STRICT instead of STRICT", "")],
    ),
    (
        "CREATE TABLE t(a PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE t(a PRIMARY KEY NOT NULL)",
        &[("table `t`: WITHOUT ROWID instead of not WITHOUT ROWID", "")],
    ),
    (
        "CREATE TABLE t(a, b); CREATE INDEX i ON t(a)",
        "CREATE TABLE t(a, b); CREATE INDEX i ON t(a DESC)",
        &[(
            "index `i` on table `t`: CREATE INDEX i ON t (a) instead of CREATE INDEX i ON t (a DESC)",
            "DROP INDEX i|CREATE INDEX i ON t (a DESC)",
        )],
    ),
    (
        "CREATE TABLE t(a, b); CREATE INDEX i ON t(a)",
        "CREATE TABLE t(a, b); CREATE UNIQUE INDEX i ON t(a COLLATE NOCASE) WHERE b",
        &[(
            "index `i` on table `t`: CREATE INDEX i ON t (a) instead of CREATE UNIQUE INDEX i ON t (a COLLATE NOCASE) WHERE b",
            "DROP INDEX i|CREATE UNIQUE INDEX i ON t (a COLLATE NOCASE) WHERE b",
        )],
    ),
    (
        "CREATE TABLE t(a, b); CREATE INDEX i ON t(lower(a))",
        "CREATE TABLE t(a, b); CREATE INDEX i ON t(upper(a))",
        &[(
            "index `i` on table `t`: CREATE INDEX i ON t (lower(a)) instead of CREATE INDEX i ON t (upper(a))",
            "DROP INDEX i|CREATE INDEX i ON t (upper(a))",
        )],
    ),
    (
        "CREATE TABLE t(a); CREATE TABLE u(a); CREATE INDEX i ON t(a)",
        "CREATE TABLE t(a); CREATE TABLE u(a); CREATE INDEX i ON u(a)",
        &[(
            "index `i` on table `u`: CREATE INDEX i ON t (a) instead of CREATE INDEX i ON u (a)",
            "DROP INDEX i|CREATE INDEX i ON u (a)",
        )],
    ),
    (
        "CREATE TABLE t(a); CREATE VIEW v AS SELECT a FROM t",
        "CREATE TABLE t(a); CREATE VIEW v(x) AS SELECT a FROM t; CREATE TRIGGER r INSTEAD OF INSERT ON v BEGIN SELECT 1; END",
        &[
            (
                "view `v`: `CREATE VIEW v AS SELECT a FROM t` instead of `CREATE VIEW v(x) AS SELECT a FROM t`",
                "DROP VIEW v|CREATE VIEW v(x) AS\nSELECT a\nFROM t",
            ),
            (
                "trigger `r` on table `v` is missing",
                "CREATE TRIGGER r INSTEAD OF INSERT ON v\nBEGIN\n    SELECT 1;\nEND",
            ),
        ],
    ),
    (
        "CREATE VIEW v AS SELECT 'x' AS a; CREATE TRIGGER r INSTEAD OF INSERT ON v BEGIN SELECT 1; END",
        "CREATE VIEW v AS SELECT 'y' AS a; CREATE TRIGGER r INSTEAD OF INSERT ON v BEGIN SELECT 1; END",
        &[(
            "view `v`: `… AS SELECT 'x' AS a` instead of `… AS SELECT 'y' AS a`",
            "DROP VIEW v|CREATE VIEW v AS\nSELECT 'y' AS a|CREATE TRIGGER r INSTEAD OF INSERT ON v\nBEGIN\n    SELECT 1;\nEND",
        )],
    ),
    (
        "CREATE TABLE t(a); CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 'x'; END",
        "CREATE TABLE t(a); CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 'X'; END",
        &[(
            "trigger `r` on table `t`: `… BEGIN SELECT 'x'; END` instead of `… BEGIN SELECT 'X'; END`",
            "DROP TRIGGER IF EXISTS r|CREATE TRIGGER r AFTER INSERT ON t\nBEGIN\n    SELECT 'X';\nEND",
        )],
    ),
    (
        "CREATE TABLE t(a); CREATE TRIGGER r INSERT ON t BEGIN SELECT 1; END",
        "CREATE TABLE t(a)",
        &[("trigger `r` on table `t` should not be there", "DROP TRIGGER r")],
    ),
    (
        "CREATE TABLE t(a); CREATE TRIGGER r INSERT ON t BEGIN SELECT 1; END",
        "CREATE TABLE t(a); CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END",
        &[(
            "trigger `r` on table `t`: `… TRIGGER r BEFORE INSERT ON t BEGIN SELECT 1; END` instead of `… TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END`",
            "DROP TRIGGER IF EXISTS r|CREATE TRIGGER r AFTER INSERT ON t\nBEGIN\n    SELECT 1;\nEND",
        )],
    ),
    (
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "CREATE VIRTUAL TABLE f USING fts5(a, b)",
        &[("table `f`: fts5(a) instead of fts5(a, b)", "")],
    ),
    (
        "CREATE VIRTUAL TABLE f USING fts5(a)",
        "",
        &[("table `f` should not be there", "DROP TABLE f")],
    ),
    (
        "CREATE TABLE t(a)",
        "CREATE VIRTUAL TABLE t USING fts5(a)",
        &[(
            "table `t`: CREATE TABLE t (\n    a\n) instead of CREATE VIRTUAL TABLE t USING fts5(a)",
            "",
        )],
    ),
    (
        "CREATE TABLE t(a)",
        "CREATE VIEW t AS SELECT 1 AS a",
        &[
            ("table `t` should not be there", "DROP TABLE t"),
            ("view `t` is missing", "CREATE VIEW t AS\nSELECT 1 AS a"),
        ],
    ),
    // A name in quotes that is a keyword is not the keyword; a string is not a name.
    (
        "CREATE TABLE t(a, \"null\", CHECK (\"null\" > a))",
        "CREATE TABLE t(a, \"null\", CHECK (NULL > a))",
        &[
            ("table `t` has CHECK (\"null\" > a) too many", ""),
            ("table `t` lacks CHECK (NULL > a)", ""),
        ],
    ),
    (
        "CREATE TABLE t(a, b CHECK (b <> 'a'))",
        "CREATE TABLE t(a, b CHECK (b <> \"a\"))",
        &[("table `t` has CHECK (b <> 'a') too many", ""), ("table `t` lacks CHECK (b <> a)", "")],
    ),
    (
        "CREATE TABLE docs(a); CREATE TABLE docs_content(x); CREATE VIRTUAL TABLE docs2 USING fts5(a, content='docs')",
        "CREATE TABLE docs(a); CREATE VIRTUAL TABLE docs2 USING fts5(a, content='docs')",
        &[("table `docs_content` should not be there", "DROP TABLE docs_content")],
    ),
];

#[test]
fn what_differs_is_told_and_mended() {
    for (first, second, wanted) in DIFFERENT {
        let found = changes(first, second);
        let lines: Vec<(String, String)> = found
            .iter()
            .map(|change| (change.to_string(), change.statements().join("|")))
            .collect();
        let wanted: Vec<(String, String)> =
            wanted.iter().map(|(told, by)| (told.to_string(), by.to_string())).collect();
        assert_eq!(lines, wanted, "{first}\n{second}");
        // What is told of the one is told the other way round of the other.
        assert!(!changes(second, first).is_empty(), "{first}\n{second}");
        for change in &found {
            assert_eq!(change.statement().is_some(), change.statements().len() == 1);
            assert!(!change.as_deed().is_empty());
        }
        if found.iter().all(|change| !change.statements().is_empty()) {
            mend(&made(first), &found, second);
        }
    }
}

/// Executes the statements in order, and finds nothing left.
fn mend(conn: &Connection, changes: &[Change], wanted: &str) {
    for statement in changes.iter().flat_map(Change::statements) {
        conn.execute_batch(statement)
            .unwrap_or_else(|error| panic!("{error}: {statement}\n{wanted}"));
    }
    assert_eq!(diff(&Snapshot::of(conn).unwrap(), &snapshot(wanted)), [], "{wanted}");
}

#[test]
fn a_change_can_be_told_as_a_deed() {
    let deeds = |first: &str, second: &str| -> Vec<String> {
        changes(first, second).iter().map(Change::as_deed).collect()
    };
    assert_eq!(
        deeds(
            "CREATE TABLE old(x); CREATE TABLE t(a TEXT DEFAULT 1, b, c REFERENCES q(z), d AS (a), UNIQUE (a)); CREATE INDEX i ON t(a); CREATE VIEW v AS SELECT 1",
            "CREATE TABLE new(x); CREATE TABLE t(a INT NOT NULL, c, d, e, CHECK (a > 0))",
        ),
        [
            "drop view `v`",
            "drop index `i` on table `t`",
            "drop table `old`",
            "create table `new`",
            "drop the column `b` of table `t`",
            "change column `a` of table `t`: from type TEXT to INT",
            "change column `a` of table `t`: from NULL allowed to NOT NULL",
            "change column `a` of table `t`: from default 1 to no default",
            "change column `d` of table `t`: from AS (a) VIRTUAL to not generated",
            "add the column `e` to table `t` (e)",
            "take UNIQUE (a) away from table `t`",
            "take FOREIGN KEY (c) REFERENCES q(z) away from table `t`",
            "add CHECK (a > 0) to table `t`",
        ]
    );
    assert_eq!(
        deeds("CREATE TABLE t(a INT, PRIMARY KEY (a))", "CREATE TABLE t(a INT) STRICT"),
        [
            "change table `t`: from primary key (a) to no primary key",
            "change table `t`: from not STRICT to STRICT",
        ]
    );
}

#[test]
fn a_schema_is_read_where_it_does_not_work_and_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let conn = Connection::open(&path).unwrap();
    let flags = landfall::rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function("f", 1, flags, |_| Ok(1)).unwrap();
    conn.create_collation("c", |a: &str, b: &str| a.cmp(b)).unwrap();
    conn.execute_batch(
        "CREATE TABLE gone(x); CREATE VIEW broken AS SELECT x, nope(x) FROM gone; CREATE TABLE u(a);
         CREATE TRIGGER stale AFTER INSERT ON u BEGIN INSERT INTO gone VALUES (f(1)); END; DROP TABLE gone;
         CREATE TABLE t(a COLLATE c UNIQUE, b AS (f(a)) STORED, d DEFAULT (f(1)), CHECK (f(a) > 0));
         CREATE INDEX i ON t(f(a), a COLLATE c) WHERE f(a) > 0; CREATE VIEW v AS SELECT f(a) FROM t;
         CREATE VIRTUAL TABLE w USING fts5(a)",
    )
    .unwrap();
    let writer = Snapshot::of(&conn).unwrap();
    let readers = landfall::rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let reader = Connection::open_with_flags(&path, readers).unwrap();
    let before = std::fs::read(&path).unwrap();
    let found = Snapshot::of(&reader).unwrap();
    assert_eq!(diff(&writer, &found), []);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let text = found.to_sql();
    for part in [
        "CREATE VIEW broken AS",
        "a UNIQUE COLLATE C",
        "CREATE INDEX i ON t (f(a), a) WHERE f(a) > 0",
        "CREATE TRIGGER stale",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // In a transaction of the caller's, which stays as it is; what is in TEMP is not looked at.
    conn.execute_batch("BEGIN; CREATE TABLE inside(x); CREATE TEMP TABLE t(other)").unwrap();
    let told: Vec<String> =
        diff(&writer, &Snapshot::of(&conn).unwrap()).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["table `inside` is missing"]);
    assert!(!conn.is_autocommit());
}

/// Pragmas included, which SQLite runs for each table that a query of ours asks about.
#[test]
fn reading_asks_in_proportion_to_the_tables() {
    for tables in [1, 10, 1000] {
        let sql: String = (0..tables)
            .map(|n| {
                format!(
                    "CREATE TABLE t{n}(id INTEGER PRIMARY KEY, a UNIQUE, b REFERENCES t0(id));
                     CREATE INDEX i{n} ON t{n}(a, b);"
                )
            })
            .collect();
        let conn = made(&sql);
        let mut found = None;
        let asked = asked(&conn, |conn| found = Some(Snapshot::of(conn).unwrap()));
        assert_eq!(found.unwrap().to_sql().matches("CREATE TABLE").count(), tables);
        assert_eq!(asked.len(), 6 + 5 * tables);
    }
}

#[test]
fn ledgers_of_any_prefix_do_not_count_and_what_only_looks_like_one_does() {
    let conn = memory();
    let set = |prefix: &str| landfall::Migrator::from_migrations([]).ledger(prefix);
    for prefix in ["schema", "lib", "Other_One"] {
        let seeds = landfall::Seeds::new().ensure("s", |_| Ok::<_, String>(()));
        set(prefix).seeds(seeds).apply(&conn).unwrap();
    }
    assert_eq!(Snapshot::of(&conn).unwrap().to_sql(), "");
    conn.execute_batch(
        "CREATE TABLE app_state(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
         CREATE TABLE ui_migrations(version); CREATE TABLE lib2_history(id INTEGER PRIMARY KEY, at TEXT)",
    )
    .unwrap();
    let text = Snapshot::of(&conn).unwrap().to_sql();
    assert_eq!(text.matches("CREATE TABLE").count(), 3, "{text}");
}

#[test]
fn a_name_is_what_its_glob_says() {
    let conn = made(
        "CREATE TABLE a_1(x); CREATE TABLE ab(x); CREATE TABLE \"x*y\"(x); CREATE INDEX i ON ab(x); CREATE VIEW abc AS SELECT 1",
    );
    let left = |glob: &str| {
        let text = Snapshot::of(&conn).unwrap().ignoring(glob).to_sql();
        let names: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("CREATE"))
            .filter_map(|line| line.split(' ').nth(2))
            .collect();
        names.join(" ")
    };
    for (glob, wanted) in [
        ("", "a_1 ab \"x*y\" i abc"),
        ("*", ""),
        ("A*", "\"x*y\""),
        ("a?", "a_1 \"x*y\" abc"),
        ("a_?", "ab \"x*y\" i abc"),
        ("ab", "a_1 \"x*y\" abc"),
        ("i", "a_1 ab \"x*y\" abc"),
        ("x*y", "a_1 ab i abc"),
        ("*b*c", "a_1 ab \"x*y\" i"),
        ("**b", "a_1 \"x*y\" abc"),
        ("a", "a_1 ab \"x*y\" i abc"),
    ] {
        assert_eq!(left(glob), wanted, "{glob}");
    }
}
