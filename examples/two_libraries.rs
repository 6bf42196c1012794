//! Two libraries that know nothing of each other keep their tables in one file: each has a ledger
//! of its own, told apart by its prefix, so that each has its own version 1 and its own seeds.

use std::error::Error;

use landfall::rusqlite::{self, Connection, Transaction};
use landfall::{Migration, Migrator, Seeds, Target};

/// What a library for jobs would do in its `init`.
fn jobs() -> Migrator {
    Migrator::from_migrations([Migration::sql(
        1,
        "queue",
        "CREATE TABLE job (id INTEGER PRIMARY KEY, what TEXT NOT NULL, done_at TEXT);",
    )
    .down("DROP TABLE job;")])
    .ledger("jobs")
}

fn ensure_default_language(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute("INSERT INTO setting(key, value) VALUES ('language', 'en')", [])?;
    Ok(())
}

/// And one for settings.
fn settings() -> Migrator {
    Migrator::from_migrations([
        Migration::sql(1, "setting", "CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT);"),
        Migration::sql(2, "changed_at", "ALTER TABLE setting ADD COLUMN changed_at TEXT;"),
    ])
    .seeds(Seeds::new().ensure("default_language", ensure_default_language))
    .ledger("settings")
}

fn ledgers(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut names = conn.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%migrations'
         ORDER BY name",
    )?;
    names.query_map([], |row| row.get(0))?.collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let conn = Connection::open(folder.path().join("shared.db"))?;

    for (library, migrator) in [("jobs", jobs()), ("settings", settings())] {
        println!("{library}: {}\n", migrator.apply(&conn)?);
    }
    assert_eq!(ledgers(&conn)?, ["jobs_migrations", "settings_migrations"]);

    // Neither sees the other's migrations, so neither is in the other's way.
    for (library, migrator) in [("jobs", jobs()), ("settings", settings())] {
        println!("{library} again: {}", migrator.apply(&conn)?);
        assert!(migrator.is_current(&conn)?);
    }

    // One of them taken back leaves the other as it was.
    jobs().revert(&conn, Target::Empty)?;
    let language: String =
        conn.query_row("SELECT value FROM setting WHERE key = 'language'", [], |row| row.get(0))?;
    assert_eq!(language, "en");
    assert!(settings().is_current(&conn)?);
    assert!(conn.prepare("SELECT 1 FROM job").is_err());
    println!("\njobs taken back, settings are as they were");
    Ok(())
}
