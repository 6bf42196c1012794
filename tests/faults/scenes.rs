//! What is done to a database while the system fails, and what has to be true of it whatever happens.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use landfall::rusqlite::Connection;
use landfall::rusqlite::config::DbConfig;
use landfall::{
    Adopt, Backfill, Backup, Migration, Migrator, Report, Result, Seed, Seeds, Target,
    Transactions, Version,
};

use crate::calls::{Fault, Kind, Plan, Watch, watched};
use crate::support::{dump, one, rows};

/// A verb, and the folder that it starts from: `app.db`, and backups in `b/`.
#[derive(Clone, Copy)]
pub struct Scene {
    pub name: &'static str,
    prepare: fn(&Path),
    pub act: Act,
}

#[derive(Clone, Copy)]
pub enum Act {
    /// On a connection that is open.
    On(fn(&mut Connection, &Path) -> Result<Report>),
    /// On a path; the connection comes of it.
    Opens(fn(&Path) -> Result<Connection>),
}

/// Each even version and each seed counts up by one and leaves a line in a log, so that what ran
/// twice, or not, can be seen.
fn journey() -> Migrator {
    let first = Migration::sql(
        1,
        "counter",
        "CREATE TABLE counter(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
         INSERT INTO counter VALUES (1, 0);
         CREATE TABLE log(id INTEGER PRIMARY KEY, who TEXT NOT NULL);
         CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT);
         CREATE TABLE child(id INTEGER PRIMARY KEY,
                            parent_id INTEGER NOT NULL REFERENCES parent(id) ON DELETE CASCADE);
         CREATE TABLE fill(id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0);
         WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 40)
         INSERT INTO fill(id) SELECT x FROM c;",
    );
    let others = (2..=8).map(|version| {
        let (up, down) = match version {
            5 => (
                "CREATE TABLE parent_new(id INTEGER PRIMARY KEY, name TEXT NOT NULL, extra TEXT);
                 INSERT INTO parent_new(id, name) SELECT id, name FROM parent;
                 DROP TABLE parent;
                 ALTER TABLE parent_new RENAME TO parent;"
                    .to_owned(),
                "ALTER TABLE parent DROP COLUMN extra;".to_owned(),
            ),
            _ if version % 2 == 0 => (
                format!(
                    "UPDATE counter SET n = n + 1;
                     INSERT INTO log(who) VALUES ('{version}');
                     INSERT INTO parent(id, name) VALUES ({version}, 'p');
                     INSERT INTO child(parent_id) VALUES ({version});"
                ),
                format!(
                    "UPDATE counter SET n = n - 1;
                     DELETE FROM log WHERE who = '{version}';
                     DELETE FROM child WHERE parent_id = {version};
                     DELETE FROM parent WHERE id = {version};"
                ),
            ),
            _ => (
                format!(
                    "CREATE TABLE t{version}(x, y);
                     CREATE INDEX i{version} ON t{version}(x);"
                ),
                format!("DROP TABLE t{version};"),
            ),
        };
        Migration::sql(version, format!("step{version}"), up).down(down)
    });
    Migrator::from_migrations(std::iter::once(first).chain(others)).wait(Duration::from_millis(100))
}

fn counts(who: &'static str) -> Seed {
    Seed::new(who, move |tx| {
        tx.execute("UPDATE counter SET n = n + 1", [])?;
        tx.execute("INSERT INTO log(who) VALUES (?1)", [who]).map(drop)
    })
}

fn with_seeds() -> Migrator {
    journey().seeds(Seeds::new().add(counts("first")).add(counts("second")))
}

fn with_undo() -> Migrator {
    journey().seeds(Seeds::new().add(counts("first").undoable()))
}

fn with_backup(folder: &Path) -> Migrator {
    with_seeds().backup(Backup::to_dir(folder.join("b")))
}

fn filling() -> Migrator {
    let fill = Backfill::update("fill", "fill", "n = n + 1", "")
        .batch(15)
        .batch_at_most(15)
        .pause(Duration::ZERO)
        .lease(Duration::from_millis(1));
    journey().seeds(Seeds::new().backfill(fill))
}

fn adopting() -> Migrator {
    with_seeds().adopt(Adopt::Goose)
}

fn conn(folder: &Path) -> Connection {
    Connection::open(folder.join("app.db")).unwrap()
}

/// With a rebuild to come, and rows that it copies.
fn at_version_4(folder: &Path) {
    journey().apply_to(&conn(folder), version(4)).unwrap();
}

fn at_the_end(folder: &Path) {
    with_undo().apply(&conn(folder)).unwrap();
}

fn version(version: i64) -> Target {
    Target::Version(Version::from(version))
}

pub const APPLY: Scene = Scene {
    name: "apply",
    prepare: at_version_4,
    act: Act::On(|conn, _| with_seeds().apply(conn)),
};

pub const EACH: Scene = Scene {
    name: "apply each",
    prepare: at_version_4,
    act: Act::On(|conn, _| with_seeds().transactions(Transactions::Each).apply(conn)),
};

pub const REVERT: Scene = Scene {
    name: "revert",
    prepare: |folder| drop(journey().apply(&conn(folder)).unwrap()),
    act: Act::On(|conn, _| journey().revert(conn, version(3))),
};

pub const BACKUP: Scene = Scene {
    name: "backup",
    prepare: at_version_4,
    act: Act::On(|conn, folder| with_backup(folder).apply(conn)),
};

/// A start before this one has made the backup, and the sync of its folder has failed.
pub const BACKUP_AGAIN: Scene = Scene {
    name: "backup again",
    prepare: |folder| {
        at_version_4(folder);
        let failed = |at| {
            let dir = tempfile::tempdir().unwrap();
            copy(folder, dir.path());
            let plan = Plan { kind: Kind::Sync, fault: Fault::Eio, at, for_ever: false };
            let mut watch = Watch { plan: Some(plan), ..Watch::default() };
            let apply = || with_backup(dir.path()).apply(&conn(dir.path()));
            let failed = watched(&mut watch, apply).is_err();
            (failed && !backups(dir.path()).is_empty()).then_some(dir)
        };
        let failed = (1..50).find_map(failed).unwrap();
        fs::remove_dir_all(folder.join("b")).unwrap();
        fs::rename(failed.path().join("b"), folder.join("b")).unwrap();
    },
    act: BACKUP.act,
};

pub const RESTORE: Scene = Scene {
    name: "restore",
    prepare: |folder| {
        at_version_4(folder);
        with_backup(folder).apply(&conn(folder)).unwrap();
    },
    act: Act::On(|conn, folder| {
        let backup = backups(folder).pop().unwrap();
        with_seeds().restore(conn, backup)
    }),
};

pub const ADOPT: Scene = Scene {
    name: "adopt",
    prepare: |folder| {
        let conn = conn(folder);
        at_version_4(folder);
        for table in ["migrations", "seeds", "history", "state", "undo", "undo_rows"] {
            conn.execute_batch(&format!("DROP TABLE IF EXISTS schema_{table}")).unwrap();
        }
        conn.execute_batch(
            "DROP TABLE IF EXISTS schema_skipped;
             CREATE TABLE goose_db_version (
                 id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL,
                 is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')));
             INSERT INTO goose_db_version(version_id, is_applied)
             VALUES (0, 1), (1, 1), (2, 1), (3, 1), (4, 1);",
        )
        .unwrap();
    },
    act: Act::On(|conn, _| adopting().apply(conn)),
};

pub const BACKFILL: Scene = Scene {
    name: "backfill",
    prepare: |folder| drop(journey().apply(&conn(folder)).unwrap()),
    act: Act::On(|conn, _| filling().run_backfills(conn)),
};

pub const UNDO: Scene = Scene {
    name: "undo",
    prepare: at_the_end,
    act: Act::On(|conn, _| with_undo().revert_seed(conn, "first")),
};

pub const OPEN: Scene = Scene {
    name: "open",
    prepare: at_version_4,
    act: Act::Opens(|folder| with_seeds().open(folder.join("app.db"))),
};

pub const OPEN_COPY: Scene = Scene {
    name: "open_copy",
    prepare: |folder| fs::remove_file(folder.join("app.db")).unwrap_or_default(),
    act: Act::Opens(|folder| with_seeds().open_copy(folder.join("app.db"))),
};

impl Scene {
    /// Fills a folder with what the verb starts from, the file in a journal mode.
    pub fn prepare(&self, folder: &Path, mode: &str) {
        fs::create_dir(folder.join("b")).unwrap();
        let conn = conn(folder);
        // Those of rollback journals stick to a connection, that of WAL to the file.
        assert_eq!(one(&conn, &format!("PRAGMA journal_mode = {mode}")), mode.to_lowercase());
        drop(conn);
        (self.prepare)(folder);
    }

    /// A connection to what a verb is done to; `None` where the verb opens one.
    pub fn connect(&self, folder: &Path, mode: &str) -> Option<Connection> {
        let Act::On(_) = self.act else { return None };
        let conn = conn(folder);
        if mode != "WAL" {
            one(&conn, &format!("PRAGMA journal_mode = {mode}"));
        }
        conn.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL").unwrap();
        conn.busy_timeout(Duration::from_millis(1234)).unwrap();
        Some(conn)
    }

    /// Does the verb. The report is `None` where the verb has none to give.
    pub fn act(&self, conn: &mut Option<Connection>, folder: &Path) -> Result<Option<Report>> {
        match self.act {
            Act::On(act) => act(conn.as_mut().unwrap(), folder).map(Some),
            Act::Opens(act) => {
                *conn = Some(act(folder)?);
                Ok(None)
            }
        }
    }

    /// Does the verb again, undisturbed and with a new connection, as the next start does.
    pub fn next_start(&self, folder: &Path, mode: &str) -> Result<()> {
        if self.name == OPEN_COPY.name && folder.join("app.db").exists() {
            return with_seeds().open(folder.join("app.db")).map(drop);
        }
        self.act(&mut self.connect(folder, mode), folder).map(drop)
    }
}

/// Settings of the connection that can be read whatever the database is like.
pub fn settings(conn: &Connection) -> Vec<String> {
    let names = [
        "foreign_keys",
        "busy_timeout",
        "legacy_alter_table",
        "recursive_triggers",
        "ignore_check_constraints",
        "defer_foreign_keys",
    ];
    let pragma = |name: &&str| format!("{name}={}", one(conn, &format!("PRAGMA {name}")));
    let mut settings: Vec<String> = names.iter().map(pragma).collect();
    let triggers = conn.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER).unwrap();
    settings.push(format!("triggers={triggers}"));
    settings
}

/// How a connection syncs, which cannot be read where the schema cannot.
pub fn synchronous(conn: &Connection) -> Option<u8> {
    conn.query_row("PRAGMA synchronous", [], |row| row.get(0)).ok()
}

/// What a folder holds, read with a new connection; a file that is not there holds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The user's schema and data.
    pub data: String,
    /// What is applied: versions.
    pub versions: BTreeSet<String>,
    /// Seeds and backfills that are done, and batches.
    pub seeds: BTreeSet<String>,
    /// The history, without the backups that were made on the way.
    pub history: Vec<String>,
}

impl State {
    pub fn of(folder: &Path) -> State {
        if !folder.join("app.db").exists() {
            return State::default();
        }
        State::read(&conn(folder))
    }

    fn read(conn: &Connection) -> State {
        let has = |table: &str| {
            one(conn, &format!("SELECT count(*) FROM sqlite_master WHERE name = '{table}'")) == "1"
        };
        let set = |table: &str, sql: &str| match has(table) {
            true => rows(conn, sql).into_iter().collect(),
            false => BTreeSet::new(),
        };
        let history = "SELECT action, version, name FROM schema_history
                       WHERE action <> 'backup' ORDER BY id";
        State {
            data: dump(conn),
            versions: set("schema_migrations", "SELECT version FROM schema_migrations"),
            seeds: set("schema_seeds", "SELECT name, state = 'done', done FROM schema_seeds"),
            history: if has("schema_history") { rows(conn, history) } else { Vec::new() },
        }
    }
}

/// That what is in a database is what its ledger says, whatever that is.
pub fn assert_true(conn: &Connection, what: &str) {
    assert_eq!(one(conn, "PRAGMA integrity_check"), "ok", "{what}");
    let has = |table: &str| {
        one(conn, &format!("SELECT count(*) FROM sqlite_master WHERE name = '{table}'")) == "1"
    };
    let theirs = "SELECT CAST(version_id AS TEXT) FROM goose_db_version
                  WHERE version_id > 0 AND version_id % 2 = 0";
    let ours = "SELECT CAST(version AS TEXT) FROM schema_migrations WHERE version % 2 = 0
                UNION ALL SELECT name FROM schema_seeds WHERE name <> 'fill' ORDER BY 1";
    let recorded = match (has("schema_migrations"), has("goose_db_version")) {
        (true, _) => rows(conn, ours),
        (false, true) => rows(conn, theirs),
        (false, false) => {
            assert!(!has("log"), "{what}: {}", dump(conn));
            return;
        }
    };
    if has("schema_migrations") && one(conn, "SELECT count(*) FROM schema_migrations") == "0" {
        assert!(!has("log"), "{what}: {}", dump(conn));
        return;
    }
    assert_eq!(rows(conn, "SELECT who FROM log ORDER BY 1"), recorded, "{what}");
    assert_eq!(one(conn, "SELECT n FROM counter"), recorded.len().to_string(), "{what}");
    let children = "SELECT count(*) FROM child JOIN parent ON parent.id = parent_id";
    assert_eq!(one(conn, children), one(conn, "SELECT count(*) FROM child"), "{what}");
    let filled = rows(conn, "SELECT count(*), coalesce(max(n), 0) FROM fill WHERE n > 0");
    let done = match has("schema_seeds") {
        true => rows(conn, "SELECT done FROM schema_seeds WHERE name = 'fill'"),
        false => Vec::new(),
    };
    let done = done.first().map_or("0", String::as_str);
    assert_eq!(filled, [format!("{done}|{}", u8::from(done != "0"))], "{what}");
}

/// The backups that have their names.
pub fn backups(folder: &Path) -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(folder.join("b")) else { return Vec::new() };
    let files = files.map(|file| file.unwrap().path());
    let is_named = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("app.db.v") && !name.ends_with("-journal")
    };
    let mut files: Vec<PathBuf> = files.filter(is_named).collect();
    files.sort();
    files
}

/// That every backup with a name is whole, and that those that the history tells of are there.
pub fn assert_backups(folder: &Path, what: &str) {
    let backups = backups(folder);
    for path in &backups {
        let what = format!("{what}, {}", path.display());
        let flags = landfall::rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let conn = Connection::open_with_flags(path, flags).unwrap();
        assert_true(&conn, &what);
        let version: u32 =
            one(&conn, "SELECT max(version) FROM schema_migrations").parse().unwrap();
        assert!(what.contains(&format!("app.db.v{version:04}.")), "{what} is of {version}");
    }
    if folder.join("app.db").exists() {
        let conn = conn(folder);
        let told = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_history'";
        if one(&conn, told) == "1" {
            let sql = "SELECT detail FROM schema_history WHERE action = 'backup'";
            for file in rows(&conn, sql) {
                let is_there = backups.iter().any(|path| path.ends_with(&file));
                assert!(is_there, "{what}: the history tells of {file}, and it is gone");
            }
        }
    }
}

/// Everything that has to be true of a folder whatever happened.
pub fn assert_sound(folder: &Path, what: &str) {
    if folder.join("app.db").exists() {
        assert_true(&conn(folder), what);
    }
    assert_backups(folder, what);
}

/// A copy of a folder with one level of folders in it.
pub fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&file.path(), &target);
        } else {
            fs::copy(file.path(), target).unwrap();
        }
    }
}
