//! Rows by key: what a seed wants to be there, and what becomes of what is there already.

use std::borrow::Cow;
use std::fmt;
use std::ops::AddAssign;

use rusqlite::{Connection, Params};

use crate::sql::quoted;

/// What becomes of rows that are there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RowPolicy {
    /// All rows are inserted, and one whose key is taken is SQLite's error. For a seed that runs
    /// once and whose rows are the users' from then on.
    InsertOnce,
    /// Rows whose key is missing are inserted; the others, which users may have edited, are left
    /// alone. One that a user deleted comes back.
    #[default]
    InsertMissing,
    /// Rows whose key is missing are inserted, and the others are made as they are listed: they are
    /// the application's. Rows of other keys are left alone.
    KeepInSync,
}

/// How rows go into a table by their key.
///
/// ```
/// use landfall::{RowPolicy, Rows};
///
/// let conn = landfall::rusqlite::Connection::open_in_memory()?;
/// conn.execute_batch("CREATE TABLE role(name TEXT PRIMARY KEY, label TEXT)")?;
/// let roles = Rows::of("role", ["name", "label"]); // the first is the key
/// let first = roles.write(&conn, [("admin", "Administrator"), ("member", "Member")])?;
/// assert_eq!(first.to_string(), "2 inserted, 0 updated, 0 left alone");
///
/// conn.execute("UPDATE role SET label = 'Chief' WHERE name = 'admin'", [])?;
/// let list = [("admin", "Administrator"), ("guest", "Guest")];
/// let again = roles.write(&conn, list)?;
/// assert_eq!(again.to_string(), "1 inserted, 0 updated, 1 left alone");
/// let synced = roles.policy(RowPolicy::KeepInSync).write(&conn, list)?;
/// assert_eq!(synced.to_string(), "0 inserted, 1 updated, 1 left alone");
/// # Ok::<(), landfall::rusqlite::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rows {
    table: Cow<'static, str>,
    columns: Vec<Cow<'static, str>>,
    key: Vec<Cow<'static, str>>,
    pub(crate) policy: RowPolicy,
}

/// What became of rows. `Display` is `2 inserted, 0 updated, 1 left alone`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowsWritten {
    /// Their key was missing.
    pub inserted: u64,
    /// They were there and differed.
    pub updated: u64,
    /// They were there and the same, or not to be touched.
    pub left_alone: u64,
}

impl Rows {
    /// Rows of these columns of a table. The first column is the key, unless [`key`](Rows::key) says
    /// otherwise.
    pub fn of<C: Into<Cow<'static, str>>>(
        table: impl Into<Cow<'static, str>>,
        columns: impl IntoIterator<Item = C>,
    ) -> Self {
        let columns: Vec<_> = columns.into_iter().map(Into::into).collect();
        let key = columns.first().cloned().into_iter().collect();
        Rows { table: table.into(), columns, key, policy: RowPolicy::default() }
    }

    /// The columns that a row is known by. They need no unique index; a large table wants one.
    pub fn key<C: Into<Cow<'static, str>>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// What becomes of rows that are there already. Default: [`RowPolicy::InsertMissing`].
    pub fn policy(mut self, p: RowPolicy) -> Self {
        self.policy = p;
        self
    }

    /// Writes: puts rows into the table, on the transaction that a seed is handed or on any
    /// connection, and tells what became of them.
    ///
    /// # Errors
    ///
    /// SQLite's, and a key that is not among the columns. Rows before the one that failed are
    /// written, for the transaction to keep or take back.
    pub fn write<P: Params + Clone>(
        &self,
        conn: &Connection,
        rows: impl IntoIterator<Item = P>,
    ) -> rusqlite::Result<RowsWritten> {
        let mut insert = conn.prepare(&self.insert()?)?;
        let update = self.update();
        let mut update = update.map(|sql| conn.prepare(&sql)).transpose()?;
        let mut written = RowsWritten::default();
        for row in rows {
            let updated = match &mut update {
                Some(update) => update.execute(row.clone())?,
                None => 0,
            };
            let inserted = if updated == 0 { insert.execute(row)? } else { 0 };
            written += match (updated, inserted) {
                (0, 0) => RowsWritten { left_alone: 1, ..RowsWritten::default() },
                (0, _) => RowsWritten { inserted: 1, ..RowsWritten::default() },
                _ => RowsWritten { updated: 1, ..RowsWritten::default() },
            };
        }
        Ok(written)
    }

    fn insert(&self) -> rusqlite::Result<String> {
        let unknown = self.key.iter().find(|key| !self.columns.contains(key));
        if let (Some(_), _) | (None, true) = (unknown, self.key.is_empty()) {
            let key = unknown.map_or("", |key| key.as_ref());
            let why = format!("the key `{key}` is not among the columns of `{}`", self.table);
            return Err(rusqlite::Error::ToSqlConversionFailure(why.into()));
        }
        let table = quoted(&self.table);
        let columns: Vec<String> = self.columns.iter().map(|column| quoted(column)).collect();
        let values: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        Ok(match self.policy {
            RowPolicy::InsertOnce => format!("INSERT INTO {table} ({columns}) VALUES ({values})"),
            _ => format!(
                "INSERT INTO {table} ({columns}) SELECT {values}
                 WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {})",
                self.has_key()
            ),
        })
    }

    /// Only rows that differ, so that what is the same fires no trigger. Text is the same that has
    /// the same bytes, whatever the column's collation says.
    fn update(&self) -> Option<String> {
        let others = || self.numbered().filter(|(_, column)| !self.key.contains(column));
        if self.policy != RowPolicy::KeepInSync || others().next().is_none() {
            return None;
        }
        let join = |parts: Vec<String>, by| parts.join(by);
        let set = others().map(|(n, column)| format!("{} = ?{n}", quoted(column))).collect();
        let differs =
            others().map(|(n, column)| format!("{} IS NOT ?{n} COLLATE BINARY", quoted(column)));
        Some(format!(
            "UPDATE {} SET {} WHERE {} AND ({})",
            quoted(&self.table),
            join(set, ", "),
            self.has_key(),
            join(differs.collect(), " OR ")
        ))
    }

    fn has_key(&self) -> String {
        let key = self.numbered().filter(|(_, column)| self.key.contains(column));
        let parts: Vec<String> =
            key.map(|(n, column)| format!("{} IS ?{n}", quoted(column))).collect();
        parts.join(" AND ")
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &Cow<'static, str>)> {
        self.columns.iter().enumerate().map(|(at, column)| (at + 1, column))
    }
}

impl AddAssign for RowsWritten {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.left_alone += other.left_alone;
    }
}

impl fmt::Display for RowsWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RowsWritten { inserted, updated, left_alone } = self;
        write!(f, "{inserted} inserted, {updated} updated, {left_alone} left alone")
    }
}
