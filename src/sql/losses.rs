//! What a script takes away in the end, followed through its renames. Text only: whether there is
//! anything to lose is for the database to say.

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, Change, Name, Object, Verb};
use super::script::{Script, Statement};

/// A table that was there before a script, as far as the text tells, and that it drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DroppedTable {
    /// Where it stands: `main`, but for what an application or a script has attached.
    pub(crate) schema: String,
    /// The name it had before the script.
    pub(crate) name: String,
    /// The statement that drops it.
    pub(crate) statement: usize,
    /// Whether a table has that name again at the end: then it was rebuilt.
    pub(crate) rebuilt: bool,
    /// Whether the script makes that table itself, so that its text tells what went into it.
    pub(crate) made: bool,
}

/// What a script makes and takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) tables: Vec<DroppedTable>,
    /// Whether each statement is about a table that was there before the script.
    old: Vec<bool>,
    /// Statements that drop a column which the script itself added.
    own_columns: BTreeSet<usize>,
}

/// Where a table of some name comes from, at one place in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// It was there before, under this name.
    Before(String),
    /// The script made it.
    Made,
    /// It was dropped or renamed.
    Gone,
}

/// A schema and a table in it, in lower case.
type Key = (String, String);

/// The tables as the script has left them at one place in it.
#[derive(Default)]
struct Names {
    origins: BTreeMap<Key, Origin>,
    /// Columns that the script has added.
    added: BTreeSet<(Key, String)>,
}

impl Names {
    /// A name without a schema is the TEMP table's, where the script has made one.
    fn key(&self, name: &Name) -> Key {
        let table = name.name.to_ascii_lowercase();
        if let Some(schema) = &name.schema {
            return (schema.to_ascii_lowercase(), table);
        }
        let temp = ("temp".to_owned(), table);
        match self.origins.get(&temp) {
            Some(Origin::Made) => temp,
            _ => ("main".to_owned(), temp.1),
        }
    }

    fn origin(&self, key: &Key, name: &str) -> Origin {
        let unknown = || match key.0.as_str() {
            "temp" => Origin::Made,
            _ => Origin::Before(name.to_owned()),
        };
        self.origins.get(key).cloned().unwrap_or_else(unknown)
    }

    fn create(&mut self, key: Key, lenient: bool) {
        // `IF NOT EXISTS` of a name that is taken, or that the script has not touched, may do
        // nothing.
        if !lenient || self.origins.get(&key) == Some(&Origin::Gone) {
            self.added.retain(|(table, _)| *table != key);
            self.origins.insert(key, Origin::Made);
        }
    }

    fn rename(&mut self, key: Key, to: &str, origin: Origin) {
        let new = (key.0.clone(), to.to_ascii_lowercase());
        let moved = std::mem::take(&mut self.added).into_iter().map(|(table, column)| {
            let table = if table == key { new.clone() } else { table };
            (table, column)
        });
        self.added = moved.collect();
        self.origins.insert(key, Origin::Gone);
        self.origins.insert(new, origin);
    }
}

impl Losses {
    pub(crate) fn of(statements: &[&Statement]) -> Self {
        let mut losses = Losses::default();
        let mut names = Names::default();
        for (at, statement) in statements.iter().enumerate() {
            let mut old = false;
            match &statement.action {
                Action::Create {
                    what: Object::Table | Object::VirtualTable,
                    name,
                    lenient,
                    temp,
                    ..
                } => {
                    let schema = match (temp, &name.schema) {
                        (true, _) => "temp".to_owned(),
                        (false, Some(schema)) => schema.to_ascii_lowercase(),
                        (false, None) => "main".to_owned(),
                    };
                    names.create((schema, name.name.to_ascii_lowercase()), *lenient);
                }
                Action::Drop { what: Object::Table, name } => {
                    let key = names.key(name);
                    if let Origin::Before(before) = names.origin(&key, &name.name) {
                        old = true;
                        losses.tables.push(DroppedTable {
                            schema: key.0.clone(),
                            name: before,
                            statement: at,
                            rebuilt: false,
                            made: false,
                        });
                    }
                    names.added.retain(|(table, _)| *table != key);
                    names.origins.insert(key, Origin::Gone);
                }
                Action::Alter { table, change } => {
                    let key = names.key(table);
                    let origin = names.origin(&key, &table.name);
                    old = matches!(origin, Origin::Before(_));
                    match change {
                        Change::RenameTable(to) => names.rename(key, to, origin),
                        Change::AddColumn(column) => {
                            names.added.insert((key, column.to_ascii_lowercase()));
                        }
                        Change::DropColumn(column) => {
                            if names.added.remove(&(key, column.to_ascii_lowercase())) {
                                losses.own_columns.insert(at);
                            }
                        }
                        Change::RenameColumn { from, to } => {
                            if names.added.remove(&(key.clone(), from.to_ascii_lowercase())) {
                                names.added.insert((key, to.to_ascii_lowercase()));
                            }
                        }
                        Change::Other => {}
                    }
                }
                Action::Write { table, .. } => {
                    let key = names.key(table);
                    old = matches!(names.origin(&key, &table.name), Origin::Before(_));
                }
                _ => {}
            }
            losses.old.push(old);
        }
        for table in &mut losses.tables {
            let key = (table.schema.clone(), table.name.to_ascii_lowercase());
            let last = names.origins.get(&key);
            // Of other databases only that they had rows is known.
            table.made = last == Some(&Origin::Made);
            table.rebuilt =
                key.0 == "main" && matches!(last, Some(Origin::Made | Origin::Before(_)));
        }
        losses
    }

    /// Whether a statement is about a table that was there before the script.
    pub(crate) fn is_old(&self, statement: usize) -> bool {
        self.old.get(statement).is_some_and(|old| *old)
    }

    /// Whether a statement drops a column that the script itself added.
    pub(crate) fn drops_own_column(&self, statement: usize) -> bool {
        self.own_columns.contains(&statement)
    }
}

/// Whether a script holds a statement that can lose data, as far as the text tells.
pub(crate) fn can_lose(script: &Script) -> bool {
    script.statements.iter().any(|statement| match &statement.action {
        Action::Drop { what, .. } => *what == Object::Table,
        Action::Alter { change, .. } => matches!(change, Change::DropColumn(_)),
        Action::Write { verb, table } => {
            !matches!(verb, Verb::Insert | Verb::Update) || is_schema(&table.name)
        }
        Action::Unknown => true,
        _ => false,
    })
}

/// Whether a table is SQLite's own record of the schema.
pub(crate) fn is_schema(table: &str) -> bool {
    ["sqlite_master", "sqlite_schema"].iter().any(|name| table.eq_ignore_ascii_case(name))
}
