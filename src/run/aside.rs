//! Views and triggers of repeatables that are set aside for one transaction, and put back at its
//! end where their repeatable does not run again in it: the run may come no further.

use rusqlite::Connection;

use super::{Job, objects};
use crate::error::{Error, Result, is_about_sql};
use crate::plan::{Direction, Step, Work};
use crate::sql::{Action, Object, Script, quoted};

/// What was set aside and is to be put back.
pub(crate) struct Aside {
    repeatables: Vec<Repeatable>,
    /// Triggers that are not of the repeatables and go with their views.
    triggers: Vec<Definition>,
}

/// Whether everything that a repeatable made is there again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    Yes,
    No,
    /// Nothing of it is left: other scripts have dropped or taken over what it made.
    Gone,
}

struct Repeatable {
    name: String,
    /// In the order in which they can be made.
    objects: Vec<Definition>,
    /// Whether other scripts have taken something of it.
    lost: bool,
}

struct Definition {
    kind: &'static str,
    name: String,
    sql: String,
    /// What a trigger is on.
    table: String,
}

impl Aside {
    /// Remembers what the steps are about to set aside and will not make again themselves.
    pub(crate) fn remember(job: &Job<'_>, steps: &[Step]) -> Result<Self> {
        let conn = job.conn;
        let comes_back = |name: &str| {
            steps.iter().any(|step| step.direction == Direction::Repeat && step.name == name)
        };
        let is_aside = |step: &&Step| step.direction == Direction::SetAside;
        let others: Vec<&Step> = steps.iter().filter(|step| !is_aside(step)).collect();
        let is_named = |name: &str| others.iter().any(|step| names(job, step, name));
        let mut repeatables = Vec::new();
        let mut triggers = Vec::new();
        for step in steps.iter().filter(is_aside) {
            let Work::Script(script) = &step.work else { continue };
            let found = definitions(conn, script).map_err(Error::sqlite("reading the schema"))?;
            triggers
                .extend(triggers_on(conn, &found).map_err(Error::sqlite("reading the schema"))?);
            if !comes_back(&step.name) {
                let mut objects = found;
                let all = objects.len();
                objects.retain(|object| !is_named(&object.name));
                let lost = objects.len() < all;
                repeatables.push(Repeatable { name: step.name.clone(), objects, lost });
            }
        }
        let dropped = |name: &str| steps.iter().any(|step| drops(job, step, name));
        triggers.retain(|trigger| !dropped(&trigger.name));
        Ok(Aside { repeatables, triggers })
    }

    /// Puts back what still works, and tells which repeatables are whole again, and which are not:
    /// these run again at the end of the run, or of the next one that gets so far.
    pub(crate) fn put_back(self, conn: &Connection) -> Result<Vec<(String, Whole)>> {
        let mut told = Vec::new();
        for Repeatable { name, objects, lost } in self.repeatables {
            if lost && objects.is_empty() {
                told.push((name, Whole::Gone));
                continue;
            }
            let mut all = true;
            for object in &objects {
                match conn.execute_batch(&object.sql) {
                    Ok(()) => {}
                    Err(error) if is_about_sql(&error) => all = false,
                    Err(error) => {
                        return Err(Error::sqlite("putting back what was set aside")(error));
                    }
                }
            }
            let broken = objects::broken(conn)?;
            for object in objects {
                let label = format!("{} {}", object.kind, object.name);
                if broken.iter().any(|broken| broken.object == label) {
                    let drop = format!("DROP {} main.{}", object.kind, quoted(&object.name));
                    conn.execute_batch(&drop)
                        .map_err(Error::sqlite("setting a view or trigger aside"))?;
                    all = false;
                }
            }
            told.push((name, if all { Whole::Yes } else { Whole::No }));
        }
        for trigger in &self.triggers {
            let wanted = is_there(conn, "view", &trigger.table)
                .and_then(|view| Ok(view && !is_there(conn, "trigger", &trigger.name)?));
            wanted
                .and_then(|wanted| if wanted { conn.execute_batch(&trigger.sql) } else { Ok(()) })
                .map_err(Error::sqlite("putting back a trigger on a view"))?;
        }
        Ok(told)
    }
}

/// Whether a step's script drops or makes something of this name.
fn names(job: &Job<'_>, step: &Step, wanted: &str) -> bool {
    let statements = job.script(&step.work).into_iter().flat_map(|script| &script.statements);
    statements.into_iter().any(|statement| match &statement.action {
        Action::Drop { name, .. } | Action::Create { name, temp: false, .. } => name.is(wanted),
        _ => false,
    })
}

/// Whether a step's script drops a trigger of this name.
fn drops(job: &Job<'_>, step: &Step, wanted: &str) -> bool {
    let statements = job.script(&step.work).into_iter().flat_map(|script| &script.statements);
    statements.into_iter().any(|statement| match &statement.action {
        Action::Drop { what: Object::Trigger, name } => name.is(wanted),
        _ => false,
    })
}

fn is_there(conn: &Connection, kind: &str, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM main.sqlite_master
               WHERE type = ?1 AND name = ?2 COLLATE NOCASE)";
    conn.query_row(sql, [kind, name], |row| row.get(0))
}

/// What a repeatable's stored script is about to drop, as it stands in the schema.
fn definitions(conn: &Connection, script: &Script) -> rusqlite::Result<Vec<Definition>> {
    let mut found = Vec::new();
    for statement in script.statements.iter().rev() {
        let Action::Drop { what, name } = &statement.action else { continue };
        let kind = if *what == Object::View { "view" } else { "trigger" };
        found.extend(select(conn, kind, "name", &name.name)?);
    }
    Ok(found)
}

/// The triggers on views, which go with them.
fn triggers_on(conn: &Connection, objects: &[Definition]) -> rusqlite::Result<Vec<Definition>> {
    let mut found = Vec::new();
    for view in objects.iter().filter(|object| object.kind == "view") {
        found.extend(select(conn, "trigger", "tbl_name", &view.name)?);
    }
    Ok(found)
}

fn select(
    conn: &Connection,
    kind: &'static str,
    column: &str,
    name: &str,
) -> rusqlite::Result<Vec<Definition>> {
    let sql = format!(
        "SELECT name, sql, tbl_name FROM main.sqlite_master
         WHERE type = ?1 AND {column} = ?2 COLLATE NOCASE"
    );
    let mut statement = conn.prepare(&sql)?;
    let rows = statement.query_map([kind, name], |row| {
        Ok(Definition { kind, name: row.get(0)?, sql: row.get(1)?, table: row.get(2)? })
    })?;
    rows.collect()
}
