//! Each peer migrates a file from a folder of its own. landfall takes the file over from that very
//! folder and applies one migration more; then the peer's program, which knows three, starts again.

mod diesel;
mod refinery;
mod rusqlite_migration;
mod sqlx;

use std::path::Path;

use landfall::{Adopt, Adoption, Migrator, Proof, Report};
use rusqlite::Connection;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const PERSON: &str = "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n";
const LETTER: &str = "CREATE TABLE letter(id INTEGER PRIMARY KEY,\n    person_id INTEGER NOT NULL REFERENCES person(id) ON DELETE CASCADE, text TEXT);\r\nCREATE INDEX letter_person ON letter(person_id);\n";
const BORN: &str = "-- when they were born\nALTER TABLE person ADD COLUMN born TEXT;\nCREATE TRIGGER named AFTER INSERT ON person WHEN new.name = '' BEGIN\n    UPDATE person SET name = 'nobody' WHERE id = new.id;\nEND;\n";
const NOTE: &str = "CREATE TABLE note(text TEXT);\n";

/// A folder with the first so many migrations under these names.
fn write(folder: &Path, names: &[&str], count: usize) -> Result {
    for (name, text) in names.iter().zip([PERSON, LETTER, BORN, NOTE]).take(count) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// What an application has put in since.
fn use_it(path: &Path) -> Result {
    Connection::open(path)?.execute_batch(
        "INSERT INTO person(name) VALUES ('Ada'), ('');
         INSERT INTO letter(person_id, text) VALUES (1, 'a'), (2, 'b');",
    )?;
    Ok(())
}

fn rows(path: &Path, sql: &str) -> Result<Vec<String>> {
    let conn = Connection::open(path)?;
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// landfall's start, after the peer's.
fn take_over(folder: &Path, path: &Path, adopt: impl Into<Adoption>) -> Result<Report> {
    let migrator = Migrator::from_dir(folder).adopt(adopt);
    let conn = Connection::open(path)?;
    let report = migrator.apply(&conn).map_err(|error| format!("{error:?}"))?;
    assert!(migrator.apply(&conn)?.is_noop());
    assert!(migrator.drift(&conn)?.is_empty());
    Ok(report)
}

/// That three were taken over, and the fourth applied.
fn assert_taken(path: &Path, report: &Report, tool: Adopt, checksums: usize) -> Result {
    let adopted = report.adopted.as_ref().ok_or("nothing was taken over")?;
    assert_eq!((adopted.tool, adopted.migrations.len()), (tool, 3));
    assert_eq!((adopted.checksums, adopted.proof), (checksums, Proof::Replayed));
    assert_eq!(report.applied.len(), 1);
    assert_eq!(report.applied[0].name, "note");
    assert_eq!(rows(path, "SELECT name FROM person ORDER BY id")?, ["Ada", "nobody"]);
    assert_eq!(rows(path, "SELECT text FROM letter ORDER BY id")?, ["a", "b"]);
    let at = rows(path, "SELECT applied_at FROM schema_migrations")?;
    assert!(at.iter().all(|at| at.len() == 24 && at.ends_with('Z')), "{at:?}");
    Ok(())
}

/// Both folders, the old program's and the new one's, and the file.
struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn with(names: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        write(&dir.path().join("old"), names, 3)?;
        write(&dir.path().join("new"), names, 4)?;
        Ok(Stage { dir })
    }

    fn old(&self) -> std::path::PathBuf {
        self.dir.path().join("old")
    }

    fn new(&self) -> std::path::PathBuf {
        self.dir.path().join("new")
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("app.db")
    }
}
