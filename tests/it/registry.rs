//! What can be said of a seed is kept: environments, orders, sentinels, files, rows by key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use include_dir::{Dir, DirEntry, File};
use landfall::rusqlite::{self, Connection, Transaction};
use landfall::{
    Edited, ErrorKind, Event, HeldBack, Migrator, RowPolicy, Rows, Seed, SeedState, Seeds, Version,
};

use crate::support::{cause, everything, memory, one, queries, rows, set};

fn base() -> Migrator {
    set(&[(
        1,
        "log",
        "CREATE TABLE log(id INTEGER PRIMARY KEY, who TEXT); CREATE TABLE role(name TEXT PRIMARY KEY, label TEXT);",
        "",
    )])
}

/// A seed that leaves its name in the log.
fn logs(name: &'static str) -> Seed {
    Seed::new(name, move |tx: &Transaction<'_>| {
        tx.execute("INSERT INTO log(who) VALUES (?1)", [name]).map(drop)
    })
}

fn log(conn: &Connection) -> Vec<String> {
    rows(conn, "SELECT who FROM log ORDER BY id")
}

/// Files as compiled in.
pub fn dir(files: &[(&'static str, &'static str)]) -> Dir<'static> {
    let entries: Vec<DirEntry<'static>> =
        files.iter().map(|(name, text)| DirEntry::File(File::new(name, text.as_bytes()))).collect();
    Dir::new("", entries.leak())
}

#[test]
fn a_seed_that_names_an_environment_never_runs_without_it() {
    let seeds =
        Seeds::new().add(logs("all")).add(logs("demo").environment("dev").environment("test"));
    let conn = memory();
    let migrator = base().seeds(seeds);
    for other in [migrator.clone(), migrator.clone().environment("prod")] {
        let report = other.apply(&conn).unwrap();
        assert_eq!(report.held.len(), 1, "{report}");
        assert_eq!(report.held[0].to_string(), "demo: only in the environments dev, test");
        assert!(other.apply(&conn).unwrap().is_noop());
        assert_eq!(log(&conn), ["all"]);
        assert_eq!(other.status(&conn).unwrap().seeds[1].state, SeedState::HeldBack);
    }
    let dev = migrator.environment("dev");
    assert!(!dev.is_current(&conn).unwrap());
    assert_eq!(dev.apply(&conn).unwrap().seeds.len(), 1);
    assert_eq!(log(&conn), ["all", "demo"]);
}

#[test]
fn why_a_seed_has_not_run_is_in_the_history_once_and_again_when_that_changes() {
    let fails = || {
        Seed::new("fails", |tx: &Transaction<'_>| {
            let broken = one(tx, "SELECT count(*) FROM role") == "0";
            if broken { Err("there is no role yet") } else { Ok(()) }
        })
        .optional()
    };
    let seeds = || {
        Seeds::new()
            .add(logs("demo").environment("dev"))
            .add(logs("later").when_schema_at_least(7))
            .add(fails())
            .add(logs("last").after("fails"))
    };
    let migrator = base().seeds(seeds());
    let conn = memory();
    let held = || rows(&conn, "SELECT name, reason FROM schema_history WHERE action = 'hold'");
    let first = [
        "demo|only in the environment dev",
        "later|waits for version 7 of the schema",
        "fails|seed fails failed; nothing was changed: there is no role yet",
        "last|waits for fails",
    ];
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(report.held.len(), 4, "{report}");
    assert_eq!(held(), first);
    // A start that finds the same writes nothing, although it tries again.
    let before = everything(&conn);
    assert_eq!(migrator.apply(&conn).unwrap().held.len(), 4);
    assert_eq!(everything(&conn), before);
    // Nor does it need to be able to.
    conn.execute_batch("PRAGMA query_only = ON").unwrap();
    let unneeded = base().seeds(Seeds::new().add(logs("demo").environment("dev")));
    assert_eq!(unneeded.apply(&conn).unwrap().held.len(), 1);
    conn.execute_batch("PRAGMA query_only = OFF; INSERT INTO role(name) VALUES ('admin')").unwrap();
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(
        report.seeds.iter().map(|done| &done.name[..]).collect::<Vec<_>>(),
        ["fails", "last"]
    );
    assert_eq!(held(), first);
    // Run, and held again: that is news.
    conn.execute_batch("DELETE FROM schema_seeds WHERE name = 'fails'; DELETE FROM role").unwrap();
    migrator.apply(&conn).unwrap();
    assert_eq!(held().len(), 5);
    assert_eq!(held()[4], first[2]);
    // What a migration of that name does is none of the seed's.
    let other = set(&[
        (
            1,
            "log",
            "CREATE TABLE log(id INTEGER PRIMARY KEY, who TEXT); CREATE TABLE role(name TEXT PRIMARY KEY, label TEXT);",
            "",
        ),
        (2, "demo", "CREATE TABLE demo(x)", ""),
    ]);
    other.seeds(seeds()).apply(&conn).unwrap();
    assert_eq!(held().len(), 5);
}

#[test]
fn an_unknown_environment_is_refused_before_the_database_is_touched() {
    let with = |name: &str| base().seeds(Seeds::new().add(logs("demo").environment(name)));
    let declared = |name: &str| with(name).environments(["office", "kiosk"]);
    let refused = |migrator: Migrator, why: &str| {
        let conn = memory();
        let error = migrator.apply(&conn).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the seeds are not sound: {why}; nothing was changed")
        );
        assert!(migrator.check().is_err());
        assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master"), "0");
    };
    refused(with("dve"), "seed `demo` names the environment `dve`, which is unknown");
    refused(declared("dev"), "seed `demo` names the environment `dev`, which is unknown");
    refused(
        declared("kiosk").environment("kisok"),
        "the migrator's environment `kisok` is not among those declared: office, kiosk",
    );
    for fine in [with("dev"), with("shop").environment("shop"), declared("kiosk")] {
        fine.check().unwrap();
    }
}

#[test]
fn seeds_run_after_those_they_come_after_and_else_as_registered() {
    let conn = memory();
    let seeds = Seeds::new()
        .add(logs("d").after("c"))
        .add(logs("a"))
        .add(logs("b").after("e").after("a"))
        .add(logs("c"))
        .add(logs("e").after("c"));
    base().seeds(seeds).apply(&conn).unwrap();
    assert_eq!(log(&conn), ["a", "c", "d", "e", "b"]);
}

#[test]
fn an_order_that_cannot_be_kept_is_refused_before_the_database_is_touched() {
    let refused = |seeds: Seeds, why: &str| {
        let conn = memory();
        let migrator = base().seeds(seeds);
        let error = migrator.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the seeds are not sound: {why}; nothing was changed")
        );
        assert!(migrator.apply(&conn).is_err());
        assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master"), "0");
    };
    refused(
        Seeds::new().add(logs("a").after("b")).add(logs("c")),
        "seed `a` comes after `b`, which is not registered",
    );
    refused(
        Seeds::new()
            .add(logs("x"))
            .add(logs("a").after("c"))
            .add(logs("b").after("a"))
            .add(logs("c").after("x").after("b")),
        "these wait for each other: `a` after `c` after `b` after `a`",
    );
    refused(Seeds::new().add(logs("a").after("a")), "these wait for each other: `a` after `a`");
    refused(Seeds::new().add(logs(" ")), "a seed has no name");
}

#[test]
fn an_optional_seed_that_fails_is_a_warning_and_what_comes_after_it_waits() {
    let conn = memory();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let broken = Seed::new("broken", move |tx: &Transaction<'_>| {
        tx.execute("INSERT INTO log(who) VALUES ('half')", [])?;
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(rusqlite::Error::InvalidQuery),
            _ => Ok(()),
        }
    });
    let seeds =
        Seeds::new().add(broken.optional()).add(logs("later").after("broken")).add(logs("free"));
    let migrator = base().seeds(seeds);
    for boot in 0..2 {
        let report = migrator.apply(&conn).unwrap();
        assert_eq!(report.warnings.len(), 1, "{report}");
        assert!(report.warnings[0].starts_with("seed broken failed; nothing was changed: "));
        assert_eq!(report.seeds.len(), 1 - boot);
        assert!(matches!(report.held[0].why, HeldBack::Failed { .. }), "{report}");
        assert_eq!(report.held[1].to_string(), "later: waits for broken");
        assert_eq!(log(&conn), ["free"]);
        assert!(!migrator.is_current(&conn).unwrap());
    }
    assert_eq!(migrator.apply(&conn).unwrap().seeds.len(), 2);
    assert_eq!(log(&conn), ["free", "half", "later"]);
    assert!(migrator.apply(&conn).unwrap().is_noop());
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[test]
fn an_optional_seed_whose_commit_is_refused_does_not_pass_for_done() {
    let conn = memory();
    conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    let sql = "CREATE TABLE p(id INTEGER PRIMARY KEY);
               CREATE TABLE c(p INTEGER REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED);";
    let orphan = Seed::new("orphan", |tx: &Transaction<'_>| {
        tx.execute("INSERT INTO c VALUES (7)", []).map(drop)
    });
    let migrator = set(&[(1, "keys", sql, "")]).seeds(Seeds::new().add(orphan.optional()));
    for _ in 0..2 {
        let report = migrator.apply(&conn).unwrap();
        assert_eq!(report.warnings.len(), 1, "{report}");
        assert!(!migrator.is_current(&conn).unwrap());
    }
    assert_eq!(one(&conn, "SELECT count(*) FROM c"), "0");
}

#[test]
fn a_required_seed_that_fails_fails_the_start() {
    let broken = Seed::new("broken", |_: &Transaction<'_>| Err(rusqlite::Error::InvalidQuery));
    let migrator = base().seeds(Seeds::new().add(broken.optional().required()));
    assert!(matches!(migrator.apply(&memory()).unwrap_err().kind(), ErrorKind::Seed { .. }));
}

#[test]
fn a_seed_waits_for_its_version_of_the_schema() {
    let conn = memory();
    let seeds = Seeds::new().add(logs("early")).add(logs("late").when_schema_at_least(2));
    let report = base().seeds(seeds.clone()).apply(&conn).unwrap();
    let at_least = Version::from(2);
    assert!(matches!(&report.held[0].why, HeldBack::Schema { at_least: a, .. } if *a == at_least));
    assert!(base().seeds(seeds.clone()).apply(&conn).unwrap().is_noop());
    let two = base().with(landfall::Migration::sql(2, "two", "CREATE TABLE two(x)")).seeds(seeds);
    let report = two.apply(&conn).unwrap();
    assert_eq!((report.applied.len(), report.seeds.len()), (1, 1));
    assert_eq!(log(&conn), ["early", "late"]);
}

#[test]
fn a_sentinel_of_the_applications_own_counts_and_is_recorded() {
    for (kept, runs) in [("admin", 0), ("nobody", 1)] {
        let conn = memory();
        base().apply(&conn).unwrap();
        conn.execute("INSERT INTO role VALUES (?1, '')", [kept]).unwrap();
        let asked = "SELECT count(*) FROM role WHERE name = 'admin'";
        let migrator = base().seeds(Seeds::new().add(logs("roles").sentinel(asked)));
        let report = migrator.apply(&conn).unwrap();
        assert_eq!(report.seeds.len(), runs);
        assert_eq!(report.held.len(), 1 - runs);
        assert_eq!(log(&conn).len(), runs);
        assert!(migrator.is_current(&conn).unwrap());
        assert_eq!(one(&conn, "SELECT state FROM schema_seeds"), "done");
        assert_eq!(one(&conn, "SELECT count(*) FROM schema_history WHERE action = 'seed'"), "1");
        // From now on it is asked no more.
        conn.execute("DELETE FROM role", []).unwrap();
        assert!(migrator.apply(&conn).unwrap().is_noop());
    }
}

#[test]
fn a_sentinel_that_is_no_query_is_refused() {
    for (sql, why) in [
        ("DELETE FROM role", "a sentinel is a query, and this is none"),
        ("SELECT 1 FROM nowhere", "no such table: nowhere"),
    ] {
        let conn = memory();
        let error =
            base().seeds(Seeds::new().add(logs("roles").sentinel(sql))).apply(&conn).unwrap_err();
        assert!(cause(&error).contains(why), "{error:?}");
        assert_eq!(log(&conn), [""; 0]);
    }
}

const ROLES: &str = "INSERT OR IGNORE INTO role VALUES ('admin', 'Admin');";

#[test]
fn a_file_is_a_seed_and_says_what_can_be_said() {
    let files = dir(&[
        ("ensure_b_demo.sql", "-- landfall: environment dev\nINSERT INTO log(who) VALUES ('demo')"),
        ("ensure_a.sql", "-- landfall: after roles\nINSERT INTO log(who) VALUES ('a');"),
        ("ensure_roles.sql", ROLES),
        (
            "ensure_old.sql",
            "-- landfall: sentinel: SELECT 1 FROM role\n-- landfall: after roles\n\
             INSERT INTO log(who) VALUES ('old');",
        ),
        ("ensure_late.sql", "-- landfall: when-schema-at-least 9\nSELECT 1"),
        ("ensure_c.sql", "-- landfall: optional\nINSERT INTO nowhere VALUES (1)"),
        ("README.md", "what these are"),
    ]);
    let conn = memory();
    let migrator = base().seeds(Seeds::from_embedded(dir(&[])).add(logs("code")));
    migrator.apply(&conn).unwrap();
    let migrator = base().seeds(Seeds::from_embedded(&files).add(logs("code")));
    let report = migrator.apply(&conn).unwrap();
    let ran: Vec<&str> = report.seeds.iter().map(|seed| seed.name.as_str()).collect();
    assert_eq!(ran, ["roles", "a"]);
    let mut held: Vec<String> = report.held.iter().map(ToString::to_string).collect();
    held.sort();
    assert_eq!(
        held,
        [
            "b_demo: only in the environment dev",
            "c: seed c failed; nothing was changed: no such table: nowhere",
            "late: waits for version 9 of the schema",
            "old: its own sentinel says that it has run",
        ]
    );
    assert_eq!(log(&conn), ["code", "a"]);
}

#[test]
fn a_file_whose_text_changes_runs_again_as_a_new_revision_or_is_refused() {
    let conn = memory();
    let with = |text: &'static str| Seeds::from_embedded(dir(&[("ensure_roles.sql", text)]));
    base().seeds(with(ROLES)).apply(&conn).unwrap();
    let same = "-- a comment\nINSERT  OR IGNORE INTO role\r\nVALUES ('admin', 'Admin')";
    assert!(base().seeds(with(same)).apply(&conn).unwrap().is_noop());
    let edited = "INSERT INTO role VALUES ('guest', 'Guest');";
    let before = everything(&conn);
    let refusing = base().seeds(with(edited).edited(Edited::Refuse));
    let error = refusing.apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "seed ensure_roles.sql is not what has run on this database as roles; nothing was changed"
    );
    assert_eq!(everything(&conn), before);
    assert_eq!(refusing.status(&conn).unwrap().seeds[0].state, SeedState::HeldBack);
    let report = base().seeds(with(edited)).apply(&conn).unwrap();
    assert_eq!(report.seeds[0].revision, 2);
    assert!(base().seeds(with(edited)).apply(&conn).unwrap().is_noop());
    assert_eq!(rows(&conn, "SELECT name FROM role"), ["admin", "guest"]);
    // Code of the same name has no text to compare.
    assert!(base().seeds(Seeds::new().add(logs("roles"))).apply(&conn).unwrap().is_noop());
}

#[test]
fn a_file_at_fault_is_refused_and_shown() {
    let refused = |name: &'static str, text: &'static str, why: &str| {
        let conn = memory();
        let migrator = base().seeds(Seeds::from_embedded(dir(&[(name, text)])));
        let error = migrator.check().unwrap_err();
        assert_eq!(error.to_string(), format!("{why}; nothing was changed"));
        assert!(migrator.apply(&conn).is_err());
        assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master"), "0");
    };
    refused(
        "roles.sql",
        "",
        "`roles.sql` is not understood: a seed's file is called `ensure_<name>.sql`",
    );
    refused("ensure_.sql", "", "`ensure_.sql` is not understood: it has no name");
    refused(
        "ensure_a.sql",
        "INSERT INTO log(who) VALUES ('a');\nCOMMIT;",
        "`ensure_a.sql`, line 2, column 1: a seed may not say `COMMIT`",
    );
    refused(
        "ensure_a.sql",
        "-- landfall: no-transaction\nVACUUM",
        "`ensure_a.sql`, line 1, column 1: `no-transaction` has no place in a seed",
    );
    refused(
        "ensure_a.sql",
        "-- landfall: when-schema-at-least soon\nSELECT 1",
        "`ensure_a.sql`, line 1, column 1: write `when-schema-at-least <version>`",
    );
    let migration = set(&[(1, "a", "-- landfall: environment dev\nCREATE TABLE a(x)", "")]);
    assert!(migration.check().unwrap_err().to_string().contains("has no place in a migration"));

    let conn = memory();
    let wrong =
        "BEGIN;\nINSERT INTO log(who) VALUES ('a');\nINSERT INTO log(whom) VALUES (1);\nCOMMIT;";
    let error = base()
        .seeds(Seeds::from_embedded(dir(&[("ensure_a.sql", wrong)])))
        .apply(&conn)
        .unwrap_err();
    assert_eq!((error.file(), error.position().unwrap().line), (Some("ensure_a.sql"), 3));
    assert!(
        format!("{error:?}").contains("caused by: table log has no column named whom"),
        "{error:?}"
    );
    assert_eq!(log(&conn), [""; 0]);
}

#[test]
fn rows_go_in_by_their_policy_and_what_became_of_them_is_told() {
    let conn = memory();
    base().apply(&conn).unwrap();
    conn.execute("INSERT INTO role VALUES ('admin', 'edited')", []).unwrap();
    let list = [("admin", "Admin"), ("member", "Member")];
    let rows_of = |policy| Rows::of("role", ["name", "label"]).policy(policy).write(&conn, list);
    let told = |policy| rows_of(policy).unwrap().to_string();
    assert!(rows_of(RowPolicy::InsertOnce).is_err());
    assert_eq!(told(RowPolicy::InsertMissing), "1 inserted, 0 updated, 1 left alone");
    assert_eq!(one(&conn, "SELECT label FROM role WHERE name = 'admin'"), "edited");
    assert_eq!(told(RowPolicy::KeepInSync), "0 inserted, 1 updated, 1 left alone");
    assert_eq!(told(RowPolicy::KeepInSync), "0 inserted, 0 updated, 2 left alone");
    assert_eq!(one(&conn, "SELECT label FROM role WHERE name = 'admin'"), "Admin");
    let wrong = Rows::of("role", ["name"]).key(["nam"]).write(&conn, [["x"]]).unwrap_err();
    assert_eq!(wrong.to_string(), "the key `nam` is not among the columns of `role`");
}

#[test]
fn rows_of_several_key_columns_and_nulls_are_known_again() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE \"odd name\"(a, b, c)").unwrap();
    let odd = Rows::of("odd name", ["a", "b", "c"]).key(["a", "b"]).policy(RowPolicy::KeepInSync);
    let first = [(1, None, "x"), (1, Some(2), "y")];
    assert_eq!(odd.write(&conn, first).unwrap().inserted, 2);
    let second = [(1, None, "z"), (1, Some(2), "y")];
    assert_eq!(
        odd.write(&conn, second).unwrap().to_string(),
        "0 inserted, 1 updated, 1 left alone"
    );
    assert_eq!(rows(&conn, "SELECT * FROM \"odd name\""), ["1|NULL|z", "1|2|y"]);
}

#[test]
fn declared_rows_run_again_when_the_list_changes() {
    let conn = memory();
    let with = |policy, list: Vec<[&'static str; 2]>| {
        let rows = Rows::of("role", ["name", "label"]).policy(policy);
        base().seeds(Seeds::new().add(Seed::rows(
            "roles",
            rows,
            list.into_iter().map(|r| r.map(str::to_owned)),
        )))
    };
    let sync = |list| with(RowPolicy::KeepInSync, list).apply(&conn).unwrap().seeds.len();
    assert_eq!(sync(vec![["admin", "Admin"]]), 1);
    assert_eq!(sync(vec![["admin", "Admin"]]), 0);
    assert_eq!(sync(vec![["admin", "Chief"], ["guest", "Guest"]]), 1);
    assert_eq!(rows(&conn, "SELECT * FROM role"), ["admin|Chief", "guest|Guest"]);
    assert_eq!(one(&conn, "SELECT revision FROM schema_seeds"), "2");
    let once = with(RowPolicy::InsertOnce, vec![["other", "x"]]).apply(&conn).unwrap();
    assert!(once.is_noop());
}

#[test]
fn another_registry_is_another_seal() {
    let conn = memory();
    let boot = |seeds: Seeds| base().seeds(seeds).apply(&conn).unwrap().seeds.len();
    assert_eq!(boot(Seeds::new().add(logs("a"))), 1);
    assert_eq!(boot(Seeds::new().add(logs("a").when_schema_at_least(2)).add(logs("b"))), 1);
    assert_eq!(boot(Seeds::new().add(logs("a").revision(2).when_schema_at_least(2))), 0);
    assert_eq!(boot(Seeds::new().add(logs("a").revision(2))), 1);
}

#[test]
fn a_start_with_nothing_to_do_asks_once_whatever_the_number_of_seeds() {
    for count in [1, 100, 1000] {
        let seeds = (0..count).fold(Seeds::new(), |seeds, n| {
            seeds.add(Seed::new(format!("seed{n}"), |_: &Transaction<'_>| {
                Ok::<(), rusqlite::Error>(())
            }))
        });
        let fill = landfall::Backfill::update("fill", "role", "label = name", "");
        let migrator = base().seeds(seeds.backfill(fill)).environment("dev");
        let conn = memory();
        migrator.apply(&conn).unwrap();
        let asked = queries(&conn, |conn| assert!(migrator.apply(conn).unwrap().is_noop()));
        assert_eq!(asked, 1, "{count} seeds");
    }
}

#[test]
fn a_file_that_is_recorded_for_undo_is_taken_back_and_runs_again() {
    let conn = memory();
    let with =
        |text: &'static str| base().seeds(Seeds::from_embedded(dir(&[("ensure_roles.sql", text)])));
    let first = "-- landfall: undo\nINSERT INTO role VALUES ('admin', 'Admin')";
    let second = "-- landfall: undo\nINSERT INTO role VALUES ('guest', 'Guest')";
    with(first).apply(&conn).unwrap();
    with(second).apply(&conn).unwrap();
    with(second).revert_seed(&conn, "roles").unwrap();
    assert_eq!(rows(&conn, "SELECT name FROM role"), ["admin"]);
    assert_eq!(with(second).apply(&conn).unwrap().seeds[0].revision, 2);
    assert_eq!(rows(&conn, "SELECT name FROM role"), ["admin", "guest"]);
}

#[test]
fn older_text_does_not_run_once_a_newer_program_came_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let text = |text: &'static str| dir(&[("ensure_roles.sql", text)]);
    let conn = Connection::open(&path).unwrap();
    let newer_text = "INSERT INTO role VALUES ('guest', 'Guest');";
    base().seeds(Seeds::from_embedded(text(newer_text))).apply(&conn).unwrap();
    // The older program has three seeds to run, one of them with another text. Between its
    // preview and its lock a newer program applies a migration that it does not know.
    let newer = base()
        .with(landfall::Migration::sql(2, "more", "CREATE TABLE more(x)"))
        .seeds(Seeds::from_embedded(text(newer_text)));
    let older_text = "-- landfall: after first\nINSERT INTO role VALUES ('admin', 'Admin');";
    let all = Seeds::from_embedded(text(older_text)).add(logs("first"));
    let older = base().seeds(all.add(logs("second"))).on_event(move |event| {
        if matches!(event, Event::Planned { .. }) {
            newer.apply(&Connection::open(&path).unwrap()).unwrap();
        }
    });
    let report = older.apply(&conn).unwrap();
    let ran: Vec<&str> = report.seeds.iter().map(|seed| seed.name.as_str()).collect();
    assert_eq!(ran, ["first", "second"]);
    assert_eq!(rows(&conn, "SELECT name FROM role"), ["guest"]);
}
