//! Fresh databases: a template is migrated once, and copied from then on.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::backup::{self, StepResult};
use rusqlite::{Connection, MAIN_DB};

use crate::backup::Backup;
use crate::error::{Error, ErrorKind, Result};
use crate::migration::Identity;
use crate::migrator::Migrator;
use crate::stop::Stop;

/// Verbs that make databases.
impl Migrator {
    /// Writes: makes a fresh database in memory, with every migration applied and every seed run.
    /// For unit tests that want one each.
    ///
    /// The first call of a process migrates a template, and later ones, on whatever thread, copy
    /// it, which takes a fraction of the time. So what a seed draws at random, or reads off the
    /// clock, is the same in all copies, and [`on_event`](Migrator::on_event) hears of the first
    /// only. A migrator counts as the same as another if its set, its options and the names and
    /// revisions of its seeds are, and if its functions are; of a closure that holds values that
    /// can only be told of clones, so that such a one is best kept in a `static`. The 16 templates
    /// used last are kept.
    ///
    /// # Errors
    ///
    /// As [`apply`](Migrator::apply).
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// let db = migrator.open_in_memory()?;
    /// db.execute("INSERT INTO contact(name) VALUES ('Ada')", [])?;
    /// let other = migrator.open_in_memory()?;
    /// let contacts = |db: &landfall::rusqlite::Connection| {
    ///     db.query_row("SELECT count(*) FROM contact", [], |row| row.get::<_, i64>(0))
    /// };
    /// assert_eq!((contacts(&db)?, contacts(&other)?), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_in_memory(&self) -> Result<Connection> {
        let template = template(self.identity()?);
        let mut template = locked(&template.0);
        let conn = match &mut *template {
            Some(conn) => conn,
            none => none.insert(self.migrated()?),
        };
        let mut copy = self.in_memory()?;
        copied(conn, &mut copy)?;
        Ok(copy)
    }

    /// Writes: makes a database file as a copy of the template that
    /// [`open_in_memory`](Migrator::open_in_memory) copies, and opens it as [`open`](Migrator::open)
    /// does. The file appears whole or not at all. One that is there already and empty is migrated
    /// in place.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFresh`] where the file is there and holds anything; otherwise as
    /// [`open`](Migrator::open). A file that was there is as it was.
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let folder = tempfile::tempdir()?;
    /// let conn = migrator.open_copy(folder.path().join("contacts.db"))?;
    /// assert!(migrator.is_current(&conn)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_copy(&self, path: impl AsRef<Path>) -> Result<Connection> {
        let path = path.as_ref();
        match fs::metadata(path) {
            Ok(there) if there.len() > 0 => {
                return Err(ErrorKind::NotFresh { path: path.to_owned() }.into());
            }
            Ok(_) => return self.open(path),
            Err(_) => {}
        }
        let template = self.open_in_memory()?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-partial", std::process::id()));
        let partial = path.with_file_name(name);
        let linked = write_file(&template, &partial).map(|()| fs::hard_link(&partial, path));
        let _ = fs::remove_file(&partial);
        match linked? {
            Ok(()) => self.open(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(ErrorKind::NotFresh { path: path.to_owned() }.into())
            }
            // A file system without links: slower, and no less right.
            Err(_) => self.open(path),
        }
    }

    /// Writes: opens a database file, made if it is not there, and applies to it. The connection has
    /// foreign keys on, a busy timeout of 5 seconds, and the file is in WAL mode with
    /// `synchronous=NORMAL`, which [SQLite recommends](https://sqlite.org/wal.html) for
    /// applications; not for a file on a network file system, where WAL does not work.
    ///
    /// # Errors
    ///
    /// As [`apply`](Migrator::apply), and where the file cannot be opened. A file that was made
    /// stays, and WAL mode stays on.
    ///
    /// ```
    /// # use landfall::{include_dir::{self, include_dir}, Migrator};
    /// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("contacts.db");
    /// let conn = migrator.open(path)?;
    /// assert!(migrator.is_current(&conn)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Connection> {
        let conn = Connection::open(path).map_err(Error::sqlite("opening the database"))?;
        self.prepare(&conn)?;
        let patience = self.patience(&conn)?;
        self.judge(&conn, patience.retry(|| configure(&conn)))?;
        self.apply(&conn)?;
        Ok(conn)
    }

    /// What is the same for two migrators that would make the same fresh database.
    pub(crate) fn identity(&self) -> Result<MigratorIdentity> {
        let functions = self.source.identities().chain(self.seeds.identities());
        let connect = self.connect.as_ref().map(|connect| connect.identity);
        Ok(MigratorIdentity {
            fingerprint: self.fingerprint()?,
            functions: functions.collect(),
            connect,
            prefix: self.prefix.clone(),
            app_version: self.app_version.clone(),
            stopped: self.stop.as_ref().is_some_and(Stop::is_stopped),
            backup: self.backup.clone(),
        })
    }

    fn migrated(&self) -> Result<Connection> {
        let conn = self.in_memory()?;
        self.apply(&conn)?;
        Ok(conn)
    }

    /// An empty database in memory, prepared as the application wants it.
    pub(crate) fn in_memory(&self) -> Result<Connection> {
        let conn =
            Connection::open_in_memory().map_err(Error::sqlite("opening a database in memory"))?;
        self.prepare(&conn)?;
        Ok(conn)
    }

    /// Prepares a connection that was just opened.
    pub(crate) fn prepare(&self, conn: &Connection) -> Result<()> {
        match &self.connect {
            Some(connect) => (connect.prepare)(conn)
                .map_err(Error::sqlite("preparing a connection with `on_connect`")),
            None => Ok(()),
        }
    }
}

/// A function of the application that prepares a connection.
type Prepare = dyn Fn(&Connection) -> rusqlite::Result<()> + Send + Sync;

/// What an application does to every connection that is opened for it.
#[derive(Clone)]
pub(crate) struct OnConnect {
    pub(crate) identity: Identity,
    pub(crate) prepare: Arc<Prepare>,
}

/// Everything that decides what a fresh database is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MigratorIdentity {
    fingerprint: u64,
    functions: Vec<Identity>,
    connect: Option<Identity>,
    prefix: String,
    app_version: Option<String>,
    /// Whether backfills are left where they are.
    stopped: bool,
    /// None is made of what is in memory, but one that cannot be made is refused.
    backup: Option<Backup>,
}

/// A database to be copied, once it is made: by whoever has the lock first.
#[derive(Default)]
struct Template(Mutex<Option<Connection>>);

/// Those used last come last.
static TEMPLATES: Mutex<Vec<(MigratorIdentity, Arc<Template>)>> = Mutex::new(Vec::new());
const KEPT: usize = 16;

fn template(of: MigratorIdentity) -> Arc<Template> {
    let mut templates = locked(&TEMPLATES);
    let found = templates.iter().position(|(identity, _)| *identity == of);
    let (identity, template) = match found {
        Some(at) => templates.remove(at),
        None => (of, Arc::default()),
    };
    if templates.len() >= KEPT {
        templates.remove(0);
    }
    templates.push((identity, Arc::clone(&template)));
    template
}

/// A thread that panicked with the lock, in a seed say, has left no template, or a whole one.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Page by page, through SQLite's backup API. Deserializing an image is faster by a tenth, up to the
/// first query. But rusqlite has it only for a recent SQLite (`modern_sqlite`), which a program that
/// brings its own may not have; and such a database cannot grow beyond a gigabyte, and writes slower.
pub(crate) fn copied(template: &Connection, to: &mut Connection) -> Result<()> {
    let mut copy = || {
        let backup = backup::Backup::new(template, to)?;
        while backup.step(-1)? != StepResult::Done {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    };
    copy().map_err(Error::sqlite("copying the template"))
}

fn write_file(template: &Connection, path: &Path) -> Result<()> {
    let mut file = Connection::open(path).map_err(Error::sqlite("making the database file"))?;
    copied(template, &mut file)?;
    file.close().map_err(|(_, error)| Error::sqlite("making the database file")(error))
}

fn configure(conn: &Connection) -> Result<()> {
    let set = || {
        conn.execute_batch("PRAGMA foreign_keys = ON")?;
        let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        let changes = !mode.eq_ignore_ascii_case("wal") && !conn.is_readonly(MAIN_DB)?;
        if changes {
            // This needs the database alone and says "locked" at once, whatever the busy timeout.
            conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        }
        conn.execute_batch("PRAGMA synchronous = NORMAL")
    };
    set().map_err(Error::sqlite("configuring the connection"))
}
