//! What is refused, and what the policies let through: late, missing, newer, modified.

use landfall::{
    ErrorKind, Late, Migration, Migrator, Missing, Newer, State, Target, Transactions, Version,
};

use crate::support::{memory, one, rows, set};

const A: (i64, &str, &str, &str) = (1, "a", "CREATE TABLE a(x)", "DROP TABLE a");
const B: (i64, &str, &str, &str) = (2, "b", "CREATE TABLE b(x)", "DROP TABLE b");
const C: (i64, &str, &str, &str) = (3, "c", "CREATE TABLE c(x)", "DROP TABLE c");
/// Breaking by itself: it writes rows.
const D: (i64, &str, &str, &str) = (4, "d", "INSERT INTO a VALUES (4)", "DELETE FROM a");

fn tables(conn: &landfall::rusqlite::Connection) -> Vec<String> {
    rows(conn, "SELECT name FROM sqlite_master WHERE name NOT LIKE 's%' ORDER BY name")
}

#[test]
fn a_late_migration_is_refused_and_applied_on_request() {
    let conn = memory();
    set(&[A, C]).apply(&conn).unwrap();
    let error = set(&[A, B, C]).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration 2_b is pending, but the database is already at version 3; nothing was changed"
    );
    assert_eq!(
        error.advice().unwrap(),
        "rename it to a number above the newest; or, if it does not depend on the order, use \
         `late(Late::Apply)`"
    );
    assert_eq!(set(&[A, B, C]).status(&conn).unwrap().migrations[1].state, State::Late);
    let report = set(&[A, B, C]).late(Late::Apply).apply(&conn).unwrap();
    assert_eq!(report.applied[0].version, Some(Version::from(2)));
    assert!(set(&[A, B, C]).apply(&conn).unwrap().is_noop());
}

#[test]
fn a_missing_migration_is_refused_and_ignored_on_request() {
    let conn = memory();
    set(&[A, B, C]).app_version("1.4.0").apply(&conn).unwrap();
    let error = set(&[A, C]).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot locate migration 2 (b), which is applied to this database by version 1.4.0 of \
         the application; nothing was changed"
    );
    assert_eq!(set(&[A, C]).status(&conn).unwrap().migrations[1].state, State::Missing);
    assert!(set(&[A, C]).missing(Missing::Ignore).apply(&conn).unwrap().is_noop());
}

#[test]
fn an_older_program_works_with_a_newer_database_that_only_grew() {
    let conn = memory();
    set(&[A, B, C]).app_version("2.0").apply(&conn).unwrap();
    let older = set(&[A]);
    for _ in 0..2 {
        let report = older.apply(&conn).unwrap();
        assert!(report.is_noop());
        let newer: Vec<_> = report.newer.iter().map(ToString::to_string).collect();
        assert_eq!(
            newer,
            [
                "2 b: of a newer program (2.0), compatible",
                "3 c: of a newer program (2.0), compatible"
            ]
        );
    }
    let error = older.newer(Newer::Refuse).apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Newer { .. }));
}

#[test]
fn an_older_program_refuses_a_newer_database_that_broke_with_it() {
    let conn = memory();
    set(&[A, B, D]).app_version("2.1.7").apply(&conn).unwrap();
    let error = set(&[A]).apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the database is at version 4 (d), made by version 2.1.7 of the application, and this \
         program knows only up to version 1; nothing was changed"
    );
    assert!(error.advice().unwrap().contains("newer(Newer::Revert)"));
    assert_eq!(set(&[A]).status(&conn).unwrap().migrations[2].state, State::Newer);
    let report = set(&[A]).newer(Newer::Ignore).apply(&conn).unwrap();
    assert_eq!(report.newer.len(), 2);
}

#[test]
fn an_older_program_can_take_a_newer_one_back_by_the_stored_downs() {
    let conn = memory();
    set(&[A, B, C, D]).apply(&conn).unwrap();
    let older = set(&[A, B]);
    let report = older.clone().newer(Newer::Revert).apply(&conn).unwrap();
    let reverted: Vec<_> = report.reverted.iter().filter_map(|d| d.version).collect();
    assert_eq!(reverted, [Version::from(4), Version::from(3)]);
    assert_eq!(tables(&conn), ["a", "b"]);
    assert_eq!(one(&conn, "SELECT count(*) FROM a"), "0");
    assert!(older.apply(&conn).unwrap().is_noop());
}

#[test]
fn reverting_what_has_no_way_back_changes_nothing() {
    let conn = memory();
    let no_down = (2, "b", "CREATE TABLE b(x)", "");
    set(&[A, no_down, C]).apply(&conn).unwrap();
    for older in [set(&[A]).newer(Newer::Revert), set(&[A, no_down, C])] {
        let error = match older.plan(&conn) {
            Err(error) => error,
            Ok(_) => older.revert(&conn, Target::Empty).unwrap_err(),
        };
        assert_eq!(
            error.to_string(),
            "migration 2 (b) cannot be reverted: it has no down script; nothing was changed"
        );
    }
    assert_eq!(tables(&conn), ["a", "b", "c"]);
}

#[test]
fn a_revert_uses_the_down_that_belongs_to_what_was_applied() {
    let conn = memory();
    set(&[A, B]).apply(&conn).unwrap();
    // Another program's idea of version 2 has a down that would fail here.
    let other = set(&[A, (2, "other", "CREATE TABLE other(x)", "DROP TABLE other")]);
    other.revert(&conn, Target::Steps(1)).unwrap();
    assert_eq!(tables(&conn), ["a"]);
}

#[test]
fn a_corrected_down_replaces_the_stored_one() {
    let conn = memory();
    set(&[A, (2, "b", "CREATE TABLE b(x)", "DROP TABLE bb")]).apply(&conn).unwrap();
    let report = set(&[A, B]).apply(&conn).unwrap();
    assert_eq!(report.amended.len(), 1);
    assert!(set(&[A, B]).apply(&conn).unwrap().is_noop());
    let report = set(&[A]).newer(Newer::Revert).apply(&conn).unwrap();
    assert_eq!(report.reverted.len(), 1);
}

#[test]
fn a_renamed_file_is_no_edit() {
    let conn = memory();
    set(&[A, B]).apply(&conn).unwrap();
    let renamed = set(&[A, (2, "better_name", B.2, B.3)]);
    assert_eq!(renamed.apply(&conn).unwrap().amended.len(), 1);
    assert_eq!(one(&conn, "SELECT name FROM schema_migrations WHERE version = 2"), "better_name");
}

#[test]
fn an_edited_migration_is_refused_until_it_says_what_it_replaces() {
    let conn = memory();
    set(&[A, B]).apply(&conn).unwrap();
    let edited = set(&[A, (2, "b", "CREATE TABLE b(x, y)", "DROP TABLE b")]);
    let error = edited.apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration 2_b is not what was applied to this database as version 2; nothing was changed"
    );
    let old = landfall::sql::checksum(B.2);
    assert!(error.advice().unwrap().contains(&format!("replaces {old}: <reason>")), "{error:#}");
    assert_eq!(edited.status(&conn).unwrap().migrations[1].state, State::Modified);
    let wrong = "-- landfall: replaces sha256:0123456789: y was added\nCREATE TABLE b(x, y)";
    let error = set(&[A, (2, "b", wrong, "DROP TABLE b")]).apply(&conn).unwrap_err();
    assert_eq!(
        error.advice().unwrap(),
        format!(
            "its `replaces` names sha256:0123456789, and what was applied is {old}: write that, \
             if the edit is meant"
        )
    );
    let text = format!("-- landfall: replaces {old}: y was added by hand\nCREATE TABLE b(x, y)");
    let meant = Migrator::from_migrations([
        Migration::sql(1, "a", A.2).down(A.3),
        Migration::sql(2, "b", text).down(B.3),
    ]);
    assert_eq!(meant.apply(&conn).unwrap().amended.len(), 1);
    assert!(meant.apply(&conn).unwrap().is_noop());
    assert_eq!(
        one(&conn, "SELECT version || reason FROM schema_history WHERE action = 'replace'"),
        "2y was added by hand"
    );
}

#[test]
fn a_code_migration_is_known_by_its_revision() {
    let with = |revision| {
        set(&[A]).with(
            Migration::code(2, "fill", |tx| tx.execute("INSERT INTO a VALUES (2)", []).map(drop))
                .revision(revision),
        )
    };
    let conn = memory();
    with(1).apply(&conn).unwrap();
    assert!(with(1).apply(&conn).unwrap().is_noop());
    let error = with(2).apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Modified { recorded, found, .. }
            if recorded == "code:1" && found == "code:2"));
    assert_eq!(one(&conn, "SELECT count(*) FROM a"), "1");
}

#[test]
fn unknown_targets_are_refused_in_both_directions() {
    let conn = memory();
    let set = set(&[A, B]);
    let error = set.apply_to(&conn, Target::Version(7.into())).unwrap_err();
    assert_eq!(error.to_string(), "there is no known version 7; nothing was changed");
    set.apply_to(&conn, Target::Version(1.into())).unwrap();
    let error = set.revert(&conn, Target::Version(2.into())).unwrap_err();
    assert_eq!(error.to_string(), "there is no applied version 2; nothing was changed");
    assert!(set.apply_to(&conn, Target::Empty).unwrap().is_noop());
    assert!(set.revert(&conn, Target::Latest).unwrap().is_noop());
    assert_eq!(tables(&conn), ["a"]);
}

#[test]
fn together_all_are_applied_or_none_and_each_keeps_those_before() {
    let broken = (3, "broken", "CREATE TABLE c(x); SELECT nothing FROM nowhere", "");
    for (transactions, left, message) in [
        (
            Transactions::Together,
            0,
            "migration 3_broken failed at line 1, column 27; nothing was changed",
        ),
        (
            Transactions::Each,
            2,
            "migration 3_broken failed at line 1, column 27; what came before stays (applied 2: \
             1 a to 2 b), nothing else was changed",
        ),
    ] {
        let conn = memory();
        let error = set(&[A, B, broken]).transactions(transactions).apply(&conn).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(tables(&conn).len(), left);
        assert_eq!(error.report().map_or(0, |report| report.applied.len()), left);
        assert_eq!(set(&[A, B, C]).apply(&conn).unwrap().applied.len(), 3 - left);
    }
}

#[test]
fn order_is_numeric_never_lexicographic() {
    let conn = memory();
    let set = set(&[
        (10, "ten", "ALTER TABLE t ADD COLUMN ten", ""),
        (2, "two", "CREATE TABLE t(two)", ""),
    ]);
    let report = set.apply(&conn).unwrap();
    let versions: Vec<_> = report.applied.iter().filter_map(|d| d.version).collect();
    assert_eq!(versions, [Version::from(2), Version::from(10)]);
}

#[test]
fn a_set_without_migrations_takes_nothing_back() {
    let conn = memory();
    set(&[A, B]).apply(&conn).unwrap();
    let error = set(&[]).newer(Newer::Revert).apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Newer { .. }), "{error}");
    assert_eq!(tables(&conn), ["a", "b"]);
}

#[test]
fn a_unique_index_is_compatible_on_a_table_of_its_own_migration_only() {
    use landfall::Compatibility::{Breaking, Compatible};
    let old = (1, "old", "CREATE TABLE old(x)", "");
    let conn = memory();
    set(&[old]).apply(&conn).unwrap();
    for (sql, expected) in [
        ("CREATE TABLE new(x); CREATE UNIQUE INDEX i ON New(x)", Compatible),
        ("CREATE INDEX i ON old(x)", Compatible),
        ("CREATE UNIQUE INDEX i ON old(x)", Breaking),
        ("CREATE TABLE new(x); CREATE UNIQUE INDEX i ON old(x)", Breaking),
    ] {
        let plan = set(&[old, (2, "next", sql, "")]).plan(&conn).unwrap();
        assert_eq!(plan.steps[0].compatibility, expected, "{sql}");
    }
}
