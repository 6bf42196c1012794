//! Migrations that require a backfill: what comes before it is committed first.

use super::{Direction, Plan, Step, Work};
use crate::source::Set;
use crate::sql::Requirement;

impl Plan {
    /// Notes which steps wait for backfills that are still to be done, and parts the transactions
    /// there: a backfill works on what is committed. `open` gives a backfill and those before it,
    /// where they are not done.
    pub(crate) fn put_gates<'s>(&mut self, set: &'s Set, open: impl Fn(&'s str) -> Vec<&'s str>) {
        let mut later = 0;
        let mut before = None;
        for step in &mut self.steps {
            step.awaits = awaited(step, set).flat_map(&open).map(str::to_owned).collect();
            let shares = step.transaction.is_some() && step.transaction == before;
            before = step.transaction;
            if !step.awaits.is_empty() && shares {
                later += 1;
            }
            step.transaction = step.transaction.map(|number| number + later);
        }
    }

    /// The backfill that has to be done before the first step, if there is one.
    pub(crate) fn gate(&self) -> Option<&str> {
        self.steps.first()?.awaits.first().map(String::as_str)
    }
}

/// The backfills that the migration of a step requires.
fn awaited<'s>(step: &Step, set: &'s Set) -> impl Iterator<Item = &'s str> {
    let version = match (&step.work, step.direction) {
        (Work::Migration(version), Direction::Apply) => Some(*version),
        _ => None,
    };
    let script = version.and_then(|version| set.get(version)?.task.script());
    let requires = script.into_iter().flat_map(|script| &script.directives().requires);
    requires.filter_map(|requirement| match requirement {
        Requirement::Backfill(name) => Some(name.as_str()),
        _ => None,
    })
}

impl Set {
    /// Whether a migration requires a backfill at all.
    pub(crate) fn requires_backfills(&self) -> bool {
        self.required_backfills().next().is_some()
    }

    /// The backfills that migrations require, each with the migration's label.
    pub(crate) fn required_backfills(&self) -> impl Iterator<Item = (&str, &str)> {
        self.migrations.iter().flat_map(|entry| {
            let script = entry.task.script();
            let requires = script.into_iter().flat_map(|script| &script.directives().requires);
            requires.filter_map(|requirement| match requirement {
                Requirement::Backfill(name) => Some((entry.label(), name.as_str())),
                _ => None,
            })
        })
    }
}
