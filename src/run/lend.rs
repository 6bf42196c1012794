//! Lends the transaction to a function of the application, which is not to end it.

use rusqlite::Transaction;

use super::lock::{refuse_lost, roll_back};
use crate::error::{Error, Result};
use crate::migration::BoxError;

/// Whether the transaction that a function was lent is still the one that was begun.
pub(crate) enum Stands {
    Yes,
    /// The function ended it, and may have begun another.
    No,
}

/// A row that breaks a deferred foreign key: while it is there, SQLite refuses a COMMIT and leaves
/// the transaction open: <https://sqlite.org/foreignkeys.html#fk_deferred>. It stands in a TEMP
/// table, which goes with the transaction. Where foreign keys are not enforced it would hold
/// nothing, and a COMMIT is only noticed afterwards.
const PIN: &str = "CREATE TEMP TABLE landfall_pin (
    id INTEGER PRIMARY KEY,
    missing INTEGER REFERENCES landfall_pin(id) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO temp.landfall_pin VALUES (1, 2);";

/// First the row, which the key counts, then the table.
const UNPIN: &str = "DELETE FROM temp.landfall_pin; DROP TABLE temp.landfall_pin;";

/// A savepoint goes with its transaction, so that `ROLLBACK; BEGIN` does not pass for nothing:
/// <https://sqlite.org/lang_savepoint.html>.
const LEND: &str = "SAVEPOINT landfall_lent";
const TAKE_BACK: &str = "RELEASE landfall_lent";

/// What is to be said where the transaction is gone and the function returned SQLite's own error.
pub(crate) const TAKEN_BACK: &str = "SQLite took its transaction back, and only what it may have \
                                     written after that is stored";

/// Whether a function failed by an error of SQLite's, which can take a transaction back:
/// <https://sqlite.org/lang_transaction.html>.
pub(crate) fn is_sqlites(error: &BoxError) -> bool {
    error.downcast_ref().and_then(rusqlite::Error::sqlite_error_code).is_some()
}

/// Runs a function that is lent the open transaction, and tells whether that still stands.
pub(crate) fn lend<T>(
    tx: &Transaction<'_>,
    enforced: bool,
    borrower: impl FnOnce(&Transaction<'_>) -> T,
) -> Result<(T, Stands)> {
    let run = |sql| tx.execute_batch(sql);
    let failed = |error| Error::sqlite("lending the transaction to a function")(error);
    // Without a transaction the savepoint would begin one of its own.
    refuse_lost(tx)?;
    if enforced {
        run(PIN).map_err(failed)?;
        refuse_lost(tx)?;
    }
    run(LEND).map_err(failed)?;
    let returned = borrower(tx);
    if tx.is_autocommit() {
        return Ok((returned, Stands::No));
    }
    match run(TAKE_BACK) {
        Ok(()) => {}
        Err(error) if error.to_string().contains("no such savepoint") => {
            roll_back(tx);
            return Ok((returned, Stands::No));
        }
        Err(error) => return Err(failed(error)),
    }
    if enforced {
        run(UNPIN).map_err(failed)?;
    }
    Ok((returned, Stands::Yes))
}
