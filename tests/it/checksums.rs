//! Formatting never changes a checksum, meaning always does, and no checkout on Windows is an
//! edit.

use landfall::rusqlite::Connection;
use landfall::sql::checksum;
use landfall::{ErrorKind, Migration, Migrator};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

use crate::support::{folder, memory, one, rows};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(43),
        ..ProptestConfig::default()
    }
}

/// A script that runs, a statement a line, its tokens divided by single spaces and by nothing
/// else: a literal holds `_` for a space and `~` for a line's end.
const SCRIPT: &str = "\
CREATE TABLE a ( id INTEGER PRIMARY KEY , \"b_c\" TEXT NOT NULL DEFAULT 'x;~y' , [d] REAL DEFAULT - 1.5e+3 )
CREATE UNIQUE INDEX i ON a ( \"b_c\" COLLATE NOCASE DESC , id ) WHERE id <> 3 OR d >= 0.5
CREATE TABLE log ( what TEXT , n INTEGER CHECK ( n != - 7 AND n << 1 < 0xFF ) )
CREATE TRIGGER t AFTER INSERT ON a WHEN NEW . id > 0 BEGIN INSERT INTO log VALUES ( 'in;_END;' , CASE NEW . id WHEN 1 THEN 10 ELSE 20 END ) ; UPDATE log SET what = what || 'it''s' WHERE n = 10 ; END
INSERT INTO a VALUES ( 1 , '--_no_comment' , .5 ) , ( 2 , '/*_nor_this_*/' , NULL )
INSERT INTO a ( id , `b_c` ) SELECT 5 , x'3b0D0a' || 'é日本' EXCEPT SELECT 6 , 'never'
CREATE VIEW v AS SELECT \"b_c\" AS one , d / 2 % 3 AS two , '{\"k\":1}' ->> '$.k' AS three FROM a
DELETE FROM a WHERE id == 2 AND NOT EXISTS ( SELECT 1 FROM log WHERE n > 100 )";

fn tokens() -> Vec<Vec<String>> {
    let token = |token: &str| match token.chars().next() {
        Some('\'') => token.replace('_', " ").replace('~', "\n"),
        _ => token.to_owned(),
    };
    SCRIPT.lines().map(|line| line.split(' ').map(token).collect()).collect()
}

fn plain(statements: &[Vec<String>]) -> String {
    let statements: Vec<String> = statements.iter().map(|tokens| tokens.join(" ")).collect();
    statements.join(";\n") + ";"
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        " ",
        "\n",
        "\t",
        "  \n\n ",
        "\x0c",
        "\r",
        " \x0b",
        " -- note; it's\n",
        "\n--\n",
        " /* ; ' */ ",
        " /**/ ",
        " /* \n-- \n*/",
        " -- [\"`\n",
        "\n\u{feff}",
    ])
}

/// Every token followed by some space or, beside brackets and commas, perhaps by none; every
/// statement by one semicolon or several, the last perhaps by none; perhaps a byte order mark, and
/// perhaps CRLF everywhere.
fn formatted() -> impl Strategy<Value = String> {
    let count = tokens().concat().len();
    let spaces = prop::collection::vec((space(), any::<bool>()), count);
    let ends = prop::sample::select(vec![";", ";;", " ; ; ", ";\n-- x\n;", ";\n\n"]);
    let ends = prop::collection::vec(ends, SCRIPT.lines().count());
    (spaces, ends, any::<[bool; 4]>()).prop_map(|(spaces, ends, [mark, crlf, head, last])| {
        let mut text = String::from(if mark { "\u{feff}" } else { "" });
        text.push_str(if head { " ;; -- head\n" } else { "" });
        let mut spaces = spaces.into_iter();
        let mut close = "";
        for (statement, end) in tokens().iter().zip(ends) {
            text.push_str(close);
            for (at, token) in statement.iter().enumerate() {
                text.push_str(token);
                let (space, dense) = spaces.next().unwrap();
                let loose = |token: &str| matches!(token, "(" | ")" | "," | ";");
                let may_touch =
                    loose(token) || statement.get(at + 1).is_some_and(|next| loose(next));
                text.push_str(if dense && may_touch { "" } else { space });
            }
            close = end;
        }
        text.push_str(if last { close } else { "" });
        if crlf { text.replace('\n', "\r\n") } else { text }
    })
}

/// Whether a script runs and what it leaves behind, as SQLite stores it: the schema without its
/// white space, and every row.
fn outcome(text: &str) -> (bool, Vec<String>) {
    let conn = memory();
    let ran = conn.execute_batch(text).is_ok();
    let mut left = rows(&conn, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2");
    for line in &mut left {
        line.retain(|c| !c.is_whitespace());
    }
    for table in rows(&conn, "SELECT name FROM sqlite_schema WHERE type = 'table'") {
        left.extend(rows(&conn, &format!("SELECT rowid, * FROM \"{table}\"")));
    }
    (ran, left)
}

/// One token dropped, said twice, put in another's place, or made a little different.
#[derive(Clone, Debug)]
enum Edit {
    Drop(Index),
    Repeat(Index),
    Swap(Index, Index),
    Change(Index, &'static str),
}

impl Edit {
    fn apply(&self, tokens: &mut Vec<String>) {
        let count = tokens.len();
        match self {
            Edit::Drop(at) => drop(tokens.remove(at.index(count))),
            Edit::Repeat(at) => {
                let at = at.index(count);
                tokens.insert(at, tokens[at].clone());
            }
            Edit::Swap(a, b) => tokens.swap(a.index(count), b.index(count)),
            Edit::Change(at, how) => {
                let token = &mut tokens[at.index(count)];
                let inside = token.len() - token.chars().next_back().unwrap().len_utf8();
                match (*how, token.starts_with('\'')) {
                    ("case", _) if *token != token.to_lowercase() => *token = token.to_lowercase(),
                    (" " | "\n" | "\r" | "\u{feff}", true) => token.insert_str(inside, how),
                    _ => token.push('1'),
                }
            }
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let how = prop::sample::select(vec!["case", " ", "\n", "\r", "\u{feff}"]);
    prop_oneof![
        any::<Index>().prop_map(Edit::Drop),
        any::<Index>().prop_map(Edit::Repeat),
        any::<[Index; 2]>().prop_map(|[a, b]| Edit::Swap(a, b)),
        (any::<Index>(), how).prop_map(|(at, how)| Edit::Change(at, how)),
    ]
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn formatting_never_changes_it(text in formatted()) {
        prop_assert_eq!(checksum(&text), checksum(&plain(&tokens())), "{:?}", text);
    }
}

proptest! {
    #![proptest_config(config(200))]

    /// Two judges: the list of tokens, of which only a semicolon may be one too many, and SQLite,
    /// which runs both texts.
    #[test]
    fn meaning_always_does(edit in edit()) {
        let text = plain(&tokens());
        let mut before: Vec<String> = Vec::new();
        for statement in tokens() {
            before.extend(statement);
            before.push(";".to_owned());
        }
        let mut after = before.clone();
        edit.apply(&mut after);
        let edited = after.join(" ");
        let bare = |tokens: &[String]| -> Vec<String> {
            tokens.iter().filter(|token| *token != ";").cloned().collect()
        };
        let differs =
            bare(&before) != bare(&after) || outcome(&text) != outcome(&edited);
        if differs {
            prop_assert_ne!(checksum(&text), checksum(&edited), "{:?}", edited);
        }
        if before == after {
            prop_assert_eq!(checksum(&text), checksum(&edited));
        }
    }
}

#[test]
fn the_script_of_these_tests_runs() {
    let (ran, left) = outcome(&plain(&tokens()));
    assert!(ran);
    assert!(left.iter().any(|line| line == "1|in; END;it'sit'sit's|10"), "{left:#?}");
}

#[test]
fn neighbours_that_look_alike_differ() {
    let pairs = [
        ("SELECT 1", "SELECT '1'"),
        ("SELECT 'a' 'b'", "SELECT 'a''b'"),
        ("SELECT 'a b'", "SELECT 'a  b'"),
        ("SELECT 'a\nb'", "SELECT 'a b'"),
        ("SELECT 'a\rb'", "SELECT 'a\nb'"),
        ("SELECT '--'", "SELECT ''"),
        ("SELECT 'a' -- 'b'\n", "SELECT 'a'  'b'\n"),
        ("SELECT - -1", "SELECT --1"),
        ("SELECT a b", "SELECT ab"),
        ("SELECT x'00'", "SELECT x '00'"),
        ("SELECT 1; SELECT 2", "SELECT 1 SELECT 2"),
        ("SELECT \"a\"", "SELECT 'a'"),
        ("SELECT \"a\"", "SELECT a"),
        ("SELECT a", "SELECT A"),
        ("SELECT a >= b", "SELECT a > = b"),
        ("SELECT 1.5", "SELECT 1 .5"),
        ("SELECT 'a\u{feff}'", "SELECT 'a'"),
        ("SELECT a\u{feff}", "SELECT a"),
        ("", "SELECT 1"),
    ];
    for (a, b) in pairs {
        assert_ne!(checksum(a), checksum(b), "{a:?} and {b:?}");
    }
}

#[test]
fn nothing_weighs_what_nothing_weighs() {
    // The SHA-256 of no bytes at all.
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for text in ["", "\u{feff}", " \r\n", "-- a; b", "/* ; */ ;;\n;", "/* never closed; "] {
        assert_eq!(checksum(text), empty, "{text:?}");
    }
}

/// The ledgers of released programs hold these: they may never change.
#[test]
fn a_checksum_is_for_ever() {
    let text = "CREATE TABLE t(x TEXT DEFAULT 'a;b'); -- t\nINSERT INTO t VALUES (x'00');";
    let recorded = "sha256:36cf9644a5a64a2e97702daa5a12417ee6f07dd294a7fdb57adaaeed843b2e88";
    assert_eq!(checksum(text), recorded);
}

#[test]
fn crlf_in_a_literal_is_lf_and_lf_is_what_is_stored() {
    let (dos, unix) = ("INSERT INTO t VALUES ('a\r\nb\r\n')", "INSERT INTO t VALUES ('a\nb\n')");
    assert_eq!(checksum(dos), checksum(unix));
    let table = Migration::sql(1, "t", "CREATE TABLE t(x)");
    let migrator = |sql| Migrator::from_migrations([table.clone(), Migration::sql(2, "row", sql)]);
    let conn = memory();
    migrator(dos).apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT hex(x) FROM t"), "610A620A");
    assert!(migrator(unix).apply(&conn).unwrap().is_noop());
    let (_dir, files) = folder(&[("1_t.sql", "CREATE TABLE t(x)"), ("2_row.sql", dos)]);
    let conn = memory();
    files.apply(&conn).unwrap();
    assert_eq!(one(&conn, "SELECT hex(x) FROM t"), "610A620A");
}

const AS_WRITTEN: &str = "CREATE TABLE t(x TEXT);\nINSERT INTO t VALUES ('one;\ntwo');\n";

fn applied() -> (Connection, tempfile::TempDir, Migrator) {
    let (dir, migrator) = folder(&[("0001_t.sql", AS_WRITTEN)]);
    let conn = memory();
    migrator.apply(&conn).unwrap();
    (conn, dir, migrator)
}

#[test]
fn a_reformatted_file_is_no_edit() {
    let reformatted = [
        AS_WRITTEN.replace('\n', "\r\n"),
        format!("\u{feff}{AS_WRITTEN}"),
        format!("-- landfall: requires sqlite >= 3.8\n{AS_WRITTEN}"),
        format!("-- landfall: foreign-keys off\n\n{AS_WRITTEN}"),
        AS_WRITTEN.replace('(', " (\n  ").replace("t\n", "t -- the table\n"),
        "CREATE TABLE t(x TEXT);; /* done; */ ;
INSERT INTO t VALUES ('one;
two');;"
            .to_owned(),
        AS_WRITTEN.trim_end().trim_end_matches(';').to_owned(),
        format!(
            "\u{feff}-- landfall: requires sqlite >= 3.8\r\n/* a\r\n   note */\r\n{}",
            AS_WRITTEN.replace('\n', "\r\n").replace("TABLE t", "TABLE\tt")
        ),
    ];
    for text in reformatted {
        let (conn, dir, migrator) = applied();
        std::fs::write(dir.path().join("0001_t.sql"), &text).unwrap();
        let report = migrator.apply(&conn).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
        assert!(report.is_noop(), "{text:?}: {report}");
        assert!(migrator.is_current(&conn).unwrap());
        assert_eq!(rows(&conn, "SELECT x FROM t"), ["one;\ntwo"]);
        assert_eq!(one(&conn, "SELECT count(*) FROM schema_history"), "1");
    }
}

#[test]
fn another_literal_is_an_edit_and_the_advice_names_what_was_applied() {
    let (conn, dir, migrator) = applied();
    let recorded = one(&conn, "SELECT checksum FROM schema_migrations");
    assert_eq!(recorded, checksum(AS_WRITTEN));
    let edited = AS_WRITTEN.replace("two", "three");
    std::fs::write(dir.path().join("0001_t.sql"), &edited).unwrap();
    let error = migrator.apply(&conn).unwrap_err();
    assert_eq!(
        error.to_string(),
        "migration 0001_t.sql is not what was applied to this database as version 1; \
         nothing was changed"
    );
    let advice = format!(
        "restore the file as it was and put the change into a new migration; or, if the edit is \
         meant, write `-- landfall: replaces {recorded}: <reason>` at its head, or call `repair` \
         with a reason"
    );
    assert_eq!(error.advice(), Some(advice.as_str()));
    assert_eq!(format!("{error:#}"), format!("{error}\nwhat to do: {advice}"));
    let ErrorKind::Modified { recorded: was, found, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!((was, found), (&recorded, &checksum(&edited)));
    assert_eq!(rows(&conn, "SELECT x FROM t"), ["one;\ntwo"]);
}

#[test]
fn a_token_is_not_what_its_parts_are() {
    for (token, parts) in [
        ("1e+5", "1e + 5"),
        ("1.5E-3", "1.5E - 3"),
        ("1.5", "1 .5"),
        ("0x1F", "0 x1F"),
        ("?12", "? 12"),
        ("$a::b", "$a :: b"),
        ("$a::b(c)", "$a::b (c)"),
        (":a", ": a"),
        ("x'00'", "x '00'"),
        ("a->>b", "a -> > b"),
        ("a||b", "a | | b"),
        ("a<<b", "a < < b"),
        ("a!=b", "a ! = b"),
        ("a==b", "a = = b"),
    ] {
        let (token, parts) = (format!("SELECT {token}"), format!("SELECT {parts}"));
        assert_ne!(checksum(&token), checksum(&parts), "{token}");
    }
    for (parts, other) in
        [("1 + 5", "1+5"), ("a -b", "a-b"), (".5 + .5", ".5+.5"), ("1.+2", "1. + 2")]
    {
        let (parts, other) = (format!("SELECT {parts}"), format!("SELECT {other}"));
        assert_eq!(checksum(&parts), checksum(&other), "{parts}");
    }
}

#[test]
fn a_letter_that_begins_as_a_byte_order_mark_does_is_a_letter() {
    for letter in ['\u{fb01}', '\u{fb3f}', '\u{fec0}', '\u{ff21}'] {
        let sql = format!("SELECT {letter}");
        assert_ne!(checksum(&sql), checksum("SELECT"), "{letter:?}");
        assert_eq!(landfall::sql::statements(&letter.to_string()), [letter.to_string()]);
    }
    assert_eq!(checksum("SELECT \u{feff}1"), checksum("SELECT 1"));
}
