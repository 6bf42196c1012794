//! What crosses from one feature into another.

use landfall::rusqlite::Connection;
use landfall::{ErrorKind, Late, Migrator, Seeds, Version};

use crate::support::{folder, memory, one, refused, rows, set};

const PARENT: (i64, &str, &str, &str) = (
    1,
    "a",
    "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT); CREATE UNIQUE INDEX pc ON p(code);
     CREATE TABLE c(code TEXT REFERENCES p(code));
     INSERT INTO p VALUES (1, 'a'); INSERT INTO c VALUES ('a');",
    "",
);

#[test]
fn a_rebuild_that_loses_the_key_that_others_refer_to_is_refused() {
    let conn = memory();
    set(&[PARENT]).apply(&conn).unwrap();
    let rebuild =
        "CREATE TABLE n(id INTEGER PRIMARY KEY, code TEXT); INSERT INTO n SELECT * FROM p;
                   DROP TABLE p; ALTER TABLE n RENAME TO p;";
    let error = refused(&conn, &set(&[PARENT, (2, "b", rebuild, "")]));
    assert!(matches!(error.kind(), ErrorKind::ForeignKeys { .. }), "{error}");
    let whole = format!("{rebuild} CREATE UNIQUE INDEX pc ON p(code);");
    let whole = landfall::Migration::sql(2, "b", whole);
    set(&[PARENT]).with(whole).apply(&conn).unwrap();
    conn.execute("INSERT INTO c VALUES ('a')", []).unwrap();
}

#[test]
fn an_index_that_foreign_keys_need_is_not_dropped() {
    let conn = memory();
    set(&[PARENT]).apply(&conn).unwrap();
    let error = refused(&conn, &set(&[PARENT, (2, "b", "DROP INDEX pc;", "")]));
    assert!(matches!(error.kind(), ErrorKind::ForeignKeys { .. }), "{error}");
    let another = "CREATE UNIQUE INDEX other ON p(code); DROP INDEX pc;";
    set(&[PARENT, (2, "b", another, "")]).apply(&conn).unwrap();
}

#[test]
fn a_column_that_a_trigger_cannot_do_with_is_not_added() {
    let first = (
        1,
        "a",
        "CREATE TABLE t(x); CREATE TABLE gone(x);
         CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO gone VALUES (old.x); END;",
        "",
    );
    let conn = memory();
    set(&[first]).apply(&conn).unwrap();
    let error = refused(&conn, &set(&[first, (2, "b", "ALTER TABLE gone ADD COLUMN y;", "")]));
    assert!(matches!(error.kind(), ErrorKind::BrokenObject { .. }), "{error}");
}

#[test]
fn a_seed_does_not_run_on_a_schema_that_another_program_has_changed_since() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let conn = Connection::open(&path).unwrap();
    let first = (1, "a", "CREATE TABLE t(x);", "");
    let second = (2, "b", "DROP TABLE t; CREATE TABLE t(x);", "");
    let add = |tx: &rusqlite::Transaction<'_>| tx.execute("INSERT INTO t VALUES (1)", []).map(drop);
    let seeds = Seeds::new().ensure("one", add).ensure("two", add).ensure("three", add);
    let old: Migrator = set(&[first]).seeds(seeds).on_event(move |event| {
        if let landfall::Event::SeedFinished { name: "one", .. } = event {
            let newer = set(&[first, second]).data_loss(landfall::DataLoss::Allow);
            newer.apply(&Connection::open(&path).unwrap()).unwrap();
        }
    });
    let error = old.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Newer { .. }), "{error}");
    assert_eq!(one(&conn, "SELECT count(*) FROM t"), "0");
    assert_eq!(rows(&conn, "SELECT name FROM schema_seeds"), ["one"]);
}

#[test]
fn a_baseline_alone_does_not_pass_for_what_an_older_database_lacks() {
    let conn = memory();
    set(&[(1, "a", "CREATE TABLE a(x);", "")]).apply(&conn).unwrap();
    let squashed = "CREATE TABLE a(x); CREATE TABLE b(x);";
    let (_dir, only) = folder(&[("2_all.baseline.sql", squashed)]);
    let error = refused(&conn, &only);
    assert!(matches!(error.kind(), ErrorKind::Missing { .. }), "{error}");
}

#[test]
fn what_a_baseline_stood_for_is_not_run_when_its_files_come_back() {
    let base = ("3_all.baseline.sql", "CREATE TABLE a(x); INSERT INTO a VALUES (2);");
    let (_dir, squashed) = folder(&[base]);
    let (_dir2, whole) = folder(&[
        ("1_a.sql", "CREATE TABLE IF NOT EXISTS a(x); INSERT INTO a VALUES (1);"),
        ("2_b.sql", "UPDATE a SET x = x + 1;"),
        base,
        ("4_c.sql", "CREATE TABLE c(x);"),
    ]);
    let conn = memory();
    squashed.apply(&conn).unwrap();
    assert_eq!(whole.late(Late::Apply).apply(&conn).unwrap().applied.len(), 1);
    assert_eq!(rows(&conn, "SELECT x FROM a"), ["2"]);
}

#[test]
fn a_baseline_does_not_answer_for_an_interrupted_migration_that_it_does_not_know() {
    let known = [(1, "a", "CREATE TABLE t(x);", ""), (3, "c", "CREATE TABLE u(x);", "")];
    let fails = "-- landfall: no-transaction\nCREATE TABLE k(x); CREATE TABLE t(x);";
    let conn = memory();
    set(&known).apply(&conn).unwrap();
    let [first, last] = known;
    let more = set(&[first, (2, "b", fails, ""), last]).late(Late::Apply);
    more.apply(&conn).unwrap_err();
    let error = set(&known).baseline(&conn, Version::from(3)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Interrupted { .. }), "{error}");
    more.baseline(&conn, Version::from(3)).unwrap();
    assert!(more.apply(&conn).unwrap().is_noop());
}

const TABLE: (&str, &str) = ("1_t.sql", "CREATE TABLE t(x, y);");
const VIEW: (&str, &str) = ("R__v.sql", "CREATE VIEW v AS SELECT x FROM t;");

/// Applies one set of files after another to one database.
fn grown(sets: &[&[(&str, &str)]]) -> Connection {
    let conn = memory();
    for files in sets {
        let (_dir, migrator) = folder(files);
        migrator.apply(&conn).unwrap();
        assert!(migrator.apply(&conn).unwrap().is_noop());
    }
    conn
}

fn kinds(conn: &Connection) -> Vec<String> {
    let ours = "name NOT LIKE 'schema\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    rows(conn, &format!("SELECT type || ' ' || name FROM sqlite_master WHERE {ours} ORDER BY 1"))
}

#[test]
fn views_make_way_for_a_migration_outside_any_transaction() {
    let drop = ("2_d.sql", "-- landfall: no-transaction\nALTER TABLE t DROP COLUMN y;");
    let conn = grown(&[&[TABLE, VIEW], &[TABLE, drop, VIEW]]);
    assert_eq!(kinds(&conn), ["table t", "view v"]);
}

#[test]
fn a_trigger_on_a_view_stays_when_the_view_of_another_file_changes() {
    let trigger =
        "CREATE TRIGGER g INSTEAD OF INSERT ON v BEGIN INSERT INTO t(x) VALUES (new.x); END";
    let other = ("R__w.sql", trigger);
    let wider = ("R__v.sql", "CREATE VIEW v AS SELECT x, y FROM t;");
    let conn = grown(&[&[TABLE, VIEW, other], &[TABLE, wider, other]]);
    assert_eq!(kinds(&conn), ["table t", "trigger g", "view v"]);
}

#[test]
fn a_migration_can_drop_the_view_of_a_repeatable_that_is_gone() {
    let drop = ("2_d.sql", "DROP VIEW IF EXISTS v;");
    let conn = grown(&[&[TABLE, VIEW], &[TABLE, drop]]);
    assert_eq!(kinds(&conn), ["table t"]);
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_migrations WHERE version < 0"), "0");
}

#[test]
fn a_table_can_take_the_place_of_the_view_of_a_repeatable_that_is_gone() {
    let turn = ("2_d.sql", "DROP VIEW IF EXISTS v; CREATE TABLE v(x);");
    let later = ("3_e.sql", "ALTER TABLE t DROP COLUMN y;");
    let conn = grown(&[&[TABLE, VIEW], &[TABLE, turn], &[TABLE, turn, later]]);
    assert_eq!(kinds(&conn), ["table t", "table v"]);
}

#[test]
fn a_repeatable_can_be_renamed() {
    let renamed = ("R__views.sql", "CREATE VIEW v AS SELECT x FROM t;");
    let conn = grown(&[&[TABLE, VIEW], &[TABLE, renamed]]);
    assert_eq!(kinds(&conn), ["table t", "view v"]);
    assert_eq!(one(&conn, "SELECT name FROM schema_migrations WHERE version < 0"), "views");
}

#[test]
fn an_older_program_leaves_the_views_of_a_newer_one() {
    let column = ("2_c.sql", "ALTER TABLE t ADD COLUMN z;");
    let newer = ("R__v.sql", "CREATE VIEW v AS SELECT x, z FROM t;");
    let conn = grown(&[&[TABLE, VIEW], &[TABLE, column, newer], &[TABLE, VIEW]]);
    assert_eq!(
        one(&conn, "SELECT sql FROM sqlite_master WHERE name = 'v'"),
        newer.1.trim_end_matches(';')
    );
}

#[test]
fn an_older_program_leaves_the_down_scripts_that_a_newer_one_corrected() {
    let old = set(&[(1, "a", "CREATE TABLE t(x);", "DROP TABLE t;")]);
    let corrected = (1, "a", "CREATE TABLE t(x);", "DROP TABLE IF EXISTS t;");
    let conn = memory();
    old.apply(&conn).unwrap();
    set(&[corrected, (2, "b", "CREATE TABLE u(x);", "")]).apply(&conn).unwrap();
    assert!(old.apply(&conn).unwrap().is_noop());
    assert_eq!(
        one(&conn, "SELECT down_sql FROM schema_migrations WHERE version = 1"),
        "DROP TABLE IF EXISTS t;"
    );
}

#[test]
fn rows_that_an_update_replaces_take_their_children_along_beside_a_rebuild() {
    let first = (
        1,
        "a",
        "CREATE TABLE p(id INTEGER PRIMARY KEY, code UNIQUE); CREATE TABLE z(x);
         CREATE TABLE c(p REFERENCES p(id) ON DELETE CASCADE);
         INSERT INTO p VALUES (1, 'a'), (2, 'b'); INSERT INTO c VALUES (1), (2);",
        "",
    );
    let update = (2, "b", "UPDATE OR REPLACE p SET code = 'a' WHERE id = 2;", "");
    let conn = memory();
    set(&[first]).apply(&conn).unwrap();
    set(&[first, update, (3, "c", "DROP TABLE z;", "")]).apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT p FROM c"), ["2"]);
}

#[test]
fn a_migration_does_not_roll_back_to_the_savepoint_of_another() {
    let conn = memory();
    let open = (1, "a", "SAVEPOINT s; CREATE TABLE k(x);", "");
    let error = refused(&conn, &set(&[open, (2, "b", "ROLLBACK TO s;", "")]));
    assert!(matches!(error.kind(), ErrorKind::TransactionControl { .. }), "{error}");
    let own = "SAVEPOINT \"S\"; CREATE TABLE k(x); ROLLBACK TRANSACTION TO SAVEPOINT s; RELEASE s;";
    set(&[(1, "a", own, "")]).apply(&conn).unwrap();
}

/// Two rows in `t(id, a, b)` and a second migration, told what becomes of it.
fn second(text: &str) -> Result<Vec<String>, String> {
    second_with(text, |migrator| migrator)
}

fn second_with(text: &str, policies: impl Fn(Migrator) -> Migrator) -> Result<Vec<String>, String> {
    let conn = memory();
    let first = (1, "t", "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)", "");
    set(&[first]).apply(&conn).unwrap();
    conn.execute_batch("INSERT INTO t VALUES (1, 'x', 5), (2, 'y', 6)").unwrap();
    let text = text.to_owned();
    let migrator = policies(set(&[first]).with(landfall::Migration::sql(2, "second", text)));
    match migrator.apply(&conn) {
        Ok(report) => Ok(report.warnings),
        Err(error) => Err(format!("{error} {}", crate::support::cause(&error))),
    }
}

fn is_refused(text: &str, words: &str) {
    let told = second(text).expect_err(text);
    assert!(told.starts_with(&format!("2_second would {words}")), "{text}: {told}");
}

#[test]
fn a_column_that_is_added_again_after_it_was_dropped_is_still_lost() {
    let lost = "drop column `a` of `t`";
    is_refused("ALTER TABLE t DROP COLUMN a; ALTER TABLE t ADD COLUMN a INTEGER", lost);
    is_refused(
        "ALTER TABLE t ADD COLUMN c; ALTER TABLE t RENAME COLUMN c TO d;
         ALTER TABLE t RENAME a TO c; ALTER TABLE t DROP COLUMN c",
        "drop column `c` of `t`",
    );
    // One that the script added is its own under any name.
    second(
        "ALTER TABLE t ADD COLUMN c; UPDATE t SET c = 1; ALTER TABLE t RENAME COLUMN c TO d;
         ALTER TABLE t RENAME TO u; ALTER TABLE u DROP COLUMN d; ALTER TABLE u RENAME TO t",
    )
    .unwrap();
}

#[test]
fn a_temporary_or_attached_namesake_does_not_hide_what_a_drop_loses() {
    for text in [
        "CREATE TEMP TABLE t AS SELECT * FROM main.t; DROP TABLE main.t",
        "CREATE TEMP TABLE t AS SELECT * FROM main.t; DROP TABLE t; DROP TABLE t",
        "CREATE TEMP TABLE t AS SELECT * FROM main.t; DROP TABLE temp.t; DROP TABLE t",
        "CREATE TEMP TABLE t(x); ALTER TABLE temp.t RENAME TO u; DROP TABLE t",
        "ALTER TABLE t RENAME TO u; CREATE TABLE IF NOT EXISTS u(x); DROP TABLE u",
        "-- landfall: no-transaction
         ATTACH ':memory:' AS old; CREATE TABLE old.t AS SELECT * FROM main.t; DROP TABLE main.t",
    ] {
        is_refused(text, "drop table `t` with 2 rows");
    }
    for text in [
        "CREATE TEMP TABLE t AS SELECT * FROM main.t; DROP TABLE t",
        "CREATE TEMP TABLE t AS SELECT * FROM main.t; ALTER TABLE t RENAME TO u; DROP TABLE u",
    ] {
        second(text).unwrap();
    }
}

#[test]
fn a_rebuild_that_never_names_a_column_has_not_renamed_it() {
    is_refused(
        "CREATE TABLE n(id INTEGER PRIMARY KEY, b, kind TEXT NOT NULL DEFAULT 'plain');
         INSERT INTO n(id, b) SELECT id, b FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t",
        "leave `t` without its column `a`, which had values in 2 rows",
    );
    second(
        "CREATE TABLE n(id INTEGER PRIMARY KEY, b, kind TEXT NOT NULL DEFAULT 'plain');
         INSERT INTO n SELECT id, b, A FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t",
    )
    .unwrap();
}

#[test]
fn a_rebuild_in_a_transaction_of_its_own_is_judged_before_that_commits() {
    let conn = memory();
    let first = (1, "t", "CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "");
    set(&[first]).apply(&conn).unwrap();
    conn.execute_batch("INSERT INTO t VALUES (1, 'x'), (2, 'y')").unwrap();
    let rebuild = "-- landfall: no-transaction
        PRAGMA foreign_keys = OFF; BEGIN; CREATE TABLE n(id INTEGER PRIMARY KEY, a);
        INSERT INTO n SELECT * FROM t WHERE id = 1; DROP TABLE t; ALTER TABLE n RENAME TO t;
        COMMIT; PRAGMA foreign_keys = ON";
    let error = set(&[first, (2, "second", rebuild, "")]).apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::DataLoss { rows: 1, .. }), "{error}");
    assert_eq!(rows(&conn, "SELECT a FROM t"), ["x", "y"]);
}

#[test]
fn code_may_rename_a_table_and_may_not_recreate_it_empty() {
    let run = |sql: &'static str| {
        let conn = memory();
        let first = (1, "t", "CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "");
        set(&[first]).apply(&conn).unwrap();
        conn.execute_batch("INSERT INTO t VALUES (1, 'x'), (2, 'y')").unwrap();
        let code = landfall::Migration::code(2, "code", move |tx| tx.execute_batch(sql));
        set(&[first]).with(code).apply(&conn).map(drop).map_err(|error| error.to_string())
    };
    run("ALTER TABLE t RENAME TO u").unwrap();
    run("DELETE FROM t").unwrap();
    run("DROP TABLE t; CREATE TABLE u(x)").unwrap_err();
    run("DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)").unwrap_err();
}

#[test]
fn a_table_with_two_thousand_columns_can_be_rebuilt() {
    let columns: Vec<String> = (0..2000).map(|n| format!("c{n}")).collect();
    let create = format!("CREATE TABLE t({})", columns.join(","));
    let again = format!(
        "CREATE TABLE n({}); INSERT INTO n SELECT * FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t",
        columns.join(",")
    );
    let conn = memory();
    let first = || Migrator::from_migrations([landfall::Migration::sql(1, "t", create.clone())]);
    first().apply(&conn).unwrap();
    conn.execute_batch("INSERT INTO t(c0, c1999) VALUES (1, 2)").unwrap();
    first().with(landfall::Migration::sql(2, "again", again)).apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT c0 || c1999 FROM t"), "12");
}

#[test]
fn an_upsert_deletes_nothing() {
    let refuse = |text: &str| {
        second_with(text, |migrator| migrator.data_loss(landfall::DataLoss::RefuseDeletes))
    };
    refuse("INSERT INTO t VALUES (1, 'z', 1) ON CONFLICT(id) DO UPDATE SET a = 'z'").unwrap();
    refuse("INSERT INTO t VALUES (1, 'z', 1) ON CONFLICT(id) DO NOTHING").unwrap();
    refuse("INSERT OR IGNORE INTO t VALUES (1, 'z', 1)").unwrap();
}

#[test]
fn an_index_whose_collation_is_not_there_hides_no_table_from_the_guard() {
    let (path, _) = folder(&[]);
    let file = path.path().join("a.db");
    let first = (1, "t", "CREATE TABLE t(a TEXT); CREATE TABLE u(x)", "");
    {
        let conn = Connection::open(&file).unwrap();
        conn.create_collation("mine", |a, b| a.cmp(b)).unwrap();
        set(&[first]).apply(&conn).unwrap();
        conn.execute_batch(
            "CREATE INDEX i ON t(a COLLATE mine); INSERT INTO t VALUES ('x'), ('y')",
        )
        .unwrap();
    }
    let conn = Connection::open(&file).unwrap();
    let code = landfall::Migration::code(2, "code", |tx| tx.execute_batch("DROP TABLE u"));
    set(&[first]).with(code).apply(&conn).unwrap();
    let code = landfall::Migration::code(2, "code", |tx| tx.execute_batch("DROP TABLE u"));
    let drops = landfall::Migration::sql(3, "drops", "DROP TABLE t");
    let error = set(&[first]).with(code).with(drops).apply(&conn).unwrap_err();
    assert!(error.to_string().starts_with("3_drops would drop table `t` with 2 rows"), "{error}");
}

#[test]
fn a_parent_rebuilt_outside_a_transaction_does_not_take_its_children_along() {
    let first = (
        1,
        "t",
        "CREATE TABLE p(id INTEGER PRIMARY KEY, a);
         CREATE TABLE c(p REFERENCES p(id) ON DELETE CASCADE)",
        "",
    );
    for (head, end, kept) in [
        ("", "", false),
        ("BEGIN;", "; COMMIT", false),
        ("PRAGMA foreign_keys = OFF; BEGIN;", "; COMMIT", true),
    ] {
        let conn = memory();
        conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        set(&[first]).apply(&conn).unwrap();
        conn.execute_batch(
            "INSERT INTO p VALUES (1, 'x'), (2, 'y'); INSERT INTO c VALUES (1), (2)",
        )
        .unwrap();
        let rebuild = format!(
            "-- landfall: no-transaction
             {head} CREATE TABLE n(id INTEGER PRIMARY KEY, a); INSERT INTO n SELECT * FROM p;
             DROP TABLE p; ALTER TABLE n RENAME TO p {end}"
        );
        let migrator = set(&[first]).with(landfall::Migration::sql(2, "second", rebuild));
        let done = migrator.apply(&conn);
        assert_eq!(rows(&conn, "SELECT p FROM c"), ["1", "2"], "{head} {done:?}");
        assert_eq!(rows(&conn, "SELECT a FROM p"), ["x", "y"], "{head} {done:?}");
        match done {
            Ok(_) => assert!(kept),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::DataLoss { rows: 2, .. })),
        }
    }
}

#[test]
fn a_command_to_a_search_index_deletes_nothing() {
    let conn = memory();
    let first = (
        1,
        "t",
        "CREATE TABLE d(id INTEGER PRIMARY KEY, body TEXT);
         CREATE VIRTUAL TABLE f USING fts5(body, content='d', content_rowid='id')",
        "",
    );
    set(&[first]).apply(&conn).unwrap();
    conn.execute_batch("INSERT INTO d VALUES (1, 'one'), (2, 'two')").unwrap();
    let commands = "INSERT INTO f(f) VALUES ('rebuild'); INSERT INTO f(f) VALUES ('optimize')";
    let migrator = set(&[first, (2, "second", commands, "")]);
    migrator.data_loss(landfall::DataLoss::RefuseDeletes).apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT rowid FROM f WHERE f MATCH 'two'"), "2");
}
