//! The way back: migrations and recorded seeds, the newest first.

use super::planner::Planner;
use super::{Direction, Needs, Plan, Risk, Step, Work};
use crate::error::{ErrorKind, Result};
use crate::ledger::{Record, Recorded, Row, damaged_line};
use crate::migration::{Target, Version};
use crate::report::Compatibility;
use crate::source::{Entry, text};

impl Planner<'_> {
    pub(super) fn down(&self, target: Target) -> Result<Plan> {
        let rows = &self.applied.migrations;
        let stays: usize = match target {
            Target::Latest => rows.len(),
            Target::Empty => 0,
            Target::Steps(steps) => rows.len().saturating_sub(steps),
            Target::Version(version) => {
                let found = rows.iter().position(|row| row.version == version);
                let unknown = ErrorKind::UnknownTarget { version, what: "applied" };
                found.ok_or(unknown)? + 1
            }
        };
        let gone = rows.get(stays..).unwrap_or_default();
        if target == Target::Empty {
            self.refuse_damaged_records()?;
        }
        let mut steps = self.take_back(gone.iter().rev())?;
        if target == Target::Empty {
            // What stood on no migration goes last: every sentinel is forgotten.
            let undone = |id| {
                let mut works = steps.iter().map(|step| &step.work);
                works.any(|work| matches!(work, Work::Undo(record) if record.id == id))
            };
            let seeds = self.recorded_seeds().filter(|record| !undone(record.id));
            let seeds: Vec<Step> = seeds.map(undo_seed).collect();
            steps.extend(seeds);
        }
        if !steps.is_empty() {
            self.set_aside(&mut steps);
        }
        Ok(Plan { steps, ..Plan::default() })
    }

    /// The migrations, the newest first, and before each of them the recorded seeds that ran after
    /// it: they stand on it.
    pub(super) fn take_back<'r>(&self, rows: impl Iterator<Item = &'r Row>) -> Result<Vec<Step>> {
        let mut seeds: Vec<&Record> = self.recorded_seeds().collect();
        let mut steps = Vec::new();
        for row in rows {
            self.refuse_damaged_records()?;
            seeds.retain(|seed| {
                let stands = !seed.after.contains(&row.version);
                if !stands {
                    steps.push(undo_seed(seed));
                }
                stands
            });
            steps.push(self.revert_step(row)?);
        }
        Ok(steps)
    }

    /// A damaged record may be one of those that would be put back.
    fn refuse_damaged_records(&self) -> Result<()> {
        self.applied.damaged.first().map_or(Ok(()), |found| Err(damaged_line(found)))
    }

    /// The newest first.
    pub(super) fn recorded_seeds(&self) -> impl Iterator<Item = &Record> {
        let is_seed = |record: &&Record| matches!(record.of, Recorded::Seed { .. });
        self.applied.records.iter().rev().filter(is_seed)
    }

    /// Nothing, where another process was faster.
    pub(super) fn undo(&self, id: i64) -> Result<Plan> {
        self.refuse_damaged_records()?;
        let record = self.applied.records.iter().find(|record| record.id == id);
        let step = record.map(|record| {
            let version = match record.of {
                Recorded::Migration(version) => Some(version),
                Recorded::Seed { .. } => None,
            };
            undo_step(version, &record.name, record, Compatibility::Breaking)
        });
        Ok(Plan { steps: step.into_iter().collect(), ..Plan::default() })
    }

    /// The down script from the set, if the set's migration is the one applied; else from the
    /// ledger, which keeps the one that belongs to it.
    pub(super) fn revert_step(&self, row: &Row) -> Result<Step> {
        let entry = self.set.get(row.version).filter(|entry| entry.checksum() == row.checksum);
        let irreversible = |why: &str| ErrorKind::Irreversible {
            version: row.version,
            name: row.name.clone(),
            why: why.to_owned(),
        };
        let has_down = entry.is_some_and(|entry| entry.down.is_some());
        let of_this = Recorded::Migration(row.version);
        let record = self.applied.records.iter().rfind(|record| record.of == of_this);
        if let (Some(record), false) = (record, has_down) {
            return Ok(undo_step(Some(row.version), &row.name, record, row.compatibility));
        }
        let script = match (entry.and_then(|entry| entry.down.as_deref()), &row.down_sql) {
            (Some(down), _) => down.clone(),
            (None, Some(sql)) if entry.is_none() => {
                let file = format!("{}_{}.down (stored in the ledger)", row.version, row.name);
                text::read_stored(file, sql.clone())?
            }
            _ => {
                let forgotten = entry.filter(|entry| entry.undo).map(|_| {
                    "what it changed is not on record: that was forgotten, or it ran before it \
                     said `undo`"
                });
                let why = entry.and_then(Entry::irreversible).or(forgotten);
                return Err(irreversible(why.unwrap_or("it has no down script")).into());
            }
        };
        let needs = self.script_needs(&script);
        Ok(Step::new(
            Some(row.version),
            &row.name,
            Direction::Revert,
            Work::Script(Box::new(script)),
            row.compatibility,
            needs,
            Risk::Breaks,
        ))
    }
}

fn undo_seed(record: &Record) -> Step {
    undo_step(None, &record.name, record, Compatibility::Breaking)
}

fn undo_step(
    version: Option<Version>,
    name: &str,
    record: &Record,
    compatibility: Compatibility,
) -> Step {
    let work = Work::Undo(Box::new(record.clone()));
    let (needs, risk) = (Needs::KeysOff, Risk::Nothing);
    Step::new(version, name, Direction::Revert, work, compatibility, needs, risk)
}
