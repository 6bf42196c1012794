//! Scripts are cut where SQLite cuts them. The judges are `sqlite3_complete`, for any text at
//! all, and `sqlite3_prepare`, for SQL that runs.

use std::ffi::CString;
use std::ops::Range;

use landfall::rusqlite::{Connection, ffi};
use landfall::sql::statements;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::properties::{
    assert_one_in_each, pieces_when_complete, prepare, without_what_only_the_parser_passes_over,
};
use crate::support::{EXAMPLE, memory};

/// The pieces that SQLite cuts a script into when it runs it, one prepared statement after
/// another.
fn pieces_as_run(conn: &Connection, script: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < script.len() {
        let rest = CString::new(&script[at..]).unwrap();
        let (length, statement) = prepare(conn, &rest)
            .unwrap_or_else(|why| panic!("{why} in {}", rest.to_string_lossy()));
        // SAFETY: the statement was just prepared, or is NULL, which both functions allow.
        unsafe {
            while !statement.is_null() && ffi::sqlite3_step(statement) == ffi::SQLITE_ROW {}
            let code = ffi::sqlite3_finalize(statement);
            assert_eq!(code, ffi::SQLITE_OK, "running {}", rest.to_string_lossy());
        }
        pieces.push(at..at + length);
        at += length;
    }
    pieces
}

/// Pieces of scripts. Variables and numbers end with a space: `:CREATE`, `1.CREATE` and `$a(;)`
/// are single tokens to the parser and several to `sqlite3_complete`, and
/// `the_parser_judges_where_the_two_differ` has them.
fn fragment() -> impl Strategy<Value = String> {
    let keywords = vec![
        "CREATE",
        "create",
        "TEMP",
        "TEMPORARY",
        "TRIGGER",
        "Trigger",
        "BEGIN",
        "END",
        "end",
        "EXPLAIN",
        "QUERY PLAN",
        "CASE",
        "WHEN",
        "SELECT",
        "TABLE",
        "ENDING",
        "xCREATE",
        "_end",
    ];
    let spaces = vec![" ", "\n", "\r\n", "\t", "\x0c", "\x0b", "\r", " \x0b", "\u{feff}"];
    let comments = vec![
        "-- a; b\n",
        "--\n",
        "-- it's\r\n",
        "--",
        "/* a; b */",
        "/**/",
        "/*/ ; */",
        "/* ' */",
        "/*",
        "/* END; ",
        "*/",
        "/",
        "-",
    ];
    let quotes = vec![
        "'a;b'",
        "'it''s;'",
        "''",
        "'",
        "\"a;b\"",
        "\"a\"\";\"",
        "\"",
        "[a;b]",
        "[a]]",
        "[",
        "]",
        "`a;b`",
        "`a``;`",
        "`",
        "'\r\n;'",
        "';",
    ];
    let values = vec![
        "x'00'", "X'ab;'", "x'", "x ", "1 ", "0x1F ", "1.5e+3 ", ".5 ", "1e ", "12ab ", "1_000 ",
        ":name ", "@name ", "$name ", "$a::b ", "?1 ", "? ",
    ];
    let letters = vec!["é", "日本", "ß;", "🦀", "\u{a0}", "\u{7f}", "\u{80}"];
    let triggers = vec![
        "CREATE TRIGGER t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; END",
        "CREATE TEMP TRIGGER t BEGIN SELECT 1; END",
        "EXPLAIN CREATE TEMPORARY TRIGGER t BEGIN SELECT 1; END",
    ];
    let ascii = "[\\x01-\\x22%-\\-/-9;-?A-~]{1,3}";
    prop_oneof![
        8 => prop::sample::select(keywords).prop_map(|word| format!("{word} ")),
        2 => prop::sample::select(vec!["CREATE", "END", "TRIGGER"]).prop_map(str::to_owned),
        6 => Just(";".to_owned()),
        3 => prop::sample::select(spaces).prop_map(str::to_owned),
        3 => prop::sample::select(comments).prop_map(str::to_owned),
        3 => prop::sample::select(quotes).prop_map(str::to_owned),
        2 => prop::sample::select(values).prop_map(str::to_owned),
        1 => prop::sample::select(letters).prop_map(str::to_owned),
        1 => prop::sample::select(triggers).prop_map(str::to_owned),
        2 => ascii,
    ]
}

fn script() -> impl Strategy<Value = String> {
    prop::collection::vec(fragment(), 0..24).prop_map(|fragments| fragments.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(43),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_statement_ends_where_sqlite_first_calls_it_complete(script in script()) {
        let shown = without_what_only_the_parser_passes_over(&script);
        prop_assert_eq!(shown.len(), script.len());
        assert_one_in_each(&script, &pieces_when_complete(&shown));
    }
}

#[test]
fn the_parser_judges_where_the_two_differ() {
    let table = "CREATE TABLE t(x);";
    let trigger = "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t; END;";
    let scripts = [
        format!("\u{feff}{table}\u{feff}{trigger}\u{feff}SELECT 1;"),
        format!("{table}\n\x0b{trigger}\n\x0bSELECT 1;"),
        "SELECT $a(;), $b::c(';'); SELECT 1".to_owned(),
        "EXPLAIN SELECT :CREATE, :TRIGGER; SELECT @end;".to_owned(),
    ];
    for script in scripts {
        let pieces = pieces_as_run(&memory(), &script);
        assert!(pieces.len() > 1, "{script:?}");
        assert_one_in_each(&script, &pieces);
    }
}

/// Scripts as people write them, with the number of their statements.
const SCRIPTS: [(usize, &str); 9] = [
    (0, ""),
    (0, " ; -- nothing; at all\n ;; /* ; */ ;"),
    (1, "SELECT 1"),
    (2, ";;CREATE TABLE a(x);;\n;INSERT INTO a VALUES (';'), ('it''s; '), (\"x\");; -- end"),
    (
        4,
        "CREATE TABLE account(id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER, kind TEXT);
         CREATE TRIGGER account_kind AFTER UPDATE OF balance ON account
         WHEN NEW.balance IS NOT OLD.balance
         BEGIN
           UPDATE account SET kind = CASE
             WHEN NEW.balance < 0 THEN CASE WHEN NEW.balance < -100 THEN 'bad;' ELSE 'low' END
             ELSE 'good'
           END
           WHERE id = NEW.id;
           SELECT CASE WHEN NEW.owner = '' THEN RAISE(ABORT, 'END;') END;
         END;
         INSERT INTO account VALUES (1, 'ada', 5, NULL);
         UPDATE account SET balance = -200",
    ),
    (
        4,
        "create table t(a, b);\r\n\
         create temp trigger if not exists tr after insert on t begin\r\n\
         \x20 insert into t(a) select 1 where 0; -- end;\r\n\
         \x20 /* end; */ delete from t where a = 'end;';\r\n\
         end;\r\n\
         create temporary view v as select case when a then b end as \"end;\" from t;\r\n\
         select [end;] from (select 1 as [end;]);\r\n",
    ),
    (
        3,
        "CREATE TABLE n(x);
         EXPLAIN CREATE TRIGGER g AFTER INSERT ON n BEGIN SELECT 1; SELECT 2; END;
         EXPLAIN QUERY PLAN SELECT * FROM n;",
    ),
    (
        5,
        "BEGIN; CREATE TABLE `od;d`(`e;` TEXT DEFAULT 'a;b', blob BLOB DEFAULT x'3b');
         CREATE INDEX [i;i] ON `od;d`(`e;`) WHERE `e;` <> ';';
         INSERT INTO `od;d` DEFAULT VALUES; COMMIT;",
    ),
    (
        3,
        "CREATE TABLE trigger_log(\"trigger\" TEXT, \"end\" TEXT);
         WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 3)
         INSERT INTO trigger_log SELECT n, ';' FROM c;
         CREATE VIEW latest AS SELECT * FROM trigger_log /* the last; one",
    ),
];

#[test]
fn scripts_of_real_life_are_cut_as_sqlite_runs_them() {
    for (count, script) in SCRIPTS {
        assert_eq!(statements(script).len(), count, "{script}");
        assert_one_in_each(script, &pieces_as_run(&memory(), script));
    }
}

#[test]
fn the_example_is_cut_as_sqlite_runs_it() {
    let mut files: Vec<_> = EXAMPLE.files().collect();
    files.sort_by_key(|file| file.path());
    let is = |path: &str, part: &str| path.ends_with(part);
    let (mut ups, mut downs, mut verifies) = (Vec::new(), Vec::new(), Vec::new());
    for file in files {
        let path = file.path().to_str().unwrap();
        let text = file.contents_utf8().unwrap();
        match path {
            path if is(path, ".down.sql") => downs.insert(0, text),
            path if is(path, ".verify.sql") => verifies.push(text),
            path if is(path, ".sql") => ups.push(text),
            _ => {}
        }
    }
    assert!(ups.len() > 11 && downs.len() >= 11);
    let conn = memory();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for script in ups.into_iter().chain(verifies) {
        assert_one_in_each(script, &pieces_as_run(&conn, script));
    }
    conn.execute_batch("DROP VIEW contact_card; DROP VIEW birthday_calendar").unwrap();
    for script in downs {
        assert_one_in_each(script, &pieces_as_run(&conn, script));
    }
}
