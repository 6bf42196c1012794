//! A migration in Rust among those in SQL: it takes its turn by its version, runs in the same
//! transaction, and has a row in the ledger like any other.
//!
//! Here full names are split by a rule that SQL has no words for. The function works on the
//! transaction that it is handed; should it fail, the columns added just before it go as well.

use std::error::Error;

use landfall::rusqlite::{Connection, Transaction};
use landfall::{ErrorKind, Migration, Migrator, Target, Version};

/// Everything before the family name, and the family name with its particles.
fn split(full: &str) -> Option<(&str, &str)> {
    let particles = ["van", "von", "de", "der", "la", "du"];
    let words: Vec<&str> = full.split_whitespace().collect();
    let particle = words.iter().position(|word| particles.contains(word));
    let family = words.get(particle.unwrap_or(words.len().checked_sub(1)?))?;
    let (given, _) = full.split_once(family)?;
    Some((given.trim(), full.strip_prefix(given)?))
}

fn split_names(tx: &Transaction<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut people = tx.prepare("SELECT id, name FROM person")?;
    let mut update = tx.prepare("UPDATE person SET given = ?2, family = ?3 WHERE id = ?1")?;
    let people = people.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for person in people {
        let (id, name): (i64, String) = person?;
        let (given, family) = split(&name).ok_or_else(|| format!("person {id} has no name"))?;
        update.execute((id, given, family))?;
    }
    Ok(())
}

fn migrator() -> Migrator {
    Migrator::from_migrations([
        Migration::sql(1, "people", "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT);")
            .down("DROP TABLE person;"),
        Migration::sql(
            2,
            "given_and_family",
            "ALTER TABLE person ADD COLUMN given TEXT;
             ALTER TABLE person ADD COLUMN family TEXT;",
        )
        .down("ALTER TABLE person DROP COLUMN family; ALTER TABLE person DROP COLUMN given;"),
        // Revision 2 stands for the code as it is now. A program with another revision is told
        // that the migration is not the one applied, as it would be of an edited file.
        Migration::code(3, "split_names", split_names)
            .revision(2)
            .down("UPDATE person SET given = NULL, family = NULL;")
            .verify("SELECT id FROM person WHERE family IS NULL;"),
        Migration::sql(4, "family_index", "CREATE INDEX person_by_family ON person(family);")
            .down("DROP INDEX person_by_family;"),
    ])
}

fn people(conn: &Connection) -> landfall::rusqlite::Result<Vec<String>> {
    let mut people = conn.prepare("SELECT given || '|' || family FROM person ORDER BY id")?;
    people.query_map([], |row| row.get(0))?.collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let conn = Connection::open_in_memory()?;
    migrator().apply_to(&conn, Target::Version(Version::from(1)))?;
    conn.execute_batch(
        "INSERT INTO person(name) VALUES ('Ada Lovelace'), ('Vincent van Gogh'), ('');",
    )?;

    // One row that the function refuses: nothing of 2, 3 and 4 stays.
    let Err(error) = migrator().apply(&conn) else {
        return Err("a person without a name was split".into());
    };
    println!("{error:?}\n");
    assert!(matches!(error.kind(), ErrorKind::Code { .. }));
    assert!(conn.prepare("SELECT given FROM person").is_err());

    conn.execute("DELETE FROM person WHERE name = ''", [])?;
    println!("{}\n", migrator().apply(&conn)?);
    assert_eq!(people(&conn)?, ["Ada|Lovelace", "Vincent|van Gogh"]);

    println!("{}", migrator().revert(&conn, Target::Version(Version::from(1)))?);
    assert!(conn.prepare("SELECT given FROM person").is_err());
    Ok(())
}
