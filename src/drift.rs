//! Drift: the live schema against what the ledger says was applied.

use rusqlite::Connection;

use crate::adoption::Adoption;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{self, Applied, Ledger, Moment};
use crate::migrator::{Fingerprints, Migrator};
use crate::replay::{Extent, Replay};
use crate::report::Report;
use crate::run::adopt::Adopting;
use crate::run::{preflight, session};
use crate::schema::{self, Change, Snapshot};

/// What a start does where the schema is not what the migrations made.
///
/// It costs nothing as long as nobody changes the schema: that no drift was found is noted beside the
/// ledger, with SQLite's `schema_version`, which every start asks for. After a change it costs
/// running in memory all that was applied, so does each start with drift, and each on a database that
/// cannot be written and is not noted.
///
/// ```
/// use landfall::{Drifted, ErrorKind, Migrator};
///
/// let migrator = Migrator::from_dir("migrations-example").drifted(Drifted::Refuse);
/// let conn = migrator.open_in_memory()?;
/// conn.execute_batch("DROP INDEX phone_by_number")?;
/// let error = migrator.apply(&conn).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the schema is not what was applied to this database: index `phone_by_number` on table \
///      `phone` is missing; nothing was changed"
/// );
///
/// let ErrorKind::Drift { changes, .. } = error.kind() else { panic!() };
/// conn.execute_batch(changes[0].statement().unwrap())?;
/// assert!(migrator.apply(&conn)?.is_noop());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Drifted {
    /// Do not look.
    #[default]
    Ignore,
    /// Tell each difference in the report's warnings and in the log.
    Warn,
    /// Refuse it with [`ErrorKind::Drift`], before anything is written.
    Refuse,
}

/// What a start found of drift.
#[derive(Default)]
pub(crate) struct Watched {
    warnings: Vec<String>,
    /// When there was none.
    clean: Option<Moment>,
}

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
        let set = self.load()?;
        // What is to be taken over counts as applied.
        let job = self.job(conn, &ledger, &set)?;
        let seen = || see(conn, &ledger, || job.applied());
        let Seen { applied, live, .. } = job.patience.retry(seen)?;
        self.drift_of(&applied, live, session::enforces_foreign_keys(conn)?)
    }

    /// Looks for drift at a start, and judges it.
    pub(crate) fn watch(&self, conn: &Connection, ledger: &Ledger<'_>) -> Result<Watched> {
        let mut watched = Watched::default();
        let Seen { applied, live, moment } = match self
            .patience(conn)?
            .retry(|| see(conn, ledger, || ledger.read()))
        {
            Ok(seen) => seen,
            // Its schema is compared when that ledger is taken over.
            Err(error) if self.adopt.is_some() && error.is_foreign_ledger() => return Ok(watched),
            Err(error) => return Err(error),
        };
        if !applied.begun || applied.mark.is_some() {
            // Nothing was made by migrations, or one that runs outside a transaction is half done.
            return Ok(watched);
        }
        let changes = match self.drift_of(&applied, live, session::enforces_foreign_keys(conn)?) {
            Ok(changes) => changes,
            Err(error) => {
                match (error.kind(), self.drifted) {
                    // What was applied and is not known is for other policies to judge.
                    (ErrorKind::Modified { .. }, _) => {}
                    (ErrorKind::Missing { .. } | ErrorKind::Newer { .. }, _)
                    | (_, Drifted::Warn) => {
                        watched.warn(format!("drift was not looked for: {error}"));
                    }
                    _ => return Err(error),
                }
                return Ok(watched);
            }
        };
        match self.drifted {
            _ if changes.is_empty() => watched.clean = moment,
            Drifted::Refuse => return Err(ErrorKind::Drift { changes }.into()),
            _ => changes.iter().for_each(|change| watched.warn(format!("drift: {change}"))),
        }
        Ok(watched)
    }

    /// Adds what was found to the report, and notes what was not, if nobody is in the way. Nothing
    /// depends on the note.
    pub(crate) fn note(
        &self,
        conn: &Connection,
        ledger: &Ledger<'_>,
        prints: Fingerprints,
        watched: Watched,
        result: Result<Report>,
    ) -> Result<Report> {
        let mut report = result?;
        report.warnings.splice(0..0, watched.warnings);
        if let Some(moment) =
            watched.clean.filter(|moment| ledger.moment().is_ok_and(|now| now == *moment))
        {
            let noted = || {
                let patience = self.patience(conn)?;
                let tx = patience.begin_once()?;
                ledger.note_no_drift(prints.drift, moment)?;
                let stored = || Ok(ledger.sight(prints.program, Some(prints.drift)).undrifted);
                patience.commit_once(&tx, stored)
            };
            if let (None, Err(error)) = (preflight::read_only(conn)?, noted()) {
                log::debug!("not noted that there is no drift: {error}");
            }
        }
        Ok(report)
    }

    /// What a ledger is taken over with: schemas are compared as they are for drift.
    pub(crate) fn adopting<'a>(
        &'a self,
        adoption: &'a Adoption,
        conn: &'a Connection,
    ) -> Adopting<'a> {
        Adopting::new(adoption, move |applied, live| {
            let enforces = session::enforces_foreign_keys(conn)?;
            let changes = self.drift_of(applied, live, enforces)?;
            Ok(changes.iter().map(ToString::to_string).collect())
        })
    }

    pub(crate) fn drift_of(
        &self,
        applied: &Applied,
        live: Snapshot,
        enforces: bool,
    ) -> Result<Vec<Change>> {
        let Replay { conn, untold } = self.replay(Extent::Applied(applied), enforces)?;
        let theirs = self.adopt.as_ref().map(ledger::adopt::tables_of).unwrap_or_default();
        let seen = |snapshot: Snapshot| {
            let snapshot = snapshot.without(&untold).without(&theirs);
            self.undrifting.iter().fold(snapshot, |snapshot, names| snapshot.ignoring(names))
        };
        Ok(schema::diff(&seen(live), &seen(Snapshot::of(&conn)?)))
    }
}

/// A database as it is at one moment.
struct Seen {
    applied: Applied,
    live: Snapshot,
    /// None where the ledger is not whole.
    moment: Option<Moment>,
}

/// In one read transaction: a migration that is committed meanwhile is in both, or in neither.
fn see(
    conn: &Connection,
    ledger: &Ledger<'_>,
    applied: impl Fn() -> Result<Applied>,
) -> Result<Seen> {
    let reading = "reading the schema";
    let tx = match conn.is_autocommit() {
        true => Some(conn.unchecked_transaction().map_err(Error::sqlite(reading))?),
        false => None,
    };
    let applied = applied()?;
    let moment = if applied.complete { ledger.moment().ok() } else { None };
    let seen = Seen { applied, live: Snapshot::of(conn)?, moment };
    drop(tx);
    Ok(seen)
}

impl Watched {
    fn warn(&mut self, warning: String) {
        log::warn!("{warning}");
        self.warnings.push(warning);
    }
}
