//! The set: every migration read, put in order, and found sound.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::layout::Layout;
use super::placement::misplaced;
use super::shelf::Shelf;
use super::{File, Told, metadata, recognise, refuse_odd};
use crate::error::Result;
use crate::migration::{Deed, Migration, Version};
use crate::report::Compatibility;
use crate::sql::action::{Change, Name, Reference};
use crate::sql::losses;
use crate::sql::{Action, Object, Script};

/// Every migration of an application, in numeric order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    pub(crate) migrations: Vec<Entry>,
    pub(crate) baselines: Vec<Baseline>,
    /// In the order of their names.
    pub(crate) repeatables: Vec<Repeatable>,
    /// What scripts say of parents, in lower case, in `REFERENCES parent … ON DELETE CASCADE` and
    /// the like.
    pub(super) actions: OnceLock<BTreeMap<String, Actions>>,
}

/// What is done to a table's children when its rows go or change.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Actions {
    pub(crate) on_delete: bool,
    pub(crate) on_update: bool,
}

/// A migration, read.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) version: Version,
    pub(crate) name: String,
    pub(crate) task: Task,
    pub(crate) down: Option<Box<Script>>,
    pub(crate) verify: Option<Box<Script>>,
    pub(crate) compatibility: Compatibility,
    /// Nothing where nothing was said in code.
    pub(super) in_code: Option<Box<InCode>>,
    /// Whether the rows it changes are recorded, so that they can be put back.
    pub(crate) undo: bool,
    /// Where its up comes from; `None` for one that is made in code.
    pub(crate) origin: Option<Origin>,
    /// The number that it would have were the folder's dotted versions others.
    pub(crate) also: Option<Version>,
}

/// Reasons given in code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InCode {
    /// Why it is compatible.
    pub(crate) compatible: Option<String>,
    pub(crate) allow_data_loss: Option<String>,
    /// Why there is no way back.
    pub(crate) irreversible: Option<String>,
}

static NOTHING: InCode = InCode { compatible: None, allow_data_loss: None, irreversible: None };

/// The file of a migration, as its tool has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The version as written: `0001`, `1.2.3`, `2024-01-01-000000`.
    pub(crate) number: Box<str>,
    pub(crate) layout: Layout,
}

/// What a migration does on its way up.
#[derive(Clone)]
pub(crate) enum Task {
    Sql(Box<Script>),
    Code(Box<Code>),
}

/// A function, and what stands for the file and the text that it does not have.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) deed: Deed,
    pub(super) label: String,
    pub(super) checksum: String,
}

/// A definition that may run again.
#[derive(Clone, Debug)]
pub(crate) struct Repeatable {
    pub(crate) name: String,
    pub(crate) script: Script,
}

/// A script that stands for everything up to its version on an empty database.
#[derive(Clone, Debug)]
pub(crate) struct Baseline {
    pub(crate) version: Version,
    pub(crate) name: String,
    pub(crate) script: Script,
}

impl Task {
    pub(crate) fn script(&self) -> Option<&Script> {
        match self {
            Task::Sql(script) => Some(script),
            Task::Code(_) => None,
        }
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.script().is_some() { "Sql" } else { "Code" })
    }
}

impl Set {
    /// Reads files and migrations from code into one set.
    pub(crate) fn read(mut files: Vec<File>, told: &Told, added: &[Migration]) -> Result<Self> {
        files.retain(|file| !told.ignores(&file.path));
        refuse_odd(&files)?;
        files.retain(|file| file.odd.is_none());
        let names = recognise::names(&files, told.layout)?;
        let metadata = metadata::read(&files, names.layout)?;
        let mut shelf = Shelf::default();
        for file in files {
            shelf.put_file(file, &names, &metadata, &told.variables)?;
        }
        if names.layout == Layout::GolangMigrate {
            shelf.put_missing_ups()?;
        }
        for migration in added {
            shelf.put_migration(migration, &told.variables)?;
        }
        shelf.into_set(names.layout)
    }

    /// Migrations that change the schema and have a down script which does nothing: that is not the
    /// same as having none.
    pub(crate) fn empty_downs(&self) -> impl Iterator<Item = &Entry> {
        self.migrations.iter().filter(|entry| entry.has_empty_down())
    }

    pub(crate) fn get(&self, version: Version) -> Option<&Entry> {
        let at = self.migrations.binary_search_by_key(&version, |entry| entry.version).ok()?;
        self.migrations.get(at)
    }

    pub(crate) fn baseline(&self, version: Version) -> Option<&Baseline> {
        self.baselines.iter().find(|baseline| baseline.version == version)
    }

    pub(crate) fn repeatable(&self, name: &str) -> Option<&Repeatable> {
        let at = self.repeatables.binary_search_by(|held| held.name.as_str().cmp(name)).ok()?;
        self.repeatables.get(at)
    }

    /// Whether migrations would have other numbers beside other dotted versions.
    pub(crate) fn has_other_numbers(&self) -> bool {
        self.migrations.iter().any(|entry| entry.also.is_some())
    }

    /// The newest version that the set knows of.
    pub(crate) fn newest(&self) -> Option<Version> {
        let baseline = self.baselines.last().map(|baseline| baseline.version);
        self.migrations.last().map(|entry| entry.version).max(baseline)
    }

    /// Refuses a sign-off in a script that holds nothing to sign off.
    pub(crate) fn refuse_stale_sign_offs(&self) -> Result<()> {
        let ups = self.migrations.iter().filter_map(|entry| entry.task.script());
        let downs = self.migrations.iter().filter_map(|entry| entry.down.as_deref());
        let repeatables = self.repeatables.iter().map(|repeatable| &repeatable.script);
        let mut scripts = ups.chain(downs).chain(repeatables);
        let stale = scripts.find(|script| {
            script.directives().allow_data_loss.is_some() && !losses::can_lose(script)
        });
        match stale {
            Some(script) => {
                let why = "`allow-data-loss` signs off nothing: no statement here can lose data";
                let place = script.place_of("allow-data-loss");
                Err(misplaced(script, place, why.to_owned()).advise("remove the line"))
            }
            None => Ok(()),
        }
    }

    /// Every script, to be changed.
    pub(crate) fn scripts_mut(&mut self) -> impl Iterator<Item = &mut Script> {
        let of_migrations = self.migrations.iter_mut().flat_map(|entry| {
            let up = match &mut entry.task {
                Task::Sql(script) => Some(script.as_mut()),
                Task::Code(_) => None,
            };
            let down = entry.down.as_deref_mut();
            [up, down, entry.verify.as_deref_mut()].into_iter().flatten()
        });
        let baselines = self.baselines.iter_mut().map(|baseline| &mut baseline.script);
        let repeatables = self.repeatables.iter_mut().map(|repeatable| &mut repeatable.script);
        of_migrations.chain(baselines).chain(repeatables)
    }

    /// Whether any table's children are acted on.
    pub(crate) fn acts_on_children(&self) -> bool {
        !self.actions().is_empty()
    }

    pub(crate) fn actions_on_children_of(&self, table: &str) -> Actions {
        let table = match table.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(table.to_ascii_lowercase()),
            false => Cow::Borrowed(table),
        };
        self.actions().get(&*table).copied().unwrap_or_default()
    }

    /// Gathered when somebody asks, which is where rows are deleted or updated.
    fn actions(&self) -> &BTreeMap<String, Actions> {
        self.actions.get_or_init(|| self.gather_actions())
    }

    fn gather_actions(&self) -> BTreeMap<String, Actions> {
        let ups = self.migrations.iter().filter_map(|entry| entry.task.script());
        let downs = self.migrations.iter().filter_map(|entry| entry.down.as_deref());
        let baselines = self.baselines.iter().map(|baseline| &baseline.script);
        let references = ups.chain(downs).chain(baselines).flat_map(|script| &script.references);
        let mut actions: BTreeMap<String, Actions> = BTreeMap::new();
        for Reference { parent, on_delete, on_update } in references {
            let of_parent = actions.entry(parent.to_ascii_lowercase()).or_default();
            of_parent.on_delete |= on_delete;
            of_parent.on_update |= on_update;
        }
        actions
    }
}

impl Entry {
    pub(super) fn from_script(version: Version, name: String, script: Script) -> Result<Self> {
        Ok(Entry {
            version,
            name,
            compatibility: compatibility(&script),
            in_code: None,
            down: None,
            verify: None,
            undo: script.directives().undo,
            origin: None,
            also: None,
            task: Task::Sql(Box::new(script)),
        })
    }

    /// Its file, or what stands for it.
    pub(crate) fn label(&self) -> &str {
        match &self.task {
            Task::Sql(script) => &script.file,
            Task::Code(code) => &code.label,
        }
    }

    pub(crate) fn checksum(&self) -> &str {
        match &self.task {
            Task::Sql(script) => &script.checksum,
            Task::Code(code) => &code.checksum,
        }
    }

    /// The reasons that were given in code.
    pub(crate) fn in_code(&self) -> &InCode {
        self.in_code.as_deref().unwrap_or(&NOTHING)
    }

    /// The folder that the migration has for itself, where its layout gives it one.
    pub(crate) fn folder(&self) -> Option<&str> {
        let own = [Layout::Diesel, Layout::RusqliteMigration, Layout::Prisma, Layout::Drizzle];
        let origin = self.origin.as_ref().filter(|origin| own.contains(&origin.layout));
        origin.and_then(|_| self.label().rsplit_once(['/', '\\'])).map(|(folder, _)| folder)
    }

    /// Whether it changes the schema and its down script does nothing.
    pub(crate) fn has_empty_down(&self) -> bool {
        let down = self.down.as_ref().is_some_and(|down| down.statements.is_empty());
        down && self.task.script().is_some_and(Script::changes_schema)
    }

    /// Why there is no way back, where the migration says so itself.
    pub(crate) fn irreversible(&self) -> Option<&str> {
        let said = || self.task.script()?.directives().irreversible.as_deref();
        self.in_code().irreversible.as_deref().or_else(said)
    }
}

/// Whether programs that do not know a migration can go on working after it. By themselves only
/// new tables, views, columns and indexes are harmless, and of the indexes a unique one only on a
/// table of the same migration: elsewhere it can refuse what the older program inserts.
pub(crate) fn compatibility(script: &Script) -> Compatibility {
    if script.directives().compatible.is_some() {
        return Compatibility::Compatible;
    }
    let creates = |table: &Name| {
        script.statements.iter().any(|statement| match &statement.action {
            Action::Create { what: Object::Table, name, .. } => table.is(&name.name),
            _ => false,
        })
    };
    let harmless = |action: &Action| match action {
        Action::Create { what: Object::Index, unique: true, on: Some(table), .. } => creates(table),
        Action::Create { what, .. } => *what != Object::Trigger,
        Action::Alter { change, .. } => matches!(change, Change::AddColumn(_)),
        Action::Query | Action::Control(_) => true,
        Action::Pragma { name, .. } => name.as_ref() == "foreign_keys",
        _ => false,
    };
    let all = script.statements.iter().all(|statement| harmless(&statement.action));
    if all && !script.directives().breaking {
        Compatibility::Compatible
    } else {
        Compatibility::Breaking
    }
}
