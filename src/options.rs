//! What a migrator is made from and told before it works. Neither can fail, and neither reads or
//! writes anything.

use std::borrow::Borrow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use include_dir::Dir;
use rusqlite::Connection;

use crate::adoption::Adoption;
use crate::backup::Backup;
use crate::drift::Drifted;
use crate::event::Event;
use crate::fresh::OnConnect;
use crate::means::Means;
use crate::migration::{Identity, Migration};
use crate::migrator::Migrator;
use crate::plan::{
    ChangedSince, DataLoss, Late, Missing, Newer, Policies, Strictness, Transactions,
};
use crate::run::{self, undo};
use crate::seed::{Environments, Seeds};
use crate::source::{Layout, Source};
use crate::stop::Stop;

/// Sources.
impl Migrator {
    /// Migrations compiled into the program by `include_dir!`.
    ///
    /// The macro notices when a file is edited, but not when one is added: a `build.rs` with
    /// `println!("cargo:rerun-if-changed=migrations");` makes Cargo notice, and
    /// [`testing::embedded_is_current`](crate::testing::embedded_is_current) proves it.
    ///
    /// ```
    /// use landfall::Migrator;
    /// use landfall::include_dir::{self, Dir, include_dir};
    ///
    /// static MIGRATIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/migrations-example");
    /// Migrator::from_embedded(&MIGRATIONS).check()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn from_embedded(dir: impl Borrow<Dir<'static>>) -> Self {
        Self::new(Source::embedded(dir.borrow().clone()))
    }

    /// Migrations in a folder, read anew by each verb. A relative path starts from the current
    /// directory.
    ///
    /// ```
    /// landfall::Migrator::from_dir("migrations-example").check()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn from_dir(path: impl AsRef<Path>) -> Self {
        Self::new(Source::directory(path.as_ref().to_owned()))
    }

    /// Migrations made in code.
    ///
    /// ```
    /// use landfall::{Migration, Migrator};
    ///
    /// let table = Migration::sql(1, "person", "CREATE TABLE person(id INTEGER PRIMARY KEY, name)");
    /// Migrator::from_migrations([table]).open_in_memory()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn from_migrations(it: impl IntoIterator<Item = Migration>) -> Self {
        it.into_iter().fold(Self::new(Source::code()), Self::with)
    }

    /// Adds a migration, such as Rust code in lockstep with SQL files.
    ///
    /// ```
    /// # use landfall::include_dir::{self, include_dir};
    /// use landfall::{Migration, Migrator};
    ///
    /// let shout = Migration::code(12, "shout", |tx| {
    ///     tx.execute("UPDATE contact SET name = upper(name)", []).map(drop)
    /// });
    /// Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"))
    ///     .with(shout)
    ///     .open_in_memory()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn with(mut self, m: Migration) -> Self {
        self.source.add(m);
        self.means.call = Some(run::segment::CALL);
        self
    }

    /// How the folder's files are named and cut. Default: as they are recognised, each folder by its
    /// files; this is for one that can be read in two ways.
    ///
    /// ```
    /// use landfall::include_dir::{self, include_dir};
    /// use landfall::{Layout, Migrator};
    ///
    /// let files = include_dir!("$CARGO_MANIFEST_DIR/tests/cases/golang-migrate/migrations");
    /// Migrator::from_embedded(files).layout(Layout::GolangMigrate).check()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn layout(mut self, l: Layout) -> Self {
        self.source.tell().layout = Some(l);
        self
    }

    /// Passes over files that are no migrations and end with `.sql`, or that belong to another set.
    /// A pattern without `/` is about a name at any depth, one with a `/` about a path from the
    /// folder on; it also takes what is below a folder of that name. `*` and `?` stand for what a
    /// name can hold, `**` for any number of folders. May be said several times. Default: none.
    ///
    /// ```
    /// landfall::Migrator::from_dir("migrations-example")
    ///     .ignore("schema.sql")
    ///     .ignore("drafts/**/*.sql")
    ///     .check()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn ignore(mut self, glob: impl Into<String>) -> Self {
        self.source.tell().ignored.push(glob.into());
        self
    }

    /// What `{{ .name }}`, `{{ name }}` and `${name}` stand for in SQL, wherever they stand but in
    /// comments; inside a quoted text a quote of the value is doubled. It is one line. What is
    /// checked, shown in errors and stored is the text with the value in it, so that another value
    /// is another migration. A placeholder without a value is refused, unless it stands inside a
    /// string, where it may be data: there `{{ .other }}` is refused once there is any variable.
    /// Default: none.
    ///
    /// ```
    /// use landfall::{Migration, Migrator};
    ///
    /// let table = Migration::sql(1, "user", "CREATE TABLE {{ .Prefix }}user(name)");
    /// let conn = Migrator::from_migrations([table]).variable("Prefix", "app_").open_in_memory()?;
    /// conn.execute("INSERT INTO app_user VALUES ('Ada')", [])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.source.tell().variables.insert(name.into(), value.into());
        self
    }

    fn new(source: Source) -> Self {
        Migrator {
            source,
            seeds: Seeds::new(),
            environments: Environments::default(),
            app_version: None,
            prefix: "schema".to_owned(),
            policies: Policies::default(),
            adopt: None,
            backup: None,
            undo: undo::Terms::default(),
            wait: Duration::from_secs(60),
            listener: None,
            stop: None,
            connect: None,
            drifted: Drifted::default(),
            undrifting: Vec::new(),
            means: Means::default(),
        }
    }
}

/// Options, each with its default. None of them reads or writes anything.
///
/// ```
/// # use landfall::include_dir::{self, include_dir};
/// use std::time::Duration;
/// use landfall::{Late, Migrator, Missing, Newer, Seeds, Transactions};
///
/// let conn = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"))
///     .seeds(Seeds::new())
///     .app_version("2.1.0")
///     .ledger("contacts")
///     .transactions(Transactions::Each)
///     .newer(Newer::Refuse)
///     .late(Late::Apply)
///     .missing(Missing::Ignore)
///     .wait(Duration::from_secs(5))
///     .open_in_memory()?;
/// let sql = "SELECT count(*) FROM contacts_migrations WHERE app_version = '2.1.0' AND version > 0";
/// assert_eq!(conn.query_row(sql, [], |row| row.get::<_, i64>(0))?, 11);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Migrator {
    /// Seeds to run after the migrations. Default: none.
    pub fn seeds(mut self, s: Seeds) -> Self {
        self.seeds = s;
        self.means.sow = Some(&run::seeds::SOWING);
        self
    }

    /// The environment that the application runs in. A seed that names one runs only in that.
    /// Default: none, in which no such seed runs.
    ///
    /// ```
    /// use landfall::{Migrator, Seed, Seeds};
    ///
    /// let demo = Seed::new("demo", |tx| {
    ///     tx.execute("INSERT INTO contact(name) VALUES ('Ada')", []).map(drop)
    /// });
    /// let conn = Migrator::from_dir("migrations-example")
    ///     .seeds(Seeds::new().add(demo.environment("kiosk")))
    ///     .environments(["kiosk", "office"])
    ///     .environment("kiosk")
    ///     .open_in_memory()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.environments.current = Some(name.into());
        self
    }

    /// The environments that there are; any other name, here or in a seed, is an error. Default:
    /// `ci`, `demo`, `dev`, `development`, `local`, `prod`, `production`, `qa`, `sandbox`, `stage`,
    /// `staging`, `test`, `testing`, and the migrator's own.
    pub fn environments<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.environments.declared = names.into_iter().map(Into::into).collect();
        self
    }

    /// The application's version, stored with every row, so that an older program can say which
    /// newer one has been here. Default: none.
    pub fn app_version(mut self, v: impl Into<String>) -> Self {
        self.app_version = Some(v.into());
        self
    }

    /// What the tables' names begin with; another prefix is another set, so that several
    /// libraries can share a database. Default: `schema`, as in `schema_migrations`.
    pub fn ledger(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many transactions pending migrations run in. Default: [`Transactions::Together`].
    pub fn transactions(mut self, t: Transactions) -> Self {
        self.policies.transactions = t;
        self
    }

    /// What to do with a database of a newer program. Default: [`Newer::AllowCompatible`].
    pub fn newer(mut self, p: Newer) -> Self {
        self.policies.newer = p;
        self.means.put_back = Some(run::undo::put_back);
        self
    }

    /// What to do with a pending migration older than one applied. Default: [`Late::Refuse`].
    pub fn late(mut self, p: Late) -> Self {
        self.policies.late = p;
        self
    }

    /// What to do with an applied migration that the set lacks. Default: [`Missing::Refuse`].
    pub fn missing(mut self, p: Missing) -> Self {
        self.policies.missing = p;
        self
    }

    /// What to do with a migration or revert that would lose data. Default: [`DataLoss::Refuse`].
    pub fn data_loss(mut self, p: DataLoss) -> Self {
        self.policies.data_loss = p;
        self
    }

    /// What to do with what a rebuild loses besides rows. Default: [`Strictness::Warn`].
    pub fn strictness(mut self, s: Strictness) -> Self {
        self.policies.strictness = s;
        self
    }

    /// Another tool's ledger to take over, where landfall's is not there yet: the first start reads
    /// it, proves that it is true, and writes landfall's in one transaction; every later one has
    /// nothing to do with it. Theirs stays, so that the old program can still run; where its table
    /// has the name of landfall's, it gets another. A database without that ledger is like any other.
    /// Default: none.
    ///
    /// Before anything is written, the migrations that it names are replayed into an empty database
    /// in memory, and the schema that they make is compared with the one that is there. Differences,
    /// an edited file, or a migration that did not come to its end, are refused with
    /// [`ErrorKind::Unproved`](crate::ErrorKind::Unproved) or
    /// [`ErrorKind::Adoption`](crate::ErrorKind::Adoption). What it names and the set lacks is for
    /// [`missing`](Migrator::missing) and [`newer`](Migrator::newer) to decide. Seeds have not run.
    ///
    /// [`Adopt`](crate::Adopt) has an example.
    pub fn adopt(mut self, t: impl Into<Adoption>) -> Self {
        self.adopt = Some(t.into());
        self.means.adopt = Some(Migrator::adopting);
        self
    }

    /// A backup of the database file before anything is changed in it, by [`apply`](Migrator::apply)
    /// or [`revert`](Migrator::revert). Where it cannot be made they change nothing and fail with
    /// [`ErrorKind::Backup`](crate::ErrorKind::Backup). Default: none.
    pub fn backup(mut self, b: Backup) -> Self {
        self.backup = Some(b);
        self.means.back_up = Some(run::backup::BACK_UP);
        self.means.newest_backup = Some(Backup::newest);
        self
    }

    /// How many bytes the record of what one migration or seed changed may have. One that would be
    /// larger is refused with [`ErrorKind::UndoTooLarge`](crate::ErrorKind::UndoTooLarge), and
    /// nothing of the deed stays. Default: 64 MiB.
    pub fn undo_limit(mut self, bytes: u64) -> Self {
        self.undo.limit = bytes;
        self
    }

    /// What to do where undoing would overwrite rows that were changed after what is undone.
    /// Default: [`ChangedSince::Refuse`].
    pub fn changed_since(mut self, p: ChangedSince) -> Self {
        self.undo.changed_since = p;
        self
    }

    /// How long to wait for another connection's lock, which at a start is usually another
    /// process doing the same work. Default: 60 seconds.
    pub fn wait(mut self, d: Duration) -> Self {
        self.wait = d;
        self
    }

    /// A handle that stops whatever the migrator is doing: it interrupts a running statement and
    /// rolls back, and ends waiting at once. [`Stop`] says what a verb returns then. Default: none.
    pub fn stop_on(mut self, handle: &Stop) -> Self {
        self.stop = Some(handle.clone());
        self
    }

    /// What [`apply`](Migrator::apply) does, before it writes anything, with a schema that is not
    /// what its migrations made: whether to look, and to refuse it. Default: [`Drifted::Ignore`].
    pub fn drifted(mut self, p: Drifted) -> Self {
        self.drifted = p;
        self.means.watch = Some(Migrator::watch);
        self
    }

    /// What is no [drift](Migrator::drift): tables, indexes, views and triggers of these names, and
    /// with a table or view what hangs on it. In a name `*` stands for any text and `?` for any
    /// character. Called again, it adds to them. Default: none.
    ///
    /// ```
    /// let migrator = landfall::Migrator::from_dir("migrations-example").ignore_drift_of(["sync_*"]);
    /// let conn = migrator.open_in_memory()?;
    /// conn.execute_batch("CREATE TABLE sync_peer(id)")?;
    /// assert!(migrator.drift(&conn)?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ignore_drift_of<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.undrifting.extend(names.into_iter().map(Into::into));
        self
    }

    /// A function that prepares every connection that the library opens itself, right after it is
    /// opened: those of [`open`](Migrator::open), [`open_copy`](Migrator::open_copy),
    /// [`open_in_memory`](Migrator::open_in_memory) and [`sandbox`](crate::testing::sandbox), and
    /// the databases in memory that [`drift`](Migrator::drift) makes. It
    /// registers the functions, collations and modules that the schema needs, or gives the key of
    /// an encrypted database. A connection that is handed in is prepared by who opened it. Default:
    /// none.
    ///
    /// ```
    /// use landfall::{Migration, Migrator};
    /// use landfall::rusqlite::Connection;
    ///
    /// fn prepare(conn: &Connection) -> landfall::rusqlite::Result<()> {
    ///     conn.execute_batch("PRAGMA case_sensitive_like = ON") // or conn.create_scalar_function(…)
    /// }
    ///
    /// let note = Migration::sql(1, "note", "CREATE TABLE note(text CHECK (text LIKE 'N%'))");
    /// let conn = Migrator::from_migrations([note]).on_connect(prepare).open_in_memory()?;
    /// assert!(conn.execute("INSERT INTO note VALUES ('n')", []).is_err());
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn on_connect(
        mut self,
        f: impl Fn(&Connection) -> rusqlite::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.connect = Some(OnConnect { identity: Identity::of(&f), prepare: Arc::new(f) });
        self
    }

    /// A function that is told what happens while it happens, of a long step at least once a second.
    /// Default: none.
    ///
    /// ```
    /// # use landfall::include_dir::{self, include_dir};
    /// use landfall::{Event, Migrator};
    ///
    /// Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"))
    ///     .on_event(|event| match event {
    ///         Event::Waiting { waited, .. } => eprintln!("waiting for {waited:?}"),
    ///         Event::Started { name, .. } => eprintln!("{name} …"),
    ///         Event::Progress { name, elapsed, .. } => eprintln!("{name} … {elapsed:?}"),
    ///         _ => {}
    ///     })
    ///     .open_in_memory()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn on_event(mut self, f: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(f));
        self
    }
}
