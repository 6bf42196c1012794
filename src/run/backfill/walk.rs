//! Walks a table in the order of its key, a batch at a time.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};

use super::super::statements::shown;
use crate::error::is_about_sql;
use crate::migration::BoxError;
use crate::seed::{CursorFault, Update, kind};
use crate::sql::quoted;
use crate::sql::token::{Kind, Token, tokens, unquoted};

/// A table, and the columns by which its rows are told apart and put in order.
pub(super) struct Walk<'u> {
    update: &'u Update,
    table: String,
    /// Quoted, after the table's name.
    key: Vec<String>,
    is_rowid: bool,
}

/// What one batch did.
pub(super) struct Walked {
    pub(super) next: Option<Value>,
    pub(super) rows: u64,
    /// The row, where it was told to do one.
    pub(super) row: Option<Value>,
}

/// Why a batch could not be done.
pub(super) enum WalkFailure {
    /// Whatever row it is at: the table is gone, the text does not compile.
    Anyhow(BoxError),
    /// Some row of the batch; where that has only one, this one.
    Row(rusqlite::Error, Option<Value>),
    Cursor(CursorFault),
}

impl From<rusqlite::Error> for WalkFailure {
    fn from(error: rusqlite::Error) -> Self {
        WalkFailure::Anyhow(error.into())
    }
}

impl<'u> Walk<'u> {
    /// Looks at the table. It is looked at anew for each batch: somebody may have rebuilt it.
    pub(super) fn of(conn: &Connection, update: &'u Update) -> Result<Self, WalkFailure> {
        let table = unquoted(&update.table);
        let there =
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
        let table: Option<String> = conn.query_row(there, [&table], |row| row.get(0)).optional()?;
        let Some(table) = table else {
            let why = format!("there is no table `{}`", update.table);
            return Err(WalkFailure::Anyhow(why.into()));
        };
        let key = key(conn, &table)?;
        refuse_loose(&update.set)?;
        refuse_loose(&update.filter)?;
        let sets = columns_set(&update.set);
        let all_columns = |name: &String| key.same(name);
        if let Some(column) = sets.iter().find(|name| all_columns(name)) {
            let why = format!("it sets `{column}`, which is part of the key that it walks by");
            return Err(WalkFailure::Anyhow(why.into()));
        }
        let table = quoted(&table);
        // With the table's name: the text may read others that have a column of that name.
        let columns = key.columns.iter().map(|column| format!("{table}.{}", quoted(column)));
        let (columns, table) = (columns.collect(), format!("main.{table}"));
        Ok(Walk { update, table, key: columns, is_rowid: key.is_rowid })
    }

    /// Updates the next rows of the table, as many as it is told, whether the filter lets them
    /// through or not: a batch has an end also where hardly any row is to be changed.
    pub(super) fn batch(
        &self,
        conn: &Connection,
        after: Option<&Value>,
        rows: u32,
    ) -> Result<Walked, WalkFailure> {
        let after =
            after.map(|cursor| self.decode(cursor)).transpose().map_err(WalkFailure::Cursor)?;
        if let Some([cursor]) = after.as_deref() {
            self.refuse_other_type(conn, cursor)?;
        }
        let until = self.place(conn, after.as_deref(), rows)?;
        let mut bounds = Vec::new();
        let mut values: Vec<&Value> = Vec::new();
        if let Some(after) = &after {
            bounds.push(self.bound(">", 1));
            values.extend(after);
        }
        if let Some(until) = &until {
            bounds.push(self.bound("<=", values.len() + 1));
            values.extend(until);
        }
        let filter = self.update.filter.trim();
        if !filter.is_empty() {
            bounds.push(format!("({filter}\n)"));
        }
        let bounds = if bounds.is_empty() { "1".to_owned() } else { bounds.join(" AND ") };
        let sql = format!("UPDATE {} SET {}\nWHERE {bounds}", self.table, self.update.set);
        let mut update = conn.prepare(&sql)?;
        let row = match (rows, &until) {
            (1, Some(until)) => Some(encode(until)),
            (1, None) => self.keys(conn, after.as_deref(), 1)?.first().map(|row| encode(row)),
            _ => None,
        };
        match update.execute(params_from_iter(values)) {
            Ok(changed) => Ok(Walked {
                next: until.map(|until| encode(&until)),
                rows: u64::try_from(changed).unwrap_or(u64::MAX),
                row,
            }),
            Err(error) => Err(WalkFailure::Row(error, row)),
        }
    }

    /// The key of the row so many rows further; `None` where none comes after that.
    fn place(
        &self,
        conn: &Connection,
        after: Option<&[Value]>,
        rows: u32,
    ) -> Result<Option<Vec<Value>>, WalkFailure> {
        let mut keys = self.keys(conn, after, rows)?.into_iter();
        Ok(keys.next().filter(|_| keys.next().is_some()))
    }

    /// The keys of the row so many rows further and of the one after it, as far as they are there.
    fn keys(
        &self,
        conn: &Connection,
        after: Option<&[Value]>,
        rows: u32,
    ) -> Result<Vec<Vec<Value>>, WalkFailure> {
        let columns = self.key.join(", ");
        let bound = after.map(|_| format!("WHERE {}", self.bound(">", 1))).unwrap_or_default();
        let sql = format!(
            "SELECT {columns} FROM {} {bound} ORDER BY {columns} LIMIT 2 OFFSET {}",
            self.table,
            rows.saturating_sub(1)
        );
        let values = |row: &Row<'_>| (0..self.key.len()).map(|at| row.get(at)).collect();
        let mut query = conn.prepare(&sql)?;
        let keys = query.query_map(params_from_iter(after.unwrap_or_default()), values)?;
        Ok(keys.collect::<rusqlite::Result<_>>()?)
    }

    /// `key > ?1`, or a [row value](https://sqlite.org/rowvalue.html) of several columns.
    fn bound(&self, comparison: &str, first: usize) -> String {
        let values: Vec<String> =
            (first..first + self.key.len()).map(|n| format!("?{n}")).collect();
        match self.key.as_slice() {
            [column] => format!("{column} {comparison} {}", values.concat()),
            columns => format!("({}) {comparison} ({})", columns.join(", "), values.join(", ")),
        }
    }

    fn decode(&self, cursor: &Value) -> Result<Vec<Value>, CursorFault> {
        if self.key.len() == 1 {
            return Ok(vec![cursor.clone()]);
        }
        let stored = kind(cursor);
        let Value::Text(text) = cursor else { return Err(CursorFault::OtherKey { stored }) };
        let values = decode(text).filter(|values| values.len() == self.key.len());
        values.ok_or(CursorFault::OtherKey { stored })
    }

    /// A table that was rebuilt with another kind of key has no rows beyond a cursor of the old
    /// kind, or others than are left: SQLite puts all numbers before all texts.
    fn refuse_other_type(&self, conn: &Connection, cursor: &Value) -> Result<(), WalkFailure> {
        let key = self.key.concat();
        let mut is_empty = true;
        for (comparison, order) in [("<=", "DESC"), (">", "ASC")] {
            let sql = format!(
                "SELECT {key} FROM {} WHERE {key} {comparison} ?1 ORDER BY {key} {order} LIMIT 1",
                self.table
            );
            let row = conn.query_row(&sql, [cursor], |row| row.get(0)).optional()?;
            let Some(neighbour): Option<Value> = row else { continue };
            if class(&neighbour) == class(cursor) {
                return Ok(());
            }
            is_empty = false;
        }
        let is_number = matches!(cursor, Value::Integer(_));
        match is_empty && (is_number || !self.is_rowid) {
            true => Ok(()),
            false => Err(WalkFailure::Cursor(CursorFault::OtherKey { stored: kind(cursor) })),
        }
    }
}

/// A key as a person reads it.
pub(super) fn shown_key(cursor: &Value) -> String {
    if let Value::Text(text) = cursor
        && let Some(values) = decode(text)
        && values.len() > 1
    {
        let parts: Vec<String> = values.iter().map(|value| shown(value.into())).collect();
        return format!("({})", parts.join(", "));
    }
    shown(cursor.into())
}

/// Numbers of both kinds are put in order among each other.
fn class(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    }
}

struct Key {
    columns: Vec<String>,
    /// Whether the one column is the rowid under a name of its own or of SQLite's.
    is_rowid: bool,
    /// Names that mean the rowid, and no column of that name.
    rowids: Vec<&'static str>,
}

const ROWIDS: [&str; 3] = ["rowid", "_rowid_", "oid"];

impl Key {
    fn same(&self, column: &str) -> bool {
        let mut rowids = self.rowids.iter();
        let rowid = self.is_rowid && rowids.any(|name| name.eq_ignore_ascii_case(column));
        rowid || self.columns.iter().any(|own| own.eq_ignore_ascii_case(column))
    }
}

/// The primary key, or the rowid where there is none or it may hold NULL, of which SQLite allows
/// several: <https://sqlite.org/lang_createtable.html#the_primary_key>.
fn key(conn: &Connection, table: &str) -> Result<Key, WalkFailure> {
    let mut statement = conn
        .prepare("SELECT name, pk, \"notnull\" FROM pragma_table_xinfo(?1, 'main') ORDER BY pk")?;
    let columns: Vec<(String, u32, bool)> = statement
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let primary = || columns.iter().filter(|(_, pk, _)| *pk > 0);
    let names = || primary().map(|(name, ..)| name.clone()).collect::<Vec<String>>();
    let taken = |name: &str| columns.iter().any(|(its, ..)| its.eq_ignore_ascii_case(name));
    let rowids: Vec<&str> = ROWIDS.into_iter().filter(|name| !taken(name)).collect();
    let free = rowids.first().copied();
    // A table WITHOUT ROWID has no such column, and a free name of it does not compile.
    let rowid = |name: &str| match conn
        .prepare(&format!("SELECT {name} FROM main.{} LIMIT 0", quoted(table)))
    {
        Ok(_) => Ok(true),
        Err(error) if is_about_sql(&error) => Ok(false),
        Err(error) => Err(error),
    };
    let has_rowid = free.map_or(Ok(true), rowid)?;
    let indexed: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1, 'main') WHERE origin = 'pk')",
        [table],
        |row| row.get(0),
    )?;
    let count = primary().count();
    if !has_rowid {
        return Ok(Key { columns: names(), is_rowid: false, rowids });
    }
    if count == 1 && !indexed {
        return Ok(Key { columns: names(), is_rowid: true, rowids });
    }
    if count > 0 && primary().all(|(_, _, not_null)| *not_null) {
        return Ok(Key { columns: names(), is_rowid: false, rowids });
    }
    match free {
        Some(name) => Ok(Key { columns: vec![name.to_owned()], is_rowid: true, rowids }),
        None => {
            let why = format!(
                "`{table}` has columns called rowid, _rowid_ and oid, and no other key to walk by"
            );
            Err(WalkFailure::Anyhow(why.into()))
        }
    }
}

/// What reaches out of its part of the statement would reach out of the bounds of its batch, and
/// a parameter would be bound to them.
fn refuse_loose(sql: &str) -> Result<(), WalkFailure> {
    let refused = |why: String| Err(WalkFailure::Anyhow(why.into()));
    let mut depth = 0_i32;
    for token in tokens(sql) {
        let text = token.text(sql);
        match text {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if token.kind == Kind::Semicolon {
            return refused(format!("`{sql}` is more than a part of one statement"));
        }
        if token.kind == Kind::Value && text.starts_with(['?', ':', '@', '$']) {
            let why = "there is nothing to bind to the parameters of its SQL";
            return refused(format!("{why}: `{text}`"));
        }
        if depth < 0 || is_open(token.kind, text) {
            depth = -1;
            break;
        }
    }
    if depth == 0 {
        return Ok(());
    }
    refused(format!("`{sql}` has a parenthesis, a quote or a comment without its other end"))
}

/// Whether a token ends only because the text does.
fn is_open(kind: Kind, text: &str) -> bool {
    match (kind, text.chars().next()) {
        (Kind::Comment, Some('/')) => text.len() < 4 || !text.ends_with("*/"),
        (_, Some('[')) => !text.ends_with(']'),
        (_, Some(quote @ ('\'' | '"' | '`'))) => text.matches(quote).count() % 2 == 1,
        _ => false,
    }
}

/// The columns that stand before the `=` of each assignment.
fn columns_set(sql: &str) -> Vec<String> {
    let significant: Vec<Token> = tokens(sql).filter(|token| token.is_significant()).collect();
    let mut found = Vec::new();
    let mut depth = 0_u32;
    let mut left = true;
    for token in significant {
        match token.text(sql) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            "=" if depth == 0 => left = false,
            "," if depth == 0 => left = true,
            text if left && matches!(token.kind, Kind::Word | Kind::Quoted | Kind::Text) => {
                found.push(unquoted(text));
            }
            _ => {}
        }
    }
    found
}

/// Several values as one text: each with its kind, and its length where it could hold anything.
/// A single one is stored as it is.
fn encode(values: &[Value]) -> Value {
    if let [value] = values {
        return value.clone();
    }
    let mut text = String::new();
    for value in values {
        match value {
            Value::Null => text.push('n'),
            Value::Integer(number) => text.push_str(&format!("i{number};")),
            Value::Real(number) => text.push_str(&format!("r{};", number.to_bits())),
            Value::Text(part) => text.push_str(&format!("t{}:{part}", part.len())),
            Value::Blob(bytes) => {
                text.push_str(&format!("b{}:", bytes.len() * 2));
                bytes.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
            }
        }
    }
    Value::Text(text)
}

fn decode(mut text: &str) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    while let Some(kind) = text.chars().next() {
        text = text.get(kind.len_utf8()..)?;
        let mut until = |mark: char| {
            let (head, tail) = text.split_once(mark)?;
            text = tail;
            Some(head)
        };
        values.push(match kind {
            'n' => Value::Null,
            'i' => Value::Integer(until(';')?.parse().ok()?),
            'r' => Value::Real(f64::from_bits(until(';')?.parse().ok()?)),
            't' | 'b' => {
                let length: usize = until(':')?.parse().ok()?;
                let (part, tail) = text.split_at_checked(length)?;
                text = tail;
                if kind == 't' { Value::Text(part.to_owned()) } else { Value::Blob(bytes(part)?) }
            }
            _ => return None,
        });
    }
    Some(values)
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(digits).collect()
}
