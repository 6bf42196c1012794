//! A database for each test: replayed, copied, or lent.

use std::time::Duration;

use landfall::Migrator;
use rusqlite::backup::Backup;
use rusqlite::{Connection, MAIN_DB};

use crate::Result;
use crate::rounds::{self, Times, Way, timed};
use crate::set;
use crate::tools::{self, BARE, FIRST_QUERY, IN_MEMORY};

pub const DESERIALIZED: &str = "an image, deserialized";
pub const BACKED_UP: &str = "an image, by the backup API";
pub const OPEN_IN_MEMORY: &str = "open_in_memory";
pub const SANDBOX: &str = "sandbox";

pub const NAMES: [&str; 5] = [BARE, DESERIALIZED, BACKED_UP, OPEN_IN_MEMORY, SANDBOX];

/// Until the first query is answered, in the order of `NAMES`. Each is done twice in a row, and the
/// second time counts: a test binary opens one after the other.
pub fn race(size: usize, rounds: usize) -> Result<Vec<Times>> {
    let scripts = set::scripts(size);
    let bare = tools::tool(BARE, size)?;
    let migrator = Migrator::from_embedded(tools::landfall::migrations(&scripts));
    let template = migrator.open_in_memory()?;
    let image = template.serialize(MAIN_DB)?.to_vec();

    let replayed = || {
        let mut db = bare.open(IN_MEMORY)?;
        db.apply()?;
        db.ask(FIRST_QUERY)?;
        db.close()
    };
    let deserialized = || {
        let mut conn = Connection::open_in_memory()?;
        conn.deserialize_read_exact(MAIN_DB, &image[..], image.len(), false)?;
        ask(&conn)
    };
    let backed_up = || {
        let mut conn = Connection::open_in_memory()?;
        Backup::new(&template, &mut conn)?.step(-1)?;
        ask(&conn)
    };
    let mut ways: Vec<Way<'_>> = vec![
        Box::new(|| second(replayed)),
        Box::new(|| second(deserialized)),
        Box::new(|| second(backed_up)),
        Box::new(|| second(|| ask(&migrator.open_in_memory()?))),
        Box::new(|| second(|| landfall::testing::sandbox(&migrator, ask)?)),
    ];
    rounds::race(rounds, &mut ways)
}

fn ask(conn: &Connection) -> Result<()> {
    let _: String = conn.query_row(FIRST_QUERY, [], |row| row.get(0))?;
    Ok(())
}

fn second(work: impl Fn() -> Result<()>) -> Result<Duration> {
    work()?;
    Ok(timed(work)?.0)
}
