//! What the next release would do to the database that there is: printed before it is deployed.
//!
//! `cargo run --example rehearse`, or with the path of a database.

use landfall::rusqlite::{Connection, OpenFlags};
use landfall::{Migration, Migrator, Seeds, Target, Version};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let next = Migrator::from_dir("migrations-example")
        .with(Migration::sql(12, "merge_notes", NOTES).down(NO_NOTES))
        .seeds(Seeds::new().ensure("groups", |tx| {
            tx.execute("INSERT INTO contact_group(name) VALUES ('Family'), ('Work')", []).map(drop)
        }));
    let folder = tempfile::tempdir()?;
    let path = match std::env::args_os().nth(1) {
        Some(path) => path.into(),
        None => {
            // As a user has it who has not updated for a while.
            let path = folder.path().join("contacts.db");
            let conn = Connection::open(&path)?;
            Migrator::from_dir("migrations-example")
                .apply_to(&conn, Target::Version(Version::from(9)))?;
            conn.execute("INSERT INTO contact(name) VALUES ('Ada'), ('Grace')", [])?;
            path
        }
    };
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let rehearsal = next.rehearse(&conn)?;
    println!("{rehearsal}");
    match rehearsal.error {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

const NOTES: &str = "
    CREATE TABLE note(
        id INTEGER PRIMARY KEY,
        contact INTEGER NOT NULL REFERENCES contact(id) ON DELETE CASCADE,
        text TEXT NOT NULL
    );
    INSERT INTO note(contact, text) SELECT id, 'welcome' FROM contact;
";
const NO_NOTES: &str = "
    -- landfall: allow-data-loss: notes are new, and older programs have none
    DROP TABLE note;
";
