//! The seal: proof that nothing has changed since the last run, in one query.

use std::hash::Hasher as _;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::{Ledger, Tables};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;

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
    let mut seal = None;
    let mut contents = Fingerprint::new();
    while let Some(row) = rows.next()? {
        let of = row.get_ref(0)?;
        let name = row.get_ref(1)?;
        if seal.is_none() && of == ValueRef::Null && name == ValueRef::Text(b"seal") {
            seal = Some(row.get(2)?);
            continue;
        }
        for value in [of, name, row.get_ref(2)?, row.get_ref(3)?] {
            put(value, &mut contents);
        }
    }
    Ok(Look { seal, contents: contents.finish() })
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
