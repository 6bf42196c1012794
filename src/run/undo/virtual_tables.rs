//! Virtual tables: what they keep tells whether they were written to.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rusqlite::Connection;

use super::shape::tables;
use super::{image, values};
use crate::error::{Error, Result};
use crate::sql::quoted;

/// The tables that virtual tables keep, each with a hash of what it holds.
pub(super) fn shadows(conn: &Connection) -> Result<Vec<(String, u64)>> {
    let read = || {
        let names = tables(conn, "shadow")?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        // What a virtual table has not written yet it writes when a savepoint begins.
        conn.execute_batch("SAVEPOINT landfall_undo; RELEASE landfall_undo")?;
        names.into_iter().map(|name| hashed(conn, name)).collect()
    };
    read().map_err(Error::sqlite("looking at virtual tables"))
}

fn hashed(conn: &Connection, name: String) -> rusqlite::Result<(String, u64)> {
    let mut statement = conn.prepare(&format!("SELECT * FROM main.{}", quoted(&name)))?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut hasher = DefaultHasher::new();
    while let Some(row) = rows.next()? {
        image::encode(values(row, 0, columns)?).hash(&mut hasher);
    }
    Ok((name, hasher.finish()))
}

/// The virtual table that a table belongs to.
pub(super) fn virtual_table(conn: &Connection, shadow: &str) -> rusqlite::Result<Option<String>> {
    let virtual_tables = tables(conn, "virtual")?.into_iter();
    let owns = |name: &String| {
        shadow.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('_'))
    };
    Ok(virtual_tables.filter(owns).max_by_key(String::len))
}
