//! What a deed changed is put back: rows that are hard to see go, and what must not be undone.

use landfall::{Migration, Migrator, Target};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::memory;

fn recorded(data: &'static str) -> Migrator {
    Migrator::from_migrations([Migration::sql(1, "data", format!("-- landfall: undo\n{data}"))])
}

/// How many steps SQLite's machine takes to record and undo a change to so many rows.
fn steps(rows: usize, deed: &'static str) -> usize {
    let mut conn = memory();
    conn.execute_batch(&format!(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b NOT NULL DEFAULT 5,
             g AS (b || a) UNIQUE);
         CREATE UNIQUE INDEX live ON t(a COLLATE NOCASE DESC, b) WHERE b > 0;
         CREATE UNIQUE INDEX lowered ON t(lower(a) COLLATE NOCASE, b);
         CREATE TABLE w(id, a TEXT COLLATE NOCASE PRIMARY KEY, UNIQUE (id)) WITHOUT ROWID;
         WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {rows})
             INSERT INTO t(id, a, b) SELECT x, 'name' || x, x FROM c;
         INSERT INTO w SELECT id, a FROM t;"
    ))
    .unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let handler = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    // From rusqlite 0.38 on it returns a result, from 0.41 on it wants the connection alone.
    let alone = &mut conn;
    let _ = alone.progress_handler(100, Some(handler));
    let migrator = recorded(deed);
    migrator.apply(&conn).unwrap();
    migrator.revert(&conn, Target::Empty).unwrap();
    count.load(Ordering::Relaxed)
}

#[test]
fn a_row_costs_the_same_in_a_large_table() {
    for deed in [
        "UPDATE t SET a = a || 'x'",
        "UPDATE t SET b = b + 1",
        "REPLACE INTO t(id, a, b) SELECT id, a, b + 1 FROM t",
        "UPDATE w SET id = -id",
        "DELETE FROM t",
    ] {
        let (few, many) = (steps(200, deed), steps(1600, deed));
        assert!(many < 12 * few, "{deed}: {few} steps for 200 rows, {many} for 1600");
    }
}
