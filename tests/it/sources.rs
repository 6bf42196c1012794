//! Where migrations come from: compiled in, a folder, code, and several of these together.

use include_dir::include_dir;
use landfall::{Migration, Migrator, testing};

use crate::support::{EXAMPLE, example, folder, memory, one, schema};

#[test]
fn the_one_expression_compiles_by_value_and_by_reference() {
    let by_value = memory();
    let report = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"))
        .apply(&by_value);
    assert_eq!(report.unwrap().applied.len(), 11);
    let by_reference = memory();
    Migrator::from_embedded(&EXAMPLE).apply(&by_reference).unwrap();
    assert_eq!(schema(&by_value), schema(&by_reference));
}

#[test]
fn a_folder_and_the_same_folder_compiled_in_are_one_set() {
    let conn = memory();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations-example");
    Migrator::from_dir(path).apply(&conn).unwrap();
    assert!(example().apply(&conn).unwrap().is_noop());
}

#[test]
fn a_folder_is_read_anew_by_each_verb() {
    let (dir, migrator) = folder(&[("1_a.sql", "CREATE TABLE a(x);")]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    std::fs::write(dir.path().join("2_b.sql"), "CREATE TABLE b(x);").unwrap();
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 1);
}

#[test]
fn code_goes_in_lockstep_with_files() {
    let migrator = example().with(Migration::code(12, "ada", |tx| {
        tx.execute("INSERT INTO contact(name) VALUES ('Ada')", []).map(drop)
    }));
    let conn = migrator.open_in_memory().unwrap();
    assert_eq!(one(&conn, "SELECT name FROM contact"), "Ada");
    assert_eq!(one(&conn, "SELECT checksum FROM schema_migrations WHERE version = 12"), "code:1");
}

#[test]
fn a_migrator_is_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let migrator = example();
    shared(&migrator);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                assert!(migrator.is_current(&migrator.open_in_memory().unwrap()).unwrap())
            });
        }
    });
}

#[test]
fn files_added_since_the_build_are_noticed() {
    testing::embedded_is_current(&example(), "migrations-example").unwrap();
    let dir = tempfile::tempdir().unwrap();
    EXAMPLE.extract(dir.path()).unwrap();
    testing::embedded_is_current(&example(), dir.path()).unwrap();
    std::fs::write(dir.path().join("0012_new.sql"), "SELECT 1").unwrap();
    assert_eq!(
        testing::embedded_is_current(&example(), dir.path()).unwrap_err().to_string(),
        "`0012_new.sql` is in the folder, and not compiled into the program; nothing was changed"
    );
    std::fs::remove_file(dir.path().join("0012_new.sql")).unwrap();
    std::fs::write(dir.path().join("0003_tags.sql"), "SELECT 1").unwrap();
    assert!(testing::embedded_is_current(&example(), dir.path()).is_err());
    std::fs::remove_file(dir.path().join("0003_tags.sql")).unwrap();
    assert!(testing::embedded_is_current(&example(), dir.path()).is_err());
}

#[test]
fn a_thousand_migrations_are_applied_in_order() {
    let migrator = Migrator::from_migrations((1..=1000).rev().map(|version| {
        let up = if version == 1 {
            "CREATE TABLE t(version INTEGER PRIMARY KEY)".to_owned()
        } else {
            format!("INSERT INTO t SELECT {version} WHERE (SELECT count(*) FROM t) = {version} - 2")
        };
        Migration::sql(version, "step", up)
    }));
    let conn = migrator.open_in_memory().unwrap();
    assert_eq!(one(&conn, "SELECT count(*), max(version) FROM t"), "999|1000");
    assert!(migrator.apply(&conn).unwrap().is_noop());
}

#[test]
fn open_makes_the_file_and_sets_the_connection_up() {
    let dir = tempfile::tempdir().unwrap();
    let conn = example().open(dir.path().join("app.db")).unwrap();
    assert_eq!(one(&conn, "PRAGMA journal_mode"), "wal");
    assert_eq!(one(&conn, "PRAGMA foreign_keys"), "1");
    assert_eq!(one(&conn, "PRAGMA synchronous"), "1");
    assert_eq!(one(&conn, "SELECT count(*) FROM contact"), "0");
}
