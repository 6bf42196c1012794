//! The decision: set × applied × goal × policies × facts → plan, or a refusal that says what to do.

use super::judge::{drops_a_table, risk};
use super::{
    Amendment, Direction, Facts, ForeignKeys, Goal, Late, Missing, Needs, Newer, Plan, Policies,
    Risk, Step, Transactions, Work,
};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Applied, Row};
use crate::migration::{Target, Version};
use crate::report::{Compatibility, NewerMigration};
use crate::source::set;
use crate::source::{Entry, Set, Task};
use crate::sql::{Action, Script, Verb};

/// What has to be done to reach the goal, or why it is refused.
pub(crate) fn plan(
    set: &Set,
    applied: &Applied,
    goal: Goal,
    policies: &Policies,
    facts: Facts,
) -> Result<Plan> {
    let planner = Planner { set, applied, policies, facts };
    planner.refuse_interrupted(goal)?;
    let mut plan = match goal {
        Goal::Up(target) => planner.up(target)?,
        Goal::Down(target) => planner.down(target)?,
        Goal::Mark(version) => planner.mark(version)?,
        Goal::Undo(record) => planner.undo(record)?,
    };
    planner.assign_transactions(&mut plan.steps);
    plan.steps.iter_mut().for_each(|step| step.describe(set));
    Ok(plan)
}

pub(super) struct Planner<'a> {
    pub(super) set: &'a Set,
    pub(super) applied: &'a Applied,
    policies: &'a Policies,
    facts: Facts,
}

impl Planner<'_> {
    fn refuse_interrupted(&self, goal: Goal) -> Result<()> {
        match (&self.applied.mark, goal) {
            (None, _) => Ok(()),
            (Some(mark), Goal::Mark(version))
                if mark.version <= version
                    && !mark.revert
                    && self.set.get(mark.version).is_some() =>
            {
                Ok(())
            }
            (Some(mark), _) => {
                let what = if mark.revert { "its down script" } else { "it" };
                let progress = match mark.finished {
                    0 => format!(
                        "{what} was begun, and none of its statements is known to have finished"
                    ),
                    1 => format!("of {what}, the first statement finished and the second may have"),
                    n => format!(
                        "of {what}, the first {n} statements finished and the next may have"
                    ),
                };
                let error = Error::from(ErrorKind::Interrupted {
                    version: mark.version,
                    name: mark.name.clone(),
                    progress,
                });
                Err(match mark.revert {
                    true => error.advise(
                        "look at the database; then call `repair` with a reason to take it as \
                         applied again, and revert it again if that is wanted",
                    ),
                    false => error,
                })
            }
        }
    }

    fn up(&self, target: Target) -> Result<Plan> {
        refuse_modified(self.set, self.applied)?;
        self.refuse_renumbered()?;
        self.refuse_missing()?;
        let newer = self.newer();
        let mut steps = Vec::new();
        if self.policies.newer == Newer::Revert && self.set.newest().is_some() {
            steps = self.take_back(newer.iter().rev().copied())?;
        } else {
            self.refuse_newer(&newer)?;
        }
        let pending = self.pending(target)?;
        self.refuse_late(&pending, &newer)?;
        let whole = self.is_whole(&pending);
        let reverts = !steps.is_empty();
        steps.extend(pending);
        if reverts || steps.iter().any(|step| step.risk == Risk::Breaks) {
            self.set_aside_for_now(&mut steps);
        }
        if whole {
            self.repeat(&mut steps, reverts || newer.is_empty());
        }
        let corrects = reverts || newer.is_empty();
        let newer = match self.policies.newer {
            Newer::Revert => Vec::new(),
            _ => newer.into_iter().map(NewerMigration::of).collect(),
        };
        Ok(Plan {
            steps,
            amendments: self.amendments(corrects),
            newer,
            reaches_end: whole,
            ..Plan::default()
        })
    }

    fn mark(&self, at: Version) -> Result<Plan> {
        let known = self.set.get(at).is_some() || self.baseline_at(at);
        if !known {
            return Err(ErrorKind::UnknownTarget { version: at, what: "known" }.into());
        }
        let versions = self.set.migrations.iter().map(|entry| (entry.version, &entry.name));
        let baselines = self.set.baselines.iter().map(|b| (b.version, &b.name));
        let mut marks: Vec<Step> = versions
            .chain(baselines.filter(|(version, _)| *version == at))
            .filter(|(version, _)| *version <= at && self.row(*version).is_none())
            .map(|(version, name)| self.mark_step(version, name))
            .collect();
        marks.sort_by_key(|step| step.version);
        marks.dedup_by_key(|step| step.version);
        Ok(Plan { steps: marks, ..Plan::default() })
    }

    fn row(&self, version: Version) -> Option<&Row> {
        let rows = &self.applied.migrations;
        rows.get(rows.binary_search_by_key(&version, |row| row.version).ok()?)
    }

    fn baseline_at(&self, version: Version) -> bool {
        self.set.baselines.iter().any(|baseline| baseline.version == version)
    }

    /// Whatever the policies say: under its new number it would run again.
    fn refuse_renumbered(&self) -> Result<()> {
        if !self.set.has_other_numbers() {
            return Ok(());
        }
        let rows = self.applied.migrations.iter();
        for row in rows.filter(|row| self.set.get(row.version).is_none()) {
            let is_it = |entry: &&Entry| {
                entry.also == Some(row.version)
                    && (entry.name == row.name || entry.checksum() == row.checksum)
            };
            if let Some(entry) = self.set.migrations.iter().find(is_it) {
                let (applied, version) = (row.version, entry.version);
                let file = entry.label().to_owned();
                return Err(ErrorKind::Renumbered { file, applied, version }.into());
            }
        }
        Ok(())
    }

    fn refuse_missing(&self) -> Result<()> {
        let covered = self.set.baselines.last().map(|baseline| baseline.version);
        let newest = self.set.newest();
        let rows = &self.applied.migrations;
        let missing = rows.iter().find(|row| {
            let known = self.set.get(row.version).is_some();
            !known && Some(row.version) > covered && Some(row.version) < newest
        });
        if let (Some(row), Missing::Refuse) = (missing, self.policies.missing) {
            return Err(ErrorKind::Missing {
                version: row.version,
                name: row.name.clone(),
                app_version: row.app_version.clone(),
            }
            .into());
        }
        self.refuse_gap_below_baseline()
    }

    /// A database older than a baseline needs the migrations in between, which a set that starts
    /// from the baseline does not hold.
    fn refuse_gap_below_baseline(&self) -> Result<()> {
        let Some(last) = self.applied.migrations.last() else {
            return Ok(());
        };
        let first = self.set.migrations.first().map(|entry| entry.version);
        let gap = self.set.baselines.iter().find(|baseline| {
            last.version < baseline.version && first.is_none_or(|first| first > baseline.version)
        });
        match gap {
            None => Ok(()),
            Some(baseline) => Err(Error::from(ErrorKind::Missing {
                version: baseline.version,
                name: baseline.name.clone(),
                app_version: None,
            })
            .advise(format!(
                "the database is at version {} and this program starts from {}: run a release \
                 that still holds the migrations in between first",
                last.version, baseline.version
            ))),
        }
    }

    /// Applied migrations that the set does not know, newer than all it knows.
    fn newer(&self) -> Vec<&Row> {
        let newest = self.set.newest();
        self.applied.migrations.iter().filter(|row| Some(row.version) > newest).collect()
    }

    fn refuse_newer(&self, newer: &[&Row]) -> Result<()> {
        let refused = match self.policies.newer {
            Newer::Ignore => None,
            // A set without a migration does not know that it is the older one: perhaps its folder
            // was not found. It takes nothing back.
            Newer::Revert => newer.last(),
            Newer::Refuse => newer.last(),
            Newer::AllowCompatible => {
                newer.iter().rfind(|row| row.compatibility == Compatibility::Breaking)
            }
        };
        let Some(row) = refused else { return Ok(()) };
        let known = known(self.set);
        Err(ErrorKind::Newer {
            version: row.version,
            name: row.name.clone(),
            app_version: row.app_version.clone(),
            known,
        }
        .into())
    }

    /// What is to be applied, in order, a baseline first where the database is empty.
    fn pending(&self, target: Target) -> Result<Vec<Step>> {
        let last = match target {
            Target::Empty => return Ok(Vec::new()),
            Target::Version(version) => {
                if self.set.get(version).is_none() && !self.baseline_at(version) {
                    return Err(ErrorKind::UnknownTarget { version, what: "known" }.into());
                }
                version
            }
            Target::Latest | Target::Steps(_) => Version(i64::MAX),
        };
        let mut steps = Vec::new();
        let mut from = Version(i64::MIN);
        let baseline = self.set.baselines.iter().rfind(|baseline| baseline.version <= last);
        if let (Some(baseline), true) = (baseline, self.applied.migrations.is_empty()) {
            let below = self.set.migrations.iter().filter(|e| e.version <= baseline.version);
            if self.facts.empty {
                let script = &baseline.script;
                let work = Work::Baseline(baseline.version);
                steps.push(Step::new(
                    Some(baseline.version),
                    &baseline.name,
                    Direction::Apply,
                    work,
                    set::compatibility(script),
                    self.script_needs(script),
                    risk(script),
                ));
                let below = below.filter(|entry| entry.version != baseline.version);
                steps.extend(below.map(|entry| self.mark_step(entry.version, &entry.name)));
                from = baseline.version;
            } else if below.count() == 0 {
                let baseline = baseline.script.file.to_string();
                return Err(ErrorKind::NotEmpty { baseline }.into());
            }
        }
        let covered = self.covered();
        let entries = self.set.migrations.iter().filter(|entry| {
            Some(entry.version) > covered
                && entry.version > from
                && entry.version <= last
                && self.row(entry.version).is_none()
        });
        steps.extend(entries.map(|entry| self.apply_step(entry)));
        if let Target::Steps(count) = target {
            let marks = steps.iter().filter(|step| step.direction == Direction::Mark).count();
            steps.truncate(count.saturating_add(if count == 0 { 0 } else { marks }));
        }
        Ok(steps)
    }

    fn refuse_late(&self, pending: &[Step], newer: &[&Row]) -> Result<()> {
        if self.policies.late == Late::Apply {
            return Ok(());
        }
        let reverts = self.policies.newer == Newer::Revert;
        let latest = self
            .applied
            .migrations
            .iter()
            .rev()
            .find(|row| !(reverts && newer.iter().any(|newer| newer.version == row.version)));
        let latest = latest.map(|row| row.version);
        let late = pending.iter().find(|step| step.version < latest);
        let Some((step, latest)) = late.zip(latest) else {
            return Ok(());
        };
        let version = step.version.unwrap_or(latest);
        let file =
            self.set.get(version).map_or(step.name.clone(), |entry| entry.label().to_owned());
        Err(ErrorKind::Late { version, file, latest }.into())
    }

    /// Whether nothing that the set holds is left once these steps are done.
    fn is_whole(&self, pending: &[Step]) -> bool {
        let mut steps: Vec<Version> = pending.iter().filter_map(|step| step.version).collect();
        steps.sort_unstable();
        let from_baseline = pending.iter().find_map(|step| match step.work {
            Work::Baseline(version) => Some(version),
            _ => None,
        });
        let covered = from_baseline.max(self.covered());
        self.set.migrations.iter().all(|entry| {
            Some(entry.version) <= covered
                || steps.binary_search(&entry.version).is_ok()
                || self.row(entry.version).is_some()
        })
    }

    fn covered(&self) -> Option<Version> {
        covered(self.set, self.applied)
    }

    fn apply_step(&self, entry: &Entry) -> Step {
        let (needs, risk) = match &entry.task {
            Task::Sql(script) => (self.script_needs(script), risk(script)),
            Task::Code(_) if self.set.acts_on_children() => (Needs::KeysKept, Risk::Breaks),
            Task::Code(_) => (Needs::Nothing, Risk::Breaks),
        };
        Step::new(
            Some(entry.version),
            &entry.name,
            Direction::Apply,
            Work::Migration(entry.version),
            entry.compatibility,
            needs,
            risk,
        )
    }

    fn mark_step(&self, version: Version, name: &str) -> Step {
        let compatibility = self.set.get(version).map(|entry| entry.compatibility);
        Step::new(
            Some(version),
            name,
            Direction::Mark,
            Work::Nowhere,
            compatibility.unwrap_or(Compatibility::Breaking),
            Needs::Nothing,
            Risk::Nothing,
        )
    }

    /// What a newer program wrote is not corrected by an older one, which knows less.
    fn amendments(&self, corrects: bool) -> Vec<Amendment> {
        let rows = self.applied.migrations.iter();
        let amended = rows.filter_map(|row| {
            let entry = self.set.get(row.version)?;
            let reason = replaces(entry, row);
            let baseline = row.checksum != entry.checksum() && reason.is_none();
            let same = entry.checksum() == row.checksum
                && entry.name == row.name
                && entry.compatibility == row.compatibility
                && entry.down.as_deref().map(Script::stored).as_deref() == row.down_sql.as_deref();
            let wanted = corrects || reason.is_some();
            (!same && !baseline && wanted).then(|| Amendment {
                version: row.version,
                name: entry.name.clone(),
                reason: reason.map(str::to_owned),
            })
        });
        amended.collect()
    }

    pub(super) fn script_needs(&self, script: &Script) -> Needs {
        if script.directives().no_transaction {
            return Needs::NoTransaction;
        }
        if script.wants_foreign_keys_off() || drops_a_table(script) {
            return Needs::KeysOff;
        }
        let acts = script.statements.iter().any(|statement| match &statement.action {
            Action::Write { verb, table } => {
                let actions = || self.set.actions_on_children_of(&table.name);
                match verb {
                    Verb::Insert => false,
                    Verb::Delete | Verb::Replace => actions().on_delete,
                    Verb::Update => actions().on_update,
                    Verb::UpdateOrReplace => actions().on_delete || actions().on_update,
                }
            }
            _ => false,
        });
        if acts { Needs::KeysKept } else { Needs::Nothing }
    }

    /// Consecutive steps share a transaction as long as they can: one that needs foreign keys
    /// off and one that counts on their actions cannot, where the connection enforces them.
    fn assign_transactions(&self, steps: &mut [Step]) {
        let mut number = 0;
        let mut open: Option<Needs> = None;
        let mut starts = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let alone = self.policies.transactions == Transactions::Each
                && matches!(step.direction, Direction::Apply | Direction::Revert)
                && steps.get(at.wrapping_sub(1)).is_some_and(Step::is_versioned);
            let clash = match (open, step.needs) {
                (None, _) | (_, Needs::NoTransaction) => true,
                (Some(Needs::KeysOff), Needs::KeysKept)
                | (Some(Needs::KeysKept), Needs::KeysOff) => self.facts.enforces,
                _ => false,
            };
            if clash || alone {
                starts.push(at);
                open = Some(step.needs);
            } else if step.needs != Needs::Nothing {
                open = Some(step.needs);
            }
            if step.needs == Needs::NoTransaction {
                open = None;
            }
        }
        starts.push(steps.len());
        for pair in starts.windows(2) {
            let &[from, to] = pair else { continue };
            let Some(segment) = steps.get_mut(from..to) else {
                continue;
            };
            let outside = segment.iter().any(|step| step.needs == Needs::NoTransaction);
            let off = segment.iter().any(|step| step.needs == Needs::KeysOff);
            number += usize::from(!outside);
            for step in segment {
                step.transaction = (!outside).then_some(number);
                step.foreign_keys = if off { ForeignKeys::Off } else { ForeignKeys::Unchanged };
            }
        }
    }
}

/// Refuses applied migrations that are edited.
pub(crate) fn refuse_modified(set: &Set, applied: &Applied) -> Result<()> {
    for row in &applied.migrations {
        let Some(entry) = set.get(row.version) else {
            continue;
        };
        if entry.checksum() == row.checksum || replaces(entry, row).is_some() {
            continue;
        }
        // A baseline that has given way to the migration it stood for, or the reverse.
        let of_baseline = set.baselines.iter().any(|baseline| {
            baseline.version == row.version && baseline.script.checksum == row.checksum
        });
        if !of_baseline {
            return Err(modified(entry, row));
        }
    }
    Ok(())
}

/// What the set knows, in words.
pub(crate) fn known(set: &Set) -> String {
    match set.newest() {
        Some(version) => format!("up to version {version}"),
        None => "no migration at all".to_owned(),
    }
}

/// Up to where a baseline that has run stands for everything, also for what the set did not hold
/// when it ran.
pub(crate) fn covered(set: &Set, applied: &Applied) -> Option<Version> {
    let ran = |baseline: &&set::Baseline| {
        applied
            .migrations
            .iter()
            .any(|row| row.version == baseline.version && row.checksum == baseline.script.checksum)
    };
    set.baselines.iter().rfind(ran).map(|baseline| baseline.version)
}

fn modified(entry: &Entry, row: &Row) -> Error {
    let error = Error::from(ErrorKind::Modified {
        version: row.version,
        file: entry.label().to_owned(),
        recorded: row.checksum.clone(),
        found: entry.checksum().to_owned(),
    });
    let script = entry.task.script();
    match script.and_then(|script| script.directives().replaces.as_ref()) {
        Some(replaces) => error.advise(format!(
            "its `replaces` names {}, and what was applied is {}: write that, if the edit is meant",
            replaces.checksum, row.checksum
        )),
        None => error,
    }
}

/// The reason given, where the entry says that it replaces what the row records.
fn replaces<'e>(entry: &'e Entry, row: &Row) -> Option<&'e str> {
    let replaces = entry.task.script()?.directives().replaces.as_ref()?;
    let names = entry.checksum() != row.checksum && replaces.names(&row.checksum);
    names.then_some(replaces.reason.as_str())
}
