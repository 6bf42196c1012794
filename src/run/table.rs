//! A table as it stands: its rows, the values in its columns, what hangs on it; and what it has lost.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

use crate::sql::quoted;
use crate::sql::token::{Kind, tokens};

/// A table as it stands.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) rows: i64,
    /// How many rows have a value in each column.
    filled: BTreeMap<String, i64>,
    /// Its indexes and triggers, as `index i`.
    objects: Vec<String>,
    checks: usize,
    sequence: Option<i64>,
}

impl Table {
    /// Reads a table in two queries: one over its part of the schema, one over its rows.
    pub(crate) fn read(conn: &Connection, name: &str) -> rusqlite::Result<Option<Self>> {
        let mut table = None;
        let mut objects = Vec::new();
        let mut parts = conn.prepare_cached(
            "SELECT type, name, sql FROM main.sqlite_master
             WHERE tbl_name = ?1 COLLATE NOCASE AND sql NOT NULL",
        )?;
        let mut rows = parts.query([name])?;
        while let Some(row) = rows.next()? {
            let (kind, part, sql): (String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            match kind.as_str() {
                "table" => table = Some((part, sql)),
                _ => objects.push(format!("{kind} {part}")),
            }
        }
        let Some((name, sql)) = table else { return Ok(None) };
        let columns = columns(conn, &name)?;
        let (rows, filled) = counts(conn, &name, &columns)?;
        let sequence = if has_word(&sql, "AUTOINCREMENT") { sequence(conn, &name)? } else { None };
        let checks = words(&sql, "CHECK");
        Ok(Some(Table { name, rows, filled, objects, checks, sequence }))
    }

    /// Columns that had values and are gone. A column that is new and has as many values or more
    /// may be the old one under another name, where the script may have copied that.
    pub(crate) fn lost_columns(
        &self,
        now: &Table,
        may_copy: impl Fn(&str) -> bool,
    ) -> Vec<(String, i64)> {
        let mut new: Vec<i64> = now
            .filled
            .iter()
            .filter(|(column, _)| !self.filled.contains_key(*column))
            .map(|(_, filled)| *filled)
            .collect();
        let mut lost = Vec::new();
        for (column, &filled) in &self.filled {
            if filled == 0 || now.filled.contains_key(column) {
                continue;
            }
            let successor = new.iter().position(|&other| other >= filled);
            match successor.filter(|_| may_copy(column)) {
                Some(successor) => drop(new.swap_remove(successor)),
                None => lost.push((column.clone(), filled)),
            }
        }
        lost
    }

    pub(crate) fn lost_besides_rows(
        &self,
        now: &Table,
        is_dropped: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut lost: Vec<String> = self
            .objects
            .iter()
            .filter(|object| !now.objects.contains(object) && !is_dropped(object))
            .map(|object| format!("its {object} is gone"))
            .collect();
        if now.checks < self.checks {
            lost.push(format!("it has {} CHECK of {}", now.checks, self.checks));
        }
        if let Some(before) = self.sequence
            && now.sequence.is_none_or(|now| now < before)
        {
            lost.push(format!("AUTOINCREMENT has forgotten {before}, and gives ids again"));
        }
        for (column, &filled) in &self.filled {
            match now.filled.get(column) {
                Some(&left) if left < filled && now.rows >= self.rows => {
                    lost.push(format!("its column `{column}` has {left} values of {filled}"));
                }
                _ => {}
            }
        }
        lost
    }
}

/// The rows of a table, and those with a value in each column. A query can have as many columns as
/// a table by default, 2,000, and the number of rows is one more.
fn counts(
    conn: &Connection,
    table: &str,
    columns: &[String],
) -> rusqlite::Result<(i64, BTreeMap<String, i64>)> {
    let (mut rows, mut filled) = (0, BTreeMap::new());
    for part in columns.chunks(1_000) {
        let counts: Vec<String> = part.iter().map(|c| format!(", count({})", quoted(c))).collect();
        let sql = format!("SELECT count(*){} FROM main.{}", counts.concat(), quoted(table));
        rows = conn.query_row(&sql, [], |row| {
            for (at, column) in part.iter().enumerate() {
                filled.insert(column.to_ascii_lowercase(), row.get(at + 1)?);
            }
            row.get(0)
        })?;
    }
    Ok((rows, filled))
}

fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        conn.prepare_cached("SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE hidden = 0")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect()
}

fn sequence(conn: &Connection, table: &str) -> rusqlite::Result<Option<i64>> {
    conn.query_row("SELECT seq FROM main.sqlite_sequence WHERE name = ?1", [table], |row| {
        row.get(0)
    })
    .optional()
}

fn words(sql: &str, keyword: &str) -> usize {
    let words = tokens(sql).filter(|token| token.kind == Kind::Word);
    words.filter(|token| token.text(sql).eq_ignore_ascii_case(keyword)).count()
}

pub(crate) fn has_word(sql: &str, keyword: &str) -> bool {
    words(sql, keyword) > 0
}
