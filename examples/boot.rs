//! An application's start, seen from outside: what `apply` would do, what it did, that a second
//! start has nothing to do, and what a broken migration leaves behind, which is nothing.
//!
//! ```sh
//! cargo run --example boot              # a database in a temporary folder
//! cargo run --example boot -- some.db   # this one; run it twice
//! ```

use std::env;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::PathBuf;

use landfall::include_dir::{self, Dir, include_dir};
use landfall::rusqlite::{self, Connection, Transaction};
use landfall::{Migration, Migrator, seeds};

static MIGRATIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/migrations-example");

fn ensure_default_groups(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute("INSERT INTO contact_group(name) VALUES ('family'), ('work')", [])?;
    Ok(())
}

fn ensure_first_contact(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute("INSERT INTO contact(name, birthday) VALUES ('Ada Lovelace', '1815-12-10')", [])?;
    let ada = tx.last_insert_rowid();
    tx.execute("INSERT INTO email(contact_id, address) VALUES (?1, 'ada@example.org')", [ada])?;
    Ok(())
}

fn migrator() -> Migrator {
    Migrator::from_embedded(&MIGRATIONS)
        .seeds(seeds![ensure_default_groups, ensure_first_contact])
        .app_version(env!("CARGO_PKG_VERSION"))
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let given = env::args_os().nth(1).map(PathBuf::from);
    let path = given.unwrap_or_else(|| folder.path().join("contacts.db"));

    let conn = Connection::open(&path)?;
    show("what the first start would do", migrator().plan(&conn)?)?;
    show("the first start", migrator().apply(&conn)?)?;
    drop(conn);

    let conn = Connection::open(&path)?;
    let report = migrator().apply(&conn)?;
    show("the second start", &report)?;
    assert!(report.is_noop());
    let before = tables(&conn)?;
    show("the tables, and how many rows they have", &before)?;

    let broken = Migration::sql(
        12,
        "nicknames",
        "CREATE TABLE nickname (contact_id INTEGER, name TEXT);\n\
         INSERT INTO nickname\n\
         SELECT id, nick FROM contact;",
    );
    let Err(error) = migrator().with(broken).apply(&conn) else {
        return Err("the broken migration was applied".into());
    };
    show("a start with a broken migration", format!("{error:?}"))?;
    assert_eq!(tables(&conn)?, before);
    show("the tables after it", "as they were")?;
    Ok(())
}

/// Every table, with how many rows it has.
fn tables(conn: &Connection) -> rusqlite::Result<String> {
    let mut names =
        conn.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")?;
    let names = names.query_map([], |row| row.get(0))?;
    let mut lines = Vec::new();
    for name in names {
        let name: String = name?;
        let rows: i64 =
            conn.query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get(0))?;
        lines.push(format!("{name:<18} {rows:>3}"));
    }
    Ok(lines.join("\n"))
}

fn show(heading: &str, what: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{heading}:")?;
    for line in what.to_string().lines() {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)
}
