//! What a start would do to a database, found out on a copy of it.

mod copy;
mod downs;
mod losses;
mod page;
mod rehearsal;
mod state;

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;

use crate::backup::file_of;
use crate::drift::Watched;
use crate::error::{Error, Result};
use crate::migration::{Target, Version};
use crate::migrator::Migrator;
use crate::plan::Goal;
use crate::report::{Done, Report};
use crate::run::{self, Job, preflight};
use crate::schema::diff;
use crate::seed::Deferred;
use copy::{Copy, Place};
use losses::Watch;
pub use rehearsal::{Beside, Downs, Finding, Part, Rehearsal, Rehearsed, RowsLost, Since, Space};
use state::{State, findings};

/// Rehearsing.
impl Migrator {
    /// Reads: finds out what [`apply`](Migrator::apply) would do to this very database, on a whole
    /// copy of it in memory. What is pending runs there, with seeds and all backfills, deferred ones
    /// too, and then the downs. The [`Rehearsal`] says what came of it; its `Display` is a page to
    /// read before a deployment.
    ///
    /// The copy is made through [SQLite's backup API](https://sqlite.org/backup.html), inside a
    /// read transaction: it is one state, what is in a `-wal` included, whoever writes meanwhile. In
    /// WAL mode nobody has to wait for it; in other modes others cannot commit while it is made. It
    /// needs as much memory as the database has bytes: [`rehearse_in`](Migrator::rehearse_in) keeps
    /// it in a file.
    ///
    /// Copied are `main`, every attached database and what is TEMP, and of the connection its
    /// foreign keys and whatever other setting decides what a statement does. Not copied are its
    /// functions, collations and modules, which [`on_connect`](Migrator::on_connect) registers on
    /// the copy as well, and hooks. Databases that `on_connect` attaches are let go.
    ///
    /// Nothing is written to the database, so that the connection may be a read-only one. No
    /// [backup](Migrator::backup) is made, and [`on_event`](Migrator::on_event) is told nothing: it
    /// could not tell the rehearsal from the performance. What functions of the application do
    /// outside the database, they really do.
    ///
    /// # Errors
    ///
    /// What `apply` would fail with is [in the rehearsal](Rehearsal::error). An error of this verb
    /// is about the rehearsal itself: [`InTransaction`](crate::ErrorKind::InTransaction),
    /// [`Busy`](crate::ErrorKind::Busy), or where the copy cannot be made or looked at. Nothing is
    /// changed by any error.
    ///
    /// ```
    /// use landfall::{Migration, Migrator, Version};
    ///
    /// let note = Migration::sql(1, "note", "CREATE TABLE note(text)").down("DROP TABLE note");
    /// let migrator = Migrator::from_migrations([note]);
    /// let conn = migrator.open_in_memory()?;
    /// conn.execute("INSERT INTO note VALUES ('one')", [])?;
    ///
    /// let rehearsal = migrator.with(Migration::sql(2, "clear", "DELETE FROM note")).rehearse(&conn)?;
    /// assert_eq!(rehearsal.to, Some(Version::from(2)));
    /// assert_eq!(rehearsal.steps[0].rows_lost[0].rows, 1);
    /// println!("{rehearsal}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rehearse(&self, conn: &Connection) -> Result<Rehearsal> {
        self.rehearse_at(conn, Place::Memory)
    }

    /// Reads the database, and writes a file: as [`rehearse`](Migrator::rehearse), on a copy in a
    /// file that stays, to be looked into. It is as it would be after `apply`; the downs run on
    /// another copy, which SQLite keeps where it keeps temporary files. What SQLite would need
    /// beside the database while it works is [measured](Beside::Measured).
    ///
    /// The file gets its name when all is done; until then an empty one has it, and the copy is
    /// beside it as `.<name>.rehearsal-partial`. A process that is killed leaves both, and the next
    /// rehearsal there clears them away. Attached databases are copied to temporary files.
    ///
    /// # Errors
    ///
    /// As `rehearse`; [`NotFresh`](crate::ErrorKind::NotFresh) where the file is there and not
    /// empty, or a `-wal`, `-shm` or `-journal` is left of a database that is gone, and
    /// [`Backup`](crate::ErrorKind::Backup) where it cannot be written, on a full disk
    /// say: no file is left then. Nothing is changed in the database by any error.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let migrator = landfall::Migrator::from_dir("migrations-example");
    /// let conn = landfall::rusqlite::Connection::open(folder.path().join("app.db"))?;
    /// let rehearsal = migrator.rehearse_in(&conn, folder.path().join("rehearsal.db"))?;
    ///
    /// let copy = landfall::rusqlite::Connection::open(rehearsal.copy.unwrap())?;
    /// assert!(migrator.is_current(&copy)?);
    /// assert!(!migrator.is_current(&conn)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rehearse_in(&self, conn: &Connection, path: impl AsRef<Path>) -> Result<Rehearsal> {
        self.rehearse_at(conn, Place::File(path.as_ref()))
    }

    fn rehearse_at(&self, conn: &Connection, place: Place<'_>) -> Result<Rehearsal> {
        self.judge(conn, self.try_rehearse(conn, place))
    }

    fn try_rehearse(&self, conn: &Connection, place: Place<'_>) -> Result<Rehearsal> {
        preflight::refuse_transaction(conn)?;
        let clock = Instant::now();
        let quiet = Migrator { backup: None, listener: None, ..self.clone() };
        let database = file_of(conn).map_err(Error::sqlite("asking for the database's file"))?;
        let copy = Copy::of(conn, &quiet, place)?;
        let copying = clock.elapsed();
        let before = State::of(&copy.conn, &quiet)?;
        let (ran, lost) = quiet.perform(&copy.conn);
        let ran = self.judge(conn, ran);
        let after = State::of(&copy.conn, &quiet)?;
        let beside = match copy.beside() {
            Some(bytes) => Beside::Measured(bytes),
            None => Beside::AtMost(before.log().max(after.log())),
        };
        let (report, error) = match ran {
            Ok(report) => (report, None),
            Err(error) => (error.report().cloned().unwrap_or_default(), Some(error)),
        };
        let downs = match &error {
            Some(_) => Downs::not_tried("not everything that is pending could be applied"),
            None => quiet.try_downs(&copy.conn, place, &before, &after, &report)?,
        };
        Ok(Rehearsal {
            database,
            from: report
                .adopted
                .as_ref()
                .map_or(before.version(), |it| it.migrations.last().copied()),
            to: after.version(),
            steps: steps(&report, lost),
            space: Space { before: before.bytes, after: after.bytes, beside },
            changes: diff(&before.schema, &after.schema),
            quick_check: findings(&after.quick_check, &before.quick_check),
            foreign_keys: before.wrongs_until(&after),
            downs,
            error,
            report,
            copying,
            copy: copy.finish()?,
            took: clock.elapsed(),
        })
    }

    /// Everything that there is to do, and what of it loses rows. Seeds that come after a backfill
    /// would run at a later start: it is as if that had been as well.
    fn perform(&self, conn: &Connection) -> (Result<Report>, Vec<(losses::Name, Vec<RowsLost>)>) {
        let mut lost = Vec::new();
        let mut perform = || {
            let ledger = self.ledger_of(conn)?;
            let prints = self.fingerprints()?;
            let sight = self.sight(conn, &ledger, prints)?;
            let watched = match sight.undrifted {
                true => Watched::default(),
                false => self.watch(conn, &ledger)?,
            };
            let set = self.load()?;
            let watch = Watch::new(conn, &ledger, &set);
            let hear = |event: &crate::event::Event<'_>| watch.hear(event);
            let job = |deferred| -> Result<Job<'_>> {
                let job = self.job(conn, &ledger, &set)?;
                let program = Some(prints.program);
                Ok(Job { program, deferred, listener: Some(&hear), ..job })
            };
            let mut all = Report::default();
            let run = || -> Result<()> {
                let up = || run::run(&job(Deferred::Leave)?, Goal::Up(Target::Latest));
                all.go_on(self.note(conn, &ledger, prints, watched, up())?);
                all.go_on(run::run_backfills(&job(Deferred::Run)?)?);
                if !all.held.is_empty() {
                    all.go_on(up()?);
                }
                Ok(())
            };
            let ran = run();
            let counted = watch.lost();
            match ran {
                Ok(()) => {
                    lost = counted?;
                    Ok(all)
                }
                Err(error) => {
                    lost = counted.unwrap_or_default();
                    all.go_on(error.report().cloned().unwrap_or_default());
                    Err(error.after(all))
                }
            }
        };
        let ran = perform();
        (ran, lost)
    }
}

impl Report {
    /// Takes in what a later run did.
    fn go_on(&mut self, next: Report) {
        self.seeds.extend(next.seeds.iter().cloned());
        self.backfills.extend(next.backfills.iter().cloned());
        self.newer.clone_from(&next.newer);
        self.took += next.took;
        self.adopted = self.adopted.take().or(next.adopted.clone());
        self.held.clear();
        self.absorb(next);
    }
}

/// What a report lists: migrations, repeatables, seeds, backfills, each in the order in which they ran.
fn steps(report: &Report, mut lost: Vec<(losses::Name, Vec<RowsLost>)>) -> Vec<Rehearsed> {
    let mut lost_by = |version: Option<Version>, name: &str| {
        let of_it = |(step, _): &(losses::Name, _)| step.0 == version && step.1 == name;
        let at = lost.iter().position(of_it);
        at.map(|at| lost.remove(at).1).unwrap_or_default()
    };
    let mut steps = Vec::new();
    let mut list = |part: Part, done: &[Done]| {
        for Done { version, name, rows_changed, took } in done {
            let rows_lost = lost_by(*version, name);
            let (version, name, rows_changed, took) =
                (*version, name.clone(), *rows_changed, *took);
            steps.push(Rehearsed { part, version, name, rows_changed, rows_lost, took });
        }
    };
    list(Part::Revert, &report.reverted);
    list(Part::Mark, &report.marked);
    list(Part::Migration, &report.applied);
    list(Part::Repeatable, &report.repeated);
    let seeds = report.seeds.iter().map(|s| (Part::Seed, &s.name, s.rows_changed, s.took));
    let fills = report.backfills.iter().map(|b| (Part::Backfill, &b.name, b.rows, b.took));
    for (part, name, rows_changed, took) in seeds.chain(fills) {
        let rows_lost = lost_by(None, name);
        let name = name.clone();
        steps.push(Rehearsed { part, version: None, name, rows_changed, rows_lost, took });
    }
    steps
}
