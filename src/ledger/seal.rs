//! The seal: proof that nothing has changed since the last run, in one query. And the word that no
//! drift was found, beside it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::{Ledger, Tables};
use crate::error::{Error, Result};

/// What the one query tells.
struct Look {
    seal: Option<String>,
    /// What is said of drift.
    word: Option<String>,
    contents: u64,
    /// Over what is applied alone.
    applied: u64,
}

/// How a database stands to a program at first sight. Any failure to read is a no: a seal or a word
/// that is wrong or missing only costs time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Whether the seal stored at the end of the last run is that of this program, and the ledger's
    /// rows and sentinels are those it was stored over.
    pub(crate) sealed: bool,
    /// Whether no drift was found, where that is asked for, with what is applied and the schema as
    /// they are.
    pub(crate) undrifted: bool,
}

/// What is applied, as a number over its rows, and the version of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    applied: u64,
    version: i64,
}

impl Ledger<'_> {
    /// Looks once, and where drift is asked for, by a number for what it is judged by, at the
    /// schema's version as well: <https://sqlite.org/pragma.html#pragma_schema_version>.
    pub(crate) fn sight(&self, fingerprint: u64, drift: Option<u64>) -> Sight {
        let Ok(Look { seal, word, contents, applied }) = look(self.conn, &self.tables) else {
            return Sight::default();
        };
        let undrifted = || {
            let (judge, word) = (drift?, word?);
            let version = self.schema_version().ok()?;
            Some(word == self::word(judge, Moment { applied, version }))
        };
        Sight {
            sealed: seal.is_some_and(|seal| seal == text(fingerprint, contents)),
            undrifted: undrifted().unwrap_or_default(),
        }
    }

    fn schema_version(&self) -> rusqlite::Result<i64> {
        self.conn.query_row("PRAGMA main.schema_version", [], |row| row.get(0))
    }

    /// Where the schema and what is applied stand, to be told from any other moment.
    pub(crate) fn moment(&self) -> rusqlite::Result<Moment> {
        let Look { applied, .. } = look(self.conn, &self.tables)?;
        Ok(Moment { applied, version: self.schema_version()? })
    }

    /// Stores the word that no drift was found at this moment, if it still is that. Inside a write
    /// transaction.
    pub(crate) fn note_no_drift(&self, judge: u64, moment: Moment) -> Result<()> {
        let store = || match self.moment()? == moment {
            true => self.set_state(DRIFT, &word(judge, moment)),
            false => Ok(()),
        };
        store().map_err(Error::sqlite("noting that there is no drift"))
    }

    /// Stores the seal, unless it is there already. Inside a write transaction.
    pub(crate) fn seal(&self, fingerprint: u64) -> Result<()> {
        let store = || {
            let Look { seal, contents, .. } = look(self.conn, &self.tables)?;
            let wanted = text(fingerprint, contents);
            if seal.as_ref() == Some(&wanted) {
                return Ok(());
            }
            self.set_state(SEAL, &wanted)
        };
        store().map_err(Error::sqlite("sealing the ledger"))
    }
}

fn text(fingerprint: u64, contents: u64) -> String {
    format!("{fingerprint:016x}{contents:016x}")
}

fn word(judge: u64, Moment { applied, version }: Moment) -> String {
    format!("{judge:016x}{applied:016x}/{version}")
}

/// Keys of the state that vouch for the rest.
const SEAL: &str = "seal";
const DRIFT: &str = "drift";

/// Reads the seal, and runs over every row that it vouches for: a ledger edited by hand is
/// another ledger. What a row says beyond that (how long it took, its down script) decides
/// nothing at a start.
fn look(conn: &Connection, tables: &Tables) -> rusqlite::Result<Look> {
    let sql = format!(
        "SELECT 0, key, value, NULL, NULL FROM {state}
         UNION ALL SELECT 1, version, name, checksum, compatible FROM {migrations}
         UNION ALL SELECT 2, name, revision, state, NULL FROM {seeds}
         UNION ALL SELECT 3, id, at, action, version FROM {history} WHERE 0",
        state = tables.state,
        migrations = tables.migrations,
        seeds = tables.seeds,
        history = tables.history,
    );
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let (mut seal, mut word) = (None, None);
    let (mut rest, mut applied) = (DefaultHasher::new(), DefaultHasher::new());
    while let Some(row) = rows.next()? {
        let kind = row.get_ref(0)?;
        if kind == ValueRef::Integer(0) {
            let kept = match row.get_ref(1)? {
                ValueRef::Text(key) if key == SEAL.as_bytes() => Some(&mut seal),
                ValueRef::Text(key) if key == DRIFT.as_bytes() => Some(&mut word),
                _ => None,
            };
            if let Some(kept) = kept {
                *kept = Some(row.get(2)?);
                continue;
            }
        }
        let is_applied = kind == ValueRef::Integer(1);
        hash(row, if is_applied { &mut applied } else { &mut rest })?;
    }
    let applied = applied.finish();
    applied.hash(&mut rest);
    Ok(Look { seal, word, contents: rest.finish(), applied })
}

fn hash(row: &Row<'_>, hasher: &mut DefaultHasher) -> rusqlite::Result<()> {
    for column in 0..5 {
        match row.get_ref(column)? {
            ValueRef::Integer(number) => number.hash(hasher),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.hash(hasher),
            ValueRef::Real(number) => number.to_bits().hash(hasher),
            ValueRef::Null => 0u8.hash(hasher),
        }
    }
    Ok(())
}
