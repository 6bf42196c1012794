//! A table as it stands: its rows, the values in its columns, what hangs on it; and what it has lost.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

use crate::error::is_about_sql;
use crate::ledger::format::IS_OWN_TRIGGER;
use crate::schema::shadows;
use crate::sql::action::Name;
use crate::sql::quoted;
use crate::sql::token::{Kind, tokens, unquoted};

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
    /// Its rowids, summed up, where a search index refers to its rows by them.
    referred: Option<Referred>,
}

/// A virtual table that keeps no rows of its own and finds them in another table by rowid:
/// <https://sqlite.org/fts5.html#external_content_tables>.
struct Referred {
    by: String,
    rowids: (Option<i64>, f64, f64),
}

/// A column that had values and has none.
pub(crate) struct LostColumn {
    pub(crate) name: String,
    /// In how many rows it had one.
    pub(crate) values: i64,
    /// Whether the column itself is still there.
    pub(crate) stays: bool,
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
        let referred = if rows > 0 { referred(conn, &name)? } else { None };
        Ok(Some(Table { name, rows, filled, objects, checks, sequence, referred }))
    }

    /// The columns that have values, and in how many rows.
    pub(crate) fn with_values(&self) -> impl Iterator<Item = (&String, i64)> {
        self.filled.iter().map(|(column, values)| (column, *values)).filter(|(_, some)| *some > 0)
    }

    pub(crate) fn has_values_in(&self, column: &str) -> bool {
        self.filled.get(column).is_some_and(|values| *values > 0)
    }

    /// Whether it has more than another look at it has found, in rows or in any column.
    pub(crate) fn has_more_than(&self, other: &Table) -> bool {
        let more = |(column, values)| values > *other.filled.get(column).unwrap_or(&0);
        self.rows > other.rows || self.with_values().any(more)
    }

    /// Columns that had values and are gone, or are left without one. A column that has so many
    /// values more than before may hold them under another name, where the old one `may_be` it.
    pub(crate) fn lost_columns(
        &self,
        now: &Table,
        may_be: impl Fn(&str, &str) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<Vec<LostColumn>> {
        let more = |(column, values): (&String, i64)| {
            let more = values - self.filled.get(column).unwrap_or(&0);
            (more > 0).then(|| (column.clone(), more))
        };
        let mut grown: Vec<(String, i64)> = now.with_values().filter_map(more).collect();
        let mut lost = Vec::new();
        for (name, values) in self.with_values() {
            let left = now.filled.get(name);
            if left.is_some_and(|&left| left > 0 || now.rows == 0) {
                continue;
            }
            let mut successor = None;
            for (at, (column, more)) in grown.iter().enumerate() {
                if *more >= values && may_be(name, column)? {
                    successor = Some(at);
                    break;
                }
            }
            match successor {
                Some(successor) => drop(grown.swap_remove(successor)),
                None => lost.push(LostColumn { name: name.clone(), values, stays: left.is_some() }),
            }
        }
        Ok(lost)
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
        if let (Some(before), Some(now)) = (&self.referred, &now.referred)
            && before.rowids != now.rowids
        {
            let by = &before.by;
            lost.push(format!("its rows have other rowids, by which `{by}` refers to them"));
        }
        for (column, &filled) in &self.filled {
            match now.filled.get(column) {
                Some(&left) if 0 < left && left < filled && now.rows >= self.rows => {
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

pub(crate) fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        conn.prepare_cached("SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE hidden = 0")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect()
}

/// Whether a column has a value that its DEFAULT did not give it. Of a DEFAULT that is computed
/// nobody can tell.
pub(crate) fn has_own(conn: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    match default_of(conn, table, column)? {
        Some(default) => has_other_than(conn, table, column, &default),
        None => Ok(true),
    }
}

/// A column's DEFAULT as an expression, if it is a number or a string.
pub(crate) fn default_of(
    conn: &Connection,
    table: &str,
    column: &str,
) -> rusqlite::Result<Option<String>> {
    let sql =
        "SELECT dflt_value FROM pragma_table_xinfo(?1, 'main') WHERE name = ?2 COLLATE NOCASE";
    let default: Option<Option<String>> =
        conn.query_row(sql, [table, column], |row| row.get(0)).optional()?;
    Ok(default.flatten().as_deref().and_then(literal))
}

/// Whether a column has a value that is not this one.
pub(crate) fn has_other_than(
    conn: &Connection,
    table: &str,
    column: &str,
    value: &str,
) -> rusqlite::Result<bool> {
    let (table, column) = (quoted(table), quoted(column));
    let other = format!("{column} NOT NULL AND {column} IS NOT {value}");
    let any = format!("SELECT EXISTS (SELECT 1 FROM main.{table} WHERE {other})");
    conn.query_row(&any, [], |row| row.get(0))
}

/// A DEFAULT as an expression, if it is a number or a string. SQLite takes one in double quotes as
/// a string, which in an expression could be a column.
fn literal(default: &str) -> Option<String> {
    let significant: Vec<_> = tokens(default).filter(|token| token.is_significant()).collect();
    let (sign, token) = match significant.as_slice() {
        [token] => ("", token),
        [sign, token] if sign.text(default) == "-" => ("-", token),
        [sign, token] if sign.text(default) == "+" => ("", token),
        _ => return None,
    };
    let text = token.text(default);
    match token.kind {
        Kind::Text => Some(text.to_owned()),
        Kind::Quoted => Some(format!("'{}'", unquoted(text).replace('\'', "''"))),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            Some(format!("{sign}{text}"))
        }
        _ if text.eq_ignore_ascii_case("true") => Some("1".to_owned()),
        _ if text.eq_ignore_ascii_case("false") => Some("0".to_owned()),
        _ => None,
    }
}

fn sequence(conn: &Connection, table: &str) -> rusqlite::Result<Option<i64>> {
    conn.query_row("SELECT seq FROM main.sqlite_sequence WHERE name = ?1", [table], |row| {
        row.get(0)
    })
    .optional()
}

fn referred(conn: &Connection, table: &str) -> rusqlite::Result<Option<Referred>> {
    let mut virtual_tables = conn.prepare_cached(
        "SELECT name, sql FROM main.sqlite_master
         WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%' AND sql LIKE '%content%'",
    )?;
    let mut rows = virtual_tables.query([])?;
    while let Some(row) = rows.next()? {
        let (by, sql): (String, String) = (row.get(0)?, row.get(1)?);
        let mut words = tokens(&sql).filter(|token| token.is_significant());
        let content = words.by_ref().find(|token| token.text(&sql).eq_ignore_ascii_case("content"));
        let named = words.nth(1).map(|token| unquoted(token.text(&sql)));
        if content.is_some() && named.is_some_and(|name| name.eq_ignore_ascii_case(table)) {
            let sums = format!(
                "SELECT max(rowid), total(rowid), total(rowid * 1.0 * rowid) FROM main.{}",
                quoted(table)
            );
            let rowids =
                conn.query_row(&sums, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            return match rowids {
                Ok(rowids) => Ok(Some(Referred { by, rowids })),
                // A table WITHOUT ROWID has none: a key takes its place.
                Err(error) if is_about_sql(&error) => Ok(None),
                Err(error) => Err(error),
            };
        }
    }
    Ok(None)
}

fn words(sql: &str, keyword: &str) -> usize {
    let words = tokens(sql).filter(|token| token.kind == Kind::Word);
    words.filter(|token| token.text(sql).eq_ignore_ascii_case(keyword)).count()
}

pub(crate) fn has_word(sql: &str, keyword: &str) -> bool {
    words(sql, keyword) > 0
}

/// Where SQLite finds a table by its name: <https://sqlite.org/lang_naming.html>.
pub(crate) fn schema_of(conn: &Connection, table: &Name) -> rusqlite::Result<String> {
    match &table.schema {
        Some(schema) => Ok(schema.to_string()),
        None => found_in(conn, &table.name),
    }
}

/// The first database that has a table or view of this name, without regard to TEMP ones; `main` if
/// none has.
pub(crate) fn found_in(conn: &Connection, table: &str) -> rusqlite::Result<String> {
    let mut databases = conn.prepare_cached(
        "SELECT name FROM pragma_database_list WHERE name <> 'temp' ORDER BY seq",
    )?;
    let names = databases.query_map([], |row| row.get(0))?;
    for name in names.collect::<rusqlite::Result<Vec<String>>>()? {
        let any = format!(
            "SELECT EXISTS (SELECT 1 FROM {}.sqlite_master
                            WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view'))",
            quoted(&name)
        );
        if conn.query_row(&any, [table], |row| row.get(0))? {
            return Ok(name);
        }
    }
    Ok("main".to_owned())
}

/// Whether a view or trigger of the application's may read from a table, or write to it.
pub(crate) fn in_views(conn: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM main.sqlite_master
                        WHERE type IN ('view', 'trigger') AND instr(lower(sql), lower(?1))
                          AND NOT {IS_OWN_TRIGGER})
             OR EXISTS (SELECT 1 FROM temp.sqlite_master
                        WHERE type IN ('view', 'trigger') AND instr(lower(sql), lower(?1)))"
    );
    conn.query_row(&sql, [table], |row| row.get(0))
}

/// Whether a column is computed; `None` where there is none of this name.
pub(crate) fn is_generated(
    conn: &Connection,
    schema: &str,
    table: &str,
    column: &str,
) -> rusqlite::Result<Option<bool>> {
    let sql = "SELECT hidden <> 0 FROM pragma_table_xinfo(?1, ?3) WHERE name = ?2 COLLATE NOCASE";
    conn.query_row(sql, [table, column, schema], |row| row.get(0)).optional()
}

/// The tables in `main` that hold rows of the user's.
pub(crate) fn holding(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let shadows = shadows(conn)?;
    let mut names = plain(conn)?;
    names.retain(|name| !shadows.contains(&name.to_ascii_lowercase()));
    Ok(names)
}

/// How many rows there are in `main`, those that virtual tables keep included. SQLite goes over the
/// smallest index of each table.
pub(crate) fn count_rows(conn: &Connection) -> rusqlite::Result<u64> {
    let mut rows = 0;
    for name in plain(conn)? {
        let sql = format!("SELECT count(*) FROM main.{}", quoted(&name));
        rows += conn.query_row(&sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs();
    }
    Ok(rows)
}

/// The tables in `main` that are stored there, SQLite's own left out.
fn plain(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(
        "SELECT name FROM main.sqlite_master
         WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}
