//! The facade: what an application calls.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::adoption::Adoption;
use crate::backup::Backup;
use crate::drift::{Drifted, Watched};
use crate::error::{Error, ErrorKind, Result};
use crate::escape::escaped;
use crate::fingerprint::Fingerprint;
use crate::fresh::OnConnect;
use crate::ledger::{self, Ledger, Program, Sight};
use crate::means::Means;
use crate::migration::{Target, Version};
use crate::plan::{Goal, Policies};
use crate::report::Report;
use crate::run::lock::{Ear, Listener, Patience};
use crate::run::repair::{refuse_running, refuse_unadopted, repair};
use crate::run::undo::{self, Terms};
use crate::run::{self, Job, preflight, session};
use crate::seed::{Deferred, Environments, Registry, Seeds};
use crate::source::{Set, Source};
use crate::stop::Stop;
use crate::supervisor::Supervisor;

/// Brings a database to where an application needs it, at every start.
///
/// Made from a source of migrations, told the options that differ from the defaults, and then
/// asked to [`apply`](Migrator::apply). Making and configuring one cannot fail: a set that is not
/// sound is reported by the first verb, or by [`check`](Migrator::check).
///
/// ```
/// use landfall::Migrator;
/// use landfall::include_dir::{self, include_dir};
///
/// let conn = landfall::rusqlite::Connection::open_in_memory()?;
/// let report = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"))
///     .apply(&conn)?;
/// assert_eq!(report.applied.len(), 11);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Migrator {
    pub(crate) source: Source,
    pub(crate) seeds: Seeds,
    pub(crate) environments: Environments,
    pub(crate) app_version: Option<String>,
    pub(crate) prefix: String,
    pub(crate) policies: Policies,
    pub(crate) adopt: Option<Adoption>,
    pub(crate) backup: Option<Backup>,
    pub(crate) undo: Terms,
    pub(crate) wait: Duration,
    pub(crate) listener: Option<Arc<Listener>>,
    pub(crate) stop: Option<Stop>,
    pub(crate) connect: Option<OnConnect>,
    pub(crate) drifted: Drifted,
    /// Names of what is no drift, as globs.
    pub(crate) undrifting: Vec<String>,
    pub(crate) means: Means,
}

/// Verbs that write.
impl Migrator {
    /// Writes: applies every pending migration, runs changed repeatables, then seeds that have
    /// not run. Where there is nothing to do it is one query, takes no lock, and works on a
    /// read-only database. What [`drifted`](Migrator::drifted) asks for comes before all else.
    ///
    /// # Errors
    ///
    /// A transaction that fails leaves nothing behind, and the connection and its settings are as
    /// before. What earlier transactions of the same call committed stays, and is in the error's
    /// [`report`](crate::Error::report). Where a commit fails and the database cannot be read after it,
    /// the error says that it is not known whether it is stored. With [`Transactions::Together`](crate::Transactions::Together) the migrations are usually one
    /// transaction; each seed is one after them, so that a seed that fails leaves the migrations
    /// applied and the seeds before it done.
    ///
    /// [`ErrorKind::Stopped`] where the application [stops](Migrator::stop_on) it, and
    /// [`ErrorKind::Damaged`] from this and every other verb where SQLite finds the file damaged.
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// let report = migrator.apply(&conn)?;
    /// assert_eq!(report.applied.len(), 11);
    /// assert!(migrator.apply(&conn)?.is_noop());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply(&self, conn: &Connection) -> Result<Report> {
        self.apply_to(conn, Target::Latest)
    }

    /// Writes: as [`apply`](Migrator::apply), but no further than the target, and never down.
    /// Repeatables and seeds, which are written for the newest schema, run only where nothing is
    /// left pending.
    ///
    /// # Errors
    ///
    /// As `apply`, and [`ErrorKind::UnknownTarget`], which leaves everything as it was.
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// use landfall::{Target, Version};
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// let report = migrator.apply_to(&conn, Target::Version(Version::from(3)))?;
    /// assert_eq!(report.applied.len(), 3);
    /// let report = migrator.apply_to(&conn, Target::Steps(2))?;
    /// assert_eq!(report.applied.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply_to(&self, conn: &Connection, to: Target) -> Result<Report> {
        self.judge(conn, self.try_apply_to(conn, to))
    }

    fn try_apply_to(&self, conn: &Connection, to: Target) -> Result<Report> {
        preflight::refuse_transaction(conn)?;
        let clock = Instant::now();
        let ledger = self.ledger_of(conn)?;
        let prints = self.fingerprints()?;
        let sight = self.sight(conn, &ledger, prints)?;
        let watched = match self.means.watch {
            Some(watch) if !sight.undrifted => watch(self, conn, &ledger)?,
            _ => Watched::default(),
        };
        let result = if to == Target::Latest && sight.sealed {
            let report = Report { took: clock.elapsed(), ..Report::default() };
            log::debug!("nothing to do, found in {:?}", report.took);
            Ok(report)
        } else {
            let set = self.load()?;
            let job = self.job(conn, &ledger, &set)?;
            let job = Job { program: Some(prints.program), ..job };
            told(run::run(&job, Goal::Up(to)))
        };
        self.note(conn, &ledger, prints, watched, result)
    }

    /// Writes: runs every backfill that is not done, [deferred](crate::Backfill::deferred) ones too,
    /// without a budget. For a thread in the background, on a connection of its own. It ends when
    /// all are done, or is [stopped](Migrator::stop_on) at a batch, and can go on at any time. Where another process is at one it waits, and takes over if that dies. Seeds that come
    /// after a backfill run at the next start. Where migrations are pending it runs only what the
    /// first of them requires.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotCurrent`] where migrations are pending and require none, [`ErrorKind::Backfill`] where a
    /// batch fails. What was committed before stays, and is in the error's
    /// [`report`](Error::report).
    ///
    /// ```
    /// use landfall::{Backfill, Migrator, Seeds};
    ///
    /// let upper = Backfill::update("upper", "contact", "name = upper(name)", "");
    /// let migrator =
    ///     Migrator::from_dir("migrations-example").seeds(Seeds::new().backfill(upper.deferred()));
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("contacts.db");
    /// let conn = migrator.open(&path)?; // does not wait for it
    /// conn.execute("INSERT INTO contact(name) VALUES ('Ada')", [])?;
    ///
    /// let background = std::thread::spawn(move || {
    ///     migrator.run_backfills(&landfall::rusqlite::Connection::open(path)?)
    /// #       .map_err(Box::<dyn std::error::Error + Send + Sync>::from)
    /// });
    /// let report = background.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    pub fn run_backfills(&self, conn: &Connection) -> Result<Report> {
        self.judge(conn, self.try_run_backfills(conn))
    }

    fn try_run_backfills(&self, conn: &Connection) -> Result<Report> {
        preflight::refuse_transaction(conn)?;
        let ledger = self.ledger_of(conn)?;
        let program = Some(self.fingerprints()?.program);
        let set = self.load()?;
        let job = self.job(conn, &ledger, &set)?;
        told(run::run_backfills(&Job { program, deferred: Deferred::Run, ..job }))
    }

    /// Writes: takes migrations back, the newest first, by their down scripts: those of the set,
    /// or of the ledger where the set does not know them. Views and triggers that repeatables made
    /// are dropped first; the next `apply` makes them again. [`Target::Version`] stays applied.
    /// What was recorded of a migration that says `undo` is put back row by row, and so is, before
    /// the first migration that it stood on, what an [`undoable`](crate::Seed::undoable) seed
    /// changed. Going back to [`Target::Empty`] forgets the seeds as well, whose rows are gone.
    ///
    /// # Errors
    ///
    /// As [`apply`](Migrator::apply), and [`ErrorKind::Irreversible`] before anything is changed
    /// where one of them has no way back.
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// use landfall::Target;
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let conn = migrator.open_in_memory()?;
    /// let report = migrator.revert(&conn, Target::Steps(1))?;
    /// assert_eq!(report.reverted.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn revert(&self, conn: &Connection, to: Target) -> Result<Report> {
        self.judge(conn, self.try_revert(conn, to))
    }

    fn try_revert(&self, conn: &Connection, to: Target) -> Result<Report> {
        preflight::refuse_transaction(conn)?;
        let ledger = self.ledger_of(conn)?;
        let set = self.load()?;
        let job = self.job(conn, &ledger, &set)?;
        let job = Job { put_back: Some(undo::put_back), ..job };
        let goal = match to {
            // Counted once, before another process may have done the same.
            Target::Steps(steps) => {
                let applied = job.patience.retry(|| job.applied())?.migrations;
                let stays = applied.len().saturating_sub(steps);
                let last = stays.checked_sub(1).and_then(|last| applied.get(last));
                last.map_or(Target::Empty, |row| Target::Version(row.version))
            }
            to => to,
        };
        told(run::run(&job, Goal::Down(goal)))
    }

    /// Writes the ledger only: records every migration of the set up to and including `at` as
    /// applied, without running any. For a database whose schema is already there. It also takes
    /// an interrupted migration as done.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownTarget`] if the set has no such version. Nothing is changed by any
    /// error.
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// use landfall::Version;
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// conn.execute_batch(include_str!(concat!(
    ///     env!("CARGO_MANIFEST_DIR"), "/migrations-example/0001_contacts.sql"
    /// )))?;
    /// let report = migrator.baseline(&conn, Version::from(1))?;
    /// assert_eq!(report.marked.len(), 1);
    /// assert_eq!(migrator.apply(&conn)?.applied.len(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn baseline(&self, conn: &Connection, at: Version) -> Result<Report> {
        self.judge(conn, self.try_baseline(conn, at))
    }

    fn try_baseline(&self, conn: &Connection, at: Version) -> Result<Report> {
        preflight::refuse_transaction(conn)?;
        let ledger = self.ledger_of(conn)?;
        let set = self.load()?;
        let job = self.job(conn, &ledger, &set)?;
        refuse_running(&job)?;
        told(run::run(&job, Goal::Mark(at)))
    }

    /// Writes the ledger only: accepts it as it stands, on record. Checksums of edited migrations
    /// become those of the set; rows of migrations that the set lacks are removed, what they said
    /// going into the history; an interrupted migration counts as not begun and will run again
    /// from its start.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoReason`] if `why` is blank. Nothing is changed by any error.
    ///
    /// ```
    /// use landfall::{Migration, Migrator};
    ///
    /// let made = |sql| Migrator::from_migrations([Migration::sql(1, "person", sql)]);
    /// let conn = made("CREATE TABLE person(name)").open_in_memory()?;
    /// let edited = made("CREATE TABLE person(name TEXT)");
    /// assert!(edited.apply(&conn).is_err());
    /// assert_eq!(edited.repair(&conn, "the type was forgotten")?.amended.len(), 1);
    /// assert!(edited.apply(&conn)?.is_noop());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn repair(&self, conn: &Connection, why: &str) -> Result<Report> {
        self.judge(conn, self.try_repair(conn, why))
    }

    fn try_repair(&self, conn: &Connection, why: &str) -> Result<Report> {
        preflight::refuse_transaction(conn)?;
        if why.trim().is_empty() {
            return Err(ErrorKind::NoReason { verb: "repair" }.into());
        }
        let clock = Instant::now();
        let ledger = self.ledger_of(conn)?;
        let set = self.load()?;
        let job = self.job(conn, &ledger, &set)?;
        refuse_running(&job)?;
        refuse_unadopted(&job)?;
        let tx = job.patience.begin()?;
        ledger.create()?;
        let amended = repair(&job, why)?;
        let line = ledger.last_line()?;
        job.patience.commit(&tx, || Ok(ledger.last_line()? == line))?;
        told(Ok(Report { amended, took: clock.elapsed(), ..Report::default() }))
    }
}

impl Migrator {
    pub(crate) fn load(&self) -> Result<Arc<Set>> {
        ledger::check_prefix(&self.prefix)?;
        self.backup.as_ref().map_or(Ok(()), Backup::refuse_nameless)?;
        let registry = self.registry()?;
        let set = self.source.load()?;
        let unknown = set.required_backfills().find(|(_, name)| registry.backfill(name).is_none());
        if let Some((file, name)) = unknown {
            let why = format!("{file} requires the backfill `{name}`, which is not registered");
            return Err(Error::from(ErrorKind::BadSeed { why }).advise(
                "register it; or, once every database has it behind it, take the directive away, \
                 which is no edit of the migration",
            ));
        }
        Ok(set)
    }

    fn registry(&self) -> Result<Registry> {
        match self.means.sow {
            Some(sow) => (sow.read)(&self.seeds, &self.environments),
            None => Registry::none(&self.environments),
        }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn ledger_of<'c>(&self, conn: &'c Connection) -> Result<Ledger<'c>> {
        Ledger::of(conn, &self.prefix, self.app_version.as_deref())
    }

    /// Looks once: the waiting, if somebody is in the way, is for what comes after a no. Drift is
    /// looked at only where it matters, and counts as none where it does not.
    pub(crate) fn sight(
        &self,
        conn: &Connection,
        ledger: &Ledger<'_>,
        prints: Fingerprints,
    ) -> Result<Sight> {
        let patience = Patience::new(conn, self.wait, None, None)?;
        let watches = self.drifted != Drifted::Ignore;
        let drift = watches.then_some(prints.drift);
        let sight = patience.at_once(|| ledger.sight(prints.program, drift));
        Ok(Sight { undrifted: sight.undrifted || !watches, ..sight })
    }

    pub(crate) fn patience<'a>(&'a self, conn: &'a Connection) -> Result<Patience<'a>> {
        Patience::new(conn, self.wait, self.listener(), self.stop.as_ref())
    }

    pub(crate) fn listener(&self) -> Option<&Ear<'_>> {
        self.listener.as_deref().map(|listener| listener as &Ear<'_>)
    }

    pub(crate) fn supervisor(&self, conn: &Connection) -> Supervisor {
        Supervisor::new(conn, self.stop.as_ref(), self.listener.as_ref())
    }

    pub(crate) fn job<'a>(
        &'a self,
        conn: &'a Connection,
        ledger: &'a Ledger<'a>,
        set: &'a Set,
    ) -> Result<Job<'a>> {
        Ok(Job {
            conn,
            ledger,
            set,
            seeds: self.registry()?,
            passed: RefCell::default(),
            deferred: Deferred::Leave,
            sow: self.means.sow,
            call: self.means.call,
            put_back: self.means.put_back,
            adopt: self
                .adopt
                .as_ref()
                .zip(self.means.adopt)
                .map(|(it, adopt)| adopt(self, it, conn)),
            stop: self.stop.as_ref(),
            supervisor: self.supervisor(conn),
            policies: self.policies,
            backup: self.backup.as_ref().zip(self.means.back_up),
            undo: self.undo,
            listener: self.listener(),
            patience: self.patience(conn)?,
            program: None,
            enforces: session::enforces_foreign_keys(conn)?,
            lost_settings: Cell::default(),
        })
    }

    /// Everything that decides what `apply` does, in a number: the set, the seeds, the policies.
    pub(crate) fn fingerprint(&self) -> Result<u64> {
        Ok(self.fingerprints()?.program.fingerprint)
    }

    pub(crate) fn fingerprints(&self) -> Result<Fingerprints> {
        let mut source = Fingerprint::new();
        env!("CARGO_PKG_VERSION").hash(&mut source);
        self.source.hash(&mut source)?;
        let source = source.finish();
        let mut whole = Fingerprint::new();
        (source, self.policies).hash(&mut whole);
        self.seeds.hash(&mut whole);
        self.environments.hash(&mut whole);
        let mut drift = Fingerprint::new();
        (source, &self.undrifting).hash(&mut drift);
        let program = Program { fingerprint: whole.finish(), sows: !self.seeds.is_empty() };
        Ok(Fingerprints { program, drift: drift.finish() })
    }
}

/// What a database is judged by, in numbers.
#[derive(Clone, Copy)]
pub(crate) struct Fingerprints {
    /// Everything that decides what `apply` does.
    pub(crate) program: Program,
    /// Everything that decides what is drift.
    pub(crate) drift: u64,
}

/// One line in the log for a start that changed something, none for one that did not.
pub(crate) fn told(result: Result<Report>) -> Result<Report> {
    if let Ok(report) = &result
        && !report.is_noop()
    {
        log::info!("{} in {:?}", escaped(report.gist()), report.took);
    }
    result
}

impl fmt::Debug for Migrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrator")
            .field("source", &self.source)
            .field("seeds", &self.seeds)
            .field("environments", &self.environments)
            .field("app_version", &self.app_version)
            .field("ledger", &self.prefix)
            .field("policies", &self.policies)
            .field("adopt", &self.adopt)
            .field("backup", &self.backup)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
