//! Keeps a function of the application from committing the transaction that it is handed.

use rusqlite::Transaction;

use crate::error::{Error, Result};

/// A row that breaks a deferred foreign key. "If a COMMIT is attempted while the database is in
/// this state, it is refused with an error, and the transaction stays open":
/// <https://sqlite.org/foreignkeys.html#fk_deferred>. It stands in a TEMP table, which goes with
/// the transaction. On a connection that does not enforce foreign keys it holds nothing, and who
/// commits there is only told afterwards.
const SET: &str = "CREATE TEMP TABLE landfall_pin (
    id INTEGER PRIMARY KEY,
    missing INTEGER REFERENCES landfall_pin(id) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO temp.landfall_pin VALUES (1, 2);";

/// Runs a function with the transaction pinned, where foreign keys are enforced.
pub(crate) fn pinned<T>(
    tx: &Transaction<'_>,
    enforced: bool,
    deed: impl FnOnce(&Transaction<'_>) -> T,
) -> Result<T> {
    if !enforced {
        return Ok(deed(tx));
    }
    tx.execute_batch(SET).map_err(Error::sqlite("pinning the transaction"))?;
    let done = deed(tx);
    if !tx.is_autocommit() {
        // First the row, which the key counts, then the table.
        tx.execute_batch("DELETE FROM temp.landfall_pin; DROP TABLE temp.landfall_pin")
            .map_err(Error::sqlite("unpinning the transaction"))?;
    }
    Ok(done)
}
