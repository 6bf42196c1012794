//! A table as far as its rows are concerned: columns, what is said of their values, and whose rows
//! they refer to.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use rusqlite::types::Value;

use super::words;
use crate::sql::quoted;
use crate::sql::token::{Kind, tokens, unquoted};

/// What kind of value a column's declared type asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Integer,
    Truth,
    Real,
    Text,
    Time,
    Blob,
    Any,
}

impl Family {
    /// SQLite's rule, and what names mean to people: <https://sqlite.org/datatype3.html>.
    fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |word: &str| declared.contains(word);
        if has("BOOL") {
            Family::Truth
        } else if has("INT") {
            Family::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") || has("JSON") || has("UUID") {
            Family::Text
        } else if has("BLOB") {
            Family::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") || has("DEC") {
            Family::Real
        } else if has("DATE") || has("TIME") {
            Family::Time
        } else if declared.is_empty() || declared == "ANY" {
            Family::Any
        } else {
            Family::Integer
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) family: Family,
    pub(super) not_null: bool,
    pub(super) in_key: bool,
    /// Values that CHECKs and triggers speak of where they name it.
    pub(super) spoken_of: Vec<Value>,
    /// Whether a CHECK or trigger names it.
    pub(super) is_judged: bool,
}

/// A foreign key: our columns, by place, and the parent's.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) parent: String,
    pub(super) columns: Vec<usize>,
    pub(super) to: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) keys: Vec<Key>,
    /// The texts of it and all that stands on it.
    pub(super) signature: String,
    pub(super) is_virtual: bool,
    /// Whether it has AUTOINCREMENT.
    pub(super) counts_on: bool,
    /// The column that is the rowid, which SQLite numbers.
    pub(super) rowid: Option<usize>,
    /// Full text indexes whose content it is.
    pub(super) stands_for: Vec<String>,
    /// The columns of each CHECK, by place.
    pub(super) checks: Vec<(String, Vec<usize>)>,
}

impl Table {
    pub(super) fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    pub(super) fn count(&self, conn: &Connection) -> rusqlite::Result<i64> {
        let sql = format!("SELECT count(*) FROM main.{}", quoted(&self.name));
        conn.query_row(&sql, [], |row| row.get(0))
    }

    /// Whether a row may do without what this key refers to.
    fn may_lack(&self, key: &Key) -> bool {
        let mut columns = key.columns.iter().filter_map(|at| self.columns.get(*at));
        columns.any(|column| !column.not_null && !column.in_key)
    }

    pub(super) fn at(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known.name.eq_ignore_ascii_case(column))
    }
}

/// Every table that can have rows, those that others refer to first.
pub(super) fn in_order(
    conn: &Connection,
    is_ours: impl Fn(&str) -> bool,
) -> rusqlite::Result<Vec<Table>> {
    let shadows = crate::schema::shadows(conn)?;
    let mut texts: BTreeMap<String, (Option<String>, String, Vec<String>)> = BTreeMap::new();
    let mut statement = conn.prepare(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_master WHERE sql IS NOT NULL
         ORDER BY type = 'table' DESC, name",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        let (on, sql): (String, String) = (row.get(2)?, row.get(3)?);
        let is_shadow = shadows.contains(&on.to_ascii_lowercase());
        let head = on.get(..7).unwrap_or_default();
        if is_shadow || is_ours(&on) || head.eq_ignore_ascii_case("sqlite_") {
            continue;
        }
        let entry = texts.entry(on.to_ascii_lowercase()).or_default();
        match kind.as_str() {
            "table" => (entry.0, entry.1) = (Some(name), sql),
            "index" | "trigger" => entry.2.push(sql),
            _ => {}
        }
    }
    let mut tables = Vec::new();
    let contents = contents(texts.values().map(|(name, sql, _)| (name.as_deref(), sql.as_str())));
    for (key, (name, sql, others)) in texts {
        let Some(name) = name else { continue };
        // What stands for another table's rows is filled with that.
        let stands_for = contents.iter().filter(|(content, _)| *content == key);
        let stands_for = stands_for.map(|(_, index)| index.clone()).collect();
        if !contents.iter().any(|(_, index)| *index == name) {
            tables.push(read(conn, name, &sql, &others, stands_for)?);
        }
    }
    Ok(sorted(tables))
}

/// Full text indexes with `content=`: the table, in lower case, and the index.
fn contents<'a>(tables: impl Iterator<Item = (Option<&'a str>, &'a str)>) -> Vec<(String, String)> {
    let of = |(name, sql): (Option<&str>, &str)| {
        is_virtual(sql).then_some(())?;
        let words: Vec<String> = tokens(sql)
            .filter(|token| token.is_significant())
            .map(|token| unquoted(token.text(sql)))
            .collect();
        let at = words.windows(2).position(|pair| match pair {
            [option, equals] => option.eq_ignore_ascii_case("content") && equals == "=",
            _ => false,
        })?;
        let content = words.get(at + 2).filter(|content| !content.is_empty())?;
        Some((content.to_ascii_lowercase(), name?.to_owned()))
    };
    tables.filter_map(of).collect()
}

fn is_virtual(sql: &str) -> bool {
    let mut words = tokens(sql).filter(|token| token.kind == Kind::Word).map(|t| t.text(sql));
    words.nth(1).is_some_and(|word| word.eq_ignore_ascii_case("VIRTUAL"))
}

fn read(
    conn: &Connection,
    name: String,
    sql: &str,
    others: &[String],
    stands_for: Vec<String>,
) -> rusqlite::Result<Table> {
    let refuses = |sql: &&String| is_trigger(sql) && words::names(sql).iter().any(|w| w == "raise");
    let triggers: Vec<&String> = others.iter().filter(refuses).collect();
    let checks = words::checks(sql);
    let mut columns = Vec::new();
    let mut declared = Vec::new();
    let mut statement = conn.prepare(
        "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1, 'main')",
    )?;
    let mut rows = statement.query([&name])?;
    while let Some(row) = rows.next()? {
        let hidden: i64 = row.get(4)?;
        if hidden != 0 {
            continue;
        }
        let (column, kind): (String, String) = (row.get(0)?, row.get(1)?);
        let lower = column.to_ascii_lowercase();
        let judges = checks.iter().chain(triggers.iter().copied());
        let judges: Vec<&String> =
            judges.filter(|text| words::names(text).contains(&lower)).collect();
        columns.push(Column {
            family: Family::of(&kind),
            not_null: row.get(2)?,
            in_key: row.get::<_, i64>(3)? > 0,
            spoken_of: judges.iter().flat_map(|text| words::values(text)).take(16).collect(),
            is_judged: !judges.is_empty(),
            name: column,
        });
        declared.push(kind);
    }
    let in_key: Vec<usize> =
        (0..columns.len()).filter(|at| columns.get(*at).is_some_and(|c| c.in_key)).collect();
    let rowid = match in_key.as_slice() {
        [only] => {
            declared.get(*only).filter(|kind| kind.eq_ignore_ascii_case("INTEGER")).map(|_| *only)
        }
        _ => None,
    };
    let words: Vec<String> = words::names(sql);
    let mut table = Table {
        keys: Vec::new(),
        signature: format!("{sql}\n{}", others.join("\n")),
        is_virtual: is_virtual(sql),
        counts_on: words.iter().any(|word| word == "autoincrement"),
        rowid,
        stands_for,
        checks: Vec::new(),
        columns,
        name,
    };
    table.checks = checks
        .into_iter()
        .map(|text| {
            let named = words::names(&text);
            let places = named.iter().filter_map(|name| table.at(name)).collect();
            (text, places)
        })
        .collect();
    table.keys = keys(conn, &table)?;
    Ok(table)
}

fn is_trigger(sql: &str) -> bool {
    let mut words = tokens(sql).filter(|token| token.kind == Kind::Word).map(|t| t.text(sql));
    words.by_ref().take(3).any(|word| word.eq_ignore_ascii_case("TRIGGER"))
}

/// A parent, our columns, and its columns where they are named.
type ReadKey = (String, Vec<usize>, Vec<Option<String>>);

fn keys(conn: &Connection, table: &Table) -> rusqlite::Result<Vec<Key>> {
    let mut statement = conn.prepare(
        "SELECT id, \"table\", \"from\", \"to\" FROM pragma_foreign_key_list(?1, 'main')
         ORDER BY id, seq",
    )?;
    let mut found: BTreeMap<i64, ReadKey> = BTreeMap::new();
    let mut rows = statement.query([&table.name])?;
    while let Some(row) = rows.next()? {
        let from: String = row.get(2)?;
        let key = found.entry(row.get(0)?).or_default();
        key.0 = row.get(1)?;
        key.1.extend(table.at(&from));
        key.2.push(row.get(3)?);
    }
    let mut keys = Vec::new();
    for (parent, columns, to) in found.into_values() {
        let to = match to.into_iter().collect::<Option<Vec<String>>>() {
            Some(to) => to,
            None => primary_key(conn, &parent)?,
        };
        keys.push(Key { parent, columns, to });
    }
    Ok(keys)
}

fn primary_key(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE pk > 0 ORDER BY pk";
    let mut statement = conn.prepare(sql)?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect()
}

/// Parents first. Of tables that refer to each other the first comes first, by name, that can be
/// without the others.
fn sorted(mut tables: Vec<Table>) -> Vec<Table> {
    let mut order = Vec::with_capacity(tables.len());
    let mut placed: BTreeSet<String> = BTreeSet::new();
    while !tables.is_empty() {
        let names: BTreeSet<String> = tables.iter().map(Table::key).collect();
        let waits_for = |table: &Table, key: &Key| {
            let parent = key.parent.to_ascii_lowercase();
            parent != table.key() && names.contains(&parent) && !placed.contains(&parent)
        };
        let waits = |table: &Table| table.keys.iter().any(|key| waits_for(table, key));
        let can_begin = |table: &Table| {
            table.keys.iter().all(|key| !waits_for(table, key) || table.may_lack(key))
        };
        let begins = tables.iter().position(can_begin).unwrap_or(0);
        let (waiting, ready): (Vec<Table>, Vec<Table>) = tables.into_iter().partition(waits);
        tables = waiting;
        if ready.is_empty() {
            // A circle: somebody has to begin, best one that need not refer to the others.
            let first = tables.remove(begins);
            placed.insert(first.key());
            order.push(first);
        }
        placed.extend(ready.iter().map(Table::key));
        order.extend(ready);
    }
    order
}
