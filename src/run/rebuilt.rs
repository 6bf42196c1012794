//! A table that a script drops and puts another in place of: what the other one lacks.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::table::{self, Table};
use crate::sql::losses::DroppedTable;
use crate::sql::quoted;

/// A table that is rebuilt, as it was.
pub(crate) struct Rebuilt {
    pub(crate) dropped: DroppedTable,
    pub(crate) before: Table,
    /// Columns whose values were all what is the DEFAULT of a column of the new table.
    same: BTreeSet<(String, String)>,
    /// Columns that had other values than their new DEFAULT, which is all that they have now.
    reset: Vec<String>,
}

/// Something that is gone.
pub(crate) struct Loss {
    pub(crate) column: Option<String>,
    pub(crate) rows: i64,
    pub(crate) what: String,
}

impl Rebuilt {
    pub(crate) fn new(dropped: DroppedTable, before: Table) -> Self {
        Rebuilt { dropped, before, same: BTreeSet::new(), reset: Vec::new() }
    }

    /// Compares values while the old table is still there, and the new one is already: later
    /// there are only counts. A column that is all as its DEFAULT wants it is the one in question.
    pub(crate) fn look_at_both(
        &mut self,
        conn: &Connection,
        old: &str,
        new: &str,
    ) -> rusqlite::Result<()> {
        let Some(heir) = Table::read(conn, new)? else { return Ok(()) };
        for (column, _) in heir.with_values() {
            let Some(default) = table::default_of(conn, new, column)? else { continue };
            if table::has_other_than(conn, new, column, &default)? {
                continue;
            }
            for (before, _) in self.before.with_values() {
                let other = table::has_other_than(conn, old, before, &default)?;
                if !other {
                    self.same.insert((before.clone(), column.clone()));
                } else if before == column {
                    self.reset.push(column.clone());
                }
            }
        }
        Ok(())
    }

    /// How many of its rows another table does not have, which was there before with rows of its
    /// own: then their number says nothing.
    pub(crate) fn missing_in(
        &self,
        conn: &Connection,
        old: &str,
        other: &str,
    ) -> rusqlite::Result<i64> {
        let (ours, theirs) = (table::columns(conn, old)?, table::columns(conn, other)?);
        let common: Vec<String> = ours
            .iter()
            .filter(|column| theirs.iter().any(|other| other.eq_ignore_ascii_case(column)))
            .map(|column| quoted(column))
            .collect();
        if common.is_empty() {
            return Ok(self.before.rows);
        }
        let (columns, old, other) = (common.join(", "), quoted(old), quoted(other));
        let sql = format!(
            "SELECT count(*) FROM (SELECT {columns} FROM main.{old}
                                   EXCEPT SELECT {columns} FROM main.{other})"
        );
        conn.query_row(&sql, [], |row| row.get(0))
    }

    /// Rows, and columns with values, that the new table lacks. A column may be there under another
    /// name if the script `names` it.
    pub(crate) fn losses(
        &self,
        conn: &Connection,
        now: &Table,
        names: impl Fn(&str) -> bool,
    ) -> rusqlite::Result<Vec<Loss>> {
        let name = &self.before.name;
        let mut losses = Vec::new();
        if now.rows < self.before.rows {
            losses.push(Loss {
                column: None,
                rows: self.before.rows - now.rows,
                what: format!("leave `{name}` with {} of {}", now.rows, shown(self.before.rows)),
            });
        }
        let may_be = |old: &str, new: &str| {
            let may_copy = !self.dropped.made || names(old);
            let same = || self.same.contains(&(old.to_owned(), new.to_owned()));
            Ok(may_copy && (same() || table::has_own(conn, &now.name, new)?))
        };
        for lost in self.before.lost_columns(now, may_be)? {
            let (column, had) = (&lost.name, shown(lost.values));
            let what = match lost.stays {
                true => format!(
                    "leave column `{column}` of `{name}` without a value, which had values in {had}"
                ),
                false => format!(
                    "leave `{name}` without its column `{column}`, which had values in {had}"
                ),
            };
            losses.push(Loss { column: Some(lost.name), rows: lost.values, what });
        }
        Ok(losses)
    }

    /// What else is not as it was.
    pub(crate) fn changes(
        &self,
        conn: &Connection,
        now: &Table,
        is_dropped: impl Fn(&str) -> bool,
    ) -> rusqlite::Result<Vec<String>> {
        let mut changes = self.before.lost_besides_rows(now, is_dropped);
        for column in &self.reset {
            if now.has_values_in(column) && !table::has_own(conn, &now.name, column)? {
                changes.push(format!("its column `{column}` has only its DEFAULT"));
            }
        }
        Ok(changes)
    }
}

pub(crate) fn shown(rows: i64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }
}
