//! Folders of other tools are read as they are: names, sections, versions, marks. The folders stand
//! in tests/cases/, each with what has to come out of it in `expected.txt`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use landfall::rusqlite::Connection;
use landfall::{
    DataLoss, Direction, ErrorKind, Layout, Migration, Migrator, Target, Version, testing,
};

use crate::support::{dump, everything, folder, memory, one, rows, schema};

static CASES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tests/cases");

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)
}

/// Those of the folders that are another tool's.
fn names() -> Vec<String> {
    let dirs = CASES.dirs().filter(|dir| dir.get_dir(dir.path().join("migrations")).is_some());
    let dirs = dirs.map(|dir| dir.path().to_string_lossy().into_owned());
    let mut names: Vec<String> = dirs.collect();
    names.sort();
    assert_eq!(names.len(), 14);
    names
}

/// The migrator of a folder, with the one line that its layout needs.
fn migrator(name: &str, folder: &Path) -> Migrator {
    let migrator = Migrator::from_dir(folder);
    match name {
        "golang-migrate-gaps" => migrator.layout(Layout::GolangMigrate),
        _ => migrator,
    }
}

/// A copy of a folder as a checkout on Windows has it.
fn with_crlf(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let mut open = vec![from.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let copy = to.path().join(path.strip_prefix(from).unwrap());
            if path.is_dir() {
                fs::create_dir(&copy).unwrap();
                open.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                fs::write(copy, text.replace('\n', "\r\n")).unwrap();
            }
        }
    }
    to
}

/// The set as parsed: what a plan says of each step, and the ledger of its checksum and its way back.
fn parsed(migrator: &Migrator) -> String {
    let conn = memory();
    let plan = migrator.plan(&conn).unwrap_or_else(|error| panic!("{error:#}"));
    migrator.apply(&conn).unwrap_or_else(|error| panic!("{error:?}"));
    let mut out = String::new();
    for step in &plan.steps {
        let version = step.version.map_or("R".to_owned(), |version| version.to_string());
        writeln!(out, "{version} {}", step.name).unwrap();
        let file = step.file.as_deref().unwrap_or("-").replace('\\', "/");
        let transaction = match step.transaction {
            Some(number) => format!("transaction {number}"),
            None => "no transaction".to_owned(),
        };
        writeln!(out, "  {file}: {}, {transaction}", statements(step.statements)).unwrap();
        if step.direction == Direction::Repeat {
            continue;
        }
        let sql = format!("SELECT checksum FROM schema_migrations WHERE version = {version}");
        writeln!(out, "  {}", one(&conn, &sql)).unwrap();
        let sql = format!("SELECT down_sql FROM schema_migrations WHERE version = {version}");
        let down = match one(&conn, &sql).as_str() {
            "NULL" => "none".to_owned(),
            down => statements(landfall::sql::statements(down).len()),
        };
        writeln!(out, "  down: {down}").unwrap();
    }
    out
}

fn statements(number: usize) -> String {
    format!("{number} statement{}", if number == 1 { "" } else { "s" })
}

#[test]
fn each_folder_is_parsed_as_its_golden_file_says() {
    for name in names() {
        let found = parsed(&migrator(&name, &case(&name).join("migrations")));
        let golden = case(&name).join("expected.txt");
        if std::env::var_os("LANDFALL_WRITE_EXPECTED").is_some() {
            fs::write(&golden, &found).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default().replace("\r\n", "\n");
        assert_eq!(found, expected, "{name}");
    }
}

/// A judge that knows no SQL: the lines between the marks.
#[test]
fn checksums_are_those_of_the_up_section_alone() {
    for name in names() {
        let folder = case(&name).join("migrations");
        let conn = memory();
        let plan = migrator(&name, &folder).plan(&conn).unwrap();
        migrator(&name, &folder).apply(&conn).unwrap();
        for step in plan.steps.iter().filter(|step| step.direction == Direction::Apply) {
            let file = step.file.as_deref().unwrap();
            let text = fs::read_to_string(folder.join(file)).unwrap();
            let up = match file.ends_with(".down.sql") {
                true => String::new(), // a lone down
                false => text
                    .lines()
                    .take_while(|line| {
                        !["-- +goose Down", "-- migrate:down", "-- +migrate Down"]
                            .iter()
                            .any(|mark| line.starts_with(mark))
                    })
                    .collect::<Vec<_>>()
                    .join("\n"),
            };
            let up = if name.starts_with("drizzle") {
                let parts =
                    up.replace("'--> s", "'--}} s").replace("--> statement-breakpoint", ";");
                parts.replace("'--}} s", "'--> s")
            } else {
                up
            };
            let sql = "SELECT checksum FROM schema_migrations WHERE version = ";
            let recorded = one(&conn, &format!("{sql}{}", step.version.unwrap()));
            assert_eq!(recorded, landfall::sql::checksum(&up), "{name}/{file}");
        }
    }
}

#[test]
fn windows_line_ends_are_the_same_set() {
    for name in names() {
        let folder = case(&name).join("migrations");
        let windows = with_crlf(&folder);
        assert_eq!(
            parsed(&migrator(&name, windows.path())),
            parsed(&migrator(&name, &folder)),
            "{name}"
        );
        let conn = memory();
        migrator(&name, &folder).apply(&conn).unwrap();
        let ledger = everything(&conn);
        let other = migrator(&name, windows.path());
        assert!(other.apply(&conn).unwrap().is_noop(), "{name}");
        let without_seal = |text: String| {
            let lines = text.lines().filter(|line| !line.starts_with("schema_state"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(without_seal(everything(&conn)), without_seal(ledger), "{name}");
    }
}

#[test]
fn each_folder_goes_up_step_by_step_and_back_and_up_again() {
    for name in names() {
        let folder = case(&name).join("migrations");
        let windows = with_crlf(&folder);
        for folder in [folder.as_path(), windows.path()] {
            up_down_up(&name, &migrator(&name, folder).data_loss(DataLoss::Allow));
        }
    }
}

fn up_down_up(name: &str, migrator: &Migrator) {
    let conn = memory();
    let mut schemas = vec![schema(&conn)];
    let steps = migrator.plan(&conn).unwrap().steps;
    for step in steps.iter().filter(|step| step.direction == Direction::Apply) {
        let to = Target::Version(step.version.unwrap());
        migrator.apply_to(&conn, to).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        schemas.push(schema(&conn));
    }
    migrator.apply(&conn).unwrap();
    let whole = schema(&conn);
    let mut is_as_before = true;
    while schemas.len() > 1 {
        let report = match migrator.revert(&conn, Target::Steps(1)) {
            Ok(report) => report,
            Err(error) if matches!(error.kind(), ErrorKind::Irreversible { .. }) => break,
            Err(error) => panic!("{name}: {error:?}"),
        };
        schemas.pop();
        is_as_before &= report.warnings.iter().all(|warning| !warning.contains("is empty"));
        if is_as_before {
            assert_eq!(&schema(&conn), schemas.last().unwrap(), "{name}: {report}");
        }
    }
    if schemas.len() == 1 {
        assert_eq!(schema(&conn), schemas[0], "{name}");
    }
    let irreversible = ["drizzle", "drizzle-folders", "goose", "refinery", "wrangler"];
    assert_eq!(
        schemas.len() > 1,
        irreversible.contains(&name) || name == "golang-migrate",
        "{name}"
    );
    migrator.apply(&conn).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!(schema(&conn), whole, "{name}");
}

#[test]
fn a_folder_compiled_in_is_the_same_set() {
    for name in names() {
        let conn = memory();
        migrator(&name, &case(&name).join("migrations")).apply(&conn).unwrap();
        let path = format!("{name}/migrations");
        let embedded = Migrator::from_embedded(CASES.get_dir(&path).unwrap());
        let embedded = match name.as_str() {
            "golang-migrate-gaps" => embedded.layout(Layout::GolangMigrate),
            _ => embedded,
        };
        assert!(embedded.apply(&conn).unwrap().is_noop(), "{name}");
        testing::embedded_is_current(&embedded, case(&path)).unwrap();
    }
}

/// What a folder is taken for is what it can also be told to be.
#[test]
fn a_layout_that_is_said_is_the_one_that_is_recognised() {
    let said = [
        ("dbmate", Layout::Dbmate),
        ("diesel", Layout::Diesel),
        ("drizzle", Layout::Drizzle),
        ("drizzle-folders", Layout::Drizzle),
        ("flyway", Layout::Flyway),
        ("golang-migrate", Layout::GolangMigrate),
        ("goose", Layout::Goose),
        ("prisma", Layout::Prisma),
        ("refinery", Layout::Refinery),
        ("rusqlite_migration", Layout::RusqliteMigration),
        ("sql-migrate", Layout::SqlMigrate),
        ("sqlx", Layout::Sqlx),
        ("wrangler", Layout::Landfall),
    ];
    for (name, layout) in said {
        let folder = Migrator::from_dir(case(name).join("migrations"));
        assert_eq!(parsed(&folder.clone().layout(layout)), parsed(&folder), "{name}");
    }
}

const GOOSE: &str = "\
-- +goose Up
CREATE TABLE t(x);
INSERT INTO t VALUES (1);

-- +goose Down
DROP TABLE t;
  DELETE FORM t;
";

#[test]
fn a_place_in_a_section_is_the_place_in_the_file() {
    for text in [GOOSE.to_owned(), format!("\u{feff}{}", GOOSE.replace('\n', "\r\n"))] {
        let (_dir, migrator) = folder(&[("00001_t.sql", &text)]);
        let migrator = migrator.data_loss(DataLoss::Allow);
        let conn = memory();
        migrator.apply(&conn).unwrap();
        let error = migrator.revert(&conn, Target::Steps(1)).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "migration 00001_t.sql failed at line 7, column 10; nothing was changed\n\
             \x20--> 00001_t.sql:7:10\n\
             \x20 |\n\
             7 |   DELETE FORM t;\n\
             \x20 |          ^\n\
             what to do: correct the statement and start again"
        );
        // The way up has no part in it.
        let up = text.replace("INSERT INTO t", "INSERT INTO u");
        let (_dir, migrator) = folder(&[("00001_t.sql", &up)]);
        let error = migrator.apply(&memory()).unwrap_err();
        assert_eq!(error.position().map(|place| (place.line, place.column)), Some((3, 1)));
    }
}

#[test]
fn what_the_ledger_keeps_of_a_down_section_reverts_without_the_file() {
    let conn = memory();
    let folder = case("dbmate").join("migrations");
    let migrator = Migrator::from_dir(&folder).data_loss(DataLoss::Allow);
    migrator.apply(&conn).unwrap();
    assert_eq!(
        rows(&conn, "SELECT ifnull(down_sql, 'none') FROM schema_migrations ORDER BY version"),
        ["DROP TABLE book;", "DROP TABLE reader", "-- landfall: no-transaction\nVACUUM;", ""]
    );
    let bare = Migrator::from_migrations([]).data_loss(DataLoss::Allow);
    bare.revert(&conn, Target::Empty).unwrap();
    assert_eq!(dump(&conn), "");
    // Marks that mean nothing any more do not stand in the way.
    let conn = memory();
    let goose = Migrator::from_dir(case("goose").join("migrations")).data_loss(DataLoss::Allow);
    goose.apply_to(&conn, Target::Version(Version::from(3))).unwrap();
    bare.revert(&conn, Target::Empty).unwrap();
    assert_eq!(dump(&conn), "");
}

#[test]
fn an_edited_down_section_is_no_edit_of_the_migration() {
    let (dir, migrator) = folder(&[("00001_t.sql", GOOSE)]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    let other = GOOSE.replace("  DELETE FORM t;\n", "");
    fs::write(dir.path().join("00001_t.sql"), other).unwrap();
    assert_eq!(migrator.apply(&conn).unwrap().amended.len(), 1);
    let down = "SELECT down_sql FROM schema_migrations";
    assert_eq!(one(&conn, down), "DROP TABLE t;");
    let edited = GOOSE.replace("VALUES (1)", "VALUES (2)");
    fs::write(dir.path().join("00001_t.sql"), edited).unwrap();
    let error = migrator.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Modified { .. }), "{error}");
}

#[test]
fn directives_stand_at_the_head_of_their_section() {
    let text = "\
-- landfall: breaking
-- +goose Up
CREATE TABLE t(x);
INSERT INTO t VALUES (1);
-- +goose Down
-- landfall: allow-data-loss: it was an attempt
DROP TABLE t;
";
    let (_dir, migrator) = folder(&[("1_t.sql", text)]);
    migrator.check().unwrap();
    let conn = memory();
    migrator.apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT compatible FROM schema_migrations"), "0");
    migrator.revert(&conn, Target::Empty).unwrap();
    assert_eq!(dump(&conn), "");
}

fn versions(files: &[(&str, &str)]) -> Vec<String> {
    let (_dir, migrator) = folder(files);
    let steps = migrator.plan(&memory()).unwrap_or_else(|error| panic!("{error:#}")).steps;
    steps.iter().map(|step| format!("{} {}", step.version.unwrap(), step.name)).collect()
}

#[test]
fn dotted_versions_come_in_their_order() {
    let order = [
        "0.1",
        "0.1.1",
        "1",
        "1.0.1",
        "1.2",
        "1.2.0.1",
        "1.2.3",
        "1.10",
        "2",
        "2.9999.9999.9999",
        "3",
        "999999.9999.9999.9999",
        "1000000",
        "1000000.1",
        "20240101120000",
        "20240101120000.9999",
        "100000000000000.9999",
    ];
    let files: Vec<(String, &str)> = order
        .iter()
        .zip(0..)
        .map(|(version, at)| (format!("V{version}__n{at}.sql"), "SELECT 1"))
        .collect();
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let found = versions(&files);
    let wanted: Vec<String> = (0..order.len()).map(|at| format!("n{at}")).collect();
    let names: Vec<&str> = found.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(names, wanted);
    assert_eq!(
        versions(&[("V2013.1.15.11.35.56__a.sql", ""), ("V2013.1.15__b.sql", "")]),
        ["2013011500000000 b", "2013011511355600 a"]
    );
    assert_eq!(
        versions(&[("V1__a.sql", ""), ("V2__b.sql", ""), ("V2.1__c.sql", ""), ("V10__d.sql", "")]),
        ["1 a", "2 b", "2000100000000 c", "10000000000000 d"]
    );
}

#[test]
fn a_version_that_is_appended_changes_no_other_number() {
    let (dir, migrator) = folder(&[]);
    let conn = memory();
    let mut seen: Vec<String> = Vec::new();
    for (version, up) in [
        ("1", "CREATE TABLE t(a)"),
        ("2", "ALTER TABLE t ADD b"),
        ("2.1", "ALTER TABLE t ADD c"),
        ("2.1.1", "ALTER TABLE t ADD d"),
        ("3", "ALTER TABLE t ADD e"),
        ("3.0.1", "ALTER TABLE t ADD f"),
        ("20240101120000", "ALTER TABLE t ADD g"),
    ] {
        let name = version.replace('.', "_");
        fs::write(dir.path().join(format!("V{version}__v{name}.sql")), up).unwrap();
        let report = migrator.apply(&conn).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(report.applied.len(), 1);
        let now = rows(&conn, "SELECT version || name FROM schema_migrations ORDER BY version");
        assert_eq!(now[..seen.len()], seen);
        seen = now;
    }
    assert_eq!(seen.len(), 7);
}

#[test]
fn a_version_put_in_below_does_not_make_an_applied_one_run_again() {
    let (dir, migrator) = folder(&[
        ("V1__a.sql", "CREATE TABLE t(n)"),
        ("V2__b.sql", "INSERT INTO t VALUES (2)"),
        ("V3__c.sql", "INSERT INTO t VALUES (3)"),
    ]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    fs::write(dir.path().join("V2.1__late.sql"), "INSERT INTO t VALUES (21)").unwrap();
    let lenient = migrator
        .clone()
        .late(landfall::Late::Apply)
        .missing(landfall::Missing::Ignore)
        .newer(landfall::Newer::Ignore);
    for migrator in [&migrator, &lenient] {
        let error = migrator.apply(&conn).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "V3__c.sql was applied to this database as version 3, and is version 3000000000000 \
             now; nothing was changed\n\
             what to do: give the file that has come before it a version after the newest"
        );
        assert!(matches!(error.kind(), ErrorKind::Renumbered { .. }));
    }
    // Nor when the dotted ones are gone again.
    let conn = memory();
    lenient.apply(&conn).unwrap();
    fs::remove_file(dir.path().join("V2.1__late.sql")).unwrap();
    let error = lenient.apply(&conn).unwrap_err();
    assert!(
        error.to_string().starts_with("V3__c.sql was applied to this database as version 3000")
    );
    assert_eq!(one(&conn, "SELECT count(*) FROM t"), "3");
}

#[test]
fn versions_have_any_width_and_are_compared_as_numbers() {
    let cases: [(&[&str], &[&str]); 5] = [
        (&["9_a.up.sql", "010_b.up.sql", "0100_c.up.sql"], &["9 a", "10 b", "100 c"]),
        (&["2_a/up.sql", "10_b/up.sql", "20240101_c/up.sql"], &["2 a", "10 b", "20240101 c"]),
        (
            &["2024-01-01-000000/up.sql", "2024-01-01-000000-0001_b/up.sql"],
            &["20240101000000 2024-01-01-000000", "202401010000000001 b"],
        ),
        (&["0002-b/up.sql", "1-a/up.sql"], &["1 a", "2 b"]),
        (&["9223372036854775807_z.up.sql", "0_a.up.sql"], &["0 a", "9223372036854775807 z"]),
    ];
    for (files, wanted) in cases {
        let files: Vec<(&str, &str)> = files.iter().map(|name| (*name, "SELECT 1")).collect();
        assert_eq!(versions(&files), wanted);
    }
}

#[test]
fn an_empty_down_reverts_nothing_and_is_told() {
    let (_dir, migrator) = folder(&[
        ("1_a.up.sql", "CREATE TABLE a(x)"),
        ("1_a.down.sql", "-- nothing yet\n"),
        ("2_rows.up.sql", "INSERT INTO a VALUES (1)"),
        ("2_rows.down.sql", ""),
        ("3_b.up.sql", "CREATE TABLE b(x)"),
        ("3_b.down.sql", ";"),
    ]);
    migrator.check().unwrap();
    let conn = memory();
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(
        report.warnings,
        ["the down scripts of 1_a.up.sql, 3_b.up.sql are empty: a revert would leave the schema \
          as it is"]
    );
    let report = migrator.revert(&conn, Target::Steps(2)).unwrap();
    assert_eq!(
        report.warnings,
        ["the down script of 3_b.up.sql is empty: what it did to the schema stays"]
    );
    assert_eq!(report.reverted.len(), 2);
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_schema WHERE name IN ('a', 'b')"), "2");
}

#[test]
fn what_is_no_migration_is_passed_over_when_that_is_said() {
    let files = [
        ("1_a.up.sql", "CREATE TABLE a(x)"),
        ("1_a.down.sql", "DROP TABLE a"),
        ("schema.sql", "CREATE TABLE a(x)"),
        ("dev/seed.sql", "INSERT INTO a VALUES (1)"),
        ("dev/more/seed_2.sql", "INSERT INTO a VALUES (2)"),
    ];
    let (dir, migrator) = folder(&files);
    let error = migrator.check().unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "`dev/more/seed_2.sql` is not understood: the only subfolder that may hold .sql files is \
         `repeatable`; nothing was changed\n\
         what to do: name it `0001_name.sql` or `0001_name.up.sql`, move it out of the folder, or \
         pass over it with `.ignore(\"dev/more/seed_2.sql\")`; the folder was taken for golang-migrate's \
         or sqlx's, and `.layout(…)` says otherwise"
    );
    for globs in [
        &["schema.sql", "dev"] as &[&str],
        &["sch*.sql", "dev/**"],
        &["schema.???", "seed*.sql"],
        &["/schema.sql", "dev/seed.sql", "**/more"],
        &["schema.sql", "**/seed*.sql"],
    ] {
        let migrator = globs.iter().fold(migrator.clone(), |m, glob| m.ignore(*glob));
        migrator.check().unwrap_or_else(|error| panic!("{globs:?}: {error}"));
        testing::embedded_is_current(&migrator, dir.path()).unwrap();
    }
    for globs in [&["schema.sql"] as &[&str], &["Schema.sql", "dev"], &["dev/*.sql", "schema.sql"]]
    {
        let migrator = globs.iter().fold(migrator.clone(), |m, glob| m.ignore(*glob));
        assert!(migrator.check().is_err(), "{globs:?}");
    }
    // One that is ignored and applied is missing.
    let conn = memory();
    let whole = migrator.ignore("schema.sql").ignore("dev");
    whole.apply(&conn).unwrap();
    let error = whole.ignore("1_*").with(Migration::sql(2, "b", "SELECT 1")).apply(&conn);
    assert!(matches!(error.unwrap_err().kind(), ErrorKind::Missing { .. }));
}

#[test]
fn placeholders_are_filled_before_anything_else_looks() {
    let (_dir, migrator) = folder(&[
        (
            "1_a.sql",
            "CREATE TABLE {{ .Prefix }}a(x, {{.Column}} DEFAULT '{{ who }}');\n-- {{ .Other }}\n",
        ),
        ("1_a.down.sql", "DROP TABLE ${Prefix}a"),
        (
            "2_b.sql",
            "INSERT INTO \"{{ .Prefix }}a\" VALUES ('{{\"a\":1}}', '${not} {{ this }} {{ who }}')",
        ),
        ("R__v.sql", "CREATE VIEW {{.Prefix}}v AS SELECT x FROM {{.Prefix}}a"),
    ]);
    let filled =
        migrator.variable("Prefix", "app_").variable("Column", "y").variable("who", "O'Hara");
    let conn = memory();
    filled.apply(&conn).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(one(&conn, "SELECT * FROM app_a"), "{{\"a\":1}}|${not} {{ this }} O'Hara");
    assert_eq!(one(&conn, "SELECT x FROM app_v"), "{{\"a\":1}}");
    let plain = landfall::sql::checksum("CREATE TABLE app_a(x, y DEFAULT 'O''Hara')");
    assert_eq!(one(&conn, "SELECT checksum FROM schema_migrations WHERE version = 1"), plain);
    // Another value is another text.
    let error = filled.clone().variable("Column", "z").apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Modified { .. }), "{error}");
    // The ledger's own copy needs no value.
    let bare = Migrator::from_migrations([]).data_loss(DataLoss::Allow);
    let downs = rows(&conn, "SELECT ifnull(down_sql, '-') FROM schema_migrations ORDER BY version");
    assert!(downs.contains(&"DROP TABLE app_a".to_owned()), "{downs:?}");
    assert!(bare.revert(&conn, Target::Steps(1)).is_err(), "2 has no way back");
}

#[test]
fn braces_in_data_are_data() {
    for text in [
        "INSERT INTO t VALUES ('{{\"a\":1}}')",
        "INSERT INTO t VALUES ('{{name}}')",
        "INSERT INTO t VALUES ('Hello {{ .Name }}, you have ${count} new messages')",
        "INSERT INTO t VALUES ('{{ .Name }}') -- {{ .Name }} /* {{",
        "INSERT INTO t VALUES ('{{'), ('}}'), ('${')",
    ] {
        let (_dir, migrator) = folder(&[("1_t.sql", "CREATE TABLE t(x)"), ("2_rows.sql", text)]);
        let conn = memory();
        migrator.apply(&conn).unwrap_or_else(|error| panic!("{text}: {error:#}"));
        let literal = text.split('\'').nth(1).unwrap();
        assert_eq!(rows(&conn, "SELECT x FROM t")[0], literal);
    }
}

#[test]
fn layout_ignores_and_variables_are_part_of_the_seal() {
    let (_dir, migrator) = folder(&[("20240101_a.sql", "CREATE TABLE a(x)")]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    let seal = || one(&conn, "SELECT value FROM schema_state WHERE key = 'seal'");
    let first = seal();
    for other in [
        migrator.clone().ignore("x*.sql"),
        migrator.clone().variable("a", "b"),
        migrator.clone().layout(Layout::Landfall),
    ] {
        assert!(other.apply(&conn).unwrap().is_noop());
        assert_ne!(seal(), first);
        migrator.apply(&conn).unwrap();
        assert_eq!(seal(), first);
    }
    // What would be another set is seen to be one.
    let error = migrator.layout(Layout::Sqlx).apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Late { .. }), "{error}");
}

#[test]
fn what_other_tools_keep_beside_the_scripts_has_to_be_current_too() {
    for (name, file) in [
        ("diesel", "2024-01-01-000000-0000_vacuum/metadata.toml"),
        ("drizzle", "meta/_journal.json"),
        ("prisma", "migration_lock.toml"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let embedded = CASES.get_dir(format!("{name}/migrations")).unwrap();
        let migrator = Migrator::from_embedded(embedded);
        let folder = dir.path().join(embedded.path());
        fs::create_dir_all(&folder).unwrap();
        embedded.extract(dir.path()).unwrap();
        testing::embedded_is_current(&migrator, &folder).unwrap();
        fs::write(folder.join("README.md"), "not looked at").unwrap();
        testing::embedded_is_current(&migrator, &folder).unwrap();
        fs::write(folder.join(file), "").unwrap();
        assert_eq!(
            testing::embedded_is_current(&migrator, &folder).unwrap_err().to_string(),
            format!("`{file}` is not what the program was compiled with; nothing was changed")
        );
    }
}

/// A folder that is read at run time is another set when its metadata is.
#[test]
fn metadata_that_changes_is_noticed() {
    let (dir, migrator) = folder(&[("2024-01-01-000000_a/up.sql", "VACUUM")]);
    let conn = memory();
    assert!(matches!(
        migrator.apply(&conn).unwrap_err().kind(),
        ErrorKind::NeedsNoTransaction { .. }
    ));
    let toml = dir.path().join("2024-01-01-000000_a/metadata.toml");
    fs::write(&toml, "run_in_transaction   =  false # so\r\n").unwrap();
    migrator.apply(&conn).unwrap();
    let seal = || one(&conn, "SELECT value FROM schema_state WHERE key = 'seal'");
    let first = seal();
    fs::write(&toml, "# nothing\n[other]\nrun_in_transaction = false\n").unwrap();
    assert!(migrator.apply(&conn).unwrap().is_noop());
    assert_ne!(seal(), first);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_a_circle_of_them_ends() {
    use std::os::unix::fs::symlink;
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir(elsewhere.path().join("one")).unwrap();
    fs::write(elsewhere.path().join("one/up.sql"), "CREATE TABLE one(x)").unwrap();
    fs::write(elsewhere.path().join("down.sql"), "DROP TABLE one").unwrap();
    let (dir, migrator) = folder(&[("02-two/up.sql", "CREATE TABLE two(x)")]);
    symlink(elsewhere.path().join("one"), dir.path().join("01-one")).unwrap();
    symlink(elsewhere.path().join("down.sql"), elsewhere.path().join("one/down.sql")).unwrap();
    symlink(dir.path(), dir.path().join("02-two/loop")).unwrap();
    let conn = memory();
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 2);
    symlink(dir.path().join("nowhere"), dir.path().join("02-two/down.sql")).unwrap();
    let error = migrator.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Source { .. }), "{error}");
    assert!(error.to_string().contains("02-two/down.sql"), "{error}");
}

#[test]
fn a_thousand_files_with_sections_are_one_set() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("1_t.sql"), "-- +goose Up\nCREATE TABLE t(n);\n").unwrap();
    for n in 2..=1000 {
        let text = format!(
            "-- +goose Up\nINSERT INTO t VALUES ({n});\n-- +goose Down\nDELETE FROM t WHERE n = {n};\n"
        );
        fs::write(dir.path().join(format!("{n}_row.sql")), text).unwrap();
    }
    let migrator = Migrator::from_dir(dir.path());
    let conn = memory();
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 1000);
    migrator.revert(&conn, Target::Version(Version::from(1))).unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM t"), "0");
}

/// The same history in the words of each who has had to get around foreign keys.
const REBUILDS: [(&str, &str); 8] = [
    ("plain", "{body}"),
    ("pragmas", "PRAGMA foreign_keys = OFF;\n{body}\nPRAGMA foreign_keys = ON;"),
    ("wrapped", "PRAGMA foreign_keys = 0;\nBEGIN;\n{body}\nCOMMIT;\nPRAGMA foreign_keys = 1;"),
    ("escaped", "COMMIT;\nPRAGMA foreign_keys = OFF;\n{body}\nPRAGMA foreign_keys = ON;\nBEGIN;"),
    (
        "escaped_in_two",
        "COMMIT TRANSACTION;\nPRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n{body}\n\
         PRAGMA foreign_key_check;\nCOMMIT TRANSACTION;\nPRAGMA foreign_keys=ON;\nBEGIN TRANSACTION;",
    ),
    ("left_off", "END;\nPRAGMA foreign_keys = OFF;\n{body}\nBEGIN IMMEDIATE;"),
    ("directive", "-- landfall: foreign-keys off\n{body}"),
    (
        "outside",
        "-- no-transaction\nPRAGMA foreign_keys = OFF;\nBEGIN;\n{body}\nCOMMIT;\nPRAGMA foreign_keys = ON;",
    ),
];

const BODY: &str = "\
CREATE TABLE new_author(id INTEGER PRIMARY KEY, name TEXT NOT NULL, born INTEGER);
INSERT INTO new_author(id, name) SELECT id, name FROM author;
DROP TABLE author;
ALTER TABLE new_author RENAME TO author;";

#[test]
fn a_history_ends_with_the_same_rows_whether_foreign_keys_are_enforced_or_not() {
    let mut all = Vec::new();
    for (name, form) in REBUILDS {
        let up = form.replace("{body}", BODY);
        let (_dir, migrator) = folder(&[
            (
                "1_library.sql",
                "CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT);
                 CREATE TABLE book(id INTEGER PRIMARY KEY, title TEXT,
                     author INTEGER REFERENCES author(id) ON DELETE CASCADE);
                 CREATE TABLE prize(name TEXT, book INTEGER REFERENCES book(id) ON DELETE SET NULL);",
            ),
            ("2_rebuild.sql", &up),
            ("3_more.sql", "INSERT INTO author(name, born) VALUES ('Woolf', 1882);"),
            ("4_again.sql", &up.replace("name TEXT NOT NULL", "name TEXT UNIQUE")),
        ]);
        for enforced in ["ON", "OFF"] {
            for transactions in [landfall::Transactions::Together, landfall::Transactions::Each] {
                let migrator = migrator.clone().transactions(transactions);
                let conn = memory();
                conn.execute_batch(&format!("PRAGMA foreign_keys = {enforced}")).unwrap();
                migrator.apply_to(&conn, Target::Version(Version::from(1))).unwrap();
                populate(&conn);
                // `born` is left empty by 4, which is a loss on record of a value that 3 has put in.
                let migrator = migrator.data_loss(DataLoss::Allow);
                migrator
                    .apply(&conn)
                    .unwrap_or_else(|error| panic!("{name} {enforced}: {error:?}"));
                assert_eq!(
                    one(&conn, "PRAGMA foreign_keys"),
                    if enforced == "ON" { "1" } else { "0" }
                );
                assert!(conn.is_autocommit());
                all.push((name, dump(&conn)));
            }
        }
    }
    assert_eq!(all[0].1.matches("\nbook: ").count() + all[0].1.matches("\nprize: ").count(), 5);
    for (name, end) in &all {
        assert_eq!(end, &all[0].1, "{name}");
    }
}

fn populate(conn: &Connection) {
    conn.execute_batch(
        "INSERT INTO author VALUES (1, 'Austen'), (2, 'Eliot');
         INSERT INTO book VALUES (1, 'Emma', 1), (2, 'Persuasion', 1), (3, 'Middlemarch', 2);
         INSERT INTO prize VALUES ('first', 1), ('second', 3);",
    )
    .unwrap();
}

#[test]
fn a_file_that_escapes_the_runner_is_taken_back_as_one() {
    let broken = format!(
        "COMMIT;\nPRAGMA foreign_keys = OFF;\n{BODY}\nINSERT INTO nowhere VALUES (1);\nBEGIN;"
    );
    let (_dir, migrator) = folder(&[
        ("1_library.sql", "CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT);
          CREATE TABLE book(id INTEGER PRIMARY KEY, title TEXT, author INTEGER REFERENCES author(id) ON DELETE CASCADE);
          CREATE TABLE prize(name TEXT, book INTEGER);"),
        ("2_rebuild.sql", &broken),
    ]);
    let conn = memory();
    migrator.apply_to(&conn, Target::Version(Version::from(1))).unwrap();
    populate(&conn);
    let error = crate::support::refused(&conn, &migrator);
    assert_eq!(
        error.to_string(),
        "migration 2_rebuild.sql failed at line 7, column 1; nothing was changed"
    );
    assert!(migrator.plan(&conn).unwrap().to_string().contains("foreign keys off"));
}

/// The lines are compiled by the example below the table.
#[test]
fn every_line_of_the_table_coming_from_is_in_its_example() {
    let readme = include_str!("../../README.md");
    let section = readme.split("## Coming from another tool").nth(1).unwrap();
    let section = section.split("\n##").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(rows.len(), 12);
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let (tool, line) = (cells[0], cells[2].trim_matches('`'));
        let folder = format!("let dir = folder(\"{}\");", tool.to_lowercase());
        let example = format!("{folder}\n    {line}.open_in_memory()?;");
        assert!(section.contains(&example), "{example}");
    }
}

/// Pieces of files, as they come and not as they should.
const PIECES: [&str; 22] = [
    "-- +goose Up\n",
    "-- +goose Down\n",
    "-- +goose StatementBegin\n",
    "-- +goose StatementEnd\n",
    "-- +goose NO TRANSACTION\r\n",
    "-- migrate:up\n",
    "-- migrate:down transaction:false\n",
    "-- +migrate Up notransaction\n",
    "--> statement-breakpoint\n",
    "CREATE TABLE t(x);\r\n",
    "BEGIN;",
    "COMMIT;",
    "PRAGMA foreign_keys=OFF;",
    "'ü\n",
    "/* ",
    " */",
    "\u{feff}",
    "{{ .a }}",
    "{{",
    "}} ${a}",
    "\"[`",
    "-- landfall: no-transaction\n",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_a_file_holds_it_is_taken_or_refused_at_a_place_in_it(
        pieces in proptest::collection::vec(0..PIECES.len(), 0..9),
        with_variable in proptest::bool::ANY,
    ) {
        let text: String = pieces.iter().map(|at| PIECES[*at]).collect();
        let (_dir, migrator) = folder(&[("1_a.sql", &text)]);
        let migrator = if with_variable { migrator.variable("a", "b'\"") } else { migrator };
        if let Err(error) = migrator.check() {
            let place = error.position().unwrap();
            let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
            // A value that was filled in is part of the line that is told.
            let line = text.split('\n').nth(place.line - 1).unwrap();
            proptest::prop_assert!(with_variable || place.column <= line.chars().count() + 1);
            proptest::prop_assert!(error.advice().is_some(), "{error}");
        }
    }
}
