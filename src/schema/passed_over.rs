//! What a database holds that is nobody's schema: SQLite's own, shadow tables, ledgers,
//! Litestream's; and the names that a glob stands for.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::read::virtual_table;
use super::table::{Body, Table};
use super::{Objects, folded};
use crate::error::is_about_sql;
use crate::ledger::{adopt, foreign};
use crate::sql::token::unquoted;

/// The tables that the modules that come with SQLite keep for themselves, by the end of their
/// names: <https://sqlite.org/vtab.html#xshadowname>.
const SHADOWS: [(&str, &[&str]); 6] = [
    ("fts3", &["content", "segments", "segdir", "docsize", "stat"]),
    ("fts4", &["content", "segments", "segdir", "docsize", "stat"]),
    ("fts5", &["data", "idx", "content", "docsize", "config"]),
    ("geopoly", &["node", "parent", "rowid"]),
    ("rtree", &["node", "parent", "rowid"]),
    ("rtree_i32", &["node", "parent", "rowid"]),
];

/// Takes out what does not count.
pub(super) fn forget(conn: &Connection, objects: &mut Objects) -> rusqlite::Result<()> {
    let mut passed: BTreeSet<String> = ledgers(objects);
    let mut unknown = false;
    for (name, table) in &objects.tables {
        if matches(name, "_litestream_*") {
            passed.insert(name.clone());
        }
        match parts(name, &table.body) {
            Parts::Known(parts) => passed.extend(parts),
            Parts::Unknown => {
                let start = format!("{name}_");
                let next = objects.tables.range(start.clone()..).next();
                unknown |= next.is_some_and(|(table, _)| table.starts_with(&start));
            }
        }
    }
    if unknown {
        passed.extend(listed(conn)?);
    }
    objects.remove(|name| passed.contains(name));
    Ok(())
}

/// The tables of `main` that virtual tables keep for themselves, in lower case. How many rows these
/// have is their module's affair.
pub(crate) fn shadows(conn: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let (mut shadows, mut unknown) = (BTreeSet::new(), false);
    for (name, body) in virtual_tables(conn)? {
        match parts(&folded(&name), &body) {
            Parts::Known(parts) => shadows.extend(parts),
            Parts::Unknown => unknown |= has_tables_named_after(conn, &name)?,
        }
    }
    if unknown {
        shadows.extend(listed(conn)?);
    }
    Ok(shadows)
}

fn has_tables_named_after(conn: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (
                   SELECT 1 FROM main.sqlite_master
                   WHERE type = 'table' AND substr(name, 1, length(?1)) = ?1 COLLATE NOCASE
               )";
    conn.query_row(sql, [format!("{name}_")], |row| row.get(0))
}

/// The virtual tables of `main` whose rows are in them and nowhere else, as far as they are of a
/// module that comes with SQLite.
pub(crate) fn keepers(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let keeps = |body: &Body| match body {
        Body::Virtual { module, arguments } => {
            SHADOWS.iter().any(|(known, _)| known == module) && !says_content(arguments.key())
        }
        Body::Rows(_) => false,
    };
    let keepers = virtual_tables(conn)?.into_iter().filter(|(_, body)| keeps(body));
    Ok(keepers.map(|(name, _)| name).collect())
}

fn virtual_tables(conn: &Connection) -> rusqlite::Result<Vec<(String, Body)>> {
    let mut statement = conn.prepare(
        "SELECT name, sql FROM main.sqlite_master
         WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%'",
    )?;
    let rows = statement.query_map([], |row| {
        let sql: String = row.get(1)?;
        Ok((row.get(0)?, virtual_table(&sql)))
    })?;
    rows.collect()
}

/// What a table keeps beside itself.
enum Parts {
    Known(Vec<String>),
    /// That is for its module to say.
    Unknown,
}

fn parts(name: &str, body: &Body) -> Parts {
    let Body::Virtual { module, arguments } = body else { return Parts::Known(Vec::new()) };
    let Some((_, ends)) = SHADOWS.iter().find(|(known, _)| known == module) else {
        return Parts::Unknown;
    };
    // A search index with a content of the application's own has none itself.
    let own = says_content(arguments.key());
    let ends = ends.iter().filter(|end| !(own && **end == "content"));
    Parts::Known(ends.map(|end| format!("{name}_{end}")).collect())
}

/// Those of modules that are not SQLite's, as far as this connection has the module. A release
/// before 3.37 cannot tell them.
fn listed(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'";
    let list = || {
        let mut statement = conn.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok(folded(&row.get::<_, String>(0)?)))?;
        rows.collect()
    };
    match list() {
        Err(error) if is_about_sql(&error) => Ok(Vec::new()),
        names => names,
    }
}

/// Whether an argument of a search index is `content=`.
fn says_content(arguments: &str) -> bool {
    let mut before = "";
    arguments.split('\0').any(|token| {
        let is = token == "=" && unquoted(before).eq_ignore_ascii_case("content");
        before = token;
        is
    })
}

fn ledgers(objects: &Objects) -> BTreeSet<String> {
    let with_rows = objects.tables.iter().filter_map(|(name, table)| {
        let columns = &table.rows()?.columns;
        Some((name.as_str(), columns.iter().map(|column| column.name.as_str()).collect()))
    });
    let with_rows: Vec<(&str, Vec<&str>)> = with_rows.collect();
    let others = with_rows.iter().filter(|(name, columns)| adopt::is_ledger(name, columns));
    let others: Vec<String> = others.map(|(name, _)| (*name).to_owned()).collect();
    foreign::of_any_prefix(with_rows.into_iter()).into_iter().chain(others).collect()
}

/// Whether a name is what a glob stands for: `*` is any text, `?` any character; ASCII letters are
/// the same in either case.
pub(super) fn matches(name: &str, glob: &str) -> bool {
    let name: Vec<char> = name.chars().map(|c| c.to_ascii_lowercase()).collect();
    let glob: Vec<char> = glob.chars().map(|c| c.to_ascii_lowercase()).collect();
    let (mut at, mut wanted) = (0, 0);
    // Where the last star stands, and how far into the name it reaches so far.
    let mut star = None;
    while let Some(here) = name.get(at) {
        match glob.get(wanted) {
            Some('*') => {
                star = Some((wanted, at));
                wanted += 1;
            }
            Some(c) if *c == '?' || c == here => (at, wanted) = (at + 1, wanted + 1),
            _ => {
                let Some((place, reach)) = star else { return false };
                star = Some((place, reach + 1));
                (at, wanted) = (reach + 1, place + 1);
            }
        }
    }
    glob.iter().skip(wanted).all(|c| *c == '*')
}

impl Objects {
    /// Takes out objects by name, and with a table or view what hangs on it.
    pub(super) fn remove(&mut self, is: impl Fn(&str) -> bool) {
        self.tables.retain(|name, _: &mut Table| !is(name));
        self.views.retain(|name, _| !is(name));
        self.indexes.retain(|name, index| !is(name) && !is(&folded(&index.table)));
        self.triggers.retain(|name, trigger| !is(name) && !is(&folded(&trigger.table)));
    }
}
