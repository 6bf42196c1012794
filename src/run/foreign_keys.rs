//! Foreign keys after a run with enforcement off: only what is newly wrong counts.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash as _, Hasher as _};

use rusqlite::Connection;

use super::statements::shown;
use crate::error::{Error, Result};
use crate::sql::quoted;
use crate::sql::token::{Kind, tokens, unquoted};

/// Which tables a segment may have written to.
#[derive(Clone, Debug)]
pub(crate) enum Touched {
    /// It holds code, which can write anywhere.
    Everything,
    /// These, in lower case.
    Tables(BTreeSet<String>),
}

impl Touched {
    /// These, and whatever their triggers name. Asked once, before the segment runs: a trigger
    /// that it makes or drops must not change what is looked at before and after.
    pub(crate) fn with_triggers(self, conn: &Connection) -> Result<Self> {
        match self {
            Touched::Everything => Ok(Touched::Everything),
            Touched::Tables(tables) => with_triggers(conn, tables)
                .map(Touched::Tables)
                .map_err(Error::sqlite("reading triggers")),
        }
    }
}

/// A foreign key as declared.
#[derive(Clone, Debug)]
struct Key {
    child: String,
    id: i64,
    parent: String,
    columns: Vec<String>,
}

/// What was wrong with foreign keys at one time.
#[derive(Debug, Default)]
pub(crate) struct Wrongs {
    /// Rows that refer to nothing: how many have these values in this key, and one of them told.
    orphans: HashMap<Orphan, (usize, String)>,
    /// Keys that name a table that is not there, in lower case: child and parent.
    dangling: BTreeSet<(String, String)>,
    /// Keys that SQLite cannot check, with its reason.
    uncheckable: BTreeSet<(String, String)>,
    /// Every table that is there, in lower case.
    tables: BTreeSet<String>,
}

/// Rows are told apart by the values of their key, not by their rowid, which a rebuild may change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Orphan {
    child: String,
    parent: String,
    values: u64,
}

impl Wrongs {
    /// What is wrong in `main` with the keys of the touched tables and of their children.
    pub(crate) fn now(conn: &Connection, touched: &Touched) -> Result<Self> {
        find(conn, touched).map_err(Error::sqlite("checking foreign keys"))
    }

    /// What is wrong now and was not before: sentences. `renames` are the tables renamed in
    /// between: a row that was an orphan under the old name is none that is new.
    pub(crate) fn new_since(&self, before: &Wrongs, renames: &[(String, String)]) -> Vec<String> {
        let was = |name: &str| {
            let mut names = vec![name.to_owned()];
            for (from, to) in renames.iter().rev() {
                if names.contains(to) && !names.contains(from) {
                    names.push(from.clone());
                }
            }
            names
        };
        let count_before = |orphan: &Orphan| {
            let parents = was(&orphan.parent);
            let children = was(&orphan.child);
            let pairs = children.iter().flat_map(|child| {
                parents.iter().map(move |parent| (child.clone(), parent.clone()))
            });
            pairs
                .filter_map(|(child, parent)| {
                    before.orphans.get(&Orphan { child, parent, values: orphan.values })
                })
                .map(|(count, _)| *count)
                .max()
                .unwrap_or(0)
        };
        let mut sentences: Vec<String> = self
            .orphans
            .iter()
            .filter(|(orphan, (count, _))| *count > count_before(orphan))
            .map(|(_, (_, sentence))| sentence.clone())
            .collect();
        sentences.extend(
            self.uncheckable
                .difference(&before.uncheckable)
                .map(|(child, why)| format!("a key of {child} cannot be checked: {why}")),
        );
        sentences.sort();
        sentences
    }

    /// Keys that name a missing table now and did not before, in tables that were there before:
    /// a rename has rewritten them, or their parent was dropped.
    pub(crate) fn newly_dangling(&self, before: &Wrongs) -> Vec<String> {
        self.dangling
            .difference(&before.dangling)
            .filter(|(child, _)| before.tables.contains(child))
            .map(|(child, parent)| format!("{child} refers to {parent}, a table that is not there"))
            .collect()
    }
}

fn find(conn: &Connection, touched: &Touched) -> rusqlite::Result<Wrongs> {
    let mut wrongs = Wrongs { tables: table_names(conn)?, ..Wrongs::default() };
    let keys = keys(conn)?;
    if keys.is_empty() {
        return Ok(wrongs);
    }
    for key in &keys {
        let (child, parent) = (key.child.to_ascii_lowercase(), key.parent.to_ascii_lowercase());
        if !wrongs.tables.contains(&parent) {
            wrongs.dangling.insert((child, parent));
        }
    }
    let is_touched = |name: &str| match touched {
        Touched::Everything => true,
        Touched::Tables(tables) => tables.contains(&name.to_ascii_lowercase()),
    };
    let children: BTreeSet<&str> = keys
        .iter()
        .filter(|key| is_touched(&key.child) || is_touched(&key.parent))
        .map(|key| key.child.as_str())
        .collect();
    for child in children {
        let of_child: Vec<&Key> = keys.iter().filter(|key| key.child == child).collect();
        if let Err(error) = add_orphans(conn, child, &of_child, &mut wrongs) {
            wrongs.uncheckable.insert((child.to_ascii_lowercase(), error.to_string()));
        }
    }
    Ok(wrongs)
}

fn table_names(conn: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut names =
        conn.prepare("SELECT lower(name) FROM main.sqlite_master WHERE type = 'table'")?;
    let names = names.query_map([], |row| row.get(0))?;
    names.collect()
}

fn keys(conn: &Connection) -> rusqlite::Result<Vec<Key>> {
    let mut statement = conn.prepare(
        "SELECT m.name, k.id, k.\"table\", k.\"from\"
         FROM main.sqlite_master AS m, pragma_foreign_key_list(m.name, 'main') AS k
         WHERE m.type = 'table' ORDER BY m.name, k.id, k.seq",
    )?;
    let mut rows = statement.query([])?;
    let mut keys: Vec<Key> = Vec::new();
    while let Some(row) = rows.next()? {
        let (child, id, column): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(3)?);
        match keys.last_mut() {
            Some(key) if key.child == child && key.id == id => key.columns.push(column),
            _ => keys.push(Key { child, id, parent: row.get(2)?, columns: vec![column] }),
        }
    }
    Ok(keys)
}

/// The tables, and every table that a trigger on one of them names, and so on.
fn with_triggers(
    conn: &Connection,
    mut reached: BTreeSet<String>,
) -> rusqlite::Result<BTreeSet<String>> {
    let mut triggers: Vec<(String, String)> = {
        let mut statement = conn.prepare(
            "SELECT lower(tbl_name), sql FROM main.sqlite_master WHERE type = 'trigger'",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    loop {
        let before = triggers.len();
        triggers.retain(|(table, sql)| {
            if !reached.contains(table) {
                return true;
            }
            reached.extend(names(sql));
            false
        });
        if triggers.len() == before {
            return Ok(reached);
        }
    }
}

/// Every word of a statement that could be a table's name, in lower case.
pub(crate) fn names(sql: &str) -> impl Iterator<Item = String> {
    tokens(sql)
        .filter(|token| matches!(token.kind, Kind::Word | Kind::Quoted | Kind::Text))
        .map(|token| unquoted(token.text(sql)).to_ascii_lowercase())
}

/// `PRAGMA foreign_key_check`: <https://sqlite.org/pragma.html#pragma_foreign_key_check>.
fn add_orphans(
    conn: &Connection,
    child: &str,
    keys: &[&Key],
    wrongs: &mut Wrongs,
) -> rusqlite::Result<()> {
    let mut check = conn.prepare(&format!("PRAGMA main.foreign_key_check({})", quoted(child)))?;
    let rowid_name = rowid_name(conn, child)?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let (rowid, id): (Option<i64>, i64) = (row.get(1)?, row.get(3)?);
        let Some(key) = keys.iter().find(|key| key.id == id) else {
            continue;
        };
        let (values, shown) = match rowid.zip(rowid_name) {
            Some((rowid, name)) => key_values(conn, key, name, rowid)?,
            None => (0, "a row".to_owned()),
        };
        let orphan = Orphan {
            child: child.to_ascii_lowercase(),
            parent: key.parent.to_ascii_lowercase(),
            values,
        };
        let sentence = format!("{child} has {shown}, which is not in {}", key.parent);
        wrongs.orphans.entry(orphan).or_insert((0, sentence)).0 += 1;
    }
    Ok(())
}

/// What the rowid can be called in a table: the words do not mean it where they are columns.
/// <https://sqlite.org/lang_createtable.html#rowid>
fn rowid_name(conn: &Connection, table: &str) -> rusqlite::Result<Option<&'static str>> {
    let mut columns = conn.prepare("SELECT lower(name) FROM pragma_table_xinfo(?1, 'main')")?;
    let columns: Vec<String> =
        columns.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let names = ["rowid", "_rowid_", "oid"];
    Ok(names.into_iter().find(|name| !columns.iter().any(|column| column == name)))
}

/// The values that a row has in a key: hashed, and as `column = value`.
fn key_values(
    conn: &Connection,
    key: &Key,
    rowid_name: &str,
    rowid: i64,
) -> rusqlite::Result<(u64, String)> {
    let columns: Vec<String> = key.columns.iter().map(|column| quoted(column)).collect();
    let (columns, child) = (columns.join(", "), quoted(&key.child));
    let sql = format!("SELECT {columns} FROM main.{child} WHERE {rowid_name} = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    statement.query_row([rowid], |row| {
        let mut hasher = DefaultHasher::new();
        let mut cells = Vec::new();
        for (at, column) in key.columns.iter().enumerate() {
            let cell = shown(row.get_ref(at)?);
            format!("{:?}", row.get_ref(at)?).hash(&mut hasher);
            cells.push(format!("{column} = {cell}"));
        }
        Ok((hasher.finish(), cells.join(", ")))
    })
}
