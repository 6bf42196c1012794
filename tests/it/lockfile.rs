//! Two branches that add the same number conflict in version control, and a migration that is
//! edited or deleted is noticed without a database.

use std::path::Path;
use std::process::Command;

use landfall::testing::lockfile;
use landfall::{ErrorKind, Migration, Migrator};

const PEOPLE: (i64, &str, &str) = (1, "people", "CREATE TABLE person(name)");
const PETS: (i64, &str, &str) = (2, "pets", "CREATE TABLE pet(name)");

fn set(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    Migrator::from_migrations(
        migrations.iter().map(|&(version, name, up)| Migration::sql(version, name, up)),
    )
}

/// What the file is for these, as its lines say.
fn lines(migrations: &[(i64, &str, &str)]) -> String {
    let line = |(version, name, up): &(i64, &str, &str)| {
        format!("{version} {} {name}\n", landfall::sql::checksum(up))
    };
    migrations.iter().map(line).collect()
}

/// What is said of a file with this text.
fn said(text: &str, migrator: &Migrator) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("migrations.lock");
    std::fs::write(&path, text).unwrap();
    let error = lockfile(migrator, &path).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Locked { .. }));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let told = error.to_string().replace(&path.display().to_string(), "migrations.lock");
    (told, error.advice().unwrap().to_owned())
}

const ADD: &str = "run the test once with UPDATE_LOCK=1 in the environment, and commit the file";

#[test]
fn line_ends_and_what_no_checksum_counts_are_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("migrations.lock");
    let text = format!("# anything\n\n{}", lines(&[PEOPLE, PETS]));
    let reformatted = (2, "pets", "CREATE TABLE pet (\r\n  name -- said\r\n);");
    for text in [text.clone(), format!("\u{feff}{}", text.replace('\n', "\r\n"))] {
        std::fs::write(&path, text).unwrap();
        lockfile(&set(&[PEOPLE, PETS]), &path).unwrap();
        lockfile(&set(&[PEOPLE, reformatted]), &path).unwrap();
    }
}

#[test]
fn a_file_that_is_not_there_is_told_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("migrations.lock");
    let error = lockfile(&set(&[PEOPLE]), &path).unwrap_err();
    let told = format!("`{}` is not there; no file was written", path.display());
    assert_eq!((error.to_string(), error.advice()), (told, Some(ADD)));
    assert!(!path.exists());
    let error = lockfile(&set(&[PEOPLE]), folder.path()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Kept { .. }));
}

#[test]
fn an_edit_is_told_with_its_line_and_both_checksums() {
    let edited = (2, "pets", "CREATE TABLE pet(name TEXT)");
    let (told, advice) = said(&lines(&[PEOPLE, PETS]), &set(&[PEOPLE, edited]));
    let (was, is) = (landfall::sql::checksum(PETS.2), landfall::sql::checksum(edited.2));
    assert_eq!(
        told,
        format!(
            "`migrations.lock` has migration 2 (pets) at line 2, which was edited: it was {was}, \
             and is {is}; no file was written"
        )
    );
    assert_eq!(
        advice,
        format!(
            "restore the migration as it was, and put the change into a new one; or, if no \
             database has it yet, {ADD}"
        )
    );
}

#[test]
fn a_deleted_a_renamed_and_a_new_one_are_told_at_once() {
    let cats = (2, "cats", PETS.2);
    let new = (4, "birds", "CREATE TABLE bird(name)");
    let gone = (3, "dogs", "CREATE TABLE dog(name)");
    let (told, _) = said(&lines(&[PEOPLE, PETS, gone]), &set(&[PEOPLE, cats, new]));
    assert_eq!(
        told,
        "`migrations.lock` has migration 2 (pets) at line 2, which is called cats now; has \
         migration 3 (dogs) at line 3, which is gone; does not have migration 4 (birds); no file \
         was written"
    );
    let (told, advice) = said(&lines(&[PEOPLE]), &set(&[PEOPLE, PETS]));
    let new = "`migrations.lock` does not have migration 2 (pets); no file was written";
    assert_eq!((told.as_str(), advice.as_str()), (new, ADD));
}

#[test]
fn a_conflict_that_was_left_and_a_number_twice_are_told() {
    let cats = (2, "cats", "CREATE TABLE cat(name)");
    let text = format!("{}<<<<<<< HEAD\n{}", lines(&[PEOPLE]), lines(&[PETS, cats]));
    let (told, advice) = said(&text, &set(&[PEOPLE, PETS]));
    assert_eq!(
        told,
        "`migrations.lock` is not understood at line 2: <<<<<<< HEAD; has version 2 twice, at line \
         4 again; no file was written"
    );
    assert_eq!(
        advice,
        format!(
            "give one of the migrations that were merged the next number if they have the same, \
             then {ADD}"
        )
    );
}

fn git(folder: &Path, arguments: &[&str]) -> bool {
    let who =
        ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "core.autocrlf=false"];
    let output =
        Command::new("git").current_dir(folder).args(who).args(arguments).output().unwrap();
    output.status.success()
}

/// Merges two branches that each end a file otherwise than it was. Whether git could.
fn merges(before: &str, ours: &str, theirs: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let commit = |text: &str| {
        std::fs::write(path.join("migrations.lock"), text).unwrap();
        assert!(git(path, &["add", "."]) && git(path, &["commit", "--quiet", "-m", "one"]));
    };
    assert!(git(path, &["init", "--quiet", "--initial-branch=ours"]));
    commit(before);
    assert!(git(path, &["checkout", "--quiet", "-b", "theirs"]));
    commit(theirs);
    assert!(git(path, &["checkout", "--quiet", "ours"]));
    commit(ours);
    git(path, &["merge", "--quiet", "theirs"])
}

#[test]
fn two_branches_that_add_a_migration_conflict_in_git() {
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("there is no git");
        return;
    }
    let many: Vec<(i64, &str, &str)> = (1..=9).map(|n| (n, "people", PEOPLE.2)).collect();
    let with = |last: (i64, &'static str, &'static str)| {
        lines(&many.iter().copied().chain([last]).collect::<Vec<_>>())
    };
    let (cats, dogs) = ("CREATE TABLE cat(name)", "CREATE TABLE dog(name)");
    // The same number, which is what must not pass.
    assert!(!merges(&lines(&many), &with((10, "cats", cats)), &with((10, "dogs", dogs))));
    // Timestamps: somebody has to see that one comes before the other.
    assert!(!merges(&lines(&many), &with((10, "cats", cats)), &with((11, "dogs", dogs))));
    // That git can merge such a file at all.
    let edited = lines(&many).replacen("people", "persons", 1);
    assert!(merges(&lines(&many), &with((10, "cats", cats)), &edited));
}

/// The environment is read once at the edge, so this test is its own process.
#[test]
fn update_lock_writes_it_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("migrations.lock");
    let run = |value: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lockfile::a_child_that_keeps_the_lock_file", "--nocapture"])
            .env("UPDATE_LOCK", value)
            .env("LANDFALL_TEST_LOCK", &path)
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(!run("") && !run("0"));
    assert!(!path.exists());
    assert!(run("1"));
    assert!(std::fs::read_to_string(&path).unwrap().ends_with(&lines(&[PEOPLE, PETS])));
    assert!(run("0"));
    std::fs::write(&path, lines(&[PEOPLE])).unwrap();
    assert!(!run("0"));
    assert!(run("1") && run("0"));
}

/// Does nothing unless the test above started it.
#[test]
fn a_child_that_keeps_the_lock_file() {
    let Some(path) = std::env::var_os("LANDFALL_TEST_LOCK") else { return };
    lockfile(&set(&[PEOPLE, PETS]), path).unwrap();
}
