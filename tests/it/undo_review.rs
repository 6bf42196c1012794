//! What a deed changed is put back: rows that are hard to see go, and what must not be undone.

use landfall::{ErrorKind, Migration, Migrator, Seed, Seeds, Target, Transactions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{memory, refused, rows, schema};
use crate::undo::contents;

fn recorded(data: &'static str) -> Migrator {
    Migrator::from_migrations([Migration::sql(1, "data", format!("-- landfall: undo\n{data}"))])
}

/// How many steps SQLite's machine takes to record and undo a change to so many rows.
fn steps(rows: usize, deed: &'static str) -> usize {
    let mut conn = memory();
    conn.execute_batch(&format!(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b NOT NULL DEFAULT 5,
             g AS (b || a) UNIQUE);
         CREATE UNIQUE INDEX live ON t(a COLLATE NOCASE DESC, b) WHERE b > 0;
         CREATE UNIQUE INDEX lowered ON t(lower(a) COLLATE NOCASE, b);
         CREATE TABLE w(id, a TEXT COLLATE NOCASE PRIMARY KEY, UNIQUE (id)) WITHOUT ROWID;
         WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {rows})
             INSERT INTO t(id, a, b) SELECT x, 'name' || x, x FROM c;
         INSERT INTO w SELECT id, a FROM t;"
    ))
    .unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let handler = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    // From rusqlite 0.38 on it returns a result, from 0.41 on it wants the connection alone.
    let alone = &mut conn;
    let _ = alone.progress_handler(100, Some(handler));
    let migrator = recorded(deed);
    migrator.apply(&conn).unwrap();
    migrator.revert(&conn, Target::Empty).unwrap();
    count.load(Ordering::Relaxed)
}

#[test]
fn a_row_costs_the_same_in_a_large_table() {
    for deed in [
        "UPDATE t SET a = a || 'x'",
        "UPDATE t SET b = b + 1",
        "REPLACE INTO t(id, a, b) SELECT id, a, b + 1 FROM t",
        "UPDATE w SET id = -id",
        "DELETE FROM t",
    ] {
        let (few, many) = (steps(200, deed), steps(1600, deed));
        assert!(many < 12 * few, "{deed}: {few} steps for 200 rows, {many} for 1600");
    }
}

/// Data that comes and goes over a schema.
#[track_caller]
fn comes_and_goes(schema: &str, data: &'static str) {
    let conn = memory();
    conn.execute_batch(schema).unwrap();
    let before = contents(&conn);
    let migrator = recorded(data);
    migrator.apply(&conn).unwrap();
    assert_ne!(contents(&conn), before);
    assert_eq!(rows(&conn, "SELECT name FROM temp.sqlite_master"), Vec::<String>::new());
    migrator.revert(&conn, Target::Empty).unwrap();
    assert_eq!(contents(&conn), before);
}

#[test]
fn an_index_is_understood_however_it_is_written() {
    comes_and_goes(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 'X', b);
         CREATE UNIQUE INDEX i ON t(lower(a));
         INSERT INTO t VALUES (1, 'X', 1), (2, 'y', 2);",
        "REPLACE INTO t VALUES (9, NULL, 3)",
    );
    comes_and_goes(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b);
         CREATE UNIQUE INDEX i ON t(a) WHERE t.b IS NOT NULL;
         INSERT INTO t VALUES (1, 1, 1), (2, 2, 5);",
        "REPLACE INTO t VALUES (3, 2, 2)",
    );
    comes_and_goes(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a NOT NULL DEFAULT (1 -- one\n), b);
         INSERT INTO t VALUES (1, 1, 1), (2, 2, 5);
         CREATE UNIQUE INDEX i ON t(a /* x */ , b + 1 -- y\n) WHERE b > 0 -- live\n;",
        "REPLACE INTO t VALUES (3, NULL, 1)",
    );
    comes_and_goes(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, data, \"NEW\", \"select\", int, \"a.b\");
         CREATE UNIQUE INDEX i ON t('data' || data, \"no such\" || \"select\", CAST(int AS big int));
         CREATE UNIQUE INDEX j ON t(\"a.b\" || \"NEW\", CASE WHEN int THEN \"new\" ELSE data END);
         INSERT INTO t VALUES (1, 'x', 1, 1, 1, 1), (2, 'y', 2, 2, 2, 2);",
        "REPLACE INTO t VALUES (3, 'x', 1, 1, 1, 5); REPLACE INTO t VALUES (4, 'y', 2, 3, 2, 2)",
    );
}

#[test]
fn rows_that_replace_throws_out_unforeseeably_are_missed_and_the_deed_refused() {
    let cases = [
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a NOT NULL DEFAULT 'X', g AS (lower(a)) UNIQUE);
             INSERT INTO t VALUES (1, 'X'), (2, 'y');",
            "REPLACE INTO t VALUES (9, NULL)",
        ),
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE UNIQUE INDEX i ON t(id % 3);
             INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z');",
            "REPLACE INTO t(a) VALUES ('new')",
        ),
        (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, UNIQUE (a, b));
             INSERT INTO t VALUES (1, 1, 1), (2, 2, 5);
             CREATE TRIGGER itself BEFORE UPDATE OF a ON t BEGIN
                 UPDATE t SET b = 5 WHERE id = OLD.id; END;",
            "UPDATE OR REPLACE t SET a = 2 WHERE id = 1",
        ),
    ];
    for (schema, data) in cases {
        let conn = memory();
        conn.execute_batch(schema).unwrap();
        let error = refused(&conn, &recorded(data));
        assert_eq!(
            error.to_string(),
            "migration 1_data cannot be recorded for undo: REPLACE threw rows out of `t` that \
             nobody could foresee; nothing was changed"
        );
    }
}

#[test]
fn what_is_not_the_databases_own_rows_is_refused_by_name() {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE t(x); ATTACH ':memory:' AS aux; CREATE TABLE aux.o(x);
         CREATE TABLE doc_content(id INTEGER PRIMARY KEY, text); INSERT INTO doc_content VALUES (1, 'a');
         CREATE VIRTUAL TABLE doc USING fts5(text, content='doc_content', content_rowid=id);",
    )
    .unwrap();
    let seeds = Seeds::new().ensure("s", |tx| tx.execute_batch("INSERT INTO t VALUES (1)"));
    Migrator::from_migrations([]).seeds(seeds).apply(&conn).unwrap();
    let cases = [
        ("INSERT INTO o VALUES (1)", "`o` is in another database, `aux`"),
        (
            "UPDATE Schema_Seeds SET revision = 0",
            "it writes to `schema_seeds`, which is the ledger's own",
        ),
        (
            "UPDATE doc_content SET text = 'b'",
            "it writes to `doc`, a virtual table, whose rows nobody else can see change",
        ),
    ];
    for (sql, why) in cases {
        let wanted =
            format!("migration 1_data cannot be recorded for undo: {why}; nothing was changed");
        let by_text = refused(&conn, &recorded(sql)).to_string();
        assert!(by_text.eq_ignore_ascii_case(&wanted), "{by_text}");
        let code = Migration::code(1, "data", move |tx| tx.execute_batch(sql)).undoable();
        assert_eq!(refused(&conn, &Migrator::from_migrations([code])).to_string(), wanted);
        assert_eq!(rows(&conn, "SELECT name FROM temp.sqlite_master"), Vec::<String>::new());
    }
    assert_eq!(rows(&conn, "SELECT * FROM o"), Vec::<String>::new());
}

#[test]
fn what_is_on_record_of_one_run_is_not_put_back_after_another() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES ('a')").unwrap();
    let up = "UPDATE t SET x = 'A'";
    let undo = recorded(up);
    let down =
        Migrator::from_migrations([Migration::sql(1, "data", up).down("UPDATE t SET x = 'b'")]);
    undo.apply(&conn).unwrap();
    down.revert(&conn, Target::Empty).unwrap();
    down.apply(&conn).unwrap();
    let error = undo.revert(&conn, Target::Empty).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Irreversible { .. }), "{error}");
    assert_eq!(rows(&conn, "SELECT x FROM t"), ["A"]);
}

#[test]
fn a_seed_that_stood_on_no_migration_goes_with_everything() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE t(x)").unwrap();
    let before = contents(&conn);
    let seed = || Seed::new("s", |tx| tx.execute_batch("INSERT INTO t VALUES (1)")).undoable();
    let seeds = || Seeds::new().add(seed());
    Migrator::from_migrations([]).seeds(seeds()).apply(&conn).unwrap();
    let table = || Migration::sql(1, "u", "CREATE TABLE u(x)").down("DROP TABLE u");
    let migrator = Migrator::from_migrations([table()]).seeds(seeds());
    migrator.apply(&conn).unwrap();
    migrator.revert(&conn, Target::Empty).unwrap();
    assert_eq!(contents(&conn), before);
    migrator.apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT x FROM t"), ["1"], "its rows are there twice");
}

#[test]
fn a_record_has_a_number_that_no_other_had() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE t(x)").unwrap();
    let seed = Seed::new("s", |tx| tx.execute_batch("INSERT INTO t VALUES (1)")).undoable();
    let migrator = recorded("INSERT INTO t VALUES (2)").seeds(Seeds::new().add(seed));
    let mut seen = Vec::new();
    for _ in 0..3 {
        migrator.apply(&conn).unwrap();
        seen.extend(rows(&conn, "SELECT id FROM schema_undo ORDER BY id"));
        migrator.revert(&conn, Target::Empty).unwrap();
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((all, seen.len()), (6, 6));
}

#[test]
fn a_full_text_index_made_since_is_not_left_stale() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE note(id INTEGER PRIMARY KEY, text)").unwrap();
    conn.execute_batch("INSERT INTO note VALUES (1, 'old')").unwrap();
    let seed = Seed::new("s", |tx| tx.execute_batch("UPDATE note SET text = 'fresh'")).undoable();
    let migrator = Migrator::from_migrations([]).seeds(Seeds::new().add(seed));
    migrator.apply(&conn).unwrap();
    conn.execute_batch(
        "CREATE VIRTUAL TABLE fts USING fts5(text, content=note, content_rowid=id);
         INSERT INTO fts(fts) VALUES ('rebuild');
         CREATE TRIGGER sync AFTER UPDATE ON note BEGIN
             INSERT INTO fts(fts, rowid, text) VALUES ('delete', OLD.id, OLD.text);
             INSERT INTO fts(rowid, text) VALUES (NEW.id, NEW.text); END;",
    )
    .unwrap();
    let error = migrator.revert_seed(&conn, "s").unwrap_err();
    assert_eq!(
        error.to_string(),
        "seed s cannot be undone: triggers on `note` write to `fts`, a virtual table, and stay \
         quiet; nothing was changed"
    );
    conn.execute_batch("INSERT INTO fts(fts, rank) VALUES ('integrity-check', 1)").unwrap();
    conn.execute_batch("DROP TRIGGER sync").unwrap();
    migrator.revert_seed(&conn, "s").unwrap();
    assert_eq!(rows(&conn, "SELECT text FROM note"), ["old"]);
}

#[test]
fn code_that_commits_with_a_statement_open_leaves_no_trigger_behind() {
    let conn = memory();
    conn.execute_batch("PRAGMA foreign_keys = OFF; CREATE TABLE a(x); CREATE TABLE b(x)").unwrap();
    conn.execute_batch("INSERT INTO a VALUES (1), (2)").unwrap();
    let mut statement = conn.prepare("SELECT x FROM a").unwrap();
    let mut open = statement.query([]).unwrap();
    open.next().unwrap();
    let code = Migration::code(1, "code", |tx| tx.execute_batch("COMMIT")).undoable();
    Migrator::from_migrations([code]).apply(&conn).unwrap_err();
    let left = rows(&conn, "SELECT name FROM temp.sqlite_master WHERE type = 'trigger'");
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn savepoints_and_failed_statements_in_code_are_followed() {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3);
         CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO w VALUES ('a', 1);",
    )
    .unwrap();
    let before = contents(&conn);
    let code = Migration::code(1, "code", |tx| {
        tx.execute_batch(
            "UPDATE t SET x = 10 WHERE id = 1; SAVEPOINT a; DELETE FROM t; DELETE FROM w;
             SAVEPOINT b; INSERT INTO t VALUES (9, 9); ROLLBACK TO a; RELEASE a;
             DELETE FROM t WHERE id = 2; SAVEPOINT c; UPDATE w SET k = 'z'; RELEASE c;
             SAVEPOINT d; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (3, 99); ROLLBACK TO d",
        )?;
        tx.execute_batch("INSERT INTO t SELECT 100 + id, iif(id = 1, 5, 10) FROM t").unwrap_err();
        tx.execute_batch("INSERT OR FAIL INTO t VALUES (50, 50), (51, 50)").unwrap_err();
        tx.execute_batch("UPDATE t SET x = 30 WHERE id = 3")
    });
    let migrator = Migrator::from_migrations([code.undoable()]);
    migrator.apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT * FROM t"), ["1|10", "3|30", "50|50"]);
    migrator.revert(&conn, Target::Empty).unwrap();
    assert_eq!(contents(&conn), before);
}

#[test]
fn rows_come_back_through_tables_that_were_renamed_and_widened_in_between() {
    for transactions in [Transactions::Together, Transactions::Each] {
        let conn = memory();
        conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, x)").unwrap();
        conn.execute_batch("INSERT INTO t VALUES (1, 'a'), (2, 'b')").unwrap();
        let before = (contents(&conn), schema(&conn));
        let data =
            |version, sql| Migration::sql(version, "data", format!("-- landfall: undo\n{sql}"));
        let migrator = Migrator::from_migrations([
            data(1, "UPDATE t SET x = x || '2'; DELETE FROM t WHERE id = 2"),
            Migration::sql(2, "y", "ALTER TABLE t ADD COLUMN y")
                .down("ALTER TABLE t DROP COLUMN y"),
            data(3, "UPDATE t SET y = 6; INSERT INTO t VALUES (2, 'again', 1)"),
            Migration::sql(4, "u", "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME COLUMN x TO z")
                .down("ALTER TABLE u RENAME COLUMN z TO x; ALTER TABLE u RENAME TO t"),
            data(5, "UPDATE u SET z = z || '6'; DELETE FROM u WHERE id = 2"),
            data(6, "UPDATE u SET z = z || '7'; INSERT INTO u VALUES (2, 'x', 1)"),
        ])
        .transactions(transactions);
        migrator.apply(&conn).unwrap();
        let after = contents(&conn);
        assert_eq!(migrator.revert(&conn, Target::Empty).unwrap().reverted.len(), 6);
        assert_eq!((contents(&conn), schema(&conn)), before);
        migrator.apply(&conn).unwrap();
        assert_eq!(contents(&conn), after);
        assert_eq!(migrator.revert(&conn, Target::Steps(2)).unwrap().reverted.len(), 2);
    }
}

#[test]
fn what_ends_as_it_was_takes_no_room() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE)").unwrap();
    conn.execute_batch("INSERT INTO t VALUES (1, 'a'), (2, 'b')").unwrap();
    let migrator = recorded(
        "UPDATE t SET x = x; INSERT OR IGNORE INTO t VALUES (1, 'z'); REPLACE INTO t VALUES (2, 'b');
         INSERT INTO t VALUES (9, 'c'); DELETE FROM t WHERE id = 9",
    );
    migrator.undo_limit(0).apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT count(*) FROM schema_undo_rows"), ["0"]);
}

#[test]
fn a_virtual_table_is_found_along_a_cascade() {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE p(id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);
         CREATE TABLE c(p REFERENCES p ON DELETE CASCADE, text); INSERT INTO c VALUES (1, 'x');
         CREATE VIRTUAL TABLE fts USING fts5(text);
         CREATE TRIGGER gone AFTER DELETE ON c BEGIN DELETE FROM fts WHERE text = OLD.text; END;",
    )
    .unwrap();
    let error = refused(&conn, &recorded("DELETE FROM p"));
    assert!(error.to_string().contains("it writes to `fts`, a virtual table"), "{error}");
    assert_eq!(error.position().map(|place| place.line), Some(2), "it was told before it ran");
}

#[test]
fn a_seed_counts_its_own_rows_alone() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE)").unwrap();
    let seed = Seed::new("s", |tx| tx.execute_batch("INSERT INTO t VALUES (1, 'a'), (2, 'b')"));
    let migrator = Migrator::from_migrations([]).seeds(Seeds::new().add(seed.undoable()));
    assert_eq!(migrator.apply(&conn).unwrap().seeds[0].rows_changed, 2);
}

#[test]
fn a_key_is_found_by_the_collation_of_the_key_and_a_row_comes_back_whatever_checks_say() {
    comes_and_goes(
        "CREATE TABLE d(a TEXT, v, PRIMARY KEY (a COLLATE NOCASE)) WITHOUT ROWID;
         INSERT INTO d VALUES ('x', 1), ('y', 2);
         CREATE TABLE t(id INTEGER PRIMARY KEY, x CHECK (x > 0));
         PRAGMA ignore_check_constraints = ON; INSERT INTO t VALUES (1, -1), (2, 2);
         PRAGMA ignore_check_constraints = OFF;",
        "REPLACE INTO d VALUES ('X', 3); UPDATE d SET a = 'Y' WHERE v = 2;
         UPDATE t SET x = 5 WHERE x < 0",
    );
}

#[test]
fn a_text_that_would_not_come_back_bit_for_bit_is_refused() {
    let conn = memory();
    // Half of a surrogate pair has no UTF-8.
    conn.execute_batch(
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT);
         INSERT INTO t VALUES (1, 'a'), (2, CAST(x'00d8' AS TEXT));",
    )
    .unwrap();
    let migrator = recorded("UPDATE t SET x = 'b'");
    migrator.apply(&conn).unwrap();
    let now = contents(&conn);
    let error = migrator.revert(&conn, Target::Empty).unwrap_err();
    assert!(error.to_string().contains("t id 2 would not become what it was"), "{error}");
    assert_eq!(contents(&conn), now);
}
