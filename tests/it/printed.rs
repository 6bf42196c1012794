//! What is printed holds nothing that a terminal obeys, whatever files, rows and schemas are called.

use std::fmt::Write as _;

use landfall::rusqlite::Connection;
use landfall::schema::{Snapshot, diff};
use landfall::testing::{SampleRows, lockfile, schema_file, verify};
use landfall::{Adopt, Backfill, Backup, DataLoss, Event, Migration, Migrator, Newer, Seed, Seeds};

use crate::support::{folder, memory};

/// A colour, a line that is written over, one that looks like ours, text that runs backwards.
const HOSTILE: &str = "x\u{1b}[31m\u{9b}1m\r\u{7f}\u{8}\u{202e}\u{2066}\u{200e}\u{200b}\u{2028}\u{feff}\
                       \nwhat to do: nothing\t\u{1b}]0;x\u{7}";

/// The same, but for what the names of migrations may not hold.
const DECEIVING: &str = "x\u{202e}\u{2066}\u{200e}\u{200b}\u{2028}\u{feff}y";

fn is_hidden(c: char) -> bool {
    let moves = ['\u{61c}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{feff}'];
    c != '\n' && c.is_control()
        || moves.contains(&c)
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// `told` holds a hostile name, and shows that.
#[track_caller]
fn assert_harmless(told: &str) {
    let found = told.chars().find(|c| is_hidden(*c));
    assert!(found.is_none(), "{found:?} in {told:?}");
    assert!(!told.contains("\nwhat to do: nothing"), "{told}");
    assert!(told.contains("\\u{202e}"), "nothing was escaped in {told}");
}

#[track_caller]
fn assert_error_is_harmless(error: &landfall::Error) {
    assert_harmless(&format!("{error:?}"));
    for told in [error.to_string(), format!("{error:#}"), error.kind().to_string()] {
        let found = told.chars().find(|c| is_hidden(*c));
        assert!(found.is_none() && !told.contains("\nwhat to do: nothing"), "{told:?}");
    }
    assert!(
        !error.to_string().contains('\n') && !error.kind().to_string().contains('\n'),
        "{error}"
    );
    let advice = error.advice().unwrap_or_default();
    assert!(!advice.chars().any(is_hidden), "{advice:?}");
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn table() -> String {
    format!("CREATE TABLE {}({} TEXT DEFAULT {})", quoted(HOSTILE), quoted(HOSTILE), text(HOSTILE))
}

fn migrator() -> Migrator {
    Migrator::from_migrations([Migration::sql(1, "first", table())])
}

#[test]
fn ledger_rows_are_printed_harmlessly() {
    let conn = memory();
    let more = migrator().with(Migration::sql(
        2,
        "second",
        "-- landfall: breaking\nCREATE TABLE second(x)",
    ));
    let more = more.seeds(Seeds::new().ensure("seed", |_| Ok::<_, String>(())));
    more.apply(&conn).unwrap();
    let name = text(HOSTILE);
    conn.execute_batch(&format!(
        "UPDATE schema_migrations SET name = {name}, app_version = {name}, applied_at = {name};
         UPDATE schema_seeds SET name = {name}, finished_at = {name};
         INSERT INTO schema_history(at, action, name, reason, detail)
             VALUES ({name}, {name}, {name}, {name}, {name})"
    ))
    .unwrap();
    assert_harmless(&migrator().status(&conn).unwrap().to_string());
    let history = migrator().history(&conn).unwrap();
    assert_harmless(&history.last().unwrap().to_string());
    assert!(!history.last().unwrap().to_string().contains('\n'));
    // A newer program has been there.
    assert_error_is_harmless(&migrator().apply(&conn).unwrap_err());
    let ignoring = migrator().newer(Newer::Ignore);
    assert_harmless(&ignoring.plan(&conn).unwrap().to_string());
    assert_harmless(&ignoring.apply(&conn).unwrap().to_string());
    assert_error_is_harmless(&Migrator::from_migrations([]).apply(&conn).unwrap_err());
    // Missing and modified ones.
    conn.execute_batch(&format!("UPDATE schema_migrations SET checksum = {name}")).unwrap();
    let other = Migrator::from_migrations([Migration::sql(2, "second", "CREATE TABLE other(x)")]);
    assert_error_is_harmless(&other.apply(&conn).unwrap_err());
    conn.execute_batch(&format!("UPDATE schema_state SET value = {name} WHERE key = 'format'"))
        .unwrap();
    assert_error_is_harmless(&more.apply(&conn).unwrap_err());
    conn.execute_batch("DELETE FROM schema_state").unwrap();
    conn.execute_batch(&format!(
        "INSERT INTO schema_state VALUES ('running', '2/1/up/' || {name})"
    ))
    .unwrap();
    let interrupted = format!("{:?}", more.apply(&conn));
    assert!(!interrupted.chars().any(is_hidden), "{interrupted}");
}

#[test]
fn names_in_the_schema_are_printed_harmlessly() {
    let of = |sql: &str| {
        let conn = memory();
        conn.execute_batch(sql).unwrap();
        Snapshot::of(&conn).unwrap()
    };
    let name = quoted(HOSTILE);
    let objects = [
        table(),
        format!(
            "CREATE TABLE {name}(a, {name} INT NOT NULL REFERENCES {name}({name}) CHECK ({name} > 1))"
        ),
        format!("CREATE TABLE {name}(a PRIMARY KEY, UNIQUE ({name}), {name})")
            .replace(&format!(", UNIQUE ({name}), {name}"), &format!(", {name}, UNIQUE ({name})")),
        format!("CREATE TABLE t({name}); CREATE INDEX {name} ON t({name})"),
        format!("CREATE VIEW {name} AS SELECT 1 AS {name}"),
        format!("CREATE VIEW {name} AS SELECT 2 AS {name}"),
        format!(
            "CREATE TABLE t(a); CREATE TRIGGER {name} AFTER INSERT ON t BEGIN SELECT {}; END",
            text(HOSTILE)
        ),
        String::new(),
    ];
    let mut told = String::new();
    for first in &objects {
        for second in &objects {
            for change in diff(&of(first), &of(second)) {
                for text in [change.to_string(), change.as_deed()] {
                    assert!(!text.chars().any(is_hidden), "{text:?}");
                    assert!(!text.contains("\nwhat to do"), "{text}");
                    writeln!(told, "{text}").unwrap();
                }
            }
        }
    }
    assert_harmless(&told);

    // Drift, what would be lost, what breaks.
    let conn = memory();
    migrator().apply(&conn).unwrap();
    conn.execute_batch(&format!(
        "INSERT INTO {name} VALUES ('row'); CREATE VIEW v AS SELECT {name} FROM {name};
         CREATE TABLE {}(x)",
        quoted(&format!("2{HOSTILE}"))
    ))
    .unwrap();
    let drift: Vec<String> =
        migrator().drift(&conn).unwrap().iter().map(ToString::to_string).collect();
    assert_harmless(&drift.join("\n"));
    assert_error_is_harmless(
        &migrator().drifted(landfall::Drifted::Refuse).apply(&conn).unwrap_err(),
    );
    let drop = migrator().with(Migration::sql(2, "drop", format!("DROP TABLE {name}")));
    assert_error_is_harmless(&drop.apply(&conn).unwrap_err());
    assert_error_is_harmless(&drop.clone().data_loss(DataLoss::Allow).apply(&conn).unwrap_err());
    assert_harmless(&drop.rehearse(&conn).unwrap().to_string());
    conn.execute_batch("DROP VIEW v").unwrap();
    assert_harmless(&drop.data_loss(DataLoss::Allow).rehearse(&conn).unwrap().to_string());

    // Foreign keys, and a ledger of another tool's.
    let keys = format!(
        "CREATE TABLE p({name} PRIMARY KEY); CREATE TABLE {name}({name} REFERENCES p({name}));
         INSERT INTO {name} VALUES ({})",
        text(HOSTILE)
    );
    let keys = Migrator::from_migrations([Migration::sql(1, "keys", keys)]);
    assert_error_is_harmless(&keys.open_in_memory().unwrap_err());
    let conn = memory();
    conn.execute_batch(&format!("CREATE TABLE schema_migrations(version, {name})")).unwrap();
    let adopting = migrator().adopt(Adopt::Sqlx.table("schema_migrations"));
    let error = format!("{:?}", adopting.apply(&conn).unwrap_err());
    assert!(!error.chars().any(is_hidden), "{error:?}");
}

#[test]
fn lines_of_sql_are_printed_harmlessly_with_the_caret_in_place() {
    let failing = |sql: String| {
        let migrator = Migrator::from_migrations([Migration::sql(1, "x", sql)]);
        migrator.open_in_memory().unwrap_err()
    };
    let error = failing("SELECT '\u{1b}[2J\u{202e}',\tx'00', nowhere".to_owned());
    assert_eq!(
        format!("{error:#}"),
        "migration 1_x failed at line 1, column 24; nothing was changed
 --> 1_x:1:24
  |
1 | SELECT '\\u{1b}[2J\\u{202e}',\tx'00', nowhere
  |                            \t       ^
what to do: correct the statement and start again"
    );
    assert_eq!(error.position().unwrap().column, 24);
    assert_error_is_harmless(&failing(format!("SELECT * FROM {}", quoted(HOSTILE))));
    assert_error_is_harmless(&failing(format!("SELECT '\u{202e}', {}(1)", quoted(HOSTILE))));
    assert_error_is_harmless(&failing(format!("COMMIT /* {} */", HOSTILE)));
    let wrong_row = Migration::sql(1, "x", "CREATE TABLE t(a)").verify(format!(
        "SELECT {}, x'1b' AS {}",
        text(HOSTILE),
        quoted(HOSTILE)
    ));
    let error = Migrator::from_migrations([wrong_row]).open_in_memory().unwrap_err();
    assert_error_is_harmless(&error);
    let directive = failing(format!("-- landfall: {DECEIVING}\u{1b}\nSELECT 1"));
    assert_error_is_harmless(&directive);
}

#[cfg(unix)]
#[test]
fn names_of_files_are_printed_harmlessly() {
    let name = HOSTILE.replace('/', "");
    let hostile = |files: &[(&str, &str)]| {
        let (dir, migrator) = folder(files);
        let error = migrator.apply(&memory()).unwrap_err();
        assert_error_is_harmless(&error);
        drop(dir);
    };
    hostile(&[(&format!("1_{name}.sql"), "SELEC 1")]);
    hostile(&[(&format!("1_{DECEIVING}.sql"), "SELEC 1")]);
    hostile(&[(&format!("{name}.sql"), "SELECT 1")]);
    hostile(&[(&format!("{name}/x.sql"), "SELECT 1")]);
    hostile(&[(&format!("2024-01-01-000000_{DECEIVING}/up.sql"), "SELEC 1")]);
    hostile(&[(&format!("1_{DECEIVING}.sql"), "SELECT 1"), ("1_b.sql", "SELECT 1")]);
    hostile(&[(&format!("1_{DECEIVING}.sql"), "\u{0}")]);
    hostile(&[(&format!("1_{DECEIVING}.sql"), "SELECT 'x")]);
    hostile(&[(&format!("1_{DECEIVING}.down.sql"), "SELECT 1")]);

    let (dir, set) = folder(&[(&format!("1_{DECEIVING}.sql"), "CREATE TABLE t(x)")]);
    let conn = Connection::open(dir.path().join(format!("{name}.db"))).unwrap();
    conn.execute_batch("CREATE TABLE before(x)").unwrap();
    let events = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let heard = std::sync::Arc::clone(&events);
    let set = set.backup(Backup::to_dir(dir.path())).on_event(move |event| {
        if let Event::Planned { plan, .. } = event {
            heard.lock().unwrap().push_str(&plan.to_string());
        }
    });
    assert_harmless(
        &set.rehearse_in(&conn, dir.path().join(format!("r{name}.db"))).unwrap().to_string(),
    );
    let report = set.apply(&conn).unwrap();
    assert_harmless(&report.to_string());
    assert_harmless(&report.backup.as_ref().unwrap().to_string());
    assert_harmless(&events.lock().unwrap());
    let mut conn = conn;
    let backup = report.backup.as_ref().and_then(|backup| backup.path()).unwrap();
    let restored = set.restore(&mut conn, backup).unwrap();
    assert_harmless(&restored.to_string());
    for error in [
        set.restore(&mut conn, dir.path().join(&name)).map(drop),
        set.open(dir.path().join(&name).join("x")).map(drop),
        set.open_copy(backup).map(drop),
        Migrator::from_dir(dir.path().join(&name)).check(),
        lockfile(&set, dir.path().join(&name).join("x")),
    ] {
        let told = format!("{:?}", error.unwrap_err());
        assert!(!told.chars().any(is_hidden), "{told:?}");
    }
    // What a test keeps.
    let kept = dir.path().join(&name);
    std::fs::write(&kept, format!("{DECEIVING}\u{1b}\nCREATE TABLE \u{202e}\n")).unwrap();
    assert_error_is_harmless(&lockfile(&set, &kept).unwrap_err());
    assert_error_is_harmless(&schema_file(&set, &kept).unwrap_err());
}

#[test]
fn seeds_are_printed_harmlessly() {
    let conn = memory();
    let seeds = |seeds: Seeds| migrator().seeds(seeds);
    let fails = |_: &landfall::rusqlite::Transaction<'_>| Err::<(), _>(format!("no {HOSTILE}"));
    let fine = |_: &landfall::rusqlite::Transaction<'_>| Ok::<(), String>(());
    let all = |migrator: Migrator| {
        let mut told = String::new();
        for text in [
            migrator.plan(&conn).map(|plan| plan.to_string()),
            migrator.rehearse(&conn).map(|page| page.to_string()),
            migrator.apply(&conn).map(|report| report.to_string()),
            migrator.status(&conn).map(|status| status.to_string()),
            migrator
                .history(&conn)
                .map(|lines| lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        ] {
            let text = text.unwrap_or_else(|error| format!("{error}\n{error:#}\n{error:?}"));
            assert!(!text.chars().any(is_hidden), "{text:?}");
            assert!(!text.contains("\nwhat to do: nothing"), "{text}");
            told.push_str(&text);
        }
        assert_harmless(&told);
    };
    all(seeds(Seeds::new().ensure(HOSTILE, fails)));
    all(seeds(Seeds::new().add(Seed::new("optional", fails).optional())));
    all(seeds(Seeds::new().ensure(DECEIVING, fine)));
    all(seeds(Seeds::new().add(Seed::new("a", fine).after(DECEIVING)).ensure("b", fine)));
    let sql = format!("UPDATE {} SET {} = 1 WHERE 0", quoted(HOSTILE), quoted(HOSTILE));
    all(seeds(Seeds::new().backfill(Backfill::update(DECEIVING, "schema_migrations", sql, "0"))));
}

#[test]
fn findings_are_printed_harmlessly() {
    let wrong = Migrator::from_migrations([
        Migration::sql(1, "a", table()),
        Migration::sql(2, DECEIVING, format!("CREATE TABLE b(x DEFAULT \"{DECEIVING}\")"))
            .down(format!("DROP TABLE {}", quoted(HOSTILE))),
    ]);
    let error = verify(&wrong).run().unwrap_err();
    assert_error_is_harmless(&error);
    let drop = format!("DROP TABLE {}", quoted(HOSTILE));
    let sound = Migrator::from_migrations([Migration::sql(1, "first", table()).down(drop)]);
    let verified = verify(&sound)
        .with(SampleRows::new().none(HOSTILE, HOSTILE))
        .skip(landfall::testing::Check::Lint, HOSTILE)
        .run();
    assert_harmless(&match verified {
        Ok(verified) => verified.to_string(),
        Err(error) => format!("{error:?}"),
    });
}
