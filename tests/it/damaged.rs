//! A damaged file is told as that, whatever met the damage, and nothing loops or panics over it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use landfall::rusqlite::{self, Connection, Transaction};
use landfall::{
    Backfill, Backup, Error, ErrorKind, Migration, Migrator, Report, Seed, Seeds, Target,
};

use crate::support::{cause, one};

const MALFORMED: &str = "database disk image is malformed";

const RECOVER: &str = "`restore` a backup; without one, `.recover` of SQLite's command line saves \
                       what can be read (https://sqlite.org/recovery.html)";

/// Three migrations, so that there is a backup of before the last.
fn people() -> Vec<Migration> {
    vec![
        Migration::sql(
            1,
            "people",
            "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT);
             WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 400)
             INSERT INTO person SELECT x, printf('%.*c', 40, 'n') FROM c;",
        ),
        Migration::sql(2, "two", "CREATE TABLE two(x)").down("DROP TABLE two"),
    ]
}

struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("backups")).unwrap();
        let stage = Stage { dir };
        let conn = stage.open();
        Migrator::from_migrations([people().remove(0)]).apply(&conn).unwrap();
        stage
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("app.db")
    }

    fn open(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn backup(&self) -> Backup {
        Backup::to_dir(self.dir.path().join("backups"))
    }

    /// Overwrites the pages that a table or index begins with.
    fn damage(&self, name: &str) {
        let conn = self.open();
        let root = format!("SELECT rootpage FROM sqlite_master WHERE name = '{name}'");
        let root: usize = one(&conn, &root).parse().unwrap();
        drop(conn);
        let mut bytes = std::fs::read(self.path()).unwrap();
        bytes[(root - 1) * 4096..root * 4096].fill(0xff);
        std::fs::write(self.path(), bytes).unwrap();
    }

    fn told(&self, doing: &str) -> String {
        format!("the database file `{}` is damaged: {doing}", self.path().display())
    }
}

fn damaged(error: &Error) -> Option<&Path> {
    let ErrorKind::Damaged { backup, .. } = error.kind() else { panic!("{error:?}") };
    backup.as_deref()
}

#[test]
fn damaged_ledger_names_the_file_and_its_newest_backup() {
    let stage = Stage::new();
    let migrator = Migrator::from_migrations(people());
    let report = migrator.clone().backup(stage.backup()).apply(&stage.open()).unwrap();
    let newest = report.backup.as_ref().unwrap().path().unwrap().to_owned();
    stage.damage("schema_migrations");
    // A start with nothing to do does not read these rows.
    let migrator = migrator.with(Migration::sql(3, "three", "CREATE TABLE three(x)"));
    let told = stage.told("reading the ledger failed; nothing was changed");
    type Verb = fn(&Migrator, &Connection) -> landfall::Result<()>;
    let verbs: [(&str, Verb); 9] = [
        ("apply", |it, conn| it.apply(conn).map(drop)),
        ("plan", |it, conn| it.plan(conn).map(drop)),
        ("status", |it, conn| it.status(conn).map(drop)),
        ("is_current", |it, conn| it.is_current(conn).map(drop)),
        ("wait_until_current", |it, conn| it.wait_until_current(conn, Duration::ZERO)),
        ("history", |it, conn| it.history(conn).map(drop)),
        ("revert", |it, conn| it.revert(conn, Target::Steps(1)).map(drop)),
        ("repair", |it, conn| it.repair(conn, "why").map(drop)),
        ("verify", |it, conn| it.verify(conn)),
    ];
    for (name, verb) in verbs {
        let error = verb(&migrator, &stage.open()).unwrap_err();
        assert_eq!(error.to_string(), told, "{name}");
        assert!(cause(&error).contains(MALFORMED), "{name}: {error:?}");
        assert_eq!(damaged(&error), None, "{name}");
        let advice = format!("copy the file as it is to a safe place; then {RECOVER}");
        assert_eq!(error.advice(), Some(advice.as_str()), "{name}");

        let error = verb(&migrator.clone().backup(stage.backup()), &stage.open()).unwrap_err();
        assert_eq!(error.to_string(), told, "{name}");
        assert_eq!(damaged(&error), Some(newest.as_path()), "{name}");
        let advice = format!(
            "copy the file as it is to a safe place; then `restore` the newest backup, {}, which \
             lacks what was written since",
            newest.display()
        );
        assert_eq!(error.advice(), Some(advice.as_str()), "{name}");
    }
    migrator.restore(&mut stage.open(), &newest).unwrap();
    assert_eq!(migrator.apply(&stage.open()).unwrap().applied.len(), 2);
}

#[test]
fn damage_is_told_as_that_whatever_has_met_it() {
    let read =
        |tx: &Transaction<'_>| tx.query_row("SELECT sum(length(name)) FROM person", [], |_| Ok(()));
    let with = |more: Migration| Migrator::from_migrations([people().remove(0), more]);
    let seeded = |seeds: Seeds| Migrator::from_migrations([people().remove(0)]).seeds(seeds);
    let cases = [
        (
            "migration 2_up failed at line 2, column 1",
            with(Migration::sql(2, "up", "CREATE TABLE two(x);\nUPDATE person SET name = 'x'")),
        ),
        (
            "looking for tables that have rows failed",
            with(Migration::code(2, "up", read).allow_data_loss("tested")),
        ),
        (
            "lending the transaction to a function failed",
            seeded(Seeds::new().add(Seed::new("up", read))),
        ),
        (
            "lending the transaction to a function failed",
            seeded(Seeds::new().add(Seed::new("up", read).optional())),
        ),
        (
            "lending the transaction to a function failed",
            seeded(Seeds::new().backfill(Backfill::update("up", "person", "name = 'x'", ""))),
        ),
        (
            "migration 2_up.verify failed at line 1, column 1",
            with(
                Migration::sql(2, "up", "CREATE TABLE two(x)")
                    .verify("SELECT 1 FROM person WHERE name = 'x'"),
            ),
        ),
    ];
    for (doing, migrator) in cases {
        let stage = Stage::new();
        stage.damage("person");
        let error = migrator.apply(&stage.open()).unwrap_err();
        assert_eq!(damaged(&error), None);
        let told = stage.told(doing);
        assert!(error.to_string().starts_with(&told), "{error}");
        assert!(error.advice().unwrap().ends_with(RECOVER), "{error:?}");
        assert!(error.file().is_none(), "{error:?}");
    }
}

#[test]
fn ledger_that_lost_its_rows_is_not_taken_for_none() {
    let stage = Stage::new();
    let conn = stage.open();
    conn.execute_batch("DELETE FROM schema_migrations").unwrap();
    let error = Migrator::from_migrations(people()).apply(&conn).unwrap_err();
    assert_eq!(cause(&error), "table person already exists");
    let advice = "the ledger says that nothing is applied, and its history that something was: ";
    assert!(error.advice().unwrap().starts_with(advice), "{error:?}");
}

#[test]
fn damaged_header_says_how_to_restore_without_it() {
    let stage = Stage::new();
    let migrator = Migrator::from_migrations(people()).backup(stage.backup());
    let report = migrator.apply(&stage.open()).unwrap();
    let newest = report.backup.as_ref().unwrap().path().unwrap().to_owned();
    let mut bytes = std::fs::read(stage.path()).unwrap();
    bytes[..16].fill(0xff);
    std::fs::write(stage.path(), bytes).unwrap();
    let told = |doing: &str| {
        let path = stage.path();
        format!(
            "the database file `{}` is damaged, encrypted or no database: {doing}; nothing was changed",
            path.display()
        )
    };
    let error = migrator.apply(&stage.open()).unwrap_err();
    assert_eq!(error.to_string(), told("looking for the ledger's tables failed"));
    let advice = format!(
        "check the path; if the file is encrypted, give its key before migrating; if it is damaged, \
         move it and the files beside it (`-wal`, `-journal`, `-shm`) to a safe place, open a new \
         one of that name; then `restore` the newest backup, {}, which lacks what was written since",
        newest.display()
    );
    assert_eq!(error.advice(), Some(advice.as_str()));
    let error = migrator.restore(&mut stage.open(), &newest).unwrap_err();
    assert_eq!(error.to_string(), told("reading the database to be restored failed"));

    std::fs::rename(stage.path(), stage.dir.path().join("damaged.db")).unwrap();
    migrator.restore(&mut stage.open(), &newest).unwrap();
    assert_eq!(one(&stage.open(), "SELECT count(*) FROM person"), "400");
}

#[test]
fn damaged_backup_is_not_told_as_damage_of_the_database() {
    let stage = Stage::new();
    let file = stage.dir.path().join("broken");
    std::fs::write(&file, [7; 4096]).unwrap();
    let error = Migrator::from_migrations(people()).restore(&mut stage.open(), &file).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Backup { .. }), "{error:?}");
}

#[test]
fn damaged_virtual_table_and_index_are_told_with_their_remedies() {
    let stage = Stage::new();
    let conn = stage.open();
    conn.execute_batch(
        "CREATE VIRTUAL TABLE note USING fts5(text);
         INSERT INTO note VALUES ('one'), ('two');
         DELETE FROM note_data WHERE id > 10;",
    )
    .unwrap();
    let up = |sql: &str| {
        Migrator::from_migrations([people().remove(0), Migration::sql(2, "up", sql.to_owned())])
    };
    let error = up("INSERT INTO note(note) VALUES ('integrity-check')").apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the database file `{}` has a virtual table whose content is damaged: migration 2_up \
             failed at line 1, column 1; nothing was changed",
            stage.path().display()
        )
    );
    assert!(
        error
            .advice()
            .unwrap()
            .starts_with("the file itself may be whole: build the virtual table again")
    );
    conn.execute_batch("INSERT INTO note(note) VALUES ('rebuild')").unwrap();
    assert_eq!(one(&conn, "PRAGMA integrity_check"), "ok");

    conn.execute_batch(
        "CREATE TABLE pair(a, b); CREATE INDEX pair_a ON pair(a); CREATE INDEX pair_b ON pair(b);
         INSERT INTO pair VALUES (1, 2), (3, 4);
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema WHERE name IN
             ('pair_a', 'pair_b')) - rootpage WHERE name IN ('pair_a', 'pair_b');",
    )
    .unwrap();
    drop(conn);
    let error = up("DELETE FROM pair WHERE a + 0 = 1").apply(&stage.open()).unwrap_err();
    let told = format!("the database file `{}` has a damaged index: ", stage.path().display());
    assert!(error.to_string().starts_with(&told), "{error}");
    assert!(
        error.advice().unwrap().starts_with("execute `REINDEX` and then `PRAGMA integrity_check`")
    );
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % limit
    }
}

fn many(more: bool) -> Migrator {
    let mut list = vec![people().remove(0)];
    list.extend((2..=12).map(|version| {
        Migration::sql(version, format!("t{version}"), format!("CREATE TABLE t{version}(x)"))
            .down(format!("DROP TABLE t{version}"))
    }));
    list.push(Migration::sql(
        13,
        "upper",
        "-- landfall: undo\nUPDATE person SET name = upper(name) WHERE id < 99",
    ));
    if more {
        list.push(Migration::sql(
            14,
            "more",
            "CREATE TABLE more(x); UPDATE person SET name = 'm' WHERE id = 1",
        ));
    }
    let named = |tx: &Transaction<'_>| {
        tx.execute("UPDATE person SET name = 's' WHERE id < 50", []).map(drop)
    };
    let nothing = |_: &Transaction<'_>| Ok::<(), rusqlite::Error>(());
    let seeds = (0..20).fold(Seeds::new(), |seeds, n| seeds.ensure(format!("seed{n}"), nothing));
    let fill = Backfill::update("fill", "person", "name = name || '?'", "");
    Migrator::from_migrations(list)
        .seeds(seeds.add(Seed::new("named", named).undoable()).backfill(fill))
        .wait(Duration::from_millis(1))
}

/// A database with all tables of the ledger, of small pages, so that these have inner ones too.
fn image(mode: &str, page: usize) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(&format!("PRAGMA page_size = {page}; PRAGMA journal_mode = {mode}"))
        .unwrap();
    many(false).apply(&conn).unwrap();
    conn.execute_batch(
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 150)
         INSERT INTO schema_history(at, action, detail)
         SELECT '2026-01-01T00:00:00.000Z', 'note', printf('%.*c', x * 7 % 900, 'x') FROM c",
    )
    .unwrap();
    drop(conn);
    std::fs::read(path).unwrap()
}

/// Damages it in one of four ways: a bit, a byte near a page's head, a few bytes, a page that is
/// another one's copy.
fn flip(bytes: &mut [u8], page: usize, numbers: &mut Numbers) {
    let base = numbers.below(bytes.len() / page) * page;
    match numbers.below(4) {
        0 => bytes[base + numbers.below(page)] ^= 1 << numbers.below(8),
        1 => bytes[base + numbers.below(100)] = numbers.below(256) as u8,
        2 => (0..8).for_each(|_| bytes[base + numbers.below(page)] = numbers.below(256) as u8),
        _ => {
            let other = numbers.below(bytes.len() / page) * page;
            bytes.copy_within(other..other + page, base);
        }
    }
}

type Verb = fn(&mut Connection, &Path) -> landfall::Result<()>;

const VERBS: [(&str, Verb); 12] = [
    ("status", |conn, _| many(false).status(conn).map(drop)),
    ("plan", |conn, _| many(true).plan(conn).map(drop)),
    ("history", |conn, _| many(false).history(conn).map(drop)),
    ("is_current", |conn, _| many(false).is_current(conn).map(drop)),
    ("apply", |conn, _| many(true).apply(conn).map(checked)),
    ("apply with a backup", |conn, dir| {
        many(true).backup(Backup::to_dir(dir)).apply(conn).map(checked)
    }),
    ("revert", |conn, _| many(false).revert(conn, Target::Steps(3)).map(drop)),
    ("revert_seed", |conn, _| many(false).revert_seed(conn, "named").map(drop)),
    ("forget_undo", |conn, _| many(false).forget_undo(conn, Duration::ZERO).map(drop)),
    ("repair", |conn, _| many(false).repair(conn, "why").map(drop)),
    ("run_backfills", |conn, _| many(false).run_backfills(conn).map(drop)),
    ("drift", |conn, _| many(false).drift(conn).map(drop)),
];

/// What was pending is all that has run.
fn checked(report: Report) {
    let ran = report.applied.iter().map(|done| done.version.unwrap());
    assert!(ran.into_iter().all(|version| version == 14.into()), "{report}");
}

/// Steps of SQLite. A verb takes up to 25,000.
const LIMIT: u64 = 5_000_000;

/// With `LANDFALL_FLIPS` in the environment so many: 1,500 take one to two minutes.
#[test]
fn flipped_bits_end_in_an_honest_error_or_change_nothing() {
    let flips = std::env::var("LANDFALL_FLIPS").map_or(8, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (path, backups) = (dir.path().join("app.db"), dir.path().join("backups"));
    let (mut told, mut fine) = (0, 0);
    for (mode, page) in [("DELETE", 4096), ("WAL", 1024), ("DELETE", 512)] {
        let image = image(mode, page);
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for n in 0..flips {
            let mut bytes = image.clone();
            flip(&mut bytes, page, &mut numbers);
            // By turns, so that a short run has them all.
            for (verb, run) in VERBS.iter().skip(n % 3).step_by(3) {
                let what = format!("{mode}, pages of {page}, flip {n}, {verb}");
                for tail in ["", "-wal", "-shm", "-journal"] {
                    let _ = std::fs::remove_file(dir.path().join(format!("app.db{tail}")));
                }
                let _ = std::fs::remove_dir_all(&backups);
                std::fs::create_dir(&backups).unwrap();
                std::fs::write(&path, &bytes).unwrap();
                let mut conn = Connection::open(&path).unwrap();
                let steps = Arc::new(AtomicU64::new(0));
                let counted = Arc::clone(&steps);
                let limit = move || counted.fetch_add(1000, Ordering::Relaxed) > LIMIT;
                let _ = conn.progress_handler(1000, Some(limit));
                let result = catch_unwind(AssertUnwindSafe(|| run(&mut conn, &backups)));
                let result = result.unwrap_or_else(|_| panic!("panic: {what}"));
                assert!(steps.load(Ordering::Relaxed) < LIMIT, "does not end: {what}");
                assert!(conn.is_autocommit(), "{what}: {result:?}");
                match result {
                    Ok(()) => fine += 1,
                    Err(error) => {
                        told += 1;
                        let text = format!("{error:?}");
                        let is_damage =
                            text.contains("malformed") || text.contains("not a database");
                        let is_told = matches!(error.kind(), ErrorKind::Damaged { .. });
                        assert!(is_told || !is_damage, "{what}: {text}");
                        assert!(!text.contains("correct the statement"), "{what}: {text}");
                    }
                }
            }
        }
    }
    assert!(told > 20 && fine > 20, "{told} told, {fine} fine");
}
