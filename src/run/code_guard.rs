//! What a function of the application is about to lose, judged by the tables before and after it.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::foreign_keys::acting_children;
use super::guard::Verdict;
use super::rebuilt::shown;
use super::session::enforces_foreign_keys;
use super::table;
use crate::error::{Error, ErrorKind, Result, is_about_sql};
use crate::plan::DataLoss;
use crate::schema::shadows;
use crate::source::Entry;
use crate::sql::quoted;

/// The tables with rows before the code. Nothing is known of what that will do, so that they are
/// counted here, once; afterwards only those that are not what they were.
pub(crate) struct CodeGuard<'a> {
    conn: &'a Connection,
    policy: DataLoss,
    enforces: bool,
    filled: Vec<Filled>,
}

/// A table as the schema has it. One that is altered keeps its row there and its place in the
/// file, one that is made anew gets others, or can get the same with another text.
#[derive(Clone, PartialEq, Eq)]
struct Known {
    name: String,
    row: i64,
    root: i64,
    sql: String,
}

/// A table with rows.
struct Filled {
    known: Known,
    /// `None` where it could not be looked into, or is a virtual table's own: it is only missed
    /// once it is gone or empty.
    content: Option<Content>,
}

struct Content {
    rows: i64,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    default: Option<String>,
    has_values: bool,
    /// Whether it has values that are not its DEFAULT.
    has_own: bool,
}

/// Something that is gone.
struct Loss {
    column: Option<String>,
    rows: i64,
    what: String,
}

impl<'a> CodeGuard<'a> {
    pub(crate) fn before(conn: &'a Connection, policy: DataLoss) -> Result<Option<Self>> {
        if policy == DataLoss::Allow {
            return Ok(None);
        }
        let filled = filled(conn).map_err(Error::sqlite("looking for tables that have rows"))?;
        let enforces = enforces_foreign_keys(conn)?;
        Ok(Some(CodeGuard { conn, policy, enforces, filled }))
    }

    pub(crate) fn after(self, entry: &Entry) -> Result<Verdict> {
        let now = tables(self.conn).map_err(Error::sqlite("reading the schema"))?;
        let reached = self.reached(&now).map_err(Error::sqlite("looking for what was lost"))?;
        let mut verdict = Verdict::default();
        for table in &self.filled {
            let losses = self.losses(table, &now, reached.contains(&table.known.name));
            for loss in losses.map_err(Error::sqlite("looking for what was lost"))? {
                let Loss { column, rows, what } = loss;
                if entry.in_code().allow_data_loss.is_none() {
                    return Err(ErrorKind::DataLoss {
                        file: entry.label().to_owned(),
                        position: None,
                        what,
                        table: table.known.name.clone(),
                        column,
                        rows: rows.unsigned_abs(),
                    }
                    .into());
                }
                verdict.waived.push(what);
            }
        }
        Ok(verdict)
    }

    /// The tables that a key's action reaches from one that was dropped, which with foreign keys on
    /// deletes all its rows first: <https://sqlite.org/foreignkeys.html#fk_schemacommands>.
    fn reached(&self, now: &[Known]) -> rusqlite::Result<BTreeSet<String>> {
        let mut reached = BTreeSet::new();
        if !self.enforces {
            return Ok(reached);
        }
        let stands = |table: &Known| now.iter().any(|n| n.row == table.row && n.root == table.root);
        let dropped = self.filled.iter().map(|table| &table.known).filter(|table| !stands(table));
        let mut open: Vec<String> = dropped.map(|table| table.name.clone()).collect();
        while let Some(parent) = open.pop() {
            for (child, _) in acting_children(self.conn, &parent)? {
                if reached.insert(child.clone()) {
                    open.push(child);
                }
            }
        }
        Ok(reached)
    }

    fn losses(
        &self,
        table: &Filled,
        now: &[Known],
        is_reached: bool,
    ) -> rusqlite::Result<Vec<Loss>> {
        let name = &table.known.name;
        let stands = match table.find_in(self.conn, now)? {
            Some(stands) => stands,
            None => return Ok(vec![table.dropped()]),
        };
        let same = *stands == table.known;
        let Some(content) = &table.content else {
            let gone = !same && !has_rows(self.conn, &stands.name)?;
            return Ok(if gone { vec![table.dropped()] } else { Vec::new() });
        };
        // Rows that code deletes are its own affair, and those of a table that it redefines may
        // be the ones that it has not copied.
        if same && !is_reached && self.policy != DataLoss::RefuseDeletes {
            return Ok(Vec::new());
        }
        let rows = count(self.conn, &stands.name)?;
        let fewer = content.rows - rows;
        let mut losses = Vec::new();
        if fewer > 0 {
            let what = match same {
                true => format!("delete {} of `{name}`", shown(fewer)),
                false => format!("leave `{name}` with {rows} of {}", shown(content.rows)),
            };
            losses.push(Loss { column: None, rows: fewer, what });
        }
        if (!same || is_reached) && rows > 0 {
            let stays = stands.row == table.known.row && stands.root == table.known.root;
            let in_place = stays && !is_reached;
            for (column, what) in content.lost_columns(self.conn, name, stands, in_place)? {
                losses.push(Loss { column: Some(column), rows: 0, what });
            }
        }
        Ok(losses)
    }
}

impl Filled {
    fn dropped(&self) -> Loss {
        let name = &self.known.name;
        let (rows, what) = match &self.content {
            Some(content) => {
                (content.rows, format!("drop table `{name}` with {}", shown(content.rows)))
            }
            None => (0, format!("drop table `{name}`, which has rows")),
        };
        Loss { column: None, rows, what }
    }

    /// The table of that name, or the one that is it under another: a RENAME leaves it where it is,
    /// with the columns that it had.
    fn find_in<'n>(
        &self,
        conn: &Connection,
        now: &'n [Known],
    ) -> rusqlite::Result<Option<&'n Known>> {
        if let Some(named) = now.iter().find(|n| n.name.eq_ignore_ascii_case(&self.known.name)) {
            return Ok(Some(named));
        }
        let is_there = |n: &&Known| n.row == self.known.row && n.root == self.known.root;
        let (Some(renamed), Some(content)) = (now.iter().find(is_there), &self.content) else {
            return Ok(None);
        };
        let columns = table::columns(conn, &renamed.name)?;
        let keeps = columns.len() >= content.columns.len()
            && content.columns.iter().zip(&columns).all(|(was, is)| was.name == *is);
        Ok(keeps.then_some(renamed))
    }
}

impl Content {
    /// Columns that had values and are gone, or are empty in a table that was made anew: what code
    /// sets to NULL where it stands is its own affair. A new column with values of its own may be
    /// the old one under another name.
    fn lost_columns(
        &self,
        conn: &Connection,
        name: &str,
        stands: &Known,
        in_place: bool,
    ) -> rusqlite::Result<Vec<(String, String)>> {
        let now = table::columns(conn, &stands.name)?;
        let was_there =
            |column: &str| self.columns.iter().any(|c| c.name.eq_ignore_ascii_case(column));
        let mut new: Vec<&String> = now.iter().filter(|column| !was_there(column)).collect();
        let mut lost = Vec::new();
        for column in self.columns.iter().filter(|column| column.has_values) {
            let stays = now.iter().any(|now| now.eq_ignore_ascii_case(&column.name));
            if stays && (in_place || has_values(conn, &stands.name, &column.name)?) {
                continue;
            }
            let mut successor = None;
            for (at, new) in new.iter().enumerate() {
                let own = table::has_own(conn, &stands.name, new)?;
                if has_values(conn, &stands.name, new)? && (own || !column.has_own) {
                    successor = Some(at);
                    break;
                }
            }
            let column = &column.name;
            match (successor, stays) {
                (Some(successor), _) => drop(new.swap_remove(successor)),
                (None, true) => lost.push((
                    column.clone(),
                    format!(
                        "leave column `{column}` of `{name}` without a value, which had values"
                    ),
                )),
                (None, false) => lost.push((
                    column.clone(),
                    format!("leave `{name}` without its column `{column}`, which had values"),
                )),
            }
        }
        Ok(lost)
    }
}

/// Tables with rows. One that cannot be looked into counts as one.
fn filled(conn: &Connection) -> rusqlite::Result<Vec<Filled>> {
    let mut filled = Vec::new();
    let shadows = shadows(conn)?;
    for known in tables(conn)? {
        let content = match has_rows(conn, &known.name) {
            Ok(false) => continue,
            Ok(true) if shadows.contains(&known.name.to_ascii_lowercase()) => None,
            Ok(true) => match content(conn, &known.name) {
                Err(error) if is_about_sql(&error) => None,
                content => Some(content?),
            },
            Err(error) if is_about_sql(&error) => None,
            Err(error) => return Err(error),
        };
        filled.push(Filled { known, content });
    }
    Ok(filled)
}

/// How many rows say nearly all there is to know of the columns.
const SAMPLE: i64 = 100;

/// SQLite counts rows by the smallest index. The columns of which the first rows do not tell
/// everything are looked at in one pass over the table.
fn content(conn: &Connection, table: &str) -> rusqlite::Result<Content> {
    let rows = count(conn, table)?;
    let mut columns = Vec::new();
    for name in table::columns(conn, table)? {
        let default = table::default_of(conn, table, &name)?;
        columns.push(Column { name, default, has_values: false, has_own: false });
    }
    look(conn, table, &mut columns, SAMPLE)?;
    if rows > SAMPLE {
        look(conn, table, &mut columns, ALL)?;
    }
    Ok(Content { rows, columns })
}

/// No limit: <https://sqlite.org/lang_select.html#limitoffset>.
const ALL: i64 = -1;

/// Asks so many rows for what is not known yet. A query can have as many columns as a table, and
/// here are two for each.
fn look(
    conn: &Connection,
    table: &str,
    columns: &mut [Column],
    limit: i64,
) -> rusqlite::Result<()> {
    let mut open: Vec<&mut Column> = columns.iter_mut().filter(|column| !column.has_own).collect();
    for part in open.chunks_mut(500) {
        let (mut flags, mut asks) = (Vec::new(), Vec::new());
        for (at, column) in part.iter().enumerate() {
            let name = quoted(&column.name);
            let other =
                column.default.as_ref().map(|default| format!(" AND {name} IS NOT {default}"));
            let other = other.unwrap_or_default();
            flags.push(format!("{name} NOT NULL AS v{at}, {name} NOT NULL{other} AS o{at}"));
            asks.push(format!("max(v{at}), max(o{at})"));
        }
        let (asks, flags, table) = (asks.join(", "), flags.join(", "), quoted(table));
        let sql = format!("SELECT {asks} FROM (SELECT {flags} FROM main.{table} LIMIT {limit})");
        conn.query_row(&sql, [], |row| {
            for (at, column) in part.iter_mut().enumerate() {
                column.has_values |= row.get::<_, Option<bool>>(2 * at)?.unwrap_or(false);
                column.has_own |= row.get::<_, Option<bool>>(2 * at + 1)?.unwrap_or(false);
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn count(conn: &Connection, table: &str) -> rusqlite::Result<i64> {
    conn.query_row(&format!("SELECT count(*) FROM main.{}", quoted(table)), [], |row| row.get(0))
}

fn has_rows(conn: &Connection, table: &str) -> rusqlite::Result<bool> {
    let any = format!("SELECT EXISTS (SELECT 1 FROM main.{})", quoted(table));
    conn.query_row(&any, [], |row| row.get(0))
}

fn has_values(conn: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    let (table, column) = (quoted(table), quoted(column));
    let any = format!("SELECT EXISTS (SELECT 1 FROM main.{table} WHERE {column} NOT NULL)");
    conn.query_row(&any, [], |row| row.get(0))
}

fn tables(conn: &Connection) -> rusqlite::Result<Vec<Known>> {
    // There a DROP TABLE moves others: <https://sqlite.org/pragma.html#pragma_auto_vacuum>.
    let moves: bool = conn.query_row("PRAGMA main.auto_vacuum", [], |row| row.get(0))?;
    let mut statement = conn.prepare(
        "SELECT name, rowid, iif(?1, 0, rootpage), sql FROM main.sqlite_master
         WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let tables = statement.query_map([moves], |row| {
        Ok(Known { name: row.get(0)?, row: row.get(1)?, root: row.get(2)?, sql: row.get(3)? })
    })?;
    tables.collect()
}
