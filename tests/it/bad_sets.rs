//! A set that is not sound is refused as a whole, before anything is written, in words that name
//! the file; and what only looks odd is taken.

use std::fs;

use landfall::rusqlite::{Result as SqlResult, Transaction};
use landfall::{Error, ErrorKind, Migration, Migrator, Seeds};

use crate::support::{folder, memory, one, rows};

/// The error with which every verb refuses a set, having made no table.
fn refusal(migrator: &Migrator) -> Error {
    let conn = memory();
    let error = migrator.apply(&conn).expect_err("the set was taken");
    for other in [
        migrator.plan(&conn).map(drop),
        migrator.status(&conn).map(drop),
        migrator.is_current(&conn).map(drop),
        migrator.open_in_memory().map(drop),
    ] {
        assert_eq!(other.expect_err("the set was taken").to_string(), error.to_string());
    }
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_schema"), "0");
    assert!(conn.is_autocommit());
    assert!(error.report().is_none());
    assert!(error.advice().is_some(), "{error:#}");
    error
}

/// As `refusal`, of a folder of files. The set alone is refused in the same words.
fn refused(files: &[(&str, &str)]) -> Error {
    let (_dir, migrator) = folder(files);
    let error = refusal(&migrator);
    assert_eq!(migrator.check().unwrap_err().to_string(), error.to_string());
    error
}

/// What was applied: `version name` of each row of the ledger, and `R name` of the repeatables.
fn taken(files: &[(&str, &str)]) -> Vec<String> {
    let (_dir, migrator) = folder(files);
    migrator.check().unwrap();
    let conn = memory();
    let report = migrator.apply(&conn).unwrap_or_else(|error| panic!("{error:?}"));
    let repeated = report.repeated.iter().map(|done| format!("R {}", done.name));
    let mut rows =
        rows(&conn, "SELECT version || ' ' || name FROM schema_migrations WHERE version >= 0");
    rows.extend(repeated);
    assert!(migrator.apply(&conn).unwrap().is_noop());
    rows
}

#[test]
fn a_name_of_no_known_form_is_refused() {
    let cases = [
        ("name.sql", "it does not start with a number"),
        ("_name.sql", "it does not start with a number"),
        (".sql", "it does not start with a number"),
        ("r__name.sql", "it does not start with a number"),
        ("-1_name.sql", "it does not start with a number"),
        ("٣_name.sql", "it does not start with a number"),
        ("0001.sql", "its number is not followed by `_` and a name"),
        ("0001-name.sql", "its number is not followed by `_` and a name"),
        ("0001 name.sql", "its number is not followed by `_` and a name"),
        ("0001.down.sql", "its number is not followed by `_` and a name"),
        ("0001name.sql", "its number is not followed by `_` and a name"),
        ("0001_.sql", "it has no name"),
        ("0001_.down.sql", "it has no name"),
        ("20250214_.sql", "it has no name"),
        ("R__.sql", "it has no name"),
        ("0001_a.dwon.sql", "`.dwon` is no suffix of a migration"),
        ("0001_a.down.down.sql", "`.down` is no suffix of a migration"),
        ("R__a.down.sql", "`.down` is no suffix of a migration"),
        ("repeatable/a.b.sql", "`.b` is no suffix of a migration"),
        ("old/0001_a.sql", "the only subfolder that may hold .sql files is `repeatable`"),
        ("a/repeatable/x.sql", "the only subfolder that may hold .sql files is `repeatable`"),
        (
            "9223372036854775808_a.sql",
            "version 9223372036854775808 is too large: at most 9223372036854775807",
        ),
        ("20250214_2460_a.sql", "`2460` after the date is no time of day"),
        ("20250214_2400_a.sql", "`2400` after the date is no time of day"),
        ("20250214_093060_a.sql", "`093060` after the date is no time of day"),
    ];
    for (name, why) in cases {
        let error = refused(&[("0007_good.sql", "CREATE TABLE t(x)"), (name, "SELECT 1")]);
        assert_eq!(
            error.to_string(),
            format!("`{name}` is not understood: {why}; nothing was changed")
        );
        let ErrorKind::BadName { file, why: said, .. } = error.kind() else { panic!("{error:?}") };
        assert_eq!((file.as_str(), said.as_str()), (name, why));
    }
}

#[test]
fn two_of_one_are_refused_and_both_are_named() {
    let cases: [(&[(&str, &str)], &str); 7] = [
        (
            &[("0001_a.sql", ""), ("0001_b.sql", "")],
            "`0001_a.sql` and `0001_b.sql` are both version 1",
        ),
        (&[("0001_a.sql", ""), ("1_a.sql", "")], "`0001_a.sql` and `1_a.sql` are both version 1"),
        (
            &[("20250214_0930_a.sql", ""), ("20250214093000_b.sql", "")],
            "`20250214093000_b.sql` and `20250214_0930_a.sql` are both version 20250214093000",
        ),
        (
            &[("1_a.sql", ""), ("1_a.down.sql", ""), ("1_b.down.sql", "")],
            "`1_a.down.sql` and `1_b.down.sql` are both the down script of version 1",
        ),
        (
            &[("1_a.sql", ""), ("1_a.verify.sql", ""), ("01_a.verify.sql", "")],
            "`01_a.verify.sql` and `1_a.verify.sql` are both the verify script of version 1",
        ),
        (
            &[("5_a.baseline.sql", ""), ("5_b.baseline.sql", "")],
            "`5_a.baseline.sql` and `5_b.baseline.sql` are both the baseline 5",
        ),
        (
            &[("R__x.sql", ""), ("repeatable/x.sql", "")],
            "`R__x.sql` and `repeatable/x.sql` are both the repeatable `x`",
        ),
    ];
    for (files, text) in cases {
        let error = refused(files);
        assert_eq!(error.to_string(), format!("{text}; nothing was changed"));
        assert!(matches!(error.kind(), ErrorKind::DuplicateVersion { .. }), "{error:?}");
    }
    let twice = [Migration::sql(1, "a", ""), Migration::sql(1, "b", "")];
    assert_eq!(
        refusal(&Migrator::from_migrations(twice)).to_string(),
        "`1_a` and `1_b` are both version 1; nothing was changed"
    );
    let (_dir, files) = folder(&[("0001_a.sql", "")]);
    assert_eq!(
        refusal(&files.with(Migration::sql(1, "b", ""))).to_string(),
        "`0001_a.sql` and `1_b` are both version 1; nothing was changed"
    );
}

#[test]
fn a_down_or_verify_script_without_its_migration_is_refused() {
    for name in ["0002_b.down.sql", "0002_b.verify.sql"] {
        let error = refused(&[("0001_a.sql", ""), (name, "SELECT 1")]);
        assert_eq!(
            error.to_string(),
            format!(
                "`{name}` belongs to no migration: there is none with version 2; nothing was changed"
            )
        );
        assert!(matches!(error.kind(), ErrorKind::OrphanDown { .. }), "{error:?}");
    }
}

#[test]
fn what_is_not_text_is_refused_with_its_line() {
    let cases: [(&[u8], usize, &str); 5] = [
        (b"SELECT 1;\nSELECT '\xff';\n", 2, "it is not valid UTF-8"),
        (b"\xff\xfeS\0E\0", 1, "it is not valid UTF-8"),
        (b"SELECT 'caf\xe9'", 1, "it is not valid UTF-8"),
        (b"SELECT 1;\r\n\r\nSELECT '\0';\r\n", 3, "it holds a NUL"),
        (b"\0", 1, "it holds a NUL"),
    ];
    for (bytes, line, why) in cases {
        let (dir, migrator) = folder(&[("0001_a.sql", "CREATE TABLE t(x)")]);
        fs::write(dir.path().join("0002_b.sql"), bytes).unwrap();
        let error = refusal(&migrator);
        assert_eq!(
            error.to_string(),
            format!("`0002_b.sql` is not text at line {line}: {why}; nothing was changed")
        );
        assert!(matches!(error.kind(), ErrorKind::NotUtf8 { .. }), "{error:?}");
    }
    for (migration, label) in [
        (Migration::sql(1, "a", "SELECT 1;\n\0"), "1_a"),
        (Migration::sql(1, "a", "").down("\n\0"), "1_a.down"),
        (Migration::sql(1, "a", "").verify("\n\0"), "1_a.verify"),
    ] {
        assert_eq!(
            refusal(&Migrator::from_migrations([migration])).to_string(),
            format!("`{label}` is not text at line 2: it holds a NUL; nothing was changed")
        );
    }
}

#[test]
fn a_directive_at_fault_is_shown_with_a_caret() {
    let sha = "sha256:0123456789abcdef";
    let cases = [
        ("frobnicate", "`frobnicate` is no directive"),
        ("", "`` is no directive"),
        ("No-Transaction", "`No-Transaction` is no directive"),
        ("no-transaction please", "`no-transaction please` is no directive"),
        ("breaking a bit", "`breaking a bit` is no directive"),
        ("foreign-keys", "`foreign-keys` is no directive"),
        ("foreign-keys on", "`foreign-keys on` is no directive"),
        (
            "allow-data-loss",
            "`allow-data-loss` has to give its reason: `allow-data-loss: <reason>`",
        ),
        ("irreversible", "`irreversible` has to give its reason: `irreversible: <reason>`"),
        ("irreversible:  ", "`irreversible` has to give its reason: `irreversible: <reason>`"),
        ("irreversible so", "`irreversible` has to give its reason: `irreversible: <reason>`"),
        ("compatible", "`compatible` has to give its reason: `compatible: <reason>`"),
        ("replaces", "write `replaces sha256:<hex>: <reason>`"),
        ("replaces 0123456789abcdef: why", "write `replaces sha256:<hex>: <reason>`"),
        ("replaces sha256:0123456789abcdef", "write `replaces sha256:<hex>: <reason>`"),
        (
            "replaces sha256:0123456789abcdef: ",
            "`replaces` has to give its reason: `replaces sha256:0123456789abcdef: <reason>`",
        ),
        (
            "replaces sha256:0123456: why",
            "`sha256:0123456` is no checksum: 8 to 64 digits 0-9 and a-f",
        ),
        (
            "replaces sha256:0123456789abcdeg: why",
            "`sha256:0123456789abcdeg` is no checksum: 8 to 64 digits 0-9 and a-f",
        ),
        ("requires sqlite", "write `requires sqlite >= 3.35` or `>= 3.35.5`"),
        ("requires sqlite 3.35", "write `requires sqlite >= 3.35` or `>= 3.35.5`"),
        ("requires sqlite >= 3.x", "write `requires sqlite >= 3.35` or `>= 3.35.5`"),
        ("requires sqlite >= 3.35.5.1", "write `requires sqlite >= 3.35` or `>= 3.35.5`"),
        ("requires sqlite >= 99999999999.1", "write `requires sqlite >= 3.35` or `>= 3.35.5`"),
        // More thousands than a number can have.
        ("requires sqlite >= 32351", "write `requires sqlite >= 3.35` or `>= 3.35.5`"),
        ("requires module", "`requires module` has to name what it requires"),
        (
            "requires table t",
            "`requires table`: only sqlite, module, function, collation or backfill",
        ),
    ];
    let check = |head: &str, directive: &str, why: &str| {
        let line = format!("-- landfall: {directive}");
        let number = head.matches('\n').count() + 1;
        for text in [
            format!("{head}{line}\nCREATE TABLE t(x);\n"),
            format!("\u{feff}{head}{line}\nCREATE TABLE t(x);\n").replace('\n', "\r\n"),
        ] {
            let error = refused(&[("0001_a.sql", &text)]);
            let short =
                format!("`0001_a.sql`, line {number}, column 1: {why}; nothing was changed");
            assert_eq!(error.to_string(), short);
            let long = format!("{error:#}");
            let shown = format!(
                "{short}\n --> 0001_a.sql:{number}:1\n  |\n{number} | {line}\n  | ^\nwhat to do: the \
                 directives are: "
            );
            assert!(long.starts_with(&shown), "{long}\n{shown}");
            assert!(matches!(error.kind(), ErrorKind::Directive { .. }));
            let position = error.position().unwrap();
            assert_eq!((position.line, position.byte), (number, head.len()));
        }
        let text = format!("{head}{line}\n");
        assert_eq!(
            refusal(&Migrator::from_migrations([Migration::sql(1, "a", text)])).to_string(),
            format!("`1_a`, line {number}, column 1: {why}; nothing was changed")
        );
    };
    for (directive, why) in cases {
        check("", directive, why);
        check("-- A note.\n\n", directive, why);
    }
    for said in ["no-transaction", "foreign-keys off", "breaking"] {
        let word = said.split(' ').next().unwrap();
        check(&format!("-- landfall: {said}\n"), said, &format!("`{word}` is said twice"));
    }
    for word in ["compatible", "irreversible", "allow-data-loss"] {
        let first = format!("-- landfall: {word}: because\n");
        check(&first, &format!("{word}: really"), &format!("`{word}` is said twice"));
    }
    let first = format!("-- landfall: replaces {sha}: because\n");
    check(&first, &format!("replaces {sha}: really"), "`replaces` is said twice");
    check("-- landfall: breaking\n", "compatible: no", "`compatible` contradicts `breaking`");
    check("-- landfall: compatible: yes\n", "breaking", "`breaking` contradicts `compatible`");
    let late = "a directive has to stand before the first statement";
    check("SELECT 1;\n", "no-transaction", late);
    check("SELECT 1\n", "frobnicate", late);
}

#[test]
fn a_directive_is_shown_where_it_stands_in_its_line() {
    let error = refused(&[("0001_a.sql", "SELECT 'é';\t-- landfall: breaking\n")]);
    assert!(
        format!("{error:#}").starts_with(
            "`0001_a.sql`, line 1, column 13: a directive has to stand before the first statement; \
             nothing was changed\n --> 0001_a.sql:1:13\n  |\n1 | SELECT 'é';\t-- landfall: breaking\n  \
             |            \t^\n"
        ),
        "{error:#}"
    );
}

#[test]
fn directives_that_have_no_place_in_a_file_are_refused_there() {
    let sha = "replaces sha256:0123456789abcdef: why";
    for said in ["no-transaction", sha, "irreversible: no way back"] {
        let word = said.split([' ', ':']).next().unwrap();
        let text = format!("-- A view.\n-- landfall: {said}\nSELECT 1;");
        for name in ["R__v.sql", "repeatable/v.sql"] {
            let error = refused(&[(name, &text)]);
            let short = format!(
                "`{name}`, line 2, column 1: `{word}` has no place in a repeatable; nothing was \
                 changed"
            );
            assert_eq!(error.to_string(), short);
            let shown = format!("{short}\n --> {name}:2:1\n  |\n2 | -- landfall: {said}\n  | ^\n");
            assert!(format!("{error:#}").starts_with(&shown), "{error:#}");
        }
    }
    let text = "-- All of it.\n-- landfall: no-transaction\nCREATE TABLE t(x);";
    let error = refused(&[("0005_a.baseline.sql", text)]);
    assert_eq!(
        error.to_string(),
        "`0005_a.baseline.sql`, line 2, column 1: `no-transaction` has no place in a baseline; nothing \
         was changed"
    );
    assert!(format!("{error:#}").contains("\n2 | -- landfall: no-transaction\n  | ^\n"));
    let error = refused(&[
        ("0001_a.sql", "-- landfall: irreversible: the hashes are gone\nSELECT 1;"),
        ("0001_a.down.sql", "SELECT 2;"),
    ]);
    assert_eq!(
        error.to_string(),
        "`0001_a.down.sql`, line 1, column 1: 0001_a.sql calls itself irreversible, and here is \
         its down; nothing was changed"
    );
    assert!(format!("{error:#}").contains("\n1 | SELECT 2;\n  | ^\n"), "{error:#}");
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("migrations");
    let error = refusal(&Migrator::from_dir(&path));
    assert_eq!(
        error.to_string(),
        format!("cannot read migrations from {}; nothing was changed", path.display())
    );
    assert!(matches!(error.kind(), ErrorKind::Source { .. }));
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_negative_version_is_refused() {
    for migration in [
        Migration::sql(-1, "a", "SELECT 1"),
        Migration::code(-1, "a", |_| -> SqlResult<()> { Ok(()) }),
    ] {
        let error = refusal(&Migrator::from_migrations([migration]));
        assert_eq!(
            error.to_string(),
            "`-1_a` is not understood: a version cannot be negative; nothing was changed"
        );
        assert!(matches!(error.kind(), ErrorKind::BadName { .. }));
    }
}

#[test]
fn a_prefix_that_is_no_name_is_refused() {
    for prefix in ["", "a-b", "a b", "sqlite", "SQLite_x", "a\"b", "é", "main.x", "日本語"] {
        let migrator = Migrator::from_migrations([Migration::sql(1, "a", "CREATE TABLE t(x)")]);
        let error = refusal(&migrator.ledger(prefix));
        assert_eq!(
            error.to_string(),
            format!(
                "`{prefix}` is not understood: a ledger's prefix is of letters, digits and `_`, \
                 and not `sqlite`; nothing was changed"
            )
        );
        assert!(matches!(error.kind(), ErrorKind::BadName { .. }));
    }
}

#[test]
fn seeds_of_one_name_or_none_are_refused() {
    fn nothing(_: &Transaction<'_>) -> SqlResult<()> {
        Ok(())
    }
    let migrator = Migrator::from_migrations([Migration::sql(1, "a", "CREATE TABLE t(x)")]);
    for (seeds, why) in [
        (Seeds::new().ensure("a", nothing).ensure("a", nothing), "two seeds are called `a`"),
        (
            Seeds::new().ensure("a", nothing).ensure_revision("a", 2, nothing),
            "two seeds are called `a`",
        ),
        (Seeds::new().ensure(" ", nothing), "a seed has no name"),
    ] {
        let error = refusal(&migrator.clone().seeds(seeds));
        assert_eq!(
            error.to_string(),
            format!("the seeds are not sound: {why}; nothing was changed")
        );
        assert!(matches!(error.kind(), ErrorKind::BadSeed { .. }));
    }
}

#[test]
fn an_empty_set_and_empty_files_are_taken() {
    for files in [&[][..], &[("README.md", "# none yet"), (".gitkeep", "")]] {
        let (_dir, migrator) = folder(files);
        let conn = memory();
        assert!(migrator.apply(&conn).unwrap().is_noop());
        assert_eq!(rows(&conn, "SELECT name FROM sqlite_master"), [""; 0]);
    }
    let migrator = Migrator::from_migrations([]);
    assert!(migrator.apply(&memory()).unwrap().is_noop());
    let texts = ["", "-- nothing; yet\n", "\u{feff}", "/* closed */", " ;; ", "\r\n"];
    for text in texts {
        assert_eq!(taken(&[("0001_a.sql", text), ("0001_a.down.sql", text)]), ["1 a"], "{text:?}");
        let migrator = Migrator::from_migrations([Migration::sql(1, "a", text).down(text)]);
        assert_eq!(migrator.apply(&memory()).unwrap().applied.len(), 1);
    }
}

#[test]
fn other_files_are_passed_over() {
    let other = ["README.md", ".gitkeep", "0001_a.sql.bak", "0001_a.sql~", "sql", "doc/notes.txt"];
    let mut files = vec![("0001_a.sql", "CREATE TABLE t(x)"), ("atlas.sum", "h1:\0")];
    files.extend(other.map(|name| (name, "not SQL")));
    assert_eq!(taken(&files), ["1 a"]);
}

#[test]
fn order_is_numeric_whatever_the_width() {
    let files = [
        ("10_ten.sql", "INSERT INTO t VALUES (10)"),
        ("2_two.sql", "INSERT INTO t VALUES (2)"),
        ("00000000000000000000000003_three.sql", "INSERT INTO t VALUES (3)"),
        ("001_one.sql", "CREATE TABLE t(x INTEGER PRIMARY KEY, n DEFAULT 0)"),
        ("0_zero.sql", "SELECT 1"),
        ("9223372036854775807_last.sql", "SELECT count(*) FROM t"),
    ];
    let files = files.map(|(name, text)| (name, text.replace("t VALUES", "t(x) VALUES")));
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    assert_eq!(
        taken(&files),
        ["0 zero", "1 one", "2 two", "3 three", "10 ten", "9223372036854775807 last"]
    );
}

#[test]
fn timestamps_of_every_form_order_together_and_with_plain_numbers() {
    let names = [
        "20250214_day.sql",
        "20250214_0930_minute.sql",
        "20250214_093001_second.sql",
        "20250214093002_stamp.sql",
        "202502140931_short.sql",
        "20250215_next_day.sql",
        "0007_number.sql",
        "20250213_2359_before.sql",
        "20250216_12_monkeys.sql",
        "20259999_no_date.sql",
    ];
    assert_eq!(
        taken(&names.map(|name| (name, ""))),
        [
            "7 number",
            "20259999 no_date",
            "20250213235900 before",
            "20250214000000 day",
            "20250214093000 minute",
            "20250214093001 second",
            "20250214093002 stamp",
            "20250214093100 short",
            "20250215000000 next_day",
            "20250216000000 12_monkeys",
        ]
    );
}

#[test]
fn upper_case_suffixes_marks_and_open_ends_are_taken() {
    let files = [
        ("1_A.SQL", "\u{feff}CREATE TABLE t(x)"),
        ("1_A.DOWN.SQL", "\u{feff}DROP TABLE t"),
        ("1_a.Verify.Sql", "SELECT * FROM t"),
        (
            "2_b.sql",
            "\u{feff}-- landfall: requires sqlite >= 3\r\nINSERT INTO t VALUES (1); -- end",
        ),
        ("2_b.Down.sql", "DELETE FROM t"),
        ("R__v.SQL", "CREATE VIEW v AS SELECT x FROM t"),
        ("repeatable/w.sql", "CREATE VIEW w AS SELECT x FROM v"),
        ("repeatable/R__x.sql", "CREATE VIEW x AS SELECT x FROM w"),
    ];
    assert_eq!(taken(&files), ["1 A", "2 b", "R v", "R w", "R x"]);
    let (_dir, migrator) = folder(&files);
    let conn = migrator.open_in_memory().unwrap();
    migrator.revert(&conn, landfall::Target::Empty).unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_schema WHERE name = 't'"), "0");
}

#[test]
fn a_comment_that_is_never_closed_is_refused_because_of_what_it_swallows() {
    for tail in ["/* oops\nCREATE TABLE u(x);", "/*/", "/* oops *"] {
        let (_dir, migrator) = folder(&[("0001_a.sql", &format!("CREATE TABLE t(x);\n  {tail}"))]);
        assert_eq!(
            migrator.check().unwrap_err().to_string(),
            "`0001_a.sql`, line 2, column 3: a comment is opened here and never closed; nothing \
             was changed"
        );
    }
}

#[test]
fn what_looks_like_a_directive_and_is_none_is_refused() {
    for line in ["-- landfall no-transaction", "--LANDFALL breaking", "/* landfall: breaking */"] {
        let (_dir, migrator) = folder(&[("0001_a.sql", &format!("{line}\nCREATE TABLE t(x)"))]);
        assert_eq!(
            migrator.check().unwrap_err().to_string(),
            "`0001_a.sql`, line 1, column 1: a directive is written `-- landfall: …`; nothing was \
             changed",
            "{line}"
        );
    }
    for line in ["-- Landfall: breaking", "--landfall : breaking", "-- landfall is a library"] {
        let (_dir, migrator) = folder(&[("0001_a.sql", &format!("{line}\nCREATE TABLE t(x)"))]);
        migrator.check().unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn directives_that_mean_nothing_in_a_script_are_refused_there() {
    for (file, line, what) in [
        ("0001_a.down.sql", "replaces sha256:00112233: why", "down script"),
        ("0001_a.down.sql", "compatible: why", "down script"),
        ("0001_a.verify.sql", "no-transaction", "verify script"),
        ("0002_b.baseline.sql", "irreversible: why", "baseline"),
    ] {
        let text = format!("-- landfall: {line}\nSELECT 1 WHERE 0");
        let (_dir, migrator) = folder(&[("0001_a.sql", "CREATE TABLE t(x)"), (file, &text)]);
        let word = line.split([' ', ':']).next().unwrap();
        assert_eq!(
            migrator.check().unwrap_err().to_string(),
            format!(
                "`{file}`, line 1, column 1: `{word}` has no place in a {what}; nothing was changed"
            )
        );
    }
}

#[test]
fn odd_migrations_from_code_are_refused_like_odd_files() {
    for (migration, message) in [
        (Migration::sql(1, "", "SELECT 1"), "`1_` is not understood: it has no name"),
        (
            Migration::sql(1, "a\nb", "SELECT 1"),
            "`1_a\\nb` is not understood: its name holds a control character",
        ),
        (
            Migration::sql(1, "a", "SELECT 1").compatible(" "),
            "compatible goes on record and needs a reason",
        ),
        (
            Migration::sql(1, "a", "-- landfall: breaking\nSELECT 1").compatible("it is not"),
            "`1_a`, line 1, column 1: `breaking` contradicts `compatible`",
        ),
    ] {
        let error = Migrator::from_migrations([migration]).check().unwrap_err();
        assert_eq!(error.to_string(), format!("{message}; nothing was changed"));
    }
    assert!(Migrator::from_migrations([]).ledger("a-b").check().is_err());
}

/// A section in a file that is not cut in sections.
#[test]
fn stray_sections_of_another_tool_are_refused_before_their_down_runs_too() {
    for (mark, tool) in [
        ("-- +goose Up", "goose"),
        ("--+goose StatementBegin", "goose"),
        ("-- +migrate Up", "sql-migrate"),
        ("-- migrate:up transaction:false", "dbmate"),
    ] {
        let text = format!("{mark}\nCREATE TABLE t(x);\n-- and so on\nDROP TABLE t;");
        let why = format!(
            "line 1, column 1: this is a section of {tool}, and every section of the file would \
             run, its down section too; nothing was changed"
        );
        for file in ["0001_a.up.sql", "01-a/up.sql", "V1__a.sql", "R__a.sql"] {
            let (_dir, migrator) = folder(&[(file, &text)]);
            let error = migrator.apply(&memory()).unwrap_err();
            assert_eq!(error.to_string(), format!("`{file}`, {why}"));
            assert!(error.advice().unwrap().contains("`.down.sql`"));
        }
        let error = Migrator::from_migrations([Migration::sql(1, "a", text)]).check().unwrap_err();
        assert_eq!(error.to_string(), format!("`1_a`, {why}"));
    }
}
