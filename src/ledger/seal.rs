//! The seal: proof that nothing has changed since the last run, in one query. And the word that no
//! drift was found, beside it.

use std::hash::Hasher as _;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::{Ledger, Tables};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;

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
/// nothing at a start. No migration's version and no seed's name is NULL, so that every row tells
/// which table it is of. Of the history only the table and its columns have to be there.
///
/// SQLite's own part, reading this text and stepping through the rows, is most of what it costs.
/// Having SQLite put the rows together (`group_concat`) takes as long as handing them over.
fn look(conn: &Connection, tables: &Tables) -> rusqlite::Result<Look> {
    let sql = [
        "SELECT version,name,checksum,compatible FROM ",
        &tables.migrations,
        " UNION ALL SELECT NULL,key,value,NULL FROM ",
        &tables.state,
        " UNION ALL SELECT name,revision,state,NULL FROM ",
        &tables.seeds,
        " UNION ALL SELECT id,at,action,version FROM ",
        &tables.history,
        " WHERE 0",
    ];
    let mut statement = conn.prepare(&sql.concat())?;
    let mut rows = statement.query([])?;
    let (mut seal, mut word) = (None, None);
    let (mut rest, mut applied) = (Fingerprint::new(), Fingerprint::new());
    while let Some(row) = rows.next()? {
        let (of, name) = (row.get_ref(0)?, row.get_ref(1)?);
        if of == ValueRef::Null {
            // Of two rows with one key the second counts as contents.
            let kept = match name {
                ValueRef::Text(key) if key == SEAL.as_bytes() => Some(&mut seal),
                ValueRef::Text(key) if key == DRIFT.as_bytes() => Some(&mut word),
                _ => None,
            };
            if let Some(kept @ None) = kept {
                *kept = Some(row.get(2)?);
                continue;
            }
        }
        let values = [of, name, row.get_ref(2)?, row.get_ref(3)?];
        let is_applied = matches!(of, ValueRef::Integer(_));
        let hash = if is_applied { &mut applied } else { &mut rest };
        values.into_iter().for_each(|value| put(value, hash));
    }
    let applied = applied.finish();
    rest.fold(5, applied);
    Ok(Look { seal, word, contents: rest.finish(), applied })
}

/// Each type by itself: a text of digits is no number.
fn put(value: ValueRef<'_>, contents: &mut Fingerprint) {
    let (kind, number) = match value {
        ValueRef::Null => (0, 0),
        ValueRef::Integer(number) => (1, number.cast_unsigned()),
        ValueRef::Real(number) => (2, number.to_bits()),
        ValueRef::Text(bytes) => (3, bytes.len() as u64),
        ValueRef::Blob(bytes) => (4, bytes.len() as u64),
    };
    contents.fold(kind, number);
    if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = value {
        contents.write(bytes);
    }
}
