//! A rehearsal says what a start would do: what runs, what is lost, what is wrong after it, whether
//! there is a way back, and what it would fail with.

use landfall::rehearse::{Beside, Downs, Part, Since};
use landfall::rusqlite::Connection;
use landfall::{
    Adopt, Backfill, Drifted, ErrorKind, HeldBack, Late, Migration, Migrator, Rehearsal, Seed,
    Seeds, Target, Version,
};

use crate::support::{cause, everything, example, folder, memory, one, set};

/// The page, times left out, and with them how wide their column is.
fn page(rehearsal: &Rehearsal) -> String {
    let words = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        for at in 1..words.len() {
            if words[at].trim_end_matches(')') == "ms" {
                words[at - 1] = "?";
            }
        }
        words.join(" ").trim_end().to_owned()
    };
    let mut page = rehearsal.to_string().lines().map(words).collect::<Vec<_>>().join("\n");
    while page.contains("ms   ") {
        page = page.replace("ms   ", "ms  ");
    }
    page
}

/// What was lost, by step.
fn lost(rehearsal: &Rehearsal) -> Vec<String> {
    let steps = rehearsal.steps.iter().filter(|step| !step.rows_lost.is_empty());
    steps
        .map(|step| {
            let lost: Vec<_> = step.rows_lost.iter().map(ToString::to_string).collect();
            format!("{}: {}", step.name, lost.join(", "))
        })
        .collect()
}

fn clean(migrator: &Migrator, conn: &Connection) -> Rehearsal {
    let before = everything(conn);
    let rehearsal = migrator.rehearse(conn).unwrap();
    assert_eq!(everything(conn), before);
    if let Some(error) = &rehearsal.error {
        panic!("{error:?}");
    }
    rehearsal
}

fn failing(migrator: &Migrator, conn: &Connection) -> (Rehearsal, String) {
    let before = everything(conn);
    let rehearsal = migrator.rehearse(conn).unwrap();
    assert_eq!(everything(conn), before);
    let error = rehearsal.error.as_ref().unwrap().to_string();
    (rehearsal, error)
}

const NOTES: &str = "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT);
    INSERT INTO note(text) VALUES ('a'), ('b'), ('c');
    CREATE TABLE old(x); INSERT INTO old VALUES (1), (2);";

#[test]
fn the_page_is_one_that_a_person_reads() {
    let migrator = set(&[
        (1, "notes", NOTES, "DROP TABLE note; DROP TABLE old"),
        (
            2,
            "tidy",
            "-- landfall: allow-data-loss: nobody reads it\n
             DROP TABLE old; ALTER TABLE note ADD COLUMN at TEXT;
             CREATE INDEX note_by_at ON note(at)",
            "DROP INDEX note_by_at; ALTER TABLE note DROP COLUMN at; CREATE TABLE old(y)",
        ),
    ])
    .seeds(
        Seeds::new()
            .ensure("welcome", |tx| {
                tx.execute("INSERT INTO note(text) VALUES ('welcome')", []).map(drop)
            })
            .add(Seed::new("demo", |_| Ok::<_, String>(())).environment("demo"))
            .backfill(Backfill::update("times", "note", "at = 'now'", "at IS NULL").deferred()),
    );
    let conn = memory();
    migrator.apply_to(&conn, Target::Steps(1)).unwrap();
    let expected = "rehearsal on a copy of a database in memory (32.0 KiB, copied in ? ms)

version 1 → version 2

steps
  apply     2 tidy   ? ms  0 rows changed  LOSES 2 rows of old
  seed      welcome  ? ms  1 row changed
  backfill  times    ? ms  4 rows done

notes
  not run: demo: only in the environment demo

schema
  drop table `old`
  add the column `at` to table `note` (at TEXT)
  create index `note_by_at` on table `note`

space
  the file: 32.0 KiB before, 32.0 KiB after; beside it meanwhile: at most 32.2 KiB a transaction

quick_check
  nothing found

foreign keys
  nothing found

way back
  the downs DO NOT restore the schema; after them
    table `old` has a column `y` too many (y)
    table `old` lacks the column `x` (x)";
    let page = page(&clean(&migrator, &conn));
    println!("{page}");
    assert_eq!(page, expected);
}

#[test]
fn the_page_of_one_that_fails_says_so_first() {
    let migrator = set(&[
        (1, "notes", NOTES, ""),
        (2, "more", "CREATE TABLE more(x)", ""),
        (3, "typo", "CREATE TABL t(x)", ""),
    ]);
    let conn = memory();
    migrator.apply_to(&conn, Target::Steps(1)).unwrap();
    let (rehearsal, error) = failing(&migrator, &conn);
    assert_eq!(error, "migration 3_typo failed at line 1, column 8; nothing was changed");
    let page = page(&rehearsal);
    let head = "

IT FAILS
  migration 3_typo failed at line 1, column 8; nothing was changed
   --> 3_typo:1:8
    |
  1 | CREATE TABL t(x)
    |        ^
  what to do: correct the statement and start again
  caused by: near \"TABL\": syntax error

space";
    assert!(page.contains(head), "{page}");
    assert!(
        page.ends_with("way back\n  not tried: not everything that is pending could be applied")
    );
    assert_eq!((rehearsal.from, rehearsal.to), (Some(Version::from(1)), Some(Version::from(1))));
    // What an earlier transaction committed would stay.
    let each = migrator.transactions(landfall::Transactions::Each);
    let (rehearsal, error) = failing(&each, &conn);
    assert!(error.contains("what came before stays (applied 2 more)"), "{error}");
    assert_eq!(rehearsal.steps[0].name, "more");
    assert_eq!(rehearsal.to, Some(Version::from(2)));
}

#[test]
fn where_nothing_is_pending_it_says_that() {
    let conn = example().open_in_memory().unwrap();
    let rehearsal = clean(&example(), &conn);
    assert!(rehearsal.is_noop());
    assert!(page(&rehearsal).contains("\n\nnothing is pending\n\nspace\n"), "{rehearsal}");
    assert!(rehearsal.changes.is_empty() && rehearsal.steps.is_empty());
    assert_eq!(rehearsal.space.before, rehearsal.space.after);
    assert!(matches!(rehearsal.downs, Downs::NotTried { why: "no migration was applied", .. }));
}

#[test]
fn from_any_version_on_it_is_what_the_start_then_does() {
    for version in 0..=11 {
        let conn = memory();
        example().apply_to(&conn, Target::Steps(version)).unwrap();
        let rehearsal = clean(&example(), &conn);
        assert_eq!(rehearsal.from.map_or(0, Version::get), version as i64);
        assert_eq!(rehearsal.to, Some(Version::from(11)));
        let report = example().apply(&conn).unwrap();
        let names = |done: &[landfall::Done]| -> Vec<_> {
            done.iter().map(|done| (done.version, done.name.clone(), done.rows_changed)).collect()
        };
        let expected = [names(&report.applied), names(&report.repeated)].concat();
        let steps = rehearsal.steps.iter().map(|s| (s.version, s.name.clone(), s.rows_changed));
        assert_eq!(steps.collect::<Vec<_>>(), expected, "from {version}");
        assert!(
            matches!(rehearsal.downs, Downs::Restore) || version == 11,
            "from {version}: {}",
            rehearsal.downs
        );
    }
}

#[test]
fn a_database_without_a_ledger_is_rehearsed_too() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE mine(x); INSERT INTO mine VALUES (1)").unwrap();
    let rehearsal = clean(&set(&[(1, "t", "CREATE TABLE t(x)", "DROP TABLE t")]), &conn);
    assert_eq!((rehearsal.from, rehearsal.to), (None, Some(Version::from(1))));
    assert!(rehearsal.to_string().contains("no version → version 1"));
    assert!(matches!(rehearsal.downs, Downs::Restore), "{}", rehearsal.downs);
}

#[test]
fn what_a_start_refuses_is_the_error() {
    let conn = memory();
    set(&[(1, "a", "CREATE TABLE a(x)", ""), (3, "c", "DROP TABLE a", "")]).apply(&conn).unwrap();
    let a = (1, "a", "CREATE TABLE a(x)", "");
    let kind = |migrator: &Migrator| {
        let rehearsal = failing(migrator, &conn).0;
        assert!(rehearsal.steps.is_empty() && rehearsal.changes.is_empty());
        format!("{:?}", rehearsal.error.unwrap().kind())
    };
    let kinds = [
        ("Newer", kind(&set(&[a]))),
        ("Missing", kind(&set(&[a, (4, "d", "CREATE TABLE d(x)", "")]))),
        ("Late", kind(&set(&[a, (2, "b", "CREATE TABLE b(x)", ""), (3, "c", "DROP TABLE a", "")]))),
        (
            "Modified",
            kind(&set(&[(1, "a", "CREATE TABLE a(y)", ""), (3, "c", "DROP TABLE a", "")])),
        ),
        ("BadName", kind(&folder(&[("nonsense.sql", "")]).1)),
        ("Source", kind(&Migrator::from_dir("no/such/folder"))),
        ("ForeignLedger", {
            conn.execute_batch("CREATE TABLE x_migrations(id)").unwrap();
            kind(&set(&[a]).ledger("x"))
        }),
    ];
    for (expected, kind) in kinds {
        assert!(kind.starts_with(expected), "{expected}: {kind}");
    }
}

#[test]
fn late_ones_run_and_their_downs_are_not_tried() {
    let conn = memory();
    set(&[(1, "a", "CREATE TABLE a(x)", ""), (3, "c", "CREATE TABLE c(x)", "")])
        .apply(&conn)
        .unwrap();
    let all = set(&[
        (1, "a", "CREATE TABLE a(x)", ""),
        (2, "b", "CREATE TABLE b(x)", "DROP TABLE b"),
        (3, "c", "CREATE TABLE c(x)", ""),
    ]);
    let rehearsal = clean(&all.late(Late::Apply), &conn);
    assert_eq!(rehearsal.steps.len(), 1);
    let why = "not tried: what was applied is older than what was there";
    assert_eq!(rehearsal.downs.to_string(), why);
}

#[test]
fn rows_that_go_are_counted_where_they_go() {
    let sign_off = "-- landfall: allow-data-loss: on purpose\n";
    let conn = memory();
    let first = (1, "notes", NOTES, "");
    let steps: [(i64, &'static str, String); 7] = [
        (2, "delete", "DELETE FROM note WHERE id = 1".into()),
        (3, "add", "CREATE TABLE fresh(x); ALTER TABLE note ADD COLUMN y".into()),
        (4, "rename", "ALTER TABLE note RENAME TO memo".into()),
        (
            5,
            "rebuild",
            format!(
                "{sign_off}CREATE TABLE n(id INTEGER PRIMARY KEY, text);
             INSERT INTO n SELECT id, text FROM memo WHERE id = 3; DROP TABLE memo;
             ALTER TABLE n RENAME TO memo"
            ),
        ),
        (
            6,
            "whole",
            "CREATE TABLE n(id INTEGER PRIMARY KEY, text);
             INSERT INTO n SELECT id, text FROM memo; DROP TABLE memo;
             ALTER TABLE n RENAME TO memo"
                .into(),
        ),
        (7, "drop", format!("{sign_off}DROP TABLE old")),
        (
            8,
            "replace",
            "INSERT INTO memo VALUES (4, 'd'); REPLACE INTO memo VALUES (4, 'e')".into(),
        ),
    ];
    let migrator = steps.iter().fold(set(&[first]), |migrator, (version, name, sql)| {
        migrator.with(Migration::sql(*version, *name, sql.clone()))
    });
    let migrator = migrator
        .with(Migration::code(9, "code", |tx| {
            tx.execute("DELETE FROM memo WHERE id = 4", []).map(drop)
        }))
        .seeds(
            Seeds::new()
                .ensure("seed", |tx| tx.execute("DELETE FROM memo", []).map(drop))
                .ensure("other", |tx| tx.execute("INSERT INTO memo VALUES (7, 'x')", []).map(drop))
                .backfill(Backfill::new("fill", |tx, _: Option<i64>| {
                    tx.execute("DELETE FROM memo", [])?;
                    Ok::<_, landfall::rusqlite::Error>(None)
                })),
        );
    set(&[first]).apply(&conn).unwrap();
    let rehearsal = clean(&migrator, &conn);
    assert_eq!(
        lost(&rehearsal),
        [
            "delete: 1 row of note",
            "rebuild: 1 row of memo",
            "drop: 2 rows of old",
            "code: 1 row of memo",
            "seed: 1 row of memo",
            "fill: 1 row of memo",
        ]
    );
    let changed =
        |name: &str| rehearsal.steps.iter().find(|s| s.name == name).unwrap().rows_changed;
    assert_eq!(["delete", "add", "rebuild", "whole", "drop"].map(changed), [1, 0, 1, 1, 0]);
    assert_eq!(["replace", "code", "seed", "other"].map(changed), [2, 1, 1, 1]);
}

#[test]
fn outside_a_transaction_rows_are_counted_as_well() {
    let vacuum = "-- landfall: no-transaction\nDELETE FROM note WHERE id < 3; VACUUM; \
                  INSERT INTO note(text) VALUES ('x')";
    let migrator = set(&[(1, "notes", NOTES, ""), (2, "vacuum", vacuum, "")]);
    let conn = memory();
    migrator.apply_to(&conn, Target::Steps(1)).unwrap();
    let rehearsal = clean(&migrator, &conn);
    assert_eq!(lost(&rehearsal), ["vacuum: 1 row of note"]);
    assert_eq!(rehearsal.steps[0].rows_changed, 3);
}

#[test]
fn what_a_virtual_table_keeps_for_itself_is_no_loss() {
    let conn = memory();
    let first = (
        1,
        "text",
        "CREATE VIRTUAL TABLE text USING fts5(x); INSERT INTO text VALUES ('a'), ('b');
         CREATE TABLE text2(x); INSERT INTO text2 VALUES (1)",
        "",
    );
    set(&[first]).apply(&conn).unwrap();
    let gone = "INSERT INTO text(text) VALUES ('optimize'); DELETE FROM text; DELETE FROM text2";
    let rehearsal = clean(&set(&[first, (2, "gone", gone, "")]), &conn);
    assert_eq!(lost(&rehearsal), ["gone: 2 rows of text, 1 row of text2"]);
}

#[test]
fn what_is_wrong_is_found_and_told_from_what_was_wrong_before() {
    let conn = memory();
    let first = (
        1,
        "family",
        "CREATE TABLE parent(id INTEGER PRIMARY KEY, n INTEGER CHECK (n > 0));
         CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent(id))",
        "",
    );
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    set(&[first]).apply(&conn).unwrap();
    conn.execute_batch(
        "INSERT INTO parent VALUES (1, 1), (2, 2); INSERT INTO child VALUES (1, 1), (2, 77);
         PRAGMA ignore_check_constraints = ON; INSERT INTO parent VALUES (3, -1)",
    )
    .unwrap();
    let orphans = "DELETE FROM parent WHERE id = 1; UPDATE parent SET n = 0 WHERE id = 2;
                   CREATE TABLE other(n CHECK (n > 5)); INSERT INTO other VALUES (1)";
    let rehearsal = clean(&set(&[first, (2, "orphans", orphans, "")]), &conn);
    let said = |found: &[landfall::rehearse::Finding]| -> Vec<String> {
        found.iter().map(ToString::to_string).collect()
    };
    let keys = said(&rehearsal.foreign_keys);
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys.iter().any(|k| k.starts_with("NEW: ") && k.contains("child")), "{keys:?}");
    assert!(keys.iter().any(|k| k.starts_with("as before: ") && k.contains("77")), "{keys:?}");
    let checks = said(&rehearsal.quick_check);
    assert_eq!(
        checks,
        [
            "NEW: CHECK constraint failed in other",
            "as before: CHECK constraint failed in parent",
            "NEW: CHECK constraint failed in parent",
        ]
    );
    assert_eq!(rehearsal.foreign_keys.iter().filter(|f| f.since == Since::Now).count(), 1);
}

#[test]
fn a_way_back_that_is_none_is_said_to_be_none() {
    let downs = |up: &'static str, down: &'static str| {
        let conn = memory();
        let first = (1, "notes", NOTES, "");
        set(&[first]).apply(&conn).unwrap();
        clean(&set(&[first, (2, "next", up, down)]), &conn).downs.to_string()
    };
    let add = "ALTER TABLE note ADD COLUMN at TEXT DEFAULT 'x'";
    assert_eq!(downs(add, "ALTER TABLE note DROP COLUMN at"), "the downs restore the schema");
    assert_eq!(
        downs(add, ""),
        "none: migration 2 (next) cannot be reverted: it has no down script; nothing was changed"
    );
    let failing = downs(add, "ALTER TABLE note DROP COLUMN att");
    assert!(failing.starts_with("the downs FAIL\nmigration 2_next.down failed at"), "{failing}");
    assert!(failing.contains("caused by: no such column: \"att\""), "{failing}");
    // Rows that a down throws away are no matter of the schema.
    let rows = downs("CREATE TABLE t(x); INSERT INTO t VALUES (1)", "DROP TABLE t");
    assert_eq!(rows, "the downs restore the schema");
}

#[test]
fn views_of_repeatables_are_no_fault_of_the_downs() {
    let files = [
        ("1_a.sql", "CREATE TABLE a(x)"),
        ("R__views.sql", "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT * FROM a"),
    ];
    let (_dir, migrator) = folder(&files);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    let more = [
        files[0],
        ("2_b.sql", "ALTER TABLE a ADD COLUMN y"),
        ("2_b.down.sql", "ALTER TABLE a DROP COLUMN y"),
        ("R__views.sql", "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT x, y FROM a"),
    ];
    let (_dir, migrator) = folder(&more);
    let rehearsal = clean(&migrator, &conn);
    assert!(matches!(rehearsal.downs, Downs::Restore), "{}", rehearsal.downs);
    assert_eq!(
        rehearsal.steps.iter().map(|step| step.part).collect::<Vec<_>>(),
        [Part::Migration, Part::Repeatable]
    );
}

#[test]
fn backfills_run_to_their_end_and_seeds_after_them() {
    let fill = Backfill::update("fill", "note", "text = upper(text)", "").deferred();
    let migrator = set(&[(1, "notes", NOTES, "")]).seeds(
        Seeds::new()
            .backfill(fill)
            .add(
                Seed::new("last", |tx| tx.execute("INSERT INTO old VALUES (9)", []).map(drop))
                    .after("fill"),
            )
            .add(Seed::new("demo", |_| Ok::<_, String>(())).environment("demo")),
    );
    let conn = memory();
    let rehearsal = clean(&migrator, &conn);
    let parts = rehearsal.steps.iter().map(|step| (step.part, step.name.as_str()));
    assert_eq!(
        parts.collect::<Vec<_>>(),
        [(Part::Migration, "notes"), (Part::Seed, "last"), (Part::Backfill, "fill"),]
    );
    let held = &rehearsal.report.held;
    assert_eq!(held.len(), 1, "{held:?}");
    assert!(matches!(held[0].why, HeldBack::Environment { .. }), "{held:?}");
}

#[test]
fn a_seed_that_fails_leaves_what_came_before_it() {
    let migrator = set(&[(1, "notes", NOTES, "DROP TABLE note; DROP TABLE old")])
        .seeds(Seeds::new().ensure("bad", |tx| tx.execute("INSERT INTO nope", []).map(drop)));
    let (rehearsal, error) = failing(&migrator, &memory());
    assert!(
        error.starts_with("seed bad failed; what came before stays (applied 1 notes)"),
        "{error}"
    );
    assert_eq!((rehearsal.steps.len(), rehearsal.to), (1, Some(Version::from(1))));
    assert!(!rehearsal.is_noop());
}

#[test]
fn what_sqlite_needs_beside_the_file_is_measured_in_a_file_and_bounded_in_memory() {
    let rows = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3000)
                INSERT INTO note(text) SELECT printf('%.300c', 'n') FROM c";
    for mode in ["DELETE", "WAL"] {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("app.db")).unwrap();
        one(&conn, &format!("PRAGMA journal_mode = {mode}"));
        let first = (1, "notes", NOTES, "");
        set(&[first]).apply(&conn).unwrap();
        conn.execute_batch(rows).unwrap();
        let migrator = set(&[first, (2, "upper", "UPDATE note SET text = upper(text)", "")]);
        let in_memory = clean(&migrator, &conn).space;
        let space = migrator.rehearse_in(&conn, dir.path().join("copy.db")).unwrap().space;
        let (Beside::Measured(measured), Beside::AtMost(bound)) = (space.beside, in_memory.beside)
        else {
            panic!("{space:?}, {in_memory:?}");
        };
        assert_eq!((space.before, space.after), (in_memory.before, in_memory.after), "{mode}");
        // Every page of the table is written.
        assert!(measured > space.before / 2, "{mode}: {measured} of {space:?}");
        assert!(measured <= bound + bound / 50, "{mode}: {measured} and {bound}");
    }
}

#[test]
fn a_migration_that_was_interrupted_is_the_error() {
    let conn = memory();
    let stops = "-- landfall: no-transaction\nCREATE TABLE a(x); CREATE TABLE a(x)";
    let migrator = set(&[(1, "stops", stops, "")]);
    migrator.apply(&conn).unwrap_err();
    let rehearsal = migrator.rehearse(&conn).unwrap();
    let error = rehearsal.error.unwrap();
    assert!(matches!(error.kind(), ErrorKind::Interrupted { .. }), "{error:?}");
    assert_eq!(cause(&error), "");
}

#[test]
fn a_start_that_refuses_drift_refuses_it_in_rehearsal() {
    let conn = memory();
    let first = (1, "notes", NOTES, "");
    set(&[first]).apply(&conn).unwrap();
    conn.execute_batch("CREATE TABLE stray(x)").unwrap();
    let next = set(&[first, (2, "next", "CREATE TABLE next(x)", "DROP TABLE next")]);
    let (_, error) = failing(&next.clone().drifted(Drifted::Refuse), &conn);
    assert!(error.contains("stray"), "{error}");
    let rehearsal = clean(&next.drifted(Drifted::Warn), &conn);
    assert_eq!(rehearsal.report.warnings, ["drift: table `stray` should not be there"]);
    assert_eq!(rehearsal.changes.len(), 1);
}

#[test]
fn another_tools_ledger_is_taken_over_on_the_copy_only() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE person(name TEXT); PRAGMA user_version = 1").unwrap();
    let migrator = set(&[
        (1, "person", "CREATE TABLE person(name TEXT)", ""),
        (2, "born", "ALTER TABLE person ADD COLUMN born", "ALTER TABLE person DROP COLUMN born"),
    ])
    .adopt(Adopt::RusqliteMigration);
    let rehearsal = clean(&migrator, &conn);
    assert_eq!((rehearsal.from, rehearsal.to), (Some(Version::from(1)), Some(Version::from(2))));
    assert_eq!(rehearsal.steps.len(), 1);
    assert!(matches!(rehearsal.downs, Downs::Restore), "{}", rehearsal.downs);
    let told = "notes\n  adopts 1 migration of rusqlite_migration's `PRAGMA user_version`";
    assert!(page(&rehearsal).contains(told), "{rehearsal}");
    assert_eq!(one(&conn, "SELECT count(*) FROM sqlite_master"), "1");
}

#[test]
fn a_baseline_that_stands_for_older_ones_is_rehearsed_as_it_runs() {
    let (_dir, migrator) = folder(&[
        ("1_a.sql", "CREATE TABLE a(x)"),
        ("1_a.down.sql", "DROP TABLE a"),
        ("1_base.baseline.sql", "CREATE TABLE a(x)"),
        ("2_b.sql", "CREATE TABLE b(x)"),
        ("2_b.down.sql", "DROP TABLE b"),
    ]);
    let rehearsal = clean(&migrator, &memory());
    assert_eq!((rehearsal.from, rehearsal.to), (None, Some(Version::from(2))));
    assert!(matches!(rehearsal.downs, Downs::Restore), "{}", rehearsal.downs);
}
