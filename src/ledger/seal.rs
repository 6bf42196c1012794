//! The seal: proof that nothing has changed since the last run, in one query.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::{Ledger, Tables};
use crate::error::{Error, Result};

/// What the one query tells.
struct Look {
    seal: Option<String>,
    contents: u64,
}

impl Ledger<'_> {
    /// Whether the seal stored at the end of the last run is that of this set, and the ledger's
    /// rows and sentinels are those it was stored over. Any failure to read is a no: a seal that
    /// is wrong or missing only costs time.
    pub(crate) fn is_sealed(&self, fingerprint: u64) -> bool {
        match look(self.conn, &self.tables) {
            Ok(Look { seal: Some(seal), contents }) => seal == text(fingerprint, contents),
            _ => false,
        }
    }

    /// Stores the seal, unless it is there already. Inside a write transaction.
    pub(crate) fn seal(&self, fingerprint: u64) -> Result<()> {
        let store = || {
            let Look { seal, contents } = look(self.conn, &self.tables)?;
            let wanted = text(fingerprint, contents);
            if seal.as_ref() == Some(&wanted) {
                return Ok(());
            }
            self.set_state("seal", &wanted)
        };
        store().map_err(Error::sqlite("sealing the ledger"))
    }
}

fn text(fingerprint: u64, contents: u64) -> String {
    format!("{fingerprint:016x}{contents:016x}")
}

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
    let mut seal = None;
    let mut hasher = DefaultHasher::new();
    while let Some(row) = rows.next()? {
        let is_state = row.get_ref(0)? == ValueRef::Integer(0);
        if is_state && row.get_ref(1)? == ValueRef::Text(b"seal") {
            seal = Some(row.get(2)?);
            continue;
        }
        for column in 0..5 {
            match row.get_ref(column)? {
                ValueRef::Integer(number) => number.hash(&mut hasher),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.hash(&mut hasher),
                ValueRef::Real(number) => number.to_bits().hash(&mut hasher),
                ValueRef::Null => 0u8.hash(&mut hasher),
            }
        }
    }
    Ok(Look { seal, contents: hasher.finish() })
}
