//! What proofs, differences and rehearsals must not get wrong.

use landfall::schema::{Snapshot, diff};
use landfall::testing::verify;
use landfall::{DataLoss, ErrorKind, Migration, Migrator, Rehearsal};

use crate::support::{folder, memory, set};

fn snapshot(sql: &str) -> Snapshot {
    let conn = memory();
    conn.execute_batch(sql).unwrap();
    Snapshot::of(&conn).unwrap()
}

fn told(first: &str, second: &str) -> Vec<String> {
    diff(&snapshot(first), &snapshot(second)).iter().map(ToString::to_string).collect()
}

const NONE: [&str; 0] = [];

/// `code file`, of everything that `verify` finds.
fn found(migrator: &Migrator) -> Vec<String> {
    let Err(error) = verify(migrator).run() else { return Vec::new() };
    let ErrorKind::Unsound { findings, .. } = error.kind() else { panic!("{error:?}") };
    findings
        .iter()
        .map(|f| format!("{} {}: {}", f.code, f.file.clone().unwrap_or_default(), f.what))
        .collect()
}

fn lost(rehearsal: &Rehearsal) -> Vec<String> {
    assert!(rehearsal.error.is_none(), "{:?}", rehearsal.error);
    rehearsal
        .steps
        .iter()
        .flat_map(|s| &s.rows_lost)
        .map(|l| format!("{} {}", l.rows, l.table))
        .collect()
}

/// Where GENERATED ALWAYS stands among a column's constraints means nothing.
#[test]
fn a_generated_column_may_say_so_after_a_constraint() {
    let late = "CREATE TABLE t(a, x INT NOT NULL GENERATED ALWAYS AS (a + 1) STORED)";
    let early = "CREATE TABLE t(a, x INT AS (a + 1) STORED NOT NULL)";
    assert_eq!(told(late, early), NONE);
    assert_eq!(told(&snapshot(late).to_sql(), early), NONE);
}

#[test]
fn a_default_of_true_is_not_the_text_true() {
    assert_ne!(told("CREATE TABLE t(x DEFAULT true)", "CREATE TABLE t(x DEFAULT 'true')"), NONE);
}

/// The last column of a table cannot be dropped.
#[test]
fn statements_never_drop_every_column() {
    let (first, second) = ("CREATE TABLE t(a, b)", "CREATE TABLE t(c, d)");
    let conn = memory();
    conn.execute_batch(first).unwrap();
    for change in diff(&snapshot(first), &snapshot(second)) {
        for statement in change.statements() {
            conn.execute_batch(statement).unwrap();
        }
    }
}

const PLACES: &str = "CREATE VIRTUAL TABLE place USING rtree(id, x0, x1);
     CREATE TABLE place_data(id INTEGER PRIMARY KEY, name TEXT)";

/// An R*Tree has no table `…_data`, so that this one is the application's.
#[test]
fn a_table_that_is_only_named_like_a_part_of_a_virtual_one_loses_rows_in_a_rehearsal() {
    let old = set(&[(1, "place", PLACES, "")]);
    let conn = memory();
    old.apply(&conn).unwrap();
    conn.execute_batch("INSERT INTO place_data VALUES (1, 'a'), (2, 'b')").unwrap();
    let new = old.with(Migration::sql(2, "clear", "DELETE FROM place_data"));
    assert_eq!(lost(&new.rehearse(&conn).unwrap()), ["2 place_data"]);
}

#[test]
fn a_table_that_is_only_named_like_a_part_of_a_virtual_one_is_guarded() {
    let old = set(&[(1, "place", PLACES, "")]);
    let conn = memory();
    old.apply(&conn).unwrap();
    conn.execute_batch("INSERT INTO place_data VALUES (1, 'a'), (2, 'b')").unwrap();
    let script = old.clone().with(Migration::sql(2, "drop", "DROP TABLE place_data"));
    assert!(matches!(script.apply(&conn).unwrap_err().kind(), ErrorKind::DataLoss { .. }));
    let code = old.with(Migration::code(2, "drop", |tx| {
        tx.execute_batch("ALTER TABLE place_data DROP COLUMN name")
    }));
    assert!(matches!(code.apply(&conn).unwrap_err().kind(), ErrorKind::DataLoss { .. }));
    let deletes = script.data_loss(DataLoss::RefuseDeletes);
    assert!(deletes.apply(&conn).is_err());
}

#[test]
fn a_table_that_is_only_named_like_a_part_of_a_virtual_one_is_proved_with_rows() {
    let migrator = set(&[
        (1, "place", PLACES, "DROP TABLE place; DROP TABLE place_data"),
        (
            2,
            "at",
            "ALTER TABLE place_data ADD COLUMN at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP",
            "ALTER TABLE place_data DROP COLUMN at",
        ),
    ]);
    let found = found(&migrator);
    assert!(found.iter().any(|f| f.starts_with("fails-with-rows")), "{found:?}");
}

/// A new table begins on the page that a dropped one has left.
#[test]
fn a_table_that_is_dropped_has_not_become_the_one_that_is_made_after_it() {
    let old = set(&[(1, "a", "CREATE TABLE a(x)", "")]);
    let conn = memory();
    old.apply(&conn).unwrap();
    conn.execute_batch("INSERT INTO a VALUES (1), (2)").unwrap();
    let sql = "-- landfall: allow-data-loss: it is over
        DROP TABLE a; CREATE TABLE b(x); INSERT INTO b VALUES (1), (2)";
    assert_eq!(lost(&old.with(Migration::sql(2, "b", sql)).rehearse(&conn).unwrap()), ["2 a"]);
}

/// The old table is there under another name.
#[test]
fn a_table_that_is_put_aside_loses_nothing() {
    let old = set(&[(1, "a", "CREATE TABLE a(x)", "")]);
    let conn = memory();
    old.apply(&conn).unwrap();
    conn.execute_batch("INSERT INTO a VALUES (1), (2)").unwrap();
    let sql = "ALTER TABLE a RENAME TO a_old; CREATE TABLE a(x, y)";
    assert_eq!(lost(&old.with(Migration::sql(2, "b", sql)).rehearse(&conn).unwrap()), NONE);
}

#[test]
fn a_text_of_another_encoding_is_rehearsed_with_temporary_tables_too() {
    let conn = memory();
    conn.execute_batch("PRAGMA encoding = 'UTF-16le'; PRAGMA page_size = 65536;
        PRAGMA auto_vacuum = 1; CREATE TABLE a(x); INSERT INTO a VALUES ('ä'); CREATE TEMP TABLE mine(x);
        ATTACH ':memory:' AS other; CREATE TABLE other.o(x)").unwrap();
    let migrator = set(&[(1, "b", "UPDATE a SET x = x || 'ö'", "")]);
    for migrator in [
        migrator.clone(),
        migrator
            .on_connect(|c| c.execute_batch("CREATE TEMP TABLE t(x); INSERT INTO t VALUES ('é')")),
    ] {
        let r = migrator.rehearse(&conn).unwrap();
        assert!(r.error.is_none(), "{r}");
    }
}

/// Realistic sets in which nothing is wrong.
#[test]
fn sound_histories_are_found_sound() {
    let histories: &[(&str, &[(&str, &str)])] = &[
        ("blog", &[
            ("0001_posts.sql", "CREATE TABLE posts (id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL UNIQUE COLLATE NOCASE CHECK (slug GLOB '[a-z]*' AND length(slug) <= 40), title TEXT NOT NULL, body TEXT NOT NULL DEFAULT '', meta TEXT CHECK (meta IS NULL OR json_valid(meta)), created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))) STRICT;"),
            ("0001_posts.down.sql", "DROP TABLE posts;"),
            ("0002_fts.sql", "CREATE VIRTUAL TABLE posts_fts USING fts5(title, body, content='posts', content_rowid='id', tokenize='porter unicode61');
INSERT INTO posts_fts(posts_fts) VALUES ('rebuild');
CREATE TRIGGER posts_ai AFTER INSERT ON posts BEGIN INSERT INTO posts_fts(rowid, title, body) VALUES (new.id, new.title, new.body); END;
CREATE TRIGGER posts_ad AFTER DELETE ON posts BEGIN INSERT INTO posts_fts(posts_fts, rowid, title, body) VALUES ('delete', old.id, old.title, old.body); END;
CREATE TRIGGER posts_au AFTER UPDATE ON posts BEGIN INSERT INTO posts_fts(posts_fts, rowid, title, body) VALUES ('delete', old.id, old.title, old.body); INSERT INTO posts_fts(rowid, title, body) VALUES (new.id, new.title, new.body); END;"),
            ("0002_fts.down.sql", "DROP TRIGGER posts_ai; DROP TRIGGER posts_ad; DROP TRIGGER posts_au; DROP TABLE posts_fts;"),
            ("0003_tags.sql", "CREATE TABLE tags (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES tags(id) ON DELETE CASCADE, name TEXT NOT NULL, UNIQUE (parent_id, name)) STRICT; CREATE TABLE post_tags (post_id INTEGER NOT NULL REFERENCES posts ON DELETE CASCADE, tag_id INTEGER NOT NULL REFERENCES tags(id) ON DELETE RESTRICT, position REAL NOT NULL DEFAULT 0.0, PRIMARY KEY (post_id, tag_id)) STRICT, WITHOUT ROWID; CREATE INDEX post_tags_by_tag ON post_tags(tag_id, position DESC);"),
            ("0003_tags.down.sql", "DROP TABLE post_tags; DROP TABLE tags;"),
            ("0004_words.sql", "-- landfall: allow unique-over-rows: tags are typed in by one person\nALTER TABLE posts ADD COLUMN words INTEGER GENERATED ALWAYS AS (length(body) - length(replace(body, ' ', '')) + 1) VIRTUAL; CREATE INDEX posts_by_words ON posts(words) WHERE words > 100; CREATE UNIQUE INDEX tag_ci ON tags(lower(name), ifnull(parent_id, 0));"),
            ("0004_words.down.sql", "DROP INDEX tag_ci; DROP INDEX posts_by_words; ALTER TABLE posts DROP COLUMN words;"),
            ("0005_views.sql", "CREATE VIEW published(id, title) AS SELECT id, title FROM posts WHERE title <> ''; CREATE VIEW recent AS SELECT * FROM published ORDER BY id DESC LIMIT 10; CREATE TRIGGER published_ins INSTEAD OF INSERT ON published BEGIN INSERT INTO posts(slug, title) VALUES (lower(new.title), new.title); END;"),
            ("0005_views.down.sql", "DROP VIEW recent; DROP VIEW published;"),
            ("R__stats.sql", "DROP VIEW IF EXISTS stats; CREATE VIEW stats AS SELECT count(*) AS n FROM posts;"),
        ]),
        ("shop", &[
            ("20240101000000_base.sql", "CREATE TABLE customer (id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 36), email TEXT NOT NULL, default_address INTEGER REFERENCES address(id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE address (id INTEGER PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customer(id), country TEXT NOT NULL DEFAULT 'DE' CHECK (country IN ('DE','AT','CH')), zip TEXT NOT NULL CHECK (zip GLOB '[0-9][0-9][0-9][0-9]*'));
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customer(id) ON UPDATE CASCADE, state TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new','paid','sent')), total_cents INTEGER NOT NULL CHECK (total_cents >= 0), paid_at TEXT, CHECK (state = 'new' OR paid_at IS NOT NULL));
CREATE TABLE order_line (order_id INTEGER NOT NULL, line INTEGER NOT NULL, sku TEXT NOT NULL, qty INTEGER NOT NULL DEFAULT 1 CHECK (qty BETWEEN 1 AND 99), PRIMARY KEY (order_id, line), FOREIGN KEY (order_id) REFERENCES orders(id) ON DELETE CASCADE) WITHOUT ROWID;"),
            ("20240101000000_base.down.sql", "DROP TABLE order_line; DROP TABLE orders; DROP TABLE address; DROP TABLE customer;"),
            ("20240202_1200_shipment.sql", "CREATE TABLE shipment (order_id INTEGER NOT NULL, line INTEGER NOT NULL, at INTEGER NOT NULL DEFAULT (unixepoch()), FOREIGN KEY (order_id, line) REFERENCES order_line ON DELETE CASCADE, UNIQUE (order_id, line, at));"),
            ("20240202_1200_shipment.down.sql", "DROP TABLE shipment;"),
            ("20240303000000_state.sql", "CREATE TABLE orders_new (id INTEGER PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customer(id) ON UPDATE CASCADE, state TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new','paid','sent','gone')), total_cents INTEGER NOT NULL CHECK (total_cents >= 0), paid_at TEXT, CHECK (state = 'new' OR paid_at IS NOT NULL));
INSERT INTO orders_new (id, customer_id, state, total_cents, paid_at) SELECT id, customer_id, state, total_cents, paid_at FROM orders;
DROP TABLE orders; ALTER TABLE orders_new RENAME TO orders;"),
            ("20240303000000_state.down.sql", "CREATE TABLE orders_old (id INTEGER PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customer(id) ON UPDATE CASCADE, state TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new','paid','sent')), total_cents INTEGER NOT NULL CHECK (total_cents >= 0), paid_at TEXT, CHECK (state = 'new' OR paid_at IS NOT NULL));
INSERT INTO orders_old (id, customer_id, state, total_cents, paid_at) SELECT id, customer_id, CASE state WHEN 'gone' THEN 'sent' ELSE state END, total_cents, paid_at FROM orders;
DROP TABLE orders; ALTER TABLE orders_old RENAME TO orders;"),
            ("20240404000000_analyze.sql", "-- landfall: no-transaction\n-- landfall: irreversible: only statistics\nANALYZE;"),
        ]),
        ("goose", &[
            ("00001_users.sql", "-- +goose Up\nCREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, is_admin BOOLEAN NOT NULL DEFAULT FALSE, created DATETIME DEFAULT CURRENT_TIMESTAMP);\n-- +goose Down\nDROP TABLE users;\n"),
            ("00002_audit.sql", "-- +goose Up\nCREATE TABLE audit(id INTEGER PRIMARY KEY, what TEXT NOT NULL, who INTEGER REFERENCES users(id) ON DELETE SET NULL);\n-- +goose StatementBegin\nCREATE TRIGGER users_audit AFTER UPDATE OF email, is_admin ON users WHEN old.email IS NOT new.email BEGIN INSERT INTO audit(what, who) VALUES ('mail', new.id); END;\n-- +goose StatementEnd\n-- +goose Down\nDROP TRIGGER users_audit;\nDROP TABLE audit;\n"),
        ]),
        ("diesel", &[
            ("2024-01-01-000000_create_users/up.sql", "CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(80) NOT NULL, score REAL NOT NULL DEFAULT -1.5, boss INTEGER NOT NULL REFERENCES users (id));"),
            ("2024-01-01-000000_create_users/down.sql", "DROP TABLE users;"),
            ("2024-01-02-000000_rename/up.sql", "ALTER TABLE users RENAME TO people; ALTER TABLE people ADD COLUMN team TEXT DEFAULT 'none' NOT NULL;"),
            ("2024-01-02-000000_rename/down.sql", "ALTER TABLE people DROP COLUMN team; ALTER TABLE people RENAME TO users;"),
        ]),
    ];
    let mut wrong = String::new();
    for (name, files) in histories {
        let (_dir, migrator) = folder(files);
        for line in found(&migrator) {
            wrong.push_str(&format!("{name}: {line}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn documents_that_a_search_index_alone_holds_are_lost_as_other_rows_are() {
    let old = set(&[(1, "docs", "CREATE VIRTUAL TABLE docs USING fts5(x)", "")]);
    let conn = memory();
    old.apply(&conn).unwrap();
    conn.execute_batch("INSERT INTO docs VALUES ('a'), ('b')").unwrap();
    for sql in ["DELETE FROM docs", "-- landfall: allow-data-loss: over\nDROP TABLE docs"] {
        let new = old.clone().with(Migration::sql(2, "clear", sql));
        assert_eq!(lost(&new.rehearse(&conn).unwrap()), ["2 docs"]);
    }
    let drops = old.with(Migration::sql(2, "drop", "DROP TABLE docs"));
    assert!(matches!(drops.apply(&conn).unwrap_err().kind(), ErrorKind::DataLoss { .. }));
}

/// Ups and downs over this, each down wrong in one small way that only shows by meaning or rows.
const PERSON: &str = "CREATE TABLE team(id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE person(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE UNIQUE,
        age INT NOT NULL DEFAULT 7 CHECK (age > 0), team INTEGER REFERENCES team(id) ON DELETE CASCADE);
    CREATE INDEX person_by_age ON person(age DESC) WHERE age > 3;
    CREATE TRIGGER named AFTER UPDATE OF name ON person BEGIN SELECT 1; END";

#[test]
fn a_down_that_is_wrong_in_one_small_way_is_found() {
    let whole = "CREATE TABLE p(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE UNIQUE,
        age INT NOT NULL DEFAULT 7 CHECK (age > 0), team INTEGER REFERENCES team(id) ON DELETE CASCADE);
        INSERT INTO p(id, name, age, team) SELECT id, name, age, team FROM person;
        DROP TABLE person; ALTER TABLE p RENAME TO person;
        CREATE INDEX person_by_age ON person(age DESC) WHERE age > 3;
        CREATE TRIGGER named AFTER UPDATE OF name ON person BEGIN SELECT 1; END";
    let up = "ALTER TABLE person ADD COLUMN note TEXT";
    let with = |down: String| {
        Migrator::from_migrations([
            Migration::sql(1, "person", PERSON).down("DROP TABLE person; DROP TABLE team"),
            Migration::sql(2, "note", up).down(down),
        ])
    };
    assert_eq!(found(&with(whole.to_owned())), NONE);
    let mut missed = Vec::new();
    for (right, wrong) in [
        (" COLLATE NOCASE", ""),
        (" UNIQUE", ""),
        (" NOT NULL DEFAULT 7", " NOT NULL"),
        ("DEFAULT 7", "DEFAULT 8"),
        (" CHECK (age > 0)", ""),
        ("age > 0", "age >= 0"),
        ("ON DELETE CASCADE", "ON DELETE SET NULL"),
        ("ON DELETE CASCADE", "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"),
        (" AUTOINCREMENT", ""),
        ("age DESC", "age"),
        (" WHERE age > 3", ""),
        ("UPDATE OF name", "UPDATE"),
        ("AFTER", "BEFORE"),
        ("CREATE TRIGGER named AFTER UPDATE OF name ON person BEGIN SELECT 1; END", ""),
        (" FROM person;", " FROM person WHERE age > 8;"),
        ("SELECT id, name, age, team", "SELECT id, name, age, NULL"),
        ("INSERT INTO p(id, name, age, team) SELECT id, name, age, team FROM person;", ""),
        ("age INT NOT", "age INTEGER NOT"),
    ] {
        assert!(whole.contains(right), "{right}");
        let found = found(&with(whole.replace(right, wrong)));
        if !found.iter().any(|line| line.starts_with("down-")) {
            missed.push(format!("{right} -> {wrong}: {found:?}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn what_means_another_thing_differs_and_what_does_not_does_not() {
    let table =
        |body: &str| format!("CREATE TABLE p(id INTEGER PRIMARY KEY, b); CREATE TABLE t({body})");
    let differ = [
        ("id INTEGER PRIMARY KEY", "id INT PRIMARY KEY"),
        ("id INTEGER PRIMARY KEY", "id INTEGER PRIMARY KEY DESC"),
        ("a, UNIQUE(a COLLATE NOCASE)", "a, UNIQUE(a)"),
        ("a, UNIQUE(a) ON CONFLICT IGNORE", "a, UNIQUE(a)"),
        ("a NOT NULL ON CONFLICT REPLACE DEFAULT 1", "a NOT NULL DEFAULT 1"),
        ("a REFERENCES p(b)", "a REFERENCES p"),
        ("a REFERENCES p ON UPDATE CASCADE", "a REFERENCES p"),
        ("a, b AS (a) STORED", "a, b AS (a)"),
        ("a, b", "b, a"),
        ("a TEXT", "a TEXT DEFAULT ''"),
        ("a DEFAULT 1", "a DEFAULT '1'"),
        ("a DEFAULT (CURRENT_TIMESTAMP)", "a DEFAULT 'CURRENT_TIMESTAMP'"),
        ("a DEFAULT x'00'", "a DEFAULT x'01'"),
        ("a PRIMARY KEY ON CONFLICT REPLACE", "a PRIMARY KEY"),
        ("a, b, PRIMARY KEY(a, b)", "a, b, PRIMARY KEY(b, a)"),
        ("a CHECK (a = 'X')", "a CHECK (a = 'x')"),
    ];
    for (one, other) in differ {
        assert_ne!(told(&table(one), &table(other)), NONE, "{one} | {other}");
        assert_ne!(told(&table(other), &table(one)), NONE, "{other} | {one}");
    }
    let same = [
        ("a INT CHECK (a > 0) CHECK (a < 9)", "a INT, CHECK (a < 9), CHECK ((A > 0))"),
        ("a REFERENCES p", "a REFERENCES P(ID) ON DELETE NO ACTION NOT DEFERRABLE"),
        ("id INTEGER, PRIMARY KEY(id)", "\"id\" integer primary key asc"),
        ("a UNIQUE", "[A], UNIQUE(`a`)"),
        ("a varchar(10) DEFAULT (1)", "a VARCHAR( 10 ) DEFAULT 1 NULL"),
        ("a DEFAULT NULL", "a"),
        ("a CONSTRAINT c NOT NULL CONSTRAINT d UNIQUE", "a UNIQUE NOT NULL"),
    ];
    for (one, other) in same {
        assert_eq!(told(&table(one), &table(other)), NONE, "{one} | {other}");
    }
    let all = [
        ("CREATE TABLE t(a); CREATE UNIQUE INDEX i ON t(a)", "CREATE TABLE t(a UNIQUE)"),
        (
            "CREATE VIRTUAL TABLE f USING fts5(a)",
            "CREATE VIRTUAL TABLE f USING fts5(a, prefix='2')",
        ),
        (
            "CREATE TABLE t(a); CREATE VIEW v(x) AS SELECT a FROM t",
            "CREATE TABLE t(a); CREATE VIEW v AS SELECT a FROM t",
        ),
        (
            "CREATE TABLE t(a); CREATE INDEX i ON t(a + 1)",
            "CREATE TABLE t(a); CREATE INDEX i ON t(a + 2)",
        ),
        ("CREATE TABLE docs_data(a); CREATE TABLE a_content(b)", ""),
    ];
    for (one, other) in all {
        assert_ne!(told(one, other), NONE, "{one} | {other}");
    }
}

#[test]
fn a_failure_in_any_place_of_a_rehearsal_is_its_error_and_leaves_the_original_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty.db");
    std::fs::write(&path, b"").unwrap();
    for at in 1..=3 {
        let migrations = (1..=3).map(|n| {
            let sql = if n == at {
                "CREATE TABLE bad(".to_owned()
            } else {
                format!("CREATE TABLE t{n}(x)")
            };
            Migration::sql(n, format!("m{n}"), sql)
        });
        let migrations: Vec<Migration> = migrations.collect();
        let conn = landfall::rusqlite::Connection::open(&path).unwrap();
        let result = Migrator::from_migrations(migrations).rehearse(&conn);
        assert!(result.is_err() || result.unwrap().error.is_some());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn an_open_statement_of_the_caller_goes_on_after_a_rehearsal() {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE a(x); INSERT INTO a VALUES (1), (2), (3); PRAGMA case_sensitive_like = ON",
    )
    .unwrap();
    let mut statement = conn.prepare("SELECT x FROM a").unwrap();
    let mut rows = statement.query([]).unwrap();
    rows.next().unwrap();
    let new = set(&[(1, "drop", "-- landfall: allow-data-loss: over\nDROP TABLE a", "")]);
    assert_eq!(lost(&new.rehearse(&conn).unwrap()), ["3 a"]);
    assert_eq!(rows.next().unwrap().unwrap().get::<_, i64>(0).unwrap(), 2);
}

/// Each is one that SQLite knows.
#[test]
fn a_pragma_that_asks_is_no_pragma_without_effect() {
    let conn = memory();
    let mut known = conn.prepare("SELECT name FROM pragma_pragma_list").unwrap();
    let known = known.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let sql: String = known.map(|name| format!("PRAGMA {};", name.unwrap())).collect();
    let migration = Migration::sql(1, "ask", sql).irreversible("it asks");
    let found = found(&Migrator::from_migrations([migration]));
    assert!(!found.iter().any(|line| line.contains("none that SQLite knows")), "{found:#?}");
}
