//! What has to be done: a pure function of the set, what is applied, the goal and the policies.
//! Nothing here has a connection; a plan made outside the write transaction is a preview.

mod down;
mod gate;
mod judge;
mod planner;
mod policy;
mod repeatables;

use std::fmt;
use std::time::Duration;

use crate::adoption::Adopted;
use crate::escape::escaped;
use crate::event::Event;
use crate::held::Held;
use crate::ledger::{Record, Row, Takeover};
use crate::migration::Version;
use crate::report::{Compatibility, NewerMigration, columns};
use crate::source::Set;
use crate::sql::Script;
pub(crate) use planner::{covered, known, plan, refuse_modified};
pub use policy::{ChangedSince, DataLoss, Late, Missing, Newer, Strictness, Transactions};
pub(crate) use policy::{Facts, Goal, Policies};

/// What `apply` would do. `Display` is the dry run.
///
/// ```
/// # use landfall::{include_dir::{self, include_dir}, Migrator};
/// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
/// let conn = landfall::rusqlite::Connection::open_in_memory()?;
/// let plan = migrator.plan(&conn)?;
/// println!("{plan}");
/// assert_eq!(plan.steps.len(), 12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Plan {
    /// Another tool's ledger that is taken over first.
    pub adoption: Option<Adopted>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Rows of the ledger to be brought in line with the set, by version.
    pub amendments: Vec<Amendment>,
    /// Seeds that will run after the steps, in order.
    pub seeds: Vec<String>,
    /// Seeds and backfills that are not done and will not run, and why.
    pub held: Vec<Held>,
    /// Migrations of a newer program, left alone.
    pub newer: Vec<NewerMigration>,
    /// Whether the database has everything after it that this program knows.
    pub(crate) reaches_end: bool,
    /// Whether it was made for a database without our tables, and nothing else was asked of the
    /// database: as long as it has none, this is the plan.
    pub(crate) of_nothing: bool,
    /// What the adoption writes.
    pub(crate) takeover: Option<Box<Takeover>>,
}

/// One thing to be done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// Its version; `None` for a repeatable.
    pub version: Option<Version>,
    /// Its name.
    pub name: String,
    /// What is done with it.
    pub direction: Direction,
    /// Which of the plan's transactions it runs in, counted from 1; `None` runs outside any.
    pub transaction: Option<usize>,
    /// What its transaction does to the enforcement of foreign keys.
    pub foreign_keys: ForeignKeys,
    /// Whether older programs can go on working after it.
    pub compatibility: Compatibility,
    /// The file that runs, from the set's folder on; of a migration made in code, its name.
    pub file: Option<String>,
    /// How many statements that file has for it; none, of a function.
    pub statements: usize,
    pub(crate) work: Work,
    needs: Needs,
    pub(crate) risk: Risk,
    /// Backfills that it requires and that are not done.
    pub(crate) awaits: Vec<String>,
}

/// What is done with a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// It runs.
    Apply,
    /// Its down script runs.
    Revert,
    /// A repeatable runs, again or for the first time.
    Repeat,
    /// The views and triggers that a repeatable made are dropped until it runs again.
    SetAside,
    /// It is written into the ledger and does not run.
    Mark,
}

/// What a transaction does to the enforcement of foreign keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignKeys {
    /// It stays as the connection has it.
    Unchanged,
    /// It is off during the transaction, as
    /// [SQLite's procedure](https://sqlite.org/lang_altertable.html#otheralter) asks where tables
    /// are dropped or rebuilt; every key is checked before the commit.
    Off,
}

/// A row of the ledger to be brought in line with the set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Amendment {
    /// Which row.
    pub version: Version,
    /// Its name.
    pub name: String,
    /// The reason given with `replaces`, where an edit is accepted.
    pub reason: Option<String>,
}

/// Where a step's script is.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// The set's migration of this version.
    Migration(Version),
    /// The set's baseline of this version.
    Baseline(Version),
    /// The set's repeatable of this name.
    Repeatable(String),
    /// This script: a down from the set or the ledger.
    Script(Box<Script>),
    /// The rows of this record, which are put back.
    Undo(Box<Record>),
    /// Nowhere: a row of the ledger comes or goes, and nothing runs.
    Nowhere,
}

/// What a step can do to views and triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Risk {
    Nothing,
    /// Make one that does not work, or, rarely, break one.
    Defines,
    /// Break one that it does not name.
    Breaks,
}

/// What a step asks of the transaction it runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Foreign keys off: it drops or rebuilds a table.
    KeysOff,
    /// Foreign keys as they are: it deletes or updates rows that act on their children.
    KeysKept,
    /// None.
    NoTransaction,
}

impl NewerMigration {
    fn of(row: &Row) -> Self {
        NewerMigration {
            version: row.version,
            name: row.name.clone(),
            compatibility: row.compatibility,
            app_version: row.app_version.clone(),
        }
    }
}

impl Step {
    fn new(
        version: Option<Version>,
        name: &str,
        direction: Direction,
        work: Work,
        compatibility: Compatibility,
        needs: Needs,
        risk: Risk,
    ) -> Self {
        Step {
            version,
            name: name.to_owned(),
            direction,
            transaction: None,
            foreign_keys: ForeignKeys::Unchanged,
            compatibility,
            file: None,
            statements: 0,
            work,
            needs,
            risk,
            awaits: Vec::new(),
        }
    }

    /// Notes what the set says of where it comes from.
    fn describe(&mut self, set: &Set) {
        let script = match &self.work {
            Work::Migration(version) => {
                let entry = set.get(*version);
                self.file = entry.map(|entry| entry.label().to_owned());
                entry.and_then(|entry| entry.task.script())
            }
            Work::Baseline(version) => set.baseline(*version).map(|baseline| &baseline.script),
            Work::Repeatable(name) => set.repeatable(name).map(|repeatable| &repeatable.script),
            Work::Script(script) => Some(script.as_ref()),
            Work::Undo(_) | Work::Nowhere => None,
        };
        if let Some(script) = script {
            self.statements = script.statements.len();
            self.file.get_or_insert_with(|| script.file.to_string());
        }
    }

    fn is_aside_of(&self, row: &Row) -> bool {
        self.direction == Direction::SetAside && self.name == row.name
    }

    pub(crate) fn is_versioned(&self) -> bool {
        self.version.is_some()
    }

    pub(crate) fn started(&self) -> Event<'_> {
        let Step { version, name, direction, .. } = self;
        Event::Started { version: *version, name, direction: *direction }
    }

    pub(crate) fn finished(&self, took: Duration) -> Event<'_> {
        let Step { version, name, direction, .. } = self;
        Event::Finished { version: *version, name, direction: *direction, took }
    }

    /// The step as its verb and name, for log lines and errors.
    pub(crate) fn label(&self) -> String {
        match self.version {
            Some(version) => format!("{version} ({})", self.name),
            None => self.name.clone(),
        }
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.adoption.is_none() && self.steps.is_empty() && self.seeds.is_empty()
    }

    /// Whether nothing that this program knows is left to do after it, now or at a later start.
    pub(crate) fn settles(&self) -> bool {
        self.reaches_end && self.newer.is_empty() && !self.held.iter().any(Held::is_unsettled)
    }

    /// In one line: how much is to be done, and what first.
    pub(crate) fn gist(&self) -> String {
        let count = self.steps.len() + self.seeds.len();
        let step = self.steps.first().map(|step| format!("{} {}", step.direction, step.label()));
        let seed = || self.seeds.first().map(|seed| format!("seed {seed}"));
        let taken = self.adoption.as_ref().map(Adopted::pending);
        let steps = match (count, step.or_else(seed)) {
            (1, Some(only)) => format!("there is 1 step ({only})"),
            (count, Some(first)) => format!("there are {count} steps ({first}, …)"),
            (_, None) => return taken.unwrap_or("nothing to do".to_owned()),
        };
        taken.map_or(steps.clone(), |taken| format!("{taken}, {steps}"))
    }

    /// Leaves what is to be done after the first segment.
    pub(crate) fn drop_first_segment(&mut self) {
        let length = self.first_segment().len();
        self.steps.drain(..length);
    }

    /// The steps that run first and together: those of one transaction, or one outside any.
    pub(crate) fn first_segment(&self) -> &[Step] {
        let Some(first) = self.steps.first() else {
            return &[];
        };
        let same =
            |step: &&Step| first.transaction.is_some() && step.transaction == first.transaction;
        let length = self.steps.iter().take_while(same).count().max(1);
        self.steps.get(..length).unwrap_or_default()
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Apply => "apply",
            Direction::Revert => "revert",
            Direction::Repeat => "repeat",
            Direction::SetAside => "set aside",
            Direction::Mark => "mark",
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() && self.amendments.is_empty() {
            let waits = self.held.iter().any(Held::is_unsettled);
            f.write_str(if waits { "nothing to do now" } else { "nothing to do" })?;
        } else {
            if let Some(adopted) = &self.adoption {
                let then = if self.steps.is_empty() { "" } else { "\n" };
                write!(f, "adopt  {adopted}{then}")?;
            }
            let rows: Vec<[String; 6]> = self.steps.iter().map(Step::cells).collect();
            f.write_str(&columns(&rows))?;
        }
        for amendment in &self.amendments {
            write!(f, "\namend {} {}", amendment.version, escaped(&amendment.name))?;
            if let Some(reason) = &amendment.reason {
                write!(f, ": {}", escaped(reason))?;
            }
        }
        if !self.seeds.is_empty() {
            write!(f, "\nthen the seeds {}", escaped(self.seeds.join(", ")))?;
        }
        for held in &self.held {
            write!(f, "\nnot run: {held}")?;
        }
        for newer in &self.newer {
            write!(f, "\nleft alone: {newer}")?;
        }
        Ok(())
    }
}

impl Step {
    fn cells(&self) -> [String; 6] {
        let transaction = match self.transaction {
            Some(number) => format!("transaction {number}"),
            None => "no transaction".to_owned(),
        };
        let mut notes = Vec::new();
        if self.foreign_keys == ForeignKeys::Off {
            notes.push("foreign keys off".to_owned());
        }
        if !self.awaits.is_empty() {
            let s = if self.awaits.len() == 1 { "" } else { "s" };
            notes.push(format!("after the backfill{s} {}", self.awaits.join(", ")));
        }
        let compatibility = match self.direction {
            Direction::Apply => self.compatibility.to_string(),
            _ => String::new(),
        };
        [
            self.direction.to_string(),
            self.version.map_or("R".to_owned(), |version| version.to_string()),
            self.name.clone(),
            transaction,
            compatibility,
            notes.join(", "),
        ]
    }
}
