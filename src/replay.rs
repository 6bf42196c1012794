//! Databases in memory in which just the migrations have run that somebody asks for: what a schema
//! should be, told by the runner itself.

use rusqlite::Connection;

use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Applied, Row};
use crate::migration::{Target, Version};
use crate::migrator::Migrator;
use crate::plan::{self, DataLoss, Goal, Late, Missing, Newer};
use crate::run::{self, Job};
use crate::source::{Set, text};
use crate::sql::action::{Action, Object};
use crate::sql::script::Script;

/// What of a set is replayed.
#[derive(Clone, Copy)]
pub(crate) enum Extent<'a> {
    /// Every migration, then every repeatable.
    Whole,
    /// What a ledger says has run, repeatables and a baseline too.
    Applied(&'a Applied),
}

/// A database in which that has run, a ledger in it as a run leaves it. No seeds.
pub(crate) struct Replay {
    pub(crate) conn: Connection,
    /// Views and triggers that a ledger says were made by a text that the set does not hold: what
    /// they should be like nobody knows.
    pub(crate) untold: Vec<String>,
}

impl Migrator {
    /// Runs a part of the set in a database in memory, by the runner that runs the whole. Where the
    /// set does not hold all that a baseline of it stands for, the baseline runs. Events are not
    /// told, and what would be a loss is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] or [`ErrorKind::Newer`] naming the first migration that was asked for
    /// and is not in the set; [`ErrorKind::Modified`] where a ledger tells of another text; as
    /// `apply` where one fails.
    pub(crate) fn replay(&self, extent: Extent<'_>, enforces: bool) -> Result<Replay> {
        let whole = self.load()?;
        let part = Part::of(&whole, extent)?;
        let set = whole.part(
            part.baseline,
            |entry| part.holds(entry.version),
            |repeatable| part.repeats(&repeatable.name, &repeatable.script.checksum),
        );
        let conn = self.in_memory()?;
        conn.pragma_update(None, "foreign_keys", enforces)
            .map_err(Error::sqlite("configuring the connection"))?;
        self.scratch().run_part(&conn, &set).map_err(of_a_replay)?;
        Ok(Replay { conn, untold: part.untold })
    }

    /// This migrator without what concerns a database that is to be kept.
    fn scratch(&self) -> Migrator {
        let mut scratch = self
            .clone()
            .seeds(crate::seed::Seeds::new())
            .late(Late::Apply)
            .missing(Missing::Ignore)
            .newer(Newer::Ignore)
            .data_loss(DataLoss::Allow);
        (scratch.adopt, scratch.backup, scratch.listener, scratch.stop) = (None, None, None, None);
        scratch
    }

    fn run_part(&self, conn: &Connection, set: &Set) -> Result<()> {
        let ledger = self.ledger_of(conn)?;
        let job: Job<'_> = self.job(conn, &ledger, set)?;
        run::run(&job, Goal::Up(Target::Latest)).map(drop)
    }
}

fn of_a_replay(error: Error) -> Error {
    let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    let given = ["no such function", "no such collation", "no such module"];
    let lacks = given.iter().any(|what| why.contains(what))
        || matches!(error.kind(), ErrorKind::Requires { .. });
    let error = error.in_memory();
    match lacks {
        true => error.advise("register it with `on_connect`, for databases that are opened here"),
        false => error,
    }
}

/// What of a set is to run.
struct Part<'a> {
    extent: Extent<'a>,
    baseline: Option<Version>,
    untold: Vec<String>,
}

impl<'a> Part<'a> {
    fn of(set: &Set, extent: Extent<'a>) -> Result<Self> {
        let mut part = Part { extent, baseline: None, untold: Vec::new() };
        match extent {
            Extent::Applied(applied) => {
                plan::refuse_modified(set, applied)?;
                part.baseline = plan::covered(set, applied);
                part.find(set, &applied.migrations)?;
                for row in &applied.repeatables {
                    let mut known = set.repeatables.iter();
                    if !known.any(|repeatable| is_of(row, &repeatable.name, &repeatable.script)) {
                        part.untold.extend(made_by(row));
                    }
                }
            }
            Extent::Whole => part.baseline = in_place_of_all(set),
        }
        Ok(part)
    }

    /// Sees to it that all of these can run: each is in the set, or a baseline stands for it.
    fn find(&mut self, set: &Set, rows: &[Row]) -> Result<()> {
        let Some(newest) = rows.iter().rfind(|row| set.get(row.version).is_none()) else {
            return Ok(());
        };
        if Some(newest.version) <= self.baseline {
            return Ok(());
        }
        let last = rows.last().map(|row| row.version);
        let mut baselines = set.baselines.iter().map(|baseline| baseline.version);
        match baselines.find(|version| *version >= newest.version && Some(*version) <= last) {
            Some(version) => {
                self.baseline = Some(version);
                Ok(())
            }
            None => Err(absent(set, newest)),
        }
    }

    fn holds(&self, version: Version) -> bool {
        let wanted = match self.extent {
            Extent::Whole => true,
            Extent::Applied(applied) => {
                applied.migrations.binary_search_by_key(&version, |row| row.version).is_ok()
            }
        };
        wanted && Some(version) > self.baseline
    }

    fn repeats(&self, name: &str, checksum: &str) -> bool {
        match self.extent {
            Extent::Whole => true,
            Extent::Applied(applied) => {
                let mut rows = applied.repeatables.iter();
                rows.any(|row| row.name == name && row.checksum == checksum)
            }
        }
    }
}

/// The newest baseline that stands for migrations of which the set holds none.
fn in_place_of_all(set: &Set) -> Option<Version> {
    let first = set.migrations.first().map(|entry| entry.version);
    let mut versions = set.baselines.iter().map(|baseline| baseline.version);
    versions.rfind(|version| first.is_none_or(|first| first > *version))
}

fn is_of(row: &Row, name: &str, script: &Script) -> bool {
    row.name == name && row.checksum == script.checksum
}

/// The error for a migration that is applied and not in the set.
fn absent(set: &Set, row: &Row) -> Error {
    let version = row.version;
    let (name, app_version) = (row.name.clone(), row.app_version.clone());
    if Some(version) > set.newest() {
        let known = plan::known(set);
        return ErrorKind::Newer { version, name, app_version, known }.into();
    }
    ErrorKind::Missing { version, name, app_version }.into()
}

/// The views and triggers that the ledger says a repeatable made.
pub(crate) fn made_by(row: &Row) -> Vec<String> {
    let stored = row.down_sql.clone().unwrap_or_default();
    let Ok(script) = text::read_stored(String::new(), stored) else { return Vec::new() };
    let dropped = script.statements.iter().filter_map(|statement| match &statement.action {
        Action::Drop { what: Object::View | Object::Trigger, name } => Some(name.name.to_string()),
        _ => None,
    });
    dropped.collect()
}
