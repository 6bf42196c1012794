//! One difference between two schemas, as a value and in words.

use std::fmt;

use crate::escape::{escaped, escaped_lines};

/// One difference between two schemas. `Display` says in words how the first differs from the
/// second.
///
/// ```
/// use landfall::rusqlite::Connection;
/// use landfall::schema::{Kind, Snapshot, diff};
///
/// let snapshot = |sql: &str| {
///     let conn = Connection::open_in_memory()?;
///     conn.execute_batch(sql)?;
///     Ok::<_, Box<dyn std::error::Error>>(Snapshot::of(&conn)?)
/// };
/// let is = snapshot("CREATE TABLE pet(id INTEGER PRIMARY KEY, age TEXT)")?;
/// let wanted = snapshot("CREATE TABLE pet(id INTEGER PRIMARY KEY, age INT, name TEXT)")?;
///
/// let changes = diff(&is, &wanted);
/// assert_eq!(changes[0].kind, Kind::Type);
/// assert_eq!(changes[0].to_string(), "column `age` of table `pet`: type TEXT instead of INT");
/// assert_eq!(changes[0].statement(), None); // it takes a rebuild
/// assert_eq!(changes[1].to_string(), "table `pet` lacks the column `name` (name TEXT)");
/// assert_eq!(changes[1].as_deed(), "add the column `name` to table `pet` (name TEXT)");
/// assert_eq!(changes[1].statement(), Some("ALTER TABLE pet ADD COLUMN name TEXT"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What differs.
    pub kind: Kind,
    /// The table or view that it belongs to; of a table or view, its own name.
    pub table: String,
    /// The name of the index, trigger or column; of what has no name, such as a CHECK, its text; of
    /// what a table has one of, nothing.
    pub name: String,
    /// How it is in the first schema, as SQL; `None` where it is not there.
    pub before: Option<String>,
    /// How it is in the second.
    pub after: Option<String>,
    pub(super) statements: Vec<String>,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// A whole table, its indexes and triggers with it where it should not be there.
    Table,
    /// The module of a virtual table, or its arguments.
    Module,
    /// A whole column, and what only it has: its CHECKs, its foreign key, its UNIQUE.
    Column,
    /// The order of a table's columns, which `SELECT *` and an `INSERT` without columns go by.
    ColumnOrder,
    /// A column's declared type.
    Type,
    /// Whether a column may be NULL.
    NotNull,
    /// A column's default. `DEFAULT NULL` is none.
    Default,
    /// A column's expression, where it is generated, and whether it is stored.
    Generated,
    /// A column's collation.
    Collation,
    /// A table's primary key, its order, conflict clause and AUTOINCREMENT.
    PrimaryKey,
    /// A UNIQUE constraint.
    Unique,
    /// A foreign key, its actions and deferral.
    ForeignKey,
    /// A CHECK constraint; its name does not count.
    Check,
    /// Whether a table is STRICT.
    Strict,
    /// Whether a table is WITHOUT ROWID.
    WithoutRowid,
    /// Something in a table's definition that this library does not understand.
    Other,
    /// An index.
    Index,
    /// A view.
    View,
    /// A trigger.
    Trigger,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Table => "table",
            Kind::Module => "module",
            Kind::Column => "column",
            Kind::ColumnOrder => "order of columns",
            Kind::Type => "type",
            Kind::NotNull => "NOT NULL",
            Kind::Default => "default",
            Kind::Generated => "generated",
            Kind::Collation => "collation",
            Kind::PrimaryKey => "primary key",
            Kind::Unique | Kind::ForeignKey | Kind::Check => "constraint",
            Kind::Strict => "STRICT",
            Kind::WithoutRowid => "WITHOUT ROWID",
            Kind::Other => "definition",
            Kind::Index => "index",
            Kind::View => "view",
            Kind::Trigger => "trigger",
        }
    }

    fn is_of_column(self) -> bool {
        use Kind::{Collation, Default, Generated, NotNull, Type};
        matches!(self, Type | NotNull | Default | Generated | Collation)
    }
}

impl Change {
    /// The statement that turns the first schema into the second here, where SQLite can do it in
    /// one. One that drops a table or a column takes the data with it.
    pub fn statement(&self) -> Option<&str> {
        match self.statements.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The statements that turn the first schema into the second here, in order; none where that
    /// takes a rebuild of the table, <https://sqlite.org/lang_altertable.html#otheralter>. Those of
    /// all changes that [`diff`](super::diff) returns can be executed one after another.
    pub fn statements(&self) -> &[String] {
        &self.statements
    }

    /// The change as what is to be done, or was: `add the column …`, where `Display` says what the
    /// first schema lacks.
    pub fn as_deed(&self) -> String {
        self.printed(self.deed())
    }

    fn deed(&self) -> String {
        let Change { kind, table, name, before, after, .. } = self;
        let whole = matches!(kind, Kind::Table | Kind::View | Kind::Index | Kind::Trigger);
        match (before, after) {
            (None, Some(_)) if whole => format!("create {}", self.what()),
            (Some(_), None) if whole => format!("drop {}", self.what()),
            (None, Some(text)) if *kind == Kind::Column => {
                format!("add the column `{name}` to table `{table}` ({text})")
            }
            (Some(_), None) if *kind == Kind::Column => {
                format!("drop the column `{name}` of table `{table}`")
            }
            (None, Some(text)) if is_part(*kind) => format!("add {text} to table `{table}`"),
            (Some(text), None) if is_part(*kind) => {
                format!("take {text} away from table `{table}`")
            }
            _ => {
                let (before, after) = self.told_sides();
                format!("change {}: from {before} to {after}", self.what())
            }
        }
    }

    /// What the first schema lacks, or has too many.
    fn fault(&self) -> String {
        let Change { kind, table, name, before, after, .. } = self;
        let whole = matches!(kind, Kind::Table | Kind::View | Kind::Index | Kind::Trigger);
        match (before, after) {
            (None, Some(_)) if whole => format!("{} is missing", self.what()),
            (Some(_), None) if whole => format!("{} should not be there", self.what()),
            (None, Some(text)) if *kind == Kind::Column => {
                format!("table `{table}` lacks the column `{name}` ({text})")
            }
            (Some(text), None) if *kind == Kind::Column => {
                format!("table `{table}` has a column `{name}` too many ({text})")
            }
            (None, Some(text)) if is_part(*kind) => format!("table `{table}` lacks {text}"),
            (Some(text), None) if is_part(*kind) => format!("table `{table}` has {text} too many"),
            _ => {
                let (before, after) = self.told_sides();
                format!("{}: {before} instead of {after}", self.what())
            }
        }
    }

    /// Of a table that is to be of another sort, the whole definitions are told, in lines.
    fn printed(&self, text: String) -> String {
        let in_lines = self.kind == Kind::Table && self.before.is_some() && self.after.is_some();
        if in_lines { escaped_lines(text).to_string() } else { escaped(text).to_string() }
    }

    /// What it is about, with its name.
    fn what(&self) -> String {
        let Change { kind, table, name, .. } = self;
        let (table, name) = (escaped(table), escaped(name));
        match kind {
            Kind::Table | Kind::View => format!("{} `{table}`", kind.word()),
            Kind::Index | Kind::Trigger => format!("{} `{name}` on table `{table}`", kind.word()),
            kind if kind.is_of_column() => format!("column `{name}` of table `{table}`"),
            _ => format!("table `{table}`"),
        }
    }

    /// Both sides in words, the kind before the first where it does not tell itself.
    fn told_sides(&self) -> (String, String) {
        let Change { kind, before, after, .. } = self;
        let side = |text: &Option<String>| match (kind, text) {
            (Kind::NotNull, None) => "NULL allowed".to_owned(),
            (Kind::Generated, None) => "not generated".to_owned(),
            (Kind::Strict | Kind::WithoutRowid, None) => format!("not {}", kind.word()),
            (_, None) => format!("no {}", kind.word()),
            (_, Some(text)) => text.clone(),
        };
        let (first, second) = match kind {
            Kind::View | Kind::Trigger => parted(&side(before), &side(after)),
            _ => (side(before), side(after)),
        };
        let says_itself = before.is_none()
            || !matches!(
                kind,
                Kind::Type | Kind::Default | Kind::Collation | Kind::PrimaryKey | Kind::ColumnOrder
            );
        match says_itself {
            true => (first, second),
            false => (format!("{} {first}", kind.word()), second),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.printed(self.fault()))
    }
}

/// What a table may have several of.
fn is_part(kind: Kind) -> bool {
    matches!(kind, Kind::Unique | Kind::ForeignKey | Kind::Check | Kind::Other)
}

/// How many characters are shown of where two long texts part.
const SHOWN: usize = 60;

/// Two texts from a little before the place where they part, on one line.
fn parted(first: &str, second: &str) -> (String, String) {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (first, second) = (words(first), words(second));
    let same = first.iter().zip(&second).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(2);
    let shown = |words: &[String]| {
        let text = words.get(from..).unwrap_or_default().join(" ");
        let mut shown: String = text.chars().take(SHOWN).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        if from > 0 { format!("`… {shown}`") } else { format!("`{shown}`") }
    };
    (shown(&first), shown(&second))
}
