//! What the ledger is told of a segment's steps: rows that come and go, and lines of the history.

use std::borrow::Cow;
use std::iter::once;
use std::time::Duration;

use super::Run;
use super::aside::Whole;
use super::repair::refuse_alive;
use crate::error::Result;
use crate::ledger::{self, Applied, NewRow};
use crate::migration::Version;
use crate::plan::{Direction, Goal, Step, Work};
use crate::report::Compatibility;
use crate::sql::{Script, undo_of_repeatable};

impl Run<'_> {
    /// The rows and the history of the steps, at the end of their transaction: cheaper than one
    /// by one, and no less one with what they record.
    pub(super) fn write_ledger(
        &self,
        steps: &[Step],
        done: &[(Duration, Vec<String>)],
        applied: &Applied,
        back: &[(String, Whole)],
    ) -> Result<()> {
        let job = self.job;
        let repeatables = &applied.repeatables;
        if !applied.complete {
            job.ledger.create()?;
        }
        for step in steps {
            match step.direction {
                Direction::Revert => {
                    if let Some(version) = step.version {
                        job.ledger.delete(version)?;
                    }
                }
                Direction::SetAside => {
                    let row = repeatables.iter().find(|row| row.name == step.name);
                    let put_back = back.iter().find(|(name, _)| *name == step.name);
                    match (row, put_back) {
                        (None, _) | (_, Some((_, Whole::Yes))) => {}
                        (Some(row), Some((_, Whole::No))) => job.ledger.outdate(row.version)?,
                        (Some(row), Some((_, Whole::Gone)) | None) => {
                            job.ledger.delete(row.version)?;
                        }
                    }
                }
                Direction::Apply | Direction::Mark | Direction::Repeat => {}
            }
        }
        let mut lowest = repeatables.iter().map(|row| row.version.0).min().unwrap_or(0).min(0);
        let rows = steps.iter().zip(done).filter_map(|(step, (took, _))| match step.direction {
            Direction::Apply | Direction::Mark => self.row(step, *took),
            Direction::Repeat => {
                lowest -= 1;
                let script = job.script(&step.work)?;
                Some(NewRow {
                    version: Version(lowest),
                    name: &step.name,
                    checksum: &script.checksum,
                    down_sql: Some(Cow::Owned(undo_of_repeatable(script))),
                    compatibility: Compatibility::Compatible,
                    took: *took,
                })
            }
            Direction::Revert | Direction::SetAside => None,
        });
        job.ledger.insert(rows)?;
        if self.goal == Goal::Down(crate::Target::Empty) {
            job.ledger.forget_seeds()?;
        }
        if let Goal::Mark(_) = self.goal {
            applied.mark.as_ref().map_or(Ok(()), refuse_alive)?;
            job.ledger.clear_mark()?;
        }
        let deeds = steps.iter().zip(done).flat_map(|(step, (_, waived))| self.deeds(step, waived));
        job.ledger.record(deeds)
    }

    /// The row of a migration or baseline.
    pub(super) fn row<'s>(&'s self, step: &'s Step, took: Duration) -> Option<NewRow<'s>> {
        let version = step.version?;
        let set = self.job.set;
        let of_baseline = || {
            let baseline = set.baselines.iter().find(|baseline| baseline.version == version)?;
            Some((baseline.script.checksum.as_str(), None))
        };
        let of_entry = || {
            let entry = set.get(version)?;
            let down = entry.down.as_deref().map(Script::stored);
            Some((entry.checksum(), down))
        };
        let (checksum, down_sql) = of_entry().or_else(of_baseline)?;
        let name = set.get(version).map_or(step.name.as_str(), |entry| entry.name.as_str());
        let compatibility = step.compatibility;
        Some(NewRow { version, name, checksum, down_sql, compatibility, took })
    }

    /// What the history says of a step: itself, and every rule that it waives with its reason.
    pub(super) fn deeds<'s>(
        &'s self,
        step: &'s Step,
        waived: &'s [String],
    ) -> impl Iterator<Item = ledger::Deed<'s>> {
        let action = match (step.direction, &step.work) {
            (Direction::Apply, Work::Baseline(_)) | (Direction::Mark, _) => Some("baseline"),
            (Direction::Apply, _) => Some("apply"),
            (Direction::Revert, _) => Some("revert"),
            (Direction::Repeat, _) => Some("repeat"),
            (Direction::SetAside, _) => None,
        };
        let script = self.job.script(&step.work);
        let name = Some(step.name.as_str());
        let entry = match &step.work {
            Work::Migration(version) => self.job.set.get(*version),
            _ => None,
        };
        let directives = script.map(Script::directives);
        let in_code = entry.and_then(|entry| entry.in_code().compatible.as_deref());
        let loss = directives.and_then(|d| d.allow_data_loss.as_deref());
        let loss = loss.or(entry.and_then(|entry| entry.in_code().allow_data_loss.as_deref()));
        let reasons = [
            ("allow-data-loss", loss),
            ("compatible", in_code.or(directives.and_then(|d| d.compatible.as_deref()))),
            ("irreversible", directives.and_then(|d| d.irreversible.as_deref())),
        ];
        let version = step.version;
        let deed =
            move |action, reason, detail| ledger::Deed { action, version, name, reason, detail };
        let checksum = script.map(|script| script.checksum.as_str());
        let waives = reasons.into_iter().filter(|(_, reason)| reason.is_some());
        let waives = waives.map(move |(what, reason)| deed("waive", reason, Some(what)));
        let loses = waived.iter().map(move |what| deed("lose", loss, Some(what)));
        let deeds =
            action.map(|action| once(deed(action, None, checksum)).chain(waives).chain(loses));
        deeds.into_iter().flatten()
    }
}
