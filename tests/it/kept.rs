//! A file that is kept under review says what it should, or the test fails and shows where not.

use std::path::Path;

use landfall::testing::schema_file;
use landfall::{ErrorKind, Migration, Migrator, Seeds};

use crate::stage::again;

fn migrator(last: &'static str) -> Migrator {
    let seed =
        |tx: &landfall::rusqlite::Transaction<'_>| tx.execute_batch("CREATE TABLE seeded(x)");
    Migrator::from_migrations([
        Migration::sql(1, "pet", "create table pet(id integer primary key, name text)"),
        Migration::sql(2, "more", "ALTER TABLE pet ADD age INT; CREATE INDEX by_age ON pet(age)"),
        Migration::sql(3, "last", last),
    ])
    .seeds(Seeds::new().ensure("s", seed))
}

const KEPT: &str = "CREATE TABLE pet (
    id INTEGER PRIMARY KEY,
    name TEXT,
    age INT
);

CREATE INDEX by_age ON pet (age);
CREATE INDEX by_name ON pet (name);
";

const LAST: &str = "CREATE INDEX by_name ON pet(name)";

/// The whole suite may be run to write kept files: nothing fails then that should.
fn updates() -> bool {
    std::env::var_os("UPDATE_LOCK").is_some()
}

#[test]
fn a_file_that_says_the_schema_passes_whatever_its_line_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("schema.sql");
    for text in [KEPT.to_owned(), KEPT.replace('\n', "\r\n")] {
        std::fs::write(&path, &text).unwrap();
        schema_file(&migrator(LAST), &path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

fn shown(path: &Path, migrator: &Migrator) -> String {
    let error = schema_file(migrator, path).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Outdated { .. }));
    format!("{error:?}").replace(&path.display().to_string(), "schema.sql")
}

#[test]
fn a_file_that_says_another_schema_fails_and_shows_where() {
    if updates() {
        return;
    }
    let head = "`schema.sql` is not the schema that the migrations make; nothing was changed\n\
                what to do: see below what differs; if that is meant, or the file is to be made, run \
                the test again with `UPDATE_LOCK=1` in its environment, and commit the file\n\
                caused by: ";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("schema.sql");
    let missing = shown(&path, &migrator(LAST));
    assert_eq!(missing, format!("{head}there is no such file"));
    std::fs::write(&path, KEPT).unwrap();
    let found = shown(
        &path,
        &migrator(
            "ALTER TABLE pet RENAME name TO title; CREATE VIEW v AS SELECT title, age FROM pet",
        ),
    );
    assert_eq!(
        found,
        format!(
            "{head}- in the file, + as it should be\n  CREATE TABLE pet (\n      id INTEGER PRIMARY KEY,\n\
             -     name TEXT,\n+     title TEXT,\n      age INT\n  );\n\n  CREATE INDEX by_age ON pet (age);\n\
             - CREATE INDEX by_name ON pet (name);\n+\n+ CREATE VIEW v AS\n+ SELECT title,\n+     age\n\
             + FROM pet;"
        )
    );
    std::fs::write(&path, KEPT.trim_end()).unwrap();
    let found = shown(&path, &migrator(LAST));
    assert_eq!(found, format!("{head}only the end of the last line differs"));
    std::fs::write(&path, b"\xff\xfe").unwrap();
    assert!(shown(&path, &migrator(LAST)).contains("\n- (not UTF-8)\n+ CREATE TABLE pet (\n"));
    assert_eq!(std::fs::read(&path).unwrap(), b"\xff\xfe");
}

#[test]
fn of_a_long_file_only_what_is_near_a_difference_is_shown() {
    if updates() {
        return;
    }
    let set = |changed: &str| {
        let tables: String = (0..2000)
            .map(|n| {
                format!(
                    "CREATE TABLE t{n:04}(a{});",
                    if [40, 1900].contains(&n) { changed } else { "" }
                )
            })
            .collect();
        Migrator::from_migrations([Migration::sql(1, "t", tables)])
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("schema.sql");
    let conn = set("").open_in_memory().unwrap();
    let text = landfall::schema::Snapshot::of(&conn).unwrap().to_sql();
    std::fs::write(&path, text).unwrap();
    let found = shown(&path, &set(" INT"));
    let (_, difference) = found.split_once("caused by: ").unwrap();
    let hunk = |n: &str| format!("\n  …\n\n  CREATE TABLE {n} (\n-     a\n+     a INT\n  );\n");
    let wanted = format!("- in the file, + as it should be{}{}", hunk("t0040"), hunk("t1900"));
    assert_eq!(difference, wanted);
    // Nothing is the same any more.
    std::fs::write(&path, "x\n".repeat(5000)).unwrap();
    let found = shown(&path, &set(""));
    let (_, difference) = found.split_once("caused by: ").unwrap();
    assert_eq!(difference.lines().count(), 202);
    assert!(difference.ends_with("\n- x\n  … and so on"));
}

#[test]
fn a_file_that_cannot_be_read_is_told_as_that() {
    if updates() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let error = schema_file(&migrator(LAST), dir.path()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Kept { .. }));
    let error = schema_file(&migrator("CREATE TABL t"), dir.path().join("x")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Statement { .. }));
}

/// Keeps the file that it is told of.
#[test]
fn a_child_that_keeps_a_file() {
    if let Some(path) = std::env::var_os("LANDFALL_KEPT") {
        schema_file(&migrator(LAST), path).unwrap();
    }
}

#[test]
fn update_lock_writes_the_file_and_only_at_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("schema.sql");
    let keep = |update: &str| {
        let variables =
            [("LANDFALL_KEPT", path.display().to_string()), ("UPDATE_LOCK", update.to_owned())];
        let output =
            again("kept::a_child_that_keeps_a_file", &variables).wait_with_output().unwrap();
        output.status.success()
    };
    assert!(!keep("0") && !path.exists());
    assert!(keep("1"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), KEPT);
    std::fs::write(&path, "CREATE TABLE other(x);\n").unwrap();
    assert!(!keep(""));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "CREATE TABLE other(x);\n");
    assert!(keep("1"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), KEPT);
    // What is the same already stays the file that it is, a checkout's line ends too.
    std::fs::write(&path, KEPT.replace('\n', "\r\n")).unwrap();
    assert!(keep("1"));
    assert!(std::fs::read_to_string(&path).unwrap().contains("\r\n"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
