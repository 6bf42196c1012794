//! Where a write can lead, as far as texts tell: through triggers, and along foreign keys.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::cannot_record;
use super::shape::tables;
use super::virtual_tables::virtual_table;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::sql::action::written;
use crate::sql::{Action, Script};

/// Refuses, before anything runs, a script whose text shows that it cannot be recorded.
pub(super) fn refuse_unrecordable(
    conn: &Connection,
    ledger: &Ledger<'_>,
    script: &Script,
    what: &str,
) -> Result<()> {
    let reading = "reading the schema for a record";
    let routes = Routes::read(conn).map_err(Error::sqlite(reading))?;
    for statement in &script.statements {
        let Action::Write { table, .. } = &statement.action else {
            continue;
        };
        let elsewhere = table.schema.as_ref().filter(|_| !table.is_temp());
        let why = match elsewhere.filter(|schema| !schema.eq_ignore_ascii_case("main")) {
            Some(schema) => format!("`{}` is in another database, `{schema}`", table.name),
            None if table.is_temp() => continue,
            None if ledger.owns(&table.name) => of_the_ledger(&table.name),
            None => match routes.to_virtual(&table.name) {
                Some(reached) => {
                    let of = virtual_table(conn, &reached).map_err(Error::sqlite(reading))?;
                    written_to(&of.unwrap_or(reached))
                }
                None => continue,
            },
        };
        let position = script.position(statement.start);
        return Err(Error::from(cannot_record(what, why)).at(script, position));
    }
    Ok(())
}

/// The routes of one database.
pub(super) struct Routes {
    /// With the tables that they keep.
    virtual_tables: Vec<String>,
    /// From and to, in lower case.
    edges: Vec<(String, String)>,
}

impl Routes {
    fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let mut routes = Self::of_triggers(conn)?;
        let mut keys = conn.prepare(
            "SELECT lower(k.\"table\"), lower(m.name)
             FROM main.sqlite_master AS m, pragma_foreign_key_list(m.name, 'main') AS k
             WHERE m.type = 'table'",
        )?;
        let keys = keys.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        routes.edges.extend(keys.collect::<rusqlite::Result<Vec<(String, String)>>>()?);
        Ok(routes)
    }

    pub(super) fn of_triggers(conn: &Connection) -> rusqlite::Result<Self> {
        let mut virtual_tables = conn.prepare(
            "SELECT name FROM main.sqlite_master
             WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'",
        )?;
        let virtual_tables = virtual_tables.query_map([], |row| row.get(0))?;
        let mut virtual_tables = virtual_tables.collect::<rusqlite::Result<Vec<String>>>()?;
        virtual_tables.extend(tables(conn, "shadow")?);
        let mut edges = Vec::new();
        let mut triggers =
            conn.prepare("SELECT tbl_name, sql FROM main.sqlite_master WHERE type = 'trigger'")?;
        let mut rows = triggers.query([])?;
        while let Some(row) = rows.next()? {
            let (table, sql): (String, String) = (row.get(0)?, row.get(1)?);
            let from = table.to_ascii_lowercase();
            let to = written(&sql).into_iter().map(|to| (from.clone(), to.to_ascii_lowercase()));
            edges.extend(to);
        }
        Ok(Routes { virtual_tables, edges })
    }

    /// The virtual table that a write to this table can reach.
    pub(super) fn to_virtual(&self, table: &str) -> Option<String> {
        let mut reached = BTreeSet::from([table.to_ascii_lowercase()]);
        loop {
            let hit = self
                .virtual_tables
                .iter()
                .find(|name| reached.contains(&name.to_ascii_lowercase()));
            if let Some(hit) = hit {
                return Some(hit.clone());
            }
            let next = self.edges.iter().filter(|(from, _)| reached.contains(from));
            let next: Vec<String> = next.map(|(_, to)| to.clone()).collect();
            let before = reached.len();
            reached.extend(next);
            if reached.len() == before {
                return None;
            }
        }
    }
}

pub(super) fn written_to(table: &str) -> String {
    format!("it writes to `{table}`, a virtual table, whose rows nobody else can see change")
}

pub(super) fn of_the_ledger(table: &str) -> String {
    format!("it writes to `{table}`, which is the ledger's own")
}
