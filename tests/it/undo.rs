//! What a deed changed is put back exactly as it was, or not at all.

use landfall::rusqlite::config::DbConfig;
use landfall::rusqlite::{self, Connection, types::ValueRef};
use landfall::{ChangedSince, ErrorKind, Migration, Migrator, Seed, Seeds, Target};
use proptest::prelude::*;
use std::time::Duration;

use crate::support::{cause, memory, one, refused, rows, schema};

/// Every stored value of every table with its rowid or key order, and the numbers that
/// AUTOINCREMENT has reached: stricter than SQLite's `dbhash`, which passes over both.
pub fn contents(conn: &Connection) -> Vec<String> {
    let mut tables = rows(
        conn,
        "SELECT name || '|' || wr FROM pragma_table_list WHERE schema = 'main'
         AND type = 'table' AND name NOT GLOB 'schema_*' AND name <> 'sqlite_schema'
         AND name NOT GLOB 'sqlite_stat*' ORDER BY name",
    );
    let mut out = Vec::new();
    for table in tables.drain(..) {
        let (name, without_rowid) = table.rsplit_once('|').unwrap();
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let sql = match without_rowid {
            "1" => format!("SELECT * FROM {quoted}"),
            _ => format!("SELECT rowid, * FROM {quoted} ORDER BY rowid"),
        };
        let mut statement = conn.prepare(&sql).unwrap();
        let columns = statement.column_count();
        let mut found = statement.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let cells: Vec<String> = (0..columns)
                .map(|at| match row.get_ref(at).unwrap() {
                    ValueRef::Null => "null".to_owned(),
                    ValueRef::Integer(number) => format!("i{number}"),
                    ValueRef::Real(number) => format!("r{:x}", number.to_bits()),
                    ValueRef::Text(bytes) => format!("t{bytes:x?}"),
                    ValueRef::Blob(bytes) => format!("b{bytes:x?}"),
                })
                .collect();
            out.push(format!("{name}: {}", cells.join("|")));
        }
    }
    out
}

/// A database made by `schema`, a migration that says `undo`, and the check that it comes and goes
/// without a trace, and does what it would do unrecorded.
#[track_caller]
fn comes_and_goes(schema_sql: &str, data: &'static str) -> (Connection, Migrator) {
    let conn = memory();
    conn.execute_batch(schema_sql).unwrap();
    let before = (contents(&conn), schema(&conn));
    let migrator = recorded(data);
    migrator.apply(&conn).unwrap();
    let after = contents(&conn);

    let plain = memory();
    plain.execute_batch(schema_sql).unwrap();
    Migrator::from_migrations([Migration::sql(1, "data", data)]).apply(&plain).unwrap();
    assert_eq!(after, contents(&plain), "recording changed what it does");

    assert_eq!(rows(&conn, "SELECT name FROM temp.sqlite_master"), Vec::<String>::new());
    let report = migrator.revert(&conn, Target::Empty).unwrap();
    assert_eq!(report.reverted.len(), 1);
    assert_eq!((contents(&conn), schema(&conn)), before);
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_undo_rows"), "0");
    migrator.apply(&conn).unwrap();
    assert_eq!(contents(&conn), after, "not the same the second time");
    (conn, migrator)
}

fn recorded(data: &'static str) -> Migrator {
    Migrator::from_migrations([Migration::sql(1, "data", format!("-- landfall: undo\n{data}"))])
}

const NOTES: &str = "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT, stars REAL);
    INSERT INTO note VALUES (1, 'a', 1.5), (2, 'b', NULL), (3, 'c', 1e999);";

#[test]
fn a_data_migration_is_taken_back_without_a_down_script() {
    comes_and_goes(
        NOTES,
        "UPDATE note SET text = upper(text) WHERE id < 3;
         DELETE FROM note WHERE id = 2;
         INSERT INTO note(text) VALUES ('new');
         UPDATE note SET id = 40 WHERE id = 1;",
    );
}

#[test]
fn a_file_says_undo() {
    let (dir, migrator) = crate::support::folder(&[
        ("0001_note.sql", "CREATE TABLE note(text); INSERT INTO note VALUES ('Hello');"),
        ("0001_note.down.sql", "DROP TABLE note;"),
        ("0002_upper.sql", "-- landfall: undo\r\nUPDATE note SET text = upper(text);\r\n"),
    ]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT text FROM note"), ["HELLO"]);
    // An older program has no file for it, and needs none.
    std::fs::remove_file(dir.path().join("0002_upper.sql")).unwrap();
    let report = migrator.newer(landfall::Newer::Revert).apply(&conn).unwrap();
    assert_eq!(report.reverted[0].name, "upper");
    assert_eq!(rows(&conn, "SELECT text FROM note"), ["Hello"]);
}

#[test]
fn every_value_and_every_kind_of_key_comes_back() {
    comes_and_goes(
        "CREATE TABLE \"odd \"\"name\"(\"a\"\"b\" TEXT, [select] BLOB, `x y`);
         INSERT INTO \"odd \"\"name\" VALUES ('quo''te', x'00ff00', -0.0),
             (char(0) || 'nul' || char(0), zeroblob(1000), 5e-324), (NULL, x'', 9e999),
             (cast(x'ff80' AS TEXT), 1.7976931348623157e308, -9223372036854775808);
         CREATE TABLE pair(a TEXT COLLATE NOCASE, b INTEGER, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
         INSERT INTO pair VALUES ('x', 1, 1), ('X', 2, 2), ('y', 1, 3);
         CREATE TABLE strictly(id INTEGER PRIMARY KEY, any ANY, n INT, r REAL) STRICT;
         INSERT INTO strictly VALUES (1, '1', 1, 1), (2, 1, NULL, 2.5);
         CREATE TABLE gen(id INTEGER PRIMARY KEY, a, b AS (a * 2) VIRTUAL, c AS (a + 1) STORED UNIQUE);
         INSERT INTO gen(a) VALUES (1), (5);
         CREATE TABLE rowids(rowid TEXT, _rowid_ TEXT);
         INSERT INTO rowids VALUES ('a', 'b');
         CREATE TABLE texts(k TEXT PRIMARY KEY, v);
         INSERT INTO texts VALUES ('b', 1), ('a', 2);",
        "UPDATE \"odd \"\"name\" SET \"a\"\"b\" = 1, [select] = 2, `x y` = 3;
         DELETE FROM \"odd \"\"name\" WHERE rowid = 2;
         UPDATE pair SET a = upper(a), v = v + 1; DELETE FROM pair WHERE b = 2;
         INSERT INTO pair VALUES ('z', 9, NULL);
         UPDATE strictly SET any = x'01', r = -r, n = 7; INSERT INTO strictly VALUES (3, 'x', 1, 1);
         INSERT OR REPLACE INTO gen(id, a) VALUES (9, 5); UPDATE gen SET a = 100 WHERE id = 1;
         UPDATE rowids SET rowid = 'c'; INSERT INTO rowids VALUES ('d', 'e');
         REPLACE INTO texts VALUES ('a', 3); UPDATE texts SET k = 'c' WHERE k = 'b';",
    );
}

#[test]
fn rows_that_replace_throws_out_come_back_whatever_index_threw_them_out() {
    comes_and_goes(
        "CREATE TABLE u(id INTEGER PRIMARY KEY, email TEXT, tag TEXT NOT NULL DEFAULT 'none',
             live INTEGER, UNIQUE (email COLLATE NOCASE), UNIQUE (tag) ON CONFLICT REPLACE);
         CREATE UNIQUE INDEX one_live ON u(live, \"tag\" DESC) WHERE live IS NOT NULL;
         CREATE UNIQUE INDEX lowered ON u(lower(email) COLLATE BINARY ASC, length(\"email\") + 0);
         INSERT INTO u VALUES (1, 'A@x', 'a', 1), (2, 'b@x', 'none', NULL), (3, 'c@x', 'c', 1),
             (4, 'd@x', 'd', 2);
         CREATE TABLE w(k TEXT, v, PRIMARY KEY (k)) WITHOUT ROWID;
         INSERT INTO w VALUES ('k', 1), ('l', 2);",
        "INSERT OR REPLACE INTO u VALUES (3, 'a@X', NULL, 1);
         INSERT INTO u(email, tag) VALUES ('new', 'd');
         UPDATE OR REPLACE w SET k = 'l' WHERE k = 'k';
         REPLACE INTO w VALUES ('l', 9);
         UPDATE OR IGNORE u SET id = 3;
         INSERT INTO u(id, email, tag) VALUES (3, 'up', 'e') ON CONFLICT(id) DO UPDATE SET email = 'up';",
    );
}

#[test]
fn what_triggers_and_foreign_keys_did_is_put_back_too_and_they_stay_quiet() {
    let (conn, migrator) = comes_and_goes(
        "CREATE TABLE tree(id INTEGER PRIMARY KEY, parent REFERENCES tree ON DELETE CASCADE, at INT);
         CREATE TABLE leaf(id INTEGER PRIMARY KEY AUTOINCREMENT,
             tree INTEGER REFERENCES tree ON DELETE SET NULL ON UPDATE CASCADE);
         CREATE TABLE log(what, n);
         CREATE TRIGGER touch AFTER UPDATE ON tree BEGIN
             UPDATE tree SET at = at + 1 WHERE id = NEW.id; END;
         CREATE TRIGGER born AFTER INSERT ON tree BEGIN
             UPDATE tree SET at = 100 WHERE id = NEW.id;
             INSERT INTO leaf(tree) VALUES (NEW.id); END;
         CREATE TRIGGER dead BEFORE DELETE ON tree BEGIN
             INSERT INTO log SELECT 'dead', count(*) FROM log; END;
         CREATE TRIGGER shed AFTER UPDATE OF tree ON leaf WHEN NEW.tree IS NULL BEGIN
             INSERT INTO log VALUES ('shed', NEW.id);
             DELETE FROM leaf WHERE id = NEW.id AND id % 2; END;
         CREATE VIEW pretty AS SELECT id, at FROM tree;
         CREATE TRIGGER through INSTEAD OF INSERT ON pretty BEGIN
             INSERT INTO tree(id, at) VALUES (NEW.id, NEW.at); END;
         INSERT INTO tree(id, parent, at) VALUES (1, NULL, 1), (2, 1, 1), (3, 2, 1), (9, NULL, 1);
         DELETE FROM log; DELETE FROM leaf WHERE id = 3;",
        "UPDATE tree SET at = at * 2; DELETE FROM tree WHERE id = 1;
         UPDATE tree SET id = 10 WHERE id = 9; INSERT INTO tree(id) VALUES (50);
         INSERT INTO pretty VALUES (60, 6); REPLACE INTO tree(id, at) VALUES (50, 51);
         DELETE FROM tree WHERE id = 60;",
    );
    let enabled = conn.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER).unwrap();
    assert!(enabled, "triggers stay quiet afterwards");
    assert_eq!(one(&conn, "PRAGMA ignore_check_constraints"), "0");
    assert_eq!(one(&conn, "PRAGMA recursive_triggers"), "0");
    drop(migrator);
}

#[test]
fn the_numbers_that_autoincrement_reached_come_back_unless_they_went_on() {
    let made = "CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, x);
                CREATE TABLE b(id INTEGER PRIMARY KEY AUTOINCREMENT, x);
                INSERT INTO a(x) VALUES (1), (2);";
    let data =
        "INSERT INTO a(x) VALUES (3); INSERT INTO b(x) VALUES (1); DELETE FROM a WHERE id = 1;
                UPDATE sqlite_sequence SET seq = seq + 10;";
    let (conn, migrator) = comes_and_goes(made, data);
    assert_eq!(rows(&conn, "SELECT * FROM sqlite_sequence ORDER BY name"), ["a|13", "b|11"]);
    conn.execute("INSERT INTO a(x) VALUES ('since')", []).unwrap();
    migrator.revert(&conn, Target::Empty).unwrap();
    assert_eq!(rows(&conn, "SELECT * FROM sqlite_sequence ORDER BY name"), ["a|14"]);
    assert_eq!(rows(&conn, "SELECT * FROM a"), ["1|1", "2|2", "14|since"]);
}

#[test]
fn rows_changed_since_are_listed_and_not_overwritten_unasked() {
    let conn = memory();
    conn.execute_batch(NOTES).unwrap();
    let migrator = recorded(
        "UPDATE note SET text = upper(text); DELETE FROM note WHERE id = 3;
         INSERT INTO note VALUES (4, 'D', 4);",
    );
    migrator.apply(&conn).unwrap();
    conn.execute_batch(
        "UPDATE note SET stars = 9 WHERE id = 1; DELETE FROM note WHERE id = 2;
         INSERT INTO note VALUES (3, 'again', 3); INSERT INTO note VALUES (5, 'mine', 5);",
    )
    .unwrap();
    let now = contents(&conn);
    let error = migrator.revert(&conn, Target::Empty).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "undoing migration 1 (data) would overwrite what was written since: note id 1: stars was \
         left as 1.5 and is 9; note id 2 is gone; note id 3 is there again; nothing was changed\n\
         what to do: look at these rows; to put them back all the same, use \
         `changed_since(ChangedSince::Overwrite)`"
    );
    assert_eq!(contents(&conn), now);
    migrator.changed_since(ChangedSince::Overwrite).revert(&conn, Target::Empty).unwrap();
    assert_eq!(
        rows(&conn, "SELECT * FROM note"),
        ["1|a|1.5", "2|b|NULL", "3|c|inf", "5|mine|5"],
        "rows that are not of the record stay"
    );
}

#[test]
fn a_row_made_since_that_is_in_the_way_is_named_even_where_overwriting_is_allowed() {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT UNIQUE ON CONFLICT REPLACE);",
    )
    .unwrap();
    conn.execute_batch("INSERT INTO t VALUES (1, 'a')").unwrap();
    let migrator = recorded("UPDATE t SET k = 'b'").changed_since(ChangedSince::Overwrite);
    migrator.apply(&conn).unwrap();
    conn.execute("INSERT INTO t VALUES (7, 'a')", []).unwrap();
    let now = contents(&conn);
    let error = migrator.revert(&conn, Target::Empty).unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration 1 (data) cannot be undone: something is in the place of t id 1; nothing was \
         changed"
    );
    assert_eq!(cause(&error), "UNIQUE constraint failed: t.k");
    assert_eq!(contents(&conn), now);
}

#[test]
fn foreign_keys_are_checked_once_everything_is_put_back() {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p ON DELETE CASCADE);",
    )
    .unwrap();
    let migrator = recorded("INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);");
    migrator.apply(&conn).unwrap();
    conn.execute("INSERT INTO c VALUES (1)", []).unwrap();
    let now = contents(&conn);
    let error = migrator.revert(&conn, Target::Empty).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ForeignKeys { .. }), "{error}");
    assert_eq!(contents(&conn), now, "the cascade did not run either");
    assert_eq!(one(&conn, "PRAGMA foreign_keys"), "1");
}

#[test]
fn a_table_with_other_columns_than_then_is_not_touched() {
    let conn = memory();
    conn.execute_batch(NOTES).unwrap();
    let migrator = recorded("UPDATE note SET text = 'x'");
    migrator.apply(&conn).unwrap();
    conn.execute_batch("ALTER TABLE note ADD COLUMN extra").unwrap();
    let error = migrator.revert(&conn, Target::Empty).unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration 1 (data) cannot be undone: table `note` has other columns now: \"note\" (\"id\", \
         \"text\", \"stars\", \"extra\") by \"id\"; nothing was changed"
    );
    conn.execute_batch("DROP TABLE note").unwrap();
    let error = migrator.revert(&conn, Target::Empty).unwrap_err();
    assert!(error.to_string().contains("table `note` is no longer there"), "{error}");
}

#[test]
fn what_cannot_be_recorded_is_refused_by_name_before_anything_runs() {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE note(id INTEGER PRIMARY KEY, text);
         CREATE VIRTUAL TABLE note_fts USING fts5(text, content=note, content_rowid=id);
         CREATE TRIGGER sync AFTER INSERT ON note BEGIN
             INSERT INTO note_fts(rowid, text) VALUES (NEW.id, NEW.text); END;
         CREATE TABLE aside(x); CREATE TABLE child(note REFERENCES note ON DELETE CASCADE);",
    )
    .unwrap();
    for (data, line) in [
        ("INSERT INTO aside VALUES (1);\nINSERT INTO note_fts(text) VALUES ('x');", 3),
        ("INSERT INTO note(text) VALUES ('x');", 2),
    ] {
        let error = refused(&conn, &recorded(data));
        assert_eq!(
            error.to_string(),
            "migration 1_data cannot be recorded for undo: it writes to `note_fts`, a virtual \
             table, whose rows nobody else can see change; nothing was changed"
        );
        assert_eq!(error.position().unwrap().line, line);
    }
    recorded("INSERT INTO aside VALUES (1)").apply(&conn).unwrap();
}

#[test]
fn code_that_writes_what_cannot_be_recorded_leaves_nothing() {
    type Deed = fn(&rusqlite::Transaction<'_>) -> rusqlite::Result<()>;
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE note(id INTEGER PRIMARY KEY, text);
         CREATE VIRTUAL TABLE note_fts USING fts5(text);
         CREATE VIRTUAL TABLE box USING rtree(id, a, b);
         CREATE TABLE nameless(rowid TEXT, _rowid_ TEXT, oid TEXT);",
    )
    .unwrap();
    let cases: [(Deed, &str); 4] = [
        (
            |tx| {
                tx.execute_batch(
                    "INSERT INTO note VALUES (1, 'x'); INSERT INTO note_fts VALUES ('x')",
                )
            },
            "it writes to `note_fts`, a virtual table, whose rows nobody else can see change",
        ),
        (
            |tx| tx.execute_batch("INSERT INTO box VALUES (1, 2, 3)"),
            "it writes to `box`, a virtual table, whose rows nobody else can see change",
        ),
        (
            |tx| tx.execute_batch("INSERT INTO nameless VALUES (1, 2, 3)"),
            "it writes to `nameless`, whose columns take every name of the rowid, so that its rows \
             cannot be told apart",
        ),
        (
            |tx| tx.execute_batch("CREATE INDEX i ON note(text)"),
            "it changed the schema, which is not undone by rows",
        ),
    ];
    for (deed, why) in cases {
        let code = Migration::code(1, "code", deed).undoable();
        let error = refused(&conn, &Migrator::from_migrations([code]));
        let wanted =
            format!("migration 1_code cannot be recorded for undo: {why}; nothing was changed");
        assert_eq!(error.to_string(), wanted);
        let seeds = Seeds::new().add(Seed::new("s", deed).undoable());
        let error = Migrator::from_migrations([]).seeds(seeds).apply(&conn).unwrap_err();
        let wanted = format!("seed s cannot be recorded for undo: {why}; nothing was changed");
        assert_eq!(error.to_string(), wanted);
    }
    let reads = Migration::code(1, "reads", |tx| {
        tx.query_row("SELECT count(*) FROM note_fts", [], |_| Ok(()))
    });
    Migrator::from_migrations([reads.undoable()]).apply(&conn).unwrap();
}

#[test]
fn a_temp_trigger_of_the_applications_is_refused() {
    let conn = memory();
    conn.execute_batch(NOTES).unwrap();
    let migrator = recorded("UPDATE note SET text = 'x'");
    let trigger = "CREATE TEMP TRIGGER spy AFTER UPDATE ON main.note BEGIN SELECT 1; END";
    conn.execute_batch(trigger).unwrap();
    let error = refused(&conn, &migrator);
    assert_eq!(
        error.to_string(),
        "migration 1_data cannot be recorded for undo: this connection has a TEMP trigger `spy` on \
         `note`; nothing was changed"
    );
    conn.execute_batch("DROP TRIGGER spy").unwrap();
    migrator.apply(&conn).unwrap();
    conn.execute_batch(trigger).unwrap();
    let error = migrator.revert(&conn, Target::Empty).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::CannotUndo { .. }), "{error}");
}

#[test]
fn a_set_that_says_undo_over_more_than_rows_is_refused() {
    let bad = [
        ("-- landfall: undo\nUPDATE t SET x = 1;\nCREATE INDEX i ON t(x);", "line 3, column 1"),
        ("-- landfall: undo\nDROP TABLE t", "line 2, column 1"),
        ("-- landfall: undo\nPRAGMA user_version = 4", "line 2, column 1"),
        ("-- landfall: undo\nUPDATE sqlite_schema SET sql = ''", "line 2, column 1"),
        ("-- landfall: undo\n-- landfall: no-transaction\nSELECT 1", "line 2, column 1"),
        ("-- landfall: undo\n-- landfall: irreversible: no\nSELECT 1", "line 2, column 1"),
        ("-- landfall: undo\n-- landfall: undo\nSELECT 1", "line 2, column 1"),
    ];
    for (sql, place) in bad {
        let error = Migrator::from_migrations([Migration::sql(1, "m", sql)]).check().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Directive { .. }), "{sql}: {error}");
        assert!(error.to_string().contains(place), "{sql}: {error}");
    }
    let both = Migration::sql(1, "m", "-- landfall: undo\nSELECT 1").down("SELECT 1");
    let error = Migrator::from_migrations([both]).check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`1_m.down`, line 1, column 1: 1_m is recorded for undo, and here is its down; nothing was \
         changed"
    );
    let code =
        Migration::code(1, "m", |_| Ok::<_, rusqlite::Error>(())).undoable().down("SELECT 1");
    assert!(Migrator::from_migrations([code]).check().is_err());
    let down = Migration::sql(1, "m", "SELECT 1").down("-- landfall: undo\nSELECT 1");
    assert!(Migrator::from_migrations([down]).check().is_err());
}

#[test]
fn a_record_over_the_limit_is_refused_before_anything_is_committed() {
    let conn = memory();
    conn.execute_batch(NOTES).unwrap();
    let error =
        refused(&conn, &recorded("UPDATE note SET text = hex(zeroblob(100))").undo_limit(600));
    assert_eq!(
        format!("{error:#}"),
        "the record of what migration 1_data changes is larger than 600 bytes; nothing was \
         changed\nwhat to do: raise the limit with `undo_limit(<bytes>)`; or take `undo` away from \
         it, and make a backup before it"
    );
    recorded("UPDATE note SET text = hex(zeroblob(100))").undo_limit(700).apply(&conn).unwrap();
}

#[test]
fn what_is_forgotten_is_told_and_irreversible() {
    let conn = memory();
    conn.execute_batch(NOTES).unwrap();
    let migrator = recorded("UPDATE note SET text = 'x'");
    migrator.apply(&conn).unwrap();
    assert!(migrator.forget_undo(&conn, Duration::from_secs(3600)).unwrap().forgotten.is_empty());
    let report = migrator.forget_undo(&conn, Duration::ZERO).unwrap();
    assert_eq!(report.forgotten[0].name, "data");
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_undo_rows"), "0");
    assert_eq!(one(&conn, "SELECT action FROM schema_history ORDER BY id DESC LIMIT 1"), "forget");
    assert!(migrator.is_current(&conn).unwrap());
    let error = migrator.revert(&conn, Target::Empty).unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration 1 (data) cannot be reverted: what it changed is not on record: that was \
         forgotten, or it ran before it said `undo`; nothing was changed"
    );
}

#[test]
fn undoing_twice_is_told() {
    let conn = memory();
    conn.execute_batch(NOTES).unwrap();
    let seed = Seed::new("stars", |tx| tx.execute("UPDATE note SET stars = 5", []).map(drop));
    let migrator =
        recorded("DELETE FROM note WHERE id = 1").seeds(Seeds::new().add(seed.undoable()));
    let before = contents(&conn);
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(report.seeds[0].rows_changed, 2, "what was kept for the record is not counted");
    migrator.revert_seed(&conn, "stars").unwrap();
    let error = migrator.revert_seed(&conn, "stars").unwrap_err();
    assert_eq!(
        error.to_string(),
        "seed stars cannot be undone: there is no record of it: it has not run, was taken back \
         already, is not `undoable`, or the record was forgotten; nothing was changed"
    );
    migrator.revert(&conn, Target::Empty).unwrap();
    assert_eq!(contents(&conn), before);
    assert!(migrator.revert(&conn, Target::Empty).unwrap().is_noop());
}

#[test]
fn a_seed_goes_before_the_first_migration_that_it_stood_on() {
    let groups = || {
        Seed::new("groups", |tx| tx.execute_batch("INSERT INTO grp VALUES ('a'), ('b')")).undoable()
    };
    let first = || Migration::sql(1, "grp", "CREATE TABLE grp(name)").down("DROP TABLE grp");
    let conn = memory();
    Migrator::from_migrations([first()]).seeds(Seeds::new().add(groups())).apply(&conn).unwrap();
    let upper = Migration::sql(2, "upper", "-- landfall: undo\nUPDATE grp SET name = upper(name)");
    let migrator = Migrator::from_migrations([first(), upper]).seeds(Seeds::new().add(groups()));
    migrator.apply(&conn).unwrap();
    let names = |report: landfall::Report| {
        report.reverted.into_iter().map(|done| done.name).collect::<Vec<_>>()
    };
    assert_eq!(names(migrator.revert(&conn, Target::Steps(1)).unwrap()), ["upper"]);
    assert_eq!(rows(&conn, "SELECT name FROM grp"), ["a", "b"]);
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_seeds"), "1");
    migrator.apply(&conn).unwrap();
    // Nothing is lost with the table: the rows in it were the seed's own.
    let report = migrator.revert(&conn, Target::Empty).unwrap();
    assert_eq!(names(report), ["upper", "groups", "grp"]);
    // On a new box the seed ran after both, and goes before both.
    let report = migrator.apply(&conn).unwrap();
    assert_eq!((report.applied.len(), report.seeds.len()), (2, 1));
    assert_eq!(names(migrator.revert(&conn, Target::Steps(1)).unwrap()), ["groups", "upper"]);
    let report = migrator.apply(&conn).unwrap();
    assert_eq!((report.applied.len(), report.seeds.len()), (1, 1));
}

#[test]
fn each_revision_of_a_seed_is_taken_back_by_itself() {
    let conn = memory();
    conn.execute_batch(NOTES).unwrap();
    let with = |revision: u32, undoable: bool| {
        let seed = Seed::new("s", move |tx| {
            tx.execute("INSERT INTO note(text) VALUES (?1)", [revision]).map(drop)
        })
        .revision(revision);
        let seed = if undoable { seed.undoable() } else { seed };
        Migrator::from_migrations([]).seeds(Seeds::new().add(seed))
    };
    let start = contents(&conn);
    with(1, true).apply(&conn).unwrap();
    let first = contents(&conn);
    with(2, true).apply(&conn).unwrap();
    let both = with(2, true);
    both.revert_seed(&conn, "s").unwrap();
    assert_eq!(contents(&conn), first);
    assert_eq!(one(&conn, "SELECT revision FROM schema_seeds"), "1");
    assert!(with(1, true).is_current(&conn).unwrap() && !both.is_current(&conn).unwrap());
    both.revert_seed(&conn, "s").unwrap();
    assert_eq!(contents(&conn), start);
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_seeds"), "0");
    // A run that is not recorded buries those that were.
    with(1, true).apply(&conn).unwrap();
    with(2, false).apply(&conn).unwrap();
    assert!(with(2, false).revert_seed(&conn, "s").is_err());
}

#[test]
fn code_that_ends_the_transaction_leaves_no_trigger_behind() {
    let conn = memory();
    conn.execute_batch(NOTES).unwrap();
    for keys in ["ON", "OFF"] {
        conn.execute_batch(&format!("PRAGMA foreign_keys = {keys}")).unwrap();
        for end in ["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "ROLLBACK; BEGIN"] {
            let code = Migration::code(1, "code", move |tx| tx.execute_batch(end)).undoable();
            Migrator::from_migrations([code]).apply(&conn).unwrap_err();
            assert!(conn.is_autocommit());
            let left = rows(&conn, "SELECT name FROM temp.sqlite_master");
            assert_eq!(left, Vec::<String>::new(), "after {end} with foreign keys {keys}");
        }
    }
}

/// A step of random data work over the tables of [`RANDOM`].
fn random_statement() -> impl Strategy<Value = String> {
    let id = || 0..12i64;
    let table = || prop::sample::select(vec!["plain", "keyed", "pair", "child", "auto"]);
    let value = || {
        prop::sample::select(vec![
            "NULL",
            "1",
            "2.5",
            "'x'",
            "'X'",
            "'y'",
            "x'00'",
            "9e999",
            "-9223372036854775808",
        ])
    };
    let or = || prop::sample::select(vec!["", "OR REPLACE", "OR IGNORE"]);
    prop_oneof![
        (or(), id(), value(), value()).prop_map(|(or, a, b, c)| format!(
            "INSERT {or} INTO plain(rowid, a, b) VALUES ({a}, {b}, {c})"
        )),
        (or(), value(), value())
            .prop_map(|(or, b, c)| format!("INSERT {or} INTO keyed(name, live) VALUES ({b}, {c})")),
        (or(), id(), value(), value()).prop_map(|(or, a, b, c)| format!(
            "INSERT {or} INTO keyed(id, name, live) VALUES ({a}, {b}, {c})"
        )),
        (or(), value(), id(), value())
            .prop_map(|(or, a, b, c)| format!("INSERT {or} INTO pair VALUES ({a}, {b}, {c})")),
        (or(), id(), id())
            .prop_map(|(or, a, b)| format!("INSERT {or} INTO child VALUES ({a}, {b}, {b}, {a})")),
        value().prop_map(|a| format!("INSERT INTO auto(v) VALUES ({a})")),
        (or(), id(), id())
            .prop_map(|(or, a, b)| format!("UPDATE {or} keyed SET id = {a} WHERE id = {b}")),
        (or(), value(), id())
            .prop_map(|(or, a, b)| format!("UPDATE {or} keyed SET name = {a} WHERE id > {b}")),
        (or(), id(), id())
            .prop_map(|(or, a, b)| format!("UPDATE {or} child SET id = {a}, self = {b}")),
        (or(), value(), id())
            .prop_map(|(or, a, b)| format!("UPDATE {or} pair SET a = {a} WHERE b <= {b}")),
        (value(), id())
            .prop_map(|(a, b)| format!("UPDATE plain SET a = {a}, b = rowid WHERE rowid < {b}")),
        (table(), id())
            .prop_map(|(t, a)| format!("DELETE FROM {t} WHERE (rowid_of + {a}) % 3 = 0")),
        table().prop_map(|t| format!("DELETE FROM {t}")),
        Just("INSERT INTO plain SELECT a, b FROM plain".to_owned()),
        Just(
            "INSERT INTO keyed(id, name) VALUES (3, 'up') ON CONFLICT DO UPDATE SET name = NULL"
                .to_owned()
        ),
    ]
    .prop_map(|sql| match sql.split(' ').nth(2) {
        Some("pair") => sql.replace("rowid_of", "b"),
        _ => sql.replace("rowid_of", "rowid"),
    })
}

/// Parts of a schema, each there or not: what can throw rows out, and what fires. No key refers to
/// its own table with ON DELETE SET NULL: there REPLACE lets orphans in, unless the table has a
/// trigger, such as one that records.
const RANDOM: [&str; 9] = [
    "CREATE UNIQUE INDEX u1 ON plain(a, b COLLATE NOCASE)",
    "CREATE UNIQUE INDEX u2 ON keyed(live) WHERE name IS NOT NULL",
    "CREATE UNIQUE INDEX u3 ON keyed(lower(name), live)",
    "CREATE UNIQUE INDEX u4 ON child(self)",
    "CREATE TRIGGER t1 AFTER UPDATE ON keyed WHEN ifnull(NEW.live, 0) BETWEEN 0 AND 9 BEGIN
        UPDATE keyed SET live = ifnull(live, 0) + 1 WHERE id = NEW.id; END",
    "CREATE TRIGGER t2 AFTER INSERT ON plain BEGIN
        UPDATE plain SET b = 'fired' WHERE rowid = NEW.rowid;
        INSERT OR REPLACE INTO pair VALUES ('t2', NEW.rowid, NEW.a); END",
    "CREATE TRIGGER t3 BEFORE DELETE ON pair BEGIN
        DELETE FROM keyed WHERE id = OLD.b; INSERT INTO auto(v) VALUES (OLD.a); END",
    "CREATE TRIGGER t4 BEFORE INSERT ON child BEGIN
        INSERT OR REPLACE INTO keyed(id, name) VALUES (NEW.parent, 'parent'); END",
    "CREATE TRIGGER t5 AFTER DELETE ON keyed BEGIN DELETE FROM auto WHERE id = OLD.id; END",
];

fn random_database(parts: u32, fill: &[String]) -> Connection {
    let conn = memory();
    conn.execute_batch(
        "CREATE TABLE plain(a, b);
         CREATE TABLE keyed(id INTEGER PRIMARY KEY, name TEXT UNIQUE, live REAL DEFAULT 1,
             g AS (live * 2) UNIQUE);
         CREATE TABLE pair(a TEXT COLLATE NOCASE, b INT, c, PRIMARY KEY (b, a DESC)) WITHOUT ROWID;
         CREATE TABLE child(id INTEGER PRIMARY KEY,
             parent REFERENCES keyed ON DELETE CASCADE ON UPDATE CASCADE,
             self REFERENCES child ON DELETE CASCADE ON UPDATE CASCADE,
             other REFERENCES keyed ON DELETE SET NULL ON UPDATE SET DEFAULT);
         CREATE TABLE auto(id INTEGER PRIMARY KEY AUTOINCREMENT, v);",
    )
    .unwrap();
    for (at, part) in RANDOM.iter().enumerate() {
        if parts & (1 << at) != 0 {
            conn.execute_batch(part).unwrap();
        }
    }
    for sql in fill {
        let _ = conn.execute_batch(sql);
    }
    conn
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2000, ..Default::default() })]

    #[test]
    fn whatever_was_done_undoing_it_leaves_the_database_as_it_was(
        parts in 0u32..512,
        recursive in any::<bool>(),
        fill in prop::collection::vec(random_statement(), 0..25),
        deeds in prop::collection::vec(random_statement(), 1..12),
    ) {
        let prepare = || {
            let conn = random_database(parts, &fill);
            let on = if recursive { "ON" } else { "OFF" };
            conn.execute_batch(&format!("PRAGMA recursive_triggers = {on}")).unwrap();
            if !rows(&conn, "PRAGMA foreign_key_check").is_empty() {
                // Whether orphans may come back is for the owner of the connection to say.
                conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
            }
            conn
        };
        let run = |sql: &[String], undoable: bool| {
            let sql = sql.to_vec();
            // A statement that SQLite refuses takes itself back, and the next goes on.
            let code = Migration::code(1, "deeds", move |tx| {
                for sql in &sql {
                    let _ = tx.execute_batch(sql);
                }
                Ok::<_, rusqlite::Error>(())
            });
            Migrator::from_migrations([if undoable { code.undoable() } else { code }])
                .data_loss(landfall::DataLoss::Allow)
        };
        let (conn, plain) = (prepare(), prepare());
        let before = contents(&conn);
        let migrator = run(&deeds, true);
        let applied = migrator.apply(&conn);
        let plainly = run(&deeds, false).apply(&plain);
        prop_assert_eq!(applied.is_ok(), plainly.is_ok(), "{:?} {:?}", applied, plainly);
        prop_assert_eq!(contents(&conn), contents(&plain), "recording changed what it does");
        if applied.is_ok() {
            let after = contents(&conn);
            migrator.revert(&conn, Target::Empty).unwrap();
            prop_assert_eq!(contents(&conn), before);
            migrator.apply(&conn).unwrap();
            prop_assert_eq!(contents(&conn), after);
        }
    }
}
