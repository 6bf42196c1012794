//! Backups are whole or not there, and the way back leads exactly there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall::rusqlite::functions::FunctionFlags;
use landfall::rusqlite::{Connection, OpenFlags};
use landfall::{
    Backup, BackupOutcome, ErrorKind, Event, Migration, Migrator, Report, Seeds, Target, When,
};

use crate::stage::{MODES, again, empty_file, settings, variable, whole};
use crate::support::{cause, dump, everything, memory, one, rows};

const NOTE: &str = "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL);";

/// One migration that makes, two that take away.
fn migrator() -> Migrator {
    Migrator::from_migrations([
        Migration::sql(1, "note", NOTE).down("DROP TABLE note"),
        Migration::sql(2, "clear", "DELETE FROM note WHERE id > 1").down("DELETE FROM note"),
        Migration::sql(3, "more", "CREATE TABLE more(x)").down("DROP TABLE more"),
    ])
}

fn failing() -> Migrator {
    let wrong = Migration::sql(2, "clear", "DELETE FROM note; INSERT INTO nowhere VALUES (1)");
    Migrator::from_migrations([Migration::sql(1, "note", NOTE).down("DROP TABLE note"), wrong])
}

/// A database at version 1 with some pages of rows, and an empty folder for backups.
struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new(mode: &str) -> Self {
        let stage = Stage { dir: tempfile::tempdir().unwrap() };
        empty_file(&stage.database(), mode);
        std::fs::create_dir(stage.folder()).unwrap();
        let conn = stage.open();
        migrator().apply_to(&conn, Target::Steps(1)).unwrap();
        conn.execute_batch(
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000)
             INSERT INTO note SELECT x, printf('%.600c', 'n') FROM c",
        )
        .unwrap();
        stage
    }

    fn database(&self) -> PathBuf {
        self.dir.path().join("app.db")
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("backups")
    }

    fn open(&self) -> Connection {
        Connection::open(self.database()).unwrap()
    }

    fn backup(&self) -> Backup {
        Backup::to_dir(self.folder())
    }

    fn names(&self) -> Vec<String> {
        names(&self.folder())
    }
}

/// Every file of the folder but the lock, in order.
fn names(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".app.db.backup-lock");
    names.sort();
    names
}

fn path(report: &Report) -> PathBuf {
    report.backup.as_ref().and_then(BackupOutcome::path).unwrap().to_owned()
}

fn passed_over(report: &Report) -> &'static str {
    match report.backup {
        Some(BackupOutcome::PassedOver { why, .. }) => why,
        ref other => panic!("{other:?}"),
    }
}

fn read(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn digits(name: &str) -> String {
    name.replace(|c: char| c.is_ascii_digit(), "0")
}

#[test]
fn a_backup_is_one_file_with_everything_that_was_there() {
    for mode in MODES {
        let stage = Stage::new(mode);
        let conn = stage.open();
        let (before, was) = (everything(&conn), settings(&conn));
        let report = migrator().backup(stage.backup()).apply(&conn).unwrap();
        let path = path(&report);
        assert_eq!(path.parent(), Some(stage.folder().as_path()));
        let names = stage.names();
        assert_eq!(names.len(), 1, "{mode}: {names:?}");
        assert_eq!(path.file_name().unwrap().to_str(), Some(names[0].as_str()));
        assert!(names[0].starts_with("app.db.v0001.2"), "{names:?}");
        assert_eq!(digits(&names[0]), "app.db.v0000.00000000T000000Z");
        let backup = read(&path);
        assert_eq!(everything(&backup), before, "{mode}");
        assert_eq!(one(&backup, "PRAGMA integrity_check"), "ok", "{mode}");
        assert_eq!(one(&backup, "PRAGMA journal_mode"), "delete", "{mode}");
        drop(backup);
        assert_eq!(stage.names(), names, "reading it needs no file beside it");
        assert_eq!(settings(&conn), was);
        assert!(report.to_string().contains(&format!("backup made: {}", path.display())));
        assert!(migrator().apply(&conn).unwrap().is_noop());
    }
}

#[test]
fn a_backup_is_on_record_before_what_it_was_made_for() {
    let stage = Stage::new("DELETE");
    let conn = stage.open();
    let report = migrator().backup(stage.backup()).apply(&conn).unwrap();
    let name = path(&report).file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(
        rows(&conn, "SELECT action, version FROM schema_history WHERE id > 1"),
        ["backup|NULL", "apply|2", "apply|3"]
    );
    let entries = migrator().history(&conn).unwrap();
    assert_eq!(entries[1].detail, Some(name));
}

#[test]
fn a_revert_makes_one_too() {
    let stage = Stage::new("WAL");
    let conn = stage.open();
    migrator().apply(&conn).unwrap();
    let before = everything(&conn);
    let report = migrator().backup(stage.backup()).revert(&conn, Target::Steps(1)).unwrap();
    assert!(stage.names()[0].starts_with("app.db.v0003."), "{:?}", stage.names());
    assert_eq!(everything(&read(&path(&report))), before);
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_history WHERE action = 'backup'"), "1");
}

#[test]
fn where_there_is_nothing_to_lose_there_is_a_reason_and_no_backup() {
    let stage = Stage::new("DELETE");
    let with = || migrator().backup(stage.backup());
    assert_eq!(passed_over(&with().apply(&memory()).unwrap()), "the database is in memory");
    let empty = Connection::open(stage.dir.path().join("empty.db")).unwrap();
    let report = with().apply(&empty).unwrap();
    assert_eq!(passed_over(&report), "the database is empty");
    assert!(report.to_string().contains("\n  no backup: the database is empty"), "{report}");
    assert_eq!(with().apply(&empty).unwrap().backup, None, "nothing was to be done");
    let conn = stage.open();
    migrator().apply(&conn).unwrap();
    assert_eq!(with().apply(&conn).unwrap().backup, None);
    assert_eq!(with().revert(&conn, Target::Latest).unwrap().backup, None);
    assert_eq!(stage.names(), [""; 0]);
}

#[test]
fn asked_for_before_destructive_steps_it_is_made_only_then() {
    let down = |sql| Migration::sql(2, "two", sql);
    let code = Migration::code(2, "code", |_| Ok::<_, landfall::rusqlite::Error>(()));
    let cases = [
        (down("CREATE TABLE x(y); INSERT INTO x VALUES (1); DROP VIEW IF EXISTS v"), false),
        (down("ALTER TABLE note ADD COLUMN x"), false),
        (down("ALTER TABLE note RENAME COLUMN text TO body"), false),
        (down("CREATE TABLE x(y); DROP TABLE x"), true),
        (down("ALTER TABLE note ADD COLUMN x; ALTER TABLE note DROP COLUMN x"), true),
        (down("DELETE FROM note"), true),
        (down("WITH w AS (SELECT 1) UPDATE note SET text = ''"), true),
        (down("REPLACE INTO note VALUES (1, '')"), true),
        (down("INSERT OR REPLACE INTO note VALUES (1, '')"), true),
        (down("INSERT INTO note VALUES (1, '') ON CONFLICT DO UPDATE SET text = ''"), true),
        (down("-- landfall: no-transaction\nVACUUM"), true),
        (code, true),
    ];
    let stage = Stage::new("DELETE");
    let destructive = || stage.backup().when(When::Destructive);
    for (migration, expected) in cases {
        let what = format!("{migration:?}");
        let copy = stage.dir.path().join("copy.db");
        let _ = std::fs::remove_file(&copy);
        std::fs::copy(stage.database(), &copy).unwrap();
        let conn = Connection::open(&copy).unwrap();
        let with = Migrator::from_migrations([Migration::sql(1, "note", NOTE), migration]);
        let report = with.backup(destructive()).apply(&conn).unwrap();
        match expected {
            true => assert!(path(&report).is_file(), "{what}"),
            false => assert_eq!(
                passed_over(&report),
                "nothing that is pending takes anything away",
                "{what}"
            ),
        }
    }
    let conn = stage.open();
    migrator().apply(&conn).unwrap();
    let seeded = || {
        let seed = |tx: &landfall::rusqlite::Transaction<'_>| tx.execute_batch("DELETE FROM note");
        migrator().seeds(Seeds::new().ensure("seed", seed))
    };
    assert_eq!(
        passed_over(&seeded().backup(destructive()).apply_to(&conn, Target::Latest).unwrap()),
        "nothing that is pending takes anything away"
    );
    let report = migrator().backup(destructive()).revert(&conn, Target::Steps(1)).unwrap();
    assert!(path(&report).is_file(), "a revert always may");
}

#[test]
fn seeds_alone_are_backed_up_before_too() {
    let stage = Stage::new("DELETE");
    let conn = stage.open();
    migrator().apply(&conn).unwrap();
    let seed = |tx: &landfall::rusqlite::Transaction<'_>| tx.execute_batch("DELETE FROM note");
    let seeded = migrator().seeds(Seeds::new().ensure("seed", seed)).backup(stage.backup());
    let report = seeded.apply(&conn).unwrap();
    assert_eq!(one(&read(&path(&report)), "SELECT count(*) FROM note"), "1");
    let last = rows(&conn, "SELECT action FROM schema_history ORDER BY id DESC LIMIT 2");
    assert_eq!(last, ["seed", "backup"]);
}

#[test]
fn only_so_many_stay_and_no_other_file_is_touched() {
    let stage = Stage::new("DELETE");
    let conn = stage.open();
    let foreign = [
        "app.db.v1.20200101T000000Z",
        "app.db.v0001.20200101T000000Z.gz",
        "app.db.v0001.today",
        "app.db.v0001",
        "other.db.v0001.20200101T000000Z",
        "readme",
    ];
    for name in foreign {
        std::fs::write(stage.folder().join(name), name).unwrap();
    }
    let folder = "app.db.v0001.20190101T000000Z";
    std::fs::create_dir(stage.folder().join(folder)).unwrap();
    let old = ["app.db.v0009.20200101T000000Z", "app.db.v0001.20200102T000000Z"];
    for name in old {
        std::fs::write(stage.folder().join(name), name).unwrap();
    }
    let with = |keep| migrator().backup(stage.backup().keep(keep));
    let ours = || {
        let mut names = stage.names();
        names.retain(|name| !foreign.contains(&name.as_str()) && name != folder);
        names
    };
    with(2).apply_to(&conn, Target::Steps(1)).unwrap();
    assert_eq!(ours().len(), 2);
    assert_eq!(ours()[0], old[1], "the oldest by time goes, whatever its version");
    for _ in 0..3 {
        with(2).apply(&conn).unwrap();
        with(2).revert(&conn, Target::Steps(1)).unwrap();
        assert_eq!(ours().len(), 2);
    }
    let report = with(0).apply(&conn).unwrap();
    assert_eq!(ours(), [path(&report).file_name().unwrap().to_str().unwrap()]);
    for name in foreign {
        assert_eq!(std::fs::read_to_string(stage.folder().join(name)).unwrap(), name);
    }
    assert!(stage.folder().join(folder).is_dir());
}

#[test]
fn the_one_just_made_stays_though_the_clock_went_back() {
    let stage = Stage::new("DELETE");
    let future = "app.db.v0001.99991231T235959Z";
    std::fs::write(stage.folder().join(future), "").unwrap();
    let report = migrator().backup(stage.backup().keep(1)).apply(&stage.open()).unwrap();
    assert_eq!(stage.names(), [path(&report).file_name().unwrap().to_str().unwrap()]);
}

/// Copies of a backup under names from a time when the clock was ahead.
fn from_the_future(stage: &Stage) -> Vec<String> {
    let names = ["01", "02", "03"].map(|day| format!("app.db.v0001.209901{day}T000000Z"));
    for name in &names {
        std::fs::write(stage.folder().join(name), name).unwrap();
    }
    names.to_vec()
}

#[test]
fn clock_put_back_keeps_the_newest_made() {
    for keep in [1, 3, 5] {
        let stage = Stage::new("DELETE");
        let conn = stage.open();
        let mut made = from_the_future(&stage);
        let with = migrator().backup(stage.backup().keep(keep));
        for _ in 0..4 {
            for goes_up in [true, false] {
                let done = match goes_up {
                    true => with.apply(&conn),
                    false => with.revert(&conn, Target::Steps(2)),
                };
                let made_now = path(&done.unwrap());
                made.push(made_now.file_name().unwrap().to_str().unwrap().to_owned());
                let newest = &made[made.len().saturating_sub(keep)..];
                let mut left = stage.names();
                left.sort_by_key(|name| made.iter().position(|made| made == name));
                assert_eq!(left, newest, "keep({keep})");
            }
        }
    }
}

#[test]
fn clock_put_back_makes_one_backup_of_failing_starts() {
    let stage = Stage::new("WAL");
    let future = from_the_future(&stage);
    let with = failing().backup(stage.backup().keep(3));
    let first = path(with.apply(&stage.open()).unwrap_err().report().unwrap());
    for _ in 0..4 {
        let error = with.apply(&stage.open()).unwrap_err();
        let report = error.report().unwrap();
        assert!(matches!(report.backup, Some(BackupOutcome::AlreadyThere { .. })), "{report}");
        assert_eq!(path(report), first);
    }
    let first = first.file_name().unwrap().to_str().unwrap();
    assert_eq!(stage.names(), [&future[1], &future[2], first]);
}

#[test]
fn backup_of_an_older_version_is_newer_by_name_in_one_second() {
    let stage = Stage::new("DELETE");
    let conn = stage.open();
    let with = migrator().backup(stage.backup().keep(2));
    with.apply(&conn).unwrap();
    for _ in 0..6 {
        let of_version_3 = path(&with.revert(&conn, Target::Steps(2)).unwrap());
        let of_version_1 = path(&with.apply(&conn).unwrap());
        assert!(of_version_3.exists() && of_version_1.exists(), "{:?}", stage.names());
    }
}

#[test]
fn number_too_high_is_no_backup_of_ours() {
    let stage = Stage::new("DELETE");
    let last = "app.db.v0001.99991231T235959Z-4294967295";
    std::fs::write(stage.folder().join(last), "").unwrap();
    let conn = stage.open();
    let with = migrator().backup(stage.backup().keep(2));
    for _ in 0..3 {
        with.apply(&conn).unwrap();
        let made = path(&with.revert(&conn, Target::Steps(2)).unwrap());
        assert!(made.exists() && stage.names().len() <= 3, "{:?}", stage.names());
    }
}

#[test]
fn two_in_one_second_are_two() {
    let stage = Stage::new("DELETE");
    let conn = stage.open();
    let with = || migrator().backup(stage.backup().keep(100));
    let mut paths = BTreeSet::new();
    for _ in 0..8 {
        paths.insert(path(&with().apply(&conn).unwrap()));
        paths.insert(path(&with().revert(&conn, Target::Steps(2)).unwrap()));
    }
    assert_eq!(paths.len(), 16);
    assert_eq!(stage.names().len(), 16);
}

#[test]
fn a_program_that_fails_at_every_start_does_not_push_out_older_backups() {
    for mode in MODES {
        let stage = Stage::new(mode);
        let old = "app.db.v0001.20200101T000000Z";
        std::fs::write(stage.folder().join(old), "").unwrap();
        let with = failing().backup(stage.backup().keep(2));
        let conn = stage.open();
        let before = whole(&conn);
        let first = path(with.apply(&conn).unwrap_err().report().unwrap());
        for _ in 0..3 {
            let error = with.apply(&stage.open()).unwrap_err();
            assert!(error.to_string().ends_with("; nothing was changed"), "{error}");
            let report = error.report().unwrap();
            assert!(matches!(report.backup, Some(BackupOutcome::AlreadyThere { .. })), "{report}");
            assert_eq!(path(report), first, "{mode}");
        }
        assert_eq!(whole(&conn), before);
        assert_eq!(stage.names(), [old, first.file_name().unwrap().to_str().unwrap()]);
        migrator().backup(stage.backup().keep(2)).apply(&conn).unwrap();
        let recorded = "SELECT detail FROM schema_history WHERE action = 'backup'";
        assert_eq!(rows(&conn, recorded), [first.file_name().unwrap().to_str().unwrap()]);
    }
}

/// An apply that has to fail for its backup, and to change nothing.
fn stopped(stage: &Stage, backup: Backup) -> landfall::Error {
    let conn = stage.open();
    let before = (everything(&conn), settings(&conn));
    let error = migrator().backup(backup.clone()).apply(&conn).unwrap_err();
    assert!(conn.is_autocommit());
    assert_eq!((everything(&conn), settings(&conn)), before, "changed by: {error}");
    assert!(matches!(error.kind(), ErrorKind::Backup { .. }), "{error:?}");
    assert!(error.to_string().ends_with(" failed; nothing was changed"), "{error}");
    let error_of_revert = migrator().backup(backup).revert(&conn, Target::Empty).unwrap_err();
    assert!(matches!(error_of_revert.kind(), ErrorKind::Backup { .. }), "{error_of_revert:?}");
    assert_eq!((everything(&conn), settings(&conn)), before, "changed by: {error_of_revert}");
    error
}

#[test]
fn a_folder_that_is_missing_or_a_file_or_cannot_be_written_stops_the_run() {
    let stage = Stage::new("DELETE");
    let missing = stage.dir.path().join("missing");
    let error = stopped(&stage, Backup::to_dir(&missing));
    assert_eq!(
        error.to_string(),
        format!("writing a backup into {} failed; nothing was changed", missing.display())
    );
    assert!(cause(&error).contains("unable to open database file"), "{error:?}");
    assert!(!missing.exists());
    let file = stage.dir.path().join("file");
    std::fs::write(&file, "a file").unwrap();
    let error = stopped(&stage, Backup::to_dir(&file));
    assert_eq!(cause(&error), "it is a file and no folder");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a file");
    // Also where no backup would be due: not only once there is something to lose.
    let error = migrator().backup(Backup::to_dir(&file)).apply(&memory()).unwrap_err();
    assert_eq!(cause(&error), "it is a file and no folder");
    migrator().backup(Backup::to_dir(&missing)).open_in_memory().unwrap();
    // A folder where nothing but what is there can be: on Linux, whoever asks.
    if Path::new("/proc/self").is_dir() {
        stopped(&stage, Backup::to_dir("/proc/self"));
    }
}

#[test]
fn a_folder_without_a_name_is_refused_before_anything_is_done() {
    let stage = Stage::new("DELETE");
    let error = stopped(&stage, Backup::to_dir(""));
    assert_eq!(error.to_string(), "writing a backup into \"\" failed; nothing was changed");
    assert_eq!(cause(&error), "the folder has no name");
    let advice = "give `Backup::to_dir` the path of a folder; the current one is `.`";
    assert_eq!(error.advice(), Some(advice));
    assert!(!Path::new(".app.db.backup-lock").exists(), "it is not the current folder");
    migrator().backup(Backup::to_dir("")).check().unwrap_err();
    migrator().backup(Backup::to_dir("")).open_in_memory().unwrap_err();
}

#[test]
fn a_copy_that_turns_out_wrong_stops_the_run_and_gets_no_name() {
    let stage = Stage::new("DELETE");
    let partial = stage.folder().join(".app.db.backup-partial");
    let spoiled = partial.clone();
    let conn = stage.open();
    let before = everything(&conn);
    let error = migrator()
        .backup(stage.backup())
        .on_event(move |event| {
            if let Event::Backup { done, total, .. } = event
                && done == total
            {
                let file = std::fs::OpenOptions::new().write(true).open(&spoiled).unwrap();
                file.set_len(20 * 4096).unwrap();
            }
        })
        .apply(&conn)
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Backup { .. }), "{error:?}");
    assert_eq!(everything(&conn), before);
    assert_eq!(stage.names(), [""; 0]);
}

#[test]
fn a_damaged_database_is_not_migrated() {
    let stage = Stage::new("DELETE");
    let mut bytes = std::fs::read(stage.database()).unwrap();
    let page = 4096 * 40;
    bytes[page..page + 200].fill(0xff);
    std::fs::write(stage.database(), &bytes).unwrap();
    let with = migrator().backup(stage.backup());
    let error = with.apply(&stage.open()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Damaged { .. }), "{error:?}");
    let told = format!(
        "the database file `{}` is damaged: checking the backup written into ",
        stage.database().display()
    );
    assert!(error.to_string().starts_with(&told), "{error}");
    assert_eq!(stage.names(), [""; 0]);
    assert_eq!(std::fs::read(stage.database()).unwrap(), bytes);
}

/// Not a test: applies with a backup into a folder on a small file system of its own.
#[test]
fn a_child_with_a_small_disk() {
    let Some(path) = variable("LANDFALL_SMALL_DISK") else { return };
    let folder = Path::new(&path).join("disk");
    let conn = Connection::open(Path::new(&path).join("app.db")).unwrap();
    let before = everything(&conn);
    let error = migrator().backup(Backup::to_dir(&folder)).apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Backup { .. }), "{error:?}");
    // Older releases of rusqlite take the words from the other connection, and the code from here.
    let cause = std::error::Error::source(&error).unwrap();
    let code = cause.downcast_ref().and_then(rusqlite::Error::sqlite_error_code);
    assert_eq!(code, Some(rusqlite::ErrorCode::DiskFull), "{error:?}");
    assert_eq!(everything(&conn), before);
    assert_eq!(names(&folder), [""; 0]);
    println!("the disk was full");
}

#[test]
fn a_full_disk_stops_the_run_and_is_left_as_it_was() {
    let stage = Stage::new("DELETE");
    let disk = stage.dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=300k none '{}' || exit 9; exec '{}' \
         backups::a_child_with_a_small_disk --exact --nocapture",
        disk.display(),
        test.display()
    );
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let ran = command.env("LANDFALL_SMALL_DISK", stage.dir.path()).output();
    match ran {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).contains("the disk was full"));
        }
        Ok(output) if output.status.code() == Some(101) => {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        }
        other => println!("no small disk can be mounted here: {other:?}"),
    }
}

/// Not a test: dies at an event, or is killed.
#[test]
fn a_child_that_dies_in_a_backup() {
    let Some(path) = variable("LANDFALL_DIE_IN_BACKUP") else { return };
    let event = variable("LANDFALL_DIE_AT_EVENT").map_or(u64::MAX, |text| text.parse().unwrap());
    let dir = Path::new(&path);
    let events = AtomicU64::new(0);
    migrator()
        .backup(Backup::to_dir(dir.join("backups")))
        .on_event(move |_| {
            if events.fetch_add(1, Ordering::Relaxed) + 1 == event {
                std::process::abort();
            }
        })
        .apply(&Connection::open(dir.join("app.db")).unwrap())
        .unwrap();
}

/// Whatever has a final name is whole, and the next start makes what is missing.
fn made_up_for(stage: &Stage, what: &str) {
    let named = || {
        let mut names = stage.names();
        names.retain(|name| name.starts_with("app.db."));
        names
    };
    for name in named() {
        let conn = read(&stage.folder().join(&name));
        assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok", "{what}: {name}");
        assert_eq!(one(&conn, "SELECT count(*) FROM note"), "2000", "{what}: {name}");
    }
    let conn = stage.open();
    let report = migrator().backup(stage.backup()).apply(&conn).unwrap();
    let names = stage.names();
    assert_eq!(names, named(), "{what}: something is left over");
    assert_eq!(names.len(), 1, "{what}");
    assert_eq!(one(&conn, "SELECT count(*) FROM note"), "1", "{what}");
    if !report.is_noop() {
        let backup = read(&path(&report));
        assert_eq!(one(&backup, "SELECT count(*) FROM note"), "2000", "{what}");
    }
}

fn child(stage: &Stage, event: Option<u64>) -> std::process::Child {
    let mut variables =
        vec![("LANDFALL_DIE_IN_BACKUP", stage.dir.path().to_str().unwrap().to_owned())];
    variables.extend(event.map(|event| ("LANDFALL_DIE_AT_EVENT", event.to_string())));
    again("backups::a_child_that_dies_in_a_backup", &variables)
}

#[test]
fn killed_in_a_backup_never_leaves_a_half_one_under_its_name() {
    for mode in MODES {
        for event in 1.. {
            let stage = Stage::new(mode);
            let passed = child(&stage, Some(event)).wait().unwrap().success();
            made_up_for(&stage, &format!("{mode}, event {event}"));
            if passed {
                assert!(event > 6, "{event}");
                break;
            }
        }
        for delay in 0..12 {
            let stage = Stage::new(mode);
            let mut child = child(&stage, None);
            std::thread::sleep(Duration::from_micros(1200 * delay));
            child.kill().unwrap();
            child.wait().unwrap();
            made_up_for(&stage, &format!("{mode}, after {delay}"));
        }
    }
}

#[test]
fn what_is_left_over_is_removed_and_what_is_written_is_not() {
    let stage = Stage::new("DELETE");
    let left = [".app.db.backup-partial", ".app.db.backup-partial-journal"];
    let other = [".app.db.backup-partial.mine", ".b.db.backup-partial"];
    for name in left.iter().chain(&other) {
        std::fs::write(stage.folder().join(name), "left over").unwrap();
    }
    // Somebody else is at it: nothing is removed, and the run waits.
    let lock = Connection::open(stage.folder().join(".app.db.backup-lock")).unwrap();
    lock.execute_batch("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE").unwrap();
    let conn = stage.open();
    let with = || migrator().backup(stage.backup()).wait(Duration::from_millis(60));
    let error = with().apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error:?}");
    assert_eq!(stage.names().len(), 4);
    drop(lock);
    with().apply(&conn).unwrap();
    let names = stage.names();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(other.iter().all(|name| names.iter().any(|n| n == name)), "{names:?}");
}

#[test]
fn of_several_starts_at_once_one_makes_a_backup() {
    for mode in MODES {
        let stage = Stage::new(mode);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let conn = stage.open();
                    migrator().backup(stage.backup()).apply(&conn).unwrap();
                });
            }
        });
        assert_eq!(stage.names().len(), 1, "{mode}: {:?}", stage.names());
        let conn = stage.open();
        let recorded = "SELECT count(*) FROM schema_history WHERE action = 'backup'";
        assert_eq!(one(&conn, recorded), "1", "{mode}");
    }
}

#[test]
fn a_writer_in_the_middle_does_not_get_into_the_backup() {
    for mode in MODES {
        let stage = Stage::new(mode);
        let database = stage.database();
        let wrote = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&wrote);
        let with = migrator().backup(stage.backup()).on_event(move |event| {
            if let Event::Backup { .. } = event {
                let other = Connection::open(&database).unwrap();
                other.busy_timeout(Duration::ZERO).unwrap();
                if other.execute("INSERT INTO note(text) VALUES ('late')", []).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let conn = stage.open();
        let report = with.apply_to(&conn, Target::Steps(1)).unwrap();
        let backup = read(&path(&report));
        assert_eq!(one(&backup, "SELECT count(*) FROM note"), "2000", "{mode}");
        // In WAL mode nobody is held up; otherwise a writer waits, as for any reader.
        assert_eq!(wrote.load(Ordering::Relaxed) > 0, mode == "WAL");
    }
}

#[test]
fn a_backup_is_made_while_others_keep_writing() {
    for mode in MODES {
        let stage = Stage::new(mode);
        let (stop, written) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let conn = stage.open();
                conn.busy_timeout(Duration::from_secs(3600)).unwrap();
                while stop.load(Ordering::Relaxed) == 0 {
                    // Always two by two.
                    let insert = "INSERT INTO note(text) VALUES ('a'), ('b')";
                    conn.execute(insert, []).unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            while written.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            let report = migrator().backup(stage.backup()).apply(&stage.open());
            stop.store(1, Ordering::Relaxed);
            let backup = read(&path(&report.unwrap()));
            assert_eq!(one(&backup, "SELECT count(*) % 2 FROM note"), "0", "{mode}");
            assert_eq!(one(&backup, "PRAGMA integrity_check"), "ok", "{mode}");
        });
    }
}

#[test]
fn progress_is_told_in_pages() {
    let stage = Stage::new("DELETE");
    let mut conn = stage.open();
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let with = migrator().backup(stage.backup()).on_event(move |event| match *event {
        Event::Planned { .. } => list.lock().unwrap().push(("planned", 0, 0)),
        Event::Backup { done, total, .. } => list.lock().unwrap().push(("backup", done, total)),
        Event::Restore { done, total, .. } => list.lock().unwrap().push(("restore", done, total)),
        Event::Started { .. } => list.lock().unwrap().push(("started", 0, 0)),
        _ => {}
    });
    let pages: u64 = one(&conn, "PRAGMA page_count").parse().unwrap();
    let report = with.apply_to(&conn, Target::Steps(1)).unwrap();
    assert_eq!(
        told.lock().unwrap().split_off(0),
        [("planned", 0, 0), ("backup", 256, pages), ("backup", pages, pages), ("started", 0, 0)]
    );
    with.restore(&mut conn, path(&report)).unwrap();
    assert_eq!(
        told.lock().unwrap().split_off(0),
        [("restore", 256, pages), ("restore", pages, pages)]
    );
}

#[test]
fn functions_and_collations_of_the_application_do_not_stand_in_the_way() {
    let stage = Stage::new("DELETE");
    let open = || {
        let conn = stage.open();
        conn.create_scalar_function("fine", 1, FunctionFlags::SQLITE_DETERMINISTIC, |_| Ok(true))
            .unwrap();
        conn.create_collation("backwards", |a, b| b.cmp(a)).unwrap();
        conn
    };
    let mut conn = open();
    conn.execute_batch(
        "CREATE TABLE odd(x CHECK (fine(x)), y); CREATE INDEX odd_x ON odd(fine(y));
         INSERT INTO odd VALUES (1, 2);
         CREATE TABLE key(x PRIMARY KEY COLLATE backwards) WITHOUT ROWID;
         INSERT INTO key VALUES ('a'), ('b')",
    )
    .unwrap();
    let report = migrator().backup(stage.backup()).apply(&conn).unwrap();
    migrator().restore(&mut conn, path(&report)).unwrap();
    assert_eq!(one(&conn, "SELECT x FROM odd"), "1");
    assert_eq!(rows(&conn, "SELECT x FROM key ORDER BY x"), ["b", "a"]);
}

#[test]
fn a_backup_can_be_read_by_nobody_who_could_not_read_the_database() {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let stage = Stage::new("DELETE");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(stage.database(), private).unwrap();
        let report = migrator().backup(stage.backup()).apply(&stage.open()).unwrap();
        let mode = std::fs::metadata(path(&report)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_backup_restored_is_what_was_there_before() {
    for mode in MODES {
        let stage = Stage::new(mode);
        let mut conn = stage.open();
        let before = dump(&conn);
        let report = migrator().backup(stage.backup()).apply(&conn).unwrap();
        assert_ne!(dump(&conn), before);
        let (was, journal) = (settings(&conn), one(&conn, "PRAGMA journal_mode"));
        let backup = path(&report);
        let restored = migrator().app_version("1.2").restore(&mut conn, &backup).unwrap();
        assert_eq!(restored.restored.as_deref(), Some(backup.as_path()));
        assert!(restored.to_string().contains("\n  restored "), "{restored}");
        assert!(!restored.is_noop());
        assert_eq!(dump(&conn), before, "{mode}");
        assert_eq!(settings(&conn), was);
        assert_eq!(one(&conn, "PRAGMA journal_mode"), journal);
        assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok");
        let history = migrator().history(&conn).unwrap();
        let last = history.last().unwrap();
        assert_eq!(last.action, "restore");
        assert_eq!(last.detail.as_deref(), backup.file_name().unwrap().to_str());
        assert_eq!(last.app_version.as_deref(), Some("1.2"));
        assert_eq!(migrator().apply(&conn).unwrap().applied.len(), 2, "and on it goes");
    }
}

#[test]
fn a_stale_wal_does_not_apply_again_what_was_restored_away() {
    let stage = Stage::new("WAL");
    let mut conn = stage.open();
    conn.execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
    let other = stage.open();
    let before = dump(&conn);
    let report = migrator().backup(stage.backup()).apply(&conn).unwrap();
    let wal = stage.dir.path().join("app.db-wal");
    assert!(std::fs::metadata(&wal).unwrap().len() > 0, "what is not wanted is in the -wal");
    assert_ne!(dump(&other), before);
    migrator().restore(&mut conn, path(&report)).unwrap();
    assert_eq!(dump(&conn), before);
    assert_eq!(dump(&other), before, "another connection");
    // What a crash leaves: the file and its -wal as they are now.
    let crashed = stage.dir.path().join("crashed.db");
    std::fs::copy(stage.database(), &crashed).unwrap();
    std::fs::copy(&wal, stage.dir.path().join("crashed.db-wal")).unwrap();
    drop((conn, other));
    for path in [stage.database(), crashed] {
        let again = Connection::open(&path).unwrap();
        assert_eq!(dump(&again), before, "{}", path.display());
        assert_eq!(one(&again, "PRAGMA integrity_check"), "ok");
        assert_eq!(one(&again, "SELECT max(version) FROM schema_migrations"), "1");
        assert_eq!(one(&again, "PRAGMA journal_mode"), "wal");
    }
}

#[test]
fn a_backup_can_be_restored_into_an_empty_file() {
    let stage = Stage::new("DELETE");
    let report = migrator().backup(stage.backup()).apply(&stage.open()).unwrap();
    let mut fresh = Connection::open(stage.dir.path().join("fresh.db")).unwrap();
    migrator().restore(&mut fresh, path(&report)).unwrap();
    assert_eq!(one(&fresh, "SELECT count(*) FROM note"), "2000");
}

#[test]
fn a_database_without_a_ledger_comes_back_without_one_but_for_the_record() {
    let stage = Stage::new("DELETE");
    let mut conn = Connection::open(stage.dir.path().join("old.db")).unwrap();
    conn.execute_batch("CREATE TABLE old(x); INSERT INTO old VALUES (1)").unwrap();
    let before = dump(&conn);
    let report = migrator().backup(stage.backup()).apply(&conn).unwrap();
    assert!(stage.names().iter().any(|name| name.starts_with("old.db.v0000.")));
    migrator().restore(&mut conn, path(&report)).unwrap();
    assert_eq!(dump(&conn), before);
    assert_eq!(migrator().apply(&conn).unwrap().applied.len(), 3);
}

#[test]
fn a_damaged_database_can_be_restored() {
    for mode in MODES {
        let stage = Stage::new(mode);
        let before = dump(&stage.open());
        let report = migrator().backup(stage.backup()).apply(&stage.open()).unwrap();
        let mut bytes = std::fs::read(stage.database()).unwrap();
        let pages = bytes.len() / 4096;
        // All but the header: the schema cannot be read either.
        bytes[100..4096 * pages.min(60)].fill(0xff);
        std::fs::write(stage.database(), &bytes).unwrap();
        let mut conn = stage.open();
        migrator().restore(&mut conn, path(&report)).unwrap();
        assert_eq!(dump(&conn), before, "{mode}");
        assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok", "{mode}");
    }
}

/// Not a test: dies at an event of a restore.
#[test]
fn a_child_that_dies_in_a_restore() {
    let Some(path) = variable("LANDFALL_DIE_IN_RESTORE") else { return };
    let event: u64 = variable("LANDFALL_DIE_AT_EVENT").unwrap().parse().unwrap();
    let dir = Path::new(&path);
    let backup = names(&dir.join("backups")).remove(0);
    let events = AtomicU64::new(0);
    migrator()
        .on_event(move |_| {
            if events.fetch_add(1, Ordering::Relaxed) + 1 == event {
                std::process::abort();
            }
        })
        .restore(
            &mut Connection::open(dir.join("app.db")).unwrap(),
            dir.join("backups").join(backup),
        )
        .unwrap();
}

#[test]
fn killed_in_a_restore_leaves_the_one_or_the_other() {
    for mode in MODES {
        for event in 1.. {
            let stage = Stage::new(mode);
            let before = dump(&stage.open());
            migrator().backup(stage.backup()).apply(&stage.open()).unwrap();
            let after = dump(&stage.open());
            let variables = [
                ("LANDFALL_DIE_IN_RESTORE", stage.dir.path().to_str().unwrap().to_owned()),
                ("LANDFALL_DIE_AT_EVENT", event.to_string()),
            ];
            let child = again("backups::a_child_that_dies_in_a_restore", &variables).wait();
            let passed = child.unwrap().success();
            let conn = stage.open();
            assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok", "{mode}, {event}");
            if passed {
                assert!(event > 2, "{event}");
                assert_eq!(dump(&conn), before, "{mode}");
                break;
            }
            let now = dump(&conn);
            assert!(now == before || now == after, "{mode}, {event}");
            let history = migrator().history(&conn).unwrap();
            let recorded = history.iter().any(|entry| entry.action == "restore");
            assert_eq!(recorded, now == before, "restored and on record: {mode}, {event}");
        }
    }
}

#[test]
fn no_other_connection_sees_a_restored_database_without_the_record() {
    for mode in MODES {
        let stage = Stage::new(mode);
        let report = migrator().backup(stage.backup()).apply(&stage.open()).unwrap();
        let (looks, seen) = (AtomicU64::new(0), Arc::new(Mutex::new(Vec::new())));
        let (path, sees) = (stage.database(), Arc::clone(&seen));
        let look = move || {
            if looks.fetch_add(1, Ordering::Relaxed) % 50 == 0 {
                let other = Connection::open(&path).unwrap();
                let sql = "SELECT (SELECT max(version) FROM schema_migrations) || ' '
                           || (SELECT action FROM schema_history ORDER BY id DESC LIMIT 1)";
                let state = other.query_row(sql, [], |row| row.get::<_, String>(0));
                sees.lock().unwrap().extend(state);
            }
            false
        };
        let mut conn = stage.open();
        let _ = conn.progress_handler(1, Some(look));
        migrator().restore(&mut conn, self::path(&report)).unwrap();
        let _ = conn.progress_handler(0, None::<fn() -> bool>);
        let seen: BTreeSet<String> = seen.lock().unwrap().drain(..).collect();
        assert!(seen.iter().all(|state| state == "3 apply" || state == "1 restore"), "{seen:?}");
        assert_eq!(
            one(&conn, "SELECT action FROM schema_history ORDER BY id DESC LIMIT 1"),
            "restore"
        );
    }
}

#[test]
fn where_the_record_needs_what_only_the_application_has_it_follows_or_is_said_to_be_missing() {
    let stage = Stage::new("DELETE");
    stage
        .open()
        .execute_batch(
            "CREATE TRIGGER g BEFORE INSERT ON schema_history WHEN new.action = 'restore'
             BEGIN SELECT mine(); END",
        )
        .unwrap();
    let conn = stage.open();
    conn.create_scalar_function("mine", 0, FunctionFlags::SQLITE_UTF8, |_| Ok(1)).unwrap();
    let backup = path(&migrator().backup(stage.backup()).apply(&conn).unwrap());
    let mut without = stage.open();
    let error = migrator().restore(&mut without, &backup).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the backup is restored, but that could not be recorded in its history"),
        "{error}"
    );
    let actions = "SELECT group_concat(DISTINCT action) FROM schema_history";
    assert_eq!(
        (one(&without, "SELECT count(*) FROM note"), one(&without, actions)),
        ("2000".into(), "apply".into())
    );
    let mut conn = conn;
    migrator().restore(&mut conn, &backup).unwrap();
    assert_eq!(one(&conn, actions), "apply,restore");
}

/// A restore that has to be refused, and to leave everything as it was.
fn not_restored(stage: &Stage, backup: &Path) -> landfall::Error {
    let mut conn = stage.open();
    let before = (everything(&conn), settings(&conn));
    let error = migrator().restore(&mut conn, backup).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Backup { .. }), "{error:?}");
    let said = format!("restoring {} failed; nothing was changed", backup.display());
    assert_eq!(error.to_string(), said);
    assert_eq!((everything(&conn), settings(&conn)), before, "changed by: {error}");
    error
}

#[test]
fn a_file_that_is_missing_cut_off_or_no_database_is_not_restored() {
    let stage = Stage::new("WAL");
    let report = migrator().backup(stage.backup()).apply(&stage.open()).unwrap();
    let whole = std::fs::read(path(&report)).unwrap();
    let file = stage.dir.path().join("file");
    not_restored(&stage, &file);
    assert!(!file.exists());
    not_restored(&stage, &stage.folder());
    for length in [0, 50, 512, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        not_restored(&stage, &file);
    }
    std::fs::write(&file, "a text of no interest ".repeat(500)).unwrap();
    assert!(cause(&not_restored(&stage, &file)).contains("not a database"));
    let mut bytes = whole.clone();
    bytes[4096 * 40..4096 * 40 + 100].fill(0xff);
    std::fs::write(&file, &bytes).unwrap();
    let why = cause(&not_restored(&stage, &file));
    assert!(why.contains("damaged"), "{why}");
    std::fs::write(&file, &whole).unwrap();
    migrator().restore(&mut stage.open(), &file).unwrap();
}

#[test]
fn a_backup_of_another_application_is_not_restored() {
    let stage = Stage::new("DELETE");
    let other = |name: &str, migrator: Migrator, more: &str| {
        let path = stage.dir.path().join(name);
        let conn = Connection::open(&path).unwrap();
        migrator.apply(&conn).unwrap();
        conn.execute_batch(more).unwrap();
        path
    };
    let because = |path: &Path| cause(&not_restored(&stage, path));
    let id = "PRAGMA application_id = 7";
    let same = other("same.db", migrator(), "");
    let with_id = other("id.db", migrator(), id);
    stage.open().execute_batch("PRAGMA application_id = 42").unwrap();
    assert_eq!(
        because(&with_id),
        "it is of another application: its application_id is 7, and this database's is 42"
    );
    assert!(because(&same).contains("application_id is 0, and this database's is 42"));
    stage.open().execute_batch("PRAGMA application_id = 0").unwrap();
    let prefix = other("prefix.db", migrator().ledger("other"), "");
    assert_eq!(
        because(&prefix),
        "it is of another application: it has no ledger `schema_migrations`"
    );
    let theirs = |version, name: &'static str| {
        Migrator::from_migrations([Migration::sql(version, name, "CREATE TABLE theirs(x)")])
    };
    for (file, migrator, row) in
        [("a.db", theirs(1, "theirs"), "1 (theirs)"), ("b.db", theirs(90, "x"), "90 (x)")]
    {
        assert_eq!(
            because(&other(file, migrator, "")),
            format!(
                "it is of another application: migration {row} in its ledger is not one of this \
                 application's"
            )
        );
    }
    assert_eq!(because(&stage.database()), "it is the database itself");
    migrator().restore(&mut stage.open(), same).unwrap();
}

#[test]
fn a_connection_that_cannot_write_or_is_in_a_transaction_is_refused() {
    let stage = Stage::new("DELETE");
    let report = migrator().backup(stage.backup()).apply(&stage.open()).unwrap();
    let backup = path(&report);
    let mut conn = stage.open();
    conn.execute_batch("BEGIN; INSERT INTO more VALUES (1)").unwrap();
    let error = migrator().restore(&mut conn, &backup).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InTransaction), "{error:?}");
    assert!(!conn.is_autocommit(), "theirs to end");
    conn.execute_batch("COMMIT; PRAGMA query_only = ON").unwrap();
    for mut conn in [conn, read(&stage.database())] {
        let error = migrator().restore(&mut conn, &backup).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ReadOnly { .. }), "{error:?}");
        assert_eq!(
            error.to_string().split(", and").next(),
            Some("a backup is to be restored"),
            "{error}"
        );
    }
}

#[test]
fn a_restore_waits_for_others_and_no_longer_than_told() {
    for mode in MODES {
        let stage = Stage::new(mode);
        let report = migrator().backup(stage.backup()).apply(&stage.open()).unwrap();
        let other = stage.open();
        other.execute_batch("BEGIN IMMEDIATE; INSERT INTO more VALUES (1)").unwrap();
        let mut conn = stage.open();
        let before = (dump(&conn), settings(&conn));
        let error = migrator()
            .wait(Duration::from_millis(80))
            .restore(&mut conn, path(&report))
            .unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{mode}: {error:?}");
        assert_eq!((dump(&conn), settings(&conn)), before, "{mode}");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                other.execute_batch("ROLLBACK").unwrap();
            });
            migrator().restore(&mut conn, path(&report)).unwrap();
        });
        assert_eq!(one(&conn, "SELECT count(*) FROM note"), "2000");
    }
}

#[test]
fn what_failed_outside_a_transaction_names_the_backup_to_restore() {
    let stage = Stage::new("WAL");
    let mut conn = stage.open();
    let before = dump(&conn);
    let outside = "-- landfall: no-transaction\nDELETE FROM note; INSERT INTO nowhere VALUES (1)";
    let with = Migrator::from_migrations([
        Migration::sql(1, "note", NOTE),
        Migration::sql(2, "outside", outside),
    ]);
    let error = with.clone().backup(stage.backup()).apply(&conn).unwrap_err();
    let backup = path(error.report().unwrap());
    let advice = error.advice().unwrap();
    assert!(
        advice.ends_with(&format!("; or `restore` the backup {}", backup.display())),
        "{advice}"
    );
    assert_eq!(one(&conn, "SELECT count(*) FROM note"), "0");
    let recorded = "SELECT count(*) FROM schema_history WHERE action = 'backup'";
    assert_eq!(one(&conn, recorded), "1", "on record though nothing else is");
    with.restore(&mut conn, backup).unwrap();
    assert_eq!(dump(&conn), before);
    let pending = with.status(&conn).unwrap().migrations;
    assert_eq!(pending[1].state, landfall::State::Pending, "and not interrupted");
}

/// Not a test: dies in the middle of a migration that runs outside a transaction.
#[test]
fn a_child_that_dies_outside_with_a_backup() {
    let Some(path) = variable("LANDFALL_DIE_OUTSIDE") else { return };
    let conn = Connection::open(Path::new(&path).join("app.db")).unwrap();
    let die = |_: &landfall::rusqlite::functions::Context<'_>| -> landfall::rusqlite::Result<i64> {
        std::process::abort()
    };
    conn.create_scalar_function("die", 0, FunctionFlags::SQLITE_UTF8, die).unwrap();
    dying().backup(Backup::to_dir(Path::new(&path).join("backups"))).apply(&conn).unwrap();
}

fn dying() -> Migrator {
    let outside = "-- landfall: no-transaction\nDELETE FROM note; INSERT INTO note SELECT 1, die()";
    Migrator::from_migrations([
        Migration::sql(1, "note", NOTE),
        Migration::sql(2, "outside", outside),
    ])
}

#[test]
fn what_was_killed_outside_a_transaction_names_the_backup_at_the_next_start() {
    for mode in MODES {
        let stage = Stage::new(mode);
        let before = dump(&stage.open());
        let variables = [("LANDFALL_DIE_OUTSIDE", stage.dir.path().to_str().unwrap().to_owned())];
        let child = again("backups::a_child_that_dies_outside_with_a_backup", &variables).wait();
        assert!(!child.unwrap().success());
        let mut conn = stage.open();
        assert_ne!(dump(&conn), before);
        let wait = Duration::from_millis(50);
        let error = dying().backup(stage.backup()).wait(wait).apply(&conn).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Interrupted { .. }), "{error:?}");
        let names = stage.names();
        assert_eq!(names.len(), 1, "and none was made of what is half done: {names:?}");
        let advice = error.advice().unwrap();
        let named = format!("; or `restore` a backup: the last on record is {}, 2", names[0]);
        assert!(advice.contains(&named), "{advice}");
        dying().restore(&mut conn, stage.folder().join(&names[0])).unwrap();
        assert_eq!(dump(&conn), before, "{mode}");
    }
}

#[test]
fn an_option_that_changes_nothing_to_do_costs_no_start() {
    let stage = Stage::new("DELETE");
    let conn = stage.open();
    migrator().apply(&conn).unwrap();
    assert!(migrator().backup(stage.backup()).is_current(&conn).unwrap());
    assert!(migrator().backup(stage.backup()).apply(&conn).unwrap().is_noop());
    assert_eq!(std::fs::read_dir(stage.folder()).unwrap().count(), 0, "not even a lock");
}

#[test]
fn an_empty_file_is_not_restored_under_a_backups_name_either() {
    let stage = Stage::new("WAL");
    for name in ["app.db.v0001.20261121T120000Z", "app.db.v0000.20261121T120000Z"] {
        let file = stage.folder().join(name);
        std::fs::write(&file, "").unwrap();
        assert_eq!(cause(&not_restored(&stage, &file)), "the file is empty");
    }
    // At version 1 there was a ledger.
    let file = stage.folder().join("app.db.v0001.20261121T120000Z");
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs(x)").unwrap();
    assert!(cause(&not_restored(&stage, &file)).contains("it has no ledger"));
}

#[test]
fn a_backup_in_utf16_can_be_restored_into_an_empty_file() {
    let dir = tempfile::tempdir().unwrap();
    let from = Connection::open(dir.path().join("app.db")).unwrap();
    from.execute_batch("PRAGMA encoding = 'UTF-16'").unwrap();
    migrator().apply_to(&from, Target::Steps(1)).unwrap();
    from.execute_batch("INSERT INTO note VALUES (1, 'x')").unwrap();
    let report = migrator().backup(Backup::to_dir(dir.path())).apply(&from).unwrap();
    let mut conn = Connection::open(dir.path().join("new.db")).unwrap();
    migrator().restore(&mut conn, path(&report)).unwrap();
    assert_eq!(one(&conn, "SELECT text FROM note"), "x");
}

#[test]
fn odd_characters_in_paths_mean_nothing() {
    for name in ["a b.db", "it's.db", "a%20.db", "a?mode=ro.db", "\"q\".db", "file:x.db"] {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("odd ? % ' \" folder#");
        std::fs::create_dir(&odd).unwrap();
        let mut conn = Connection::open(odd.join(name)).unwrap();
        migrator().apply_to(&conn, Target::Steps(1)).unwrap();
        conn.execute_batch("INSERT INTO note VALUES (1, 'x')").unwrap();
        let report = migrator().backup(Backup::to_dir(&odd)).apply(&conn).unwrap();
        migrator().restore(&mut conn, path(&report)).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_database_whose_name_is_no_utf8_is_backed_up_too() {
    use std::os::unix::ffi::OsStrExt as _;
    let stage = Stage::new("WAL");
    let odd = stage.dir.path().join(std::ffi::OsStr::from_bytes(b"app\xff.db"));
    let report = migrator().backup(stage.backup()).apply(&stage.open()).unwrap();
    std::fs::copy(path(&report), &odd).unwrap();
    let mut conn = Connection::open(&odd).unwrap();
    let before = dump(&conn);
    let report = migrator().backup(stage.backup()).apply(&conn).unwrap();
    let backup = path(&report);
    migrator().restore(&mut conn, backup).unwrap();
    assert_eq!(dump(&conn), before);
}

/// Not a test: a start of a user who is not the superuser.
#[test]
fn a_child_without_rights() {
    let Some(path) = variable("LANDFALL_NO_RIGHTS") else { return };
    let dir = Path::new(&path);
    let conn = Connection::open(dir.join("app.db")).unwrap();
    let done = migrator().backup(Backup::to_dir(dir.join("backups"))).apply(&conn);
    let text = match done {
        Ok(_) => "fine".to_owned(),
        Err(error) => format!("{error}; {}", cause(&error)),
    };
    std::fs::write(dir.join("said"), text).unwrap();
}

/// What a start says as user and group 65534; `None` where nobody can become another.
#[cfg(unix)]
fn as_nobody(stage: &Stage) -> Option<String> {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let path = stage.dir.path();
    command.args(["backups::a_child_without_rights", "--exact"]).env("LANDFALL_NO_RIGHTS", path);
    command.uid(65534).gid(65534).output().ok()?;
    std::fs::read_to_string(path.join("said")).ok()
}

#[cfg(unix)]
fn give(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let _ = std::os::unix::fs::chown(path, Some(65534), Some(65534));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_lock_that_cannot_be_taken_alone_is_not_taken() {
    let stage = Stage::new("DELETE");
    for path in [stage.dir.path().to_owned(), stage.folder(), stage.database()] {
        give(&path, 0o755);
    }
    let lock = stage.folder().join(".app.db.backup-lock");
    std::fs::write(&lock, "").unwrap();
    let Some(said) = as_nobody(&stage) else { return };
    assert!(said.contains("may not be written"), "{said}");
    std::fs::remove_file(&lock).unwrap();
    assert_eq!(as_nobody(&stage).unwrap(), "fine");
}

#[cfg(unix)]
#[test]
fn what_the_superuser_makes_is_the_databases_owners() {
    use std::os::unix::fs::MetadataExt as _;
    let stage = Stage::new("DELETE");
    for path in [stage.dir.path().to_owned(), stage.folder()] {
        give(&path, 0o755);
    }
    give(&stage.database(), 0o660);
    let owner = |path: &Path| std::fs::metadata(path).map(|m| (m.uid(), m.gid(), m.mode() & 0o777));
    let before = owner(&stage.database()).unwrap();
    let report = migrator().backup(stage.backup()).apply(&stage.open()).unwrap();
    assert_eq!(owner(&path(&report)).unwrap(), before);
    assert_eq!(owner(&stage.folder().join(".app.db.backup-lock")).unwrap(), before);
}

#[test]
fn a_backup_of_another_page_size_is_restored_where_sqlite_can_and_else_refused() {
    for (mode, size, passes) in
        [("DELETE", 1024, true), ("DELETE", 16384, true), ("WAL", 1024, false)]
    {
        let stage = Stage::new("DELETE");
        let conn = stage.open();
        let before = dump(&conn);
        let report = migrator().backup(stage.backup()).apply(&conn).unwrap();
        conn.execute_batch(&format!("PRAGMA page_size = {size}; VACUUM")).unwrap();
        drop(conn);
        let mut conn = stage.open();
        conn.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |_| Ok(())).unwrap();
        assert_eq!(one(&conn, "PRAGMA page_size"), size.to_string());
        let other = stage.open();
        let after = dump(&other);
        if mode == "DELETE" {
            // Kept waiting to its end, it leaves everything as it was.
            other.execute_batch("BEGIN; SELECT count(*) FROM note").unwrap();
            one(&other, "SELECT count(*) FROM note");
            let hasty = migrator().wait(Duration::from_millis(50));
            hasty.restore(&mut conn, path(&report)).unwrap_err();
            other.execute_batch("COMMIT").unwrap();
            assert_eq!((dump(&conn), dump(&other)), (after.clone(), after.clone()), "{size}");
        }
        let done = migrator().restore(&mut conn, path(&report));
        assert_eq!(done.is_ok(), passes, "{mode} {size}: {done:?}");
        let expected = if passes { before } else { after };
        assert_eq!(dump(&conn), expected, "{mode} {size}");
        assert_eq!(dump(&other), expected, "{mode} {size}");
        assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok");
    }
}

/// `quick_check` tells it like damage.
#[test]
fn a_null_where_none_may_be_any_more_does_not_stop_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let conn = Connection::open(dir.path().join("app.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE p(x); INSERT INTO p VALUES (NULL); PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE TABLE p(x NOT NULL)' WHERE name = 'p';
         PRAGMA writable_schema = RESET;",
    )
    .unwrap();
    let migrator = crate::support::set(&[(1, "t", "CREATE TABLE t(x)", "")]);
    let report = migrator.backup(landfall::Backup::to_dir(dir.path())).apply(&conn).unwrap();
    assert!(report.backup.unwrap().path().is_some());
}
