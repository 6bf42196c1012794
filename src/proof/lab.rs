//! Scratch databases, and migrators for the parts of a set that are looked at one by one.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::contents::Contents;
use super::shape::{Order, Shape, Shapes};
use crate::error::{Error, Result};
use crate::fresh::copied;
use crate::ledger::{self, Ledger};
use crate::lint::Hit;
use crate::migration::{Target, Version};
use crate::migrator::Migrator;
use crate::plan::DataLoss;
use crate::seed::{Item, Need, Registry};
use crate::source::set::Baseline;
use crate::source::{Entry, Set, Source};
use crate::sql::{Requirement, Rule, Script};

/// Whether a scratch connection enforces foreign keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    On,
    Off,
}

/// One step of the way up: a migration, or the baseline that the set starts from.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) version: Version,
    pub(crate) file: String,
}

pub(crate) struct Lab {
    pub(crate) set: Arc<Set>,
    pub(crate) registry: Registry,
    /// As the application's, without what belongs to its own databases: backups and listeners.
    whole: Migrator,
    /// Versioned migrations alone, and the backfills that they wait for.
    bare: Migrator,
    pub(crate) stages: Vec<Stage>,
    shapes: Shapes,
    /// As `bare`, with double quotes for names alone.
    strict: Option<Migrator>,
}

/// What a database is like at one place on the way.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) shape: Shape,
    pub(crate) contents: Contents,
}

impl Lab {
    pub(crate) fn new(migrator: &Migrator) -> Result<Self> {
        let set = migrator.load()?;
        let registry = Registry::read(&migrator.seeds, &migrator.environments)?;
        let mut whole = migrator.clone();
        (whole.backup, whole.listener, whole.stop) = (None, None, None);
        whole.wait = Duration::from_secs(5);
        let awaited = awaited(&set, &registry);
        let mut bare = whole.clone();
        bare.seeds = registry.seeds_of(|item| {
            awaited.iter().any(|name| name == item.name()).then_some(Need::Required)
        });
        let mut lab = Lab {
            set,
            registry,
            whole,
            bare,
            stages: Vec::new(),
            shapes: Shapes::default(),
            strict: None,
        };
        let replayed = lab.without_baselines();
        let starts_from_baseline = match replayed.migrations.first() {
            _ if lab.set.baselines.is_empty() => false,
            None => true,
            // What is left of migrations that a baseline stands for may not be the first of them.
            Some(first) => {
                let conn = lab.scratch(Keys::On)?;
                let bare = lab.migrator(&lab.bare, Arc::new(replayed.clone()));
                bare.apply_to(&conn, Target::Version(first.version)).is_err()
            }
        };
        let mut parts = if starts_from_baseline { Set::clone(&lab.set) } else { replayed };
        lab.whole.source = Source::read(Arc::new(parts.clone()));
        parts.repeatables.clear();
        let from = parts.baselines.last().map(|baseline| baseline.version);
        lab.stages = parts
            .baselines
            .last()
            .map(|baseline| (baseline.version, baseline.script.file.as_ref()))
            .into_iter()
            .chain(
                parts
                    .migrations
                    .iter()
                    .filter(|entry| Some(entry.version) > from)
                    .map(|entry| (entry.version, entry.label())),
            )
            .map(|(version, file)| Stage { version, file: file.to_owned() })
            .collect();
        lab.bare.source = Source::read(Arc::new(parts));
        lab.strict = lab.strict(&lab.bare)?;
        Ok(lab)
    }

    fn without_baselines(&self) -> Set {
        let mut set = Set::clone(&self.set);
        set.baselines.clear();
        set
    }

    fn migrator(&self, like: &Migrator, set: Arc<Set>) -> Migrator {
        let mut migrator = like.clone();
        migrator.source = Source::read(set);
        migrator
    }

    /// An empty database.
    pub(crate) fn scratch(&self, keys: Keys) -> Result<Connection> {
        let conn = self.whole.in_memory()?;
        set_keys(&conn, keys)?;
        Ok(conn)
    }

    /// Another database that holds the same.
    pub(crate) fn copy(&self, of: &Connection, keys: Keys) -> Result<Connection> {
        let mut conn = self.scratch(keys)?;
        copied(of, &mut conn)?;
        Ok(conn)
    }

    /// Whether two states are the same for whatever comes.
    pub(crate) fn is_same(a: &State, b: &State) -> bool {
        a.contents == b.contents && a.shape.differences(&b.shape, Order::Counts).is_empty()
    }

    /// Does something on a copy. Where there is a strict program, that does it before on another one,
    /// and where only it fails, a string stands in double quotes.
    pub(crate) fn strictly<T>(
        &self,
        of: &Connection,
        keys: Keys,
        (program, strict): (&Migrator, Option<Migrator>),
        hits: &mut Vec<Hit>,
        deed: impl Fn(&Migrator, &Connection) -> Result<T>,
    ) -> Result<(Connection, Result<T>)> {
        let refused = match strict {
            Some(strict) => deed(&strict, &self.copy(of, keys)?).err(),
            None => None,
        };
        let conn = self.copy(of, keys)?;
        let result = deed(program, &conn);
        if let (Ok(_), Some(refused)) = (&result, refused)
            && let Some(file) = refused.file()
        {
            hits.push(Hit {
                rule: Rule::DoubleQuotedString,
                file: file.to_owned(),
                position: refused.position(),
                what: "a string stands in double quotes here".to_owned(),
            });
        }
        Ok((conn, result))
    }

    /// The strict program for a stage, up and down, if its scripts hold double quotes.
    pub(crate) fn strict_at(&self, stage: &Stage) -> Option<Migrator> {
        let has = |script: &Script| script.has_double_quotes();
        let entry = self.set.get(stage.version);
        let up = entry.and_then(|entry| entry.task.script()).is_some_and(has);
        let down = entry.and_then(|entry| entry.down.as_deref()).is_some_and(has);
        let baseline =
            |baseline: &Baseline| baseline.version == stage.version && has(&baseline.script);
        let holds_any = up || down || self.set.baselines.iter().any(baseline);
        self.strict.clone().filter(|_| holds_any)
    }

    /// A program that takes double quotes for those of names alone. None where no script holds any.
    pub(crate) fn strict(&self, program: &Migrator) -> Result<Option<Migrator>> {
        let mut set = Set::clone(&*program.source.load()?);
        let mut any = false;
        for script in set.scripts_mut().filter(|script| script.has_double_quotes()) {
            (*script, any) = (script.in_backticks(), true);
        }
        let registry = Registry::read(&program.seeds, &program.environments)?;
        let seeds = registry.iter().filter_map(|item| registry.seed(item.name())?.script.as_ref());
        any |= seeds.into_iter().any(|script| script.has_double_quotes());
        if !any {
            return Ok(None);
        }
        let mut strict = self.migrator(program, Arc::new(set));
        let registry = registry.reading(Script::in_backticks);
        strict.seeds = registry.seeds_of(|item| Some(item.conditions().need));
        Ok(Some(strict))
    }

    /// Whether a table is the ledger's.
    pub(crate) fn is_ours(&self, table: &str) -> bool {
        ledger::owned(&self.whole.prefix).any(|ours| ours.eq_ignore_ascii_case(table))
    }

    pub(crate) fn state(&self, conn: &Connection) -> Result<State> {
        Ok(State {
            shape: self.shapes.of(conn, |table| self.is_ours(table))?,
            contents: Contents::of(conn, |table| self.is_ours(table))?,
        })
    }

    pub(crate) fn ledger<'c>(&self, conn: &'c Connection) -> Result<Ledger<'c>> {
        self.whole.ledger_of(conn)
    }

    /// The migration of a stage; none where that is a baseline.
    pub(crate) fn entry(&self, stage: &Stage) -> Option<&Entry> {
        self.set.get(stage.version).filter(|entry| entry.label() == stage.file)
    }

    /// Versioned migrations, no repeatables, no seeds but backfills that are waited for.
    pub(crate) fn bare(&self) -> &Migrator {
        &self.bare
    }

    /// The same, whatever is lost.
    pub(crate) fn careless(&self) -> Migrator {
        self.bare.clone().data_loss(DataLoss::Allow)
    }

    /// Everything, one migration after another where there is no other way.
    pub(crate) fn whole(&self) -> &Migrator {
        &self.whole
    }

    /// What the program was at a version, or before the first: the migrations up to it, and every
    /// seed that could run.
    pub(crate) fn program_at(&self, version: Option<Version>) -> Result<Migrator> {
        let mut set = Set::clone(&*self.bare.source.load()?);
        set.migrations.retain(|entry| Some(entry.version) <= version);
        set.baselines.retain(|baseline| Some(baseline.version) <= version);
        let mut program = self.migrator(&self.whole, Arc::new(set));
        program.seeds = self.registry.seeds_of(|_| Some(Need::Optional));
        Ok(program)
    }

    /// The whole set with one repeatable edited, so that it runs again.
    pub(crate) fn with_edited(&self, name: &str) -> Result<Migrator> {
        let mut set = Set::clone(&*self.whole.source.load()?);
        let of_name = set.repeatables.iter_mut().filter(|repeatable| repeatable.name == name);
        of_name.for_each(|repeatable| repeatable.script.checksum.push('+'));
        Ok(self.migrator(&self.whole, Arc::new(set)))
    }

    /// A program that starts from one baseline.
    pub(crate) fn starting_from(&self, version: Version) -> Migrator {
        let mut set = Set::clone(&self.set);
        set.baselines.retain(|baseline| baseline.version == version);
        set.migrations.retain(|entry| entry.version > version);
        set.repeatables.clear();
        self.migrator(&self.bare, Arc::new(set))
    }

    /// The whole set with no seeds but backfills.
    pub(crate) fn with_backfills_alone(&self) -> Migrator {
        let mut migrator = self.whole.clone();
        migrator.seeds = self.registry.seeds_of(|item| match item {
            Item::Backfill(_) => Some(Need::Required),
            Item::Seed(_) => None,
        });
        migrator
    }

    pub(crate) fn has_seeds(&self) -> bool {
        !self.registry.is_empty()
    }
}

fn set_keys(conn: &Connection, keys: Keys) -> Result<()> {
    let word = if keys == Keys::On { "ON" } else { "OFF" };
    conn.execute_batch(&format!("PRAGMA foreign_keys = {word}"))
        .map_err(Error::sqlite("switching foreign keys"))
}

/// Backfills that migrations wait for, and those that these come after.
fn awaited(set: &Set, registry: &Registry) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in &set.migrations {
        let requires = entry.task.script().map(|script| script.directives().requires.iter());
        for requirement in requires.into_iter().flatten() {
            if let Requirement::Backfill(name) = requirement {
                names.extend(registry.backfills_up_to(name).into_iter().map(str::to_owned));
            }
        }
    }
    names
}
