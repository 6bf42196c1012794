//! Drift is every difference between the live schema and what the ledger says was applied, and
//! nothing else.

use landfall::rusqlite::Connection;
use landfall::{ErrorKind, Migration, Migrator, Missing, Target, Version};

use crate::support::{example, folder, memory};

fn told(migrator: &Migrator, conn: &Connection) -> Vec<String> {
    migrator.drift(conn).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn a_database_as_its_migrations_left_it_has_no_drift() {
    let migrator = example();
    let conn = migrator.open_in_memory().unwrap();
    assert_eq!(told(&migrator, &conn), Vec::<String>::new());
    // At every version on the way.
    for version in 0..=11 {
        let conn = memory();
        let to = if version == 0 { Target::Empty } else { Target::Version(Version::from(version)) };
        migrator.apply_to(&conn, to).unwrap();
        assert_eq!(told(&migrator, &conn), Vec::<String>::new(), "at {version}");
    }
}

#[test]
fn an_applied_migration_that_the_set_lacks_is_named() {
    let set = |versions: &[i64]| {
        Migrator::from_migrations(
            versions
                .iter()
                .map(|v| Migration::sql(*v, format!("m{v}"), format!("CREATE TABLE t{v}(x)"))),
        )
    };
    let conn = memory();
    set(&[1, 2, 3, 4]).app_version("7.1").apply(&conn).unwrap();
    let error = set(&[1, 3, 4]).missing(Missing::Ignore).drift(&conn).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Missing { version, .. } if *version == Version::from(2))
    );
    let error = set(&[1, 2]).drift(&conn).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Newer { version, .. } if *version == Version::from(4))
    );
    // A migration that is not applied has no part in it.
    assert_eq!(told(&set(&[1, 2, 3, 4, 5]), &conn), Vec::<String>::new());
}

#[test]
fn a_baseline_is_replayed_where_it_ran_and_where_it_stands_for_what_is_gone() {
    let one = ("0001_a.sql", "CREATE TABLE a(x)");
    let two = ("0002_b.sql", "CREATE TABLE b(x)");
    let base = ("0002_both.baseline.sql", "CREATE TABLE a(x); CREATE TABLE b(x)");
    let three = ("0003_c.sql", "ALTER TABLE b ADD COLUMN y");
    let (_d1, old) = folder(&[one, two]);
    let (_d2, both) = folder(&[one, two, base, three]);
    let (_d3, new) = folder(&[base, three]);
    let conn = memory();
    old.apply(&conn).unwrap();
    for migrator in [&old, &both, &new] {
        assert_eq!(told(migrator, &conn), Vec::<String>::new());
    }
    new.apply(&conn).unwrap();
    for conn in [conn, new.open_in_memory().unwrap(), both.open_in_memory().unwrap()] {
        assert_eq!(told(&both, &conn), Vec::<String>::new());
        assert_eq!(told(&new, &conn), Vec::<String>::new());
        conn.execute_batch("ALTER TABLE a ADD COLUMN z").unwrap();
        assert_eq!(told(&new, &conn), ["table `a` has a column `z` too many (z)"]);
    }
}
