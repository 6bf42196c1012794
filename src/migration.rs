//! A migration as an application gives it: a version, a name, and what to do.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Transaction;

/// What a function of the application may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A function of the application that works inside a transaction of ours.
pub(crate) type Deed = Arc<dyn Fn(&Transaction<'_>) -> Result<(), BoxError> + Send + Sync>;

/// Tells one function from another, as far as that can be told: a function or closure that holds
/// no value is its type, and any other is told from all but its own clones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    Type(TypeId),
    Made(u64),
}

impl Identity {
    pub(crate) fn of<F: 'static>(_: &F) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        match size_of::<F>() {
            0 => Identity::Type(TypeId::of::<F>()),
            _ => Identity::Made(MADE.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// The number of a migration. Numbered files carry it as it stands, timestamps as
/// YYYYMMDDhhmmss, so that both order together.
///
/// ```
/// use landfall::Version;
///
/// assert!(Version::from(9) < Version::from(10));
/// assert_eq!(Version::from(20250214093000).to_string(), "20250214093000");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub(crate) i64);

impl Version {
    /// The number itself.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for Version {
    fn from(number: i64) -> Self {
        Version(number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far to go.
///
/// ```
/// use landfall::{Target, Version};
///
/// # let migrator = landfall::Migrator::from_dir("migrations-example");
/// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
/// migrator.apply_to(&conn, Target::Version(Version::from(9)))?; // 1 to 9
/// migrator.apply_to(&conn, Target::Steps(1))?; // 10
/// migrator.revert(&conn, Target::Version(Version::from(8)))?; // 10 and 9; 8 stays
/// let report = migrator.revert(&conn, Target::Empty)?;
/// assert_eq!(report.reverted.len(), 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Everything that the set holds.
    Latest,
    /// Up to and including this version; for a revert, everything after it.
    Version(Version),
    /// This many migrations, from where the database is.
    Steps(usize),
    /// Nothing applied: for a revert, everything. Going up, nothing is done.
    Empty,
}

/// One migration. Usually they come from files; this is for those written in code.
///
/// ```
/// use landfall::{Migration, Migrator};
///
/// let migrator = Migrator::from_migrations([
///     Migration::sql(1, "people", "CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT)")
///         .down("DROP TABLE person"),
///     Migration::code(2, "first_person", |tx| {
///         tx.execute("INSERT INTO person(name) VALUES (?1)", ["Ada"]).map(drop)
///     }),
/// ]);
/// let conn = migrator.open_in_memory()?;
/// let name: String = conn.query_row("SELECT name FROM person", [], |row| row.get(0))?;
/// assert_eq!(name, "Ada");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Migration {
    pub(crate) version: Version,
    pub(crate) name: Cow<'static, str>,
    pub(crate) up: Up,
    pub(crate) down: Option<Text>,
    pub(crate) verify: Option<Text>,
    pub(crate) compatible: Option<String>,
    pub(crate) allow_data_loss: Option<String>,
    pub(crate) irreversible: Option<String>,
    pub(crate) undoable: bool,
}

/// What a migration does on its way up.
#[derive(Clone)]
pub(crate) enum Up {
    Sql(Text),
    Code { deed: Deed, revision: u32, identity: Identity },
}

/// A script not yet read, and the file it came from.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) file: Option<String>,
    pub(crate) sql: Cow<'static, str>,
}

impl From<Cow<'static, str>> for Text {
    fn from(sql: Cow<'static, str>) -> Self {
        Text { file: None, sql }
    }
}

impl Migration {
    /// A migration from SQL text, which may hold directives as a file may.
    ///
    /// ```
    /// use landfall::Migration;
    ///
    /// let table = Migration::sql(1, "person", "CREATE TABLE person(id INTEGER PRIMARY KEY, name)")
    ///     .down("DROP TABLE person")
    ///     .verify("SELECT * FROM person WHERE name = ''");
    /// # landfall::Migrator::from_migrations([table]).open_in_memory()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn sql(
        version: impl Into<Version>,
        name: impl Into<Cow<'static, str>>,
        up: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(version.into(), name.into(), Up::Sql(up.into().into()))
    }

    /// A migration that is a function. It works on the transaction that it is handed and leaves
    /// opening and closing that to the migrator; what it writes and the ledger's row are stored
    /// together or not at all.
    ///
    /// Its text cannot be compared with what was applied: say [`revision`](Self::revision) when
    /// it becomes another migration. It counts as breaking to older programs unless
    /// [`compatible`](Self::compatible) says otherwise.
    ///
    /// ```
    /// use landfall::Migration;
    /// use landfall::rusqlite::{self, Transaction};
    ///
    /// fn trim(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    ///     tx.execute("UPDATE contact SET name = trim(name)", []).map(drop)
    /// }
    ///
    /// let migration = Migration::code(12, "trim", trim)
    ///     .down("") // nothing has to be done
    ///     .revision(2) // the first did not know names with spaces
    ///     .compatible("older programs show either");
    /// # let files = landfall::Migrator::from_dir("migrations-example");
    /// # let conn = files.clone().with(migration.clone()).open_in_memory()?;
    /// # files.with(migration).revert(&conn, landfall::Target::Steps(1))?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn code<E: Into<BoxError>>(
        version: impl Into<Version>,
        name: impl Into<Cow<'static, str>>,
        f: impl Fn(&Transaction<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        let identity = Identity::of(&f);
        let deed: Deed = Arc::new(move |tx| f(tx).map_err(Into::into));
        Self::new(version.into(), name.into(), Up::Code { deed, revision: 1, identity })
    }

    fn new(version: Version, name: Cow<'static, str>, up: Up) -> Self {
        Migration {
            version,
            name,
            up,
            down: None,
            verify: None,
            compatible: None,
            allow_data_loss: None,
            irreversible: None,
            undoable: false,
        }
    }

    /// The script that takes it back. It is stored in the ledger too, so that an older program
    /// can revert what it has no file for.
    pub fn down(mut self, sql: impl Into<Cow<'static, str>>) -> Self {
        self.down = Some(sql.into().into());
        self
    }

    /// Its post-conditions: queries for rows that are wrong. A row is a failure, and nothing of
    /// the migration stays.
    pub fn verify(mut self, sql: impl Into<Cow<'static, str>>) -> Self {
        self.verify = Some(sql.into().into());
        self
    }

    /// The identity of a code migration, 1 unless said; of SQL the text is the identity, and this
    /// changes nothing.
    pub fn revision(mut self, r: u32) -> Self {
        if let Up::Code { revision, .. } = &mut self.up {
            *revision = r;
        }
        self
    }

    /// States that programs which do not know this migration can go on working after it, and why.
    /// As the directive `-- landfall: compatible: <reason>`.
    pub fn compatible(mut self, reason: impl Into<String>) -> Self {
        self.compatible = Some(reason.into());
        self
    }

    /// Signs off that a code migration drops tables which have rows or columns which have values, or
    /// leaves a table that it redefines with fewer rows, and why. An SQL migration says so in its
    /// text: `-- landfall: allow-data-loss: <reason>`.
    pub fn allow_data_loss(mut self, reason: impl Into<String>) -> Self {
        self.allow_data_loss = Some(reason.into());
        self
    }

    /// States that a code migration has no way back, and why, so that
    /// [`verify`](crate::testing::verify) does not ask for one. An SQL migration says so in its text:
    /// `-- landfall: irreversible: <reason>`.
    ///
    /// ```
    /// use landfall::{Migration, Migrator, Target};
    ///
    /// let hash = Migration::code(12, "hash_names", |tx| {
    ///     tx.execute("UPDATE contact SET name = 'hash of ' || name", []).map(drop)
    /// });
    /// let migrator = Migrator::from_dir("migrations-example")
    ///     .with(hash.irreversible("a hash does not tell what it was made of"));
    /// let conn = migrator.open_in_memory()?;
    /// let error = migrator.revert(&conn, Target::Steps(1)).unwrap_err();
    /// assert_eq!(
    ///     error.kind().to_string(),
    ///     "migration 12 (hash_names) cannot be reverted: a hash does not tell what it was made of"
    /// );
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn irreversible(mut self, reason: impl Into<String>) -> Self {
        self.irreversible = Some(reason.into());
        self
    }

    /// Records every row that a code migration changes, so that a revert puts back exactly what was
    /// there, without a [`down`](Self::down). As the directive `-- landfall: undo`, which an SQL
    /// migration says in its text.
    ///
    /// What it may not do is change the schema or write to virtual tables, the ledger or an attached
    /// database, which is refused with
    /// [`ErrorKind::CannotRecord`](crate::ErrorKind::CannotRecord). A write through an
    /// [incremental BLOB handle](https://sqlite.org/c3ref/blob_open.html) cannot be seen.
    ///
    /// ```
    /// use landfall::{Migration, Target};
    ///
    /// let migrator = landfall::Migrator::from_dir("migrations-example");
    /// let conn = migrator.open_in_memory()?;
    /// conn.execute("INSERT INTO contact(name) VALUES ('Ada')", [])?;
    ///
    /// let shout = Migration::code(12, "shout", |tx| {
    ///     tx.execute("UPDATE contact SET name = upper(name)", []).map(drop)
    /// });
    /// let migrator = migrator.with(shout.undoable());
    /// migrator.apply(&conn)?;
    /// migrator.revert(&conn, Target::Steps(1))?;
    /// let name: String = conn.query_row("SELECT name FROM contact", [], |row| row.get(0))?;
    /// assert_eq!(name, "Ada");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn undoable(mut self) -> Self {
        self.undoable = true;
        self
    }

    /// How it is called where there is no file: `2_first_person`.
    pub(crate) fn label(&self) -> String {
        match &self.up {
            Up::Sql(Text { file: Some(file), .. }) => file.clone(),
            _ => format!("{}_{}", self.version, self.name),
        }
    }
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.up {
            Up::Sql(_) => "sql",
            Up::Code { .. } => "code",
        };
        f.debug_struct("Migration")
            .field("version", &self.version.0)
            .field("name", &self.name)
            .field("kind", &kind)
            .finish_non_exhaustive()
    }
}
