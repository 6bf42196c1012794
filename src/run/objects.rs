//! Views and triggers that do not work: asked of SQLite by compiling what uses them.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::statements::without_sql;
use crate::error::{Error, Result, is_about_sql};
use crate::sql::quoted;
use crate::sql::token::{Kind, tokens, unquoted};

/// A view or trigger that does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// `view v` or `trigger t`.
    pub(crate) object: String,
    pub(crate) sql: String,
    pub(crate) why: String,
}

impl Broken {
    /// Functions, collations and modules may be registered after the start.
    pub(crate) fn lacks_what_the_application_gives(&self) -> bool {
        let given = ["no such function", "no such collation", "no such module"];
        given.into_iter().any(|what| self.why.starts_with(what))
    }
}

struct Trigger {
    name: String,
    sql: String,
}

/// Every view and trigger of `main` that does not work.
pub(crate) fn broken(conn: &Connection) -> Result<Vec<Broken>> {
    find(conn).map_err(Error::sqlite("looking for broken views and triggers"))
}

fn find(conn: &Connection) -> rusqlite::Result<Vec<Broken>> {
    let mut found = Vec::new();
    let mut triggers: BTreeMap<String, Vec<Trigger>> = BTreeMap::new();
    // They have no root page, which is quicker to tell than a type: https://sqlite.org/schematab.html
    let mut objects = conn.prepare(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_master
         WHERE coalesce(rootpage, 0) = 0 AND type IN ('view', 'trigger') AND sql IS NOT NULL",
    )?;
    let mut rows = objects.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        let sql: String = row.get(3)?;
        if kind == "view" {
            let query = format!("SELECT * FROM main.{}", quoted(&name));
            if let Err(error) = compiles(conn, &query)? {
                found.push(Broken {
                    object: format!("view {name}"),
                    sql,
                    why: message(error, &query),
                });
            }
        } else {
            triggers.entry(row.get(2)?).or_default().push(Trigger { name, sql });
        }
    }
    for (table, triggers) in triggers {
        found.extend(broken_triggers(conn, &table, triggers)?);
    }
    Ok(found)
}

/// Compiles one statement per event of the table: SQLite compiles the triggers into it. Where
/// several share an event, the one that the message is about is told by the name it misses.
fn broken_triggers(
    conn: &Connection,
    table: &str,
    triggers: Vec<Trigger>,
) -> rusqlite::Result<Vec<Broken>> {
    let columns = columns(conn, table)?;
    let assignments: Vec<String> = columns
        .iter()
        .filter(|(_, plain)| *plain)
        .map(|(name, _)| format!("{0} = {0}", quoted(name)))
        .collect();
    let target = format!("main.{}", quoted(table));
    let events = [
        ("INSERT", format!("INSERT INTO {target} DEFAULT VALUES")),
        ("DELETE", format!("DELETE FROM {target}")),
        ("UPDATE", format!("UPDATE {target} SET {}", assignments.join(", "))),
    ];
    let mut found = Vec::new();
    for (event, statement) in events {
        let of_event: Vec<&Trigger> =
            triggers.iter().filter(|trigger| event_of(&trigger.sql) == event).collect();
        if of_event.is_empty() {
            continue;
        }
        if let Err(error) = compiles(conn, &statement)? {
            let why = message(error, &statement);
            let missed = why.rsplit([' ', '.']).next().unwrap_or_default().to_ascii_lowercase();
            let named: Vec<&&Trigger> = of_event
                .iter()
                .filter(|trigger| trigger.sql.to_ascii_lowercase().contains(&missed))
                .collect();
            let guilty = if named.is_empty() { of_event.iter().collect() } else { named };
            found.extend(guilty.into_iter().map(|trigger| trigger.broken(why.clone())));
        }
    }
    for trigger in &triggers {
        let dead = updated_columns(&trigger.sql)
            .into_iter()
            .find(|wanted| !columns.iter().any(|(column, _)| column.eq_ignore_ascii_case(wanted)));
        if let Some(column) = dead {
            // SQLite drops a column that a trigger only names in `UPDATE OF`, and then never
            // fires it.
            found.push(trigger.broken(format!("it is for UPDATE OF {column}, which is gone")));
        }
    }
    Ok(found)
}

impl Trigger {
    fn broken(&self, why: String) -> Broken {
        Broken { object: format!("trigger {}", self.name), sql: self.sql.clone(), why }
    }
}

/// A table's or view's columns, and whether they can be assigned to.
fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<(String, bool)>> {
    let mut statement =
        conn.prepare("SELECT name, hidden = 0 FROM pragma_table_xinfo(?1, 'main')")?;
    let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match rows.collect() {
        // A view that does not work has no columns to tell.
        Err(error) if is_about_sql(&error) => Ok(Vec::new()),
        columns => columns,
    }
}

/// `INSERT`, `DELETE` or `UPDATE`: the first of them in the trigger's head.
fn event_of(sql: &str) -> &'static str {
    let events = ["INSERT", "DELETE", "UPDATE"];
    tokens(sql)
        .filter(|token| token.kind == Kind::Word)
        .find_map(|token| {
            let word = token.text(sql);
            events.into_iter().find(|event| event.eq_ignore_ascii_case(word))
        })
        .unwrap_or_default()
}

/// The columns of `UPDATE OF a, b ON`.
fn updated_columns(sql: &str) -> Vec<String> {
    let words = tokens(sql).filter(|token| token.is_significant()).map(|token| token.text(sql));
    let mut of = words
        .skip_while(|word| !word.eq_ignore_ascii_case("UPDATE"))
        .skip(1)
        .take_while(|word| !word.eq_ignore_ascii_case("ON"));
    match of.next() {
        Some(word) if word.eq_ignore_ascii_case("OF") => {
            of.filter(|word| *word != ",").map(unquoted).collect()
        }
        _ => Vec::new(),
    }
}

/// The inner error is about the statement, the outer one about anything else.
fn compiles(conn: &Connection, sql: &str) -> rusqlite::Result<rusqlite::Result<()>> {
    match conn.prepare(sql) {
        Ok(_) => Ok(Ok(())),
        Err(error) if is_about_sql(&error) => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// SQLite's message, without the statement that it was about.
fn message(error: rusqlite::Error, sql: &str) -> String {
    match without_sql(error, sql).1 {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message,
        other => other.to_string(),
    }
}
