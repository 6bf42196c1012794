//! The decision: what another ledger says × the set → the rows of ours, or a refusal.

use std::collections::BTreeMap;

use super::check::Check;
use super::told::{Key, Number, Testimony, Told, UpTo};
use crate::adoption::{Adopt, Proof};
use crate::error::Unfit;
use crate::ledger::Row;
use crate::migration::Version;
use crate::report::Compatibility;
use crate::source::set::{Baseline, Repeatable};
use crate::source::{Entry, Set};
use crate::sql::{Script, undo_of_repeatable};

/// The rows that ours begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Rising by version. A time that is not known is empty.
    pub(crate) migrations: Vec<Row>,
    /// Of the set's repeatables that have run. One whose text was another runs again.
    pub(crate) repeatables: Vec<Row>,
    /// How many checksums are those of the set's files.
    pub(crate) checksums: usize,
    /// The files whose checksums are not.
    pub(crate) edited: Vec<String>,
}

/// diesel records a migration of its own under this version, for other databases than SQLite.
const DIESELS_OWN: Version = Version(0);

pub(crate) fn decide(
    set: &Set,
    testimony: &Testimony,
    tool: Adopt,
    proof: Proof,
) -> Result<Rows, Unfit> {
    let mut rows = BTreeMap::new();
    let mut decided = Rows::default();
    let mut put = |row: Row| match rows.insert(row.version, row) {
        None => Ok(()),
        Some(other) => Err(Unfit::Twice { version: other.version }),
    };
    for entry in first(set, testimony.first)? {
        put(row_of(entry, None))?;
    }
    let mut judge = |check: &Option<Check>, script: &Script, version: Version| {
        match check.as_ref().map(|check| check.is_of(script)) {
            None => {}
            Some(true) => decided.checksums += 1,
            Some(false) if proof == Proof::Trusted => decided.edited.push(script.file.to_string()),
            Some(false) => return Err(Unfit::Edited { file: script.file.to_string(), version }),
        }
        Ok(())
    };
    if let Some(UpTo { number, has_run, baseline }) = &testimony.up_to {
        let held = baseline.as_ref().and_then(|told| Some((told, baseline_of(set, told)?)));
        if let Some((told, baseline)) = held {
            judge(&told.check, &baseline.script, baseline.version)?;
            put(row_of_baseline(baseline, told.at.as_deref()))?;
        }
        let stands_for = held.map(|(_, baseline)| baseline.version);
        let is_up_to =
            |entry: &&Entry| number_of(entry) <= *number && Some(entry.version) != stands_for;
        for entry in set.migrations.iter().filter(is_up_to) {
            put(row_of(entry, None))?;
        }
        let version = number.version().filter(|_| *has_run && by_number(set, number).is_none());
        if let Some(version) = version {
            put(unknown(version, &Told::without_name(version)))?;
        }
    }
    let mut left: Vec<&Entry> = set.migrations.iter().collect();
    for told in &testimony.each {
        let Some(entry) = find(set, &left, told) else {
            match told.version() {
                Some(DIESELS_OWN) if tool == Adopt::Diesel => {}
                Some(version) => put(unknown(version, told))?,
                None => return Err(Unfit::NoFile { what: told.label() }),
            }
            continue;
        };
        left.retain(|other| other.version != entry.version);
        // Of a function there is nothing to compare.
        if let Some(script) = entry.task.script() {
            judge(&told.check, script, entry.version)?;
        }
        put(row_of(entry, told.at.as_deref()))?;
    }
    for (told, number) in testimony.repeatables.iter().zip(1..) {
        if let Some(repeatable) = set.repeatables.iter().find(|r| is_repeatable(r, told)) {
            let script = &repeatable.script;
            let is_same = told.check.as_ref().is_some_and(|check| check.is_of(script));
            decided.checksums += usize::from(is_same);
            decided.repeatables.push(Row {
                version: Version(-number),
                name: repeatable.name.clone(),
                checksum: if is_same { script.checksum.clone() } else { String::new() },
                down_sql: Some(undo_of_repeatable(script)),
                compatibility: Compatibility::Compatible,
                applied_at: told.at.clone().unwrap_or_default(),
                app_version: None,
            });
        }
    }
    decided.migrations = rows.into_values().collect();
    Ok(decided)
}

/// The first so many of the set.
fn first(set: &Set, count: i64) -> Result<&[Entry], Unfit> {
    let Ok(wanted) = usize::try_from(count) else {
        return Err(Unfit::Negative { number: count });
    };
    let known = set.migrations.len();
    let first = set.migrations.first().map(|entry| entry.version);
    if let Some(baseline) = set.baselines.first()
        && wanted > 0
        && first.is_none_or(|first| first > baseline.version)
    {
        return Err(Unfit::CountsMore { baseline: baseline.script.file.to_string() });
    }
    set.migrations.get(..wanted).ok_or(Unfit::MoreThanKnown { count: wanted, known })
}

fn find<'s>(set: &'s Set, left: &[&'s Entry], told: &Told) -> Option<&'s Entry> {
    match &told.key {
        Key::Number(number) => by_number(set, number),
        Key::Name(name, number) => {
            let is_it = |entry: &&Entry| {
                let is_in = entry.folder() == Some(name);
                entry.name == *name || is_in || is_file(entry.label(), name)
            };
            let named = set.migrations.iter().find(is_it);
            named.or_else(|| by_number(set, number.as_ref()?))
        }
        Key::Content => {
            let check = told.check.as_ref()?;
            let mut left = left.iter();
            left.find(|entry| entry.task.script().is_some_and(|script| check.is_of(script)))
                .copied()
        }
    }
}

/// The migration that has this number in its file's name or, having none, as its version.
fn by_number<'s>(set: &'s Set, number: &Number) -> Option<&'s Entry> {
    let written = set.migrations.iter().find(|entry| number_of(entry) == *number);
    written.or_else(|| set.get(number.version()?))
}

/// The version as the file has it, dashes left out, as diesel does: ours may be another number.
fn number_of(entry: &Entry) -> Number {
    let written = entry.origin.as_ref().map(|origin| origin.number.replace('-', ""));
    written.and_then(|written| Number::read(&written)).unwrap_or(entry.version.into())
}

/// Whether a path ends with that name.
fn is_file(path: &str, name: &str) -> bool {
    let file = |path: &str| path.rsplit(['/', '\\']).next().map(str::to_owned);
    file(path) == file(name)
}

fn baseline_of<'s>(set: &'s Set, told: &Told) -> Option<&'s Baseline> {
    let Key::Name(file, _) = &told.key else { return None };
    set.baselines.iter().find(|baseline| is_file(&baseline.script.file, file))
}

/// By the file's name or, as Flyway shows it, with spaces in it.
fn is_repeatable(repeatable: &Repeatable, told: &Told) -> bool {
    let by_file = matches!(&told.key, Key::Name(file, _) if is_file(&repeatable.script.file, file));
    by_file || repeatable.name.replace('_', " ") == told.name
}

fn row_of(entry: &Entry, at: Option<&str>) -> Row {
    Row {
        version: entry.version,
        name: entry.name.clone(),
        checksum: entry.checksum().to_owned(),
        down_sql: entry.down.as_ref().map(|down| down.stored().into_owned()),
        compatibility: entry.compatibility,
        applied_at: at.unwrap_or_default().to_owned(),
        app_version: None,
    }
}

fn row_of_baseline(baseline: &Baseline, at: Option<&str>) -> Row {
    Row {
        version: baseline.version,
        name: baseline.name.clone(),
        checksum: baseline.script.checksum.clone(),
        down_sql: None,
        compatibility: Compatibility::Breaking,
        applied_at: at.unwrap_or_default().to_owned(),
        app_version: None,
    }
}

/// Of a migration that the set lacks nothing is known but what the other ledger says.
fn unknown(version: Version, told: &Told) -> Row {
    Row {
        version,
        name: if told.name.is_empty() { "unknown".to_owned() } else { told.name.clone() },
        checksum: told.check.as_ref().map_or("unknown".to_owned(), Check::to_text),
        down_sql: None,
        compatibility: Compatibility::Breaking,
        applied_at: told.at.clone().unwrap_or_default(),
        app_version: None,
    }
}

impl Told {
    fn without_name(version: Version) -> Self {
        Told { key: Key::Number(version.into()), name: String::new(), at: None, check: None }
    }

    fn version(&self) -> Option<Version> {
        match &self.key {
            Key::Number(number) => number.version(),
            Key::Name(_, number) => number.as_ref()?.version(),
            Key::Content => None,
        }
    }

    /// As it calls what cannot be found.
    fn label(&self) -> String {
        match (&self.key, &self.check) {
            (Key::Name(name, _), _) => format!("`{name}`"),
            (_, Some(check)) => format!("what has the checksum {}", check.to_text()),
            (_, None) => format!("`{}`", self.name),
        }
    }
}
