//! What it says: plans, reports, status, events, the log, and errors in their three lengths.

use std::sync::{Arc, Mutex};

use landfall::{Compatibility, Direction, ErrorKind, Event, ForeignKeys, Migration, Target, seeds};

use crate::support::{example, folder, memory, set};

#[test]
fn the_plan_is_a_dry_run_that_writes_nothing() {
    let conn = memory();
    example().apply_to(&conn, Target::Version(7.into())).unwrap();
    let before = conn.total_changes();
    let plan = example().plan(&conn).unwrap();
    assert_eq!(
        plan.to_string(),
        "apply   8   change_log       transaction 1  breaking    foreign keys off\n\
         apply   9   contact_rules    transaction 1  breaking    foreign keys off\n\
         apply   10  birthdays        transaction 1  compatible  foreign keys off\n\
         apply   11  touch_on_update  transaction 1  compatible  foreign keys off\n\
         repeat  R   views            transaction 1              foreign keys off"
    );
    assert_eq!(plan.steps[1].direction, Direction::Apply);
    assert_eq!(plan.steps[1].compatibility, Compatibility::Breaking);
    assert_eq!(plan.steps[1].foreign_keys, ForeignKeys::Off);
    assert_eq!(conn.total_changes(), before);
    example().apply(&conn).unwrap();
    assert_eq!(example().plan(&conn).unwrap().to_string(), "nothing to do");
}

#[test]
fn the_plan_shows_each_transaction_and_what_runs_outside_any() {
    let migrator = set(&[
        (1, "tables", "CREATE TABLE a(x); CREATE TABLE b(x)", ""),
        (2, "compact", "-- landfall: no-transaction\nVACUUM", ""),
        (3, "gone", "DROP TABLE b", ""),
    ])
    .seeds(seeds![ensure_nothing]);
    assert_eq!(
        migrator.plan(&memory()).unwrap().to_string(),
        "apply  1  tables   transaction 1   compatible\n\
         apply  2  compact  no transaction  breaking\n\
         apply  3  gone     transaction 2   breaking    foreign keys off\n\
         then the seeds nothing"
    );
}

fn ensure_nothing(_: &landfall::rusqlite::Transaction<'_>) -> landfall::rusqlite::Result<()> {
    Ok(())
}

#[test]
fn status_is_a_table_of_every_migration_and_seed() {
    let migrator = set(&[(1, "a", "CREATE TABLE a(x)", ""), (2, "b", "CREATE TABLE b(x)", "")])
        .seeds(seeds![ensure_nothing]);
    let conn = memory();
    assert_eq!(
        migrator.status(&conn).unwrap().to_string(),
        "1     a        pending\n2     b        pending\nseed  nothing  pending"
    );
    migrator.apply(&conn).unwrap();
    let text = migrator.status(&conn).unwrap().to_string();
    let words: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(words, ["applied", "applied", "done"]);
}

#[test]
fn a_report_says_what_was_done() {
    let migrator = set(&[(1, "a", "CREATE TABLE a(x)", "DROP TABLE a")]);
    let conn = memory();
    let report = migrator.apply(&conn).unwrap().to_string();
    let lines: Vec<_> = report.lines().collect();
    assert!(lines[0].starts_with("done in ") && lines[0].ends_with(" ms"), "{report}");
    assert!(lines[1].starts_with("  applied 1 a (") && lines[1].ends_with(" µs)"), "{report}");
    assert_eq!(migrator.apply(&conn).unwrap().to_string(), "nothing to do");
}

#[test]
fn events_tell_every_step_in_order() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let migrator = set(&[(1, "a", "CREATE TABLE a(x)", ""), (2, "b", "CREATE TABLE b(x)", "")])
        .seeds(seeds![ensure_nothing])
        .on_event(move |event| {
            let line = match event {
                Event::Planned { plan, .. } => format!("planned {}", plan.steps.len()),
                Event::Started { name, direction, .. } => format!("started to {direction} {name}"),
                Event::Finished { name, .. } => format!("finished {name}"),
                Event::Committed => "committed".to_owned(),
                Event::SeedStarted { name, .. } => format!("seed {name}"),
                Event::SeedFinished { name, .. } => format!("sown {name}"),
                other => format!("{other:?}"),
            };
            listener.lock().unwrap().push(line);
        });
    let conn = memory();
    migrator.apply(&conn).unwrap();
    migrator.apply(&conn).unwrap();
    assert_eq!(
        *told.lock().unwrap(),
        [
            "planned 2",
            "started to apply a",
            "finished a",
            "started to apply b",
            "finished b",
            "committed",
            "seed nothing",
            "sown nothing",
        ]
    );
}

#[test]
fn an_error_is_one_line_or_long_or_everything() {
    let (_dir, migrator) = folder(&[(
        "0002_posts.sql",
        "CREATE TABLE post(\n  id INTEGER PRIMARY KEY,\n\tauthor INTEGER REFERENCES user(id),,\n);\n",
    )]);
    let error = migrator.apply(&memory()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration 0002_posts.sql failed at line 3, column 37; nothing was changed"
    );
    assert_eq!(
        format!("{error:#}"),
        "migration 0002_posts.sql failed at line 3, column 37; nothing was changed\n \
         --> 0002_posts.sql:3:37\n  \
         |\n\
         3 | \tauthor INTEGER REFERENCES user(id),,\n  \
         | \t                                   ^\n\
         what to do: correct the statement and start again"
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "near \",\": syntax error");
    assert!(!format!("{error:#}").contains(&cause));
    assert!(format!("{error:?}").contains(&format!("\ncaused by: {cause}")));
    assert_eq!(error.file(), Some("0002_posts.sql"));
    let position = error.position().unwrap();
    assert_eq!((position.line, position.column, position.byte), (3, 37, 81));
}

#[test]
fn columns_are_counted_in_characters_and_lines_whatever_their_ends() {
    let (_dir, migrator) = folder(&[(
        "0001_a.sql",
        "\u{feff}CREATE TABLE a(x);\r\n-- Grüße\r\nINSERT INTO a VALUES ('äöü'), (;\r\n",
    )]);
    let error = migrator.apply(&memory()).unwrap_err();
    let position = error.position().unwrap();
    assert_eq!((position.line, position.column), (3, 32));
}

#[test]
fn a_failing_function_is_named_and_its_error_is_the_cause() {
    let conn = memory();
    let migrator =
        set(&[(1, "a", "CREATE TABLE a(x)", "")])
            .with(Migration::code(2, "fill", |_| Err("the list of planets is empty")));
    let error = migrator.apply(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Code { name, .. } if name == "2_fill"));
    assert_eq!(error.to_string(), "code migration 2_fill failed; nothing was changed");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the list of planets is empty");
}

#[test]
fn a_verify_script_names_the_first_wrong_row_and_nothing_stays() {
    let conn = memory();
    let (_dir, migrator) = folder(&[
        (
            "0001_a.sql",
            "CREATE TABLE a(id INTEGER PRIMARY KEY, mail TEXT); INSERT INTO a VALUES (1, 'x@y'), (2, NULL);",
        ),
        (
            "0001_a.verify.sql",
            "-- none\nSELECT 1 WHERE 0;\nSELECT id, mail FROM a WHERE mail IS NULL;",
        ),
    ]);
    let error = migrator.apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "verify script 0001_a.verify.sql found a wrong row at line 3, column 1: id = 2, mail = \
         NULL; nothing was changed"
    );
    assert_eq!(crate::support::rows(&conn, "SELECT name FROM sqlite_master"), [""; 0]);
}

#[test]
fn verify_runs_every_script_now() {
    let conn = memory();
    example().apply(&conn).unwrap();
    example().verify(&conn).unwrap();
    conn.execute_batch(
        "INSERT INTO contact(name) VALUES ('Ada');
         INSERT INTO email(contact_id, address) VALUES (1, 'Ada@Example.org');",
    )
    .unwrap();
    let error = example().verify(&conn).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Verify { .. }), "{error}");
}

#[test]
fn a_verify_script_that_writes_is_refused() {
    let (_dir, migrator) = folder(&[
        ("0001_a.sql", "CREATE TABLE a(x);"),
        ("0001_a.verify.sql", "INSERT INTO a VALUES (1);"),
    ]);
    let error = migrator.apply(&memory()).unwrap_err();
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "a verify script holds queries only, and this is none"
    );
}

#[test]
fn a_file_that_is_no_database_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    std::fs::write(&path, "a shopping list, and nothing that SQLite could read ".repeat(20))
        .unwrap();
    let conn = landfall::rusqlite::Connection::open(path).unwrap();
    let error = example().apply(&conn).unwrap_err();
    let advice = "check the path; if the file is encrypted, give its key before migrating; ";
    assert!(error.advice().unwrap().starts_with(advice), "{error:?}");
    assert!(error.to_string().contains("is damaged, encrypted or no database: "), "{error}");
}
