//! Ledgers that are not taken over: each is refused by name, with what to do, and nothing is written.

use landfall::rusqlite::functions::FunctionFlags;
use landfall::rusqlite::{Connection, OpenFlags};
use landfall::{Adopt, Adoption, ErrorKind, Migration, Migrator, Proof, Seeds};

use crate::adopt::{
    BORN, CASES, DBMATE, DIESEL, DRIZZLE, FLYWAY, GENI, GOLANG_MIGRATE, GOOSE, HIQLITE, LETTER,
    NUMBERS, PERSON, PRISMA, REFINERY, SEA_ORM, SQLX, TIMES, database, fill, migrator,
};
use crate::support::{cause, everything, folder, memory, one, refused, rows, set};

/// A ledger, spoilt.
fn spoilt(ledger: &str, by: &str) -> Connection {
    let conn = database(ledger);
    conn.execute_batch(by).unwrap();
    conn
}

/// The refusal, which every verb that would have to rely on that ledger tells.
fn refusal(conn: &Connection, versions: [i64; 4], adopt: impl Into<Adoption>) -> (String, String) {
    let migrator = migrator(versions).adopt(adopt);
    let error = refused(conn, &migrator);
    assert_eq!(migrator.plan(conn).unwrap_err().to_string(), error.to_string());
    let told = error.to_string();
    let told =
        told.strip_suffix("; nothing was changed").expect("it says that nothing was changed");
    (told.to_owned(), error.advice().unwrap_or_default().to_owned())
}

#[test]
fn a_migration_that_did_not_come_to_its_end() {
    let cases = [
        (
            Adopt::Sqlx,
            NUMBERS,
            spoilt(SQLX, "UPDATE _sqlx_migrations SET success = 0 WHERE version = 3"),
            "the ledger of sqlx, `_sqlx_migrations`, cannot be taken over: migration 3 (born) was \
             begun and did not come to its end: its `success` is 0",
            "look at the database, finish or undo by hand what that migration does, and then \
             correct the row, or delete it; then start again",
        ),
        (
            Adopt::GolangMigrate,
            NUMBERS,
            spoilt(GOLANG_MIGRATE, "UPDATE schema_migrations SET dirty = 'true'"),
            "the ledger of golang-migrate, `schema_migrations`, cannot be taken over: migration 3 \
             was begun and did not come to its end: its `dirty` is 1",
            "look at the database, finish or undo by hand what that migration does, and tell the \
             ledger with `migrate force <version>`; then start again",
        ),
        (
            Adopt::Prisma,
            TIMES,
            spoilt(PRISMA, "UPDATE _prisma_migrations SET finished_at = NULL WHERE id = 'b'"),
            "the ledger of Prisma, `_prisma_migrations`, cannot be taken over: migration \
             20240102000000 (letter) was begun and did not come to its end: it has no `finished_at`",
            "look at the database, finish or undo by hand what that migration does, and tell the \
             ledger with `prisma migrate resolve`; then start again",
        ),
        (
            Adopt::Flyway,
            NUMBERS,
            spoilt(FLYWAY, "UPDATE flyway_schema_history SET success = 0 WHERE installed_rank = 2"),
            "the ledger of Flyway, `flyway_schema_history`, cannot be taken over: migration \
             V2__letter.sql was begun and did not come to its end: its `success` is 0",
            "look at the database, finish or undo by hand what that migration does, and tell the \
             ledger with `flyway repair`; then start again",
        ),
    ];
    for (adopt, versions, conn, message, advice) in cases {
        let expected = (message.to_owned(), advice.to_owned());
        assert_eq!(refusal(&conn, versions, adopt), expected);
        assert_eq!(refusal(&conn, versions, adopt.trusting()), expected);
        assert_eq!(refusal(&conn, versions, Adopt::Auto), expected);
    }
}

#[test]
fn what_prisma_was_told_is_rolled_back_counts_as_not_applied() {
    let conn = spoilt(PRISMA, "DELETE FROM _prisma_migrations WHERE id = 'd'");
    // Its column is there all the same, which the replay sees.
    assert_eq!(
        refusal(&conn, TIMES, Adopt::Prisma).0,
        "the ledger of Prisma, `_prisma_migrations`, cannot be taken over: the schema is not what \
         its migrations make: table `person` has a column `born` too many (born TEXT)"
    );
    conn.execute_batch("ALTER TABLE person DROP COLUMN born").unwrap();
    let report = migrator(TIMES).adopt(Adopt::Prisma).apply(&conn).unwrap();
    assert_eq!((report.adopted.unwrap().migrations.len(), report.applied.len()), (2, 2));
}

#[test]
fn a_file_that_was_edited_since() {
    let ledgers = [
        (Adopt::Refinery, REFINERY, NUMBERS),
        (Adopt::Sqlx, SQLX, NUMBERS),
        (Adopt::Hiqlite, HIQLITE, NUMBERS),
        (Adopt::Flyway, FLYWAY, NUMBERS),
        (Adopt::Prisma, PRISMA, TIMES),
    ];
    for (adopt, ledger, versions) in ledgers {
        let edited = set(&[
            (versions[0], "person", PERSON, ""),
            (versions[1], "letter", "-- it was not there\nSELECT 1;", ""),
            (versions[2], "born", BORN, ""),
        ]);
        let conn = database(ledger);
        let table = CASES.iter().find(|case| case.adopt == adopt).unwrap().table;
        let error = refused(&conn, &edited.clone().adopt(adopt));
        let version = versions[1];
        assert_eq!(
            error.to_string(),
            format!(
                "the ledger of {adopt}, `{table}`, cannot be taken over: its checksum of version \
                 {version} is not that of {version}_letter, which was edited since; nothing was \
                 changed"
            )
        );
        assert_eq!(
            error.advice().unwrap(),
            format!(
                "restore {version}_letter as it was when it was applied, and put the change into a \
                 new migration; or, if the edit is meant, say `.adopt(Adopt::{adopt:?}.trusting())`"
            )
        );
        // On its owner's word it is taken as it is, which is told and on record.
        let report = edited.adopt(adopt.trusting()).apply(&conn).unwrap();
        let adopted = report.adopted.unwrap();
        assert_eq!((adopted.checksums, adopted.proof), (2, Proof::Trusted));
        assert_eq!(
            report.warnings,
            [format!(
                "{version}_letter is not what {adopt} applied, by its checksum, and was taken as \
                 it is"
            )]
        );
        let detail = one(&conn, "SELECT detail FROM schema_history WHERE action = 'adopt'");
        assert!(detail.ends_with(&format!("trusted, edited since: {version}_letter")), "{detail}");
    }
    let conn = spoilt(
        DRIZZLE,
        "UPDATE __drizzle_migrations SET hash = 'ABC' WHERE created_at = 1704449473000",
    );
    assert_eq!(
        refusal(&conn, NUMBERS, Adopt::Drizzle).0,
        "the ledger of drizzle, `__drizzle_migrations`, cannot be taken over: this program has no \
         migration for what has the checksum file-sha256:abc"
    );
}

#[test]
fn a_migration_that_the_set_lacks() {
    let lacking = |versions: [i64; 2], texts: [&'static str; 2]| {
        set(&[(versions[0], "person", PERSON, ""), (versions[1], "other", texts[1], "")])
    };
    let cases = [
        (Adopt::Refinery, REFINERY, NUMBERS),
        (Adopt::Sqlx, SQLX, NUMBERS),
        (Adopt::Diesel, DIESEL, TIMES),
        (Adopt::SeaOrm, SEA_ORM, TIMES),
        (Adopt::Hiqlite, HIQLITE, NUMBERS),
        (Adopt::Geni, GENI, TIMES),
        (Adopt::Goose, GOOSE, NUMBERS),
        (Adopt::Dbmate, DBMATE, NUMBERS),
        (Adopt::Flyway, FLYWAY, NUMBERS),
        (Adopt::Prisma, PRISMA, TIMES),
    ];
    for (adopt, ledger, versions) in cases {
        let conn = database(ledger);
        let missing = lacking([versions[0], versions[2]], [PERSON, BORN]).adopt(adopt);
        let error = refused(&conn, &missing);
        assert!(matches!(error.kind(), ErrorKind::Missing { .. }), "{adopt}: {error}");
        let newer = lacking([versions[0], versions[1]], [PERSON, LETTER]).adopt(adopt.trusting());
        let error = refused(&conn, &newer);
        assert!(matches!(error.kind(), ErrorKind::Newer { .. }), "{adopt}: {error}");
    }
    let newer = lacking([1, 2], [PERSON, LETTER]).adopt(Adopt::GolangMigrate);
    let error = refused(&database(GOLANG_MIGRATE), &newer);
    assert_eq!(
        error.to_string(),
        "the database is at version 3 (unknown), made by a version of the application that gave no \
         name, and this program knows only up to version 2; nothing was changed"
    );
}

#[test]
fn a_number_that_no_count_can_be() {
    let ledger = |number: i64| database(&format!("PRAGMA user_version = {number};"));
    for adopt in [Adopt::RusqliteMigration, Adopt::Auto] {
        assert_eq!(
            refusal(&ledger(5), NUMBERS, adopt).0,
            "the ledger of rusqlite_migration, `PRAGMA user_version`, cannot be taken over: it \
             counts 5 migrations as applied, and this program knows 4"
        );
        assert_eq!(
            refusal(&ledger(-1), NUMBERS, adopt).0,
            "the ledger of rusqlite_migration, `PRAGMA user_version`, cannot be taken over: it is -1"
        );
    }
}

#[test]
fn a_number_alone_is_believed_only_where_the_schema_is_what_it_says() {
    let conn = database("PRAGMA user_version = 2;");
    let expected = (
        "the ledger of rusqlite_migration, `PRAGMA user_version`, cannot be taken over: it is 2, \
         and the schema is not what the first 2 migrations make"
            .to_owned(),
        "if rusqlite_migration has set it, say `.adopt(Adopt::RusqliteMigration)`, which then says \
         what differs; if it is used for something else, leave `adopt` away"
            .to_owned(),
    );
    assert_eq!(refusal(&conn, NUMBERS, Adopt::Auto), expected);
    assert_eq!(refusal(&conn, NUMBERS, Adopt::Auto.trusting()), expected);
    assert_eq!(
        refusal(&conn, NUMBERS, Adopt::RusqliteMigration).0,
        "the ledger of rusqlite_migration, `PRAGMA user_version`, cannot be taken over: the schema \
         is not what its migrations make: table `person` has a column `born` too many (born TEXT)"
    );
    // Where a table says what is applied, the number means something else.
    let conn = database(&format!("{SQLX} PRAGMA user_version = 77;"));
    let adopted = migrator(NUMBERS).adopt(Adopt::Auto).apply(&conn).unwrap().adopted.unwrap();
    assert_eq!(adopted.tool, Adopt::Sqlx);
}

#[test]
fn a_table_of_the_right_name_and_wrong_columns() {
    for case in CASES.iter().filter(|case| case.adopt != Adopt::RusqliteMigration) {
        let (adopt, table) = (case.adopt, case.table);
        let conn = database(&format!("CREATE TABLE {table}(bird TEXT, \"flies \"\"high\" INT);"));
        let (message, advice) = refusal(&conn, case.versions, adopt);
        let start = format!(
            "the ledger of {adopt}, `{table}`, cannot be taken over: its columns are bird, flies \
             \"high, and a ledger of that tool has "
        );
        assert!(message.starts_with(&start), "{message}");
        assert_eq!(
            advice,
            format!(
                "name the table that is the ledger, as in `.adopt(Adopt::{adopt:?}.table(\"<name>\
                 \"))`, or leave `adopt` away if there is none"
            )
        );
    }
    let conn =
        database("CREATE TABLE _sqlx_migrations(version, description, installed_on, success);");
    assert_eq!(
        refusal(&conn, NUMBERS, Adopt::Sqlx).0,
        "the ledger of sqlx, `_sqlx_migrations`, cannot be taken over: its columns are version, \
         description, installed_on, success, and a ledger of that tool has version, description, \
         installed_on, success, checksum"
    );
    assert_eq!(
        refusal(&database(GENI), TIMES, Adopt::Dbmate).1,
        "it looks like geni's: then say `.adopt(Adopt::Geni)`"
    );
    assert_eq!(
        refusal(&database("CREATE TABLE odd(a, b);"), TIMES, Adopt::Auto.table("odd")).0,
        "the ledger of some tool, `odd`, cannot be taken over: its columns are a, b, which is no \
         ledger that is known"
    );
}

#[test]
fn two_ledgers_at_once_until_one_is_named() {
    let conn = database(&format!("{SQLX} {REFINERY}"));
    assert_eq!(
        refusal(&conn, NUMBERS, Adopt::Auto),
        (
            "the ledger of refinery, `refinery_schema_history`, cannot be taken over: the database \
             has sqlx's `_sqlx_migrations` as well"
                .to_owned(),
            "name the one that is about this program's migrations: `.adopt(Adopt::Refinery)` or \
             `.adopt(Adopt::Sqlx)`"
                .to_owned()
        )
    );
    let adopted = migrator(NUMBERS).adopt(Adopt::Sqlx).apply(&conn).unwrap().adopted.unwrap();
    assert_eq!(adopted.tool, Adopt::Sqlx);
}

#[test]
fn rows_that_cannot_be_understood() {
    let cases = [
        (
            Adopt::Dbmate,
            spoilt(DBMATE, "INSERT INTO schema_migrations VALUES ('003')"),
            "it holds version 3 twice",
        ),
        (
            Adopt::Dbmate,
            spoilt(DBMATE, "INSERT INTO schema_migrations VALUES ('three')"),
            "it holds a row whose `version` is `three`, which is no version of 64 bits",
        ),
        (
            Adopt::Dbmate,
            spoilt(DBMATE, "INSERT INTO schema_migrations VALUES ('99999999999999999999')"),
            "it holds a row whose `version` is `99999999999999999999`, which is no version of 64 bits",
        ),
        (
            Adopt::Dbmate,
            spoilt(DBMATE, "INSERT INTO schema_migrations VALUES (NULL)"),
            "it holds a row whose `version` is `NULL`, which is no version of 64 bits",
        ),
        (
            Adopt::GolangMigrate,
            spoilt(GOLANG_MIGRATE, "INSERT INTO schema_migrations VALUES (2, 0)"),
            "it has 2 rows, and should have one",
        ),
        (
            Adopt::Goose,
            spoilt(GOOSE, "UPDATE goose_db_version SET is_applied = 'perhaps' WHERE id = 2"),
            "it holds a row whose `is_applied` is `perhaps`, which is neither yes nor no",
        ),
        (
            Adopt::Sqlx,
            spoilt(SQLX, "UPDATE _sqlx_migrations SET checksum = 'none'"),
            "it holds a row whose `checksum` is `none`, which is no checksum",
        ),
        (
            Adopt::SeaOrm,
            spoilt(SEA_ORM, "INSERT INTO seaql_migrations VALUES ('initial', 1)"),
            "this program has no migration for `initial`",
        ),
        (
            Adopt::Flyway,
            spoilt(
                FLYWAY,
                "UPDATE flyway_schema_history SET version = '1.x', script = '' WHERE version = '1'",
            ),
            "it holds a row whose `version` is `1.x`, which is no version",
        ),
    ];
    for (adopt, conn, why) in cases {
        let versions = if adopt == Adopt::SeaOrm { TIMES } else { NUMBERS };
        let table = CASES.iter().find(|case| case.adopt == adopt).unwrap().table;
        assert_eq!(
            refusal(&conn, versions, adopt).0,
            format!("the ledger of {adopt}, `{table}`, cannot be taken over: {why}")
        );
    }
    // Bytes that are no text give an error and no panic.
    let conn = spoilt(DBMATE, "INSERT INTO schema_migrations VALUES (CAST(x'ff31' AS TEXT))");
    assert!(refusal(&conn, NUMBERS, Adopt::Dbmate).0.contains("which is no version"));
}

#[test]
fn a_schema_that_is_not_what_the_migrations_make() {
    let cases = [
        (
            "DROP TABLE letter",
            "table `letter` is missing; index `letter_person` on table `letter` is missing",
        ),
        ("CREATE TABLE extra(x)", "table `extra` should not be there"),
        ("DROP INDEX letter_person", "index `letter_person` on table `letter` is missing"),
        (
            "ALTER TABLE person ADD COLUMN age INT",
            "table `person` has a column `age` too many (age INT)",
        ),
        ("CREATE VIEW v AS SELECT 1", "view `v` should not be there"),
    ];
    for case in &CASES {
        for (change, difference) in cases {
            let conn = spoilt(case.ledger, change);
            let (message, advice) = refusal(&conn, case.versions, case.adopt);
            assert_eq!(
                message,
                format!(
                    "the ledger of {}, `{}`, cannot be taken over: the schema is not what its \
                     migrations make: {difference}",
                    case.adopt, case.table
                )
            );
            assert_eq!(
                advice,
                format!(
                    "bring the schema in line by hand, or correct the files; or, if the schema is \
                     right as it is, take the ledger at its word with `.adopt(Adopt::{:?}.trusting())`",
                    case.adopt
                )
            );
            let trusting = migrator(case.versions).adopt(case.adopt.trusting());
            let report = trusting.apply(&conn).unwrap();
            assert_eq!(report.adopted.unwrap().proof, Proof::Trusted);
            assert!(trusting.apply(&conn).unwrap().is_noop());
        }
    }
    let conn = spoilt(SQLX, "DROP TABLE letter; CREATE TABLE extra(x); CREATE TABLE more(x);");
    let error = refused(&conn, &migrator(NUMBERS).adopt(Adopt::Sqlx));
    let ErrorKind::Unproved { tool, ledger, differences, .. } = error.kind() else {
        panic!("{error}")
    };
    assert_eq!((*tool, ledger.as_str(), differences.len()), ("sqlx", "_sqlx_migrations", 4));
    // What the application says is not the migrations' is left out.
    let conn = spoilt(SQLX, "CREATE TABLE extra(x)");
    migrator(NUMBERS).adopt(Adopt::Sqlx).ignore_drift_of(["ext*"]).apply(&conn).unwrap();
}

#[test]
fn tables_of_sqlite_and_of_other_ledgers_are_no_differences() {
    let conn = database(
        &[REFINERY, DIESEL, HIQLITE, GOOSE, "ANALYZE; CREATE TABLE _litestream_seq(id);"].concat(),
    );
    set(&[(1, "log", "CREATE TABLE log_of_a_library(x)", "")])
        .ledger("library")
        .apply(&conn)
        .unwrap();
    conn.execute_batch("DROP TABLE log_of_a_library").unwrap();
    migrator(NUMBERS).adopt(Adopt::Refinery).apply(&conn).unwrap();
    // Nor are they drift later.
    let drift = migrator(NUMBERS).drift(&conn).unwrap();
    assert!(drift.is_empty(), "{drift:?}");
}

#[test]
fn migrations_that_cannot_be_replayed() {
    let shout = "CREATE TABLE shout(text TEXT); INSERT INTO shout VALUES (loud('a'));";
    let migrator = || set(&[(1, "shout", shout, ""), (2, "note", "CREATE TABLE note(x)", "")]);
    let conn = memory();
    conn.execute_batch("CREATE TABLE shout(text TEXT); PRAGMA user_version = 1").unwrap();
    let error = refused(&conn, &migrator().adopt(Adopt::RusqliteMigration));
    assert_eq!(
        error.to_string(),
        "the ledger of rusqlite_migration, `PRAGMA user_version`, cannot be taken over: its \
         migrations cannot be replayed into an empty database; nothing was changed"
    );
    assert!(cause(&error).starts_with("migration 1_shout failed at line 1"), "{}", cause(&error));
    assert_eq!(
        error.advice().unwrap(),
        "if it needs functions, collations or modules of the application's, register them in \
         `on_connect`; or take the ledger at its word with \
         `.adopt(Adopt::RusqliteMigration.trusting())`"
    );
    let registered = migrator().adopt(Adopt::RusqliteMigration).on_connect(|conn| {
        let flags = FunctionFlags::SQLITE_UTF8;
        conn.create_scalar_function("loud", 1, flags, |call| call.get::<String>(0))
    });
    assert_eq!(registered.apply(&conn).unwrap().adopted.unwrap().proof, Proof::Replayed);
    let conn = memory();
    conn.execute_batch("CREATE TABLE shout(text TEXT); PRAGMA user_version = 1").unwrap();
    let trusting = migrator().adopt(Adopt::RusqliteMigration.trusting());
    assert_eq!(trusting.apply(&conn).unwrap().adopted.unwrap().proof, Proof::Trusted);
}

#[test]
fn a_name_that_theirs_would_need_and_something_has() {
    let conn = spoilt(DBMATE, "CREATE TABLE Schema_Migrations_dbmate(x)");
    assert_eq!(
        refusal(&conn, NUMBERS, Adopt::Dbmate),
        (
            "the ledger of dbmate, `schema_migrations`, cannot be taken over: it would have to \
             become `schema_migrations_dbmate`, and there is something of that name"
                .to_owned(),
            "drop or rename `schema_migrations_dbmate`; or give landfall's tables another name with \
             `ledger(\"<prefix>\")`, which leaves `schema_migrations` as it is"
                .to_owned()
        )
    );
    // A view that does not work lets nothing be renamed.
    let conn = spoilt(DBMATE, "CREATE VIEW broken AS SELECT * FROM nowhere");
    let migrator = migrator(NUMBERS).adopt(Adopt::Dbmate.trusting());
    let error = refused(&conn, &migrator);
    assert_eq!(
        error.to_string(),
        "renaming the ledger of another tool failed; nothing was changed"
    );
    assert!(cause(&error).contains("error in view broken"), "{}", cause(&error));
    assert_eq!(
        error.advice(),
        Some(
            "SQLite renames no table while a view or trigger does not work: mend or drop it; or give \
             landfall's tables another name with `ledger(\"<prefix>\")`"
        )
    );
    migrator.ledger("app").apply(&conn).unwrap();
}

#[test]
fn without_adopt_the_error_says_which_one_takes_it_over() {
    for (ledger, adopt) in
        [(GENI, "Adopt::Geni"), (DBMATE, "Adopt::Dbmate"), (GOLANG_MIGRATE, "Adopt::GolangMigrate")]
    {
        let error = refused(&database(ledger), &migrator(NUMBERS));
        assert!(matches!(error.kind(), ErrorKind::ForeignLedger { adopt: Some(_), .. }), "{error}");
        assert_eq!(
            error.advice().unwrap(),
            format!(
                "to take it over, say `.adopt({adopt})`; or give landfall's tables another name \
                 with `ledger(\"<prefix>\")`"
            )
        );
    }
    // With a name of its own it is not in the way, and the first migration fails.
    for case in CASES.iter().filter(|case| case.table != "schema_migrations") {
        let error = refused(&database(case.ledger), &migrator(case.versions));
        assert!(matches!(error.kind(), ErrorKind::Statement { .. }), "{error}");
        assert_eq!(
            error.advice().unwrap(),
            format!(
                "the database has no ledger and is not empty: if its `{}` is the ledger of {}, \
                 take it over with `.adopt(Adopt::{:?})`; if it is already at one of the set's \
                 versions, call `baseline` with that version once",
                case.table, case.adopt, case.adopt
            )
        );
    }
    // The ledger of a tool that was not named stays in the way.
    let error = refused(&database(DBMATE), &migrator(NUMBERS).adopt(Adopt::Sqlx));
    assert!(error.advice().unwrap().contains("`.adopt(Adopt::Dbmate)`"));
}

#[test]
fn verbs_that_would_make_an_empty_ledger_wait_for_apply() {
    let conn = database(SQLX);
    let seeds = Seeds::new().backfill(
        landfall::Backfill::update("upper", "person", "name = upper(name)", "").deferred(),
    );
    let migrator = migrator(NUMBERS).adopt(Adopt::Sqlx).seeds(seeds);
    let before = everything(&conn);
    for error in
        [migrator.repair(&conn, "why").unwrap_err(), migrator.run_backfills(&conn).unwrap_err()]
    {
        assert!(
            error.to_string().starts_with(
                "the database is not current: the ledger of sqlx, `_sqlx_migrations`, is to be \
                 taken over"
            ),
            "{error}"
        );
        assert_eq!(error.advice(), Some("run `apply` first"));
    }
    assert!(migrator.revert_seed(&conn, "upper").is_err());
    assert_eq!(everything(&conn), before);
    migrator.apply(&conn).unwrap();
    assert_eq!(migrator.run_backfills(&conn).unwrap().backfills.len(), 1);
}

#[test]
fn a_database_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    fill(&Connection::open(&path).unwrap(), SQLX);
    let conn = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let migrator = migrator(NUMBERS).adopt(Adopt::Sqlx);
    let error = refused(&conn, &migrator);
    assert_eq!(
        error.to_string(),
        "the ledger of sqlx, `_sqlx_migrations`, is to be taken over, there is 1 step (apply 4 \
         (note)), and the database is read-only; nothing was changed"
    );
    assert!(!migrator.is_current(&conn).unwrap());
    assert_eq!(migrator.plan(&conn).unwrap().adoption.unwrap().migrations.len(), 3);
}

#[test]
fn code_is_replayed_too() {
    let conn = memory();
    conn.execute_batch("CREATE TABLE a(x); PRAGMA user_version = 1").unwrap();
    let made = |sql: &'static str| {
        let code = Migration::code(1, "a", move |tx| tx.execute_batch(sql));
        Migrator::from_migrations([code]).adopt(Adopt::RusqliteMigration)
    };
    let error = refused(&conn, &made("CREATE TABLE a(x, y)"));
    assert!(matches!(error.kind(), ErrorKind::Unproved { .. }), "{error}");
    made("CREATE TABLE a(x)").apply(&conn).unwrap();
}

#[test]
fn a_folder_whose_tool_and_ledger_are_not_the_same_is_no_matter() {
    // Written by refinery, moved to landfall's own form since.
    let files = [("0001_person.sql", PERSON), ("0002_letter.sql", LETTER), ("0003_born.sql", BORN)];
    let (_dir, migrator) = folder(&files);
    let adopted = migrator.adopt(Adopt::Refinery).apply(&database(REFINERY)).unwrap().adopted;
    assert_eq!(adopted.unwrap().checksums, 3);
    assert_eq!(rows(&database(REFINERY), "SELECT count(*) FROM refinery_schema_history"), ["3"]);
}
