//! Fresh databases: a template is migrated once, and copied from then on.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use rusqlite::backup::{self, StepResult};
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use crate::backup::{Backup, image, refuse_left_beside, sync, sync_folder};
use crate::error::{Error, ErrorKind, Result};
use crate::migration::{BoxError, Identity};
use crate::migrator::Migrator;
use crate::path::{self, Partial, stands_for_no_file};
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
    /// does. The file appears whole or not at all: the copy is written and synced under a name of its
    /// own, `.<name>.<number>.copy-partial`, and only then gets the file's. Of several threads and
    /// processes that want one file, one makes it. What a killed process leaves under such a name is
    /// deleted by the next call for the same file.
    ///
    /// A file that is there already and empty is migrated in place, and so is a new one where the
    /// file system has no hard links.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFresh`] where the file is there and holds anything. The same, naming the
    /// `-wal`, `-shm` or `-journal`, where one is left of a database that is gone: SQLite would read
    /// its content into the new file. Otherwise as [`open`](Migrator::open). Files that were there
    /// are as they were.
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
        let is_empty = refuse_taken(path)?;
        let mut made = false;
        if !is_empty && !stands_for_no_file(path) {
            let template = self.open_in_memory()?;
            loop {
                match self.copy_to(path, &template)? {
                    Copied::Made => made = true,
                    Copied::InPlace => {}
                    // Another process made the file, which may have been deleted again since.
                    Copied::Lost if !refuse_taken(path)? => continue,
                    Copied::Lost => {}
                }
                break;
            }
        }
        self.open(path).map_err(|error| match made {
            true => error.changed("the file is made, and whole").advise("open it with `open`"),
            false => error,
        })
    }

    /// Gives a finished copy the name, where that is still to be had. It is synced before, and its
    /// folder after, so that what has the name is whole.
    fn copy_to(&self, path: &Path, template: &Connection) -> Result<Copied> {
        let failed =
            |error: BoxError| Error::from(ErrorKind::Sqlite { doing: MAKING }).because(error);
        // The folder is read-only or missing, or the name is too long: `open` makes the file or
        // reports the error.
        let Ok(partial) = Partial::create(path, PARTIAL) else { return Ok(Copied::InPlace) };
        let written = image::write(template, partial.path(), self.wait, &|_| Ok(()))
            .and_then(|()| Ok(sync(partial.path())?));
        // The process that is the first to finish removes those of the others.
        let is_lost = || partial.path().symlink_metadata().is_err();
        match written {
            Err(_) if is_lost() => return Ok(Copied::Lost),
            Err(error) => return Err(failed(error)),
            Ok(()) => {}
        }
        match fs::hard_link(partial.path(), path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return match refuse_taken(path)? {
                    true => Ok(Copied::InPlace),
                    // A dangling symbolic link has the name.
                    false => Err(taken(path)),
                };
            }
            Err(_) if is_lost() => return Ok(Copied::Lost),
            // The file system has no hard links. Migrating in place is slower, and as safe.
            Err(_) => return Ok(Copied::InPlace),
        }
        Partial::clear(path, PARTIAL);
        sync_folder(path).map_err(|error| {
            let told = "the file is made, and whole; a power failure could take it away again";
            failed(error.into())
                .changed(told)
                .advise("see the cause below; then open it with `open`")
        })?;
        Ok(Copied::Made)
    }

    /// Writes: opens a database file, made if it is not there, and applies to it. The connection has
    /// foreign keys on, a busy timeout of 5 seconds, and the file is in WAL mode with
    /// `synchronous=NORMAL`, which [SQLite recommends](https://sqlite.org/wal.html) for
    /// applications; not for a file on a network file system, where WAL does not work.
    ///
    /// The path is the path of a file and nothing else, as in all of this library: `file:app.db` is
    /// no URI. A `-wal` or `-journal` left beside a missing or empty file is deleted, as SQLite does;
    /// [`open_copy`](Migrator::open_copy) refuses it where the file is missing.
    ///
    /// # Errors
    ///
    /// As [`apply`](Migrator::apply), and where the file cannot be opened. A file that was made
    /// stays, and WAL mode stays on. `:memory:` and the empty path are refused; for a database in
    /// memory there is [`open_in_memory`](Migrator::open_in_memory).
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
        let path = path.as_ref();
        // The flags allow URIs for the application's `ATTACH` statements; `path::open` still takes
        // this path literally.
        let conn = path::open(path, OpenFlags::default()).map_err(|error| {
            let failed = Error::from(ErrorKind::Sqlite { doing: "opening the database" });
            let failed = failed.because(error);
            match stands_for_no_file(path) {
                true => failed.advise(
                    "call `open_in_memory` for a database in memory; to name a file `:memory:`, \
                     write `./:memory:`",
                ),
                false => failed,
            }
        })?;
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

const MAKING: &str = "making the database file";

/// How the name of a copy ends that is not finished.
const PARTIAL: &str = "copy-partial";

/// What came of a copy.
enum Copied {
    Made,
    /// The file is to be made under its name.
    InPlace,
    /// Another process has made one first, and removed this one.
    Lost,
}

/// Refuses a path where there is a file that is not empty, or none but its log or journal. Returns
/// whether there is an empty file.
fn refuse_taken(path: &Path) -> Result<bool> {
    // Asked first: a file that another process makes is there before its log is.
    let left = refuse_left_beside(path);
    match fs::metadata(path) {
        Ok(there) if there.len() > 0 => {
            // Unfinished copies can no longer get this name.
            Partial::clear(path, PARTIAL);
            Err(taken(path))
        }
        Ok(_) => Ok(true),
        Err(_) => left.map(|()| false),
    }
}

fn taken(path: &Path) -> Error {
    ErrorKind::NotFresh { path: path.to_owned() }.into()
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
