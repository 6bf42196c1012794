//! The set: every migration read, put in order, and found sound.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::layout::Layout;
use super::metadata::Metadata;
use super::naming::{Names, Number, Role};
use super::text::{bad_name, filled, in_sections, read, read_as, reading, refuse_nul, text};
use super::{File, Told, metadata, recognise};
use crate::error::{Error, ErrorKind, Result};
use crate::migration::{Deed, Migration, Text, Up, Version};
use crate::report::Compatibility;
use crate::sql::action::{Change, Reference};
use crate::sql::losses;
use crate::sql::script::Reading;
use crate::sql::template::Variables;
use crate::sql::{Action, Object, Position, Requirement, Script};

/// Every migration of an application, in numeric order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    pub(crate) migrations: Vec<Entry>,
    pub(crate) baselines: Vec<Baseline>,
    /// In the order of their names.
    pub(crate) repeatables: Vec<Repeatable>,
    /// What scripts say of parents, in lower case, in `REFERENCES parent … ON DELETE CASCADE` and
    /// the like.
    pub(super) actions: BTreeMap<String, Actions>,
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
    /// Its file, or what stands for it.
    pub(crate) label: String,
    pub(crate) task: Task,
    pub(crate) down: Option<Box<Script>>,
    pub(crate) verify: Option<Box<Script>>,
    pub(crate) compatibility: Compatibility,
    /// Why it is compatible, where that was said in code.
    pub(crate) compatible: Option<String>,
    /// The reason given in code.
    pub(crate) allow_data_loss: Option<String>,
    /// Why there is no way back, where that was said in code.
    pub(crate) irreversible: Option<String>,
    pub(crate) checksum: String,
    /// Whether the rows it changes are recorded, so that they can be put back.
    pub(crate) undo: bool,
    /// Where its up comes from; `None` for one that is made in code.
    pub(crate) origin: Option<Origin>,
    /// The number that it would have were the folder's dotted versions others.
    pub(crate) also: Option<Version>,
}

/// The file of a migration, as its tool has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// From the set's folder, with `/` between names.
    pub(crate) file: String,
    /// The version as written: `0001`, `1.2.3`, `2024-01-01-000000`.
    pub(crate) number: String,
    pub(crate) layout: Layout,
}

impl Origin {
    /// The folder that the migration has for itself, where its layout gives it one.
    pub(crate) fn folder(&self) -> Option<&str> {
        let own = matches!(
            self.layout,
            Layout::Diesel | Layout::RusqliteMigration | Layout::Prisma | Layout::Drizzle
        );
        self.file.rsplit_once('/').map(|(folder, _)| folder).filter(|_| own)
    }
}

/// What a migration does on its way up.
#[derive(Clone)]
pub(crate) enum Task {
    Sql(Box<Script>),
    Code(Deed),
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
            script.directives.allow_data_loss.is_some() && !losses::can_lose(script)
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

    /// Whether any table's children are acted on.
    pub(crate) fn acts_on_children(&self) -> bool {
        !self.actions.is_empty()
    }

    pub(crate) fn actions_on_children_of(&self, table: &str) -> Actions {
        let table = match table.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(table.to_ascii_lowercase()),
            false => Cow::Borrowed(table),
        };
        self.actions.get(&*table).copied().unwrap_or_default()
    }

    pub(super) fn with_actions(mut self) -> Self {
        let ups = self.migrations.iter().filter_map(|entry| entry.task.script());
        let downs = self.migrations.iter().filter_map(|entry| entry.down.as_deref());
        let baselines = self.baselines.iter().map(|baseline| &baseline.script);
        let references = ups.chain(downs).chain(baselines).flat_map(|script| &script.references);
        let mut actions: BTreeMap<String, Actions> = BTreeMap::new();
        for Reference { parent, on_delete, on_update } in references {
            if *on_delete || *on_update {
                let of_parent = actions.entry(parent.to_ascii_lowercase()).or_default();
                of_parent.on_delete |= on_delete;
                of_parent.on_update |= on_update;
            }
        }
        self.actions = actions;
        self
    }
}

/// Where files are put until all are there.
#[derive(Default)]
struct Shelf {
    migrations: BTreeMap<Version, Entry>,
    baselines: BTreeMap<Version, Baseline>,
    repeatables: BTreeMap<String, Repeatable>,
    downs: BTreeMap<Version, Script>,
    verifies: BTreeMap<Version, Script>,
    /// Of the downs.
    names: BTreeMap<Version, String>,
}

impl Shelf {
    fn put_file(
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
        let script = |text| read_as(path.clone(), text, reading.clone());
        match role {
            Role::Up { number, name } => {
                let Number { version, also, text: written } = number;
                let (script, down) = match names.layout.sections() {
                    Some(tool) => in_sections(&path, text, tool)?,
                    None => (script(text)?.of_file(original), None),
                };
                refuse_misplaced(&script, "migration", &IN_UP)?;
                let origin =
                    Origin { file: path.replace('\\', "/"), number: written, layout: names.layout };
                let entry = Entry::from_script(version, name, script)?;
                self.put_entry(Entry { origin: Some(origin), also, ..entry })?;
                if let Some(down) = down {
                    put(&mut self.downs, version, down, down_of, |s| &s.file)?;
                }
            }
            Role::Down { number, name } => {
                let version = number.version;
                self.names.entry(version).or_insert(name);
                put(&mut self.downs, version, script(text)?, down_of, |s| &s.file)?;
            }
            Role::Verify { version } => {
                put(&mut self.verifies, version, script(text)?, verify_of, |s| &s.file)?;
            }
            Role::Baseline { version, name } => {
                let script = script(text)?;
                refuse_misplaced(&script, "baseline", &IN_BASELINE)?;
                let baseline = Baseline { version, name, script };
                let what = |version: &Version| format!("the baseline {version}");
                put(&mut self.baselines, version, baseline, what, |b| &b.script.file)?;
            }
            Role::Repeatable { name } => {
                let script = script(text)?.of_file(original);
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
    fn put_missing_ups(&mut self) -> Result<()> {
        let lone = self.downs.iter().filter(|(version, _)| !self.migrations.contains_key(version));
        let lone: Vec<(Version, String)> =
            lone.map(|(version, down)| (*version, down.file.clone())).collect();
        for (version, file) in lone {
            let name = self.names.get(&version).cloned().unwrap_or_default();
            let entry = Entry::from_script(version, name, read(file, Cow::Borrowed(""))?)?;
            self.put_entry(entry)?;
        }
        Ok(())
    }

    fn put_migration(&mut self, migration: &Migration, variables: &Variables) -> Result<()> {
        let Migration { version, name, up, down, verify, compatible, .. } = migration;
        let label = migration.label();
        refuse_odd(migration, &label)?;
        let script = |suffix: &str, text: &Text| {
            let file = text.file.clone().unwrap_or_else(|| format!("{label}{suffix}"));
            refuse_nul(&file, &text.sql)?;
            let sql = filled(&file, text.sql.clone(), variables)?;
            read(file, sql)
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
                label: label.clone(),
                task: Task::Code(deed.clone()),
                down: None,
                verify: None,
                compatibility: Compatibility::Breaking,
                compatible: None,
                allow_data_loss: None,
                irreversible: None,
                checksum: format!("code:{revision}"),
                undo: false,
                origin: None,
                also: None,
            },
        };
        entry.undo |= migration.undoable;
        if compatible.is_some() {
            refuse_contradiction(&entry)?;
            entry.compatibility = Compatibility::Compatible;
            entry.compatible.clone_from(compatible);
        }
        entry.allow_data_loss.clone_from(&migration.allow_data_loss);
        entry.irreversible.clone_from(&migration.irreversible);
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
        put(&mut self.migrations, entry.version, entry, what, |e| &e.label)
    }

    fn into_set(mut self, layout: Layout) -> Result<Set> {
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
        let set = Set {
            migrations: self.migrations.into_values().collect(),
            baselines: self.baselines.into_values().collect(),
            repeatables: self.repeatables.into_values().collect(),
            actions: BTreeMap::new(),
        };
        Ok(set.with_actions())
    }

    fn owner(&mut self, version: Version, script: &Script) -> Result<&mut Entry> {
        let orphan = || ErrorKind::OrphanDown { file: script.file.clone(), version };
        self.migrations.get_mut(&version).ok_or_else(|| orphan().into())
    }
}

impl Entry {
    fn from_script(version: Version, name: String, script: Script) -> Result<Self> {
        Ok(Entry {
            version,
            name,
            label: script.file.clone(),
            compatibility: compatibility(&script),
            compatible: None,
            allow_data_loss: None,
            irreversible: None,
            checksum: script.checksum.clone(),
            down: None,
            verify: None,
            undo: script.directives.undo,
            origin: None,
            also: None,
            task: Task::Sql(Box::new(script)),
        })
    }

    /// Whether it changes the schema and its down script does nothing.
    pub(crate) fn has_empty_down(&self) -> bool {
        let down = self.down.as_ref().is_some_and(|down| down.statements.is_empty());
        down && self.task.script().is_some_and(Script::changes_schema)
    }

    /// Why there is no way back, where the migration says so itself.
    pub(crate) fn irreversible(&self) -> Option<&str> {
        let said = || self.task.script()?.directives.irreversible.as_deref();
        self.irreversible.as_deref().or_else(said)
    }
}

/// Whether programs that do not know a migration can go on working after it. By themselves only
/// new tables, views, columns and indexes are harmless, and of the indexes a unique one only on a
/// table of the same migration: elsewhere it can refuse what the older program inserts.
pub(crate) fn compatibility(script: &Script) -> Compatibility {
    if script.directives.compatible.is_some() {
        return Compatibility::Compatible;
    }
    let created: Vec<&str> = script
        .statements
        .iter()
        .filter_map(|statement| match &statement.action {
            Action::Create { what: Object::Table, name, .. } => Some(name.name.as_str()),
            _ => None,
        })
        .collect();
    let harmless = |action: &Action| match action {
        Action::Create { what: Object::Index, unique: true, on: Some(table), .. } => {
            created.iter().any(|created| table.is(created))
        }
        Action::Create { what, .. } => *what != Object::Trigger,
        Action::Alter { change, .. } => matches!(change, Change::AddColumn(_)),
        Action::Query | Action::Control(_) => true,
        Action::Pragma { name, .. } => name == "foreign_keys",
        _ => false,
    };
    let all = script.statements.iter().all(|statement| harmless(&statement.action));
    if all && !script.directives.breaking {
        Compatibility::Compatible
    } else {
        Compatibility::Breaking
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
    file: impl Fn(&V) -> &String,
) -> Result<()> {
    if let Some(first) = map.get(&key) {
        let (first, second) = (file(first).clone(), file(&value).clone());
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
        Some(script) if script.directives.breaking => {
            let why = "`breaking` contradicts `compatible`".to_owned();
            Err(misplaced(script, script.place_of("breaking"), why))
        }
        _ => Ok(()),
    }
}

/// Directives that mean nothing in a script would be taken for granted and do nothing.
pub(crate) fn refuse_misplaced(script: &Script, what: &str, allowed: &[&str]) -> Result<()> {
    if let Some(word) = script.directives.said().find(|word| !allowed.contains(word)) {
        let why = format!("`{word}` has no place in a {what}");
        return Err(misplaced(script, script.place_of(word), why));
    }
    let waits = |r: &Requirement| matches!(r, Requirement::Backfill(_));
    if what != "migration" && script.directives.requires.iter().any(waits) {
        let why = format!("`requires backfill` has no place in a {what}");
        return Err(misplaced(script, script.place_of("requires backfill"), why));
    }
    Ok(())
}

const IN_UP: [&str; 10] = [
    "allow",
    "allow-data-loss",
    "breaking",
    "compatible",
    "foreign-keys",
    "irreversible",
    "no-transaction",
    "replaces",
    "requires",
    "undo",
];
const IN_DOWN: [&str; 5] =
    ["allow", "allow-data-loss", "foreign-keys", "no-transaction", "requires"];
const IN_VERIFY: [&str; 1] = ["requires"];
const IN_BASELINE: [&str; 5] = ["allow", "breaking", "compatible", "foreign-keys", "requires"];
const IN_REPEATABLE: [&str; 4] = ["allow", "allow-data-loss", "foreign-keys", "requires"];

fn refuse_down_beside(entry: &Entry, down: &Script) -> Result<()> {
    let says = if entry.irreversible().is_some() {
        "calls itself irreversible"
    } else if entry.undo {
        "is recorded for undo"
    } else {
        return Ok(());
    };
    let why = format!("{} {says}, and here is its down", entry.label);
    Err(misplaced(down, down.position(down.start()), why))
}

/// What is recorded are rows: a script that says `undo` may change nothing else.
fn refuse_unrecordable(entry: &Entry) -> Result<()> {
    let (true, Some(script)) = (entry.undo, entry.task.script()) else {
        return Ok(());
    };
    let contradicted = [
        ("irreversible", entry.irreversible().is_some()),
        ("no-transaction", script.directives.no_transaction),
    ];
    if let Some((word, _)) = contradicted.into_iter().find(|(_, said)| *said) {
        let why = format!("`{word}` contradicts `undo`");
        return Err(misplaced(script, script.place_of(word), why));
    }
    let changes_more = |action: &Action| match action {
        Action::Write { table, .. } => is_reserved(&table.name),
        Action::Pragma { name, value: Some(_) } => !KEEP_THE_ROWS.contains(&name.as_str()),
        Action::Pragma { .. } | Action::Query | Action::Control(_) => false,
        _ => true,
    };
    match script.statements.iter().find(|statement| changes_more(&statement.action)) {
        Some(statement) => {
            let why = "`undo` is for migrations that change nothing but rows of tables".to_owned();
            let error = misplaced(script, script.position(statement.start), why);
            Err(error.advise(
                "put this statement into a migration of its own, or take `undo` away and write \
                 a down script",
            ))
        }
        None => Ok(()),
    }
}

/// SQLite's own tables; the numbers that AUTOINCREMENT has reached are recorded.
fn is_reserved(table: &str) -> bool {
    let head = table.get(.."sqlite_".len()).unwrap_or_default();
    head.eq_ignore_ascii_case("sqlite_") && !table.eq_ignore_ascii_case("sqlite_sequence")
}

/// Pragmas with a value that change no more than how statements run.
const KEEP_THE_ROWS: [&str; 6] = [
    "case_sensitive_like",
    "defer_foreign_keys",
    "foreign_keys",
    "ignore_check_constraints",
    "recursive_triggers",
    "reverse_unordered_selects",
];

fn misplaced(script: &Script, position: Position, why: String) -> Error {
    let kind = ErrorKind::Directive { file: script.file.clone(), position, why };
    Error::from(kind).at(script, position)
}
