//! One line in an application's tests finds what is wrong with its migrations, all of it at once,
//! and nothing in those that are sound.

use std::path::Path;

use include_dir::{Dir, include_dir};
use landfall::rusqlite::functions::FunctionFlags;
use landfall::testing::{Check, Finding, Findings, SampleRows, Verify, verify};
use landfall::{Backfill, ErrorKind, Migration, Migrator, Seed, Seeds};

use crate::support::{example, folder};

/// Small histories with exactly one fault each, and beside each a `found.txt` with what is found.
static FAULTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tests/cases/faults");
/// Their twins without it.
static SOUND: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tests/cases/sound");

fn part(case: &Dir<'static>, name: &str) -> Option<Dir<'static>> {
    case.dirs().find(|dir| dir.path().ends_with(name)).cloned()
}

fn migrator(case: &Dir<'static>) -> Migrator {
    let migrator = Migrator::from_embedded(part(case, "migrations").unwrap());
    match part(case, "seeds") {
        Some(seeds) => migrator.seeds(Seeds::from_embedded(seeds)),
        None => migrator,
    }
}

fn name<'a>(case: &Dir<'a>) -> &'a str {
    case.path().file_name().unwrap().to_str().unwrap()
}

fn findings(migrator: &Migrator) -> Findings {
    match verify(migrator).run() {
        Ok(_) => Findings::default(),
        Err(error) => match error.kind() {
            ErrorKind::Unsound { findings, .. } => findings.clone(),
            _ => panic!("{error:?}"),
        },
    }
}

#[test]
fn every_fault_is_found_by_name_and_nothing_besides() {
    let mut wrong = String::new();
    for case in FAULTS.dirs() {
        let found = format!("{}\n", findings(&migrator(case)));
        let expected = case.get_file(case.path().join("found.txt"));
        let expected = expected.and_then(|file| file.contents_utf8()).unwrap_or_default();
        if found != expected.replace("\r\n", "\n") {
            wrong.push_str(&format!("--- {}\n{found}", name(case)));
            if std::env::var_os("UPDATE_CASES").is_some() {
                let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/faults");
                std::fs::write(cases.join(name(case)).join("found.txt"), found).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn nothing_is_found_in_the_twins() {
    for case in SOUND.dirs() {
        let found = findings(&migrator(case));
        assert!(found.is_empty(), "{}: {found}", name(case));
    }
    let names = |dir: &Dir<'static>| dir.dirs().map(name).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(&FAULTS), names(&SOUND));
}

#[test]
fn the_example_is_sound() {
    verify(&example()).unwrap();
}

/// `check code file:line` of everything that is found.
fn told(verify: Verify) -> Vec<String> {
    let Err(error) = verify.run() else { return Vec::new() };
    let ErrorKind::Unsound { findings, .. } = error.kind() else { panic!("{error:?}") };
    let line = |finding: &Finding| {
        let place = match (&finding.file, finding.position) {
            (Some(file), Some(place)) => format!(" {file}:{}", place.line),
            (Some(file), None) => format!(" {file}"),
            (None, _) => String::new(),
        };
        format!("{} {}{place}", finding.check, finding.code)
    };
    findings.iter().map(line).collect()
}

const TABLE: &str = "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT)";

fn person() -> Migration {
    Migration::sql(1, "person", TABLE).down("DROP TABLE person")
}

#[test]
fn everything_is_told_at_once_as_text_that_a_person_can_act_on() {
    let migrator = Migrator::from_migrations([
        Migration::sql(1, "person", TABLE),
        Migration::sql(2, "rank", "-- by age\nALTER TABLE person ADD COLUMN rank INT NOT NULL")
            .down("ALTER TABLE person DROP COLUMN rnak"),
    ]);
    let error = verify(&migrator).run().unwrap_err();
    assert_eq!(error.to_string(), "3 faults in the migrations; no database was touched");
    assert_eq!(
        format!("{error:?}"),
        "3 faults in the migrations; no database was touched
what to do: each finding says what to do; a check that is not for this application is left out \
         with `.skip(Check::…, \"<reason>\")`
caused by: populated:
  2_rank:2:1: it applies to an empty database, and fails on one with rows: Cannot add a NOT NULL \
         column with default value NULL [fails-with-rows]
    what to do: let it work for rows too: give a constant DEFAULT, UPDATE the rows first, or \
         rebuild the table; if real rows cannot be like those made up, give your own with \
         `.with(SampleRows::new()…)`
downs:
  1_person:1:1: there is no down [down-missing]
    what to do: write its `.down.sql`, or `-- landfall: irreversible: <reason>` at its head
  2_rank.down:1:32: the down fails: no such column: \"rnak\" [down-fails]
    what to do: correct the statement and start again"
    );
}

#[test]
#[should_panic(expected = "1 fault in the migrations; no database was touched")]
fn unwrap_fails_the_test_with_all_of_it() {
    verify(&Migrator::from_migrations([Migration::sql(1, "person", TABLE)])).unwrap();
}

#[test]
fn a_check_is_left_out_with_a_reason_and_only_that_one() {
    let migrator = Migrator::from_migrations([
        Migration::sql(1, "person", TABLE),
        Migration::sql(2, "copy", "CREATE TABLE copy AS SELECT name FROM person")
            .down("DROP TABLE copy"),
    ]);
    assert_eq!(
        told(verify(&migrator)),
        ["downs down-missing 1_person:1", "lint create-table-as 2_copy:1"]
    );
    let skipped = || verify(&migrator).skip(Check::Downs, "only the newest can be reverted");
    assert_eq!(told(skipped()), ["lint create-table-as 2_copy:1"]);
    let verified = skipped().skip(Check::Lint, "copies go").run().unwrap();
    assert_eq!(
        verified.to_string(),
        "2 migrations and 0 seeds verified with 8 rows made up
  left out: downs: only the newest can be reverted
  left out: lint: copies go"
    );
    let error = verify(&migrator).skip(Check::Downs, " ").run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoReason { verb: "skip", .. }));
}

#[test]
fn every_check_can_be_left_out() {
    for case in FAULTS.dirs() {
        if name(case) == "two-of-one-version" {
            continue; // There is nothing to look at where the set cannot be read.
        }
        let mut all = verify(&migrator(case));
        for check in Check::ALL {
            all = all.skip(check, "to see that nothing is left");
        }
        assert_eq!(told(all), [""; 0], "{}", name(case));
    }
}

#[test]
fn what_was_not_compiled_in_is_told_where_the_folder_is_given() {
    let (dir, from_dir) =
        folder(&[("0001_person.sql", TABLE), ("0001_person.down.sql", "DROP TABLE person")]);
    assert_eq!(told(verify(&from_dir)), [""; 0]);
    let other = include_dir!("$CARGO_MANIFEST_DIR/migrations-example");
    let error = verify(&Migrator::from_embedded(other)).folder(dir.path()).run().unwrap_err();
    let ErrorKind::Unsound { findings, .. } = error.kind() else { panic!("{error:?}") };
    let first = findings.iter().next().unwrap();
    assert_eq!((first.check, first.code), (Check::Set, "stale"));
    assert_eq!(first.file.as_deref(), Some("0001_contacts.down.sql"));
    // Found without being given: the example's own folder, below the package.
    verify(&example()).run().unwrap();
    verify(&example()).folder("migrations-example").run().unwrap();
}

#[test]
fn code_that_loses_rows_through_a_key_is_found() {
    let migrator = Migrator::from_migrations([
        person(),
        Migration::sql(2, "pet", "CREATE TABLE pet(id INTEGER PRIMARY KEY, owner INT REFERENCES person(id) ON DELETE CASCADE)")
            .down("DROP TABLE pet"),
        Migration::code(3, "rebuild", |tx| {
            tx.execute_batch(
                "CREATE TABLE person_new(id INTEGER PRIMARY KEY, name TEXT, age INT);
                 INSERT INTO person_new(id, name) SELECT id, name FROM person;
                 DROP TABLE person;
                 ALTER TABLE person_new RENAME TO person",
            )
        })
        .irreversible("this is about the up"),
    ]);
    assert_eq!(told(verify(&migrator)), ["populated data-loss 3_rebuild"]);
}

#[test]
fn code_needs_a_way_back_or_a_reason() {
    let trim = || {
        Migration::code(2, "trim", |tx| {
            tx.execute("UPDATE person SET name = name || '.'", []).map(drop)
        })
    };
    let with = |migration| told(verify(&Migrator::from_migrations([person(), migration])));
    assert_eq!(with(trim()), ["downs down-missing 2_trim"]);
    assert_eq!(with(trim().down("")), ["downs empty-down 2_trim.down:1"]);
    assert_eq!(with(trim().down("-- landfall: allow empty-down: dots do no harm")), [""; 0]);
    assert_eq!(with(trim().undoable()), [""; 0]);
    assert_eq!(with(trim().irreversible("who knows where there was one")), [""; 0]);
    let both = Migrator::from_migrations([person(), trim().irreversible("so").down("SELECT 1")]);
    assert_eq!(
        both.check().unwrap_err().to_string(),
        "`2_trim.down`, line 1, column 1: 2_trim calls itself irreversible, and here is its down; \
         nothing was changed"
    );
    let error =
        Migrator::from_migrations([person(), trim().irreversible(" ")]).check().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoReason { verb: "irreversible", .. }));
}

#[test]
fn a_seed_that_draws_is_found_in_code_too_and_a_clock_is_not_drawing() {
    let with = |sql: &'static str| {
        let seeds = Seeds::new().ensure("first", move |tx| tx.execute(sql, []).map(drop));
        told(verify(&Migrator::from_migrations([person()]).seeds(seeds)))
    };
    let once = "WHERE NOT EXISTS (SELECT 1 FROM person)";
    let text = |value: &str| -> &'static str {
        format!("INSERT INTO person(name) SELECT {value} {once}").leak()
    };
    assert_eq!(with(text("hex(randomblob(9))")), ["seeds seeds-draw"]);
    for clock in ["datetime('now')", "strftime('%s', 'now')", "julianday('now')", "CURRENT_DATE"] {
        assert_eq!(with(text(clock)), [""; 0], "{clock}");
    }
}

#[test]
fn a_seed_that_is_held_back_until_its_version_converges() {
    let set = || {
        Migrator::from_migrations([
            Migration::sql(1, "role", "CREATE TABLE role(name TEXT PRIMARY KEY)")
                .down("DROP TABLE role"),
            Migration::sql(2, "rank", "ALTER TABLE role ADD COLUMN rank INT DEFAULT 0")
                .down("ALTER TABLE role DROP COLUMN rank"),
            Migration::sql(3, "rank_up", "UPDATE role SET rank = rank + 1")
                .down("UPDATE role SET rank = rank - 1"),
        ])
    };
    let seed = || {
        Seed::new("roles", |tx| {
            tx.execute("INSERT OR IGNORE INTO role(name) VALUES ('admin')", []).map(drop)
        })
    };
    let from = |version: i64| {
        told(verify(&set().seeds(Seeds::new().add(seed().when_schema_at_least(version)))))
    };
    assert_eq!(from(1), ["convergence seeds-do-not-converge"]);
    assert_eq!(from(3), [""; 0]);
    // Which versions is told in the text, those that became the same together.
    let error = verify(&set().seeds(Seeds::new().add(seed()))).run().unwrap_err();
    let ErrorKind::Unsound { findings, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!(
        findings.iter().map(|finding| finding.what.as_str()).collect::<Vec<_>>(),
        [
            "a database seeded at version 1 to 2 (roles) does not become what a new one is: `role` has \
          other values in `rank`"
        ]
    );
}

#[test]
fn a_backfill_has_to_be_idempotent_on_rows() {
    let with = |set: &'static str, filter: &'static str| {
        let backfill = Backfill::update("fill", "person", set, filter);
        let migrator = Migrator::from_migrations([person()]);
        told(verify(&migrator.seeds(Seeds::new().backfill(backfill.deferred()))))
    };
    assert_eq!(with("name = name || '!'", ""), ["seeds not-idempotent"]);
    assert_eq!(with("name = name || '!'", "name NOT LIKE '%!'"), [""; 0]);
    assert_eq!(with("name = upper(name)", ""), [""; 0]);
}

#[test]
fn an_optional_seed_that_fails_is_told() {
    let seed = Seed::new("first", |tx| tx.execute("INSERT INTO persons VALUES (1)", []).map(drop));
    let migrator = Migrator::from_migrations([person()]).seeds(Seeds::new().add(seed.optional()));
    assert_eq!(told(verify(&migrator)), ["seeds optional-seed-fails"]);
}

#[test]
fn backfills_that_migrations_wait_for_run_on_the_way() {
    let backfill = Backfill::update("slugs", "person", "slug = lower(name)", "slug IS NULL");
    let migrator = Migrator::from_migrations([
        Migration::sql(1, "person", "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
            .down("DROP TABLE person"),
        Migration::sql(2, "slug", "ALTER TABLE person ADD COLUMN slug TEXT")
            .down("ALTER TABLE person DROP COLUMN slug"),
        Migration::sql(
            3,
            "slug_must",
            "-- landfall: requires backfill slugs
             -- landfall: irreversible: this is about the up
             CREATE TABLE person_new(id INTEGER PRIMARY KEY, name TEXT NOT NULL, slug TEXT NOT NULL);
             INSERT INTO person_new(id, name, slug) SELECT id, name, slug FROM person;
             DROP TABLE person;
             ALTER TABLE person_new RENAME TO person",
        ),
    ])
    .seeds(Seeds::new().backfill(backfill));
    assert_eq!(told(verify(&migrator)), [""; 0]);
}

#[test]
fn functions_of_the_application_are_there() {
    let check = "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT CHECK (shout(name) <> ''))";
    let migrator =
        Migrator::from_migrations([Migration::sql(1, "person", check).down("DROP TABLE person")])
            .ledger("people")
            .on_connect(|conn| {
                let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
                conn.create_scalar_function("shout", 1, flags, |context| {
                    Ok(context.get::<Option<String>>(0)?.map(|text| text.to_uppercase()))
                })
            });
    assert_eq!(told(verify(&migrator)), [""; 0]);
}

#[test]
fn what_fails_with_rows_does_not_hide_the_next_that_does() {
    let (_dir, migrator) = folder(&[
        (
            "0001_shop.sql",
            "CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
             CREATE TABLE invoice(id INTEGER PRIMARY KEY,
                                  customer_id INTEGER NOT NULL REFERENCES customer(id));",
        ),
        ("0001_shop.down.sql", "DROP TABLE invoice; DROP TABLE customer"),
        ("0002_rank.sql", "ALTER TABLE customer ADD COLUMN rank INT NOT NULL"),
        ("0002_rank.down.sql", "ALTER TABLE customer DROP COLUMN rank"),
        ("0003_paid.sql", "CREATE TABLE paid(invoice_id INTEGER NOT NULL REFERENCES invoice(id))"),
        ("0003_paid.down.sql", "DROP TABLE paid"),
        ("0004_cents.sql", "ALTER TABLE invoice ADD COLUMN cents INT NOT NULL"),
        ("0004_cents.down.sql", "ALTER TABLE invoice DROP COLUMN cents"),
    ]);
    // The table in between gets its rows.
    assert_eq!(
        told(verify(&migrator)),
        ["populated fails-with-rows 0002_rank.sql:1", "populated fails-with-rows 0004_cents.sql:1"]
    );
}

#[test]
fn a_set_that_starts_from_a_baseline_is_looked_at_from_there() {
    let baseline = (
        "0002_start.baseline.sql",
        "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, age INT)",
    );
    let later = ("0003_rank.sql", "ALTER TABLE person ADD COLUMN rank INT NOT NULL");
    let down = ("0003_rank.down.sql", "ALTER TABLE person DROP COLUMN rank");
    let (_dir, migrator) = folder(&[baseline, later, down]);
    assert_eq!(told(verify(&migrator)), ["populated fails-with-rows 0003_rank.sql:1"]);
    // What is left of the migrations before it cannot be replayed.
    let left = ("0002_age.sql", "ALTER TABLE person ADD COLUMN age INT");
    let (_dir, migrator) = folder(&[baseline, left, later, down]);
    assert_eq!(told(verify(&migrator)), ["populated fails-with-rows 0003_rank.sql:1"]);
}

#[test]
fn a_migration_outside_a_transaction_and_one_with_views_are_looked_at() {
    let (_dir, migrator) = folder(&[
        ("0001_person.sql", TABLE),
        ("0001_person.down.sql", "DROP TABLE person"),
        (
            "0002_vacuum.sql",
            "-- landfall: no-transaction\n-- landfall: irreversible: it does nothing\nVACUUM",
        ),
        ("0003_view.sql", "CREATE VIEW names AS SELECT name FROM person"),
        ("0003_view.down.sql", "DROP VIEW names"),
        (
            "0004_rename.sql",
            "DROP VIEW names; ALTER TABLE person RENAME TO people; CREATE VIEW names AS SELECT name FROM people",
        ),
        (
            "0004_rename.down.sql",
            "DROP VIEW names; ALTER TABLE people RENAME TO person; CREATE VIEW names AS SELECT name FROM person",
        ),
    ]);
    assert_eq!(told(verify(&migrator)), [""; 0]);
}

#[test]
fn a_string_in_double_quotes_is_found_wherever_it_stands() {
    let (_dir, migrator) = folder(&[
        ("0001_person.sql", TABLE),
        ("0001_person.down.sql", "DELETE FROM person WHERE name = \"ada\";\nDROP TABLE person"),
        (
            "R__names.sql",
            "DROP VIEW IF EXISTS names;\nCREATE VIEW names AS SELECT name FROM person;\nDELETE FROM person WHERE name = \"ada\"",
        ),
        (
            "0001_all.baseline.sql",
            "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT);\nDELETE FROM person WHERE name = \"ada\"",
        ),
    ]);
    assert_eq!(
        told(verify(&migrator)),
        [
            "lint double-quoted-string 0001_all.baseline.sql:2",
            "lint double-quoted-string 0001_person.down.sql:1",
            "lint double-quoted-string R__names.sql:3",
        ]
    );
}

#[test]
fn rows_that_are_given_for_no_table_are_told() {
    let rows = SampleRows::new().none("persons", "it is only read");
    let migrator = Migrator::from_migrations([person()]);
    assert_eq!(told(verify(&migrator).with(rows)), ["rows rows-for-nothing"]);
    let error = verify(&migrator).with(SampleRows::new().none("person", "")).run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoReason { verb: "none", .. }));
}
