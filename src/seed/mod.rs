//! Seeds: named functions that run once. The registry is a value; running it is another room.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash as _, Hasher};
use std::sync::Arc;

use rusqlite::Transaction;

use crate::error::{ErrorKind, Result};
use crate::ledger::Sentinel;
use crate::migration::{BoxError, Deed, Identity};

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
    list: Vec<Seed>,
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
        Seed { name: name.into(), revision: 1, deed, undoable: false, identity }
    }

    /// Runs again where the sentinel's revision is lower. Default: 1. It finds what earlier
    /// revisions wrote.
    pub fn revision(mut self, r: u32) -> Self {
        self.revision = r;
        self
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

    /// Registers a seed with everything that was said of it.
    #[allow(clippy::should_implement_trait)] // the word of the trade; `+` would say less
    pub fn add(mut self, seed: Seed) -> Self {
        self.list.push(seed);
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

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Seed> {
        self.list.iter()
    }

    /// Refuses a registry with two seeds of one name, or one without.
    pub(crate) fn check(&self) -> Result<()> {
        for (at, seed) in self.list.iter().enumerate() {
            let same = |other: &Seed| other.name == seed.name;
            let why = if seed.name.trim().is_empty() {
                "a seed has no name".to_owned()
            } else if self.list.iter().take(at).any(same) {
                format!("two seeds are called `{}`", seed.name)
            } else {
                continue;
            };
            return Err(ErrorKind::BadSeed { why }.into());
        }
        Ok(())
    }

    /// Those whose sentinel is missing or of a lower revision, in registered order.
    pub(crate) fn pending<'s>(&'s self, sentinels: &[Sentinel]) -> Vec<&'s Seed> {
        let done: std::collections::HashMap<&str, u32> =
            sentinels.iter().map(|sentinel| (sentinel.name.as_str(), sentinel.revision)).collect();
        let is_done =
            |seed: &Seed| done.get(seed.name.as_ref()).is_some_and(|&r| r >= seed.revision);
        self.list.iter().filter(|seed| !is_done(seed)).collect()
    }

    /// The functions, which no hash can tell apart.
    pub(crate) fn identities(&self) -> impl Iterator<Item = Identity> {
        self.list.iter().map(|seed| seed.identity)
    }

    pub(crate) fn hash(&self, hasher: &mut impl Hasher) {
        for seed in &self.list {
            (&seed.name, seed.revision, seed.undoable).hash(hasher);
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
