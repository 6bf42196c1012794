//! Rows that an application gives instead of those that are made up.

use std::fmt;
use std::sync::Arc;

use rusqlite::Transaction;

use crate::migration::{BoxError, Deed, Version};

/// An application's own rows, for tables that none can be made up for, or none that are like the
/// real ones. See [`Verify::with`](crate::testing::Verify::with).
///
/// ```
/// use landfall::testing::{SampleRows, verify};
///
/// let rows = SampleRows::new()
///     .table("contact", |tx| {
///         tx.execute("INSERT INTO contact(name) VALUES ('Ada'), (NULL)", []).map(drop)
///     })
///     .table_from(9, "contact", |tx| {
///         tx.execute("INSERT INTO contact(name) VALUES ('Grace')", []).map(drop)
///     })
///     .none("contact_change", "only its triggers write to it");
/// verify(&landfall::Migrator::from_dir("migrations-example")).with(rows).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct SampleRows {
    given: Vec<Given>,
    passed_over: Vec<(String, String)>,
}

#[derive(Clone)]
struct Given {
    from: Version,
    table: String,
    deed: Deed,
}

impl SampleRows {
    /// None: every table's rows are made up.
    pub fn new() -> Self {
        Self::default()
    }

    /// The function puts rows into this table, whenever it is new or was changed. Foreign keys are
    /// off meanwhile; rows whose keys find nothing are taken away afterwards.
    pub fn table<E: Into<BoxError>>(
        self,
        table: impl Into<String>,
        f: impl Fn(&Transaction<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.table_from(i64::MIN, table, f)
    }

    /// As [`table`](SampleRows::table), on databases that are at this version or above: the function
    /// with the highest one that fits is called.
    pub fn table_from<E: Into<BoxError>>(
        mut self,
        version: impl Into<Version>,
        table: impl Into<String>,
        f: impl Fn(&Transaction<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        let deed: Deed = Arc::new(move |tx| f(tx).map_err(Into::into));
        self.given.push(Given { from: version.into(), table: table.into(), deed });
        self
    }

    /// This table gets no rows, and why.
    pub fn none(mut self, table: impl Into<String>, why: impl Into<String>) -> Self {
        self.passed_over.push((table.into(), why.into()));
        self
    }

    pub(crate) fn of(&self, table: &str, at: Version) -> Option<&Deed> {
        let fitting = self
            .given
            .iter()
            .filter(|given| given.table.eq_ignore_ascii_case(table) && given.from <= at);
        fitting.max_by_key(|given| given.from).map(|given| &given.deed)
    }

    pub(crate) fn is_passed_over(&self, table: &str) -> bool {
        self.passed_over.iter().any(|(name, _)| name.eq_ignore_ascii_case(table))
    }

    /// The tables that are named.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &str> {
        let given = self.given.iter().map(|given| given.table.as_str());
        given.chain(self.passed_over.iter().map(|(table, _)| table.as_str()))
    }

    /// The tables that get none, and why.
    pub(crate) fn passed_over(&self) -> &[(String, String)] {
        &self.passed_over
    }
}

impl fmt::Debug for SampleRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: Vec<&str> = self.given.iter().map(|given| given.table.as_str()).collect();
        f.debug_struct("SampleRows")
            .field("given", &tables)
            .field("passed_over", &self.passed_over)
            .finish()
    }
}
