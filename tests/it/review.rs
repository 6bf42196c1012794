//! What crosses from one feature into another.

use landfall::ErrorKind;

use crate::support::{memory, refused, set};

const PARENT: (i64, &str, &str, &str) = (
    1,
    "a",
    "CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT); CREATE UNIQUE INDEX pc ON p(code);
     CREATE TABLE c(code TEXT REFERENCES p(code));
     INSERT INTO p VALUES (1, 'a'); INSERT INTO c VALUES ('a');",
    "",
);

#[test]
fn a_rebuild_that_loses_the_key_that_others_refer_to_is_refused() {
    let conn = memory();
    set(&[PARENT]).apply(&conn).unwrap();
    let rebuild =
        "CREATE TABLE n(id INTEGER PRIMARY KEY, code TEXT); INSERT INTO n SELECT * FROM p;
                   DROP TABLE p; ALTER TABLE n RENAME TO p;";
    let error = refused(&conn, &set(&[PARENT, (2, "b", rebuild, "")]));
    assert!(matches!(error.kind(), ErrorKind::ForeignKeys { .. }), "{error}");
    let whole = format!("{rebuild} CREATE UNIQUE INDEX pc ON p(code);");
    let whole = landfall::Migration::sql(2, "b", whole);
    set(&[PARENT]).with(whole).apply(&conn).unwrap();
    conn.execute("INSERT INTO c VALUES ('a')", []).unwrap();
}

#[test]
fn an_index_that_foreign_keys_need_is_not_dropped() {
    let conn = memory();
    set(&[PARENT]).apply(&conn).unwrap();
    let error = refused(&conn, &set(&[PARENT, (2, "b", "DROP INDEX pc;", "")]));
    assert!(matches!(error.kind(), ErrorKind::ForeignKeys { .. }), "{error}");
    let another = "CREATE UNIQUE INDEX other ON p(code); DROP INDEX pc;";
    set(&[PARENT, (2, "b", another, "")]).apply(&conn).unwrap();
}

#[test]
fn a_column_that_a_trigger_cannot_do_with_is_not_added() {
    let first = (
        1,
        "a",
        "CREATE TABLE t(x); CREATE TABLE gone(x);
         CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO gone VALUES (old.x); END;",
        "",
    );
    let conn = memory();
    set(&[first]).apply(&conn).unwrap();
    let error = refused(&conn, &set(&[first, (2, "b", "ALTER TABLE gone ADD COLUMN y;", "")]));
    assert!(matches!(error.kind(), ErrorKind::BrokenObject { .. }), "{error}");
}
