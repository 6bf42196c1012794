//! Folders of other tools that cannot be right: refused before anything is written, with file, line
//! and column.

use landfall::{Error, ErrorKind, Layout, Migration, Migrator};

use crate::support::{folder, memory, one};

/// The error with which a folder is refused, having made no table.
fn refused(migrator: &Migrator) -> Error {
    let conn = memory();
    let error = migrator.apply(&conn).expect_err("the set was taken");
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_schema"), "0");
    assert_eq!(migrator.check().unwrap_err().to_string(), error.to_string());
    error
}

fn refused_files(files: &[(&str, &str)]) -> Error {
    let (_dir, migrator) = folder(files);
    refused(&migrator)
}

/// Of one file: where, why, and what to do.
fn says(file: &str, text: &str, line_and_column: (usize, usize), why: &str, advice: &str) {
    let crlf = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    for text in [text, &crlf] {
        let error = refused_files(&[(file, text)]);
        let (line, column) = line_and_column;
        assert_eq!(
            error.to_string(),
            format!("`{file}`, line {line}, column {column}: {why}; nothing was changed")
        );
        assert_eq!(error.advice(), Some(advice), "{error:#}");
        assert_eq!(error.file(), Some(file));
        let place = error.position().unwrap();
        assert_eq!((place.line, place.column), line_and_column);
        let shown = text.lines().nth(line - 1).unwrap_or_default().trim_start_matches('\u{feff}');
        assert!(format!("{error:#}").contains(&format!("{line} | {shown}")), "{error:#}");
    }
}

#[test]
fn a_folder_of_two_tools_is_refused_and_both_are_named() {
    let goose = "-- +goose Up\nSELECT 1;";
    let dbmate = "-- migrate:up\nSELECT 1;";
    let cases: [(&[(&str, &str)], &str); 10] = [
        (
            &[("0001_a.sql", ""), ("V2__b.sql", "")],
            "`0001_a.sql` is a numbered file, as landfall, sqlx and drizzle have them, and \
             `V2__b.sql` is Flyway's or refinery's",
        ),
        (
            &[("0001_a.sql", goose), ("0002_b.sql", dbmate)],
            "`0001_a.sql` is goose's, and `0002_b.sql` is dbmate's",
        ),
        (
            &[("0001_a.sql", goose), ("0002_b.up.sql", "")],
            "`0002_b.up.sql` is golang-migrate's or sqlx's, and `0001_a.sql` is goose's",
        ),
        (
            &[("0001_a.sql", goose), ("0001_a.down.sql", "")],
            "`0001_a.down.sql` is a down script, as landfall, golang-migrate and sqlx have them, \
             and `0001_a.sql` is goose's",
        ),
        (
            &[("0001_a.up.sql", ""), ("02-b/up.sql", "")],
            "`0001_a.up.sql` is golang-migrate's or sqlx's, and `02-b/up.sql` is \
             rusqlite_migration's",
        ),
        (
            &[("2024-01-01-000000_a/up.sql", ""), ("02-b/up.sql", "")],
            "`2024-01-01-000000_a/up.sql` is diesel's, and `02-b/up.sql` is rusqlite_migration's",
        ),
        (
            &[("2024-01-01-000000_a/up.sql", ""), ("20240102000000_b/migration.sql", "")],
            "`2024-01-01-000000_a/up.sql` is diesel's, and `20240102000000_b/migration.sql` is \
             Prisma's or drizzle's",
        ),
        (
            &[("V1__a.sql", ""), ("20240102000000_b/migration.sql", "")],
            "`V1__a.sql` is Flyway's or refinery's, and `20240102000000_b/migration.sql` is \
             Prisma's or drizzle's",
        ),
        (
            &[("0001_a.sql", ""), ("0002_b.sql", ""), ("03-c/up.sql", "")],
            "`0001_a.sql` is a numbered file, as landfall, sqlx and drizzle have them, and \
             `03-c/up.sql` is rusqlite_migration's",
        ),
        (
            &[("0001_a.sql", "-- +migrate Up\n"), ("0002_b.sql", goose)],
            "`0002_b.sql` is goose's, and `0001_a.sql` is sql-migrate's",
        ),
    ];
    for (files, text) in cases {
        let error = refused_files(files);
        assert_eq!(
            error.to_string(),
            format!("{text}: one folder is one tool's; nothing was changed")
        );
        assert_eq!(
            error.advice(),
            Some(
                "give each tool's files a folder of their own, or pass over the others with \
                 `.ignore(\"<file>\")`"
            )
        );
        assert!(matches!(error.kind(), ErrorKind::MixedLayouts { .. }));
    }
}

#[test]
fn one_version_from_two_files_is_refused_in_every_layout() {
    let cases: [(&[&str], &str); 9] = [
        (&["1_a.sql", "1_a.up.sql"], "`1_a.sql` and `1_a.up.sql` are both version 1"),
        (&["1_a.up.sql", "01_b.up.sql"], "`01_b.up.sql` and `1_a.up.sql` are both version 1"),
        (
            &["1_a.up.sql", "1_a.down.sql", "001_a.down.sql"],
            "`001_a.down.sql` and `1_a.down.sql` are both the down script of version 1",
        ),
        (&["V1__a.sql", "V1.0__b.sql"], "`V1.0__b.sql` and `V1__a.sql` are both version 1"),
        (&["V1__a.sql", "x/V001__b.sql"], "`V1__a.sql` and `x/V001__b.sql` are both version 1"),
        (
            &["V1.2__a.sql", "V1_2__b.sql"],
            "`V1.2__a.sql` and `V1_2__b.sql` are both version 1000200000000",
        ),
        (&["1-a/up.sql", "01-b/up.sql"], "`01-b/up.sql` and `1-a/up.sql` are both version 1"),
        (
            &["2024-01-01-000000_a/up.sql", "20240101000000_b/up.sql"],
            "`2024-01-01-000000_a/up.sql` and `20240101000000_b/up.sql` are both version \
             20240101000000",
        ),
        (
            &["0_a/migration.sql", "00_b/migration.sql"],
            "`00_b/migration.sql` and `0_a/migration.sql` are both version 0",
        ),
    ];
    for (files, text) in cases {
        let files: Vec<(&str, &str)> = files.iter().map(|name| (*name, "SELECT 1")).collect();
        assert_eq!(refused_files(&files).to_string(), format!("{text}; nothing was changed"));
    }
    // Refinery's U is a migration like V.
    let (_dir, migrator) = folder(&[("V1__a.sql", ""), ("U1__b.sql", "")]);
    assert_eq!(
        refused(&migrator.layout(Layout::Refinery)).to_string(),
        "`U1__b.sql` and `V1__a.sql` are both version 1; nothing was changed"
    );
    // A down section beside a down file.
    let text = "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 1;";
    let twice = Migration::sql(1, "b", "SELECT 1");
    let (_dir, migrator) = folder(&[("1_a.sql", text)]);
    assert_eq!(
        refused(&migrator.with(twice)).to_string(),
        "`1_a.sql` and `1_b` are both version 1; nothing was changed"
    );
}

#[test]
fn sections_that_cannot_be_meant_are_refused_at_their_place() {
    let make_one = "make it one";
    says(
        "00001_a.sql",
        "-- +goose Down\nDROP TABLE t;\n-- +goose Up\nCREATE TABLE t(x);\n",
        (1, 1),
        "the down section stands before `-- +goose Up`",
        "put the up section first",
    );
    says(
        "00001_a.sql",
        "-- no way up\n\n-- +goose Down\nDROP TABLE t;\n",
        (3, 1),
        "the down section stands before `-- +goose Up`",
        "put the up section first",
    );
    says(
        "00001_a.sql",
        "-- +goose NO TRANSACTION\nCREATE TABLE t(x);\n",
        (1, 1),
        "it has no `-- +goose Up`, which every migration of goose has",
        "write `-- +goose Up` before its first statement",
    );
    says(
        "1_a.sql",
        "-- migrate:up\nCREATE TABLE t(x);\n\n  -- migrate:up\nCREATE TABLE u(x);\n",
        (4, 3),
        "`-- migrate:up` is there twice: the first is in line 1",
        make_one,
    );
    says(
        "1_a.sql",
        "-- migrate:up\n-- migrate:down\nSELECT 1;\n-- migrate:down transaction:false\n",
        (4, 1),
        "`-- migrate:down transaction:false` is there twice: the first is in line 2",
        make_one,
    );
    says(
        "1_a.sql",
        "-- +migrate Up\nSELECT 1;\n-- +migrate Down\nSELECT 1;\n-- +migrate Up\nSELECT 1;",
        (5, 1),
        "`-- +migrate Up` is there twice: the first is in line 1",
        make_one,
    );
    let close = "write `StatementEnd` after its statement";
    says(
        "1_a.sql",
        "-- +goose Up\n-- +goose StatementBegin\nCREATE TABLE t(x);\n",
        (2, 1),
        "`StatementBegin` is never closed",
        close,
    );
    says(
        "1_a.sql",
        "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n-- +goose Down\nSELECT 1;\n",
        (2, 1),
        "`StatementBegin` is not closed by the mark in line 4",
        close,
    );
    says(
        "1_a.sql",
        "-- +migrate Up\n-- +migrate StatementBegin\nSELECT 1;\n-- +migrate StatementBegin\n",
        (2, 1),
        "`StatementBegin` is not closed by the mark in line 4",
        close,
    );
    says(
        "1_a.sql",
        "-- +goose Up\nSELECT 1;\n-- +goose StatementEnd\n",
        (3, 1),
        "`-- +goose StatementEnd` ends what was never begun",
        "remove it, or begin it",
    );
    says(
        "1_a.sql",
        "-- first\nCREATE TABLE early(x);\n-- migrate:up\nSELECT 1;\n",
        (2, 1),
        "this stands before `-- migrate:up`, and dbmate would not run it",
        "move it below the mark",
    );
    says(
        "1_a.sql",
        "-- +goose Up\nCREATE TABLE t(x); -- +goose Down\nDROP TABLE t;\n",
        (2, 20),
        "goose looks for its marks at the beginning of a line",
        "give it a line of its own",
    );
    says(
        "1_a.sql",
        "-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${HOME}';\n",
        (2, 1),
        "`envsub on` is no mark of goose that is known here",
        "write the values of the environment into the file",
    );
    says(
        "1_a.sql",
        "-- migrate:up transaction:maybe\nSELECT 1;\n",
        (1, 1),
        "`up transaction:maybe` is no mark of dbmate that is known here",
        "correct it, or make it a comment of another form",
    );
    says(
        "1_a.sql",
        "-- +goose Up\nINSERT INTO t VALUES ('\n  -- +goose Down\n');\n",
        (3, 3),
        "goose takes this for its mark, and it is inside a string, name or comment that begins in \
         line 2",
        "close it before, or word it anew",
    );
    says(
        "1_a.sql",
        "--  +GOOSE\tUp\nSELECT 1;\n-- +goose  no \t transaction\n-- +goose up\n",
        (4, 1),
        "`-- +goose up` is there twice: the first is in line 1",
        make_one,
    );
    says(
        "1_a.sql",
        "-- +goose Up\nSELECT 1;\n-- migrate:down\nSELECT 1;\n",
        (3, 1),
        "this is a section of dbmate, and every section of the file would run, its down section \
         too",
        "put the down section into a `.down.sql` file of its own, and remove the marks",
    );
}

#[test]
fn a_file_without_marks_among_those_that_have_some_is_refused() {
    for (mark, tool) in
        [("-- +goose Up", "goose"), ("-- migrate:up", "dbmate"), ("-- +migrate Up", "sql-migrate")]
    {
        let text = format!("{mark}\nSELECT 1;");
        let error = refused_files(&[("1_a.sql", &text), ("2_b.sql", "DROP TABLE t;")]);
        assert_eq!(
            error.to_string(),
            format!(
                "`2_b.sql`, line 1, column 1: it has no `{mark}`, which every migration of {tool} \
                 has; nothing was changed"
            )
        );
        assert!(matches!(error.kind(), ErrorKind::BadText { .. }));
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_until_it_is_said() {
    let (_dir, lone_u) = folder(&[("V1__a.sql", "SELECT 1"), ("U2__b.sql", "SELECT 1")]);
    let error = refused(&lone_u);
    assert_eq!(
        format!("{error:#}"),
        "`U2__b.sql` can be read in two ways: refinery runs it as a migration, and Flyway to take \
         back a V2, which is not there; nothing was changed\n\
         what to do: say whose it is: `.layout(Layout::Refinery)` or `.layout(Layout::Flyway)`"
    );
    assert!(matches!(error.kind(), ErrorKind::AmbiguousLayout { .. }));
    assert_eq!(lone_u.clone().layout(Layout::Refinery).apply(&memory()).unwrap().applied.len(), 2);
    assert_eq!(
        refused(&lone_u.layout(Layout::Flyway)).to_string(),
        "`U2__b.sql` belongs to no migration: there is none with version 2; nothing was changed"
    );

    let (_dir, short) = folder(&[("20240101_a.sql", "SELECT 1"), ("3_b.up.sql", "SELECT 1")]);
    assert_eq!(
        refused(&short).to_string(),
        "`20240101_a.sql` can be read in two ways: its number is a date to landfall and a plain \
         number to sqlx, and beside `3_b.up.sql` it can be either's; nothing was changed"
    );
    let steps = short.layout(Layout::Sqlx).plan(&memory()).unwrap().steps;
    assert_eq!(steps[1].version.unwrap().get(), 20240101);

    let (_dir, down) = folder(&[("1_a.up.sql", "SELECT 1"), ("2_b.down.sql", "SELECT 1")]);
    assert_eq!(
        format!("{:#}", refused(&down)),
        "`2_b.down.sql` belongs to no migration: there is none with version 2; nothing was changed\n\
         what to do: add its migration, correct the number, or remove the file; golang-migrate \
         takes it for a migration that has no up: `.layout(Layout::GolangMigrate)`"
    );
    assert_eq!(down.layout(Layout::GolangMigrate).apply(&memory()).unwrap().applied.len(), 2);

    let diesel = [("2024-01-01-000000-0000_a/up.sql", ""), ("2024-01-02-000000_b/up.sql", "")];
    assert_eq!(
        refused_files(&diesel).to_string(),
        "`2024-01-02-000000_b/up.sql` can be read in two ways: diesel runs it after \
         `2024-01-01-000000-0000_a/up.sql`, and 20240102000000 is the smaller number; nothing was \
         changed"
    );
}

#[test]
fn a_file_of_another_form_than_was_said_is_refused() {
    let cases = [
        (Layout::Landfall, "1_a.up.sql", "`.up` is no suffix of a migration"),
        (
            Layout::GolangMigrate,
            "1_a.sql",
            "golang-migrate's files end with `.up.sql` or `.down.sql`",
        ),
        (Layout::Sqlx, "V1__a.sql", "it does not start with a number"),
        (Layout::Sqlx, "1_a.dwon.sql", "`.dwon` is no suffix of a migration"),
        (Layout::Sqlx, "1_a.down.up.sql", "`.down` is no suffix of a migration"),
        (Layout::Refinery, "1_a.sql", "it has none of the forms that refinery has"),
        (Layout::Refinery, "B1__a.sql", "it has none of the forms that refinery has"),
        (Layout::Flyway, "V1_a.sql", "`V` is not followed by a number, `__` and a name"),
        (Layout::Flyway, "V1__.sql", "it has no name"),
        (Layout::Flyway, "V1.x__a.sql", "`1.x` is no version: digits, with dots between them"),
        (Layout::Flyway, "V__a.sql", "`` is no version: digits, with dots between them"),
        (Layout::Flyway, "V1__a.down.sql", "`.down` is no suffix of a migration"),
        (Layout::Diesel, "1_a.sql", "it has none of the forms that diesel has"),
        (Layout::Diesel, "01-a/up.sql", "its folder `01-a` has no form that diesel has"),
        (Layout::Diesel, "a/up.sql", "its folder `a` has no form that diesel has"),
        (Layout::Diesel, "1_a/up_2.sql", "it has none of the forms that diesel has"),
        (Layout::Diesel, "x/1_a/up.sql", "its folder `x/1_a` has no form that diesel has"),
        (
            Layout::RusqliteMigration,
            "1_a/up.sql",
            "its folder `1_a` has no form that rusqlite_migration has",
        ),
        (Layout::Prisma, "1_a/up.sql", "it has none of the forms that Prisma has"),
        (Layout::Goose, "1_a.down.sql", "`.down` is no suffix of a migration"),
        (Layout::Goose, "1.sql", "its number is not followed by `_` and a name"),
    ];
    for (layout, file, why) in cases {
        let (_dir, migrator) = folder(&[(file, "SELECT 1")]);
        let error = refused(&migrator.layout(layout));
        assert_eq!(
            error.to_string(),
            format!("`{file}` is not understood: {why}; nothing was changed")
        );
    }
    let (_dir, migrator) = folder(&[("V1__a.sql", ""), ("schema.sql", "")]);
    assert_eq!(
        refused(&migrator).advice(),
        Some(
            "name it `V1__name.sql`, move it out of the folder, or pass over it with \
             `.ignore(\"schema.sql\")`; the folder was taken for Flyway's or refinery's, and `.layout(…)` says \
             otherwise"
        )
    );
}

#[test]
fn a_version_that_does_not_fit_is_refused_by_name() {
    let limit = "at most 9223372036854775807";
    let cases = [
        ("20240101000000000000_a.up.sql", format!("version 20240101000000000000 is too large: {limit}")),
        ("9223372036854775808_a/migration.sql", format!("version 9223372036854775808 is too large: {limit}")),
        ("2024-01-01-000000-000000_a/up.sql", format!("version 20240101000000000000 is too large: {limit}")),
        ("99999999999999999999-a/up.sql", format!("version 99999999999999999999 is too large: {limit}")),
        ("V99999999999999999999__a.sql", format!("version 99999999999999999999 is too large: {limit}")),
        (
            "V1.2.3.4.5__a.sql",
            "version 1.2.3.4.5 does not fit into 64 bits: after 1 there can be 3 parts, each below \
             10000"
                .to_owned(),
        ),
        (
            "V1.10000__a.sql",
            "version 1.10000 does not fit into 64 bits: after 1 there can be 3 parts, each below \
             10000"
                .to_owned(),
        ),
        (
            "V2024.100__a.sql",
            "version 2024.100 does not fit into 64 bits: after 2024 there can be 6 parts, each \
             below 100"
                .to_owned(),
        ),
        (
            "V20240101120000.1.1__a.sql",
            "version 20240101120000.1.1 does not fit into 64 bits: after 20240101120000 there can \
             be 1 part, each below 10000"
                .to_owned(),
        ),
    ];
    for (file, why) in cases {
        // A neighbour that tells the layout.
        let error = refused_files(&[(file, "SELECT 1")]);
        assert_eq!(
            error.to_string(),
            format!("`{file}` is not understood: {why}; nothing was changed")
        );
    }
}

#[test]
fn placeholders_without_a_value_are_refused_at_their_place() {
    let say = "say it of the migrator: `.variable(\"Prefix\", \"…\")`; if the braces are meant as \
               they are, that is its value";
    let unknown = "`{{ .Prefix }}` is a placeholder, and nothing says what stands for it";
    says("1_a.sql", "CREATE TABLE a(x);\nCREATE TABLE {{ .Prefix }}b(x);\n", (2, 14), unknown, say);
    says("1_a.sql", "CREATE TABLE x\n  \"ü{{ .Prefix }}b\"(x);\n", (2, 5), unknown, say);
    says(
        "1_a.sql",
        "CREATE TABLE {{prefix}}_b(x);\n",
        (1, 14),
        "`{{prefix}}` is a placeholder, and nothing says what stands for it",
        "say it of the migrator: `.variable(\"prefix\", \"…\")`",
    );
    says(
        "1_a.sql",
        "CREATE TABLE app_${schema}_b(x);\n",
        (1, 18),
        "`${schema}` is a placeholder, and nothing says what stands for it",
        "say it of the migrator: `.variable(\"schema\", \"…\")`",
    );
    for text in ["{{", "{{ if .X }}", "{{ range . }}", "{{ .X | upper }}", "{{ open", "{{}}"] {
        says(
            "1_a.sql",
            &format!("CREATE TABLE t(x);\n{text}\n"),
            (2, 1),
            &format!("`{text}` is an instruction of a template, and no SQL"),
            "write the SQL that it makes",
        );
    }
    // Once there are variables, a form that nothing else has is one in a string, too.
    let (_dir, migrator) = folder(&[("1_a.sql", "SELECT '{{ .Other }} {{ other }}'")]);
    migrator.check().unwrap();
    let error = refused(&migrator.clone().variable("Prefix", "x"));
    assert_eq!(
        error.to_string(),
        "`1_a.sql`, line 1, column 9: `{{ .Other }}` is a placeholder, and nothing says what stands \
         for it; nothing was changed"
    );
    migrator.clone().variable("Other", "{{ .Other }}").check().unwrap();
    let error = refused(&migrator.variable("Other", "two\nlines"));
    assert_eq!(
        error.to_string(),
        "`1_a.sql`, line 1, column 9: the value of `Other` holds a line break or NUL, after which \
         every place in the file would be another; nothing was changed"
    );
}

/// Not quite the way around a runner's transaction.
#[test]
fn what_is_nearly_a_way_around_the_transaction_stays_refused() {
    let (off, on) = ("PRAGMA foreign_keys=OFF;", "PRAGMA foreign_keys=ON;");
    let cases = [
        (format!("COMMIT; {off} CREATE TABLE b(x);"), "COMMIT"),
        (format!("COMMIT; CREATE TABLE b(x); {on} BEGIN;"), "COMMIT"),
        (format!("{off} COMMIT; CREATE TABLE b(x); BEGIN;"), "COMMIT"),
        (format!("COMMIT; CREATE TABLE b(x); {off} BEGIN;"), "COMMIT"),
        (format!("CREATE TABLE b(x); COMMIT; {off} BEGIN;"), "COMMIT"),
        (format!("COMMIT; {off} CREATE TABLE b(x); BEGIN; CREATE TABLE c(x);"), "COMMIT"),
        (format!("COMMIT; {off} CREATE TABLE b(x); COMMIT; BEGIN;"), "COMMIT"),
        (format!("COMMIT; {off} BEGIN; CREATE TABLE b(x); BEGIN;"), "COMMIT"),
        (format!("COMMIT; BEGIN; {off} CREATE TABLE b(x); COMMIT; BEGIN;"), "COMMIT"),
        (
            format!("COMMIT; {off} CREATE TABLE a(x); BEGIN; CREATE TABLE b(x); COMMIT; BEGIN;"),
            "COMMIT",
        ),
        (
            format!("COMMIT; {off} BEGIN; CREATE TABLE b(x); COMMIT; CREATE TABLE c(x); BEGIN;"),
            "COMMIT",
        ),
        (format!("COMMIT; {off} BEGIN; CREATE TABLE b(x); ROLLBACK; BEGIN;"), "COMMIT"),
        (format!("ROLLBACK; {off} CREATE TABLE b(x); BEGIN;"), "ROLLBACK"),
        (format!("COMMIT; {on} CREATE TABLE b(x); BEGIN;"), "COMMIT"),
    ];
    for (text, word) in cases {
        let (_dir, migrator) = folder(&[("1_a.sql", &text)]);
        let conn = memory();
        let error = migrator.apply(&conn).unwrap_err();
        let at = text.find(word).unwrap() + 1;
        assert_eq!(
            error.to_string(),
            format!(
                "migration 1_a.sql may not say `{word}` at line 1, column {at}; nothing was changed"
            ),
            "{text}"
        );
        assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_schema"), "0");
    }
    // The least that is one.
    let text = format!("COMMIT; {off} BEGIN;");
    let (_dir, migrator) = folder(&[("1_a.sql", &text)]);
    migrator.apply(&memory()).unwrap();
}

#[test]
fn metadata_that_says_neither_is_refused_in_its_line() {
    let error = refused_files(&[
        ("2024-01-01-000000_a/up.sql", "SELECT 1"),
        ("2024-01-01-000000_a/metadata.toml", "# so\n  run_in_transaction = no\n"),
    ]);
    assert_eq!(
        format!("{error:#}"),
        "`2024-01-01-000000_a/metadata.toml`, line 2, column 3: `run_in_transaction` is `true` or \
         `false`; nothing was changed\n\
         \x20--> 2024-01-01-000000_a/metadata.toml:2:3\n\
         \x20 |\n\
         2 |   run_in_transaction = no\n\
         \x20 |   ^\n\
         what to do: correct the line"
    );
}

#[test]
fn migrations_in_another_language_are_not_passed_over() {
    let (_dir, migrator) = folder(&[
        ("V1__a.sql", "CREATE TABLE a(x)"),
        ("V2__b.rs", "pub fn migration() -> String"),
        ("mod.rs", "mod b;"),
    ]);
    assert_eq!(
        format!("{:#}", refused(&migrator)),
        "`V2__b.rs` is not understood: it is a migration in code, which cannot be \
         run from a file; nothing was changed\n\
         what to do: say what it does with `.with(Migration::code(<version>, \"<name>\", …))`, and \
         pass over the file with `.ignore(\"V2__b.rs\")`"
    );
    migrator.ignore("V2__b.rs").check().unwrap();
    let (_dir, migrator) = folder(&[
        ("1_a.sql", "-- +goose Up\nSELECT 1"),
        ("2_b.go", "package migrations"),
        ("2_b_test.go", "package migrations"),
    ]);
    assert_eq!(
        refused(&migrator).to_string(),
        "`2_b.go` is not understood: it is a migration in code, which cannot be run from a file; \
         nothing was changed"
    );
    // Beside landfall's own files they are passed over, as any file that is not SQL.
    let (_dir, migrator) = folder(&[("1_a.sql", "SELECT 1"), ("2_b.go", ""), ("V2__b.rs", "")]);
    assert_eq!(migrator.apply(&memory()).unwrap().applied.len(), 1);
}

#[test]
fn a_down_section_beside_what_has_no_way_back_is_refused_at_the_section() {
    let text = "-- landfall: irreversible: gone is gone\n-- +goose Up\nSELECT 1;\n-- +goose Down\n";
    let error = refused_files(&[("1_a.sql", text)]);
    assert_eq!(
        error.to_string(),
        "`1_a.sql`, line 4, column 15: 1_a.sql calls itself irreversible, and here is its down; \
         nothing was changed"
    );
}

#[test]
fn a_file_that_is_no_migration_is_named_with_a_way_past_it() {
    for file in ["schema.sql", "seed.sql"] {
        let files = [("0001_a.sql", "CREATE TABLE a(x)"), (file, "CREATE TABLE a(x)")];
        let (_dir, migrator) = folder(&files);
        let error = refused(&migrator);
        assert_eq!(
            error.to_string(),
            format!(
                "`{file}` is not understood: it does not start with a number; nothing was changed"
            )
        );
        let advice = error.advice().unwrap();
        assert!(advice.ends_with("or pass over it with `.ignore(\"<file>\")`"), "{advice}");
        assert_eq!(migrator.ignore(file).apply(&memory()).unwrap().applied.len(), 1);
    }
}
