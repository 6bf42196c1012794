//! Backfills: work on many rows, in batches. A value; running it is another room.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash as _, Hasher};
use std::time::Duration;

use rusqlite::Transaction;
use rusqlite::types::{FromSql, ToSql};

use super::conditions::{Conditions, Need};
use super::cursor::{Batch, Walk, walk};
use crate::error::Result;
use crate::migration::{BoxError, Identity, Version};

/// A seed in batches, for tables too large for one transaction. Each batch, the cursor after it and
/// the progress are one transaction: a process that is killed goes on at the next start where the
/// last batch ended, and every batch has happened exactly once. Between batches the lock is free.
///
/// Of several processes that start together one works on a backfill, and the others go on. Its
/// function sees the newest schema, unless a migration says `-- landfall: requires backfill <name>`,
/// which is then applied after it.
///
/// A [`revert`](crate::Migrator::revert) keeps its sentinel, except to
/// [`Target::Empty`](crate::Target::Empty): where the migration whose column it fills is taken back and
/// applied again, give the backfill another revision, or delete its row in `schema_seeds`.
///
/// ```
/// use landfall::{Backfill, Migration, Migrator, Seeds};
///
/// let migrator = Migrator::from_migrations([Migration::sql(
///     1,
///     "post",
///     "CREATE TABLE post(id INTEGER PRIMARY KEY, title TEXT NOT NULL, slug TEXT);
///      INSERT INTO post(title) VALUES ('One'), ('Two'), ('Three');",
/// )])
/// .seeds(Seeds::new().backfill(
///     Backfill::update("slugs", "post", "slug = lower(title)", "slug IS NULL")
///         .total("SELECT count(*) FROM post WHERE slug IS NULL"),
/// ));
/// let conn = landfall::rusqlite::Connection::open_in_memory()?;
/// let report = migrator.apply(&conn)?;
/// assert_eq!(report.backfills[0].progress.done, 3);
/// assert!(migrator.apply(&conn)?.is_noop());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Backfill {
    pub(crate) name: Cow<'static, str>,
    pub(crate) revision: u32,
    pub(crate) work: Work,
    pub(crate) identity: Identity,
    pub(crate) conditions: Conditions,
    pub(crate) pace: Pace,
    pub(crate) budget: Option<Duration>,
    deferred: bool,
    pub(crate) total: Option<Cow<'static, str>>,
    pub(crate) failures: Failures,
    pub(crate) triggers: UserTriggers,
    pub(crate) lease: Duration,
}

/// What a batch is.
#[derive(Clone)]
pub(crate) enum Work {
    /// A call of the function, of whatever size; quick ones share a transaction.
    Calls(Walk),
    /// A call of the function, which is told how many rows.
    Sized(Walk),
    Update(Update),
}

/// An `UPDATE` of a table's rows in the order of its key.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Update {
    pub(crate) table: Cow<'static, str>,
    pub(crate) set: Cow<'static, str>,
    pub(crate) filter: Cow<'static, str>,
}

/// How large batches are, and how far apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Rows, or calls, of the first batch.
    pub(crate) first: u32,
    pub(crate) most: u32,
    pub(crate) target: Duration,
    pub(crate) pause: Option<Duration>,
}

/// What to do about a row that fails also when it is alone in its batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Failures {
    /// Stop, and name it. The rows before it stay done.
    #[default]
    Stop,
    /// Leave it as it is, write its key and the error into `schema_skipped`, and go on.
    Skip,
}

/// What becomes of the application's triggers while a batch runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UserTriggers {
    /// They fire.
    #[default]
    Fire,
    /// They do not, those that keep a search index in step included; TEMP triggers do. The
    /// connection's setting
    /// ([`SQLITE_DBCONFIG_ENABLE_TRIGGER`](https://sqlite.org/c3ref/c_dbconfig_defensive.html)) is
    /// put back on every way out.
    Suppress,
}

impl Backfill {
    /// A function that does one batch. It gets the cursor that it returned last (`None` at first),
    /// and returns the next one, or `None` when everything is done. It works on the transaction that
    /// it is handed, and leaves ending that to the migrator.
    ///
    /// A cursor is whatever SQLite can store and a row can be found by: an `i64`, a `String`. Where
    /// calls are quick, several share a transaction.
    ///
    /// ```
    /// use landfall::{Backfill, Migrator, Seeds};
    /// use landfall::rusqlite::{self, OptionalExtension, Transaction};
    ///
    /// fn initials(tx: &Transaction<'_>, after: Option<i64>) -> rusqlite::Result<Option<i64>> {
    ///     let next = "SELECT id, name FROM contact WHERE id > ?1 ORDER BY id LIMIT 1";
    ///     let row = tx.query_row(next, [after.unwrap_or(i64::MIN)], |row| {
    ///         Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    ///     });
    ///     let Some((id, name)) = row.optional()? else { return Ok(None) };
    ///     tx.execute("UPDATE contact SET name = ?2 WHERE id = ?1", (id, name.trim()))?;
    ///     Ok(Some(id))
    /// }
    ///
    /// let seeds = Seeds::new().backfill(Backfill::new("initials", initials));
    /// Migrator::from_dir("migrations-example").seeds(seeds).open_in_memory()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn new<C: ToSql + FromSql + 'static, E: Into<BoxError>>(
        name: impl Into<Cow<'static, str>>,
        f: impl Fn(&Transaction<'_>, Option<C>) -> Result<Option<C>, E> + Send + Sync + 'static,
    ) -> Self {
        let identity = Identity::of(&f);
        let f = walk(move |tx, cursor, _: &Batch| f(tx, cursor));
        Self::of(name.into(), Work::Calls(f), identity, 1)
    }

    /// As [`new`](Backfill::new), for a function that is told by the [`Batch`] how many rows to do,
    /// so that batches grow and shrink towards the time that they are to take, and tells it what it
    /// did.
    ///
    /// ```
    /// use landfall::{Backfill, Batch, Migrator, Seeds};
    /// use landfall::rusqlite::{self, Transaction};
    ///
    /// fn trim(tx: &Transaction<'_>, after: Option<i64>, batch: &Batch) -> rusqlite::Result<Option<i64>> {
    ///     let mut next = tx.prepare(
    ///         "SELECT id, name FROM contact WHERE id > ?1 ORDER BY id LIMIT ?2",
    ///     )?;
    ///     let mut rows = next.query((after.unwrap_or(i64::MIN), batch.limit()))?;
    ///     let mut last = None;
    ///     while let Some(row) = rows.next()? {
    ///         let (id, name): (i64, String) = (row.get(0)?, row.get(1)?);
    ///         batch.at(id); // names the row if what follows fails
    ///         tx.execute("UPDATE contact SET name = ?2 WHERE id = ?1", (id, name.trim()))?;
    ///         batch.did(1);
    ///         last = Some(id);
    ///     }
    ///     Ok(last)
    /// }
    ///
    /// let seeds = Seeds::new().backfill(Backfill::sized("trim", trim));
    /// Migrator::from_dir("migrations-example").seeds(seeds).open_in_memory()?;
    /// # Ok::<(), landfall::Error>(())
    /// ```
    pub fn sized<C: ToSql + FromSql + 'static, E: Into<BoxError>>(
        name: impl Into<Cow<'static, str>>,
        f: impl Fn(&Transaction<'_>, Option<C>, &Batch) -> Result<Option<C>, E> + Send + Sync + 'static,
    ) -> Self {
        let identity = Identity::of(&f);
        Self::of(name.into(), Work::Sized(walk(f)), identity, 100)
    }

    /// Runs `UPDATE table SET set_sql WHERE where_sql` over a whole table, in the order of its key:
    /// its `INTEGER PRIMARY KEY`, another primary key, of one column or several, or the rowid. A
    /// blank `where_sql` means every row.
    ///
    /// What it sets must not be part of the key. A table without a primary key must not be
    /// vacuumed before the backfill is done: that renumbers its rows.
    pub fn update(
        name: impl Into<Cow<'static, str>>,
        table: impl Into<Cow<'static, str>>,
        set_sql: impl Into<Cow<'static, str>>,
        where_sql: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (table, set, filter) = (table.into(), set_sql.into(), where_sql.into());
        // What tells it from others is its text, which is known.
        let identity = Identity::of(&());
        Self::of(name.into(), Work::Update(Update { table, set, filter }), identity, 100)
    }

    fn of(name: Cow<'static, str>, work: Work, identity: Identity, first: u32) -> Self {
        let target = Duration::from_millis(50);
        Backfill {
            name,
            revision: 1,
            work,
            identity,
            conditions: Conditions::default(),
            pace: Pace { first, most: 1_000_000, target, pause: None },
            budget: None,
            deferred: false,
            total: None,
            failures: Failures::default(),
            triggers: UserTriggers::default(),
            lease: Duration::from_secs(1),
        }
    }
}

/// Options, each with its default.
///
/// ```
/// use landfall::{Backfill, Failures, Migrator, Seeds, UserTriggers};
/// use std::time::Duration;
///
/// let trim = Backfill::update("trim", "contact", "name = trim(name)", "name <> trim(name)")
///     .revision(2)
///     .batch(500)
///     .batch_at_most(50_000)
///     .batch_time(Duration::from_millis(20))
///     .pause(Duration::from_millis(10))
///     .budget(Duration::from_secs(1))
///     .total("SELECT count(*) FROM contact WHERE name <> trim(name)")
///     .on_failure(Failures::Skip)
///     .triggers(UserTriggers::Suppress)
///     .lease(Duration::from_secs(2))
///     .when_schema_at_least(11)
///     .optional();
/// let conn = landfall::rusqlite::Connection::open_in_memory()?;
/// let migrator = Migrator::from_dir("migrations-example").seeds(Seeds::new().backfill(trim));
/// assert!(migrator.apply(&conn)?.backfills[0].is_finished);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Backfill {
    /// Runs again, from the beginning, where its sentinel's revision is lower. Default: 1.
    pub fn revision(mut self, r: u32) -> Self {
        self.revision = r;
        self
    }

    /// How many rows the first batch has; of [`new`](Backfill::new), calls. Those after it are as
    /// many as fit into [`batch_time`](Backfill::batch_time). Default: 100 rows, 1 call.
    pub fn batch(mut self, rows: u32) -> Self {
        self.pace.first = rows;
        self
    }

    /// No batch has more rows, or calls, than this. Default: 1,000,000.
    pub fn batch_at_most(mut self, rows: u32) -> Self {
        self.pace.most = rows;
        self
    }

    /// The time that a batch is to take, and so how long it keeps others from writing. Batches grow
    /// and shrink by what the last ones took, up to twice as large from one to the next. Default:
    /// 50 ms.
    pub fn batch_time(mut self, target: Duration) -> Self {
        self.pace.target = target;
        self
    }

    /// The time between batches, in which others can write. Default: 2 ms at a start, when the
    /// application does not work yet, and 25 ms in
    /// [`run_backfills`](crate::Migrator::run_backfills): there a connection with a busy timeout,
    /// which SQLite tries at most 25 ms apart at first, gets in after the batch in hand or the next.
    pub fn pause(mut self, d: Duration) -> Self {
        self.pace.pause = Some(d);
        self
    }

    /// The time that a start gives it. What is left then is for the next one, or for
    /// [`run_backfills`](crate::Migrator::run_backfills), which is not bound by it. At least one
    /// batch is done. Default: as long as it takes.
    pub fn budget(mut self, d: Duration) -> Self {
        self.budget = Some(d);
        self
    }

    /// A start does not do it: [`run_backfills`](crate::Migrator::run_backfills) does. Default: a
    /// start does it.
    pub fn deferred(mut self) -> Self {
        self.deferred = true;
        self
    }

    /// A query for how many rows there are to do, asked once at the beginning, for events and
    /// [`Progress`](crate::Progress). Default: nobody knows.
    pub fn total(mut self, sql: impl Into<Cow<'static, str>>) -> Self {
        self.total = Some(sql.into());
        self
    }

    /// What to do about a row that fails. A batch that fails is first tried again with half its
    /// rows, down to one. Default: [`Failures::Stop`].
    pub fn on_failure(mut self, f: Failures) -> Self {
        self.failures = f;
        self
    }

    /// What becomes of the application's triggers. Default: [`UserTriggers::Fire`].
    pub fn triggers(mut self, t: UserTriggers) -> Self {
        self.triggers = t;
        self
    }

    /// For how long after a batch, and the pause after that, a process counts as being at it. If
    /// nothing more is heard of it by then, another one takes over; every row is done once all the
    /// same. A start goes on as soon as it sees that another process is alive. Default: 1 second.
    pub fn lease(mut self, d: Duration) -> Self {
        self.lease = d;
        self
    }

    /// As [`Seed::when_schema_at_least`](crate::Seed::when_schema_at_least).
    pub fn when_schema_at_least(mut self, version: impl Into<Version>) -> Self {
        self.conditions.at_least = Some(version.into());
        self
    }

    /// As [`Seed::environment`](crate::Seed::environment).
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.conditions.environments.push(name.into());
        self
    }

    /// Its failure fails the start, which is the default.
    pub fn required(mut self) -> Self {
        self.conditions.need = Need::Required;
        self
    }

    /// Its failure is a warning in the report and in the log, and the start goes on. The next one
    /// tries again. Default: [`required`](Backfill::required).
    pub fn optional(mut self) -> Self {
        self.conditions.need = Need::Optional;
        self
    }

    /// As [`Seed::after`](crate::Seed::after).
    pub fn after(mut self, other: impl Into<String>) -> Self {
        self.conditions.after.push(other.into());
        self
    }
}

impl Backfill {
    pub(crate) fn is_deferred(&self) -> bool {
        self.deferred
    }

    /// What cannot be meant.
    pub(crate) fn fault(&self) -> Option<String> {
        let blank = |text: &str| text.trim().is_empty();
        let why = match &self.work {
            _ if self.pace.first == 0 || self.pace.most == 0 => "a batch of no rows never ends",
            _ if self.pace.target.is_zero() => "a batch cannot take no time",
            Work::Calls(_) if self.failures == Failures::Skip => {
                "its function does not say which row it is at, so that none can be skipped: use \
                 `Backfill::sized` and say it with `Batch::at`"
            }
            Work::Update(update) if blank(&update.table) => "it names no table",
            Work::Update(update) if blank(&update.set) => "it sets nothing",
            _ => return None,
        };
        Some(why.to_owned())
    }

    pub(crate) fn hash(&self, hasher: &mut impl Hasher) {
        (&self.name, self.revision, &self.conditions, self.deferred).hash(hasher);
        // What decides how a fresh database comes out, too.
        (self.budget, self.failures, self.triggers, &self.total).hash(hasher);
        if let Work::Update(update) = &self.work {
            update.hash(hasher);
        }
    }
}

impl fmt::Debug for Backfill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backfill")
            .field("name", &self.name)
            .field("revision", &self.revision)
            .field("pace", &self.pace)
            .field("deferred", &self.deferred)
            .finish_non_exhaustive()
    }
}
