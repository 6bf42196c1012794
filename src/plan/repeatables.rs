//! Repeatables: set aside before what could break them, and run again after.

use super::judge::risk;
use super::planner::Planner;
use super::{Direction, Needs, Risk, Step, Work};
use crate::ledger::Row;
use crate::report::Compatibility;
use crate::sql::script::Reading;
use crate::sql::{Script, undo_of_repeatable};

impl Planner<'_> {
    /// Drops, before anything else, the views and triggers that repeatables made: one of them on
    /// a table that is being rebuilt would make its RENAME fail.
    pub(super) fn set_aside(&self, steps: &mut Vec<Step>) {
        let aside = self.applied.repeatables.iter().map(|row| self.aside_step(row));
        steps.splice(0..0, aside);
    }

    /// The same on the way up. Before a migration that runs outside any transaction they would
    /// have to stay away until the end of the run: only where it could break them, and only those
    /// that the set can make again.
    pub(super) fn set_aside_for_now(&self, steps: &mut Vec<Step>) {
        match steps.first() {
            Some(first) if first.needs == Needs::NoTransaction => {
                if first.risk == Risk::Breaks {
                    let rows = self.applied.repeatables.iter().filter(|row| self.defines(row));
                    let aside = rows.map(|row| self.aside_step(row));
                    steps.splice(0..0, aside);
                }
            }
            _ => self.set_aside(steps),
        }
    }

    /// Whether the set still has the repeatable of this row.
    pub(super) fn defines(&self, row: &Row) -> bool {
        self.set.repeatables.iter().any(|repeatable| repeatable.name == row.name)
    }

    /// After the versioned ones, the repeatables that changed, are new, or were set aside. Where a
    /// newer program has been, its own stay: those of this one are written for an older schema.
    pub(super) fn repeat(&self, steps: &mut Vec<Step>, is_newest: bool) {
        for repeatable in &self.set.repeatables {
            let row = self.applied.repeatables.iter().find(|row| row.name == repeatable.name);
            let aside = steps
                .iter()
                .any(|step| step.direction == Direction::SetAside && step.name == repeatable.name);
            let same = row.is_some_and(|row| row.checksum == repeatable.script.checksum);
            if !aside && (same || row.is_some() && !is_newest) {
                continue;
            }
            let renamed: Vec<Step> = self
                .taken_over(&repeatable.script)
                .filter(|row| !steps.iter().any(|step| step.is_aside_of(row)))
                .map(|row| self.aside_step(row))
                .collect();
            steps.extend(renamed);
            if let (Some(row), false) = (row, aside) {
                steps.push(self.aside_step(row));
            }
            let script = &repeatable.script;
            steps.push(Step::new(
                None,
                &repeatable.name,
                Direction::Repeat,
                Work::Repeatable(repeatable.name.clone()),
                Compatibility::Compatible,
                self.script_needs(script),
                risk(script),
            ));
        }
    }

    /// Rows of repeatables that the set has no more, where this script makes what they made.
    pub(super) fn taken_over<'s>(&'s self, script: &'s Script) -> impl Iterator<Item = &'s Row> {
        self.applied.repeatables.iter().filter(|row| {
            let made = row.down_sql.as_deref().unwrap_or_default();
            let again = |drop: &str| undo_of_repeatable(script).lines().any(|line| line == drop);
            !self.defines(row) && made.lines().any(again)
        })
    }

    pub(super) fn aside_step(&self, row: &Row) -> Step {
        let sql = row.down_sql.clone().unwrap_or_default();
        // What we stored ourselves has no directives, so that reading it has no faults.
        let script = Script::read(sql.into(), Reading::default());
        let script = script.map(|script| script.called(format!("{} (stored)", row.name)));
        let work = script.map_or(Work::Nowhere, |script| Work::Script(Box::new(script)));
        let needs = Needs::Nothing;
        let kept = Compatibility::Compatible;
        Step::new(None, &row.name, Direction::SetAside, work, kept, needs, Risk::Nothing)
    }
}
