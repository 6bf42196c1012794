//! Where the files of a set are put until all are there, each under its version or name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::File;
use super::layout::Layout;
use super::metadata::Metadata;
use super::naming::{Names, Number, Role};
use super::placement::{
    IN_BASELINE, IN_DOWN, IN_REPEATABLE, IN_UP, IN_VERIFY, misplaced, refuse_down_beside,
    refuse_misplaced, refuse_unrecordable,
};
use super::set::{Baseline, Code, Entry, InCode, Origin, Repeatable, Set, Task};
use super::text::{bad_name, filled, in_sections, read, read_as, reading, refuse_nul, text};
use crate::error::{ErrorKind, Result};
use crate::migration::{Migration, Text, Up, Version};
use crate::report::Compatibility;
use crate::sql::Script;
use crate::sql::script::Reading;
use crate::sql::template::Variables;

/// Where files are put until all are there.
#[derive(Default)]
pub(super) struct Shelf {
    migrations: BTreeMap<Version, Entry>,
    baselines: BTreeMap<Version, Baseline>,
    repeatables: BTreeMap<String, Repeatable>,
    downs: BTreeMap<Version, Script>,
    verifies: BTreeMap<Version, Script>,
    /// Of the downs.
    names: BTreeMap<Version, String>,
}

impl Shelf {
    pub(super) fn put_file(
        &mut self,
        file: File,
        names: &Names,
        metadata: &Metadata,
        variables: &Variables,
    ) -> Result<()> {
        let path = file.path;
        let role = names.role(&path).map_err(|why| bad_name(&path, why, names.layout))?;
        if role == Role::Other {
            return Ok(());
        }
        let held = text(&path, file.bytes)?;
        let text = filled(&path, held.clone(), variables)?;
        let original = (text != held).then_some(held);
        let reading = match role {
            Role::Up { .. } | Role::Down { .. } => reading(&path, &text, names.layout, metadata),
            _ => Reading::default(),
        };
        match role {
            Role::Up { number, name } => {
                let Number { version, also, text: written } = number;
                let (script, down) = match names.layout.sections() {
                    Some(tool) => in_sections(&path, text, tool)?,
                    None => (read_as(path, text, reading)?.of_file(original), None),
                };
                refuse_misplaced(&script, "migration", &IN_UP)?;
                let origin = Origin { number: written.into(), layout: names.layout };
                let entry = Entry::from_script(version, name, script)?;
                self.put_entry(Entry { origin: Some(origin), also, ..entry })?;
                if let Some(down) = down {
                    put(&mut self.downs, version, down, down_of, |s| &s.file)?;
                }
            }
            Role::Down { number, name } => {
                let version = number.version;
                self.names.entry(version).or_insert(name);
                put(&mut self.downs, version, read_as(path, text, reading)?, down_of, |s| &s.file)?;
            }
            Role::Verify { version } => {
                put(&mut self.verifies, version, read_as(path, text, reading)?, verify_of, |s| {
                    &s.file
                })?;
            }
            Role::Baseline { version, name } => {
                let script = read_as(path, text, reading)?;
                refuse_misplaced(&script, "baseline", &IN_BASELINE)?;
                let baseline = Baseline { version, name, script };
                let what = |version: &Version| format!("the baseline {version}");
                put(&mut self.baselines, version, baseline, what, |b| &b.script.file)?;
            }
            Role::Repeatable { name } => {
                let script = read_as(path, text, reading)?.of_file(original);
                refuse_misplaced(&script, "repeatable", &IN_REPEATABLE)?;
                let repeatable = Repeatable { name: name.clone(), script };
                let what = |name: &String| format!("the repeatable `{name}`");
                put(&mut self.repeatables, name, repeatable, what, |r| &r.script.file)?;
            }
            Role::Other => {}
        }
        Ok(())
    }

    /// A down script alone is a migration that does nothing on its way up.
    pub(super) fn put_missing_ups(&mut self) -> Result<()> {
        let lone = self.downs.iter().filter(|(version, _)| !self.migrations.contains_key(version));
        let lone: Vec<(Version, String)> =
            lone.map(|(version, down)| (*version, down.file.to_string())).collect();
        for (version, file) in lone {
            let name = self.names.get(&version).cloned().unwrap_or_default();
            let entry = Entry::from_script(version, name, read(file.into(), Cow::Borrowed(""))?)?;
            self.put_entry(entry)?;
        }
        Ok(())
    }

    pub(super) fn put_migration(
        &mut self,
        migration: &Migration,
        variables: &Variables,
    ) -> Result<()> {
        let Migration { version, name, up, down, verify, compatible, .. } = migration;
        let label = migration.label();
        refuse_odd(migration, &label)?;
        let script = |suffix: &str, text: &Text| {
            let file = text.file.clone().unwrap_or_else(|| format!("{label}{suffix}"));
            refuse_nul(&file, &text.sql)?;
            let sql = filled(&file, text.sql.clone(), variables)?;
            read(file.into(), sql)
        };
        let mut entry = match up {
            Up::Sql(text) => {
                let script = script("", text)?;
                refuse_misplaced(&script, "migration", &IN_UP)?;
                Entry::from_script(*version, name.to_string(), script)?
            }
            Up::Code { deed, revision, .. } => Entry {
                version: *version,
                name: name.to_string(),
                task: Task::Code(Box::new(Code {
                    deed: deed.clone(),
                    label: label.clone(),
                    checksum: format!("code:{revision}"),
                })),
                down: None,
                verify: None,
                compatibility: Compatibility::Breaking,
                in_code: None,
                undo: false,
                origin: None,
                also: None,
            },
        };
        entry.undo |= migration.undoable;
        if compatible.is_some() {
            refuse_contradiction(&entry)?;
            entry.compatibility = Compatibility::Compatible;
        }
        let in_code = InCode {
            compatible: compatible.clone(),
            allow_data_loss: migration.allow_data_loss.clone(),
            irreversible: migration.irreversible.clone(),
        };
        entry.in_code = (in_code != InCode::default()).then(|| in_code.into());
        self.put_entry(entry)?;
        if let Some(text) = down {
            put(&mut self.downs, *version, script(".down", text)?, down_of, |s| &s.file)?;
        }
        if let Some(text) = verify {
            put(&mut self.verifies, *version, script(".verify", text)?, verify_of, |s| &s.file)?;
        }
        Ok(())
    }

    fn put_entry(&mut self, entry: Entry) -> Result<()> {
        let what = |version: &Version| format!("version {version}");
        put(&mut self.migrations, entry.version, entry, what, Entry::label)
    }

    pub(super) fn into_set(mut self, layout: Layout) -> Result<Set> {
        for (version, script) in std::mem::take(&mut self.downs) {
            let entry = self.owner(version, &script).map_err(|error| match layout {
                Layout::Sqlx => error.advise(
                    "add its migration, correct the number, or remove the file; golang-migrate \
                     takes it for a migration that has no up: `.layout(Layout::GolangMigrate)`",
                ),
                _ => error,
            })?;
            refuse_down_beside(entry, &script)?;
            refuse_misplaced(&script, "down script", &IN_DOWN)?;
            entry.down = Some(Box::new(script));
        }
        for (version, script) in std::mem::take(&mut self.verifies) {
            let entry = self.owner(version, &script)?;
            refuse_misplaced(&script, "verify script", &IN_VERIFY)?;
            entry.verify = Some(Box::new(script));
        }
        self.migrations.values().try_for_each(refuse_unrecordable)?;
        Ok(Set {
            migrations: self.migrations.into_values().collect(),
            baselines: self.baselines.into_values().collect(),
            repeatables: self.repeatables.into_values().collect(),
            actions: OnceLock::new(),
        })
    }

    fn owner(&mut self, version: Version, script: &Script) -> Result<&mut Entry> {
        let orphan = || ErrorKind::OrphanDown { file: script.file.to_string(), version };
        self.migrations.get_mut(&version).ok_or_else(|| orphan().into())
    }
}

fn down_of(version: &Version) -> String {
    format!("the down script of version {version}")
}

fn verify_of(version: &Version) -> String {
    format!("the verify script of version {version}")
}

/// Puts a value under its key; two for one key are refused, both named.
fn put<K: Ord, V>(
    map: &mut BTreeMap<K, V>,
    key: K,
    value: V,
    what: impl Fn(&K) -> String,
    file: impl Fn(&V) -> &str,
) -> Result<()> {
    if let Some(first) = map.get(&key) {
        let (first, second) = (file(first).to_owned(), file(&value).to_owned());
        return Err(ErrorKind::DuplicateVersion { what: what(&key), first, second }.into());
    }
    map.insert(key, value);
    Ok(())
}

/// What a file's name could not say, a migration from code must not.
fn refuse_odd(migration: &Migration, label: &str) -> Result<()> {
    let blank = |reason: &Option<String>| reason.as_ref().is_some_and(|why| why.trim().is_empty());
    let why = if migration.version.0 < 0 {
        "a version cannot be negative"
    } else if migration.name.is_empty() {
        "it has no name"
    } else if migration.name.chars().any(char::is_control) {
        "its name holds a control character"
    } else if blank(&migration.compatible) {
        return Err(ErrorKind::NoReason { verb: "compatible" }.into());
    } else if blank(&migration.allow_data_loss) {
        return Err(ErrorKind::NoReason { verb: "allow_data_loss" }.into());
    } else if blank(&migration.irreversible) {
        return Err(ErrorKind::NoReason { verb: "irreversible" }.into());
    } else {
        return Ok(());
    };
    Err(ErrorKind::BadName { file: label.to_owned(), why: why.to_owned() }.into())
}

/// `compatible` said in code, and `breaking` in the text.
fn refuse_contradiction(entry: &Entry) -> Result<()> {
    match entry.task.script() {
        Some(script) if script.directives().breaking => {
            let why = "`breaking` contradicts `compatible`".to_owned();
            Err(misplaced(script, script.place_of("breaking"), why))
        }
        _ => Ok(()),
    }
}
