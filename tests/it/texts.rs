//! Files are taken as people and editors leave them, and names as SQLite allows them.

use landfall::rusqlite::Connection;
use landfall::{DataLoss, ErrorKind, Migration, Migrator, Version};

use crate::support::{cause, everything, folder, memory, one, refused, rows, set};

/// SQLite takes a byte order mark for part of the first word, and stores a CRLF as it stands.
#[test]
fn a_file_from_a_windows_editor_is_the_same_file() {
    let text = "-- landfall: breaking\nCREATE TABLE t(x);\nINSERT INTO t VALUES ('a\nb');\n";
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let (_unix, unix) = folder(&[("0001_t.sql", text)]);
    let (_windows, windows) = folder(&[("0001_t.sql", windows.as_str())]);
    let conn = memory();
    windows.apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT x FROM t"), ["a\nb"]);
    assert_eq!(one(&conn, "SELECT compatible FROM schema_migrations"), "0");
    assert_eq!(unix.apply(&conn).unwrap().applied.len(), 0);

    let (_wrong, wrong) = folder(&[("0001_t.sql", "\u{feff}-- ä\r\nSELECT 1;\r\n  oops 2;\r\n")]);
    let error = refused(&memory(), &wrong);
    assert_eq!(
        format!("{error:#}"),
        "migration 0001_t.sql failed at line 3, column 3; nothing was changed\n \
         --> 0001_t.sql:3:3\n  |\n3 |   oops 2;\n  |   ^\n\
         what to do: correct the statement and start again"
    );
}

/// SQLite would stop reading at a NUL, and pass over the rest in silence.
#[test]
fn what_is_no_text_is_refused_by_name() {
    let cases: [(&[u8], &str); 4] = [
        (b"CREATE TABLE t(x);\n\0DROP TABLE t;", "at line 2: it holds a NUL"),
        (b"-- caf\xe9\n", "at line 1: it is not valid UTF-8"),
        (b"SELECT 1;\r\n-- \xff", "at line 2: it is not valid UTF-8"),
        (b"\xff\xfeS\0E\0L\0", "at line 1: it is not valid UTF-8"),
    ];
    for (bytes, told) in cases {
        let (dir, migrator) = folder(&[("0001_first.sql", "CREATE TABLE first(x)")]);
        std::fs::write(dir.path().join("0002_odd.sql"), bytes).unwrap();
        let error = refused(&memory(), &migrator);
        assert!(matches!(error.kind(), ErrorKind::NotUtf8 { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            format!("`0002_odd.sql` is not text {told}; nothing was changed")
        );
    }
}

/// Hundreds of real files are empty.
#[test]
fn a_file_without_a_statement_is_a_migration_all_the_same() {
    let empties =
        ["", " \r\n\t\n", "\u{feff}", ";", ";; ;\n", "-- only this", "/* and this */", "/**/;"];
    for empty in empties {
        let files =
            [("1_a.sql", "CREATE TABLE a(x)"), ("2_empty.sql", empty), ("3_b.sql", "SELECT 1")];
        let (_dir, migrator) = folder(&files);
        let conn = memory();
        assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 3, "{empty:?}");
        assert!(migrator.apply(&conn).unwrap().is_noop());
        assert_eq!(one(&conn, "SELECT name FROM schema_migrations WHERE version = 2"), "empty");
    }
}

#[test]
fn a_semicolon_ends_a_statement_only_where_it_does_for_sqlite() {
    let file = "
        CREATE TABLE t(x TEXT DEFAULT ';', \"semi;colon\", [b;c], `d;e`); -- one; two;
        /* three; four */
        CREATE TEMP TRIGGER unused AFTER DELETE ON t BEGIN SELECT 1; END;
        DROP TRIGGER unused;
        CREATE TRIGGER IF NOT EXISTS doubled AFTER INSERT ON t WHEN NEW.x <> 'END;' BEGIN
            -- not the END;
            INSERT INTO t(x) SELECT 'END;' WHERE 1; /* ; END; */
            UPDATE t SET [b;c] = CASE WHEN x = ';' THEN 1 ELSE 2 END;
        END;
        INSERT INTO t(x) VALUES ('it''s; fine');;
        INSERT INTO t(x) VALUES ('last;') -- without its own;";
    let conn = memory();
    set(&[(1, "t", file, "")]).apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT x FROM t"), ["it's; fine", "END;", "last;", "END;"]);
}

/// SQLite compares names without regard to case, but only that of ASCII letters, and takes
/// anything between quotes.
#[test]
fn names_may_be_anything_that_sqlite_takes() {
    let names = [
        "Plain",
        "my table",
        "select",
        "Order",
        "a\"b",
        "it's",
        "100%",
        "a_b",
        "semi;colon",
        "a.b",
        "[x]",
        "new\nline",
        "täble",
        "schemaXmigrations",
        "--",
        "/*",
        "?",
        "1",
    ];
    for name in names {
        let quoted = |suffix: &str| format!("\"{}{suffix}\"", name.replace('"', "\"\""));
        let (parent, child, new) = (quoted(""), quoted(" child"), quoted(" new"));
        let (view, trigger) = (quoted(" view"), quoted(" trigger"));
        let first = format!(
            "CREATE TABLE {parent}(id INTEGER PRIMARY KEY);
             CREATE TABLE {child}(p REFERENCES {parent}(id) ON DELETE CASCADE);
             CREATE VIEW {view} AS SELECT id FROM {parent};
             CREATE TRIGGER {trigger} AFTER UPDATE ON {child} BEGIN DELETE FROM {parent}; END;
             INSERT INTO {parent} VALUES (1), (2);
             INSERT INTO {child} VALUES (1), (2);"
        );
        let rebuild = |rows: &str| {
            format!(
                "DROP VIEW {view}; DROP TRIGGER {trigger};
                 CREATE TABLE {new}(id INTEGER PRIMARY KEY, note);
                 INSERT INTO {new} SELECT id, 0 FROM {parent} WHERE {rows};
                 DROP TABLE {};
                 ALTER TABLE {new} RENAME TO {parent};
                 CREATE VIEW {view} AS SELECT id FROM {parent};",
                parent.to_ascii_uppercase()
            )
        };
        let migrator = |second: String| {
            Migrator::from_migrations([
                Migration::sql(1, "first", first.clone()),
                Migration::sql(2, "second", second),
            ])
            .data_loss(DataLoss::Allow)
        };
        let populated = || {
            let conn = memory();
            Migrator::from_migrations([Migration::sql(1, "first", first.clone())])
                .apply(&conn)
                .unwrap();
            conn
        };
        let children = |conn: &Connection| rows(conn, &format!("SELECT p FROM {child}"));

        let conn = populated();
        migrator(rebuild("1")).apply(&conn).unwrap();
        assert_eq!(children(&conn), ["1", "2"], "{name}");

        let conn = populated();
        let delete = format!("DELETE FROM {} WHERE id = 1", parent.to_ascii_lowercase());
        migrator(delete).apply(&conn).unwrap();
        assert_eq!(children(&conn), ["2"], "{name}");

        let error = refused(&populated(), &migrator(rebuild("id = 1")));
        let shown = name.replace('\n', "\\n");
        assert_eq!(
            error.to_string(),
            format!(
                "foreign keys are broken by 2_second: {shown} child has p = 2, which is not in \
                 {shown}; nothing was changed"
            )
        );
        let error =
            refused(&populated(), &migrator(format!("DROP TABLE {child}; DROP TABLE {parent}")));
        match error.kind() {
            ErrorKind::BrokenObject { object, .. } => {
                assert_eq!(*object, format!("view {name} view"))
            }
            _ => panic!("{error}"),
        }
    }
}

/// In LIKE, `_` is any letter and `%` any number of them.
#[test]
fn a_baselines_table_is_there_in_whatever_case() {
    let (_dir, migrator) = folder(&[("0002_all.baseline.sql", "CREATE TABLE \"täble T\"(x)")]);
    let conn = memory();
    conn.execute_batch("CREATE TABLE \"täble t\"(x)").unwrap();
    let error = refused(&conn, &migrator);
    assert!(matches!(error.kind(), ErrorKind::NotEmpty { .. }), "{error}");
    let conn = memory();
    conn.execute_batch("CREATE TABLE schemaXmigrations(x)").unwrap();
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 1);
}

#[test]
fn a_reserved_name_is_refused_at_its_place() {
    let conn = memory();
    let error = refused(&conn, &set(&[(1, "t", "SELECT 1;\nCREATE TABLE sqlite_t(x)", "")]));
    assert_eq!(error.to_string(), "migration 1_t failed at line 2, column 1; nothing was changed");
    assert_eq!(cause(&error), "object name reserved for internal use: sqlite_t");
}

/// One broken view or trigger anywhere makes RENAME and DROP COLUMN fail on every table.
#[test]
fn an_object_broken_long_ago_is_named_as_the_obstacle_and_as_old() {
    let view = ("CREATE VIEW \"old view\" AS SELECT * FROM gone", "view old view");
    let trigger = (
        "CREATE TRIGGER old AFTER INSERT ON t BEGIN INSERT INTO gone VALUES (1); END",
        "trigger old",
    );
    for (broken, object) in [view, trigger] {
        for change in ["RENAME TO v", "RENAME COLUMN x TO z", "DROP COLUMN y"] {
            let conn = memory();
            let first = (1, "t", "CREATE TABLE t(x, y); CREATE TABLE u(x, y)", "");
            set(&[first]).apply(&conn).unwrap();
            conn.execute_batch(broken).unwrap();
            let second = format!("SELECT 1;\nALTER TABLE u {change}");
            let migrator = set(&[first]).with(Migration::sql(2, "change", second));
            let error = refused(&conn, &migrator);
            assert_eq!(
                error.to_string(),
                "migration 2_change failed at line 2, column 1; nothing was changed",
                "{object}, {change}"
            );
            assert!(cause(&error).starts_with(&format!("error in {object}")), "{}", cause(&error));
            assert_eq!(
                error.advice().unwrap(),
                format!(
                    "{object} did not work before either, and SQLite refuses to rename or drop \
                     anything while that is so: drop {object} first, in a migration before this \
                     one or at the head of this one, and create it again after"
                )
            );
            conn.execute_batch(&format!("DROP {object}").replace("old view", "\"old view\""))
                .unwrap();
            migrator.apply(&conn).unwrap();
        }
    }
}

/// `"text"` in double quotes is a string where no column has that name, and stays one when SQLite
/// rewrites the definitions that it stands in.
#[test]
fn a_string_in_double_quotes_is_no_obstacle() {
    let first = "CREATE TABLE t(x DEFAULT 1, y);
        CREATE TABLE u(z CHECK (z <> \"none\"));
        CREATE VIEW v AS SELECT x, \"text\" AS a FROM t;
        CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO u VALUES (\"some\"); END;";
    let migrator = set(&[
        (1, "t", first, ""),
        (2, "rename", "ALTER TABLE t RENAME COLUMN x TO w; ALTER TABLE t DROP COLUMN y", ""),
        (3, "rename_too", "ALTER TABLE u RENAME TO u2; INSERT INTO t VALUES (1)", ""),
    ]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    assert_eq!(rows(&conn, "SELECT * FROM v"), ["1|text"]);
    assert_eq!(rows(&conn, "SELECT * FROM u2"), ["some"]);
}

/// What needs a column stands in the way of dropping it, wherever it is.
#[test]
fn an_object_in_the_way_of_a_change_of_columns_is_named() {
    let cases = [
        (
            "CREATE INDEX i ON t(y)",
            "DROP COLUMN y",
            "drop index i before this statement and create it again after it",
        ),
        (
            "SELECT 1",
            "DROP COLUMN checked",
            "the definition of table t itself still needs it: rebuild table t instead",
        ),
        (
            "CREATE VIEW v AS SELECT y FROM t",
            "DROP COLUMN y",
            "drop view v before this statement and create it again after it",
        ),
    ];
    for (object, change, advice) in cases {
        let conn = memory();
        let first = format!("CREATE TABLE t(x, y, checked, CHECK (checked > 0)); {object};");
        let migrator = Migrator::from_migrations([Migration::sql(1, "t", first)]);
        migrator.apply(&conn).unwrap();
        let second = Migration::sql(2, "change", format!("ALTER TABLE t {change}"));
        let error = refused(&conn, &migrator.with(second));
        assert_eq!(error.advice().unwrap(), advice, "{}", cause(&error));
    }
}

/// SQLite's integers are signed, and so are versions.
#[test]
fn versions_reach_as_far_as_sqlites_integers() {
    let conn = memory();
    let files = [
        ("0_zero.sql", "CREATE TABLE a(x)"),
        ("20250214093000_stamp.sql", "CREATE TABLE b(x)"),
        ("9223372036854775807_last.sql", "CREATE TABLE c(x)"),
    ];
    let (_dir, migrator) = folder(&files);
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(report.applied.last().unwrap().version, Some(Version::from(i64::MAX)));
    assert!(migrator.apply(&conn).unwrap().is_noop());
    let versions = rows(&conn, "SELECT version FROM schema_migrations ORDER BY version");
    assert_eq!(versions, ["0", "20250214093000", "9223372036854775807"]);

    let (_dir, migrator) = folder(&[("9223372036854775808_too_far.sql", "SELECT 1")]);
    let error = refused(&conn, &migrator);
    assert!(matches!(error.kind(), ErrorKind::BadName { .. }), "{error}");
    let negative = Migrator::from_migrations([Migration::sql(-1, "below", "SELECT 1")]);
    let error = refused(&conn, &negative);
    assert_eq!(
        error.to_string(),
        "`-1_below` is not understood: a version cannot be negative; nothing was changed"
    );
}

/// The offset that SQLite tells counts from the statement's start, the place from the file's.
#[test]
fn the_place_of_an_error_counts_from_the_start_of_the_file() {
    let file =
        "-- ä ö ü\nCREATE TABLE t(x);\n\n/* é */ INSERT INTO t\n\tSELECT 'ß', nowhere\n\tFROM t;";
    let error = refused(&memory(), &set(&[(1, "t", file, "")]));
    assert_eq!(error.to_string(), "migration 1_t failed at line 5, column 14; nothing was changed");
    assert_eq!(error.position().map(|place| (place.line, place.column)), Some((5, 14)));
    assert_eq!(everything(&memory()), "");
}

#[test]
fn a_place_within_a_letter_is_where_the_letter_is() {
    let text = "é\nxé日y";
    let place = |byte| {
        let place = landfall::Position::of(text, byte);
        (place.byte, place.line, place.column)
    };
    assert_eq!([0, 1].map(place), [(0, 1, 1); 2]);
    assert_eq!([6, 7, 8].map(place), [(6, 2, 3); 3]);
    assert_eq!([9, 10, 99].map(place), [(9, 2, 4), (10, 2, 5), (10, 2, 5)]);
}
