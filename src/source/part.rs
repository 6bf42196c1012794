//! A part of a set, to be run by itself.

use std::sync::OnceLock;

use super::set::{Entry, Repeatable, Set};
use crate::migration::Version;

impl Set {
    /// A set of some of this one's migrations and repeatables, and one of its baselines. Without
    /// verify scripts, which ask for rows that a part need not have.
    pub(crate) fn part(
        &self,
        baseline: Option<Version>,
        holds: impl Fn(&Entry) -> bool,
        repeats: impl Fn(&Repeatable) -> bool,
    ) -> Set {
        let migrations = self.migrations.iter().filter(|entry| holds(entry));
        let baselines = self.baselines.iter().filter(|b| Some(b.version) == baseline);
        let repeatables = self.repeatables.iter().filter(|repeatable| repeats(repeatable));
        Set {
            migrations: migrations.map(|entry| Entry { verify: None, ..entry.clone() }).collect(),
            baselines: baselines.cloned().collect(),
            repeatables: repeatables.cloned().collect(),
            actions: OnceLock::new(),
        }
    }
}
