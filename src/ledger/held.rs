//! What the history says of seeds and backfills that did not run.

use std::collections::BTreeMap;

use super::{Deed, Ledger, foreign};
use crate::error::{Error, Result};
use crate::held::Held;

/// The history's word for one that was held back.
const HOLD: &str = "hold";

impl Ledger<'_> {
    /// Those of which the history does not say already, in its last line on them, why they have not
    /// run: so a start that finds what the one before found writes nothing.
    pub(crate) fn news_of<'h>(&self, held: &'h [Held]) -> Result<Vec<&'h Held>> {
        let mut news: Vec<_> = held.iter().filter(|held| held.on_record().is_some()).collect();
        if news.is_empty() || !foreign::inspect(self.conn, self.prefix())?.history {
            return Ok(Vec::new());
        }
        let said = self.last_words().map_err(Error::sqlite("reading the history"))?;
        news.retain(|held| said.get(&held.name) != held.on_record().as_ref());
        Ok(news)
    }

    /// Why each was held back, where the last that was done about it is that it was. One pass.
    fn last_words(&self) -> rusqlite::Result<BTreeMap<String, String>> {
        let history = &self.tables.history;
        let sql = format!(
            "SELECT name, reason FROM {history} WHERE action = ?1 AND id IN
                 (SELECT max(id) FROM {history} WHERE action IN (?1, 'seed', 'backfill', 'revert')
                  AND version IS NULL GROUP BY name)"
        );
        let mut statement = self.conn.prepare(&sql)?;
        let rows = statement.query_map([HOLD], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    /// Adds a line to the history for each of those that are news.
    pub(crate) fn record_held(&self, held: &[Held]) -> Result<()> {
        let lines: Vec<_> =
            self.news_of(held)?.into_iter().map(|held| (&held.name, held.on_record())).collect();
        self.record(lines.iter().map(|(name, reason)| Deed {
            action: HOLD,
            name: Some(name),
            reason: reason.as_deref(),
            ..Deed::default()
        }))
    }
}
