//! Which step of a rehearsal loses rows of which table. Steps are told by events, and tables counted
//! between them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rusqlite::Connection;

use super::RowsLost;
use crate::event::Event;
use crate::ledger::Ledger;
use crate::migration::Version;
use crate::plan::Direction;
use crate::source::Set;
use crate::sql::action::Change;
use crate::sql::{Action, Script, quoted};

/// A step as events call it.
pub(super) type Name = (Option<Version>, String);

/// Tables by name: where their rows begin, and how many there are.
type Counts = BTreeMap<String, (i64, i64)>;

pub(super) struct Watch<'a> {
    conn: &'a Connection,
    ledger: &'a Ledger<'a>,
    set: &'a Set,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The step that is under way, and what was there before it.
    under_way: Option<(Name, Counts)>,
    /// What was there after the last step, where nothing has been since.
    after: Option<Counts>,
    lost: Vec<(Name, Vec<RowsLost>)>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(conn: &'a Connection, ledger: &'a Ledger<'a>, set: &'a Set) -> Self {
        Watch { conn, ledger, set, seen: RefCell::default() }
    }

    pub(super) fn hear(&self, event: &Event<'_>) {
        match event {
            Event::Started { version, name, direction } => {
                let can_lose = self.can_lose(*version, name, *direction);
                self.begin((*version, (*name).to_owned()), can_lose);
            }
            Event::SeedStarted { name } => self.begin((None, (*name).to_owned()), true),
            Event::Finished { .. } | Event::SeedFinished { .. } => self.end(),
            _ => {}
        }
    }

    /// What each step has lost, those that lost nothing left out.
    pub(super) fn lost(self) -> Vec<(Name, Vec<RowsLost>)> {
        self.end();
        self.seen.into_inner().lost
    }

    fn begin(&self, name: Name, can_lose: bool) {
        // A backfill that is left for later, or a seed that failed, did not say that it ended.
        self.end();
        let mut seen = self.seen.borrow_mut();
        let after = seen.after.take();
        seen.under_way =
            can_lose.then(|| (name, after.unwrap_or_else(|| self.counts().unwrap_or_default())));
    }

    fn end(&self) {
        let mut seen = self.seen.borrow_mut();
        let Some((name, before)) = seen.under_way.take() else { return };
        let Ok(now) = self.counts() else { return };
        let lost: Vec<RowsLost> = lost(&before, &now);
        if !lost.is_empty() {
            seen.lost.push((name, lost));
        }
        seen.after = Some(now);
    }

    /// Whether the step could take rows away, as far as its text tells: its tables are counted then.
    fn can_lose(&self, version: Option<Version>, name: &str, direction: Direction) -> bool {
        let script = match (direction, version) {
            (Direction::Apply, Some(version)) => {
                self.set.get(version).and_then(|entry| entry.task.script())
            }
            (Direction::Repeat, None) => {
                let mut all = self.set.repeatables.iter();
                all.find(|repeatable| repeatable.name == name).map(|one| &one.script)
            }
            _ => None,
        };
        script.is_none_or(|script| !only_adds(script))
    }

    fn counts(&self) -> rusqlite::Result<Counts> {
        let mut statement = self.conn.prepare(
            "SELECT name, rootpage FROM main.sqlite_master
             WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
               AND NOT EXISTS (
                   SELECT 1 FROM main.sqlite_master AS v
                   WHERE v.type = 'table' AND v.rootpage = 0
                     AND substr(sqlite_master.name, 1, length(v.name) + 1) = v.name || '_'
               )",
        )?;
        let tables = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut counts = Counts::new();
        for table in tables.collect::<rusqlite::Result<Vec<(String, i64)>>>()? {
            let (name, root) = table;
            if self.ledger.owns(&name) {
                continue;
            }
            let sql = format!("SELECT count(*) FROM main.{}", quoted(&name));
            let rows = self.conn.query_row(&sql, [], |row| row.get(0))?;
            counts.insert(name.to_ascii_lowercase(), (root, rows));
        }
        Ok(counts)
    }
}

/// A table that is gone under its name and has another now is known by where its rows begin.
fn lost(before: &Counts, now: &Counts) -> Vec<RowsLost> {
    let renamed = |root: i64| {
        let mut new = now.iter().filter(|(name, _)| !before.contains_key(*name));
        new.find(|(_, (other, _))| *other == root).map(|(_, (_, rows))| *rows)
    };
    let left = |name: &String, root: i64| match now.get(name) {
        Some((_, rows)) => *rows,
        None => renamed(root).unwrap_or(0),
    };
    before
        .iter()
        .filter_map(|(name, (root, rows))| {
            let rows = u64::try_from(rows - left(name, *root)).ok().filter(|lost| *lost > 0)?;
            Some(RowsLost { table: name.clone(), rows })
        })
        .collect()
}

/// Whether a script does nothing but add to the schema.
fn only_adds(script: &Script) -> bool {
    script.statements.iter().all(|statement| match &statement.action {
        Action::Alter { change, .. } => {
            matches!(change, Change::AddColumn(_) | Change::RenameColumn { .. })
        }
        Action::Create { .. } | Action::Query | Action::Control(_) | Action::Pragma { .. } => true,
        _ => false,
    })
}
