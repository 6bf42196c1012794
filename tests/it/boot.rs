//! A start brings the database to where it should be, and the next one finds nothing to do.

use landfall::{Target, Version};

use crate::support::{dump, example, memory, one, schema};

#[test]
fn the_second_boot_finds_nothing_to_do() {
    let conn = memory();
    let first = example().apply(&conn).unwrap();
    assert_eq!(first.applied.len(), 11);
    assert_eq!(first.repeated.len(), 1);
    let before = dump(&conn);
    let history = one(&conn, "SELECT count(*) FROM schema_history");
    let second = example().apply(&conn).unwrap();
    assert!(second.is_noop(), "{second}");
    assert_eq!(dump(&conn), before);
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_history"), history);
}

#[test]
fn every_version_is_reached_stepwise_and_left_again_without_a_trace() {
    let conn = memory();
    let migrator = example();
    let mut schemas = vec![schema(&conn)];
    for _ in 0..11 {
        let report = migrator.apply_to(&conn, Target::Steps(1)).unwrap();
        assert_eq!(report.applied.len(), 1);
        schemas.push(schema(&conn));
    }
    let last = schemas.pop().unwrap();
    assert!(last.iter().any(|line| line.starts_with("view contact_card")), "{last:#?}");
    while let Some(expected) = schemas.pop() {
        let report = migrator.revert(&conn, Target::Steps(1)).unwrap();
        assert_eq!(report.reverted.len(), 1);
        assert_eq!(schema(&conn), expected, "after {report}");
    }
    assert_eq!(dump(&conn), "");
}

#[test]
fn the_end_is_the_same_from_every_starting_point() {
    let fresh = memory();
    example().apply(&fresh).unwrap();
    for start in 1..=11 {
        let conn = memory();
        let target = Target::Version(Version::from(start));
        example().apply_to(&conn, target).unwrap();
        example().apply(&conn).unwrap();
        assert_eq!(schema(&conn), schema(&fresh), "starting from {start}");
    }
}
