//! Drift: the live schema against what the ledger says was applied.

use rusqlite::Connection;

use crate::error::Result;
use crate::ledger::Applied;
use crate::migrator::Migrator;
use crate::replay::{Extent, Replay};
use crate::run::session;
use crate::schema::{self, Change, Snapshot};

impl Migrator {
    /// Reads: how the database's schema differs from what its migrations made. What the ledger says
    /// was applied is run again in a database in memory, without seeds, and both schemas are
    /// compared [by meaning](crate::schema). A [`Change`] says how the live schema differs from the
    /// one that it should be, and its statement mends it; none is executed.
    ///
    /// Whatever the migrations did not make is drift: tables of other programs and libraries that
    /// share the database are left out by [`ignore_drift_of`](Migrator::ignore_drift_of). Code
    /// migrations run as well, on the database in memory; functions that the migrations need are
    /// registered by [`on_connect`](Migrator::on_connect).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`](crate::ErrorKind::Missing), [`Newer`](crate::ErrorKind::Newer) or
    /// [`Modified`](crate::ErrorKind::Modified) where the program does not hold what was applied; as
    /// [`apply`](Migrator::apply) where a migration fails in memory. Nothing is changed by any
    /// error.
    ///
    /// ```
    /// let migrator = landfall::Migrator::from_dir("migrations-example");
    /// let conn = migrator.open_in_memory()?;
    /// assert!(migrator.drift(&conn)?.is_empty());
    ///
    /// conn.execute_batch("CREATE TABLE stray(x)")?;
    /// let changes = migrator.drift(&conn)?;
    /// assert_eq!(changes[0].to_string(), "table `stray` should not be there");
    /// assert_eq!(changes[0].statement(), Some("DROP TABLE stray"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drift(&self, conn: &Connection) -> Result<Vec<Change>> {
        let ledger = self.ledger_of(conn)?;
        let (applied, live) =
            self.patience(conn)?.retry(|| Ok((ledger.read()?, Snapshot::of(conn)?)))?;
        self.drift_of(&applied, live, session::enforces_foreign_keys(conn)?)
    }

    fn drift_of(&self, applied: &Applied, live: Snapshot, enforces: bool) -> Result<Vec<Change>> {
        let Replay { conn, untold } = self.replay(Extent::Applied(applied), enforces)?;
        let seen = |snapshot: Snapshot| {
            let snapshot = snapshot.without(&untold);
            self.undrifting.iter().fold(snapshot, |snapshot, names| snapshot.ignoring(names))
        };
        Ok(schema::diff(&seen(live), &seen(Snapshot::of(&conn)?)))
    }
}
