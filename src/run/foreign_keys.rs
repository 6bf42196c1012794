//! Foreign keys after a run with enforcement off: only what is newly wrong counts.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash as _, Hasher as _};

use rusqlite::{Connection, ffi};

use super::statements::{shown, without_sql};
use crate::error::{Error, Result, is_about_sql};
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
    /// The parent's, where they are named: by default they are those of its primary key.
    parent_columns: Vec<Option<String>>,
}

/// What was wrong with foreign keys at one time.
#[derive(Debug, Default)]
pub(crate) struct Wrongs {
    /// Rows that refer to nothing: how many have these values in this key, and one of them told.
    orphans: HashMap<Orphan, (i64, String)>,
    /// Keys that name a table that is not there, in lower case: child and parent.
    dangling: BTreeSet<(String, String)>,
    /// Keys whose parent has no such unique key, in lower case: child and parent.
    mismatched: BTreeSet<(String, String)>,
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

    /// All that is wrong: sentences.
    pub(crate) fn all(&self) -> Vec<String> {
        self.new_since(&Wrongs::default(), &[])
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

    /// Keys of tables that were there before whose parent has lost the unique key they refer to:
    /// every later write to either would fail. `renames` as in [`new_since`](Self::new_since).
    pub(crate) fn newly_mismatched(
        &self,
        before: &Wrongs,
        renames: &[(String, String)],
    ) -> Vec<String> {
        let is_renamed = |name: &String| renames.iter().any(|(_, to)| to == name);
        self.mismatched
            .difference(&before.mismatched)
            .filter(|(child, parent)| {
                let rebuilt = before.tables.contains(parent) || !is_renamed(parent);
                rebuilt && before.tables.contains(child)
            })
            .map(|(child, parent)| {
                format!("{child} refers to columns of {parent} that are no longer its unique key")
            })
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
        } else if !has_unique_key(conn, key)? {
            wrongs.mismatched.insert((child, parent));
        }
    }
    let is_touched = |name: &str| match touched {
        Touched::Everything => true,
        Touched::Tables(tables) => tables.contains(&name.to_ascii_lowercase()),
    };
    for key in keys.iter().filter(|key| is_touched(&key.child) || is_touched(&key.parent)) {
        match add_orphans(conn, key, &mut wrongs) {
            Ok(()) => {}
            Err(error) if is_about_sql(&error) => {
                let (_, error) = without_sql(error, "");
                wrongs.uncheckable.insert((key.child.to_ascii_lowercase(), error.to_string()));
            }
            Err(error) => return Err(error),
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
        "SELECT m.name, k.id, k.\"table\", k.\"from\", k.\"to\"
         FROM main.sqlite_master AS m, pragma_foreign_key_list(m.name, 'main') AS k
         WHERE m.type = 'table' AND instr(lower(m.sql), 'references') > 0
         ORDER BY m.name, k.id, k.seq",
    )?;
    let mut rows = statement.query([])?;
    let mut keys: Vec<Key> = Vec::new();
    while let Some(row) = rows.next()? {
        let (child, id): (String, i64) = (row.get(0)?, row.get(1)?);
        let (column, parent_column) = (row.get(3)?, row.get(4)?);
        match keys.last_mut() {
            Some(key) if key.child == child && key.id == id => {
                key.columns.push(column);
                key.parent_columns.push(parent_column);
            }
            _ => keys.push(Key {
                child,
                id,
                parent: row.get(2)?,
                columns: vec![column],
                parent_columns: vec![parent_column],
            }),
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

/// Counts the rows of a key's table that refer to nothing, by the values of their key.
///
/// `PRAGMA foreign_key_check` would tell their rowids, which not every table has, and nothing at
/// all where one key of a table cannot be checked. As there, the parent's collation and affinity
/// decide what is equal: <https://sqlite.org/foreignkeys.html#fk_basics>.
fn add_orphans(conn: &Connection, key: &Key, wrongs: &mut Wrongs) -> rusqlite::Result<()> {
    let columns: Vec<String> =
        key.columns.iter().map(|column| format!("c.{}", quoted(column))).collect();
    let is_set: Vec<String> = columns.iter().map(|column| format!("{column} NOT NULL")).collect();
    let mut sql = format!(
        "SELECT {list}, count(*) FROM main.{child} AS c WHERE {is_set}",
        list = columns.join(", "),
        child = quoted(&key.child),
        is_set = is_set.join(" AND "),
    );
    if wrongs.tables.contains(&key.parent.to_ascii_lowercase()) {
        let parent_columns = parent_columns(conn, key)?;
        // A unary plus takes the child's collation and affinity off.
        let equal: Vec<String> = parent_columns
            .iter()
            .zip(&columns)
            .map(|(parent, child)| format!("p.{} = +{child}", quoted(parent)))
            .collect();
        let (parent, equal) = (quoted(&key.parent), equal.join(" AND "));
        sql.push_str(&format!(" AND NOT EXISTS (SELECT 1 FROM main.{parent} AS p WHERE {equal})"));
    }
    let places: Vec<String> = (1..=columns.len()).map(|place| place.to_string()).collect();
    sql.push_str(&format!(" GROUP BY {}", places.join(", ")));
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut hasher = DefaultHasher::new();
        let mut cells = Vec::new();
        for (at, column) in key.columns.iter().enumerate() {
            let value = row.get_ref(at)?;
            format!("{value:?}").hash(&mut hasher);
            cells.push(format!("{column} = {}", shown(value)));
        }
        let orphan = Orphan {
            child: key.child.to_ascii_lowercase(),
            parent: key.parent.to_ascii_lowercase(),
            values: hasher.finish(),
        };
        let (child, cells) = (&key.child, cells.join(", "));
        let sentence = format!("{child} has {cells}, which is not in {}", key.parent);
        let count: i64 = row.get(columns.len())?;
        wrongs.orphans.entry(orphan).or_insert((0, sentence)).0 += count;
    }
    Ok(())
}

/// The parent's columns that a key refers to.
fn parent_columns(conn: &Connection, key: &Key) -> rusqlite::Result<Vec<String>> {
    let named: Option<Vec<String>> = key.parent_columns.iter().cloned().collect();
    if let Some(named) = named {
        return Ok(named);
    }
    let mut primary =
        conn.prepare("SELECT name FROM pragma_table_info(?1, 'main') WHERE pk > 0 ORDER BY pk")?;
    let primary: Vec<String> =
        primary.query_map([&key.parent], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if primary.len() == key.columns.len() {
        return Ok(primary);
    }
    let why = format!("foreign key mismatch - \"{}\" referencing \"{}\"", key.child, key.parent);
    let code = ffi::Error::new(ffi::SQLITE_ERROR);
    Err(rusqlite::Error::SqliteFailure(code, Some(why)))
}

/// Whether the parent's columns are its primary key or have a unique index of their own:
/// <https://sqlite.org/foreignkeys.html#fk_indexes>.
fn has_unique_key(conn: &Connection, key: &Key) -> rusqlite::Result<bool> {
    let named: Option<Vec<String>> = key.parent_columns.iter().cloned().collect();
    let Some(mut named) = named else {
        // Another number of columns is told where the orphans are counted.
        return Ok(true);
    };
    named.iter_mut().for_each(|name| name.make_ascii_lowercase());
    named.sort();
    let mut keys = conn.prepare_cached(
        "SELECT -1, lower(name) FROM pragma_table_xinfo(?1, 'main') WHERE pk > 0
         UNION ALL
         SELECT i.seq, lower(x.name) FROM pragma_index_list(?1, 'main') AS i,
                pragma_index_xinfo(i.name, 'main') AS x
         WHERE i.\"unique\" AND NOT i.partial AND x.key",
    )?;
    let mut rows = keys.query([&key.parent])?;
    let mut found: BTreeMap<i64, Vec<Option<String>>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        found.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    Ok(found.into_values().any(|columns| {
        let columns: Option<Vec<String>> = columns.into_iter().collect();
        columns.is_some_and(|mut columns| {
            columns.sort();
            columns == named
        })
    }))
}

/// The tables, and their columns, that a key's action deletes from or empties where rows of a table
/// are deleted.
pub(crate) fn acting_children(
    conn: &Connection,
    parent: &str,
) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = conn.prepare(
        "SELECT DISTINCT m.name, k.\"from\"
         FROM main.sqlite_master m, pragma_foreign_key_list(m.name, 'main') k
         WHERE m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%' AND k.seq = 0
           AND k.\"table\" = ?1 COLLATE NOCASE AND m.name <> ?1 COLLATE NOCASE
           AND k.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')",
    )?;
    let rows = statement.query_map([parent], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
