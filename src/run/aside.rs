//! Views and triggers of repeatables that are set aside for one transaction, and put back at its
//! end where their repeatable does not run again in it: the run may come no further.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::objects;
use super::statements::is_about_sql;
use crate::error::{Error, Result};
use crate::plan::{Direction, Step, Work};
use crate::sql::{Action, Object, quoted};

/// What was set aside and is to be put back.
pub(crate) struct Aside {
    repeatables: Vec<Repeatable>,
}

/// Whether everything that a repeatable made is there again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    Yes,
    No,
}

struct Repeatable {
    name: String,
    /// In the order in which they can be made.
    objects: Vec<Definition>,
}

struct Definition {
    kind: &'static str,
    name: String,
    sql: String,
}

impl Aside {
    /// Remembers what the steps are about to set aside and will not make again themselves.
    pub(crate) fn remember(conn: &Connection, steps: &[Step]) -> Result<Self> {
        let comes_back = |name: &str| {
            steps.iter().any(|step| step.direction == Direction::Repeat && step.name == name)
        };
        let mut repeatables = Vec::new();
        for step in steps {
            if step.direction == Direction::SetAside && !comes_back(&step.name) {
                let objects =
                    definitions(conn, &step.work).map_err(Error::sqlite("reading the schema"))?;
                repeatables.push(Repeatable { name: step.name.clone(), objects });
            }
        }
        Ok(Aside { repeatables })
    }

    /// Puts back what still works, and tells which repeatables are whole again, and which are not:
    /// these run again at the end of the run, or of the next one that gets so far.
    pub(crate) fn put_back(self, conn: &Connection) -> Result<Vec<(String, Whole)>> {
        let mut told = Vec::new();
        for Repeatable { name, objects } in self.repeatables {
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
        Ok(told)
    }
}

/// What a repeatable's stored script is about to drop, as it stands in the schema.
fn definitions(conn: &Connection, work: &Work) -> rusqlite::Result<Vec<Definition>> {
    let Work::Script(script) = work else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for statement in script.statements.iter().rev() {
        let Action::Drop { what, name } = &statement.action else { continue };
        let kind = if *what == Object::View { "view" } else { "trigger" };
        let definition = conn
            .query_row(
                "SELECT name, sql FROM main.sqlite_master
                 WHERE type = ?1 AND name = ?2 COLLATE NOCASE",
                params![kind, name.name],
                |row| Ok(Definition { kind, name: row.get(0)?, sql: row.get(1)? }),
            )
            .optional()?;
        found.extend(definition);
    }
    Ok(found)
}
