//! A database file is made whole, once, under exactly the name that was given.

use std::path::{Path, PathBuf};
use std::sync::Barrier;

use landfall::rusqlite::Connection;
use landfall::testing::{lockfile, schema_file};
use landfall::{Backup, ErrorKind, Migration, Migrator};

use crate::stage::{again, variable};
use crate::support::{cause, dump, memory, one, rows};

fn migrator() -> Migrator {
    Migrator::from_migrations([Migration::sql(
        1,
        "note",
        "CREATE TABLE note(text TEXT); INSERT INTO note VALUES ('new')",
    )])
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn beside(path: &Path, tail: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(tail);
    name.into()
}

/// A folder in which the database was deleted and its log or journal was not.
fn orphaned(tail: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let conn = migrator().open(&path).unwrap();
    if tail == "-journal" {
        one(&conn, "PRAGMA journal_mode = DELETE");
        conn.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN").unwrap();
    }
    conn.execute_batch(
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500)
         INSERT INTO note SELECT printf('%.600c', 'n') FROM c; UPDATE note SET text = 'deleted'",
    )
    .unwrap();
    let kept = std::fs::read(beside(&path, tail)).unwrap();
    assert!(!kept.is_empty(), "{tail}");
    drop(conn);
    for tail in ["", "-wal", "-shm", "-journal"] {
        let _ = std::fs::remove_file(beside(&path, tail));
    }
    std::fs::write(beside(&path, tail), kept).unwrap();
    (dir, path)
}

#[test]
fn side_file_left_over_is_refused_by_name() {
    for tail in ["-wal", "-shm", "-journal"] {
        {
            let (dir, path) = orphaned(tail);
            let before = std::fs::read(beside(&path, tail)).unwrap();
            let there = names(dir.path());
            let refused = |error: landfall::Error| {
                match error.kind() {
                    ErrorKind::NotFresh { path: named, .. } => {
                        assert_eq!(named.file_name(), beside(&path, tail).file_name());
                    }
                    other => panic!("{other:?}"),
                }
                let text = format!("{error:#}");
                assert!(text.contains("move it away, or delete it"), "{text}");
                assert_eq!(std::fs::read(beside(&path, tail)).unwrap(), before);
                assert_eq!(names(dir.path()), there);
            };
            refused(migrator().open_copy(&path).unwrap_err());
            refused(migrator().rehearse_in(&memory(), &path).unwrap_err());

            std::fs::rename(beside(&path, tail), dir.path().join("aside")).unwrap();
            let conn = migrator().open_copy(&path).unwrap();
            assert_eq!(rows(&conn, "SELECT text FROM note"), ["new"]);
            assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok");
        }
    }
}

/// SQLite deletes a log or journal beside an empty file, as it does for `open`.
#[test]
fn side_file_beside_an_empty_file_brings_nothing_back() {
    for tail in ["-wal", "-shm", "-journal"] {
        let (_dir, path) = orphaned(tail);
        std::fs::write(&path, "").unwrap();
        let conn = migrator().open_copy(&path).unwrap();
        assert_eq!(rows(&conn, "SELECT text FROM note"), ["new"], "{tail}");
        assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok");

        // So it is where there is no file yet.
        let (_dir, path) = orphaned(tail);
        let conn = migrator().open(&path).unwrap();
        assert_eq!(rows(&conn, "SELECT text FROM note"), ["new"], "{tail}");
        assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok");
    }
}

#[test]
fn empty_side_file_is_no_hindrance() {
    for tail in ["-wal", "-shm", "-journal"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        std::fs::write(beside(&path, tail), "").unwrap();
        let conn = migrator().open_copy(&path).unwrap();
        assert_eq!(rows(&conn, "SELECT text FROM note"), ["new"], "{tail}");
    }
}

/// What one of several that want the same file got.
fn made(path: &Path) -> bool {
    match migrator().open_copy(path) {
        Ok(conn) => {
            assert_eq!(rows(&conn, "SELECT text FROM note"), ["new"]);
            true
        }
        Err(error) => {
            let is_taken =
                matches!(error.kind(), ErrorKind::NotFresh { path: named, .. } if named == path);
            assert!(is_taken, "{error:?}");
            false
        }
    }
}

#[test]
fn threads_on_one_path_make_one_file() {
    const THREADS: usize = 4;
    let dir = tempfile::tempdir().unwrap();
    for round in 0..60 {
        let path = dir.path().join(format!("{round}.db"));
        let barrier = Barrier::new(THREADS);
        let makers = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        made(&path)
                    })
                })
                .collect();
            let made = threads.into_iter().map(|thread| thread.join().unwrap());
            made.filter(|made| *made).count()
        });
        assert_eq!(makers, 1);
        let conn = Connection::open(&path).unwrap();
        assert_eq!(rows(&conn, "SELECT text FROM note"), ["new"]);
        drop(conn);
        assert_eq!(names(dir.path()), [format!("{round}.db")]);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn threads_that_rehearse_on_one_path_leave_one_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..15 {
        let path = dir.path().join(format!("{round}.db"));
        let barrier = Barrier::new(4);
        let rehearse = || {
            let conn = memory();
            barrier.wait();
            match migrator().rehearse_in(&conn, &path) {
                Ok(_) => 1,
                Err(error) => {
                    let kind = error.kind();
                    let is_told =
                        matches!(kind, ErrorKind::NotFresh { .. } | ErrorKind::Backup { .. });
                    assert!(is_told, "{error:?}");
                    0
                }
            }
        };
        let made: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(rehearse)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(made <= 1, "{made} were made");
        let left = names(dir.path());
        assert!(!left.iter().any(|name| name.contains("partial")), "{left:?}");
        if made == 1 {
            assert_eq!(left, [format!("{round}.db")]);
            let copy = Connection::open(&path).unwrap();
            assert_eq!(rows(&copy, "SELECT text FROM note"), ["new"]);
            assert_eq!(one(&copy, "PRAGMA integrity_check"), "ok");
        }
        let _ = std::fs::remove_file(&path);
    }
}

/// Not a test: one of several processes that want the same files.
#[test]
fn a_child_that_makes_files() {
    let Some(folder) = variable("LANDFALL_MAKES_IN") else { return };
    let folder = Path::new(&folder);
    let me = variable("LANDFALL_CHILD").unwrap();
    std::fs::write(folder.join(format!("ready{me}")), "").unwrap();
    while !folder.join("go").exists() {
        std::thread::yield_now();
    }
    for round in 0..ROUNDS {
        if made(&folder.join(format!("{round}.db"))) {
            std::fs::write(folder.join(format!("{round}.made.{me}")), "").unwrap();
        }
    }
}

const ROUNDS: usize = 40;

#[test]
fn processes_on_one_path_make_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap().to_owned();
    let mut children: Vec<_> = (0..3)
        .map(|n: usize| {
            let variables =
                [("LANDFALL_MAKES_IN", folder.clone()), ("LANDFALL_CHILD", n.to_string())];
            again("fresh_files::a_child_that_makes_files", &variables)
        })
        .collect();
    while !(0..3).all(|n| dir.path().join(format!("ready{n}")).exists()) {
        std::thread::yield_now();
    }
    std::fs::write(dir.path().join("go"), "").unwrap();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let names = names(dir.path());
    for round in 0..ROUNDS {
        let of = |what: &str| names.iter().filter(|name| name.starts_with(what)).count();
        assert_eq!(of(&format!("{round}.made.")), 1, "{names:?}");
        assert_eq!(of(&format!("{round}.db")), 1, "{names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("partial")), "{names:?}");
}

#[test]
fn partial_of_a_killed_process_is_cleared_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let (ours, others) = (
        [".app.db.0123456789abcdef.copy-partial", ".app.db.fedcba9876543210.copy-partial"],
        [".app.db.0123.copy-partial", ".b.db.0123456789abcdef.copy-partial"],
    );
    let leave = || {
        for name in ours.iter().chain(&others) {
            std::fs::write(dir.path().join(name), "half").unwrap();
        }
    };
    leave();
    migrator().open_copy(&path).unwrap();
    let expected = [others[0], others[1], "app.db"];
    assert_eq!(names(dir.path()), expected);
    leave();
    assert!(!made(&path));
    assert_eq!(names(dir.path()), expected);
}

#[test]
fn name_too_long_for_a_partial_is_no_hindrance() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n".repeat(240));
    assert!(made(&path));
    assert!(!made(&path));
    assert_eq!(names(dir.path()), ["n".repeat(240)]);
}

#[cfg(unix)]
#[test]
fn link_to_nothing_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    std::os::unix::fs::symlink(dir.path().join("nowhere"), &path).unwrap();
    assert!(!made(&path));
    assert_eq!(names(dir.path()), ["app.db"]);
}

#[test]
fn names_that_stand_for_no_file_are_refused() {
    for name in [":memory:", ""] {
        let mut conn = memory();
        let errors = [
            migrator().open(name).unwrap_err(),
            migrator().open_copy(name).unwrap_err(),
            migrator().rehearse_in(&conn, name).unwrap_err(),
            migrator().restore(&mut conn, name).unwrap_err(),
        ];
        for error in &errors {
            let why = cause(error);
            assert!(why.contains("stands for no file"), "{error:#}; {why}");
        }
        for error in &errors[..2] {
            assert!(format!("{error:#}").contains("`open_in_memory`"), "{error:#}");
        }
        assert!(!Path::new(":memory:").exists());
    }
}

/// Names in which SQLite, a URI or a shell would find more than a name.
fn odd_names() -> Vec<std::ffi::OsString> {
    let mut names: Vec<std::ffi::OsString> = [
        "file:u",
        "file:u?mode=memory",
        "file:",
        "q?mode=ro",
        "h#ash",
        "p%41%00",
        "it's \"quoted\" `name`",
        "./:memory:",
    ]
    .map(Into::into)
    .to_vec();
    if cfg!(unix) {
        names.push("new\nline\ttab".into());
        #[cfg(unix)]
        names.push(std::os::unix::ffi::OsStringExt::from_vec(b"latin\xff1".to_vec()));
    }
    names
}

fn with(name: &std::ffi::OsStr, tail: &str) -> PathBuf {
    beside(Path::new(name), tail)
}

/// Not a test: relative paths need a current folder of their own.
#[test]
fn a_child_in_a_folder_of_its_own() {
    let Some(folder) = variable("LANDFALL_FOLDER") else { return };
    std::env::set_current_dir(folder).unwrap();
    let theirs = Connection::open(with("u".as_ref(), ".db")).unwrap();
    theirs.execute_batch("CREATE TABLE theirs(x)").unwrap();
    let untouched = dump(&theirs);
    for name in odd_names() {
        let what = name.to_string_lossy();
        let there = |path: &Path| std::fs::metadata(path).is_ok_and(|file| file.len() > 0);

        let (opened, copied) = (with(&name, ".db"), with(&name, "-copy.db"));
        let mut conn = migrator().open(&opened).unwrap();
        assert!(there(&opened), "{what}");
        assert!(made(&copied), "{what}");
        assert!(there(&copied), "{what}");
        assert!(!made(&copied), "{what}");
        assert!(!made(&opened), "{what}");

        let rehearsed = with(&name, "-rehearsed.db");
        migrator().rehearse_in(&conn, &rehearsed).unwrap();
        assert!(there(&rehearsed), "{what}");

        let backups = with(&name, "-backups");
        std::fs::create_dir(&backups).unwrap();
        let next = migrator().with(Migration::sql(2, "clear", "DELETE FROM note"));
        let report = next.clone().backup(Backup::to_dir(&backups)).apply(&conn).unwrap();
        let backup = report.backup.as_ref().and_then(|backup| backup.path()).unwrap();
        assert_eq!(backup.parent(), Some(backups.as_path()), "{what}");
        let bare = with(&name, "-backup.db");
        std::fs::copy(backup, &bare).unwrap();
        next.restore(&mut conn, &bare).unwrap();
        assert_eq!(rows(&conn, "SELECT text FROM note"), ["new"], "{what}");

        let migrations = with(&name, "-migrations");
        std::fs::create_dir(&migrations).unwrap();
        std::fs::write(migrations.join("1_t.sql"), "CREATE TABLE t(x)").unwrap();
        let from_dir = Migrator::from_dir(&migrations);
        assert_eq!(from_dir.apply(&memory()).unwrap().applied.len(), 1, "{what}");
        lockfile(&from_dir, with(&name, "-lock")).unwrap();
        schema_file(&from_dir, with(&name, "-schema")).unwrap();
        assert!(there(&with(&name, "-lock")) && there(&with(&name, "-schema")), "{what}");
    }
    assert_eq!(dump(&theirs), untouched);
    let known: Vec<String> = odd_names()
        .iter()
        .map(|name| name.to_string_lossy().trim_start_matches("./").to_owned())
        .collect();
    for name in names(Path::new(".")) {
        let is_known =
            name.starts_with("u.db") || known.iter().any(|known| name.starts_with(known));
        assert!(is_known && !name.contains("partial"), "{name}");
    }
}

#[test]
fn paths_mean_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap().to_owned();
    // The second one has the lock file and the schema file written.
    let variables = [("LANDFALL_FOLDER", folder), ("UPDATE_LOCK", "1".to_owned())];
    let mut child = again("fresh_files::a_child_in_a_folder_of_its_own", &variables);
    assert!(child.wait().unwrap().success());
}

/// Not a test: makes one file, watched from outside.
#[test]
fn a_child_that_makes_one_file() {
    let Some(path) = variable("LANDFALL_MAKES") else { return };
    assert!(made(Path::new(&path)));
}

/// Needs `strace`; passes without having looked where there is none.
#[cfg(target_os = "linux")]
#[test]
fn copy_is_synced_before_it_gets_its_name_and_the_folder_after() {
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let trace = dir.path().join("trace");
    let strace = || {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-e", "trace=fsync,fdatasync,link,linkat", "-o"]).arg(&trace);
        strace.stdout(Stdio::null()).stderr(Stdio::null());
        strace
    };
    if !strace().arg("true").status().is_ok_and(|status| status.success()) {
        return;
    }
    let mut strace = strace();
    strace.arg(std::env::current_exe().unwrap());
    strace.args(["fresh_files::a_child_that_makes_one_file", "--exact"]);
    assert!(strace.env("LANDFALL_MAKES", &path).status().unwrap().success());
    let calls = std::fs::read_to_string(&trace).unwrap();
    let at = |is: &dyn Fn(&str) -> bool| calls.lines().position(is);
    let folder = format!("<{}>", dir.path().canonicalize().unwrap().display());
    let synced = at(&|call| call.contains("sync(") && call.contains(".copy-partial>"));
    let named = at(&|call| call.contains("link") && call.contains(".copy-partial\""));
    let kept = at(&|call| call.contains("sync(") && call.contains(&folder));
    assert!(synced.is_some() && synced < named && named < kept, "{calls}");
}
