//! Folders that are nearly another tool's, and what a folder that was read before reads as.

use landfall::{Layout, Migrator, Target};

use crate::support::{everything, folder, memory, one, rows};

/// A folder that was applied in landfall's form is current as it is recognised.
fn stays_current(files: &[(&str, &str)]) {
    let (_dir, migrator) = folder(files);
    let conn = memory();
    migrator.clone().layout(Layout::Landfall).apply(&conn).unwrap();
    migrator.check().unwrap_or_else(|error| panic!("{files:?}: {error:#}"));
    assert!(migrator.plan(&conn).unwrap().is_empty(), "{files:?}");
    migrator.revert(&conn, Target::Empty).unwrap();
}

#[test]
fn a_comment_that_is_nearly_a_mark_is_a_comment() {
    for comment in [
        "-- migrate: up to here the old names",
        "-- migrate: down payments move to their own table",
        "-- migrate:upwards",
        "-- +goosebumps Up",
        "-- + goose Up",
        "-- a +goose Up",
    ] {
        let text = format!("{comment}\nCREATE TABLE a(x);");
        stays_current(&[("0001_a.sql", &text), ("0001_a.down.sql", "DROP TABLE a;")]);
    }
}

#[test]
fn a_journal_beside_the_folder_changes_nothing_of_it() {
    stays_current(&[
        ("meta/_journal.json", "{}"),
        (
            "0001_a.sql",
            "CREATE TABLE a(x);--> statement-breakpoint\nCREATE TABLE b(x);\n--> statement-breakpoint\nCREATE TABLE c(x)",
        ),
        ("0001_a.down.sql", "DROP TABLE a; DROP TABLE b; DROP TABLE c;"),
    ]);
    stays_current(&[
        ("meta/_journal.json", "{}"),
        ("20240101_a.sql", "CREATE TABLE a(x);"),
        ("20240101_a.down.sql", "DROP TABLE a;"),
        ("20240102_0930_b.sql", "CREATE TABLE b(x);"),
        ("20240102_0930_b.down.sql", "DROP TABLE b;"),
    ]);
}

/// What is kept is read by a program that has no file, and no layout, of it.
#[test]
fn a_down_cut_by_breakpoints_reverts_without_its_file() {
    let down = "INSERT INTO log VALUES ('--> statement-breakpoint')\n--> statement-breakpoint\nDROP TABLE a -- gone\n--> statement-breakpoint\nDROP TABLE b;--> statement-breakpoint\n";
    let (_dir, full) = folder(&[
        ("20240101000000_log/migration.sql", "CREATE TABLE log(x)"),
        (
            "20240102000000_ab/migration.sql",
            "CREATE TABLE a(x)\n--> statement-breakpoint\nCREATE TABLE b(x)",
        ),
        ("20240102000000_ab/down.sql", down),
    ]);
    let conn = memory();
    full.apply(&conn).unwrap();
    let (_dir, older) = folder(&[("20240101000000_log/migration.sql", "CREATE TABLE log(x)")]);
    older.revert(&conn, Target::Version(20240101000000.into())).unwrap();
    assert_eq!(rows(&conn, "SELECT x FROM log"), ["--> statement-breakpoint"]);
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master WHERE name IN ('a', 'b')"), "0");
}

#[test]
fn what_is_kept_says_that_it_runs_outside_a_transaction() {
    let log = "CREATE TABLE log(x);";
    let (_dir, full) = folder(&[
        ("1_log.sql", &format!("-- +goose Up\n{log}")),
        (
            "2_v.sql",
            "-- +goose NO TRANSACTION\n-- +goose Up\nVACUUM;\n-- +goose Down\n-- +goose StatementBegin\nVACUUM;\n-- +goose StatementEnd\n",
        ),
    ]);
    let conn = memory();
    full.apply(&conn).unwrap();
    let (_dir, older) = folder(&[("1_log.sql", log)]);
    older.revert(&conn, Target::Version(1.into())).unwrap();
    assert!(older.is_current(&conn).unwrap());
}

#[test]
fn a_mark_after_a_byte_order_mark_and_windows_line_ends() {
    let text = "\u{feff}-- +goose Up\r\nCREATE TABLE a(x);\r\n\r\n-- +goose Down\r\nDROP TABLE a;\r\nDROP TABL b;\r\n";
    let (_dir, migrator) = folder(&[("1_a.sql", text)]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    let before = everything(&conn);
    let error = migrator.revert(&conn, Target::Empty).unwrap_err();
    assert_eq!(everything(&conn), before);
    let long = format!("{error:#}");
    assert!(long.contains("line 6, column 6") && long.contains("DROP TABL b;"), "{long}");
}

#[test]
fn names_of_every_kind() {
    stays_current(&[
        ("0001_ünï cödé.SQL", "CREATE TABLE a(x);"),
        ("0001_ünï cödé.DOWN.SQL", "DROP TABLE a;"),
        ("repeatable/V1__statistics.sql", "CREATE VIEW v AS SELECT 1;"),
        ("repeatable/2_up.sql", "CREATE VIEW w AS SELECT 1;"),
        ("V1__notes.md", "no"),
        ("1_tool.go", "no"),
        ("metadata.toml", "run_in_transaction = 1"),
    ]);
    let (_dir, ups) =
        folder(&[("1_a b.UP.SQL", "CREATE TABLE a(x)"), ("1_a b.Down.Sql", "DROP TABLE a")]);
    let conn = memory();
    ups.apply(&conn).unwrap();
    ups.revert(&conn, Target::Empty).unwrap();
}

/// SQLite takes a name that nothing has as a string.
#[test]
fn braces_in_a_text_between_double_quotes() {
    stays_current(&[
        ("0001_a.sql", "CREATE TABLE a(x DEFAULT \"{{name}} ${x}\");"),
        ("0001_a.down.sql", "DROP TABLE a;"),
    ]);
}

#[test]
fn a_variable_that_changes_is_an_edit() {
    let (dir, _) = folder(&[("1_a.sql", "CREATE TABLE a(x DEFAULT '${v}')")]);
    let with = |value: &str| Migrator::from_dir(dir.path()).variable("v", value);
    let conn = memory();
    with("1").apply(&conn).unwrap();
    assert!(with("1").is_current(&conn).unwrap());
    assert!(with("2").apply(&conn).is_err());
}

#[test]
fn an_empty_up_and_an_empty_down_are_sections() {
    let (_dir, migrator) = folder(&[
        ("1_a.sql", "-- migrate:up\n\n-- migrate:down\n"),
        ("2_b.sql", "-- migrate:up\nCREATE TABLE b(x)\n-- migrate:down\nDROP TABLE b"),
    ]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    migrator.revert(&conn, Target::Empty).unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master WHERE name = 'b'"), "0");
}
