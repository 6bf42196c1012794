//! What could make a start say that there is nothing to do where there is, and what the ledger's
//! triggers could disturb. What goes around SQLite's triggers is not among it.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use landfall::rusqlite::config::DbConfig;
use landfall::rusqlite::limits::Limit;
use landfall::rusqlite::{self, Connection, OpenFlags, Transaction, backup};
use landfall::{Migration, Migrator, Seeds, Target, Transactions};

use crate::support::{asked, dumped, folder, memory, one, rows, set, told};

const FILES: [(&str, &str); 5] = [
    ("0001_t.sql", "CREATE TABLE t(x)"),
    ("0002_two.sql", "INSERT INTO t VALUES ('two')"),
    ("0003_three.sql", "INSERT INTO t VALUES ('three')"),
    ("0003_three.down.sql", "DELETE FROM t WHERE x = 'three'"),
    ("R__v.sql", "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT x FROM t"),
];
const EDIT: &str = "UPDATE schema_migrations SET checksum = 'x' WHERE version = 2";

fn seed(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute("INSERT INTO t VALUES ('seed')", []).map(drop)
}

fn program() -> (tempfile::TempDir, Migrator) {
    let (dir, migrator) = folder(&FILES);
    (dir, migrator.seeds(Seeds::new().ensure("seed", seed)).wait(Duration::ZERO))
}

fn sealed() -> (Connection, tempfile::TempDir, Migrator) {
    let (dir, migrator) = program();
    let conn = memory();
    migrator.apply(&conn).unwrap();
    assert!(at_once(&conn, &migrator));
    (conn, dir, migrator)
}

/// Whether a start was one query.
fn at_once(conn: &Connection, migrator: &Migrator) -> bool {
    let asked = asked(conn, |conn| assert!(migrator.apply(conn).unwrap().is_noop()));
    asked.iter().filter(|sql| !sql.starts_with("PRAGMA")).count() == 1
}

fn copied(conn: &Connection) -> Connection {
    let mut copy = memory();
    backup::Backup::new(conn, &mut copy).unwrap().step(-1).unwrap();
    copy
}

/// A start does what it would without a seal.
#[track_caller]
fn honest(conn: &Connection, migrator: &Migrator) {
    let unsealed = copied(conn);
    let _ = unsealed.execute("DELETE FROM schema_state WHERE key IN ('seal', 'untouched')", []);
    let wanted = told(&migrator.apply(&unsealed));
    assert_eq!(told(&migrator.apply(conn)), wanted);
}

/// The same, where there is something that it has to notice.
#[track_caller]
fn notices(conn: &Connection, migrator: &Migrator, wanted: &str) {
    let unsealed = copied(conn);
    let _ = unsealed.execute("DELETE FROM schema_state WHERE key IN ('seal', 'untouched')", []);
    assert_eq!(told(&migrator.apply(&unsealed)), wanted, "the test is wrong");
    assert_eq!(told(&migrator.apply(conn)), wanted);
}

fn one_more(migrator: &Migrator) -> Migrator {
    migrator.clone().with(Migration::sql(4, "four", "INSERT INTO t VALUES ('four')"))
}

// Triggers that are there, and not where they belong.

/// Somebody rebuilds the ledger's table and keeps the old one: the triggers go with that.
#[test]
fn triggers_that_went_with_a_renamed_table_do_not_vouch_for_the_new_one() {
    for legacy in ["OFF", "ON"] {
        let (conn, _dir, migrator) = sealed();
        let create = one(&conn, "SELECT sql FROM sqlite_master WHERE name = 'schema_migrations'");
        conn.execute_batch(&format!(
            "PRAGMA legacy_alter_table = {legacy};
             ALTER TABLE schema_migrations RENAME TO kept; {create};
             INSERT INTO schema_migrations SELECT * FROM kept"
        ))
        .unwrap();
        let migrator = one_more(&migrator);
        migrator.apply(&conn).unwrap();
        conn.execute_batch(EDIT).unwrap();
        notices(&conn, &migrator, "Modified");
    }
}

#[test]
fn triggers_that_write_to_a_renamed_state_do_not_vouch() {
    let (conn, _dir, migrator) = sealed();
    conn.execute_batch("ALTER TABLE schema_state RENAME TO kept").unwrap();
    migrator.apply(&conn).unwrap();
    conn.execute_batch(EDIT).unwrap();
    notices(&conn, &migrator, "Modified");
}

#[test]
fn a_trigger_of_the_applications_by_that_name_does_not_vouch() {
    let (conn, _dir, migrator) = sealed();
    conn.execute_batch(
        "DROP TRIGGER schema_migrations_update_unseals;
         CREATE TRIGGER schema_migrations_update_unseals AFTER UPDATE ON t BEGIN SELECT 1; END",
    )
    .unwrap();
    let migrator = one_more(&migrator);
    migrator.apply(&conn).unwrap();
    conn.execute_batch(EDIT).unwrap();
    notices(&conn, &migrator, "Modified");
}

// Triggers that are there, and do not run.

#[test]
fn a_trigger_that_breaks_off_does_not_hide_a_write() {
    for (temp, raise) in [
        ("", "RAISE(IGNORE)"),
        ("", "RAISE(FAIL, 'no')"),
        ("TEMP", "RAISE(IGNORE)"),
        ("TEMP", "RAISE(FAIL, 'no')"),
    ] {
        let (conn, _dir, migrator) = sealed();
        conn.execute_batch(&format!(
            "CREATE {temp} TRIGGER theirs AFTER UPDATE ON main.schema_migrations
             BEGIN SELECT {raise}; END"
        ))
        .unwrap();
        let migrator = one_more(&migrator);
        migrator.apply(&conn).unwrap();
        let _ = conn.execute_batch(EDIT);
        assert_eq!(one(&conn, "SELECT checksum FROM schema_migrations WHERE version = 2"), "x");
        notices(&conn, &migrator, "Modified");
    }
}

// Versions of the schema that are the same by accident.

/// Its triggers are there already when it is sealed.
#[test]
fn a_dump_of_what_was_loaded_from_a_dump_is_read() {
    let (conn, _dir, migrator) = sealed();
    let loaded = memory();
    loaded.execute_batch(&dumped(&conn)).unwrap();
    let migrator = one_more(&migrator);
    migrator.apply(&loaded).unwrap();
    let again = memory();
    again.execute_batch(&dumped(&loaded).replace("'two'", "'zwei'")).unwrap();
    notices(&again, &migrator, "amended 1");
}

/// What people do to a database that they loaded.
#[test]
fn a_dump_that_was_edited_and_loaded_and_tidied_up_is_read() {
    let (conn, _dir, migrator) = sealed();
    let dump = dumped(&conn).replace("'two'", "'zwei'");
    for tidying in
        ["VACUUM", "VACUUM; ANALYZE", "ANALYZE", "VACUUM; VACUUM", "VACUUM; ANALYZE; VACUUM"]
    {
        let loaded = memory();
        loaded.execute_batch(&dump).unwrap();
        loaded.execute_batch(tidying).unwrap();
        notices(&loaded, &migrator, "amended 1");
    }
}

// Others who write meanwhile.

type Work = Box<dyn FnOnce()>;

thread_local! {
    static BEFORE: RefCell<Option<(&'static str, Work)>> = const { RefCell::new(None) };
}

unsafe extern "C" fn begins(
    _: std::ffi::c_uint,
    _: *mut std::ffi::c_void,
    _: *mut std::ffi::c_void,
    text: *mut std::ffi::c_void,
) -> std::ffi::c_int {
    // SAFETY: of SQLITE_TRACE_STMT this is the statement's text.
    let sql = unsafe { std::ffi::CStr::from_ptr(text.cast()) }.to_string_lossy();
    let work = BEFORE.with_borrow_mut(|before| before.take_if(|(text, _)| sql.starts_with(*text)));
    if let Some((_, work)) = work {
        work();
    }
    0
}

/// Does that right before the connection's first statement that begins so.
fn meanwhile(conn: &Connection, text: &'static str, work: impl FnOnce() + 'static) {
    BEFORE.set(Some((text, Box::new(work))));
    // SAFETY: the connection is open, and the callback takes nothing of ours.
    let done = unsafe {
        let mask = rusqlite::ffi::SQLITE_TRACE_STMT as std::ffi::c_uint;
        rusqlite::ffi::sqlite3_trace_v2(conn.handle(), mask, Some(begins), std::ptr::null_mut())
    };
    assert_eq!(done, rusqlite::ffi::SQLITE_OK);
}

fn happened() -> bool {
    BEFORE.with_borrow(Option::is_none)
}

fn open(folder: &Path, mode: &str) -> Connection {
    let conn = Connection::open(folder.join("app.db")).unwrap();
    conn.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |_| Ok(())).unwrap();
    conn
}

/// At first the third migration is to be done, and at last the seed: at no time nothing.
#[test]
fn state_and_rows_are_of_one_moment() {
    fn failing(tx: &Transaction<'_>) -> rusqlite::Result<()> {
        tx.execute("INSERT INTO nowhere VALUES (1)", []).map(drop)
    }
    for mode in ["WAL", "DELETE"] {
        let folder = tempfile::tempdir().unwrap();
        let (dir, _) = program();
        for (name, down) in [
            ("0001_t", "-- landfall: allow-data-loss: a test\nDROP TABLE t"),
            ("0002_two", "DELETE FROM t WHERE x = 'two'"),
        ] {
            std::fs::write(dir.path().join(format!("{name}.down.sql")), down).unwrap();
        }
        let migrator = Migrator::from_dir(dir.path())
            .seeds(Seeds::new().ensure("seed", seed))
            .wait(Duration::ZERO);
        let (conn, other) = (open(folder.path(), mode), open(folder.path(), mode));
        migrator.apply(&conn).unwrap();
        migrator.revert(&conn, Target::Steps(1)).unwrap();
        let theirs = migrator.clone();
        meanwhile(&conn, "SELECT version,name,checksum,compatible", move || {
            // Without a write-ahead log nobody can write while somebody reads.
            if theirs.revert(&other, Target::Empty).is_ok() {
                let failing = theirs.clone().seeds(Seeds::new().ensure("seed", failing));
                let _ = failing.apply(&other);
            }
        });
        let told = told(&migrator.apply(&conn));
        assert!(happened());
        assert_ne!(told, "", "{mode}");
        assert_eq!(rows(&conn, "SELECT x FROM t WHERE x = 'seed'"), ["seed"], "{mode}");
    }
}

#[test]
fn the_version_is_of_the_moment_of_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let (_dir, migrator) = program();
    let (conn, other) = (open(folder.path(), "WAL"), open(folder.path(), "WAL"));
    migrator.apply(&conn).unwrap();
    let version = one(&conn, "PRAGMA schema_version");
    meanwhile(&conn, "PRAGMA main.schema_version", move || {
        other
            .execute_batch(&format!("DROP TRIGGER schema_migrations_update_unseals; {EDIT}"))
            .unwrap();
    });
    // As it was when the start began.
    assert_eq!(told(&migrator.apply(&conn)), "");
    assert!(happened());
    assert_ne!(one(&conn, "PRAGMA schema_version"), version);
    notices(&conn, &migrator, "Modified");

    // With a read of the application's open, the moment is that of the read.
    let folder = tempfile::tempdir().unwrap();
    let (conn, other) = (open(folder.path(), "WAL"), open(folder.path(), "WAL"));
    migrator.apply(&conn).unwrap();
    let mut reading = conn.prepare("SELECT x FROM t").unwrap();
    let mut rows = reading.query([]).unwrap();
    rows.next().unwrap();
    other.execute_batch(EDIT).unwrap();
    assert_eq!(told(&migrator.apply(&conn)), "");
    drop(rows);
    drop(reading);
    assert_eq!(told(&migrator.apply(&conn)), "Modified");
}

// What the triggers could be in the way of.

#[test]
fn a_migration_renames_a_table_where_the_state_is_lost() {
    for sql in ["ALTER TABLE t RENAME COLUMN x TO y", "ALTER TABLE t RENAME TO u"] {
        let migrator = set(&[(1, "t", "CREATE TABLE t(x)", "")]);
        let conn = memory();
        migrator.apply(&conn).unwrap();
        conn.execute_batch("DROP TABLE schema_state").unwrap();
        let migrator = migrator.with(Migration::sql(2, "rename", sql));
        let result = migrator.apply(&conn);
        assert!(result.is_ok(), "{:?}", result.unwrap_err());
    }
}

#[test]
fn a_connection_that_allows_no_triggers_migrates() {
    let (conn, _dir, migrator) = sealed();
    let _ = conn.set_limit(Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 0);
    let result = one_more(&migrator).apply(&conn);
    assert!(result.is_ok(), "{:?}", result.unwrap_err());
}

#[test]
fn an_authorizer_that_allows_no_triggers_lets_a_database_be_migrated() {
    use landfall::rusqlite::hooks::{AuthAction, AuthContext, Authorization};
    let (_dir, migrator) = program();
    let mut conn = memory();
    // From rusqlite 0.41 on it wants the connection alone.
    let alone = &mut conn;
    let _ = alone.authorizer(Some(|context: AuthContext<'_>| match context.action {
        AuthAction::CreateTrigger { .. } => Authorization::Deny,
        _ => Authorization::Allow,
    }));
    let result = migrator.apply(&conn);
    assert!(result.is_ok(), "{:?}", result.unwrap_err());
}

#[test]
fn rows_of_the_ledger_are_in_no_count() {
    for transactions in [Transactions::Each, Transactions::Together] {
        let (_dir, migrator) = folder(&FILES);
        let migrator = migrator.transactions(transactions);
        let conn = memory();
        migrator.apply_to(&conn, Target::Steps(1)).unwrap();
        let report = migrator.apply(&conn).unwrap();
        let counts: Vec<_> = report.applied.iter().map(|done| done.rows_changed).collect();
        assert_eq!(counts, [1, 1]);
        let more = one_more(&migrator);
        assert_eq!(more.apply(&conn).unwrap().applied[0].rows_changed, 1);
    }
}

// What ought to hold.

#[test]
fn odd_settings_change_nothing() {
    type Set = fn(&Connection);
    let settings: [(&str, Set); 9] = [
        ("query_only", |conn| conn.execute_batch("PRAGMA query_only = ON").unwrap()),
        ("defensive", |conn| {
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map(drop).unwrap()
        }),
        ("trusted", |conn| conn.execute_batch("PRAGMA trusted_schema = OFF").unwrap()),
        ("recursive", |conn| conn.execute_batch("PRAGMA recursive_triggers = ON").unwrap()),
        ("legacy", |conn| conn.execute_batch("PRAGMA legacy_alter_table = ON").unwrap()),
        ("foreign keys", |conn| conn.execute_batch("PRAGMA foreign_keys = ON").unwrap()),
        ("exclusive", |conn| {
            conn.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(())).unwrap()
        }),
        ("temp", |conn| {
            conn.execute_batch(
                "CREATE TEMP TABLE schema_migrations(x); CREATE TEMP TABLE schema_state(key, value);
                 INSERT INTO temp.schema_state VALUES ('untouched', 1), ('seal', 2)",
            )
            .unwrap();
        }),
        ("attached", |conn| {
            conn.execute_batch(
                "ATTACH ':memory:' AS a; CREATE TABLE a.schema_state(key, value);
                 CREATE TABLE a.schema_migrations(version, checksum);
                 CREATE TRIGGER a.schema_migrations_update_unseals AFTER UPDATE ON schema_migrations
                 BEGIN SELECT RAISE(ABORT, 'no'); END",
            )
            .unwrap();
        }),
    ];
    for (name, set) in settings {
        let (conn, _dir, migrator) = sealed();
        set(&conn);
        assert!(at_once(&conn, &migrator), "{name}");
        let edited = conn
            .execute_batch("UPDATE main.schema_migrations SET checksum = 'x' WHERE version = 2");
        assert_eq!(edited.is_err(), name == "query_only", "{name}: {edited:?}");
        if edited.is_ok() && name != "temp" {
            assert_eq!(told(&migrator.apply(&conn)), "Modified", "{name}");
        }
    }
}

#[test]
fn every_way_to_write_is_told() {
    let all = "name, checksum, down_sql, compatible, applied_at, took_us, app_version
               FROM schema_migrations WHERE version";
    for deed in [
        EDIT.to_owned(),
        format!("BEGIN; SAVEPOINT a; {EDIT}; RELEASE a; COMMIT"),
        format!("SAVEPOINT a; {EDIT}; SAVEPOINT b; DELETE FROM t; ROLLBACK TO b; RELEASE a"),
        format!("SAVEPOINT a; {EDIT}; ROLLBACK TO a; RELEASE a"),
        format!("BEGIN; {EDIT}; ROLLBACK"),
        "DELETE FROM schema_migrations".to_owned(),
        "UPDATE schema_migrations SET checksum = s.x FROM (SELECT 'x' AS x) s WHERE version = 2".to_owned(),
        "UPDATE OR FAIL schema_migrations SET version = iif(version = 1, 0, 2) WHERE version IN (1, 3)".to_owned(),
        "UPDATE OR IGNORE schema_migrations SET version = 2 WHERE version = 3".to_owned(),
        "UPDATE OR REPLACE schema_migrations SET version = 2 WHERE version = 3".to_owned(),
        "UPDATE OR ROLLBACK schema_migrations SET version = 2 WHERE version = 3".to_owned(),
        format!("INSERT OR FAIL INTO schema_migrations SELECT iif(version = 1, 9, 2), {all} IN (1, 2)"),
        format!("INSERT OR REPLACE INTO schema_migrations SELECT 3, {all} = 2"),
        format!("INSERT INTO schema_migrations SELECT 3, {all} = 2 ON CONFLICT DO UPDATE SET checksum = 'x'"),
        "WITH w AS (SELECT 2 AS v) DELETE FROM schema_migrations WHERE version IN (SELECT v FROM w)".to_owned(),
        "CREATE VIEW w AS SELECT * FROM schema_migrations;
         CREATE TRIGGER w_u INSTEAD OF UPDATE ON w BEGIN
           UPDATE schema_migrations SET checksum = new.checksum WHERE version = old.version; END;
         UPDATE w SET checksum = 'x' WHERE version = 2".to_owned(),
        format!("ALTER TABLE schema_migrations ADD COLUMN note; {EDIT}"),
        "ALTER TABLE schema_migrations RENAME TO m; UPDATE m SET checksum = 'x' WHERE version = 2;
         ALTER TABLE m RENAME TO schema_migrations"
            .to_owned(),
        "ALTER TABLE schema_migrations RENAME COLUMN checksum TO c; ALTER TABLE schema_migrations
         RENAME COLUMN name TO checksum; ALTER TABLE schema_migrations RENAME COLUMN c TO name".to_owned(),
        format!("VACUUM; {EDIT}"),
        "REINDEX; ANALYZE; DROP TABLE IF EXISTS sqlite_stat1".to_owned(),
        "CREATE UNIQUE INDEX u ON schema_migrations(checksum);
         INSERT OR REPLACE INTO schema_migrations SELECT 3, name, checksum, down_sql, compatible,
             applied_at, took_us, app_version FROM schema_migrations WHERE version = 2".to_owned(),
        "PRAGMA user_version = 7; PRAGMA application_id = 7".to_owned(),
        "PRAGMA schema_version = 1".to_owned(),
    ] {
        for again in [false, true] {
            let (conn, _dir, migrator) = sealed();
            let _ = conn.execute_batch(&deed);
            if !conn.is_autocommit() {
                conn.execute_batch("ROLLBACK").unwrap();
            }
            let unsealed = copied(&conn);
            let _ = unsealed
                .execute("DELETE FROM schema_state WHERE key IN ('seal', 'untouched')", []);
            let wanted = told(&migrator.apply(&unsealed));
            assert_eq!(told(&migrator.apply(&conn)), wanted, "{deed}");
            if again {
                let more = one_more(&migrator);
                if more.apply(&conn).is_ok() {
                    conn.execute_batch(EDIT).unwrap();
                    honest(&conn, &more);
                }
            }
        }
    }
}

#[test]
fn every_way_to_copy_is_read_or_right() {
    let folder = tempfile::tempdir().unwrap();
    let (_dir, migrator) = program();
    let path = |name: &str| folder.path().join(name);
    let conn = Connection::open(path("app.db")).unwrap();
    migrator.apply(&conn).unwrap();
    conn.execute("VACUUM INTO ?1", [path("vacuumed.db").to_str().unwrap()]).unwrap();
    std::fs::copy(path("app.db"), path("copied.db")).unwrap();
    for name in ["vacuumed.db", "copied.db"] {
        let copy = Connection::open(path(name)).unwrap();
        assert_eq!(told(&migrator.apply(&copy)), "", "{name}");
        copy.execute_batch(EDIT).unwrap();
        assert_eq!(told(&migrator.apply(&copy)), "Modified", "{name}");
        let mut live = Connection::open(path("app.db")).unwrap();
        backup::Backup::new(&copy, &mut live).unwrap().step(-1).unwrap();
        assert_eq!(told(&migrator.apply(&conn)), "Modified", "{name}");
        copy.execute_batch("DELETE FROM schema_migrations WHERE version > 1").unwrap();
        backup::Backup::new(&copy, &mut live).unwrap().step(-1).unwrap();
        assert_ne!(told(&migrator.apply(&conn)), "", "{name}");
    }
}

#[test]
fn a_start_with_nothing_to_do_writes_nothing_and_waits_for_nobody() {
    for mode in ["DELETE", "WAL"] {
        let folder = tempfile::tempdir().unwrap();
        let (_dir, migrator) = program();
        let conn = open(folder.path(), mode);
        migrator.apply(&conn).unwrap();
        for deed in
            ["", "VACUUM", "CREATE TABLE more(x)", "UPDATE schema_migrations SET took_us = 1"]
        {
            conn.execute_batch(deed).unwrap();
            let writer = open(folder.path(), mode);
            writer.execute_batch("BEGIN IMMEDIATE").unwrap();
            let before = (one(&writer, "PRAGMA data_version"), conn.total_changes());
            for _ in 0..2 {
                assert_eq!(told(&migrator.apply(&conn)), "", "{deed}");
            }
            writer.execute_batch("ROLLBACK").unwrap();
            for _ in 0..2 {
                assert_eq!(told(&migrator.apply(&conn)), "", "{deed}");
            }
            let after = (one(&writer, "PRAGMA data_version"), conn.total_changes());
            assert_eq!(after, before, "{deed}");
        }
        drop(conn);
        let only = Connection::open_with_flags(
            folder.path().join("app.db"),
            OpenFlags::SQLITE_OPEN_READ_ONLY,
        )
        .unwrap();
        assert_eq!(told(&migrator.apply(&only)), "");
    }
}

#[test]
fn a_database_from_before_is_sealed_once() {
    for old in
        ["0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef0123456789abcdef"]
    {
        for edit in ["", EDIT] {
            let (conn, _dir, migrator) = sealed();
            conn.execute_batch(&format!(
                "DROP TRIGGER schema_migrations_insert_unseals;
                 DROP TRIGGER schema_migrations_update_unseals;
                 DROP TRIGGER schema_migrations_delete_unseals;
                 DELETE FROM schema_state WHERE key = 'untouched';
                 UPDATE schema_state SET value = '{old}' WHERE key = 'seal'; {edit}"
            ))
            .unwrap();
            if edit.is_empty() {
                assert!(!at_once(&conn, &migrator));
                assert!(at_once(&conn, &migrator));
                conn.execute_batch(EDIT).unwrap();
            }
            notices(&conn, &migrator, "Modified");
        }
    }
}

#[test]
fn prefixes_that_begin_with_each_other_have_ledgers_of_their_own() {
    let conn = memory();
    let of = |prefix: &str, table: &str| {
        Migrator::from_migrations([Migration::sql(1, "t", format!("CREATE TABLE {table}(x)"))])
            .ledger(prefix)
    };
    let (a, b) = (of("a", "t"), of("a_migrations", "u"));
    a.apply(&conn).unwrap();
    b.apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"), "6");
    conn.execute_batch("UPDATE a_migrations_migrations SET checksum = 'x'").unwrap();
    assert_eq!(told(&b.apply(&conn)), "Modified");
    assert_eq!(told(&a.apply(&conn)), "");
    conn.execute_batch("UPDATE a_migrations SET checksum = 'x'").unwrap();
    assert_eq!(told(&a.apply(&conn)), "Modified");
}

/// Verbs in turn, with edits between.
#[test]
fn verbs_leave_what_a_start_sees_through() {
    let (conn, dir, _) = sealed();
    std::fs::write(
        dir.path().join("0004_four.sql"),
        "-- landfall: no-transaction\nINSERT INTO t VALUES ('four')",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("0004_four.down.sql"),
        "-- landfall: no-transaction\nDELETE FROM t WHERE x = 'four'",
    )
    .unwrap();
    for transactions in [Transactions::Each, Transactions::Together] {
        let migrator = Migrator::from_dir(dir.path())
            .seeds(Seeds::new().ensure("seed", seed))
            .transactions(transactions)
            .wait(Duration::ZERO);
        let result = migrator.apply(&conn);
        assert!(result.is_ok(), "{result:?}");
        for _ in 0..2 {
            honest(&conn, &migrator);
            let result = migrator.revert(&conn, Target::Steps(1));
            assert!(result.is_ok(), "{result:?}");
            assert!(!migrator.is_current(&conn).unwrap());
            migrator.apply(&conn).unwrap();
            conn.execute_batch(EDIT).unwrap();
            assert_eq!(told(&migrator.apply(&conn)), "Modified");
            migrator.repair(&conn, "a test").unwrap();
            assert!(migrator.is_current(&conn).unwrap());
            migrator.apply(&conn).unwrap();
            migrator.revert(&conn, Target::Steps(2)).unwrap();
            migrator.baseline(&conn, 4.into()).unwrap();
            honest(&conn, &migrator);
            assert!(at_once(&conn, &migrator));
        }
    }
}

#[test]
fn a_ledger_is_taken_away_in_any_order() {
    for tables in
        [["migrations", "seeds", "history", "state"], ["state", "history", "seeds", "migrations"]]
    {
        let (conn, _dir, migrator) = sealed();
        for table in tables {
            conn.execute_batch(&format!("DROP TABLE schema_{table}")).unwrap();
        }
        assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"), "0");
        conn.execute_batch("DROP VIEW v; ALTER TABLE t RENAME TO u").unwrap();
        drop(migrator);
    }
}

#[test]
fn a_shared_cache_and_another_order_of_rows_change_nothing() {
    let (_dir, migrator) = program();
    let flags = OpenFlags::default() | OpenFlags::SQLITE_OPEN_SHARED_CACHE;
    let open =
        || Connection::open_with_flags("file:review_seal?mode=memory&cache=shared", flags).unwrap();
    let (conn, other) = (open(), open());
    migrator.apply(&conn).unwrap();
    assert!(at_once(&other, &migrator));
    other.execute_batch(EDIT).unwrap();
    notices(&conn, &migrator, "Modified");

    let (conn, _dir, migrator) = sealed();
    conn.execute_batch("PRAGMA reverse_unordered_selects = ON").unwrap();
    migrator.apply(&conn).unwrap();
    let before = conn.total_changes();
    migrator.apply(&conn).unwrap();
    assert_eq!(conn.total_changes(), before);
    conn.execute_batch(EDIT).unwrap();
    notices(&conn, &migrator, "Modified");
}
