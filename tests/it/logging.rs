//! The log: one info line for a start that changed something, none for one that did not.

use std::sync::{Mutex, Once};
use std::thread::{ThreadId, current};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::support::{memory, set};

struct Lines(Mutex<Vec<(ThreadId, Level, String)>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = (current().id(), record.level(), record.args().to_string());
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&LINES).unwrap();
        log::set_max_level(LevelFilter::Debug);
    });
}

/// What this thread has logged since the last time: other tests log at the same time.
fn mine(level: Level) -> Vec<String> {
    let mut lines = LINES.0.lock().unwrap();
    let found = lines.iter().filter(|(thread, of, _)| *thread == current().id() && *of == level);
    let found = found.map(|(.., line)| line.clone()).collect();
    lines.retain(|(thread, of, _)| *thread != current().id() || *of != level);
    found
}

#[test]
fn one_info_line_for_a_boot_that_changed_something_and_none_for_one_that_did_not() {
    listen();
    let migrator = set(&[(1, "a", "CREATE TABLE a(x)", ""), (2, "b", "CREATE TABLE b(x)", "")]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    let info = mine(Level::Info);
    assert_eq!(info.len(), 1, "{info:?}");
    assert!(info[0].starts_with("applied 2: 1 a to 2 b in "), "{info:?}");
    let debug = mine(Level::Debug);
    assert_eq!(debug.len(), 2, "{debug:?}");
    assert!(debug[0].starts_with("apply 1 (a) in "), "{debug:?}");
    migrator.apply(&conn).unwrap();
    assert_eq!(mine(Level::Info), [""; 0]);
    assert_eq!(mine(Level::Debug).len(), 1);
}

#[test]
fn a_check_warns_of_a_down_script_that_is_empty_where_there_is_something_to_take_back() {
    listen();
    set(&[(1, "a", "CREATE TABLE a(x)", "DROP TABLE a")]).check().unwrap();
    set(&[(1, "a", "CREATE TABLE a(x)", "")]).check().unwrap();
    set(&[(1, "a", "SELECT 1", "-- nothing")]).check().unwrap();
    assert_eq!(mine(Level::Warn), [""; 0]);
    let empty = "-- nothing yet";
    let all: Vec<_> = (1..=7).map(|version| (version, "a", "CREATE TABLE a(x)", empty)).collect();
    set(&all[..1]).check().unwrap();
    set(&all).check().unwrap();
    assert_eq!(
        mine(Level::Warn),
        [
            "the down script of 1_a is empty: a revert would leave the schema as it is",
            "the down scripts of 1_a, 2_a, 3_a, 4_a, 5_a, 2 more are empty: a revert would leave the \
             schema as it is"
        ]
    );
}

#[test]
fn lines_hold_nothing_that_a_terminal_obeys() {
    use landfall::{Backfill, Drifted, Migration, Migrator, Seed, Seeds};
    listen();
    let hostile = "x\u{1b}[31m\u{202e}\nINFO all is well\r";
    let fine = |_: &landfall::rusqlite::Transaction<'_>| Ok::<(), String>(());
    let fails = move |_: &landfall::rusqlite::Transaction<'_>| Err::<(), _>(hostile.to_owned());
    let seeds = Seeds::new()
        .add(Seed::new("x\u{202e}", fine))
        .add(Seed::new("optional", fails).optional())
        .backfill(Backfill::update("b\u{202e}", "t", "x = 1", "x IS NULL"));
    let migration =
        Migration::sql(1, "m\u{202e}", "CREATE TABLE t(x); INSERT INTO t VALUES (NULL)");
    let conn = memory();
    let migrator = Migrator::from_migrations([migration]).seeds(seeds).drifted(Drifted::Warn);
    migrator.apply(&conn).unwrap();
    conn.execute_batch(&format!("CREATE TABLE \"{hostile}\"(x)")).unwrap();
    migrator.apply(&conn).unwrap();
    let lines: Vec<String> =
        [Level::Info, Level::Debug, Level::Warn].into_iter().flat_map(mine).collect();
    for line in &lines {
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
    for told in ["apply 1 (m", "seed x", "backfill b", "INFO all is well", "applied 1 m"] {
        let shown = lines.iter().find(|line| line.contains(told));
        assert!(shown.is_some_and(|line| line.contains("\\u{202e}")), "{told}: {lines:?}");
    }
}
