//! A fresh, migrated database for every unit test: `cargo test --example unit_tests`.
//!
//! `open_in_memory` is cheap enough to call at the head of each test, so that no test can see what
//! another has written. Run as a program, this shows that two such databases share nothing, and
//! what one of them costs.

use std::error::Error;
use std::sync::LazyLock;
use std::time::Instant;

use landfall::Migrator;
use landfall::include_dir::{self, include_dir};
use landfall::rusqlite::{self, Connection};

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"))
});

/// What is to be tested: adds a contact with an address.
fn add_contact(conn: &Connection, name: &str, address: &str) -> rusqlite::Result<i64> {
    conn.execute("INSERT INTO contact(name) VALUES (?1)", [name])?;
    let id = conn.last_insert_rowid();
    conn.execute("INSERT INTO email(contact_id, address) VALUES (?1, lower(?2))", (id, address))?;
    Ok(id)
}

fn contacts(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT count(*) FROM contact", [], |row| row.get(0))
}

fn main() -> Result<(), Box<dyn Error>> {
    let one = MIGRATOR.open_in_memory()?;
    let other = MIGRATOR.open_in_memory()?;
    add_contact(&one, "Ada", "Ada@example.org")?;
    assert_eq!((contacts(&one)?, contacts(&other)?), (1, 0));
    println!("one database has 1 contact, the other none: they share nothing");

    let rounds = 100;
    let clock = Instant::now();
    for _ in 0..rounds {
        MIGRATOR.open_in_memory()?;
    }
    println!("a fresh database took {:?} on average", clock.elapsed() / rounds);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_found_by_its_lower_case_address() {
        let db = MIGRATOR.open_in_memory().unwrap();
        let id = add_contact(&db, "Ada", "Ada@Example.org").unwrap();
        let found: i64 = db
            .query_row(
                "SELECT contact_id FROM email WHERE address = 'ada@example.org'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(found, id);
    }

    #[test]
    fn a_contact_needs_a_name() {
        let db = MIGRATOR.open_in_memory().unwrap();
        assert!(add_contact(&db, "", "nobody@example.org").is_err());
        assert_eq!(contacts(&db).unwrap(), 0);
    }

    #[test]
    fn deleting_a_contact_deletes_its_addresses() {
        let db = MIGRATOR.open_in_memory().unwrap();
        let id = add_contact(&db, "Ada", "ada@example.org").unwrap();
        db.pragma_update(None, "foreign_keys", true).unwrap();
        db.execute("DELETE FROM contact WHERE id = ?1", [id]).unwrap();
        let left: i64 = db.query_row("SELECT count(*) FROM email", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    }

    /// `include_dir!` does not notice a file that was added after the last build; this does.
    #[test]
    fn the_files_on_disk_are_those_compiled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations-example");
        landfall::testing::embedded_is_current(&MIGRATOR, folder).unwrap();
    }
}
