//! What is named like a file of a set and is none is refused by name, without being opened.
#![cfg(unix)]

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use landfall::include_dir::{Dir, DirEntry};
use landfall::testing::{embedded_is_current, lockfile, schema_file, verify};
use landfall::{ErrorKind, Layout, Migrator, Seeds};

use crate::support::{cause, folder, memory};

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

type Make = fn(&Path);

/// What can have a file's name, and what it is called.
const ODD: [(Make, &str); 6] = [
    (|path| fifo(path), "a FIFO, not a file"),
    (|path| drop(UnixListener::bind(path).unwrap()), "a socket, not a file"),
    (|path| std::fs::create_dir(path).unwrap(), "a folder, not a file"),
    (|path| symlink("/dev/zero", path).unwrap(), "a device, not a file"),
    (
        |path| {
            fifo(&path.with_extension("aside"));
            symlink(path.with_extension("aside"), path).unwrap();
        },
        "a FIFO, not a file",
    ),
    (
        |path| {
            std::fs::create_dir(path.with_extension("aside")).unwrap();
            symlink(path.with_extension("aside"), path).unwrap();
        },
        "a folder, not a file",
    ),
];

#[test]
fn odd_file_in_a_folder_is_refused_by_name() {
    for (make, what) in ODD {
        for name in
            ["2_b.sql", "1_a.down.sql", "R__view.SQL", "repeatable/view.sql", "metadata.toml"]
        {
            let (dir, migrator) =
                folder(&[("1_a.sql", "CREATE TABLE a(x)"), ("repeatable/x.md", "")]);
            make(&dir.path().join(name));
            let error = migrator.check().unwrap_err();
            assert_eq!(
                format!("{error:#}"),
                format!(
                    "`{name}` is not understood: it is {what}; nothing was changed\nwhat to do: move \
                     it out of the folder, or pass over it with `.ignore(\"{name}\")`"
                )
            );
            assert!(matches!(error.kind(), ErrorKind::BadName { .. }));
            for error in [
                migrator.apply(&memory()).map(drop),
                migrator.is_current(&memory()).map(drop),
                migrator.open_in_memory().map(drop),
                lockfile(&migrator, dir.path().join("lock")),
                schema_file(&migrator, dir.path().join("schema")),
            ] {
                let kind = error.unwrap_err();
                assert!(matches!(kind.kind(), ErrorKind::BadName { .. }), "{kind:?}");
            }
            assert!(verify(&migrator).run().is_err());
            assert_eq!(migrator.ignore(name).apply(&memory()).unwrap().applied.len(), 1, "{what}");
        }
    }
}

#[test]
fn link_that_leads_nowhere_is_refused_by_name() {
    for to in ["nowhere", "2_b.sql"] {
        let (dir, migrator) = folder(&[("1_a.sql", "CREATE TABLE a(x)")]);
        symlink(to, dir.path().join("2_b.sql")).unwrap();
        let error = migrator.apply(&memory()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Source { .. }), "{error:?}");
        assert!(error.to_string().contains("2_b.sql"), "{error:?}");
    }
}

#[test]
fn folder_of_one_migration_may_be_named_like_a_file() {
    let diesel = [("2024-01-01-000000_a.sql/up.sql", "CREATE TABLE a(x)")];
    let prisma = [("20240101000000_a.sql/migration.sql", "CREATE TABLE a(x)")];
    for (files, layout) in [(diesel, Layout::Diesel), (prisma, Layout::Prisma)] {
        let (_dir, migrator) = folder(&files);
        let migrator = migrator.layout(layout);
        assert_eq!(migrator.apply(&memory()).unwrap().applied.len(), 1, "{layout}");
    }
}

#[test]
fn folder_named_like_a_file_is_refused_where_it_is_compiled_in() {
    static NAMED: [DirEntry<'static>; 1] = [DirEntry::Dir(Dir::new("1_a.sql", &[]))];
    let embedded = Migrator::from_embedded(Dir::new("", &NAMED));
    let error = embedded.check().unwrap_err();
    assert!(error.to_string().contains("`1_a.sql` is not understood: it is a folder"), "{error}");
    embedded.ignore("1_a.sql").check().unwrap();

    static SEEDS: [DirEntry<'static>; 1] = [DirEntry::Dir(Dir::new("ensure_a.sql", &[]))];
    let seeds = Seeds::from_embedded(Dir::new("", &SEEDS));
    let error = Migrator::from_migrations([]).seeds(seeds).check().unwrap_err();
    assert!(
        error.to_string().contains("`ensure_a.sql` is not understood: it is a folder"),
        "{error}"
    );
}

#[test]
fn odd_file_of_another_name_is_passed_over() {
    for (make, what) in ODD {
        let (dir, migrator) = folder(&[("1_a.sql", "CREATE TABLE a(x)")]);
        make(&dir.path().join("README"));
        assert_eq!(migrator.apply(&memory()).unwrap().applied.len(), 1, "{what}");
    }
}

#[test]
fn odd_file_that_a_test_keeps_is_refused() {
    let (dir, migrator) = folder(&[("1_a.sql", "CREATE TABLE a(x)")]);
    let kept = tempfile::tempdir().unwrap();
    for (make, what) in ODD {
        let path = kept.path().join("kept");
        make(&path);
        for error in [lockfile(&migrator, &path), schema_file(&migrator, &path)] {
            let error = error.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Kept { .. }), "{what}: {error:?}");
        }
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_dir(&path);
        let _ = std::fs::remove_file(path.with_extension("aside"));
        let _ = std::fs::remove_dir(path.with_extension("aside"));
    }
    fifo(&dir.path().join("2_b.sql"));
    let embedded = crate::support::example();
    assert!(embedded_is_current(&embedded, dir.path()).is_err());
}

#[test]
fn odd_file_in_place_of_a_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let migrator = Migrator::from_migrations([]);
    let path = dir.path().join("app.db");
    fifo(&path);
    let mut conn = memory();
    for error in [
        migrator.open(&path).map(drop),
        migrator.open_copy(&path).map(drop),
        migrator.restore(&mut conn, &path).map(drop),
    ] {
        let error = error.unwrap_err();
        assert_eq!(cause(&error), "it is a FIFO, not a file", "{error:?}");
    }
    assert!(migrator.rehearse_in(&conn, &path).is_err());
}
