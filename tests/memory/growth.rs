//! What a script makes Rust code allocate grows with the script, and not with its square.

use landfall::{Migration, Migrator};

use crate::allocator::install;
use crate::counting::counted;
use crate::support::memory;

const OLD: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'a');
    CREATE TABLE other(x); CREATE TABLE gone(x);";

/// Applies a script of so many parts to a database with a table of rows.
fn allocated(script: impl Fn(usize) -> String, n: usize) -> (u64, i64) {
    let first = Migration::sql(1, "first", OLD);
    let conn = memory();
    Migrator::from_migrations([first.clone()]).apply(&conn).unwrap();
    let migrator = Migrator::from_migrations([first, Migration::sql(2, "script", script(n))]);
    counted(|| drop(migrator.apply(&conn).unwrap()))
}

#[track_caller]
fn grows_linearly(what: &str, script: impl Fn(usize) -> String) {
    install();
    let [few, more, most] = [300, 600, 1200].map(|n| allocated(&script, n));
    // With the square of n, each difference would be four times the one before.
    let (all, peak) = (most.0 - more.0, most.1 - more.1);
    assert!(all < 3 * (more.0 - few.0), "{what}, bytes in all: {few:?}, {more:?}, {most:?}");
    assert!(peak < 3 * (more.1 - few.1), "{what}, at most: {few:?}, {more:?}, {most:?}");
}

fn repeat(n: usize, part: impl Fn(usize) -> String) -> String {
    (0..n).map(part).collect()
}

const REBUILD: &str = "CREATE TABLE t_new(id INTEGER PRIMARY KEY, a);
    INSERT INTO t_new SELECT id, a FROM t; DROP TABLE t; ALTER TABLE t_new RENAME TO t;";

#[test]
fn rows_inserted_before_a_drop_are_judged_in_linear_memory() {
    grows_linearly("other table", |n| {
        repeat(n, |at| format!("INSERT INTO other VALUES ('row {at}');")) + "DROP TABLE gone;"
    });
    grows_linearly("rebuilt table", |n| {
        repeat(n, |at| format!("INSERT INTO t(a) VALUES ('row {at}');")) + REBUILD
    });
}

#[test]
fn rows_updated_before_a_rebuild_are_judged_in_linear_memory() {
    grows_linearly("updates", |n| {
        repeat(n, |at| format!("UPDATE t SET a = 'value {at}' WHERE id = {at};")) + REBUILD
    });
}

#[test]
fn tables_made_and_dropped_are_judged_in_linear_memory() {
    grows_linearly("pairs", |n| {
        repeat(n, |at| format!("CREATE TABLE r{at}(x); DROP TABLE r{at};"))
    });
    grows_linearly("tables beside a drop", |n| {
        repeat(n, |at| format!("CREATE TABLE r{at}(x);")) + "DROP TABLE gone;"
    });
}

#[test]
fn savepoints_of_a_script_are_judged_in_linear_memory() {
    grows_linearly("savepoints", |n| {
        repeat(n, |at| format!("SAVEPOINT s; CREATE TABLE r{at}(x); RELEASE s;"))
            + "DROP TABLE gone;"
    });
}
