//! What an application has decided beforehand, where it wants to go, and what a plan has to know.

use crate::migration::{Target, Version};

/// How many transactions pending migrations run in.
///
/// ```
/// use landfall::{Migration, Migrator, Transactions};
///
/// let migrator = Migrator::from_migrations([
///     Migration::sql(1, "good", "CREATE TABLE a(x)"),
///     Migration::sql(2, "typo", "CREATE TABL b(x)"),
/// ]);
/// assert!(migrator.open_in_memory().unwrap_err().report().is_none());
/// let error = migrator.transactions(Transactions::Each).open_in_memory().unwrap_err();
/// assert_eq!(error.report().map(|report| report.applied.len()), Some(1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transactions {
    /// All that can share one do, so that all of them are applied or none.
    #[default]
    Together,
    /// One each: those before a failing one stay.
    Each,
}

/// What to do with a database that a newer program has migrated further.
///
/// ```
/// use landfall::{Migration, Migrator, Newer};
///
/// let first = || Migration::sql(1, "person", "CREATE TABLE person(name)");
/// let second = Migration::sql(2, "upper", "UPDATE person SET name = upper(name)")
///     .down("UPDATE person SET name = lower(name)");
/// let conn = Migrator::from_migrations([first(), second]).open_in_memory()?;
///
/// let older = Migrator::from_migrations([first()]);
/// assert!(older.apply(&conn).is_err());
/// assert_eq!(older.newer(Newer::Revert).apply(&conn)?.reverted.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Newer {
    /// Go on if every newer migration is recorded as compatible.
    #[default]
    AllowCompatible,
    /// Refuse it.
    Refuse,
    /// Go on, whatever they are. Danger: the program may misread or damage what it finds.
    Ignore,
    /// Take the newer ones back, by the down scripts that the ledger stores. Danger: what they
    /// added is lost.
    Revert,
}

/// What to do with a pending migration older than one already applied.
///
/// ```
/// use landfall::{Late, Migration, Migrator};
///
/// let third = || Migration::sql(3, "c", "CREATE TABLE c(x)");
/// let conn = Migrator::from_migrations([third()]).open_in_memory()?;
///
/// let merged = Migrator::from_migrations([Migration::sql(2, "b", "CREATE TABLE b(x)"), third()]);
/// assert!(merged.apply(&conn).is_err());
/// assert_eq!(merged.late(Late::Apply).apply(&conn)?.applied.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Late {
    /// Refuse it.
    #[default]
    Refuse,
    /// Apply it, out of order.
    Apply,
}

/// What to do with an applied migration that the set does not hold, older than its newest.
///
/// ```
/// use landfall::{Migration, Migrator, Missing};
///
/// let first = Migration::sql(1, "a", "CREATE TABLE a(x)");
/// let second = || Migration::sql(2, "b", "CREATE TABLE b(x)");
/// let conn = Migrator::from_migrations([first, second()]).open_in_memory()?;
///
/// let without = Migrator::from_migrations([second()]);
/// assert!(without.apply(&conn).is_err());
/// assert!(without.missing(Missing::Ignore).apply(&conn)?.is_noop());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Missing {
    /// Refuse it.
    #[default]
    Refuse,
    /// Leave it applied and go on.
    Ignore,
}

/// What to do with a migration, or a revert, that would lose data which is there. It is judged by
/// the data: on an empty table nothing is refused. A script can sign a loss off with
/// `-- landfall: allow-data-loss: <reason>`, which goes on record.
///
/// Rust code is judged by the tables before and after it. Before each code migration the rows of
/// every table are counted, which costs some 50 ms for a million rows without an index, and 200 ms
/// more where one of their columns is empty throughout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DataLoss {
    /// Refuse to drop a table that has rows or a column that has values, and a rebuild that ends
    /// with fewer rows, or without such a column or with none of its values. Code that changes a
    /// table's definition and leaves it with fewer rows is taken to have rebuilt it.
    #[default]
    Refuse,
    /// Refuse these, and `DELETE`, `REPLACE` and `UPDATE OR REPLACE` that delete rows, and code that
    /// leaves any table with fewer rows.
    RefuseDeletes,
    /// Refuse nothing, and look at nothing. Danger: a wrong migration is only noticed by what is
    /// missing.
    Allow,
}

/// What to do with what a rebuild of a table loses besides rows: an index, a trigger, a CHECK, the
/// number that AUTOINCREMENT had reached, values of a column that stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strictness {
    /// Tell it in the report's warnings.
    #[default]
    Warn,
    /// Refuse it, unless it is signed off like a loss of data.
    Refuse,
}

/// What to do where undoing would overwrite rows that were changed after what is undone.
///
/// ```
/// use landfall::{ChangedSince, ErrorKind, Migration, Migrator, Target};
///
/// let migrator = Migrator::from_migrations([
///     Migration::sql(1, "note", "CREATE TABLE note(text); INSERT INTO note VALUES ('Hello')"),
///     Migration::sql(2, "upper", "-- landfall: undo\nUPDATE note SET text = upper(text)"),
/// ]);
/// let conn = migrator.open_in_memory()?;
/// conn.execute("UPDATE note SET text = 'HELLO!'", [])?;
///
/// let error = migrator.revert(&conn, Target::Steps(1)).unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::ChangedSince { .. }));
/// migrator.changed_since(ChangedSince::Overwrite).revert(&conn, Target::Steps(1))?;
/// let text: String = conn.query_row("SELECT text FROM note", [], |row| row.get(0))?;
/// assert_eq!(text, "Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChangedSince {
    /// Refuse it, and list them.
    #[default]
    Refuse,
    /// Put every row back as it was. Danger: what was written to these rows since is lost.
    Overwrite,
}

/// What an application has decided beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Policies {
    pub(crate) transactions: Transactions,
    pub(crate) newer: Newer,
    pub(crate) late: Late,
    pub(crate) missing: Missing,
    pub(crate) data_loss: DataLoss,
    pub(crate) strictness: Strictness,
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Up(Target),
    Down(Target),
    Mark(Version),
    /// A record's rows put back, by its number.
    Undo(i64),
}

/// What a plan has to know of the database besides its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// It holds no table or view that a baseline would make.
    pub(crate) empty: bool,
    /// The connection enforces foreign keys.
    pub(crate) enforces: bool,
}
