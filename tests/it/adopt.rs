//! Another tool's ledger taken over: each tool's table as it makes it, and what becomes of it.

use landfall::rusqlite::Connection;
use landfall::{
    Adopt, Adoption, Drifted, Migration, Migrator, Missing, Newer, Proof, Seeds, State, Target,
    Version,
};

use crate::support::{dump, everything, folder, memory, one, rows, set};

pub const PERSON: &str = "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n";
pub const LETTER: &str = "CREATE TABLE letter(id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES person(id), text TEXT);\nCREATE INDEX letter_person ON letter(person_id);\n";
pub const BORN: &str = "ALTER TABLE person ADD COLUMN born TEXT;\n";
const NOTE: &str = "CREATE TABLE note(text TEXT);\n";

/// Three that the other tool has applied, and one that came after.
pub fn migrator(versions: [i64; 4]) -> Migrator {
    set(&[
        (versions[0], "person", PERSON, "DROP TABLE person;"),
        (versions[1], "letter", LETTER, "DROP TABLE letter;"),
        (versions[2], "born", BORN, "ALTER TABLE person DROP COLUMN born;"),
        (versions[3], "note", NOTE, "DROP TABLE note;"),
    ])
}

pub const NUMBERS: [i64; 4] = [1, 2, 3, 4];
pub const TIMES: [i64; 4] = [20240101000000, 20240102000000, 20240103000000, 20240104000000];

/// A database with the three applied, some rows in it, and another tool's ledger.
pub fn database(ledger: &str) -> Connection {
    let conn = memory();
    fill(&conn, ledger);
    conn
}

pub fn fill(conn: &Connection, ledger: &str) {
    conn.execute_batch(&format!(
        "{PERSON}{LETTER}{BORN}
         INSERT INTO person(name) VALUES ('Ada'), ('Bob');
         INSERT INTO letter(person_id, text) VALUES (1, 'a');
         {ledger}"
    ))
    .unwrap();
}

pub const REFINERY: &str = "
    CREATE TABLE refinery_schema_history(
        version int4 PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255));
    INSERT INTO refinery_schema_history VALUES
        (3, 'born', '2026-11-21T05:01:57.448065932Z', '13651464353519788277'),
        (1, 'person', '2026-11-21T05:00:57.448065932Z', '15640835942326733412'),
        (2, 'letter', '2026-11-21T07:00:57.5+02:00', '5938672242706392604');";

pub const SQLX: &str = "
    CREATE TABLE _sqlx_migrations (
        version BIGINT PRIMARY KEY, description TEXT NOT NULL,
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL);
    INSERT INTO _sqlx_migrations VALUES
        (1, 'person', '2026-11-21 05:00:57', TRUE, x'E75FD2538E5400283BA7DD86FD9304AD9B581CD92B0E08185B50DBA0B9F5B384E30ACA3CAA9EE8742E1580E9F3E51546', 100),
        (2, 'letter', '2026-11-21 05:00:58', TRUE, x'09BA916BA04DA2CD28E2942412779A317BA8489067770A78916D6E55DA914D1D189A132FEF2A84D2BADE9E789165E306', -1),
        (3, 'born', '2026-11-21 05:00:59', TRUE, x'51D3252D9BA9821C87BEBBDC6658ED5245D6643AADC413FFE5B7ECE492891119DF692BFE70B25C83EF6CFF9AAB788CD3', 100);";

pub const DIESEL: &str = "
    CREATE TABLE __diesel_schema_migrations (
        version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO __diesel_schema_migrations VALUES
        ('00000000000000', '2023-12-31 00:00:00'), ('20240101000000', '2024-01-05 10:11:12'),
        ('20240102000000', '2024-01-05 10:11:13'), ('20240103000000', '2024-01-05 10:11:14');";

pub const SEA_ORM: &str = "
    CREATE TABLE \"seaql_migrations\" (
        \"version\" varchar NOT NULL PRIMARY KEY, \"applied_at\" bigint NOT NULL );
    INSERT INTO seaql_migrations VALUES ('m20240101_000000_person', 1704449472),
        ('m20240102_000000_letter', 1704449473), ('m20240103_000000_born', '1704449474');";

pub const HIQLITE: &str = "
    CREATE TABLE _migrations (
        id INTEGER NOT NULL CONSTRAINT _migrations_pk PRIMARY KEY,
        name TEXT NOT NULL, ts INTEGER NOT NULL, hash TEXT NOT NULL );
    CREATE TABLE _metadata (key TEXT NOT NULL, data BLOB NOT NULL);
    INSERT INTO _migrations VALUES
        (1, 'person', 1704449472, '7c636f740ca2247c18412a79fcca13352a7b33fb1ecb3a9e3056ca28e4226b71'),
        (2, 'letter', 17, '8196f84d22030da1a020e0921b0dc983b2ed71f27f60bb6181771ed53ab743a3'),
        (3, 'born', 18, '47d4ff09403e1d284c71540e06955bf5355620ca08824dd60f3472b241468038');";

pub const GENI: &str = "
    CREATE TABLE \"schema_migrations\" (id VARCHAR(255) PRIMARY KEY);
    INSERT INTO schema_migrations VALUES ('20240102000000'), ('20240103000000'), ('20240101000000');";

pub const GOLANG_MIGRATE: &str = "
    CREATE TABLE schema_migrations (version uint64,dirty bool);
    CREATE UNIQUE INDEX version_unique ON schema_migrations (version);
    INSERT INTO schema_migrations VALUES (3, 0);";

pub const GOOSE: &str = "
    CREATE TABLE goose_db_version (
        id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL,
        tstamp TIMESTAMP DEFAULT (datetime('now')));
    INSERT INTO goose_db_version(version_id, is_applied, tstamp) VALUES (0, 1, '2024-01-05 10:11:11'),
        (1, 1, '2024-01-05 10:11:12'), (2, 1, '2024-01-05 10:11:13'), (3, 1, '2024-01-05 10:11:14'),
        (3, 0, '2024-01-05 10:11:15'), (4, 1, '2024-01-05 10:11:16'), (4, 0, '2024-01-05 10:11:17'),
        (3, 1, '2024-01-05 10:11:18');";

pub const DBMATE: &str = "
    CREATE TABLE IF NOT EXISTS \"schema_migrations\" (version varchar(128) primary key);
    INSERT INTO schema_migrations VALUES ('0003'), ('0001'), ('0002');";

pub const FLYWAY: &str = "
    CREATE TABLE \"flyway_schema_history\" (
        \"installed_rank\" INT NOT NULL PRIMARY KEY, \"version\" VARCHAR(50),
        \"description\" VARCHAR(200) NOT NULL, \"type\" VARCHAR(20) NOT NULL,
        \"script\" VARCHAR(1000) NOT NULL, \"checksum\" INT, \"installed_by\" VARCHAR(100) NOT NULL,
        \"installed_on\" TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f','now')),
        \"execution_time\" INT NOT NULL, \"success\" BOOLEAN NOT NULL);
    CREATE INDEX \"flyway_schema_history_s_idx\" ON \"flyway_schema_history\" (\"success\");
    INSERT INTO flyway_schema_history VALUES
        (1, '1', 'person', 'SQL', 'V1__person.sql', 1898608728, '', '2024-01-05 10:11:12.345', 1, 1),
        (2, '2', 'letter', 'SQL', 'V2__letter.sql', 1301158, '', '2024-01-05 10:11:13.345', 1, 1),
        (3, '3', 'born', 'SQL', 'V3__born.sql', -693536355, '', '2024-01-05 10:11:14.345', 1, 1),
        (5, '3', 'born', 'SQL', 'V3__born.sql', -693536355, '', '2024-01-05 10:11:16.345', 1, 1),
        (4, '3', 'born', 'UNDO_SQL', 'U3__born.sql', 7, '', '2024-01-05 10:11:15.345', 1, 1);";

pub const PRISMA: &str = "
    CREATE TABLE \"_prisma_migrations\" (
        \"id\" TEXT PRIMARY KEY NOT NULL, \"checksum\" TEXT NOT NULL, \"finished_at\" DATETIME,
        \"migration_name\" TEXT NOT NULL, \"logs\" TEXT, \"rolled_back_at\" DATETIME,
        \"started_at\" DATETIME NOT NULL DEFAULT current_timestamp,
        \"applied_steps_count\" INTEGER UNSIGNED NOT NULL DEFAULT 0);
    INSERT INTO _prisma_migrations VALUES
        ('c', '47d4ff09403e1d284c71540e06955bf5355620ca08824dd60f3472b241468038', NULL,
         '20240103000000_born', 'error', 1704449473000, 1704449472000, 0),
        ('d', '47d4ff09403e1d284c71540e06955bf5355620ca08824dd60f3472b241468038', 1704449474000,
         '20240103000000_born', NULL, NULL, 1704449474000, 1),
        ('a', '7c636f740ca2247c18412a79fcca13352a7b33fb1ecb3a9e3056ca28e4226b71', 1704449472000,
         '20240101000000_person', NULL, NULL, 1704449472000, 1),
        ('b', '8196f84d22030da1a020e0921b0dc983b2ed71f27f60bb6181771ed53ab743a3', 1704449473000,
         '20240102000000_letter', NULL, NULL, 1704449473000, 1);";

pub const DRIZZLE: &str = "
    CREATE TABLE __drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric);
    INSERT INTO __drizzle_migrations(hash, created_at) VALUES
        ('47d4ff09403e1d284c71540e06955bf5355620ca08824dd60f3472b241468038', 1704449474000),
        ('7c636f740ca2247c18412a79fcca13352a7b33fb1ecb3a9e3056ca28e4226b71', 1704449472000),
        ('8196f84d22030da1a020e0921b0dc983b2ed71f27f60bb6181771ed53ab743a3', 1704449473000);";

/// A tool's ledger, the versions of the set, and what is known of each migration afterwards.
pub struct Case {
    pub adopt: Adopt,
    pub ledger: &'static str,
    pub table: &'static str,
    pub versions: [i64; 4],
    checksums: usize,
    /// Without them it is the time of the adoption.
    times: &'static [&'static str],
}

pub const CASES: [Case; 13] = [
    Case {
        adopt: Adopt::RusqliteMigration,
        ledger: "PRAGMA user_version = 3;",
        table: "PRAGMA user_version",
        versions: TIMES,
        checksums: 0,
        times: &[],
    },
    Case {
        adopt: Adopt::Refinery,
        ledger: REFINERY,
        table: "refinery_schema_history",
        versions: NUMBERS,
        checksums: 3,
        times: &[
            "2026-11-21T05:00:57.448Z",
            "2026-11-21T05:00:57.500Z",
            "2026-11-21T05:01:57.448Z",
        ],
    },
    Case {
        adopt: Adopt::Sqlx,
        ledger: SQLX,
        table: "_sqlx_migrations",
        versions: NUMBERS,
        checksums: 3,
        times: &[
            "2026-11-21T05:00:57.000Z",
            "2026-11-21T05:00:58.000Z",
            "2026-11-21T05:00:59.000Z",
        ],
    },
    Case {
        adopt: Adopt::Diesel,
        ledger: DIESEL,
        table: "__diesel_schema_migrations",
        versions: TIMES,
        checksums: 0,
        times: &[
            "2024-01-05T10:11:12.000Z",
            "2024-01-05T10:11:13.000Z",
            "2024-01-05T10:11:14.000Z",
        ],
    },
    Case {
        adopt: Adopt::SeaOrm,
        ledger: SEA_ORM,
        table: "seaql_migrations",
        versions: TIMES,
        checksums: 0,
        times: &[
            "2024-01-05T10:11:12.000Z",
            "2024-01-05T10:11:13.000Z",
            "2024-01-05T10:11:14.000Z",
        ],
    },
    Case {
        adopt: Adopt::Hiqlite,
        ledger: HIQLITE,
        table: "_migrations",
        versions: NUMBERS,
        checksums: 3,
        times: &["2024-01-05T10:11:12.000Z"],
    },
    Case {
        adopt: Adopt::Geni,
        ledger: GENI,
        table: "schema_migrations",
        versions: TIMES,
        checksums: 0,
        times: &[],
    },
    Case {
        adopt: Adopt::GolangMigrate,
        ledger: GOLANG_MIGRATE,
        table: "schema_migrations",
        versions: NUMBERS,
        checksums: 0,
        times: &[],
    },
    Case {
        adopt: Adopt::Goose,
        ledger: GOOSE,
        table: "goose_db_version",
        versions: NUMBERS,
        checksums: 0,
        times: &[
            "2024-01-05T10:11:12.000Z",
            "2024-01-05T10:11:13.000Z",
            "2024-01-05T10:11:18.000Z",
        ],
    },
    Case {
        adopt: Adopt::Dbmate,
        ledger: DBMATE,
        table: "schema_migrations",
        versions: NUMBERS,
        checksums: 0,
        times: &[],
    },
    Case {
        adopt: Adopt::Flyway,
        ledger: FLYWAY,
        table: "flyway_schema_history",
        versions: NUMBERS,
        checksums: 3,
        times: &[
            "2024-01-05T10:11:12.345Z",
            "2024-01-05T10:11:13.345Z",
            "2024-01-05T10:11:16.345Z",
        ],
    },
    Case {
        adopt: Adopt::Prisma,
        ledger: PRISMA,
        table: "_prisma_migrations",
        versions: TIMES,
        checksums: 3,
        times: &[
            "2024-01-05T10:11:12.000Z",
            "2024-01-05T10:11:13.000Z",
            "2024-01-05T10:11:14.000Z",
        ],
    },
    Case {
        adopt: Adopt::Drizzle,
        ledger: DRIZZLE,
        table: "__drizzle_migrations",
        versions: NUMBERS,
        checksums: 3,
        times: &[],
    },
];

impl Case {
    /// What their table is called afterwards.
    fn kept_as(&self) -> String {
        match self.table {
            "schema_migrations" => {
                format!("schema_migrations_{}", self.adopt.to_string().replace('-', "_"))
            }
            table => table.to_owned(),
        }
    }

    /// Everything of theirs that a program of the other tool's would look at.
    fn theirs(&self, conn: &Connection, table: &str) -> Vec<String> {
        let mut theirs = rows(conn, "PRAGMA user_version");
        if self.adopt != Adopt::RusqliteMigration {
            theirs.extend(rows(conn, &format!("SELECT * FROM \"{table}\"")));
            let columns =
                format!("SELECT name, type, \"notnull\", pk FROM pragma_table_info('{table}')");
            theirs.extend(rows(conn, &columns));
        }
        theirs
    }
}

#[test]
fn each_tool_s_ledger_is_taken_over_once_and_stays_as_it_was() {
    for case in &CASES {
        let what = case.adopt.to_string();
        let conn = database(case.ledger);
        let people = rows(&conn, "SELECT * FROM person JOIN letter");
        let theirs = case.theirs(&conn, case.table);
        let migrator = migrator(case.versions).adopt(case.adopt).app_version("2.0");

        let report = migrator.apply(&conn).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let adopted = report.adopted.as_ref().unwrap();
        assert_eq!((adopted.tool, adopted.ledger.as_str()), (case.adopt, case.table));
        let versions = case.versions.map(Version::from);
        assert_eq!(adopted.migrations, versions[..3], "{what}");
        assert_eq!((adopted.checksums, adopted.proof), (case.checksums, Proof::Replayed), "{what}");
        assert_eq!(report.applied.len(), 1, "{what}: {report}");
        assert_eq!(report.applied[0].version, Some(versions[3]), "{what}");

        assert_eq!(rows(&conn, "SELECT * FROM person JOIN letter"), people, "{what}");
        assert_eq!(case.theirs(&conn, &case.kept_as()), theirs, "{what}");
        assert!(migrator.is_current(&conn).unwrap(), "{what}");
        let before = everything(&conn);
        assert!(migrator.apply(&conn).unwrap().is_noop(), "{what}");
        assert_eq!(everything(&conn), before, "{what}");
    }
}

#[test]
fn the_rows_are_those_that_landfall_would_have_written() {
    for case in &CASES {
        let what = case.adopt.to_string();
        let conn = database(case.ledger);
        let migrator = migrator(case.versions).adopt(case.adopt).app_version("2.0");
        migrator.apply(&conn).unwrap();
        let fresh = migrator.open_in_memory().unwrap();
        let said = "SELECT version, name, checksum, down_sql, compatible FROM schema_migrations";
        assert_eq!(rows(&conn, said), rows(&fresh, said), "{what}");
        // Who applied them is not known, and when only where the tool says so.
        let by = "SELECT app_version FROM schema_migrations ORDER BY version";
        assert_eq!(rows(&conn, by), ["NULL", "NULL", "NULL", "2.0"], "{what}");
        let at = "SELECT applied_at FROM schema_migrations ORDER BY version";
        let times = &rows(&conn, at)[..3];
        assert_eq!(times[..case.times.len()], *case.times, "{what}");
        let now = one(&conn, "SELECT at FROM schema_history WHERE action = 'adopt'");
        assert!(
            times[case.times.len()..].iter().all(|at| at[..4] == now[..4] && *at <= now),
            "{what}"
        );
        let states = migrator.status(&conn).unwrap();
        assert!(states.migrations.iter().all(|line| line.state == State::Applied), "{what}");
        assert_eq!(states.migrations[0].applied_at.as_ref(), times.first(), "{what}");
    }
}

#[test]
fn the_history_says_what_was_taken_over_and_what_that_rests_on() {
    let conn = database(SQLX);
    migrator(NUMBERS).adopt(Adopt::Sqlx).app_version("2.0").apply(&conn).unwrap();
    let said = "SELECT id, action, version, name, reason, detail, app_version FROM schema_history";
    assert_eq!(
        rows(&conn, said)[0],
        "1|adopt|NULL|sqlx|NULL|3 migrations of sqlx's `_sqlx_migrations`, 3 checksums agreed, \
         proved by a replay|2.0"
    );
    assert_eq!(rows(&conn, said).len(), 2);
    let conn = database(GENI);
    migrator(TIMES).adopt(Adopt::Geni.trusting()).apply(&conn).unwrap();
    assert_eq!(
        one(&conn, "SELECT detail FROM schema_history WHERE action = 'adopt'"),
        "3 migrations of geni's `schema_migrations`, which becomes `schema_migrations_geni`, trusted"
    );
}

#[test]
fn with_another_prefix_nothing_is_renamed() {
    for case in CASES.iter().filter(|case| case.table == "schema_migrations") {
        let conn = database(case.ledger);
        let before = dump(&conn);
        let theirs = case.theirs(&conn, case.table);
        let app = migrator(case.versions).adopt(case.adopt).ledger("app");
        let report = app.apply_to(&conn, Target::Version(case.versions[2].into())).unwrap();
        assert_eq!(report.adopted.unwrap().renamed_to, None);
        assert_eq!(case.theirs(&conn, case.table), theirs);
        assert!(dump(&conn).contains("table app_migrations"), "{}", dump(&conn));
        for line in before.lines() {
            assert!(dump(&conn).contains(line), "{line}");
        }
    }
}

#[test]
fn auto_finds_each_of_them() {
    for case in &CASES {
        let conn = database(case.ledger);
        let report = migrator(case.versions).adopt(Adopt::Auto).apply(&conn).unwrap();
        assert_eq!(report.adopted.unwrap().tool, case.adopt);
    }
}

#[test]
fn auto_goes_by_columns_and_not_by_names() {
    // Tables of these names that are something else, and no number: a database like any other.
    let decoys = "CREATE TABLE _migrations(bird TEXT, flies TEXT);
                  CREATE TABLE goose_db_version(goose TEXT);
                  CREATE VIEW _sqlx_migrations AS SELECT 1 AS version;
                  CREATE TABLE refinery_schema_history(version, name);";
    let conn = memory();
    conn.execute_batch(decoys).unwrap();
    let report = migrator(NUMBERS).adopt(Adopt::Auto).apply(&conn).unwrap();
    assert_eq!((report.adopted, report.applied.len()), (None, 4));
    // A table of another name is told by its columns once it is named.
    for case in CASES.iter().filter(|case| case.adopt != Adopt::RusqliteMigration) {
        let ledger = case.ledger.replace(case.table, "our_own_ledger");
        let conn = database(&ledger);
        let auto = migrator(case.versions).adopt(Adopt::Auto.table("our_own_ledger"));
        assert_eq!(auto.apply(&conn).unwrap().adopted.unwrap().tool, case.adopt);
    }
}

#[test]
fn a_table_may_have_any_name() {
    for case in CASES.iter().filter(|case| case.adopt != Adopt::RusqliteMigration) {
        for name in ["_Our \"own\"", "schema_migrations", "app_migrations"] {
            let quoted = format!("\"{}\"", name.replace('"', "\"\""));
            let plain = case.ledger.replace(&format!("\"{}\"", case.table), case.table);
            let lines = plain.lines().filter(|line| !line.contains("_s_idx"));
            let ledger =
                lines.collect::<Vec<_>>().join("\n").replace("CONSTRAINT _migrations_pk", "");
            let conn = database(&ledger.replace(case.table, &quoted));
            let named = migrator(case.versions).adopt(case.adopt.table(name.to_lowercase()));
            let adopted = named.apply(&conn).unwrap().adopted.unwrap();
            assert_eq!((adopted.tool, adopted.ledger.as_str()), (case.adopt, name));
            assert_eq!(adopted.renamed_to.is_some(), name == "schema_migrations");
        }
    }
}

#[test]
fn a_ledger_without_rows_means_that_nothing_is_applied() {
    for case in CASES.iter().filter(|case| case.adopt != Adopt::RusqliteMigration) {
        let (create, _) = case.ledger.split_once("INSERT INTO").unwrap();
        let conn = memory();
        conn.execute_batch(create).unwrap();
        let migrator = migrator(case.versions).adopt(case.adopt);
        let report = migrator.apply(&conn).unwrap();
        assert_eq!(report.adopted.as_ref().unwrap().migrations, [], "{}", case.adopt);
        assert_eq!(report.applied.len(), 4, "{}", case.adopt);
        assert!(migrator.apply(&conn).unwrap().is_noop());
    }
}

#[test]
fn a_database_without_the_ledger_is_like_any_other() {
    for case in &CASES {
        for adopt in [Adoption::from(case.adopt), case.adopt.trusting(), Adopt::Auto.into()] {
            let migrator = migrator(case.versions).adopt(adopt);
            let conn = memory();
            let report = migrator.apply(&conn).unwrap();
            assert_eq!((report.adopted, report.applied.len()), (None, 4));
            assert!(migrator.apply(&conn).unwrap().is_noop());
        }
    }
}

#[test]
fn what_is_to_be_taken_over_is_shown_and_not_written() {
    for case in &CASES {
        let conn = database(case.ledger);
        let before = everything(&conn);
        let migrator = migrator(case.versions).adopt(case.adopt);
        let plan = migrator.plan(&conn).unwrap();
        assert_eq!(plan.adoption.as_ref().unwrap().migrations.len(), 3);
        assert_eq!(plan.steps.len(), 1);
        assert!(!migrator.is_current(&conn).unwrap());
        let status = migrator.status(&conn).unwrap();
        let states: Vec<State> = status.migrations.iter().map(|line| line.state).collect();
        assert_eq!(states, [State::Applied, State::Applied, State::Applied, State::Pending]);
        assert_eq!(status.migrations[0].applied_at.as_deref(), case.times.first().copied());
        assert!(migrator.history(&conn).unwrap().is_empty());
        migrator.verify(&conn).unwrap();
        assert_eq!(everything(&conn), before, "{}", case.adopt);
    }
    let conn = database(DBMATE);
    assert_eq!(
        migrator(NUMBERS).adopt(Adopt::Dbmate).plan(&conn).unwrap().to_string(),
        "adopt  3 migrations of dbmate's `schema_migrations`, which becomes \
         `schema_migrations_dbmate`, proved by a replay\n\
         apply  4  note  transaction 1  compatible"
    );
    let report = migrator(NUMBERS).adopt(Adopt::Dbmate).apply(&conn).unwrap();
    let lines = report.to_string();
    assert_eq!(
        lines.lines().nth(1),
        Some(
            "  adopted 3 migrations of dbmate's `schema_migrations`, which becomes \
             `schema_migrations_dbmate`, proved by a replay"
        )
    );
}

#[test]
fn where_nothing_is_pending_the_adoption_is_all_there_is_to_do() {
    let conn = database(SQLX);
    let three = set(&[(1, "person", PERSON, ""), (2, "letter", LETTER, ""), (3, "born", BORN, "")]);
    let migrator = three.adopt(Adopt::Sqlx);
    assert_eq!(
        migrator.plan(&conn).unwrap().to_string(),
        "adopt  3 migrations of sqlx's `_sqlx_migrations`, 3 checksums agreed, proved by a replay"
    );
    assert!(!migrator.is_current(&conn).unwrap());
    let report = migrator.apply(&conn).unwrap();
    assert!(!report.is_noop() && report.applied.is_empty() && report.adopted.is_some());
    assert!(migrator.is_current(&conn).unwrap());
    assert_eq!(one(&conn, "SELECT count(*) FROM schema_state WHERE key = 'seal'"), "1");
    assert!(migrator.apply(&conn).unwrap().is_noop());
}

#[test]
fn seeds_run_as_on_any_database() {
    let conn = database(REFINERY);
    let seeds = Seeds::new()
        .ensure("carl", |tx| tx.execute("INSERT INTO person(name) VALUES ('Carl')", []).map(drop));
    let migrator = migrator(NUMBERS).adopt(Adopt::Refinery).seeds(seeds);
    assert_eq!(migrator.plan(&conn).unwrap().seeds, ["carl"]);
    assert_eq!(migrator.status(&conn).unwrap().seeds.len(), 1);
    let report = migrator.apply(&conn).unwrap();
    assert_eq!(report.seeds.len(), 1);
    assert_eq!(rows(&conn, "SELECT name FROM person"), ["Ada", "Bob", "Carl"]);
    assert!(migrator.apply(&conn).unwrap().is_noop());
}

#[test]
fn what_was_taken_over_can_be_reverted() {
    let conn = database(GOLANG_MIGRATE);
    let migrator = migrator(NUMBERS).adopt(Adopt::GolangMigrate);
    let report = migrator.revert(&conn, Target::Steps(1)).unwrap();
    assert_eq!(report.adopted.unwrap().migrations.len(), 3);
    assert_eq!(report.reverted[0].version, Some(Version::from(3)));
    assert!(!dump(&conn).contains("born"));
    assert_eq!(migrator.apply(&conn).unwrap().applied.len(), 2);
}

#[test]
fn a_start_that_looks_for_drift_takes_over_a_ledger_of_our_name() {
    let conn = database(GOLANG_MIGRATE);
    let migrator = migrator(NUMBERS).adopt(Adopt::GolangMigrate).drifted(Drifted::Refuse);
    assert_eq!(migrator.apply(&conn).unwrap().adopted.unwrap().migrations.len(), 3);
    assert!(migrator.apply(&conn).unwrap().is_noop());
    conn.execute_batch("CREATE TABLE stray(x)").unwrap();
    assert!(migrator.apply(&conn).is_err());
}

#[test]
fn code_stands_for_a_migration_that_was_code() {
    let conn = database(SEA_ORM);
    let code = |version: i64, name: &'static str, sql: &'static str| {
        Migration::code(version, name, move |tx| tx.execute_batch(sql))
    };
    let migrator = Migrator::from_migrations([
        code(1, "m20240101_000000_person", PERSON),
        code(2, "m20240102_000000_letter", LETTER),
        code(20240103000000, "born", BORN),
    ]);
    let adopted = migrator.adopt(Adopt::SeaOrm).apply(&conn).unwrap().adopted.unwrap();
    assert_eq!(adopted.migrations, [1, 2, 20240103000000].map(Version::from));
}

#[test]
fn a_checkout_with_other_line_ends_has_the_same_checksums() {
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let mark = |text: &str| format!("\u{feff}{text}");
    let forms: [&dyn Fn(&str) -> String; 4] =
        [&str::to_owned, &crlf, &mark, &|text| mark(&crlf(text))];
    for form in forms {
        let files = [("1_person.sql", PERSON), ("2_letter.sql", LETTER), ("3_born.sql", BORN)];
        let files = files.map(|(name, text)| (name, form(text)));
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, &**text)).collect();
        for (adopt, ledger) in [
            (Adopt::Refinery, REFINERY),
            (Adopt::Sqlx, SQLX),
            (Adopt::Hiqlite, HIQLITE),
            (Adopt::Flyway, FLYWAY),
            (Adopt::Drizzle, DRIZZLE),
        ] {
            let (_dir, migrator) = folder(&files);
            let adopted = migrator.adopt(adopt).apply(&database(ledger)).unwrap().adopted.unwrap();
            assert_eq!(adopted.checksums, 3, "{adopt}: {files:?}");
        }
    }
}

/// The other tool's own files, as they lie in its folder.
#[test]
fn the_folder_stays_as_the_other_tool_has_it() {
    let named = |names: [&str; 4]| -> Vec<(String, String)> {
        let texts = [PERSON, LETTER, BORN, NOTE];
        names.iter().zip(texts).map(|(name, text)| ((*name).to_owned(), text.to_owned())).collect()
    };
    let sections = |up: &str, down: &str, names: [&str; 4]| -> Vec<(String, String)> {
        let files = named(names).into_iter();
        files.map(|(name, text)| (name, format!("{up}\n{text}{down}\nSELECT 1;\n"))).collect()
    };
    let dated =
        ["20240101_person.sql", "20240102_letter.sql", "20240103_born.sql", "20240104_note.sql"];
    let folders = [
        (
            Adopt::RusqliteMigration,
            "PRAGMA user_version = 3;".to_owned(),
            named(["01-person/up.sql", "02-letter/up.sql", "03-born/up.sql", "10-note/up.sql"]),
        ),
        (
            Adopt::Refinery,
            REFINERY.to_owned(),
            named(["V1__person.sql", "V2__letter.sql", "V3__born.sql", "V4__note.sql"]),
        ),
        (
            Adopt::Sqlx,
            SQLX.to_owned(),
            named(["1_person.up.sql", "2_letter.sql", "0003_born.sql", "4_note.sql"]),
        ),
        // Whole days, which are timestamps to landfall and numbers to sqlx.
        (
            Adopt::Sqlx,
            SQLX.replace("(1, 'p", "(20240101, 'p")
                .replace("(2, 'l", "(20240102, 'l")
                .replace("(3, 'b", "(20240103, 'b"),
            named(dated),
        ),
        (
            Adopt::Diesel,
            DIESEL.to_owned(),
            named([
                "2024-01-01-000000_person/up.sql",
                "2024-01-02-000000_letter/up.sql",
                "2024-01-03-000000_born/up.sql",
                "2024-01-04-000000_note/up.sql",
            ]),
        ),
        (
            Adopt::Diesel,
            DIESEL.replace("000000'", "0000000000'"),
            named([
                "2024-01-01-000000-0000_person/up.sql",
                "2024-01-02-000000-0000_letter/up.sql",
                "2024-01-03-000000-0000_born/up.sql",
                "2024-01-04-000000-0000_note/up.sql",
            ]),
        ),
        (
            Adopt::Hiqlite,
            HIQLITE.to_owned(),
            named(["1_person.sql", "2_letter.sql", "3_born.sql", "4_note.sql"]),
        ),
        (
            Adopt::Geni,
            GENI.to_owned(),
            named([
                "20240101000000_person.up.sql",
                "20240102000000_letter.up.sql",
                "20240103000000_born.up.sql",
                "20240104000000_note.up.sql",
            ]),
        ),
        (
            Adopt::GolangMigrate,
            GOLANG_MIGRATE.to_owned(),
            named([
                "000001_person.up.sql",
                "000002_letter.up.sql",
                "000003_born.up.sql",
                "000004_note.up.sql",
            ]),
        ),
        (
            Adopt::Goose,
            GOOSE.to_owned(),
            sections(
                "-- +goose Up",
                "-- +goose Down",
                ["00001_person.sql", "00002_letter.sql", "00003_born.sql", "00004_note.sql"],
            ),
        ),
        (
            Adopt::Dbmate,
            DBMATE.replace("'000", "'2024010100000"),
            sections(
                "-- migrate:up",
                "-- migrate:down",
                [
                    "20240101000001_person.sql",
                    "20240101000002_letter.sql",
                    "20240101000003_born.sql",
                    "20240104000000_note.sql",
                ],
            ),
        ),
        (
            Adopt::Flyway,
            FLYWAY.to_owned(),
            named(["V1__person.sql", "V2__letter.sql", "V3__born.sql", "V4__note.sql"]),
        ),
        (
            Adopt::Flyway,
            FLYWAY
                .replace("(2, '2'", "(2, '1.1'")
                .replace("(3, '3'", "(3, '1.1.10'")
                .replace("(4, '3'", "(4, '1.1.10'")
                .replace("(5, '3'", "(5, '1.1.10'")
                .replace("'V", "'moved/V"),
            named(["V1__person.sql", "V1.1__letter.sql", "V1_1_10__born.sql", "V2__note.sql"]),
        ),
        (
            Adopt::Prisma,
            PRISMA.to_owned(),
            named([
                "20240101000000_person/migration.sql",
                "20240102000000_letter/migration.sql",
                "20240103000000_born/migration.sql",
                "20240104000000_note/migration.sql",
            ]),
        ),
        (
            Adopt::Drizzle,
            DRIZZLE.to_owned(),
            named(["0000_person.sql", "0001_letter.sql", "0002_born.sql", "0003_note.sql"]),
        ),
    ];
    for (adopt, ledger, mut files) in folders {
        if adopt == Adopt::Drizzle {
            files.push(("meta/_journal.json".to_owned(), "{}".to_owned()));
        }
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (&**name, &**text)).collect();
        let (_dir, mut migrator) = folder(&files);
        if adopt == Adopt::Flyway {
            migrator = migrator.layout(landfall::Layout::Flyway);
        }
        let migrator = migrator.adopt(adopt);
        let conn = database(&ledger);
        let report = migrator.apply(&conn).unwrap_or_else(|error| panic!("{files:?}: {error:?}"));
        assert_eq!(
            report.adopted.as_ref().map(|adopted| adopted.migrations.len()),
            Some(3),
            "{files:?}"
        );
        assert_eq!(report.applied.len(), 1, "{files:?}: {report}");
        assert_eq!(report.applied[0].name, "note", "{files:?}");
        assert!(migrator.apply(&conn).unwrap().is_noop(), "{files:?}");
    }
}

#[test]
fn a_file_with_mixed_line_ends_has_the_checksum_of_what_it_holds() {
    let mixed = "CREATE TABLE person(id INTEGER PRIMARY KEY,\r\nname TEXT NOT NULL\n);\n";
    let (_dir, migrator) = folder(&[("1_person.sql", mixed)]);
    let conn = memory();
    conn.execute_batch(mixed).unwrap();
    conn.execute_batch(SQLX.split_once("INSERT INTO").unwrap().0).unwrap();
    conn.execute_batch(
        "INSERT INTO _sqlx_migrations VALUES (1, 'person', '2026-11-21 05:00:57', 1, MIXED, 1)"
            .replace("MIXED", MIXED_SHA384)
            .as_str(),
    )
    .unwrap();
    assert_eq!(migrator.adopt(Adopt::Sqlx).apply(&conn).unwrap().adopted.unwrap().checksums, 1);
}

const MIXED_SHA384: &str = "x'61a6713a7b06abae1c1346c50df202b7aa9db488d5bac651bcc030bbd867caa19f2ad3b0b76fa0ada41c2ecf01744ec0'";

#[test]
fn sqlx_may_have_been_told_to_ignore_white_space() {
    let conn = database(SQLX);
    let ignoring = "UPDATE _sqlx_migrations SET checksum = x'A334FD0FCCF27614B3484F69912B11A187D8B71C01B2C999A48EDFF4225D2B40BEA88CAC657BEFBFE8557A08255427DE' WHERE version = 1";
    conn.execute_batch(ignoring).unwrap();
    let report = migrator(NUMBERS).adopt(Adopt::Sqlx).apply(&conn).unwrap();
    assert_eq!(report.adopted.unwrap().checksums, 3);
}

#[test]
fn refinery_may_have_been_told_that_versions_have_64_bits() {
    let conn = database(REFINERY);
    conn.execute_batch(
        "UPDATE refinery_schema_history SET checksum = '4486177561397123459' WHERE version = 1;
         UPDATE refinery_schema_history SET checksum = '10276555794165154519' WHERE version = 2;",
    )
    .unwrap();
    let report = migrator(NUMBERS).adopt(Adopt::Refinery).apply(&conn).unwrap();
    assert_eq!(report.adopted.unwrap().checksums, 3);
}

#[test]
fn flyway_s_repeatables_are_taken_over_with_the_others() {
    let view = "DROP VIEW IF EXISTS people;\nCREATE VIEW people AS SELECT name FROM person;\n";
    let files = |view: &'static str| {
        [
            ("1_person.sql", PERSON),
            ("2_letter.sql", LETTER),
            ("3_born.sql", BORN),
            ("R__all_people.sql", view),
        ]
    };
    let ledger = format!(
        "{view}{FLYWAY} INSERT INTO flyway_schema_history VALUES
         (6, NULL, 'all people', 'SQL', 'R__all_people.sql', 1188508043, '', '2024-01-05 10:11:17', 1, 1);"
    );
    let (_dir, same) = folder(&files(view));
    let conn = database(&ledger);
    let report = same.adopt(Adopt::Flyway).apply(&conn).unwrap();
    assert_eq!(report.adopted.unwrap().checksums, 4);
    assert!(report.repeated.is_empty());
    assert_eq!(
        one(&conn, "SELECT applied_at FROM schema_migrations WHERE version = -1"),
        "2024-01-05T10:11:17.000Z"
    );
    // One that was edited since runs again, in the place of what it made.
    let edited = "CREATE VIEW people AS SELECT name, born FROM person;\n";
    let (_dir, other) = folder(&files(edited));
    let conn = database(&ledger);
    let report = other.adopt(Adopt::Flyway).apply(&conn).unwrap();
    assert_eq!(report.adopted.unwrap().checksums, 3);
    assert_eq!(report.repeated.len(), 1);
    assert_eq!(rows(&conn, "SELECT * FROM people"), ["Ada|NULL", "Bob|NULL"]);
}

#[test]
fn a_migration_that_the_set_lacks_is_for_the_policies_to_decide() {
    let newer =
        set(&[(1, "person", PERSON, ""), (2, "letter", LETTER, "")]).adopt(Adopt::Sqlx.trusting());
    let conn = database(SQLX);
    let report = newer.clone().newer(Newer::Ignore).apply(&conn).unwrap();
    assert_eq!(report.adopted.unwrap().migrations.len(), 3);
    assert_eq!(report.newer[0].name, "born");
    assert!(
        one(&conn, "SELECT checksum FROM schema_migrations WHERE version = 3")
            .starts_with("sha384:51d3252d")
    );
    let missing =
        set(&[(1, "person", PERSON, ""), (3, "born", BORN, "")]).adopt(Adopt::Sqlx.trusting());
    let conn = database(SQLX);
    missing.clone().missing(Missing::Ignore).apply(&conn).unwrap();
    let state = &missing.status(&conn).unwrap().migrations[1];
    assert_eq!((state.name.as_str(), state.state), ("letter", State::Missing));
}

#[test]
fn a_rehearsal_takes_over_on_the_copy() {
    for case in &CASES {
        let conn = database(case.ledger);
        let before = everything(&conn);
        let rehearsal = migrator(case.versions).adopt(case.adopt).rehearse(&conn).unwrap();
        assert!(rehearsal.to_string().contains("note"), "{}: {rehearsal}", case.adopt);
        assert_eq!(everything(&conn), before, "{}", case.adopt);
    }
}

#[test]
fn what_was_taken_over_is_no_drift() {
    for case in CASES.iter().filter(|case| case.adopt != Adopt::RusqliteMigration) {
        for table in [case.table, "ours", "schema_migrations"] {
            let plain = case.ledger.replace(&format!("\"{}\"", case.table), case.table);
            let conn = database(&plain.replace(case.table, table));
            let adopt =
                if table == case.table { case.adopt.into() } else { Adopt::Auto.table(table) };
            let migrator = migrator(case.versions).adopt(adopt);
            migrator.apply(&conn).unwrap();
            let drift = migrator.drift(&conn).unwrap();
            assert!(drift.is_empty(), "{}, {table}: {drift:?}", case.adopt);
        }
    }
}
