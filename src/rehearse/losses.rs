//! Which step of a rehearsal loses rows of which table. Steps are told by events, and tables counted
//! between them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rusqlite::Connection;

use super::RowsLost;
use crate::error::{Error, Result, is_about_sql};
use crate::event::Event;
use crate::ledger::Ledger;
use crate::migration::Version;
use crate::plan::Direction;
use crate::run::table::holding;
use crate::schema::keepers;
use crate::source::Set;
use crate::sql::action::Change;
use crate::sql::{Action, Script, quoted};

/// A step as events call it.
pub(super) type Name = (Option<Version>, String);

/// Tables by name: where their rows begin, a virtual one's nowhere, and how many there are.
type Counts = BTreeMap<String, (i64, i64)>;

pub(super) struct Watch<'a> {
    conn: &'a Connection,
    ledger: &'a Ledger<'a>,
    set: &'a Set,
    seen: RefCell<Seen<'a>>,
}

/// A step that is under way, and what was there before it.
struct Step<'a> {
    name: Name,
    script: Option<&'a Script>,
    before: Counts,
}

#[derive(Default)]
struct Seen<'a> {
    under_way: Option<Step<'a>>,
    /// What was there after the last step, where nothing has been since.
    after: Option<Counts>,
    lost: Vec<(Name, Vec<RowsLost>)>,
    /// Why tables could not be counted: then nothing can be said of what is lost.
    failed: Option<rusqlite::Error>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(conn: &'a Connection, ledger: &'a Ledger<'a>, set: &'a Set) -> Self {
        Watch { conn, ledger, set, seen: RefCell::default() }
    }

    pub(super) fn hear(&self, event: &Event<'_>) {
        match event {
            Event::Started { version, name, direction } => {
                let script = self.script(*version, name, *direction);
                self.begin((*version, (*name).to_owned()), script);
            }
            Event::SeedStarted { name } => self.begin((None, (*name).to_owned()), None),
            Event::Finished { .. } | Event::SeedFinished { .. } => self.end(),
            _ => {}
        }
    }

    /// What each step has lost, those that lost nothing left out.
    pub(super) fn lost(self) -> Result<Vec<(Name, Vec<RowsLost>)>> {
        self.end();
        let Seen { lost, failed, .. } = self.seen.into_inner();
        match failed {
            None => Ok(lost),
            Some(error) => Err(Error::sqlite("counting the rows of the copy")(error)),
        }
    }

    fn begin(&self, name: Name, script: Option<&'a Script>) {
        // A backfill that is left for later, or a seed that failed, did not say that it ended.
        self.end();
        let mut seen = self.seen.borrow_mut();
        let after = seen.after.take();
        // Its tables are counted only if, as far as its text tells, it could take rows away.
        if script.is_some_and(only_adds) {
            return;
        }
        match after.map_or_else(|| self.counts(), Ok) {
            Ok(before) => seen.under_way = Some(Step { name, script, before }),
            Err(error) => seen.failed = Some(error),
        }
    }

    fn end(&self) {
        let mut seen = self.seen.borrow_mut();
        let Some(step) = seen.under_way.take() else { return };
        let now = match self.counts() {
            Ok(now) => now,
            Err(error) => {
                seen.failed = Some(error);
                return;
            }
        };
        let lost: Vec<RowsLost> = step.lost(&now);
        if !lost.is_empty() {
            seen.lost.push((step.name, lost));
        }
        seen.after = Some(now);
    }

    fn script(
        &self,
        version: Option<Version>,
        name: &str,
        direction: Direction,
    ) -> Option<&'a Script> {
        let set = self.set;
        match (direction, version) {
            (Direction::Apply, Some(version)) => {
                set.get(version).and_then(|entry| entry.task.script())
            }
            (Direction::Repeat, None) => {
                let mut all = set.repeatables.iter();
                all.find(|repeatable| repeatable.name == name).map(|one| &one.script)
            }
            _ => None,
        }
    }

    fn counts(&self) -> rusqlite::Result<Counts> {
        let mut root = self.conn.prepare(
            "SELECT rootpage FROM main.sqlite_master WHERE type = 'table' AND name = ?1",
        )?;
        let mut counts = Counts::new();
        let count = |name: &str| {
            let sql = format!("SELECT count(*) FROM main.{}", quoted(name));
            self.conn.query_row(&sql, [], |row| row.get(0))
        };
        for name in holding(self.conn)?.into_iter().filter(|name| !self.ledger.owns(name)) {
            let begins = root.query_row([&name], |row| row.get(0))?;
            counts.insert(name.to_ascii_lowercase(), (begins, count(&name)?));
        }
        for name in keepers(self.conn)? {
            match count(&name) {
                Ok(rows) => drop(counts.insert(name.to_ascii_lowercase(), (0, rows))),
                // One whose module is not there cannot be counted, nor changed.
                Err(error) if is_about_sql(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(counts)
    }
}

impl Step<'_> {
    fn lost(&self, now: &Counts) -> Vec<RowsLost> {
        let tables = self.before.iter();
        let lost = tables.filter_map(|(table, (root, rows))| {
            let rows = u64::try_from(rows - self.left(table, *root, now)).ok()?;
            (rows > 0).then(|| RowsLost { table: table.clone(), rows })
        });
        lost.collect()
    }

    /// How many rows a table has afterwards, also where it was renamed.
    fn left(&self, table: &String, root: i64, now: &Counts) -> i64 {
        let renamed = match self.script {
            Some(script) => now.get(&script.renamed(table)),
            // Of code nobody knows what it does. What is gone under its name and begins where
            // another table does now, that was not there, is most likely that one.
            None => {
                let mut new = now.iter().filter(|(name, _)| !self.before.contains_key(*name));
                let same = new
                    .find(|(_, (other, _))| root > 0 && *other == root)
                    .map(|(_, counts)| counts);
                now.get(table).or(same)
            }
        };
        renamed.or_else(|| now.get(table)).map_or(0, |(_, rows)| *rows)
    }
}

/// Whether a script does nothing but add to the schema.
fn only_adds(script: &Script) -> bool {
    script.statements.iter().all(|statement| match &statement.action {
        Action::Alter { change, .. } => {
            matches!(change, Change::AddColumn(_) | Change::RenameColumn(_))
        }
        Action::Create { .. } | Action::Query | Action::Control(_) | Action::Pragma { .. } => true,
        _ => false,
    })
}
