//! What a copy is like at one time: its schema, its size, and what is wrong with it.

use rusqlite::Connection;

use super::{Finding, Since};
use crate::backup::image;
use crate::error::{Error, Result};
use crate::ledger::Applied;
use crate::migration::Version;
use crate::migrator::Migrator;
use crate::run::foreign_keys::{Touched, Wrongs};
use crate::schema::Snapshot;

/// The copy at one time.
pub(super) struct State {
    pub(super) schema: Snapshot,
    pub(super) applied: Applied,
    pub(super) bytes: u64,
    pages: u64,
    pub(super) quick_check: Vec<String>,
    wrongs: Wrongs,
}

impl State {
    pub(super) fn of(conn: &Connection, migrator: &Migrator) -> Result<State> {
        let looking = "looking at the copy of the database";
        let sql = "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size";
        let (pages, size): (u32, u32) = conn
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(Error::sqlite(looking))?;
        let (pages, size) = (u64::from(pages), u64::from(size));
        // A ledger that cannot be read is what `apply` fails with.
        let applied = migrator.ledger_of(conn).and_then(|ledger| ledger.read());
        Ok(State {
            schema: Snapshot::of(conn)?,
            applied: applied.unwrap_or_default(),
            bytes: pages * size,
            pages,
            quick_check: quick_check(conn).map_err(Error::sqlite(looking))?,
            wrongs: Wrongs::now(conn, &Touched::Everything)?,
        })
    }

    /// How long a `-wal` is in which each page is once: <https://sqlite.org/fileformat2.html#walformat>.
    /// A journal is shorter.
    pub(super) fn log(&self) -> u64 {
        32 + self.bytes + 24 * self.pages
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.applied.migrations.last().map(|row| row.version)
    }

    /// What is wrong with foreign keys afterwards.
    pub(super) fn wrongs_until(&self, after: &State) -> Vec<Finding> {
        let new = after.wrongs.new_since(&self.wrongs, &[]);
        let mut old = after.wrongs.all();
        old.retain(|found| !new.contains(found));
        let mut all = findings(&old, &old);
        all.extend(findings(&new, &[]));
        let broken = after.wrongs.newly_dangling(&self.wrongs).into_iter();
        let broken = broken.chain(after.wrongs.newly_mismatched(&self.wrongs, &[]));
        all.extend(broken.map(|what| Finding { what, since: Since::Now }));
        all
    }
}

/// With CHECKs, also where the connection does not look at them.
fn quick_check(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let ignores = "ignore_check_constraints";
    let was_on: bool = conn.pragma_query_value(None, ignores, |row| row.get(0))?;
    conn.pragma_update(None, ignores, false)?;
    let found = image::findings(conn);
    conn.pragma_update(None, ignores, was_on)?;
    found
}

/// What is found now, and whether it was found before. Some findings do not say which row they are
/// about, so that they are counted.
pub(super) fn findings(now: &[String], before: &[String]) -> Vec<Finding> {
    let mut before = before.to_vec();
    let mut finding = |what: &String| {
        let known = before.iter().position(|was| was == what);
        let since = known.map_or(Since::Now, |at| {
            before.swap_remove(at);
            Since::Before
        });
        Finding { what: what.clone(), since }
    };
    now.iter().map(&mut finding).collect()
}
