//! What a script takes away in the end, followed through its renames. Text only: whether there is
//! anything to lose is for the database to say.

use std::collections::BTreeMap;

use super::action::{Action, Change, Object, Verb};
use super::script::{Script, Statement};

/// A table that was there before a script, as far as the text tells, and that it drops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DroppedTable {
    /// The name it had before the script.
    pub(crate) name: String,
    /// The statement that drops it.
    pub(crate) statement: usize,
    /// Whether a table has that name again at the end: then it was rebuilt.
    pub(crate) rebuilt: bool,
}

/// What a script makes and takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) tables: Vec<DroppedTable>,
    /// What each statement's table was called before the script; `None` where the script made it,
    /// or where it is a TEMP table.
    origins: Vec<Option<String>>,
    /// Columns that the script adds, as table and column in lower case.
    added: Vec<(String, String)>,
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

impl Losses {
    pub(crate) fn of(statements: &[&Statement]) -> Self {
        let mut losses = Losses::default();
        let mut names: BTreeMap<String, Origin> = BTreeMap::new();
        let origin = |names: &BTreeMap<String, Origin>, name: &str| {
            let unknown = || Origin::Before(name.to_owned());
            names.get(&name.to_ascii_lowercase()).cloned().unwrap_or_else(unknown)
        };
        for (at, statement) in statements.iter().enumerate() {
            let mut about = None;
            match &statement.action {
                Action::Create {
                    what: Object::Table | Object::VirtualTable,
                    name,
                    lenient,
                    ..
                } => {
                    let key = name.name.to_ascii_lowercase();
                    // `IF NOT EXISTS` of a name that the script has not touched may do nothing.
                    if !lenient || names.contains_key(&key) {
                        names.insert(key, Origin::Made);
                    }
                }
                Action::Drop { what: Object::Table, name } if !name.is_temp() => {
                    if let Origin::Before(before) = origin(&names, &name.name) {
                        about = Some(before.clone());
                        let table = DroppedTable { name: before, statement: at, rebuilt: false };
                        losses.tables.push(table);
                    }
                    names.insert(name.name.to_ascii_lowercase(), Origin::Gone);
                }
                Action::Alter { table, change } => {
                    let before = origin(&names, &table.name);
                    if let Origin::Before(name) = &before {
                        about = Some(name.clone());
                    }
                    match change {
                        Change::RenameTable(to) => {
                            names.insert(table.name.to_ascii_lowercase(), Origin::Gone);
                            names.insert(to.to_ascii_lowercase(), before);
                        }
                        Change::AddColumn(column) => losses
                            .added
                            .push((table.name.to_ascii_lowercase(), column.to_ascii_lowercase())),
                        _ => {}
                    }
                }
                Action::Write { table, .. } if !table.is_temp() => {
                    if let Origin::Before(name) = origin(&names, &table.name) {
                        about = Some(name);
                    }
                }
                _ => {}
            }
            losses.origins.push(about);
        }
        for table in &mut losses.tables {
            let last = names.get(&table.name.to_ascii_lowercase());
            table.rebuilt = matches!(last, Some(Origin::Made | Origin::Before(_)));
        }
        losses
    }

    /// Whether a statement is about a table that was there before the script.
    pub(crate) fn is_old(&self, statement: usize) -> bool {
        self.origins.get(statement).is_some_and(Option::is_some)
    }

    /// Whether the script itself added the column.
    pub(crate) fn adds(&self, table: &str, column: &str) -> bool {
        self.added
            .iter()
            .any(|(t, c)| t.eq_ignore_ascii_case(table) && c.eq_ignore_ascii_case(column))
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
