//! A rehearsal works on a whole copy: the database is as it was, the copy is one state of it, and
//! a file that has its name is whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use landfall::rusqlite::config::DbConfig;
use landfall::rusqlite::functions::FunctionFlags;
use landfall::rusqlite::{self, Connection, OpenFlags};
use landfall::{Backup, ErrorKind, Migration, Migrator, Seeds};

use crate::stage::{MODES, again, counting, variable, whole};
use crate::support::{cause, everything, memory, one, rows, set};

/// Every file of a folder but the shared memory of a WAL, where readers leave their marks.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !name.ends_with("-shm") {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    files
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().collect()
}

/// A database half-way, with rows, in a folder of its own. It stays open, so that its `-wal` stays.
fn half_way(mode: &str) -> (tempfile::TempDir, PathBuf, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let conn = Connection::open(&path).unwrap();
    one(&conn, &format!("PRAGMA journal_mode = {mode}"));
    counting().apply_to(&conn, landfall::Target::Steps(5)).unwrap();
    (dir, path, conn)
}

#[test]
fn the_database_is_what_it_was_byte_by_byte_in_every_journal_mode() {
    for mode in ["DELETE", "TRUNCATE", "PERSIST", "MEMORY", "WAL", "OFF"] {
        let (dir, path, writer) = half_way(mode);
        let elsewhere = tempfile::tempdir().unwrap();
        let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let queries = Connection::open(&path).unwrap();
        queries.execute_batch("PRAGMA query_only = ON").unwrap();
        let connections = [
            ("its own", Connection::open(&path).unwrap()),
            ("read-only", Connection::open_with_flags(&path, read_only).unwrap()),
            ("query_only", queries),
        ];
        let before = files(dir.path());
        assert_eq!(before.contains_key("app.db-wal"), mode == "WAL", "{mode}");
        for (which, conn) in &connections {
            let settings = |conn: &Connection| {
                let names = ["query_only", "foreign_keys", "busy_timeout", "journal_mode"];
                (names.map(|name| one(conn, &format!("PRAGMA {name}"))), conn.total_changes())
            };
            let were = settings(conn);
            let rehearsal = counting().rehearse(conn).unwrap();
            assert!(rehearsal.error.is_none(), "{mode}, {which}: {rehearsal}");
            assert_eq!((rehearsal.steps.len(), rehearsal.copy), (9, None), "{mode}, {which}");
            let copy = elsewhere.path().join(format!("{which}.db"));
            let rehearsal = counting().rehearse_in(conn, &copy).unwrap();
            assert_eq!(rehearsal.copy.as_ref(), Some(&copy), "{mode}, {which}");
            assert!(files(dir.path()) == before, "{mode}, {which}: the database was written to");
            assert_eq!(settings(conn), were, "{mode}, {which}");
            assert!(conn.is_autocommit());
        }
        // Nor was anything locked for good.
        writer.execute("INSERT INTO parent(id) VALUES (99)", []).unwrap();
        drop(connections);
        assert_eq!(names(elsewhere.path()), ["its own.db", "query_only.db", "read-only.db"]);
    }
}

#[test]
fn the_copy_becomes_what_the_database_would_become() {
    for mode in MODES {
        let (dir, _, conn) = half_way(mode);
        let copy = dir.path().join("copy.db");
        let rehearsal = counting().rehearse_in(&conn, &copy).unwrap();
        let length = std::fs::metadata(&copy).unwrap().len();
        let report = counting().apply(&conn).unwrap();
        let copied = Connection::open(&copy).unwrap();
        assert_eq!(whole(&copied), whole(&conn), "{mode}");
        assert_eq!(rehearsal.report.applied.len(), report.applied.len());
        assert!(counting().apply(&copied).unwrap().is_noop());
        assert_eq!(length, rehearsal.space.after, "{mode}");
        assert_eq!(one(&copied, "PRAGMA journal_mode"), "delete");
    }
}

#[test]
fn a_database_in_memory_is_copied_and_left_as_it_is() {
    let conn = memory();
    counting().apply_to(&conn, landfall::Target::Steps(5)).unwrap();
    let before = everything(&conn);
    let rehearsal = counting().rehearse(&conn).unwrap();
    assert_eq!((rehearsal.steps.len(), rehearsal.database), (9, None));
    assert_eq!(everything(&conn), before);
}

#[test]
fn inside_a_transaction_it_is_refused_and_the_transaction_stands() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE t(x); BEGIN; INSERT INTO t VALUES (1)").unwrap();
    let error = counting().rehearse(&conn).unwrap_err();
    let expected = "the connection is inside a transaction; nothing was changed";
    assert_eq!(error.to_string(), expected);
    assert!(!conn.is_autocommit());
    conn.execute_batch("COMMIT").unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM t"), "1");
}

#[test]
fn whoever_has_the_database_to_himself_is_waited_for() {
    let (dir, path, conn) = half_way("DELETE");
    let other = Connection::open(&path).unwrap();
    conn.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let migrator = counting().wait(Duration::from_millis(30));
    let copy = dir.path().join("copy.db");
    for error in [migrator.rehearse(&other), migrator.rehearse_in(&other, copy)] {
        let error = error.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Busy { .. }), "{error:?}");
    }
    conn.execute_batch("COMMIT").unwrap();
    assert_eq!(names(dir.path()), ["app.db"]);
    assert!(migrator.rehearse(&other).unwrap().error.is_none());
}

#[test]
fn what_is_attached_and_temp_is_copied_too() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.db");
    let conn = memory();
    conn.execute_batch(&format!(
        "ATTACH '{}' AS \"a b\"; ATTACH ':memory:' AS m;
         CREATE TABLE \"a b\".seen(x); INSERT INTO \"a b\".seen VALUES (1);
         CREATE TABLE m.kept(x); INSERT INTO m.kept VALUES (2);
         CREATE TEMP TABLE session(x); INSERT INTO session VALUES (3);
         CREATE TABLE t(x);
         CREATE TEMP TRIGGER told AFTER INSERT ON t BEGIN INSERT INTO session VALUES (4); END;",
        other.display()
    ))
    .unwrap();
    let migrator = set(&[(1, "t", "INSERT INTO t VALUES (0)", "")]).seeds(Seeds::new().ensure(
        "others",
        |tx| {
            let sql = "SELECT (SELECT sum(x) FROM \"a b\".seen) || (SELECT sum(x) FROM m.kept)
                           || (SELECT sum(x) FROM session)";
            assert_eq!(one(tx, sql), "127");
            tx.execute_batch("DELETE FROM \"a b\".seen; DELETE FROM m.kept; DELETE FROM session")
        },
    ));
    let before = files(dir.path());
    for rehearsal in
        [migrator.rehearse(&conn), migrator.rehearse_in(&conn, dir.path().join("copy.db"))]
    {
        let rehearsal = rehearsal.unwrap();
        assert!(rehearsal.error.is_none(), "{rehearsal}");
        assert_eq!(rehearsal.steps[0].rows_changed, 2, "with the TEMP trigger");
    }
    assert_eq!(files(dir.path())["other.db"], before["other.db"]);
    assert_eq!(names(dir.path()), ["copy.db", "other.db"]);
    let left = "SELECT (SELECT count(*) FROM m.kept) || (SELECT count(*) FROM session)
                    || (SELECT count(*) FROM \"a b\".seen) || (SELECT count(*) FROM t)";
    assert_eq!(one(&conn, left), "1110");
}

#[test]
fn what_on_connect_registers_is_there_and_what_it_attaches_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live.db");
    Connection::open(&live).unwrap().execute_batch("CREATE TABLE t(x)").unwrap();
    let before = files(dir.path());
    let attach = format!("ATTACH '{}' AS live", live.display());
    let prepare = move |conn: &Connection| {
        let flags = FunctionFlags::SQLITE_UTF8;
        conn.create_scalar_function("shout", 1, flags, |context| {
            Ok(context.get::<String>(0)?.to_uppercase())
        })?;
        conn.execute_batch(&attach)
    };
    let migrator = set(&[(1, "t", "CREATE TABLE t AS SELECT shout('a') AS x", "")]);
    let conn = memory();
    let error = migrator.rehearse(&conn).unwrap().error.unwrap();
    assert!(cause(&error).contains("no such function: shout"), "{error:?}");
    let migrator = migrator.on_connect(prepare);
    assert!(migrator.rehearse(&conn).unwrap().error.is_none());

    let empties = Seeds::new()
        .ensure("empties", |tx| tx.execute("INSERT INTO live.t VALUES (1)", []).map(drop));
    let rehearsal = migrator.seeds(empties).rehearse(&conn).unwrap();
    assert!(cause(&rehearsal.error.unwrap()).contains("no such table: live.t"));
    assert!(files(dir.path()) == before);
}

#[test]
fn what_decides_what_a_statement_does_is_the_same_on_the_copy() {
    let migrator = Migrator::from_migrations([Migration::code(1, "look", |tx| {
        let names = ["foreign_keys", "recursive_triggers", "page_size", "encoding", "auto_vacuum"];
        let found = names.map(|name| one(tx, &format!("PRAGMA {name}"))).join(" ");
        Err(rusqlite::Error::InvalidParameterName(found))
    })]);
    for (pragmas, expected) in [
        ("foreign_keys = 0", "0 0 4096 UTF-8 0"),
        (
            "foreign_keys = 1; PRAGMA recursive_triggers = 1; PRAGMA page_size = 1024",
            "1 1 1024 UTF-8 0",
        ),
        ("page_size = 65536; PRAGMA encoding = 'UTF-16le'", "1 0 65536 UTF-16le 0"),
        ("auto_vacuum = FULL; PRAGMA foreign_keys = 1", "1 0 4096 UTF-8 1"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        for conn in [memory(), Connection::open(dir.path().join("app.db")).unwrap()] {
            conn.execute_batch(&format!("PRAGMA {pragmas}; CREATE TABLE t(x)")).unwrap();
            let file = dir.path().join("copy.db");
            let _ = std::fs::remove_file(&file);
            for rehearsal in [migrator.rehearse(&conn), migrator.rehearse_in(&conn, file)] {
                let error = rehearsal.unwrap().error.unwrap();
                let cause = cause(&error);
                assert!(cause.ends_with(expected), "{cause:?} after {pragmas}");
            }
        }
    }
}

#[test]
fn a_string_in_double_quotes_is_on_the_copy_what_it_is_on_the_connection() {
    let conn = memory();
    let migrator = set(&[(1, "quotes", "CREATE TABLE t AS SELECT \"text\" AS x", "")]);
    assert!(migrator.rehearse(&conn).unwrap().error.is_none());
    // What SQLite compiles in has these names in every release of rusqlite.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false).unwrap();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false).unwrap();
    let error = migrator.rehearse(&conn).unwrap().error.unwrap();
    assert_eq!(migrator.apply(&conn).unwrap_err().to_string(), error.to_string());
}

#[test]
fn a_copy_is_one_state_whoever_writes_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; CREATE TABLE a(x, pad); CREATE TABLE b(x, pad);
         CREATE TABLE c(x, pad)",
    )
    .unwrap();
    let same = Migrator::from_migrations([Migration::code(1, "same", |tx| {
        let counts = one(tx, "SELECT count(*) || ' ' || (SELECT count(*) FROM c) FROM a");
        let (a, c) = counts.split_once(' ').unwrap();
        if a == c { Ok(()) } else { Err(format!("{a} rows and {c}")) }
    })]);
    let ended = AtomicBool::new(false);
    let copies = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let conn = Connection::open(&path).unwrap();
            let pad = "x".repeat(900);
            let mut commits = 0;
            while !ended.load(Ordering::Relaxed) {
                conn.execute_batch(&format!(
                    "BEGIN; INSERT INTO a VALUES (1, '{pad}'); INSERT INTO b VALUES (1, '{pad}');
                     INSERT INTO c VALUES (1, '{pad}'); COMMIT"
                ))
                .unwrap();
                commits += 1;
            }
            commits
        });
        let mut sizes = Vec::new();
        for at in 0..12 {
            let rehearsal = match at % 2 {
                0 => same.rehearse(&conn).unwrap(),
                _ => same.rehearse_in(&conn, dir.path().join(format!("{at}.db"))).unwrap(),
            };
            assert!(rehearsal.error.is_none(), "{rehearsal}");
            sizes.push(rehearsal.space.before);
        }
        ended.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 12);
        sizes
    });
    assert!(copies.is_sorted() && copies.first() < copies.last(), "nobody wrote: {copies:?}");
}

#[test]
fn a_file_that_is_there_is_left_alone_unless_it_is_empty() {
    let (dir, _, conn) = half_way("DELETE");
    let copy = dir.path().join("copy.db");
    std::fs::write(&copy, "mine").unwrap();
    let error = counting().rehearse_in(&conn, &copy).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotFresh { .. }), "{error:?}");
    assert_eq!(std::fs::read(&copy).unwrap(), b"mine");
    assert!(matches!(
        counting().rehearse_in(&conn, dir.path()).unwrap_err().kind(),
        ErrorKind::NotFresh { .. }
    ));
    std::fs::write(&copy, "").unwrap();
    counting().rehearse_in(&conn, &copy).unwrap();
    assert_eq!(names(dir.path()), ["app.db", "copy.db"]);
    let error = counting().rehearse_in(&conn, dir.path().join("no/copy.db")).unwrap_err();
    assert!(error.to_string().starts_with("rehearsing in "), "{error}");
    assert!(error.to_string().ends_with("no/copy.db failed; nothing was changed"), "{error}");
}

#[test]
fn a_database_of_the_connection_is_no_place_for_the_copy_though_it_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("app.db"), dir.path().join("other.db"));
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(&format!("ATTACH '{}' AS other", other.display())).unwrap();
    std::fs::write(&other, "").unwrap();
    std::fs::write(dir.path().join("mine.db"), "").unwrap();
    for name in ["app.db", "./app.db", "other.db"] {
        let error = counting().rehearse_in(&conn, dir.path().join(name)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotFresh { .. }), "{error:?}");
    }
    // An empty file that was there stays where the copy cannot be made.
    conn.execute_batch("BEGIN").unwrap();
    counting().rehearse_in(&conn, dir.path().join("mine.db")).unwrap_err();
    conn.execute_batch("COMMIT").unwrap();
    let bad = counting().on_connect(|_| Err(rusqlite::Error::InvalidQuery));
    bad.rehearse_in(&conn, dir.path().join("mine.db")).unwrap_err();
    bad.rehearse_in(&conn, dir.path().join("new.db")).unwrap_err();
    assert_eq!(names(dir.path()), ["app.db", "mine.db", "other.db"]);
    counting().rehearse_in(&conn, dir.path().join("mine.db")).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}

#[test]
fn another_that_rehearses_there_is_not_disturbed_and_what_one_left_is_cleared() {
    let (dir, _, conn) = half_way("DELETE");
    let copy = dir.path().join("copy.db");
    let partial = dir.path().join(".copy.db.rehearsal-partial");
    for tail in ["", "-wal", "-journal"] {
        std::fs::write(format!("{}{tail}", partial.display()), "left over").unwrap();
    }
    let lock = Connection::open(&copy).unwrap();
    lock.execute_batch("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE").unwrap();
    let error = counting().rehearse_in(&conn, &copy).unwrap_err();
    assert!(cause(&error).contains("database is locked"), "{error:?}");
    assert_eq!(std::fs::read(&partial).unwrap(), b"left over");
    drop(lock);
    assert!(counting().rehearse_in(&conn, &copy).unwrap().error.is_none());
    assert_eq!(names(dir.path()), ["app.db", "copy.db"]);
}

#[test]
fn no_backup_is_made_and_nobody_is_told() {
    let (dir, _, conn) = half_way("WAL");
    let migrator = counting()
        .backup(Backup::to_dir(dir.path()))
        .on_event(|event| panic!("was told of {event:?}"));
    let before = names(dir.path());
    let rehearsal = migrator.rehearse(&conn).unwrap();
    assert!(rehearsal.error.is_none() && rehearsal.report.backup.is_none());
    assert_eq!(names(dir.path()), before);
    // A file could be backed up.
    let elsewhere = tempfile::tempdir().unwrap();
    migrator.rehearse_in(&conn, elsewhere.path().join("copy.db")).unwrap();
    assert_eq!(names(dir.path()), before);
    assert_eq!(names(elsewhere.path()), ["copy.db"]);
}

/// Not a test: what a child process does that is to be killed, or has little room.
#[test]
fn a_child_that_rehearses() {
    let Some(path) = variable("LANDFALL_REHEARSES_IN") else { return };
    let dir = Path::new(&path);
    let conn = Connection::open(dir.join("app.db")).unwrap();
    let folder =
        if variable("LANDFALL_SMALL_DISK").is_some() { dir.join("disk") } else { dir.into() };
    let before = names(&folder);
    let rehearsed = counting().rehearse_in(&conn, folder.join("copy.db"));
    if variable("LANDFALL_SMALL_DISK").is_some() {
        let error = rehearsed.unwrap_err();
        let expected =
            format!("rehearsing in {}/copy.db failed; nothing was changed", folder.display());
        assert_eq!(error.to_string(), expected);
        assert_eq!(names(&folder), before);
        println!("the disk was full");
    }
}

/// Large enough that copying it takes a while.
fn filled(mode: &str) -> (tempfile::TempDir, PathBuf, Connection) {
    let (dir, path, conn) = half_way(mode);
    conn.execute_batch(
        "WITH RECURSIVE c(n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM c WHERE n < 5000)
         INSERT INTO parent(id, name) SELECT n, printf('%.200c', 'n') FROM c",
    )
    .unwrap();
    (dir, path, conn)
}

#[test]
fn a_full_disk_leaves_no_file() {
    let (dir, _, conn) = filled("DELETE");
    let before = everything(&conn);
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=400k none '{}' || exit 9; exec '{}' \
         rehearse_copies::a_child_that_rehearses --exact --nocapture",
        disk.display(),
        std::env::current_exe().unwrap().display()
    );
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    command.env("LANDFALL_REHEARSES_IN", dir.path()).env("LANDFALL_SMALL_DISK", "yes");
    match command.output() {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).contains("the disk was full"));
        }
        Ok(output) if output.status.code() == Some(101) => {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        }
        other => println!("no small disk can be mounted here: {other:?}"),
    }
    assert_eq!(everything(&conn), before);
}

#[test]
fn killed_at_any_time_it_leaves_no_file_that_looks_finished() {
    let mut finished = 0;
    for mode in MODES {
        for delay in 0..7 {
            let (dir, _, conn) = filled(mode);
            let path = dir.path().to_str().unwrap().to_owned();
            let mut child = again(
                "rehearse_copies::a_child_that_rehearses",
                &[("LANDFALL_REHEARSES_IN", path)],
            );
            // From when it has begun: to start takes longer than to finish.
            let partial = dir.path().join(".copy.db.rehearsal-partial");
            while !partial.exists() && child.try_wait().unwrap().is_none() {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(3 * delay * delay));
            child.kill().unwrap();
            child.wait().unwrap();
            let copy = dir.path().join("copy.db");
            if std::fs::metadata(&copy).is_ok_and(|there| there.len() > 0) {
                let conn = Connection::open(&copy).unwrap();
                assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok");
                assert!(counting().is_current(&conn).unwrap(), "{mode}, {delay}");
                finished += 1;
                continue;
            }
            assert!(counting().rehearse_in(&conn, &copy).unwrap().error.is_none());
            let mut left = names(dir.path());
            left.retain(|name| !name.starts_with("app.db"));
            assert_eq!(left, ["copy.db"], "{mode}, {delay}");
            assert_eq!(rows(&conn, "SELECT count(*) FROM schema_migrations"), ["5"]);
        }
    }
    println!("{finished} of 14 had finished");
}
