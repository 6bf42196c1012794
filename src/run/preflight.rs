//! Looked at before anything is written: the connection, and the text of what is pending.

use rusqlite::{Connection, MAIN_DB};

use super::Job;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::source::Set;
use crate::sql::token::{tokens, unquoted};
use crate::sql::{Action, Control, Object, Requirement, Script, Statement};

/// Pragmas that do nothing, or fail, inside a transaction when they are given a value.
const OUTSIDE_ONLY: [&str; 7] = [
    "auto_vacuum",
    "encoding",
    "journal_mode",
    "page_size",
    "synchronous",
    "temp_store",
    "wal_checkpoint",
];

/// The connection is the caller's: a transaction of theirs is not ours to end or to extend.
pub(crate) fn refuse_transaction(conn: &Connection) -> Result<()> {
    if conn.is_autocommit() { Ok(()) } else { Err(ErrorKind::InTransaction.into()) }
}

/// `BEGIN IMMEDIATE` on a read-only database silently begins a read transaction, so ask first.
pub(crate) fn refuse_read_only(conn: &Connection, plan: &Plan) -> Result<()> {
    let Some(why) = read_only(conn)? else {
        return Ok(());
    };
    Err(ErrorKind::ReadOnly { steps: plan.gist(), why }.into())
}

/// Why the database cannot be written on this connection, if it cannot.
pub(crate) fn read_only(conn: &Connection) -> Result<Option<&'static str>> {
    let asking = "asking whether the database is read-only";
    if conn.is_readonly(MAIN_DB).map_err(Error::sqlite(asking))? {
        return Ok(Some("the database is read-only"));
    }
    let query_only: bool =
        conn.query_row("PRAGMA query_only", [], |row| row.get(0)).map_err(Error::sqlite(asking))?;
    Ok(query_only.then_some("the connection has query_only switched on"))
}

/// Whether the database holds none of the tables and views that the set's baselines make. Those of
/// other libraries and tools do not count.
pub(crate) fn is_empty(conn: &Connection, set: &Set) -> Result<bool> {
    let scripts = set.baselines.iter().map(|baseline| &baseline.script);
    let made = scripts.flat_map(|script| &script.statements).filter_map(|s| match &s.action {
        Action::Create { what, name, temp: false, .. } => {
            matches!(what, Object::Table | Object::VirtualTable | Object::View).then_some(name)
        }
        _ => None,
    });
    let any = |name: &str| {
        let sql = "SELECT EXISTS (SELECT 1 FROM main.sqlite_master
                   WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE)";
        conn.query_row(sql, [name], |row| row.get::<_, bool>(0))
    };
    for name in made {
        if any(&name.name).map_err(Error::sqlite("reading the schema"))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the database holds no table or view but ours.
pub(crate) fn holds_only_ours(conn: &Connection, ledger: &Ledger<'_>) -> Result<bool> {
    let any = || {
        let mut statement = conn.prepare(
            "SELECT name FROM main.sqlite_master
             WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            if !ledger.owns(&name) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    any().map_err(Error::sqlite("reading the schema"))
}

/// Refuses what can be seen to go wrong in the text of every pending script.
pub(crate) fn refuse_texts(job: &Job<'_>, plan: &Plan) -> Result<()> {
    for step in &plan.steps {
        let scripts = job.script(&step.work).into_iter().chain(job.verify_script(&step.work));
        for script in scripts {
            refuse_unmet(job.conn, script)?;
            if step.transaction.is_some() {
                refuse_outside_only(script)?;
            }
        }
    }
    refuse_shadowed(job, plan)
}

/// Transaction control, and statements that only run outside a transaction.
fn refuse_outside_only(script: &Script) -> Result<()> {
    let mut savepoints = Vec::new();
    for statement in script.in_transaction() {
        let told = |kind: fn(String, crate::sql::Position, String) -> ErrorKind| {
            let position = script.position(statement.start);
            let words: String = first_words(script, statement);
            Err(Error::from(kind(script.file.to_string(), position, words)).at(script, position))
        };
        match &statement.action {
            Action::Control(Control::Savepoint) if nests(script, statement, &mut savepoints) => {
                continue;
            }
            // A savepoint of another migration would take that one back, which stays recorded.
            Action::Control(_) => {
                return told(|file, position, statement| ErrorKind::TransactionControl {
                    file,
                    position,
                    statement,
                });
            }
            Action::Vacuum | Action::Attach | Action::Detach => {}
            Action::Pragma { name, value } => {
                let acts = value.is_some() || name.as_ref() == "wal_checkpoint";
                if !acts || !OUTSIDE_ONLY.contains(&name.as_ref()) {
                    continue;
                }
            }
            _ => continue,
        }
        return told(|file, position, statement| ErrorKind::NeedsNoTransaction {
            file,
            position,
            statement,
        });
    }
    Ok(())
}

/// Whether `SAVEPOINT`, `RELEASE` or `ROLLBACK TO` stays within the script's own savepoints.
fn nests(script: &Script, statement: &Statement, open: &mut Vec<String>) -> bool {
    let sql = script.sql(statement);
    let mut words = tokens(sql).filter(|token| token.is_significant()).map(|t| t.text(sql));
    let begins = words.next().is_some_and(|word| word.eq_ignore_ascii_case("SAVEPOINT"));
    let name = words.last().map(unquoted).unwrap_or_default().to_ascii_lowercase();
    if begins {
        open.push(name);
        return true;
    }
    open.contains(&name)
}

fn first_words(script: &Script, statement: &Statement) -> String {
    let line = script.sql(statement).lines().next().unwrap_or_default();
    let short: String = line.chars().take(40).collect();
    if short.len() < script.sql(statement).len() { format!("{short}…") } else { short }
}

fn refuse_unmet(conn: &Connection, script: &Script) -> Result<()> {
    for requirement in &script.directives().requires {
        let (what, found) = match requirement {
            Requirement::Sqlite { at_least } => {
                if rusqlite::version_number() >= *at_least {
                    continue;
                }
                let (major, minor) = (at_least / 1_000_000, at_least / 1_000 % 1_000);
                let wanted = format!("SQLite {major}.{minor}.{}", at_least % 1_000);
                (wanted, format!("and this is {}", rusqlite::version()))
            }
            Requirement::Module(name) => {
                if is_listed(conn, "module", name)? {
                    continue;
                }
                (format!("the module {name}"), "which this SQLite does not have".to_owned())
            }
            Requirement::Function(name) => {
                if is_listed(conn, "function", name)? {
                    continue;
                }
                (format!("the function {name}"), "which this connection does not have".to_owned())
            }
            Requirement::Collation(name) => {
                if is_listed(conn, "collation", name)? {
                    continue;
                }
                (format!("the collation {name}"), "which this connection does not have".to_owned())
            }
            // Whether that is done is for the plan to see, and for the run to bring about.
            Requirement::Backfill(_) => continue,
        };
        return Err(ErrorKind::Requires { file: script.file.to_string(), what, found }.into());
    }
    Ok(())
}

/// `PRAGMA module_list`, `function_list` or `collation_list`:
/// <https://sqlite.org/pragma.html#pragma_function_list>.
fn is_listed(conn: &Connection, what: &str, name: &str) -> Result<bool> {
    let sql =
        format!("SELECT EXISTS (SELECT 1 FROM pragma_{what}_list WHERE name = ?1 COLLATE NOCASE)");
    conn.query_row(&sql, [name], |row| row.get(0))
        .map_err(Error::sqlite("asking what this SQLite has"))
}

/// An unqualified name means the TEMP table before the one in `main`:
/// <https://sqlite.org/lang_naming.html>.
fn refuse_shadowed(job: &Job<'_>, plan: &Plan) -> Result<()> {
    let temporary = temporary(job.conn).map_err(Error::sqlite("reading the TEMP schema"))?;
    for (what, name, in_main) in temporary {
        let is_meant = || {
            let scripts = plan.steps.iter().filter_map(|step| job.script(&step.work));
            scripts.flat_map(|script| &script.statements).any(|statement| match &statement.action {
                Action::Create { name: table, temp: false, .. }
                | Action::Drop { name: table, .. }
                | Action::Alter { table, .. }
                | Action::Write { table, .. } => table.schema.is_none() && table.is(&name),
                _ => false,
            })
        };
        if in_main || is_meant() {
            return Err(ErrorKind::Shadowed { what, name }.into());
        }
    }
    Ok(())
}

/// Whether the connection has a TEMP database: a question about what is in it would make one, and from
/// then on SQLite reads its schema as well whenever a statement changes any.
fn has_temporary(conn: &Connection) -> rusqlite::Result<bool> {
    let mut statement = conn.prepare("PRAGMA database_list")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if row.get_ref(1)?.as_str()? == "temp" {
            return Ok(true);
        }
    }
    Ok(false)
}

fn temporary(conn: &Connection) -> rusqlite::Result<Vec<(String, String, bool)>> {
    if !has_temporary(conn)? {
        return Ok(Vec::new());
    }
    let mut statement = conn.prepare(
        "SELECT t.type, t.name, EXISTS (
             SELECT 1 FROM main.sqlite_master AS m
             WHERE m.type IN ('table', 'view') AND m.name = t.name COLLATE NOCASE
         ) FROM temp.sqlite_master AS t WHERE t.type IN ('table', 'view')",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}
