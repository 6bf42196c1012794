//! What a sentinel says, and what is written beside it.

use rusqlite::params;

use super::{Ledger, Sentinel, foreign};
use crate::error::{Error, Result};
use crate::held::Progress;

/// The state of a row whose seed, or backfill, is done.
const DONE: &str = "done";

impl Sentinel {
    /// Whether this revision is done. What has a higher one is a newer program's, begun or done.
    pub(crate) fn is_done(&self, revision: u32) -> bool {
        self.revision > revision || (self.revision == revision && self.state == DONE)
    }

    /// Whether it was begun and is not done.
    pub(crate) fn is_running(&self) -> bool {
        self.state != DONE
    }

    /// Backfills count what they have done; seeds do not.
    pub(crate) fn is_of_backfill(&self) -> bool {
        self.done.is_some()
    }

    pub(crate) fn progress(&self) -> Progress {
        let number = |n: i64| u64::try_from(n).unwrap_or_default();
        Progress { done: self.done.map_or(0, number), total: self.total.map(number) }
    }
}

impl Ledger<'_> {
    /// One sentinel, where the table is there at all.
    pub(crate) fn known_sentinel(&self, name: &str) -> Result<Option<Sentinel>> {
        match foreign::inspect(self.conn, self.prefix())?.seeds {
            true => self.sentinel(name),
            false => Ok(None),
        }
    }

    /// Writes the checksum of a seed's file beside its sentinel.
    pub(crate) fn note_content(&self, name: &str, content: &str) -> Result<()> {
        let sql = format!("UPDATE {} SET cursor = ?2 WHERE name = ?1", self.tables.seeds);
        self.in_transaction()
            .and_then(|()| {
                self.write("seeds", 1, || self.conn.execute(&sql, params![name, content]))
            })
            .map_err(Error::sqlite("writing a seed's sentinel"))
    }
}
