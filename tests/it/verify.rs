//! One line in an application's tests finds what is wrong with its migrations, all of it at once,
//! and nothing in those that are sound.

use std::path::Path;

use include_dir::{Dir, include_dir};
use landfall::testing::{Findings, verify};
use landfall::{ErrorKind, Migrator, Seeds};

use crate::support::example;

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
