//! A table can be rebuilt, dropped or altered, and nothing that hangs on it is lost in silence.

use std::panic::{AssertUnwindSafe, catch_unwind};

use landfall::rusqlite::Connection;
use landfall::{DataLoss, ErrorKind, ForeignKeys, Migration, Migrator};

use crate::support::{cause, everything, folder, memory, one, refused, rows, set};

const FAMILY: &str = "
    CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE cascaded(id INTEGER PRIMARY KEY,
                          parent_id INTEGER REFERENCES parent(id) ON DELETE CASCADE);
    CREATE TABLE nulled(id INTEGER PRIMARY KEY,
                        parent_id INTEGER REFERENCES parent(id) ON DELETE SET NULL);";

const ROWS: &str = "
    INSERT INTO parent VALUES (1, 'Ada'), (2, 'Bob');
    INSERT INTO cascaded VALUES (10, 1), (11, 2);
    INSERT INTO nulled VALUES (20, 1), (21, 2);";

/// SQLite's own procedure: new, copy, drop, rename.
const REBUILD: &str = "
    CREATE TABLE new_parent(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    INSERT INTO new_parent SELECT id, name FROM parent;
    DROP TABLE parent;
    ALTER TABLE new_parent RENAME TO parent;";

const CHILDREN: &str = "SELECT id, parent_id FROM cascaded UNION ALL SELECT * FROM nulled";

/// A migrated and populated database that enforces foreign keys.
fn family() -> Connection {
    populated(FAMILY, ROWS)
}

fn populated(schema: &'static str, content: &str) -> Connection {
    let conn = memory();
    set(&[(1, "family", schema, "")]).apply(&conn).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute_batch(content).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    conn
}

/// What is lost has tests of its own: here it would hide what becomes of keys, views and triggers.
fn then(schema: &'static str, second: &'static str) -> Migrator {
    set(&[(1, "family", schema, ""), (2, "second", second, "")]).data_loss(DataLoss::Allow)
}

fn enforces(conn: &Connection) -> bool {
    one(conn, "PRAGMA foreign_keys") == "1"
}

/// `DROP TABLE` of a parent with foreign keys on deletes its rows first, and with them the
/// children of `ON DELETE CASCADE` and the keys of `ON DELETE SET NULL`.
#[test]
fn a_rebuilt_parent_keeps_its_children() {
    let careless = family();
    careless.execute_batch(REBUILD).unwrap();
    assert_eq!(rows(&careless, CHILDREN), ["20|NULL", "21|NULL"], "the hazard is gone");

    let conn = family();
    let report = then(FAMILY, REBUILD).apply(&conn).unwrap();
    assert_eq!(report.applied.len(), 1);
    assert_eq!(rows(&conn, CHILDREN), ["10|1", "11|2", "20|1", "21|2"]);
    assert!(enforces(&conn));
    conn.execute_batch("DELETE FROM parent WHERE id = 1").unwrap();
    assert_eq!(rows(&conn, CHILDREN), ["11|2", "20|NULL", "21|2"]);
}

/// A dropped child goes without its parent's leave; a dropped parent may not leave children.
#[test]
fn a_dropped_parent_with_children_is_refused_and_one_without_is_not() {
    let conn = family();
    let error = refused(&conn, &then(FAMILY, "DROP TABLE parent"));
    assert_eq!(
        error.to_string(),
        "foreign keys are broken by 2_second: cascaded refers to parent, a table that is not \
         there; nulled refers to parent, a table that is not there; nothing was changed"
    );
    let all = "DROP TABLE cascaded; DROP TABLE nulled; DROP TABLE parent";
    then(FAMILY, all).apply(&conn).unwrap();
    assert!(enforces(&conn));
}

/// Enforcement is a setting of the connection, and no rollback restores it.
#[test]
fn enforcement_is_on_again_after_a_failure_in_sql() {
    let conn = family();
    let late = "CREATE TABLE x(y); DROP TABLE x; INSERT INTO nowhere VALUES (1)";
    let error = refused(&conn, &then(FAMILY, late));
    assert!(matches!(error.kind(), ErrorKind::Statement { .. }), "{error}");
    assert!(enforces(&conn));
}

/// Where no key of the set acts on children, code shares the transaction of a rebuild.
#[test]
fn enforcement_is_on_again_after_a_panic() {
    let migrator = Migrator::from_migrations([
        Migration::sql(1, "rebuild", "CREATE TABLE x(y); DROP TABLE x"),
        Migration::code(2, "panics", |tx| -> landfall::rusqlite::Result<()> {
            panic!("foreign keys are {}", one(tx, "PRAGMA foreign_keys"));
        }),
    ]);
    let conn = memory();
    let panic = catch_unwind(AssertUnwindSafe(|| migrator.apply(&conn))).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "foreign keys are 0");
    assert!(conn.is_autocommit());
    assert!(enforces(&conn));
    assert_eq!(everything(&conn), "");
}

#[test]
fn enforcement_stays_off_where_the_caller_has_it_off() {
    for second in [REBUILD, "PRAGMA foreign_keys = ON", "PRAGMA foreign_keys = OFF; SELECT 1"] {
        let conn = family();
        conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        then(FAMILY, second).apply(&conn).unwrap();
        assert!(!enforces(&conn), "{second}");
        assert_eq!(rows(&conn, CHILDREN), ["10|1", "11|2", "20|1", "21|2"]);
    }
}

/// Who has foreign keys off has decided that they may be broken, and is told.
#[test]
fn orphans_are_a_warning_where_the_caller_has_enforcement_off() {
    let conn = family();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let loses = "
        CREATE TABLE new_parent(id INTEGER PRIMARY KEY, name TEXT);
        INSERT INTO new_parent SELECT * FROM parent WHERE id = 1;
        DROP TABLE parent;
        ALTER TABLE new_parent RENAME TO parent;";
    let report = then(FAMILY, loses).apply(&conn).unwrap();
    assert_eq!(
        report.warnings,
        [
            "cascaded has parent_id = 2, which is not in parent",
            "nulled has parent_id = 2, which is not in parent"
        ]
    );
}

/// `PRAGMA foreign_keys` inside a transaction is a silent no-op.
#[test]
fn switching_foreign_keys_in_a_file_works_as_it_reads() {
    let body = "DELETE FROM parent WHERE id = 1; INSERT INTO parent VALUES (1, 'Eve');";
    let files = [
        format!("PRAGMA foreign_keys=OFF; {body}"),
        format!("PRAGMA foreign_keys=OFF; {body} PRAGMA foreign_keys=ON;"),
        format!("PRAGMA foreign_keys = 0; BEGIN; {body} COMMIT; PRAGMA foreign_keys = 1;"),
        format!("BEGIN; PRAGMA main.foreign_keys(no); {body} COMMIT;"),
        format!("BEGIN TRANSACTION; {body} END TRANSACTION; PRAGMA foreign_keys = false"),
        format!("-- landfall: foreign-keys off\n{body}"),
    ];
    for file in files {
        let conn = family();
        let second = Migration::sql(2, "second", file.clone());
        let migrator = Migrator::from_migrations([Migration::sql(1, "family", FAMILY), second]);
        assert_eq!(migrator.plan(&conn).unwrap().steps[0].foreign_keys, ForeignKeys::Off);
        migrator.apply(&conn).unwrap();
        assert_eq!(rows(&conn, CHILDREN), ["10|1", "11|2", "20|1", "21|2"], "{file}");
        assert_eq!(one(&conn, "SELECT name FROM parent WHERE id = 1"), "Eve", "{file}");
        assert!(enforces(&conn), "{file}");
    }
    let conn = family();
    then(FAMILY, "DELETE FROM parent WHERE id = 1").apply(&conn).unwrap();
    assert_eq!(rows(&conn, CHILDREN), ["11|2", "20|NULL", "21|2"], "the pragma made no difference");
}

/// Off for a rebuild is off for its whole transaction, in which a `DELETE` would not cascade.
#[test]
fn a_delete_cascades_before_and_after_a_rebuild_in_the_same_boot() {
    let conn = family();
    let migrator = set(&[
        (1, "family", FAMILY, ""),
        (2, "before", "DELETE FROM parent WHERE id = 1", ""),
        (3, "rebuild", REBUILD, ""),
        (4, "after", "DELETE FROM PARENT WHERE id = 2", ""),
    ]);
    let plan = migrator.plan(&conn).unwrap();
    let transactions: Vec<_> = plan.steps.iter().map(|step| step.transaction).collect();
    assert_eq!(transactions, [Some(1), Some(2), Some(3)]);
    migrator.apply(&conn).unwrap();
    assert_eq!(rows(&conn, CHILDREN), ["20|NULL", "21|NULL"]);
}

/// The same, where a trigger does the deleting and the text does not tell.
#[test]
fn a_cascade_that_did_not_happen_is_never_passed_over_in_silence() {
    let schema = "
        CREATE TABLE parent(id INTEGER PRIMARY KEY);
        CREATE TABLE child(parent_id INTEGER REFERENCES parent(id) ON DELETE CASCADE);
        CREATE TABLE farewell(id INTEGER);
        CREATE TRIGGER bye AFTER INSERT ON farewell
            BEGIN DELETE FROM parent WHERE id = NEW.id; END;";
    let content = "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)";
    let second = "CREATE TABLE x(y); DROP TABLE x; INSERT INTO farewell VALUES (1)";
    let broken = "child has parent_id = 1, which is not in parent";
    for end in ["", "; DROP TRIGGER bye"] {
        let conn = populated(schema, content);
        let migrator = Migrator::from_migrations([
            Migration::sql(1, "family", schema),
            Migration::sql(2, "second", format!("{second}{end}")),
        ]);
        let error = refused(&conn, &migrator);
        assert!(error.to_string().contains(broken), "{error}");
    }
}

/// Renaming the old table away first rewrites the children's `REFERENCES` to the old name.
#[test]
fn children_led_to_a_missing_table_are_refused() {
    let away = "
        ALTER TABLE parent RENAME TO old_parent;
        CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT);
        INSERT INTO parent SELECT * FROM old_parent;
        DROP TABLE old_parent;";
    let conn = family();
    let error = refused(&conn, &then(FAMILY, away));
    assert!(matches!(error.kind(), ErrorKind::ForeignKeys { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "foreign keys are broken by 2_second: cascaded refers to old_parent, a table that is not \
         there; nulled refers to old_parent, a table that is not there; nothing was changed"
    );
    assert_eq!(rows(&conn, CHILDREN), ["10|1", "11|2", "20|1", "21|2"]);
}

/// With `legacy_alter_table` and foreign keys off, a rename leaves the children alone.
#[test]
fn renaming_the_old_table_away_is_taken_where_the_children_stay() {
    let conn = family();
    let away = "
        PRAGMA legacy_alter_table = ON;
        ALTER TABLE parent RENAME TO old_parent;
        CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
        INSERT INTO parent SELECT * FROM old_parent;
        DROP TABLE old_parent;";
    then(FAMILY, away).apply(&conn).unwrap();
    assert_eq!(rows(&conn, CHILDREN), ["10|1", "11|2", "20|1", "21|2"]);
    assert_eq!(one(&conn, "PRAGMA legacy_alter_table"), "0");
    assert_eq!(rows(&conn, "PRAGMA foreign_key_check").len(), 0);
}

/// `foreign_key_check` judges absolutely: an orphan of last year would stop every start.
#[test]
fn orphans_that_existed_before_do_not_block_and_new_ones_do() {
    let conn = populated(FAMILY, &format!("{ROWS} INSERT INTO cascaded VALUES (12, 77)"));
    then(FAMILY, REBUILD).apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT parent_id FROM cascaded WHERE id = 12"), "77");

    let conn = populated(FAMILY, &format!("{ROWS} INSERT INTO cascaded VALUES (12, 77)"));
    let one_more = "
        CREATE TABLE new_parent(id INTEGER PRIMARY KEY, name TEXT);
        INSERT INTO new_parent SELECT * FROM parent WHERE id = 1;
        DROP TABLE parent;
        ALTER TABLE new_parent RENAME TO parent;
        DELETE FROM nulled;";
    let error = refused(&conn, &then(FAMILY, one_more));
    assert_eq!(
        error.to_string(),
        "foreign keys are broken by 2_second: cascaded has parent_id = 2, which is not in parent; \
         nothing was changed"
    );
}

/// `INSERT … SELECT` renumbers rowids, by which `foreign_key_check` names its rows.
#[test]
fn an_old_orphan_is_known_again_under_another_rowid() {
    let schema = "
        CREATE TABLE parent(id INTEGER PRIMARY KEY);
        CREATE TABLE child(parent_id REFERENCES parent(id), note TEXT);";
    let content = "
        INSERT INTO parent VALUES (1);
        INSERT INTO child VALUES (1, 'gone soon'), (77, 'orphan'), (77, 'orphan'), (1, 'fine');
        DELETE FROM child WHERE note = 'gone soon';";
    let rebuild = "
        CREATE TABLE child_new(parent_id REFERENCES parent(id), note TEXT NOT NULL);
        INSERT INTO child_new SELECT * FROM child ORDER BY parent_id DESC;
        DROP TABLE child;
        ALTER TABLE child_new RENAME TO child;";
    let conn = populated(schema, content);
    let before = rows(&conn, "SELECT rowid FROM child WHERE parent_id = 77");
    then(schema, rebuild).apply(&conn).unwrap();
    assert_ne!(rows(&conn, "SELECT rowid FROM child WHERE parent_id = 77"), before);

    let conn = populated(schema, content);
    let doubled = "
        CREATE TABLE child_new(parent_id REFERENCES parent(id), note TEXT NOT NULL);
        INSERT INTO child_new SELECT * FROM child UNION ALL SELECT * FROM child;
        DROP TABLE child;
        ALTER TABLE child_new RENAME TO child;";
    let error = refused(&conn, &then(schema, doubled));
    assert!(error.to_string().contains("child has parent_id = 77"), "{error}");
}

/// A rename rewrites the keys, so that the same orphan goes by another name after it.
#[test]
fn an_old_orphan_is_known_again_under_another_table_name() {
    let conn = populated(FAMILY, &format!("{ROWS} INSERT INTO cascaded VALUES (12, 77)"));
    let away = "CREATE TABLE gone(x); DROP TABLE gone;";
    let renames = [
        "ALTER TABLE parent RENAME TO elder;",
        "ALTER TABLE cascaded RENAME TO child;",
        "ALTER TABLE elder RENAME TO a; ALTER TABLE a RENAME TO b; ALTER TABLE b RENAME TO c;",
        "ALTER TABLE child RENAME TO x; ALTER TABLE x RENAME TO child;",
    ];
    let mut migrator = set(&[(1, "family", FAMILY, "")]);
    for (version, rename) in (2..).zip(renames) {
        migrator = migrator.with(Migration::sql(version, "rename", format!("{rename} {away}")));
        migrator.apply(&conn).unwrap();
    }
    assert_eq!(rows(&conn, "SELECT parent_id FROM child WHERE id = 12"), ["77"]);
    let lose = Migration::sql(
        9,
        "lose",
        format!("DELETE FROM c WHERE id = 2; PRAGMA foreign_keys = 0; {away}"),
    );
    let error = refused(&conn, &migrator.with(lose));
    assert_eq!(
        error.to_string(),
        "foreign keys are broken by 9_lose: child has parent_id = 2, which is not in c; nulled has \
         parent_id = 2, which is not in c; nothing was changed"
    );
}

#[test]
fn orphans_of_composite_keys_are_told_apart_by_all_their_values() {
    let schema = "
        CREATE TABLE parent(a, b, PRIMARY KEY (a, b));
        CREATE TABLE child(id INTEGER PRIMARY KEY, x, y,
                           FOREIGN KEY (x, y) REFERENCES parent(a, b));";
    let content = "
        INSERT INTO parent VALUES (1, 1), (1, 2);
        INSERT INTO child VALUES (1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 1, NULL);";
    let keep = "
        CREATE TABLE n(a, b, c, PRIMARY KEY (a, b));
        INSERT INTO n SELECT a, b, 0 FROM parent;
        DROP TABLE parent;
        ALTER TABLE n RENAME TO parent;";
    then(schema, keep).apply(&populated(schema, content)).unwrap();
    let swap = "
        CREATE TABLE n(a, b, c, PRIMARY KEY (a, b));
        INSERT INTO n SELECT a, b + 1, 0 FROM parent;
        DROP TABLE parent;
        ALTER TABLE n RENAME TO parent;";
    let error = refused(&populated(schema, content), &then(schema, swap));
    assert_eq!(
        error.to_string(),
        "foreign keys are broken by 2_second: child has x = 1, y = 1, which is not in parent; \
         nothing was changed"
    );
}

/// For a table without rowids `foreign_key_check` names no row.
#[test]
fn orphans_in_a_table_without_rowids_are_told_apart_too() {
    let schema = "
        CREATE TABLE parent(id INTEGER PRIMARY KEY);
        CREATE TABLE child(id TEXT PRIMARY KEY, parent_id REFERENCES parent(id)) WITHOUT ROWID;";
    let content = "INSERT INTO parent VALUES (1); INSERT INTO child VALUES ('a', 1), ('b', 77)";
    let keep = "CREATE TABLE n(id INTEGER PRIMARY KEY, c); INSERT INTO n SELECT id, 0 FROM parent;
                DROP TABLE parent; ALTER TABLE n RENAME TO parent;";
    then(schema, keep).apply(&populated(schema, content)).unwrap();
    let lose = "CREATE TABLE n(id INTEGER PRIMARY KEY, c);
                DROP TABLE parent; ALTER TABLE n RENAME TO parent;";
    let error = refused(&populated(schema, content), &then(schema, lose));
    assert_eq!(
        error.to_string(),
        "foreign keys are broken by 2_second: child has parent_id = 1, which is not in parent; \
         nothing was changed"
    );
}

/// One orphan healed and another made: the number is the same, the rows are not.
#[test]
fn an_orphan_in_exchange_for_another_is_new() {
    let schema = "
        CREATE TABLE parent(id INTEGER PRIMARY KEY);
        CREATE TABLE child(id TEXT PRIMARY KEY, parent_id REFERENCES parent(id)) WITHOUT ROWID;";
    let content = "INSERT INTO parent VALUES (1); INSERT INTO child VALUES ('a', 1), ('b', 77)";
    let exchange = "CREATE TABLE n(id INTEGER PRIMARY KEY); INSERT INTO n VALUES (77);
                    DROP TABLE parent; ALTER TABLE n RENAME TO parent;";
    let error = refused(&populated(schema, content), &then(schema, exchange));
    assert_eq!(
        error.to_string(),
        "foreign keys are broken by 2_second: child has parent_id = 1, which is not in parent; \
         nothing was changed"
    );
}

/// SQLite checks no key of a table that has one it cannot check.
#[test]
fn a_key_that_cannot_be_checked_hides_no_other() {
    let schema = "
        CREATE TABLE odd(id INTEGER);
        CREATE TABLE good(id INTEGER PRIMARY KEY);
        CREATE TABLE child(p REFERENCES odd, q REFERENCES good(id));";
    let content = "INSERT INTO good VALUES (1); INSERT INTO child VALUES (NULL, 1)";
    let lose = "CREATE TABLE n(id INTEGER PRIMARY KEY); DROP TABLE good;
                ALTER TABLE n RENAME TO good;";
    let error = refused(&populated(schema, content), &then(schema, lose));
    assert_eq!(
        error.to_string(),
        "foreign keys are broken by 2_second: child has q = 1, which is not in good; nothing was \
         changed"
    );
}

/// A key is compared as SQLite compares it: by the parent's collation and affinity.
#[test]
fn keys_are_compared_as_sqlite_does() {
    let schema = "
        CREATE TABLE parent(name TEXT COLLATE NOCASE PRIMARY KEY, n INTEGER UNIQUE);
        CREATE TABLE child(name TEXT REFERENCES parent(name), n TEXT REFERENCES parent(n));
        CREATE TABLE other(id INTEGER PRIMARY KEY);";
    let content = "INSERT INTO parent VALUES ('Ada', 1); INSERT INTO child VALUES ('ADA', '1'), ('ada', '01')";
    let conn = populated(schema, content);
    assert!(rows(&conn, "PRAGMA foreign_key_check").is_empty());
    let keep = "CREATE TABLE n(name TEXT COLLATE NOCASE PRIMARY KEY, n INTEGER UNIQUE);
                INSERT INTO n SELECT * FROM parent; DROP TABLE parent;
                ALTER TABLE n RENAME TO parent;";
    then(schema, keep).apply(&conn).unwrap();
    let stricter = keep.replace(" COLLATE NOCASE", "");
    let error = refused(&populated(schema, content), &then(schema, stricter.leak()));
    assert!(
        error.to_string().contains("child has name = 'ADA', which is not in parent"),
        "{error}"
    );
}

#[test]
fn a_view_that_does_not_work_is_refused_when_it_is_made() {
    let broken = "CREATE VIEW v AS SELECT a FROM nowhere";
    let error =
        refused(&memory(), &set(&[(1, "t", "CREATE TABLE t(a)", ""), (2, "v", broken, "")]));
    assert_eq!(
        error.to_string(),
        "2_v breaks view v: no such table: main.nowhere; nothing was changed"
    );
    // A function may be registered after the start.
    let later = "CREATE VIEW v AS SELECT registered_later(a) FROM t";
    set(&[(1, "t", "CREATE TABLE t(a)", ""), (2, "v", later, "")]).apply(&memory()).unwrap();
}

/// A column may be called `rowid`, and then the word does not mean the rowid any more.
#[test]
fn orphans_are_found_in_a_table_with_a_column_called_rowid() {
    let schema = "
        CREATE TABLE parent(id INTEGER PRIMARY KEY);
        CREATE TABLE child(rowid TEXT, oid TEXT, parent_id REFERENCES parent(id));";
    let content = "
        INSERT INTO parent VALUES (1), (2);
        INSERT INTO child VALUES ('x', 'y', 1), ('x', 'y', 2), ('x', 'y', 77)";
    let keep = "CREATE TABLE n(id INTEGER PRIMARY KEY, c); INSERT INTO n SELECT id, 0 FROM parent;
                DROP TABLE parent; ALTER TABLE n RENAME TO parent;";
    then(schema, keep).apply(&populated(schema, content)).unwrap();
    let lose = "CREATE TABLE n(id INTEGER PRIMARY KEY, c); INSERT INTO n VALUES (1, 0);
                DROP TABLE parent; ALTER TABLE n RENAME TO parent;";
    let error = refused(&populated(schema, content), &then(schema, lose));
    assert_eq!(
        error.to_string(),
        "foreign keys are broken by 2_second: child has parent_id = 2, which is not in parent; \
         nothing was changed"
    );
}

/// SQLite lets a key name a table that is not there.
#[test]
fn a_key_to_a_table_that_was_missing_before_does_not_block() {
    let schema = "
        CREATE TABLE child(id INTEGER PRIMARY KEY, x REFERENCES nowhere(id));
        CREATE TABLE other(y);";
    let content = "INSERT INTO child VALUES (1, 1), (2, NULL); INSERT INTO other VALUES (1)";
    for rebuild in [
        "CREATE TABLE n(y, z); INSERT INTO n SELECT y, 0 FROM other;
         DROP TABLE other; ALTER TABLE n RENAME TO other;",
        "CREATE TABLE n(id INTEGER PRIMARY KEY, x REFERENCES nowhere(id), z);
         INSERT INTO n SELECT id, x, 0 FROM child;
         DROP TABLE child; ALTER TABLE n RENAME TO child;",
    ] {
        let conn = populated(schema, content);
        then(schema, rebuild).apply(&conn).unwrap();
        assert_eq!(one(&conn, "SELECT count(*) FROM child"), "2");
    }
}

/// What a trigger writes to is checked too; one that is new brings no old orphan to light.
#[test]
fn a_new_trigger_does_not_make_old_orphans_new() {
    let schema = "
        CREATE TABLE parent(id INTEGER PRIMARY KEY);
        CREATE TABLE log(parent_id REFERENCES parent(id));
        CREATE TABLE thing(id INTEGER PRIMARY KEY);";
    let content = "INSERT INTO log VALUES (77); INSERT INTO thing VALUES (1)";
    let rebuild = "
        CREATE TABLE n(id INTEGER PRIMARY KEY, c);
        INSERT INTO n SELECT id, 0 FROM thing;
        DROP TABLE thing;
        ALTER TABLE n RENAME TO thing;
        CREATE TRIGGER logged AFTER INSERT ON thing
            BEGIN INSERT INTO log VALUES (NEW.id); END;";
    let conn = populated(schema, content);
    then(schema, rebuild).apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT parent_id FROM log"), "77");
}

const T: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT);";
const REBUILD_T: &str = "
CREATE TABLE n(id INTEGER PRIMARY KEY, a TEXT NOT NULL, b TEXT);
INSERT INTO n SELECT * FROM t;
DROP TABLE t;
ALTER TABLE n RENAME TO t;";

/// A view on the table being rebuilt makes `RENAME` fail, and so does one with a space in its name.
#[test]
fn a_view_in_the_way_of_a_rebuild_is_named_with_what_to_do() {
    for view in ["v", "my view"] {
        let conn = memory();
        let first = format!("{T} CREATE VIEW \"{view}\" AS SELECT a FROM t;");
        let migrator = Migrator::from_migrations([Migration::sql(1, "t", first)]);
        migrator.apply(&conn).unwrap();
        let migrator = migrator.with(Migration::sql(2, "rebuild", REBUILD_T));
        let error = refused(&conn, &migrator);
        assert_eq!(
            error.to_string(),
            "migration 2_rebuild failed at line 5, column 1; nothing was changed"
        );
        assert_eq!(cause(&error), format!("error in view {view}: no such table: main.t"));
        assert_eq!(
            error.advice().unwrap(),
            format!(
                "view {view} stands on what was dropped before this statement: drop view {view} \
                 first and create it again after, or keep it in a repeatable, which is set aside \
                 and run again by itself"
            )
        );
    }
}

#[test]
fn a_view_kept_in_a_repeatable_is_set_aside_and_comes_back() {
    let view = ("R__v.sql", "CREATE VIEW v AS SELECT a FROM t");
    let (_first, migrator) = folder(&[("1_t.sql", T), view]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    conn.execute_batch("INSERT INTO t VALUES (1, 'a', 'b')").unwrap();
    let (_second, migrator) = folder(&[("1_t.sql", T), ("2_rebuild.sql", REBUILD_T), view]);
    let report = migrator.apply(&conn).unwrap();
    assert_eq!((report.applied.len(), report.repeated.len()), (1, 1));
    assert_eq!(rows(&conn, "SELECT * FROM v"), ["a"]);
    assert!(migrator.apply(&conn).unwrap().is_noop());
}

/// A failed rebuild leaves the view where it was.
#[test]
fn a_view_set_aside_is_there_again_after_a_failure() {
    let view = ("R__v.sql", "CREATE VIEW v AS SELECT a FROM t");
    let (_first, migrator) = folder(&[("1_t.sql", T), view]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    let fails = "DROP TABLE t; CREATE TABLE t(b);";
    let (_second, migrator) = folder(&[("1_t.sql", T), ("2_rebuild.sql", fails), view]);
    let error = refused(&conn, &migrator);
    assert!(matches!(error.kind(), ErrorKind::BrokenObject { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "2_rebuild.sql breaks view v: no such column: a; nothing was changed"
    );
}

/// RENAME rewrites the SQL that SQLite stores: quotes come and go, and nothing has changed.
#[test]
fn rewritten_text_is_no_change() {
    let conn = memory();
    let first = "
        CREATE TABLE t(id INTEGER PRIMARY KEY, a);
        CREATE TABLE c(t_id REFERENCES t(id));
        CREATE INDEX i ON t(a);
        CREATE VIEW v AS SELECT a FROM t;
        CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM c WHERE t_id = NEW.id; END;";
    let migrator = set(&[
        (1, "t", first, ""),
        (2, "there", "ALTER TABLE t RENAME TO u", ""),
        (3, "back", "ALTER TABLE u RENAME TO t", ""),
        (4, "column", "ALTER TABLE t RENAME COLUMN a TO b", ""),
    ]);
    migrator.apply(&conn).unwrap();
    assert!(one(&conn, "SELECT sql FROM sqlite_master WHERE name = 'c'").contains("\"t\""));
    assert!(migrator.apply(&conn).unwrap().is_noop());
    conn.execute_batch("INSERT INTO t VALUES (1, 2)").unwrap();
    assert_eq!(rows(&conn, "SELECT * FROM v"), ["2"]);
}

/// `DROP COLUMN` leaves a trigger that is `UPDATE OF` that column, which then never fires.
#[test]
fn a_trigger_left_for_a_dropped_column_is_refused() {
    let schema = "
        CREATE TABLE t(id INTEGER PRIMARY KEY, a, b);
        CREATE TRIGGER g AFTER UPDATE OF b ON t BEGIN SELECT 1; END;";
    let conn = populated(schema, "INSERT INTO t VALUES (1, 2, 3)");
    let error = refused(&conn, &then(schema, "ALTER TABLE t DROP COLUMN b"));
    assert!(matches!(error.kind(), ErrorKind::BrokenObject { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "2_second breaks trigger g: it is for UPDATE OF b, which is gone; nothing was changed"
    );
    let recreated = "
        DROP TRIGGER g;
        ALTER TABLE t DROP COLUMN b;
        CREATE TRIGGER g AFTER UPDATE OF a ON t BEGIN SELECT 1; END;";
    then(schema, recreated).apply(&conn).unwrap();
}

/// `DROP TABLE` does not ask who reads the table.
#[test]
fn a_view_newly_broken_by_a_drop_is_refused() {
    let schema = "CREATE TABLE t(a); CREATE VIEW v AS SELECT a FROM t;";
    let conn = populated(schema, "");
    let error = refused(&conn, &then(schema, "CREATE TABLE u(a);\nDROP TABLE t;"));
    assert_eq!(
        error.to_string(),
        "2_second breaks view v: no such table: main.t; nothing was changed"
    );
    then(schema, "DROP TABLE t; DROP VIEW v").apply(&conn).unwrap();
}

#[test]
fn a_view_broken_before_is_no_obstacle_to_a_drop() {
    let schema = "CREATE TABLE t(a);";
    let conn = populated(schema, "CREATE VIEW v AS SELECT a FROM nowhere;");
    then(schema, "DROP TABLE t").apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT name FROM sqlite_master WHERE name IN ('t', 'v')"), ["v"]);
}

/// These pass on an empty table and fail on a populated one.
#[test]
fn what_only_fails_on_rows_fails_with_its_place_and_changes_nothing() {
    let cases = [
        ("b TEXT NOT NULL", "Cannot add a NOT NULL column with default value NULL"),
        ("b DEFAULT CURRENT_TIMESTAMP", "Cannot add a column with non-constant default"),
        ("b DEFAULT (abs(-1))", "Cannot add a column with non-constant default"),
        (
            "b REFERENCES t(id) DEFAULT 1",
            "Cannot add a REFERENCES column with non-NULL default value",
        ),
        ("b AS (a) STORED", "cannot add a STORED column"),
        ("b DEFAULT 1 CHECK (b > 1)", "CHECK constraint failed"),
    ];
    for (column, why) in cases {
        let first = "CREATE TABLE t(id INTEGER PRIMARY KEY, a)";
        let migrator = Migrator::from_migrations([
            Migration::sql(1, "t", first),
            Migration::sql(2, "add", format!("SELECT 1;\n  ALTER TABLE t ADD COLUMN {column};")),
        ]);
        let conn = populated(first, "INSERT INTO t VALUES (1, 1)");
        let error = refused(&conn, &migrator);
        assert_eq!(
            error.to_string(),
            "migration 2_add failed at line 2, column 3; nothing was changed",
            "{column}"
        );
        assert_eq!(cause(&error), why, "{column}");
    }
}

/// A deferred violation makes COMMIT fail and leaves the transaction open.
#[test]
fn a_deferred_violation_is_told_at_the_commit_and_rolled_back() {
    let schema = "
        CREATE TABLE parent(id INTEGER PRIMARY KEY);
        CREATE TABLE child(x REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);";
    let conn = populated(schema, "");
    let error = refused(&conn, &then(schema, "INSERT INTO child VALUES (7)"));
    assert!(matches!(error.kind(), ErrorKind::ForeignKeys { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "foreign keys are broken by 2_second: child has x = 7, which is not in parent; \
         nothing was changed"
    );
    assert!(error.report().is_none());
    let filled = "INSERT INTO child VALUES (7); INSERT INTO parent VALUES (7)";
    then(schema, filled).apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT x FROM child"), ["7"]);
}
