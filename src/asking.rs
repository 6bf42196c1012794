//! Verbs that only read.

use std::time::Duration;

use rusqlite::Connection;

use crate::error::{ErrorKind, Result};
use crate::escape::escaped;
use crate::event::Wait;
use crate::migration::Target;
use crate::migrator::Migrator;
use crate::plan::{Goal, Plan};
use crate::report::{HistoryEntry, Status};
use crate::run::adopt::Proved;
use crate::run::{self, empty_downs, preflight, statements};

/// Verbs that only read.
impl Migrator {
    /// Reads no database: whether the set, the registry of seeds and the folder's name for backups
    /// are sound, and every sign-off of a loss stands over something that can lose. A down script that
    /// is empty, where its migration changes the schema, is a warning in the [log](https://docs.rs/log).
    ///
    /// # Errors
    ///
    /// The first thing that is not, with its file and place.
    ///
    /// ```
    /// landfall::Migrator::from_dir("migrations-example").check()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn check(&self) -> Result<()> {
        let set = self.load()?;
        set.refuse_stale_sign_offs()?;
        let empty: Vec<_> = set.empty_downs().collect();
        if let Some(warning) = empty_downs::told(&empty) {
            log::warn!("{}", escaped(&warning));
        }
        Ok(())
    }

    /// Reads: what [`apply`](Migrator::apply) would do. Its `Display` is the dry run.
    ///
    /// # Errors
    ///
    /// Those with which `apply` would refuse before it runs anything.
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// let plan = migrator.plan(&conn)?;
    /// assert_eq!(plan.steps[0].name, "contacts");
    /// println!("{plan}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn plan(&self, conn: &Connection) -> Result<Plan> {
        self.judge(conn, self.try_plan(conn))
    }

    fn try_plan(&self, conn: &Connection) -> Result<Plan> {
        let ledger = self.ledger_of(conn)?;
        let set = self.load()?;
        let job = self.job(conn, &ledger, &set)?;
        let plan = job.patience.retry(|| job.plan(Goal::Up(Target::Latest)));
        let plan = plan.map_err(|error| run::judge_interrupted(&job, error))?;
        job.patience.retry(|| preflight::refuse_texts(&job, &plan))?;
        match job.prove(&plan)? {
            Proved::Overtaken => self.plan(conn),
            _ => Ok(plan),
        }
    }

    /// Reads: how every migration and seed stands.
    ///
    /// # Errors
    ///
    /// Only where set or ledger cannot be read: what `apply` would refuse is part of the answer.
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// use landfall::{State, Target};
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// migrator.apply_to(&conn, Target::Steps(2))?;
    /// let states: Vec<_> = migrator.status(&conn)?.migrations.iter().map(|m| m.state).collect();
    /// assert_eq!(states[..3], [State::Applied, State::Applied, State::Pending]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn status(&self, conn: &Connection) -> Result<Status> {
        self.judge(conn, self.try_status(conn))
    }

    fn try_status(&self, conn: &Connection) -> Result<Status> {
        let ledger = self.ledger_of(conn)?;
        let set = self.load()?;
        let job = self.job(conn, &ledger, &set)?;
        let (applied, sentinels) = job.patience.retry(|| {
            let applied = job.applied()?;
            let sentinels = job.sentinels(&applied)?;
            Ok((applied, sentinels))
        })?;
        let plan = match job.plan(Goal::Up(Target::Latest)) {
            Err(error) if error.is_fault() => return Err(error),
            plan => plan.unwrap_or_default(),
        };
        let standing = job.standing(&applied, &plan, &sentinels);
        Ok(crate::status::status(&set, &applied, &job.seeds, &standing, &sentinels))
    }

    /// Reads: whether [`apply`](Migrator::apply) would find nothing to do. A
    /// [deferred](crate::Backfill::deferred) backfill is not its to do: [`status`](Migrator::status)
    /// says how far that is.
    ///
    /// # Errors
    ///
    /// Those with which `apply` would refuse before it runs anything.
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// assert!(!migrator.is_current(&conn)?);
    /// migrator.apply(&conn)?;
    /// assert!(migrator.is_current(&conn)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_current(&self, conn: &Connection) -> Result<bool> {
        self.judge(conn, self.try_is_current(conn))
    }

    fn try_is_current(&self, conn: &Connection) -> Result<bool> {
        let ledger = self.ledger_of(conn)?;
        if self.sight(conn, &ledger, self.fingerprints()?)?.sealed {
            return Ok(true);
        }
        Ok(self.plan(conn)?.is_empty())
    }

    /// Reads: waits until another process has migrated the database. For readers and replicas.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotCurrent`] once `d` has passed, naming what is still pending; or, if that is
    /// what stands in the way by then, [`ErrorKind::Busy`] or [`ErrorKind::Interrupted`].
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// use std::time::Duration;
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// migrator.apply(&conn)?; // elsewhere, in the process that writes
    /// migrator.wait_until_current(&conn, Duration::from_secs(10))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_until_current(&self, conn: &Connection, d: Duration) -> Result<()> {
        let mut wait = Wait::new();
        let mut pause = Duration::from_millis(1);
        loop {
            let left = d.saturating_sub(wait.waited());
            let until_then = self.clone().wait(left);
            let not_yet = match until_then.is_current(conn) {
                Ok(true) => return Ok(()),
                Ok(false) => None,
                Err(error) => match error.kind() {
                    // Another process may be at it.
                    ErrorKind::Busy { .. } | ErrorKind::Interrupted { .. } => Some(error),
                    _ => return Err(error),
                },
            };
            if left.is_zero() {
                return Err(match not_yet {
                    // The last look did not wait.
                    Some(error) => error.after_waiting(wait.waited()),
                    None => ErrorKind::NotCurrent { pending: until_then.plan(conn)?.gist() }.into(),
                });
            }
            pause = (pause * 2).min(Duration::from_millis(100));
            self.patience(conn)?.pause(&mut wait, pause.min(left))?;
        }
    }

    /// Reads: everything that was ever done, oldest first.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// migrator.apply(&conn)?;
    /// let first = &migrator.history(&conn)?[0];
    /// assert_eq!((first.action.as_str(), first.name.as_deref()), ("apply", Some("contacts")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn history(&self, conn: &Connection) -> Result<Vec<HistoryEntry>> {
        self.judge(conn, self.try_history(conn))
    }

    fn try_history(&self, conn: &Connection) -> Result<Vec<HistoryEntry>> {
        let ledger = self.ledger_of(conn)?;
        let read = self.patience(conn)?.retry(|| ledger.read().and_then(|_| ledger.history()));
        match read {
            // Of a ledger that is still to be taken over there is no history.
            Err(error) if self.adopt.is_some() && error.is_foreign_ledger() => Ok(Vec::new()),
            read => read,
        }
    }

    /// Reads: runs the verify script of every applied migration now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Verify`] with the first wrong row.
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// migrator.apply(&conn)?;
    /// migrator.verify(&conn)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self, conn: &Connection) -> Result<()> {
        self.judge(conn, self.try_verify(conn))
    }

    fn try_verify(&self, conn: &Connection) -> Result<()> {
        let ledger = self.ledger_of(conn)?;
        let set = self.load()?;
        let job = self.job(conn, &ledger, &set)?;
        for row in job.patience.retry(|| job.applied())?.migrations {
            let script = set.get(row.version).and_then(|entry| entry.verify.as_ref());
            let Some(script) = script else { continue };
            job.supervisor.begin(Some(row.version), &row.name, || script.file.to_string());
            let verified = statements::verify(conn, script, &job.supervisor);
            verified.map_err(|error| job.supervisor.explain(error))?;
        }
        Ok(())
    }
}
