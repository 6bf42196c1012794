//! What a database holds that is nobody's schema: SQLite's own, shadow tables, ledgers,
//! Litestream's; and the names that a glob stands for.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::table::{Body, Table};
use super::{Objects, folded};
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
        if let Body::Virtual { module, arguments } = &table.body {
            match SHADOWS.iter().find(|(known, _)| known == module) {
                Some((_, ends)) => {
                    // A search index with a content of the application's own has none itself.
                    let own = says_content(arguments.key());
                    let ends = ends.iter().filter(|end| !(own && **end == "content"));
                    passed.extend(ends.map(|end| format!("{name}_{end}")));
                }
                None => {
                    let start = format!("{name}_");
                    let next = objects.tables.range(start.clone()..).next();
                    unknown |= next.is_some_and(|(table, _)| table.starts_with(&start));
                }
            }
        }
    }
    if unknown {
        passed.extend(shadows(conn));
    }
    objects.remove(|name| passed.contains(name));
    Ok(())
}

/// Those of modules that are not SQLite's, as far as this connection has the module. A release
/// before 3.37 cannot tell them.
fn shadows(conn: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'";
    let Ok(mut statement) = conn.prepare(sql) else { return Vec::new() };
    match statement.query_map([], |row| row.get::<_, String>(0)) {
        Ok(rows) => rows.flatten().map(|name| folded(&name)).collect(),
        Err(_) => Vec::new(),
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
