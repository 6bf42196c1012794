//! The schema of a database by meaning, read only where its text was not met shortly before.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::schema::{Kind, Snapshot, diff};

/// A schema: the texts that SQLite keeps, and what they mean.
#[derive(Clone, Debug)]
pub(crate) struct Shape(Rc<Known>);

#[derive(Debug)]
struct Known {
    texts: String,
    snapshot: Snapshot,
}

/// The schemas read last. The databases that go up side by side mostly have one text.
#[derive(Debug, Default)]
pub(crate) struct Shapes(RefCell<VecDeque<Shape>>);

const KEPT: usize = 8;

impl Shapes {
    pub(crate) fn of(&self, conn: &Connection, is_ours: impl Fn(&str) -> bool) -> Result<Shape> {
        let texts = texts(conn, is_ours).map_err(Error::sqlite("reading the schema"))?;
        let mut kept = self.0.borrow_mut();
        if let Some(known) = kept.iter().find(|known| known.0.texts == texts) {
            return Ok(known.clone());
        }
        let shape = Shape(Rc::new(Known { texts, snapshot: Snapshot::of(conn)? }));
        kept.push_back(shape.clone());
        if kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(shape)
    }
}

/// Whether the order of columns is a difference. SQLite adds columns at the end only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Counts,
    DoesNotCount,
}

impl Shape {
    /// How another schema differs from this one, which is as it should be.
    pub(crate) fn differences(&self, other: &Shape, order: Order) -> Vec<String> {
        if self.0.texts == other.0.texts {
            return Vec::new();
        }
        let changes = diff(&other.0.snapshot, &self.0.snapshot).into_iter();
        let counts = |kind: Kind| order == Order::Counts || kind != Kind::ColumnOrder;
        changes.filter(|change| counts(change.kind)).map(|change| change.to_string()).collect()
    }

    /// What was done to this schema, if another one is what became of it.
    pub(crate) fn deeds(&self, after: &Shape) -> Vec<String> {
        let changes = diff(&self.0.snapshot, &after.0.snapshot).into_iter();
        changes.map(|change| change.as_deed()).collect()
    }
}

/// One text of all, in the order of the names.
fn texts(conn: &Connection, is_ours: impl Fn(&str) -> bool) -> rusqlite::Result<String> {
    let mut statement = conn.prepare(
        "SELECT tbl_name, type || ' ' || name || ' ' || ifnull(sql, '') FROM main.sqlite_master
         ORDER BY type, name",
    )?;
    let mut rows = statement.query([])?;
    let mut texts = String::new();
    while let Some(row) = rows.next()? {
        let table: String = row.get(0)?;
        if !is_ours(&table) {
            texts.push_str(&row.get::<_, String>(1)?);
            texts.push('\0');
        }
    }
    Ok(texts)
}
