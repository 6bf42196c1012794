//! Cursors: whatever SQLite can store and a row can be found by; and what a batch is told and tells.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use rusqlite::Transaction;
use rusqlite::types::{FromSql, FromSqlError, ToSql, ToSqlOutput, Value, ValueRef};

use crate::migration::BoxError;

/// A function that does a batch, its cursor as SQLite stores it.
pub(crate) type Walk = Arc<
    dyn Fn(&Transaction<'_>, Option<Value>, &Batch) -> Result<Option<Value>, BoxError>
        + Send
        + Sync,
>;

/// One batch of a [`Backfill::sized`](crate::Backfill::sized): how many rows it is to do, and what
/// its function tells of it.
#[derive(Debug)]
pub struct Batch {
    limit: u32,
    did: Cell<Option<u64>>,
    at: RefCell<Option<Value>>,
}

impl Batch {
    pub(crate) fn of(limit: u32) -> Self {
        Batch { limit, did: Cell::new(None), at: RefCell::new(None) }
    }

    /// How many rows to do; fewer only where there are no more, or the last one would not be told.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Tells that so many more rows are done. Where it is not told, the rows count that were
    /// inserted, updated or deleted, those by triggers included.
    pub fn did(&self, rows: u64) {
        let before = self.did.get().unwrap_or(0);
        self.did.set(Some(before.saturating_add(rows)));
    }

    /// Tells which row comes next, as a cursor, so that the error names it if it fails, and so that
    /// it can be skipped.
    pub fn at(&self, cursor: impl ToSql) {
        *self.at.borrow_mut() = value_of(&cursor).ok();
    }

    pub(crate) fn told(&self) -> Option<u64> {
        self.did.get()
    }

    pub(crate) fn row(&self) -> Option<Value> {
        self.at.borrow().clone()
    }
}

/// What is wrong with a cursor, whatever row it is at.
#[derive(Debug, PartialEq)]
pub(crate) enum CursorFault {
    /// What is stored is not what the function takes.
    OtherType { stored: &'static str },
    /// What is stored is no key of the table as it is now.
    OtherKey { stored: &'static str },
    /// SQLite cannot store it, or it is NULL, which is no place.
    Unstorable { why: String },
    /// It is the one that the function was given.
    Stays { at: Value },
}

impl fmt::Display for CursorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CursorFault::OtherType { stored } => {
                write!(f, "the cursor stored is {stored}, and the function takes another type")
            }
            CursorFault::OtherKey { stored } => {
                write!(f, "the cursor stored is {stored}, and the table's key is of another type")
            }
            CursorFault::Unstorable { why } => write!(f, "the cursor cannot be stored: {why}"),
            CursorFault::Stays { .. } => f.write_str("the cursor is the one that it was given"),
        }
    }
}

impl std::error::Error for CursorFault {}

/// A function over a typed cursor as one over stored values.
pub(super) fn walk<C: ToSql + FromSql + 'static, E: Into<BoxError>>(
    f: impl Fn(&Transaction<'_>, Option<C>, &Batch) -> Result<Option<C>, E> + Send + Sync + 'static,
) -> Walk {
    Arc::new(move |tx, cursor, batch| {
        let cursor = cursor.map(|stored| typed(&stored)).transpose()?;
        let next = f(tx, cursor, batch).map_err(Into::into)?;
        Ok(next.map(|next| value_of(&next)).transpose()?)
    })
}

fn typed<C: FromSql>(stored: &Value) -> Result<C, CursorFault> {
    C::column_result(ValueRef::from(stored)).map_err(|error| match error {
        FromSqlError::Other(why) => CursorFault::Unstorable { why: why.to_string() },
        _ => CursorFault::OtherType { stored: kind(stored) },
    })
}

fn value_of(cursor: &impl ToSql) -> Result<Value, CursorFault> {
    let unstorable = |why: &str| CursorFault::Unstorable { why: why.to_owned() };
    let output = cursor.to_sql().map_err(|error| unstorable(&error.to_string()))?;
    let value = match output {
        ToSqlOutput::Owned(value) => value,
        ToSqlOutput::Borrowed(value) => {
            Value::try_from(value).map_err(|error| unstorable(&error.to_string()))?
        }
        _ => return Err(unstorable("it is no plain value")),
    };
    match value {
        Value::Null => Err(unstorable("it is NULL, which is no place")),
        value => Ok(value),
    }
}

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Integer(_) => "an integer",
        Value::Real(_) => "a real number",
        Value::Text(_) => "a text",
        Value::Blob(_) => "a blob",
    }
}
