//! The lint finds each trap where it is one and nowhere else, and a script says with a reason what
//! it may do all the same.

use landfall::include_dir::{Dir, DirEntry, File};
use landfall::testing::{Check, verify};
use landfall::{ErrorKind, Migration, Migrator, Seeds};

use crate::support::folder;

const CODES: &str = "renamed-away, lost-in-rebuild, double-quoted-string, pragma-without-effect, \
                     edits-schema, create-table-as, copy-by-star, unique-over-rows, random-values, \
                     temp-left-behind, temp-shadows, stale-full-text, empty-down";

/// `code line` of everything that is found, the lint alone being asked.
fn found(migrator: &Migrator) -> Vec<String> {
    let others = Check::ALL.into_iter().filter(|check| *check != Check::Lint);
    let lint = others.fold(verify(migrator), |all, check| all.skip(check, "the lint is tested"));
    let Err(error) = lint.run() else { return Vec::new() };
    let ErrorKind::Unsound { findings, .. } = error.kind() else { panic!("{error:?}") };
    let line = |place: Option<landfall::Position>| place.map_or(0, |place| place.line);
    findings.iter().map(|found| format!("{} {}", found.code, line(found.position))).collect()
}

const BASE: &str = "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, age INT);
                    CREATE INDEX by_name ON person(name);
                    CREATE VIEW names AS SELECT name FROM person";

/// What is found in a script that comes after [`BASE`].
fn found_in(up: &'static str) -> Vec<String> {
    found(&Migrator::from_migrations([
        Migration::sql(1, "person", BASE),
        Migration::sql(2, "next", up),
    ]))
}

#[test]
fn each_rule_finds_its_trap_and_leaves_what_only_looks_like_it() {
    let none: &[&str] = &[];
    let table: &[(&str, &[&str])] = &[
        // Renamed away and dropped, or renamed and kept.
        (
            "DROP VIEW names; ALTER TABLE person RENAME TO old;\n\
             CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, age INT);\n\
             INSERT INTO person(id, name, age) SELECT id, name, age FROM old;\n\
             DROP TABLE old;\nCREATE INDEX by_name ON person(name)",
            &["renamed-away 1"],
        ),
        (
            "DROP VIEW names;\nPRAGMA legacy_alter_table = ON;\n\
             ALTER TABLE person RENAME TO old;\n\
             CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, age INT);\n\
             INSERT INTO person(id, name, age) SELECT id, name, age FROM old;\n\
             DROP TABLE old;\nCREATE INDEX by_name ON person(name)",
            none,
        ),
        (
            "DROP VIEW names; ALTER TABLE person RENAME TO old; CREATE TABLE person(id INTEGER)",
            none,
        ),
        // Made from a query, for good or for a while.
        ("SELECT 1;\nCREATE TABLE copy AS SELECT id FROM person", &["create-table-as 2"]),
        ("CREATE TABLE copy AS SELECT id FROM person; DROP TABLE copy", none),
        ("CREATE TEMP TABLE copy AS SELECT id FROM person; DROP TABLE temp.copy", none),
        // Copied by place.
        (
            "CREATE TABLE copy(id, name, age);\nINSERT INTO copy SELECT p.* FROM person AS p",
            &["copy-by-star 2"],
        ),
        (
            "CREATE TABLE copy(id, name, age);\nREPLACE INTO copy(id, name, age)\n\
             SELECT * FROM person",
            &["copy-by-star 2"],
        ),
        ("CREATE TABLE copy(n); INSERT INTO copy(n) SELECT count(*) FROM person", none),
        ("CREATE TABLE copy(n); INSERT INTO copy(n) SELECT id FROM (SELECT * FROM person)", none),
        // Unique, where rows may be in the way.
        ("CREATE UNIQUE INDEX once ON person(name)", &["unique-over-rows 1"]),
        ("CREATE UNIQUE INDEX IF NOT EXISTS main.once ON person(name)", &["unique-over-rows 1"]),
        (
            "INSERT INTO person(id) VALUES (1);\nCREATE UNIQUE INDEX once ON person(id)",
            &["unique-over-rows 2"],
        ),
        ("DELETE FROM person WHERE age > 1; CREATE UNIQUE INDEX once ON Person(name)", none),
        ("DROP INDEX by_name; CREATE UNIQUE INDEX by_name ON person(id, name)", none),
        ("CREATE TABLE pet(name); CREATE UNIQUE INDEX once ON pet(name)", none),
        ("CREATE INDEX often ON person(age)", none),
        // Drawn, or only said.
        ("UPDATE person SET age = abs(random()) % 9", &["random-values 1"]),
        ("INSERT INTO person(name) SELECT hex(RandomBlob(4))", &["random-values 1"]),
        ("UPDATE person SET name = 'random(4)'", none),
        ("CREATE TABLE pet(id, token TEXT DEFAULT (hex(randomblob(8))))", none),
        // Pragmas.
        (
            "PRAGMA busy_timeout = 9;\nPRAGMA user_versoin = 2",
            &["pragma-without-effect 1", "pragma-without-effect 2"],
        ),
        ("PRAGMA user_version = 2; PRAGMA foreign_key_check; PRAGMA cache_size", none),
        ("PRAGMA foreign_keys = OFF; PRAGMA defer_foreign_keys = ON", none),
        ("-- landfall: no-transaction\nPRAGMA journal_mode = MEMORY", none),
        // The schema's own table.
        (
            "PRAGMA writable_schema = 1;\nUPDATE sqlite_master SET sql = sql WHERE name = 'person'",
            &["edits-schema 1", "edits-schema 2"],
        ),
        ("SELECT name FROM sqlite_schema; PRAGMA writable_schema = OFF", none),
        // TEMP.
        (
            "CREATE TEMP VIEW v AS SELECT 1;\nCREATE TEMP TABLE t(x)",
            &["temp-left-behind 1", "temp-left-behind 2"],
        ),
        ("CREATE TABLE temp.t(x); DROP TABLE t", none),
        ("CREATE TEMP TABLE Person(x);\nDROP TABLE temp.person", &["temp-shadows 1"]),
        // Double quotes.
        ("UPDATE person SET name = \"nobody\"", &["double-quoted-string 1"]),
        // SQLite takes any name for a text there.
        ("CREATE TABLE pet(name TEXT DEFAULT \"rex\")", none),
        ("UPDATE person SET \"name\" = 'nobody' WHERE \"age\" = 0", none),
        ("CREATE TABLE pet(name TEXT CHECK (name <> \"rex\"))", &["double-quoted-string 1"]),
    ];
    for (up, expected) in table {
        assert_eq!(found_in(up), *expected, "{up}");
    }
}

#[test]
fn an_allow_names_a_rule_and_gives_a_reason() {
    let said = |line: &str| {
        let text = format!("-- landfall: {line}\nCREATE TABLE t(x)");
        Migrator::from_migrations([Migration::sql(1, "t", text)]).check().unwrap_err().to_string()
    };
    let told = |why: &str| format!("`1_t`, line 1, column 1: {why}; nothing was changed");
    assert_eq!(
        said("allow copy-by-stars: they are the same"),
        told(&format!("`allow copy-by-stars` is no rule of the lint: the rules are {CODES}"))
    );
    assert_eq!(said("allow"), told(&format!("`allow ` names no rule: the rules are {CODES}")));
    assert_eq!(
        said("allow copy-by-star"),
        told("`allow` has to give its reason: `allow copy-by-star: <reason>`")
    );
    assert_eq!(
        said("allow copy-by-star: "),
        told("`allow` has to give its reason: `allow copy-by-star: <reason>`")
    );
    assert_eq!(
        said("allow copy-by-star: so\n-- landfall: allow copy-by-star: so"),
        "`1_t`, line 2, column 1: `allow copy-by-star` is said twice; nothing was changed"
    );
    let missed = Migration::sql(1, "t", "-- landfall allow copy-by-star: so\nCREATE TABLE t(x)");
    assert!(Migrator::from_migrations([missed]).check().is_err());
}

#[test]
fn an_allow_is_no_edit_and_takes_only_its_own_rule_away() {
    let copy = "CREATE TABLE copy AS SELECT id FROM person;\nUPDATE person SET age = random()";
    assert_eq!(found_in(copy), ["create-table-as 1", "random-values 2"]);
    let allowed = "-- landfall: allow create-table-as: it has no keys\n\
                   CREATE TABLE copy AS SELECT id FROM person;\nUPDATE person SET age = random()";
    assert_eq!(found_in(allowed), ["random-values 3"]);
    assert_eq!(landfall::sql::checksum(copy), landfall::sql::checksum(allowed));
    let both = "-- landfall: allow create-table-as: it has no keys\n\
                -- landfall: allow random-values: it is for show\n\
                CREATE TABLE copy AS SELECT id FROM person;\nUPDATE person SET age = random()";
    assert!(found_in(both).is_empty());
}

#[test]
fn an_allow_that_allows_nothing_is_told_unless_nobody_looked() {
    let spare = "-- landfall: allow random-values: it is for show\n\
                 -- landfall: allow empty-down: it does nothing\n\
                 -- landfall: allow lost-in-rebuild: nothing is\nUPDATE person SET age = 1";
    // Of the others it cannot be told: the checks that look for them are left out.
    assert_eq!(found_in(spare), ["unused-allow 1"]);
    let migrator = Migrator::from_migrations([
        Migration::sql(1, "person", BASE).down("DROP VIEW names; DROP TABLE person"),
        Migration::sql(2, "next", spare).down("UPDATE person SET age = 0"),
    ]);
    let error = verify(&migrator).run().unwrap_err();
    let ErrorKind::Unsound { findings, .. } = error.kind() else { panic!("{error:?}") };
    let whats: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(
        whats,
        [
            "`allow random-values` allows nothing that is there",
            "`allow empty-down` allows nothing that is there",
            "`allow lost-in-rebuild` allows nothing that is there",
        ]
    );
}

#[test]
fn every_kind_of_script_can_allow() {
    let star = "CREATE TABLE IF NOT EXISTS copy(id, name, age);\nDELETE FROM copy;\n\
                INSERT INTO copy SELECT * FROM person WHERE false";
    let allowed = format!("-- landfall: allow copy-by-star: they are the same\n{star}");
    let files = |text: &str| -> Vec<(&'static str, String)> {
        vec![
            ("0001_person.sql", BASE.to_owned()),
            (
                "0001_person.down.sql",
                format!("{text};\nDROP TABLE copy;\nDROP VIEW names;\nDROP TABLE person"),
            ),
            ("0002_copy.sql", text.to_owned()),
            ("0002_copy.down.sql", "DROP TABLE IF EXISTS copy".to_owned()),
            (
                "0002_all.baseline.sql",
                format!("{BASE};\n{text}").replacen(
                    &format!("{BASE};\n-- landfall"),
                    "-- landfall",
                    1,
                ),
            ),
            ("R__copies.sql", text.to_owned()),
        ]
    };
    let set = |text: &str| {
        let mut files = files(text);
        if text.starts_with("--") {
            let (line, rest) = text.split_once('\n').unwrap();
            files[4].1 = format!("{line}\n{BASE};\n{rest}");
        }
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let (dir, migrator) = folder(&files);
        let seed: &'static str = text.to_owned().leak();
        let file = DirEntry::File(File::new("ensure_copies.sql", seed.as_bytes()));
        let entries: &'static [DirEntry<'static>] = vec![file].leak();
        (dir, migrator.seeds(Seeds::from_embedded(Dir::new("", entries))))
    };
    let (_dir, plain) = set(star);
    assert_eq!(found(&plain).len(), 5, "{:?}", found(&plain));
    let (_dir, with) = set(&allowed);
    assert_eq!(found(&with), [""; 0]);
}
