//! Seeds: named functions that run once. The registry is a value; running it is another room.

mod backfill;
mod conditions;
mod cursor;
mod files;
mod registry;

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash as _, Hasher};
use std::sync::Arc;

use include_dir::Dir;
use rusqlite::{Params, Transaction};

use crate::error::Result;
use crate::ledger::Sentinel;
use crate::migration::{BoxError, Deed, Identity, Version};
use crate::rows::{RowPolicy, Rows};
use crate::source::embedded;
use crate::sql::{Script, checksum_of};
pub use backfill::{Backfill, Failures, UserTriggers};
pub(crate) use backfill::{Pace, Update, Work};
pub(crate) use conditions::{Conditions, Environments, Need};
pub use cursor::Batch;
pub(crate) use cursor::{CursorFault, kind};
pub(crate) use files::Misstep;
pub(crate) use registry::{Deferred, Item, Now, Registry, Standing};

/// The registry of an application's seeds, which run in the order they are registered in, after
/// the migrations.
///
/// Each is a function with a sentinel row. What it writes and its sentinel are one transaction:
/// it has run wholly or not at all, and never twice. Deleting a sentinel from `schema_seeds` asks
/// for its seed again.
///
/// ```
/// use landfall::rusqlite::{self, Transaction};
/// use landfall::{Migration, Migrator, Seeds};
///
/// fn ensure_roles(tx: &Transaction<'_>) -> rusqlite::Result<()> {
///     tx.execute("INSERT INTO role(name) VALUES ('admin'), ('member')", [])?;
///     Ok(())
/// }
///
/// let migrator = Migrator::from_migrations([Migration::sql(1, "role", "CREATE TABLE role(name)")])
///     .seeds(Seeds::new().ensure("roles", ensure_roles));
/// let conn = rusqlite::Connection::open_in_memory()?;
/// assert_eq!(migrator.apply(&conn)?.seeds.len(), 1);
/// assert_eq!(migrator.apply(&conn)?.seeds.len(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Seeds {
    list: Vec<Registered>,
    edited: Edited,
}

#[derive(Clone, Debug)]
enum Registered {
    Seed(Box<Seed>),
    Backfill(Box<Backfill>),
    /// Files compiled in, not yet looked into.
    Files(Dir<'static>),
}

/// What to do with a seed's file whose text is not that which has run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Edited {
    /// Run it again, as a new revision: it finds what the earlier text wrote.
    #[default]
    RunAgain,
    /// Refuse to start.
    Refuse,
}

/// A named function, and the promise that it runs once: one seed with everything that can be said of
/// it. [`Seeds::ensure`] is short for one without.
///
/// ```
/// use landfall::{Migrator, Seed, Seeds};
///
/// let groups = Seed::new("groups", |tx| {
///     tx.execute("INSERT OR IGNORE INTO contact_group(name) VALUES ('Family')", []).map(drop)
/// })
/// .revision(2);
/// let conn = Migrator::from_dir("migrations-example")
///     .seeds(Seeds::new().add(groups))
///     .open_in_memory()?;
/// # Ok::<(), landfall::Error>(())
/// ```
#[derive(Clone)]
pub struct Seed {
    pub(crate) name: Cow<'static, str>,
    pub(crate) revision: u32,
    pub(crate) deed: Deed,
    pub(crate) conditions: Conditions,
    pub(crate) own_sentinel: Option<Cow<'static, str>>,
    /// The checksum of its file's text, and the file.
    pub(crate) content: Option<String>,
    pub(crate) script: Option<Arc<Script>>,
    pub(crate) edited: Edited,
    pub(crate) undoable: bool,
    pub(crate) identity: Identity,
}

impl Seed {
    /// A function that runs once. It works on the transaction that it is handed, and leaves ending
    /// that to the migrator. If it fails, nothing of it stays, and it runs again at the next start.
    pub fn new<E: Into<BoxError>>(
        name: impl Into<Cow<'static, str>>,
        f: impl Fn(&Transaction<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        let identity = Identity::of(&f);
        let deed: Deed = Arc::new(move |tx| f(tx).map_err(Into::into));
        Seed {
            name: name.into(),
            revision: 1,
            deed,
            undoable: false,
            identity,
            conditions: Conditions::default(),
            own_sentinel: None,
            content: None,
            script: None,
            edited: Edited::default(),
        }
    }

    /// Rows that are to be in a table, by the policy of [`Rows`]. Where the list changes it runs
    /// again, unless the policy is [`RowPolicy::InsertOnce`].
    ///
    /// ```
    /// use landfall::{Migrator, RowPolicy, Rows, Seed, Seeds};
    ///
    /// let groups = Rows::of("contact_group", ["name"]).policy(RowPolicy::InsertMissing);
    /// let seeds = Seeds::new().add(Seed::rows("groups", groups, [("Family",), ("Work",)]));
    /// Migrator::from_dir("migrations-example").seeds(seeds).open_in_memory()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn rows<P: Params + Clone + fmt::Debug + Send + Sync + 'static>(
        name: impl Into<Cow<'static, str>>,
        rows: Rows,
        list: impl IntoIterator<Item = P>,
    ) -> Self {
        let list: Vec<P> = list.into_iter().collect();
        let content = match rows.policy {
            RowPolicy::InsertOnce => None,
            _ => Some(checksum_of(&format!("{rows:?} {list:?}"))),
        };
        let seed = Seed::new(name, move |tx| {
            let written = rows.write(tx, list.iter().cloned());
            written.map(|written| log::debug!("{rows:?}: {written}"))
        });
        Seed { content, ..seed }
    }

    /// Runs again where the sentinel's revision is lower. Default: 1. It finds what earlier
    /// revisions wrote.
    pub fn revision(mut self, r: u32) -> Self {
        self.revision = r;
        self
    }

    /// Runs once the database's newest migration has this version or a higher one. Default: as soon
    /// as nothing is pending, whatever the version. For a registry that several sets share.
    pub fn when_schema_at_least(mut self, version: impl Into<Version>) -> Self {
        self.conditions.at_least = Some(version.into());
        self
    }

    /// Runs only where [`Migrator::environment`](crate::Migrator::environment) says this name;
    /// said again, also there. Default: everywhere. A name that is not declared is an error; see
    /// [`Migrator::environments`](crate::Migrator::environments).
    ///
    /// ```
    /// use landfall::{Migrator, Seed, Seeds};
    ///
    /// let demo = Seed::new("demo", |tx| {
    ///     tx.execute("INSERT INTO contact(name) VALUES ('Ada')", []).map(drop)
    /// });
    /// let seeds = Seeds::new().add(demo.environment("dev").environment("test"));
    /// let migrator = Migrator::from_dir("migrations-example").seeds(seeds);
    /// let held = |migrator: Migrator| {
    ///     let conn = landfall::rusqlite::Connection::open_in_memory().unwrap();
    ///     migrator.apply(&conn).map(|report| report.held.len())
    /// };
    /// assert_eq!(held(migrator.clone())?, 1);
    /// assert_eq!(held(migrator.environment("dev"))?, 0);
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.conditions.environments.push(name.into());
        self
    }

    /// Its failure fails the start, which is the default.
    pub fn required(mut self) -> Self {
        self.conditions.need = Need::Required;
        self
    }

    /// Its failure is a warning in the report and in the log, and the start goes on. Nothing of it
    /// stays, and it runs again at the next start. Default: [`required`](Seed::required).
    pub fn optional(mut self) -> Self {
        self.conditions.need = Need::Optional;
        self
    }

    /// Runs after the seed or backfill of this name, and not before that is done. Default: in
    /// registered order. One that is not for the migrator's environment is not waited for. A name
    /// that is not registered, or a circle, is an error.
    pub fn after(mut self, other: impl Into<String>) -> Self {
        self.conditions.after.push(other.into());
        self
    }

    /// A query for a sentinel of the application's own. Where it gives a row whose first column is
    /// neither 0 nor NULL, the seed has run, before landfall was there or elsewhere, and that is
    /// recorded. It is asked only while `schema_seeds` does not know the seed. Default: none.
    ///
    /// ```
    /// use landfall::{Migrator, Seed, Seeds};
    ///
    /// let groups = Seed::new("groups", |tx| {
    ///     tx.execute("INSERT INTO contact_group(name) VALUES ('Family')", []).map(drop)
    /// })
    /// .sentinel("SELECT 1 FROM contact_group WHERE name = 'Family'");
    /// let conn = Migrator::from_dir("migrations-example")
    ///     .seeds(Seeds::new().add(groups))
    ///     .open_in_memory()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn sentinel(mut self, sql: impl Into<Cow<'static, str>>) -> Self {
        self.own_sentinel = Some(sql.into());
        self
    }

    /// The same seed with another text of its file's to run.
    pub(crate) fn reading(&self, script: Script) -> Seed {
        Seed { deed: files::deed(Arc::new(script)), ..self.clone() }
    }

    /// Whether what has run is an earlier text of its file.
    pub(crate) fn is_edited(&self, sentinel: &Sentinel) -> bool {
        match (&self.content, &sentinel.content) {
            (Some(found), Some(recorded)) => found != recorded,
            _ => false,
        }
    }

    /// The revision that its sentinel will have.
    pub(crate) fn next_revision(&self, sentinel: Option<&Sentinel>) -> u32 {
        match sentinel {
            Some(sentinel) if self.is_edited(sentinel) => {
                self.revision.max(sentinel.revision.saturating_add(1))
            }
            _ => self.revision,
        }
    }
    /// Records every row that it changes, directly, through triggers or through foreign keys'
    /// actions, so that [`Migrator::revert_seed`](crate::Migrator::revert_seed) can put back
    /// exactly what was there. So does a [`revert`](crate::Migrator::revert) that takes back a
    /// migration which was there when the seed ran: the seed goes first. Default: nothing is
    /// recorded, and what the seed wrote stays.
    ///
    /// What it may not do is change the schema or write to virtual tables, the ledger or an attached
    /// database, which is refused with
    /// [`ErrorKind::CannotRecord`](crate::ErrorKind::CannotRecord). A write through an
    /// [incremental BLOB handle](https://sqlite.org/c3ref/blob_open.html) cannot be seen.
    pub fn undoable(mut self) -> Self {
        self.undoable = true;
        self
    }
}

impl Seeds {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a function that runs once. It works on the transaction that it is handed, and
    /// leaves ending that to the migrator. If it fails, nothing of it stays, and it runs again at the
    /// next start.
    pub fn ensure<E: Into<BoxError>>(
        self,
        name: impl Into<Cow<'static, str>>,
        f: impl Fn(&Transaction<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.ensure_revision(name, 1, f)
    }

    /// Registers a function that runs once per revision: again where the sentinel's revision is
    /// lower. [`ensure`](Seeds::ensure) registers revision 1. It finds what earlier revisions wrote.
    ///
    /// ```
    /// use landfall::{Migrator, Seeds};
    ///
    /// let seeded = |revision| {
    ///     let seeds = Seeds::new().ensure_revision("groups", revision, |tx| {
    ///         tx.execute("INSERT OR IGNORE INTO contact_group(name) VALUES ('Family')", []).map(drop)
    ///     });
    ///     Migrator::from_dir("migrations-example").seeds(seeds)
    /// };
    /// let conn = seeded(1).open_in_memory()?;
    /// assert!(seeded(1).apply(&conn)?.is_noop());
    /// assert_eq!(seeded(2).apply(&conn)?.seeds[0].revision, 2);
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn ensure_revision<E: Into<BoxError>>(
        self,
        name: impl Into<Cow<'static, str>>,
        revision: u32,
        f: impl Fn(&Transaction<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.add(Seed::new(name, f).revision(revision))
    }

    /// Seeds from files compiled into the program: `ensure_roles.sql` is the seed `roles`. They run
    /// in the order of their names. Every `.sql` file of the folder has to have such a name, or the
    /// registry is refused; other files are passed over. A file may say before its first statement:
    ///
    /// ```sql
    /// -- landfall: after settings
    /// -- landfall: environment dev
    /// -- landfall: optional
    /// -- landfall: when-schema-at-least 12
    /// -- landfall: undo
    /// -- landfall: sentinel: SELECT 1 FROM interaction_log WHERE what = 'roles'
    /// ```
    ///
    /// Where its text changes (comments and white space do not count) it runs again; see
    /// [`edited`](Seeds::edited).
    ///
    /// ```
    /// use landfall::include_dir::{self, Dir, include_dir};
    /// use landfall::{Migrator, Seeds};
    ///
    /// static SEEDS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/seeds-example");
    /// let conn = landfall::rusqlite::Connection::open_in_memory()?;
    /// let migrator = Migrator::from_dir("migrations-example").seeds(Seeds::from_embedded(&SEEDS));
    /// assert_eq!(migrator.apply(&conn)?.seeds[0].name, "groups");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_embedded(dir: impl Borrow<Dir<'static>>) -> Self {
        let mut seeds = Seeds::new();
        seeds.list.push(Registered::Files(dir.borrow().clone()));
        seeds
    }

    /// What to do with a seed's file whose text is not that which has run. Default:
    /// [`Edited::RunAgain`]. For all files of this registry.
    pub fn edited(mut self, e: Edited) -> Self {
        self.edited = e;
        self
    }

    /// Registers a seed with everything that was said of it.
    #[allow(clippy::should_implement_trait)] // the word of the trade; `+` would say less
    pub fn add(mut self, seed: Seed) -> Self {
        self.list.push(Registered::Seed(Box::new(seed)));
        self
    }

    /// Registers a backfill, which runs in its place among the seeds.
    pub fn backfill(mut self, b: Backfill) -> Self {
        self.list.push(Registered::Backfill(Box::new(b)));
        self
    }

    /// What [`seeds!`](crate::seeds!) does for each function.
    #[doc(hidden)]
    pub fn ensure_named_after<E: Into<BoxError>>(
        self,
        path: &'static str,
        f: impl Fn(&Transaction<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        let name = path.rsplit("::").next().unwrap_or(path).trim();
        self.ensure(name.strip_prefix("ensure_").unwrap_or(name), f)
    }

    /// The functions, which no hash can tell apart.
    pub(crate) fn identities(&self) -> impl Iterator<Item = Identity> {
        self.list.iter().filter_map(|registered| match registered {
            Registered::Seed(seed) => Some(seed.identity),
            Registered::Backfill(backfill) => Some(backfill.identity),
            Registered::Files(_) => None,
        })
    }

    /// Whether nothing was registered.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Feeds everything that tells this registry from another to the hasher, without reading it.
    pub(crate) fn hash(&self, hasher: &mut impl Hasher) {
        self.edited.hash(hasher);
        for registered in &self.list {
            match registered {
                Registered::Seed(seed) => {
                    (&seed.name, seed.revision, seed.undoable, &seed.conditions).hash(hasher);
                    (&seed.own_sentinel, &seed.content).hash(hasher);
                }
                Registered::Backfill(backfill) => backfill.hash(hasher),
                Registered::Files(dir) => embedded::hash(dir, hasher),
            }
        }
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed")
            .field("name", &self.name)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// A registry of functions, each seed named after its function without `ensure_`.
///
/// ```
/// use landfall::rusqlite::{self, Transaction};
///
/// fn ensure_default_roles(tx: &Transaction<'_>) -> rusqlite::Result<()> { Ok(()) }
/// fn ensure_settings(tx: &Transaction<'_>) -> rusqlite::Result<()> { Ok(()) }
///
/// // As Seeds::new().ensure("default_roles", ensure_default_roles).ensure("settings", …)
/// let seeds = landfall::seeds![ensure_default_roles, ensure_settings];
/// ```
#[macro_export]
macro_rules! seeds {
    ($($function:path),* $(,)?) => {
        $crate::Seeds::new()$(.ensure_named_after(stringify!($function), $function))*
    };
}
