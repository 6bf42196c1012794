//! A record of changed rows that was damaged or forged undoes nothing, or exactly what it should.

use landfall::rusqlite::{self, Connection};
use landfall::{DataLoss, ErrorKind, Migration, Migrator, Seed, Seeds, Target};
use std::time::Duration;

use crate::interrupted::copied;
use crate::support::{cause, memory, one, rows};
use crate::undo::contents;

const UNDO: &str = "id, version, name, revision, revision_before, at, history, tables, first_row, \
                    last_row, app_version";
const ROWS: &str = "id, tbl, key, before, after";

fn migrator() -> Migrator {
    let note = "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL, stars);
                CREATE TABLE pair(a, b, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
                INSERT INTO note VALUES (1, 'one', 1.5), (2, 'two', NULL), (3, 'three', x'00');
                INSERT INTO pair VALUES (1, 'x', 1), (2, 'y', 2);";
    let first = "-- landfall: undo
                 UPDATE note SET text = upper(text) WHERE id < 3; DELETE FROM note WHERE id = 3;";
    let nothing = "-- landfall: undo\nUPDATE note SET stars = stars;";
    let second = "-- landfall: undo
                  UPDATE pair SET v = v + 10; INSERT INTO pair VALUES (3, 'z', NULL);
                  UPDATE note SET stars = 'many' WHERE id = 1;";
    let seed = |tx: &rusqlite::Transaction<'_>| {
        tx.execute("INSERT INTO note(id, text) VALUES (7, 'seed')", []).map(drop)
    };
    Migrator::from_migrations([
        Migration::sql(1, "note", note).down("DROP TABLE note; DROP TABLE pair"),
        Migration::sql(2, "first", first),
        Migration::sql(3, "nothing", nothing),
        Migration::sql(4, "second", second),
    ])
    .data_loss(DataLoss::Allow)
    .seeds(Seeds::new().add(Seed::new("seed", seed).undoable()))
}

/// What a caller can ask for that puts records back.
const VERBS: [fn(&Connection) -> landfall::Result<landfall::Report>; 4] = [
    |conn| migrator().revert_seed(conn, "seed"),
    |conn| migrator().revert(conn, Target::Steps(1)),
    |conn| migrator().revert(conn, Target::Steps(3)),
    |conn| migrator().revert(conn, Target::Empty),
];

/// The database after `apply`; its tables of records as they are made, or without any constraint.
fn applied(constraints: bool) -> Connection {
    let conn = memory();
    migrator().apply(&conn).unwrap();
    if !constraints {
        for (table, columns) in [("schema_undo", UNDO), ("schema_undo_rows", ROWS)] {
            conn.execute_batch(&format!(
                "CREATE TABLE other({columns}); INSERT INTO other SELECT * FROM {table};
                 DROP TABLE {table}; ALTER TABLE other RENAME TO {table}"
            ))
            .unwrap();
        }
    }
    conn
}

/// As an earlier release stored it: without checksums.
fn without_checksums(conn: &Connection) {
    conn.execute_batch(
        "UPDATE schema_undo SET tables = substr(tables, 1, instr(tables, 'checksums ') - 1)
         WHERE instr(tables, 'checksums ') > 0",
    )
    .unwrap();
}

/// All that is stored, ledger and application.
fn everything(conn: &Connection) -> Vec<String> {
    let mut all = contents(conn);
    for table in ["migrations", "seeds", "history", "undo", "undo_rows"] {
        let sql = format!("SELECT '{table}', * FROM schema_{table} ORDER BY rowid");
        let sql =
            sql.replace("ORDER BY rowid", if table == "seeds" { "" } else { "ORDER BY rowid" });
        all.extend(rows(conn, &sql));
    }
    all
}

/// What has to be right after a verb: the application's rows, and what the ledger says is done.
fn outcome(conn: &Connection) -> Vec<String> {
    let mut all = contents(conn);
    all.extend(rows(conn, "SELECT version, name FROM schema_migrations"));
    all.extend(rows(conn, "SELECT name, revision, state FROM schema_seeds"));
    all
}

/// Tries every verb on a damaged database. Counts the errors.
#[track_caller]
fn never_wrong(damaged: &Connection, right: &[Vec<String>], what: &str) -> usize {
    let before = everything(damaged);
    let mut errors = 0;
    for (at, (verb, right)) in VERBS.iter().zip(right).enumerate() {
        let conn = copied(damaged);
        match verb(&conn) {
            Ok(_) => assert_eq!(&outcome(&conn), right, "{what}, verb {at}: Ok, and wrong"),
            Err(error) => {
                let kind = error.kind();
                let named =
                    matches!(kind, ErrorKind::CannotUndo { .. } | ErrorKind::Irreversible { .. });
                assert!(named, "{what}, verb {at}: {error}: {}", cause(&error));
                assert_eq!(everything(&conn), before, "{what}, verb {at}: {error}");
                errors += 1;
            }
        }
    }
    errors
}

fn right(conn: &Connection) -> Vec<Vec<String>> {
    let outcome_of = |verb: &fn(&Connection) -> landfall::Result<landfall::Report>| {
        let conn = copied(conn);
        verb(&conn).unwrap();
        outcome(&conn)
    };
    VERBS.iter().map(outcome_of).collect()
}

/// No divisor of the number of forgeries per cell, so that each kind has its turn at some cell.
const STRIDE: usize = 17;

/// Expressions of what a cell becomes.
fn forgeries(table: &str, column: &str) -> Vec<String> {
    let value = |text: &str| text.to_owned();
    let mut all: Vec<String> = [
        "NULL",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "'text'",
        "''",
        "x''",
        "x'00'",
        "x'ff'",
    ]
    .map(value)
    .into();
    all.push(format!("CAST({column} AS TEXT)"));
    all.push(format!("CAST({column} AS BLOB)"));
    all.push(format!("CASE typeof({column}) WHEN 'integer' THEN {column} + 1 END"));
    all.push(format!("CASE typeof({column}) WHEN 'integer' THEN {column} - 1 END"));
    for end in [1, 2] {
        let cut = format!("substr({column}, 1, length({column}) - {end})");
        all.push(format!("CASE WHEN typeof({column}) IN ('text', 'blob') THEN {cut} END"));
    }
    for nth in 0..8 {
        all.push(format!(
            "(SELECT o.{column} FROM {table} AS o ORDER BY rowid LIMIT 1 OFFSET {nth})"
        ));
    }
    all
}

/// Flips each byte of a text or blob.
fn flipped(
    conn: &Connection,
    table: &str,
    column: &str,
    rowid: i64,
) -> Vec<rusqlite::types::Value> {
    use rusqlite::types::Value;
    let sql = format!("SELECT {column} FROM {table} WHERE rowid = ?1");
    let value: Value = conn.query_row(&sql, [rowid], |row| row.get(0)).unwrap();
    let flip = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    match value {
        Value::Text(text) => (0..text.len())
            .filter_map(|at| String::from_utf8(flip(text.as_bytes(), at)).ok())
            .map(Value::Text)
            .collect(),
        Value::Blob(bytes) => (0..bytes.len()).map(|at| Value::Blob(flip(&bytes, at))).collect(),
        _ => Vec::new(),
    }
}

/// Forges cell by cell; `only` picks columns. Of all forgeries it tries every `STRIDE`-th, or with
/// `LANDFALL_EVERY_STEP` in the environment each, which takes minutes. Returns how many were tried,
/// and how many of them were an error.
fn forge(whole: &Connection, only: impl Fn(&str, &str) -> bool, flips: bool) -> (usize, usize) {
    let right = right(whole);
    let (mut tried, mut errors) = (0, 0);
    let stride = if std::env::var_os("LANDFALL_EVERY_STEP").is_some() { 1 } else { STRIDE };
    let mut turn = 0;
    let mut is_due = || {
        turn += 1;
        turn % stride == 0
    };
    let mut attempt = |damaged: &Connection, changed: rusqlite::Result<usize>, what: &str| {
        // A constraint may not let it in; and what is the same as before is no forgery.
        if matches!(changed, Ok(1)) && everything(damaged) != everything(whole) {
            tried += 1;
            errors += usize::from(never_wrong(damaged, &right, what) > 0);
        }
    };
    for (table, columns) in [("schema_undo", UNDO), ("schema_undo_rows", ROWS)] {
        let rowids: Vec<i64> = rows(whole, &format!("SELECT rowid FROM {table}"))
            .iter()
            .map(|id| id.parse().unwrap())
            .collect();
        for column in columns.split(", ").filter(|column| only(table, column)) {
            for rowid in &rowids {
                for forgery in forgeries(table, column) {
                    if !is_due() {
                        continue;
                    }
                    let damaged = copied(whole);
                    let sql =
                        format!("UPDATE {table} SET {column} = {forgery} WHERE rowid = {rowid}");
                    let changed = damaged.execute(&sql, []);
                    attempt(&damaged, changed, &sql);
                }
                if flips {
                    for value in flipped(whole, table, column, *rowid) {
                        if !is_due() {
                            continue;
                        }
                        let damaged = copied(whole);
                        let sql = format!("UPDATE {table} SET {column} = ?1 WHERE rowid = {rowid}");
                        let changed = damaged.execute(&sql, [&value]);
                        attempt(&damaged, changed, &format!("{sql}: {value:?}"));
                    }
                }
            }
        }
    }
    (tried, errors)
}

#[test]
fn a_forged_cell_is_an_error_or_the_undo_is_exact() {
    for constraints in [true, false] {
        let (tried, errors) = forge(&applied(constraints), |_, _| true, constraints);
        println!("constraints {constraints}: {errors} errors of {tried}");
        assert!(errors > tried / 2, "{errors} of {tried}");
    }
}

/// Of a record without checksums, what says which rows it has is checked all the same.
#[test]
fn a_forged_range_without_checksums_is_an_error() {
    for constraints in [true, false] {
        let conn = applied(constraints);
        without_checksums(&conn);
        let ranges = |table: &str, column: &str| match table {
            "schema_undo" => matches!(column, "first_row" | "last_row" | "tables"),
            _ => matches!(column, "id" | "tbl"),
        };
        let (tried, errors) = forge(&conn, ranges, false);
        println!("constraints {constraints}: {errors} errors of {tried}");
        assert!(errors > tried / 2, "{errors} of {tried}");
    }
}

#[test]
fn a_record_without_checksums_is_undone() {
    let conn = applied(true);
    let right = right(&conn);
    without_checksums(&conn);
    assert_eq!(one(&conn, "SELECT sum(instr(tables, 'checksums')) FROM schema_undo"), "0");
    assert_eq!(never_wrong(&conn, &right, "without checksums"), 0);
}

#[test]
fn lost_and_swapped_rows_of_a_record_are_an_error() {
    let ranges = "(SELECT first_row FROM schema_undo WHERE version = 2)";
    let damages = [
        "DELETE FROM schema_undo_rows".to_owned(),
        "DELETE FROM schema_undo_rows WHERE tbl = 'pair'".to_owned(),
        format!("DELETE FROM schema_undo_rows WHERE id = {ranges}"),
        "DELETE FROM schema_undo_rows WHERE id = (SELECT max(id) FROM schema_undo_rows)".to_owned(),
        "DELETE FROM schema_undo_rows WHERE id = (SELECT last_row FROM schema_undo WHERE version = 4)"
            .to_owned(),
        "UPDATE schema_undo_rows SET id = id + 1000".to_owned(),
        "UPDATE schema_undo_rows SET id = -id".to_owned(),
        "UPDATE schema_undo SET first_row = last_row + 2 WHERE version = 4".to_owned(),
        "UPDATE schema_undo SET first_row = last_row + 1, tables = '' WHERE version = 4".to_owned(),
        "UPDATE schema_undo SET last_row = last_row + 1".to_owned(),
    ];
    for checksums in [true, false] {
        for damage in &damages {
            let conn = applied(true);
            let right = right(&conn);
            if !checksums {
                without_checksums(&conn);
            }
            conn.execute_batch(damage).unwrap();
            let what = format!("{damage}, checksums: {checksums}");
            assert!(never_wrong(&conn, &right, &what) > 0, "{what}: no error");
        }
    }
}

#[test]
fn a_damaged_record_is_named_and_can_be_given_up() {
    let conn = applied(true);
    conn.execute_batch("UPDATE schema_undo SET first_row = last_row + 9 WHERE version = 4")
        .unwrap();
    let error = migrator().revert(&conn, Target::Steps(1)).unwrap_err();
    let (error, advice) = (error.to_string(), error.advice().unwrap_or_default().to_string());
    assert!(error.contains("`schema_undo` is damaged"), "{error}");
    assert!(advice.contains("forget_undo"), "{advice}");
    // A start needs no records.
    migrator().apply(&conn).unwrap();
    let report = migrator().forget_undo(&conn, Duration::from_secs(3600)).unwrap();
    let names: Vec<&str> = report.forgotten.iter().map(|done| done.name.as_str()).collect();
    assert_eq!(names, ["second"]);
    let error = migrator().revert(&conn, Target::Steps(1)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Irreversible { .. }));
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_undo"), "3");
}

/// A record that claims too much takes none of another's rows with it.
#[test]
fn forgetting_a_forged_record_keeps_the_rows_of_others() {
    let conn = applied(true);
    conn.execute_batch("UPDATE schema_undo SET last_row = 1000 WHERE version = 2").unwrap();
    migrator().forget_undo(&conn, Duration::from_secs(3600)).unwrap();
    migrator().revert_seed(&conn, "seed").unwrap();
    migrator().revert(&conn, Target::Steps(2)).unwrap();
    assert_eq!(rows(&conn, "SELECT v FROM pair"), ["1", "2"]);
}
