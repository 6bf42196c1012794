//! How far a backfill is, who is at it, and what it skipped.

use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, params};

use super::format::SKIPPED;
use super::{Ledger, NOW, microseconds};
use crate::error::{Error, Result};
use crate::held::Progress;
use crate::sql::quoted;

/// The row of a backfill.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) revision: u32,
    pub(crate) is_done: bool,
    pub(crate) cursor: Option<Value>,
    pub(crate) progress: Progress,
    /// Who is at it, as far as can be told, and until when that can be told.
    pub(crate) holder: Option<String>,
    pub(crate) until: Option<String>,
}

/// What a batch leaves behind.
pub(crate) struct Step<'a> {
    pub(crate) name: &'a str,
    /// Where it goes on; `None` where nothing is left.
    pub(crate) next: Option<&'a Value>,
    pub(crate) rows: u64,
    pub(crate) rows_changed: u64,
    pub(crate) took: Duration,
    pub(crate) holder: &'a str,
    /// For how long its holder counts as alive after it.
    pub(crate) lease: Duration,
}

/// A row of `<prefix>_skipped` to write.
pub(crate) struct Skipped<'a> {
    pub(crate) name: &'a str,
    pub(crate) revision: u32,
    pub(crate) row: &'a Value,
    pub(crate) why: &'a str,
}

const WRITING: &str = "writing the progress of a backfill";

impl Ledger<'_> {
    /// How far a backfill is; `None` where it was never begun.
    ///
    /// The state of one that is worked on is `running <until when> <by whom>`. Whoever is past that
    /// time counts as dead, and so does one whose time lies further ahead than a lease is long.
    pub(crate) fn place(&self, name: &str, longest: Duration) -> Result<Option<Place>> {
        let sql = format!(
            "SELECT revision, state, cursor, done, total, {NOW},
                    strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?2)
             FROM {} WHERE name = ?1",
            self.tables.seeds
        );
        let row = self.conn.query_row(&sql, params![name, ahead(longest)], |row| {
            let (state, now): (String, String) = (row.get(1)?, row.get(5)?);
            // A time beyond SQLite's calendar is NULL.
            let latest: Option<String> = row.get(6)?;
            let cursor = match row.get(2)? {
                Value::Null => None,
                value => Some(value),
            };
            let (done, total): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
            let number = |n: i64| u64::try_from(n).unwrap_or_default();
            let progress = Progress { done: done.map_or(0, number), total: total.map(number) };
            let mut words = state.split(' ').skip(1);
            let lease = words.next().zip(words.next());
            let is_far =
                |until: &str| latest.as_ref().is_some_and(|latest| until > latest.as_str());
            let holder = lease.filter(|(until, _)| *until > now.as_str() && !is_far(until));
            Ok(Place {
                revision: row.get(0)?,
                is_done: state == "done",
                cursor,
                progress,
                holder: holder.map(|(_, holder)| holder.to_owned()),
                until: holder.map(|(until, _)| until.to_owned()),
            })
        });
        row.optional().map_err(Error::sqlite("reading how far a backfill is"))
    }

    /// Makes the row of a backfill, at its beginning.
    pub(crate) fn begin_backfill(
        &self,
        name: &str,
        revision: u32,
        total: Option<u64>,
    ) -> Result<()> {
        let sql = format!(
            "REPLACE INTO {} (name, revision, state, done, total, rows_changed, started_at, took_us,
                              app_version)
             VALUES (?1, ?2, 'running', 0, ?3, 0, {NOW}, 0, ?4)",
            self.tables.seeds
        );
        let begin = || {
            self.in_transaction()?;
            let values = params![name, revision, total.map(signed), self.app_version];
            self.write("seeds", 1, || self.conn.execute(&sql, values))?;
            self.forget_skipped(Some(name))
        };
        begin().map_err(Error::sqlite(WRITING))
    }

    /// Moves a backfill on, inside the transaction of its batch.
    pub(crate) fn advance(&self, step: &Step<'_>) -> Result<()> {
        let sql = format!(
            "UPDATE {} SET done = done + ?2, rows_changed = rows_changed + ?3,
                    took_us = took_us + ?4, app_version = ?5,
                    cursor = coalesce(?6, cursor), state = ?7,
                    finished_at = CASE WHEN ?6 IS NULL THEN {NOW} END
             WHERE name = ?1",
            self.tables.seeds
        );
        let write = || {
            let state = match step.next {
                Some(_) => format!("running {} {}", self.later(step.lease)?, step.holder),
                None => "done".to_owned(),
            };
            self.in_transaction()?;
            let values = params![
                step.name,
                signed(step.rows),
                signed(step.rows_changed),
                microseconds(step.took),
                self.app_version,
                step.next,
                state,
            ];
            self.write("seeds", 1, || self.conn.execute(&sql, values))
        };
        write().map_err(Error::sqlite(WRITING))
    }

    fn later(&self, by: Duration) -> rusqlite::Result<String> {
        let sql = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1)";
        self.conn.query_row(sql, [ahead(by)], |row| row.get(0))
    }

    /// Tells others that nobody is at it any more.
    pub(crate) fn release(&self, name: &str, holder: &str) -> rusqlite::Result<()> {
        let sql = format!(
            "UPDATE {} SET state = 'running'
             WHERE name = ?1 AND substr(state, 1, 8) = 'running ' AND substr(state, -length(?2)) = ?2",
            self.tables.seeds
        );
        self.conn.execute(&sql, [name, holder]).map(drop)
    }

    /// Writes down a row that was skipped.
    pub(crate) fn skip(&self, skipped: &Skipped<'_>) -> Result<()> {
        let table = self.skipped();
        let write = || {
            self.in_transaction()?;
            self.conn
                .execute(&format!("CREATE TABLE IF NOT EXISTS {table} ({})", SKIPPED.1), [])?;
            let sql = format!(
                "INSERT INTO {table} (at, name, revision, key, error) VALUES ({NOW}, ?1, ?2, ?3, ?4)"
            );
            let Skipped { name, revision, row, why } = skipped;
            let values = params![name, revision, row, why];
            self.write(SKIPPED.0, 1, || self.conn.execute(&sql, values))
        };
        write().map_err(Error::sqlite("writing down a row that a backfill skipped"))
    }

    /// How many rows a backfill has skipped, at whichever start.
    pub(crate) fn skipped_by(&self, name: &str) -> Result<u64> {
        if !self.has_skipped().map_err(Error::sqlite(WRITING))? {
            return Ok(0);
        }
        let sql = format!("SELECT count(*) FROM {} WHERE name = ?1", self.skipped());
        let count = self.conn.query_row(&sql, [name], |row| row.get::<_, i64>(0));
        count.map(|n| u64::try_from(n).unwrap_or_default()).map_err(Error::sqlite(WRITING))
    }

    fn has_skipped(&self) -> rusqlite::Result<bool> {
        let table = format!("{}_{}", self.tables.prefix, SKIPPED.0);
        let there =
            "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
        self.conn.prepare(there)?.exists([table])
    }

    /// Forgets what a backfill skipped when it ran before; of all where none is named.
    pub(super) fn forget_skipped(&self, name: Option<&str>) -> rusqlite::Result<()> {
        if !self.has_skipped()? {
            return Ok(());
        }
        self.erase(SKIPPED.0, "?1 IS NULL OR name = ?1", [name])
    }

    fn skipped(&self) -> String {
        format!("main.{}", quoted(&format!("{}_{}", self.tables.prefix, SKIPPED.0)))
    }
}

/// As SQLite's functions for times want it.
fn ahead(by: Duration) -> String {
    format!("+{:.3} seconds", by.as_secs_f64())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
