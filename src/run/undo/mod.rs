//! What a deed changed, row by row: recorded while it runs, and put back exactly. This room works
//! on the connection inside a transaction that is another's to begin and end; where records are
//! kept is the ledger's.

mod back;
mod image;
mod log;
mod record;
mod routes;
mod shape;
mod virtual_tables;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::statements::shown;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::ChangedSince;
pub(crate) use back::{PutBack, put_back};
pub(crate) use record::Recorder;

/// What an application has decided about undoing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How many bytes a record may have.
    pub(crate) limit: u64,
    pub(crate) changed_since: ChangedSince,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { limit: 64 * 1024 * 1024, changed_since: ChangedSince::default() }
    }
}

/// TEMP triggers of the application's fire whatever is switched off
/// (<https://sqlite.org/c3ref/c_dbconfig_defensive.html>), in an order that nobody promises.
fn refuse_temp_triggers(conn: &Connection, refuse: impl Fn(String) -> ErrorKind) -> Result<()> {
    let find = || {
        let mut statement = conn.prepare(
            "SELECT t.name, t.tbl_name FROM temp.sqlite_master AS t
             WHERE t.type = 'trigger' AND t.name NOT LIKE 'landfall\\_undo\\_%' ESCAPE '\\'
               AND NOT EXISTS (
                   SELECT 1 FROM temp.sqlite_master AS o
                   WHERE o.type IN ('table', 'view') AND o.name = t.tbl_name COLLATE NOCASE
               )",
        )?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
    };
    match find().map_err(Error::sqlite("reading the TEMP schema"))? {
        Some((trigger, table)) => {
            let why = format!("this connection has a TEMP trigger `{trigger}` on `{table}`");
            Err(Error::from(refuse(why)).advise("drop it, or use another connection"))
        }
        None => Ok(()),
    }
}

/// A row as a person finds it: `note rowid 7`.
fn place(shape: &shape::Shape, key: &[ValueRef<'_>]) -> String {
    let parts = shape.key.iter().zip(key);
    let parts: Vec<String> =
        parts.map(|(part, value)| format!("{} {}", part.name, shown(*value))).collect();
    format!("{} {}", shape.name, parts.join(", "))
}

/// Values of a row, from a column on.
fn values<'r>(row: &'r Row<'_>, from: usize, count: usize) -> rusqlite::Result<Vec<ValueRef<'r>>> {
    (from..from + count).map(|at| row.get_ref(at)).collect()
}

fn cannot_record(what: &str, why: String) -> ErrorKind {
    ErrorKind::CannotRecord { what: what.to_owned(), why }
}
