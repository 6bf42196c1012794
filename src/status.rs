//! How a database stands to a set: a pure function of what both say.

use std::collections::BTreeMap;

use crate::ledger::{Applied, Row, Sentinel};
use crate::migration::Version;
use crate::plan;
use crate::report::{MigrationStatus, SeedState, SeedStatus, State, Status};
use crate::seed::{Registry, Standing};
use crate::source::Set;

pub(crate) fn status(
    set: &Set,
    applied: &Applied,
    registry: &Registry,
    standing: &Standing,
    sentinels: &[Sentinel],
) -> Status {
    let mut migrations: BTreeMap<Version, MigrationStatus> = BTreeMap::new();
    let latest = applied.migrations.last().map(|row| row.version);
    let covered = plan::covered(set, applied);
    for entry in &set.migrations {
        let state = match Some(entry.version) {
            version if version <= covered => State::Applied,
            version if version < latest => State::Late,
            _ => State::Pending,
        };
        let line = MigrationStatus::of(Some(entry.version), &entry.name, state, None);
        migrations.insert(entry.version, line);
    }
    for row in &applied.migrations {
        let version = row.version;
        let baseline = set.baselines.iter().find(|baseline| baseline.version == version);
        let below = set.baselines.iter().any(|baseline| baseline.version >= version);
        let state = match set.get(version) {
            Some(entry) if entry.checksum() == row.checksum => State::Applied,
            _ if baseline.is_some_and(|b| b.script.checksum == row.checksum) => State::Applied,
            Some(_) => State::Modified,
            None if Some(version) > set.newest() => State::Newer,
            None if below => State::Applied,
            None => State::Missing,
        };
        let line = MigrationStatus::of(Some(version), &row.name, state, Some(row));
        migrations.insert(version, line);
    }
    if let Some(mark) = &applied.mark {
        let line = MigrationStatus::of(Some(mark.version), &mark.name, State::Interrupted, None);
        migrations.insert(mark.version, line);
    }
    let repeatables = set.repeatables.iter().map(|repeatable| {
        let row = applied.repeatables.iter().find(|row| row.name == repeatable.name);
        let same = row.is_some_and(|row| row.checksum == repeatable.script.checksum);
        // A newer program's are left to it.
        let newer =
            row.is_some() && applied.migrations.last().map(|row| row.version) > set.newest();
        let state = if same || newer { State::Applied } else { State::Pending };
        MigrationStatus::of(None, &repeatable.name, state, row)
    });
    let repeatables: Vec<_> = repeatables.collect();
    Status {
        migrations: migrations.into_values().chain(repeatables).collect(),
        seeds: seed_status(registry, standing, sentinels),
    }
}

fn seed_status(
    registry: &Registry,
    standing: &Standing,
    sentinels: &[Sentinel],
) -> Vec<SeedStatus> {
    let of_registry = registry.iter().map(|item| {
        let sentinel = sentinels.iter().find(|sentinel| sentinel.name == item.name());
        let held = standing.held.iter().find(|held| held.name == item.name());
        let begun = sentinel.filter(|sentinel| sentinel.is_running());
        let state = match held {
            _ if begun.is_some() => SeedState::Running,
            Some(_) => SeedState::HeldBack,
            None if standing.run.iter().any(|name| name == item.name()) => SeedState::Pending,
            None => SeedState::Done,
        };
        SeedStatus {
            name: item.name().to_owned(),
            state,
            finished_at: sentinel.and_then(|sentinel| sentinel.finished_at.clone()),
            note: held
                .map(|held| held.why.to_string())
                .or(begun.map(|sentinel| sentinel.progress().to_string())),
        }
    });
    let unknown = sentinels.iter().filter(|sentinel| registry.get(&sentinel.name).is_none());
    let unknown = unknown.map(|sentinel| SeedStatus {
        name: sentinel.name.clone(),
        state: SeedState::Unknown,
        finished_at: sentinel.finished_at.clone(),
        note: None,
    });
    of_registry.chain(unknown).collect()
}

impl MigrationStatus {
    fn of(version: Option<Version>, name: &str, state: State, row: Option<&Row>) -> Self {
        MigrationStatus {
            version,
            name: name.to_owned(),
            state,
            // A ledger that is still to be taken over does not always know.
            applied_at: row.map(|row| row.applied_at.clone()).filter(|at| !at.is_empty()),
            app_version: row.and_then(|row| row.app_version.clone()),
        }
    }
}
