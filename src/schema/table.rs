//! What a schema is made of, as values that compare by meaning.

use super::phrase::Phrase;

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) body: Body,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Rows(Box<Rows>),
    /// `CREATE VIRTUAL TABLE … USING`: the module in lower case, and its arguments.
    Virtual {
        module: String,
        arguments: Phrase,
    },
}

/// A table that holds its rows itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<Column>,
    pub(crate) primary_key: Option<PrimaryKey>,
    pub(crate) uniques: Vec<Unique>,
    pub(crate) foreign_keys: Vec<ForeignKey>,
    pub(crate) checks: Vec<Check>,
    pub(crate) strict: bool,
    pub(crate) without_rowid: bool,
    /// What of its text is not understood.
    pub(crate) rest: Phrase,
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) declared: Phrase,
    /// `NOT NULL`, and what of `ON CONFLICT`.
    pub(crate) not_null: Option<Conflict>,
    /// `DEFAULT NULL` is none.
    pub(crate) default: Option<Phrase>,
    pub(crate) generated: Option<Generated>,
    pub(crate) collation: Collation,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Generated {
    pub(crate) expression: Phrase,
    pub(crate) stored: bool,
}

/// The word after `ON CONFLICT`, in upper case; ABORT is none.
pub(crate) type Conflict = Option<String>;

/// A collation, in upper case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Collation(pub(crate) String);

impl Default for Collation {
    fn default() -> Self {
        Collation("BINARY".to_owned())
    }
}

impl Collation {
    pub(crate) fn named(name: &str) -> Self {
        Collation(name.to_ascii_uppercase())
    }
}

/// A column of a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyColumn {
    pub(crate) name: String,
    pub(crate) collation: Collation,
    pub(crate) descending: bool,
}

impl PartialEq for KeyColumn {
    fn eq(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
            && self.collation == other.collation
            && self.descending == other.descending
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PrimaryKey {
    pub(crate) columns: Vec<KeyColumn>,
    /// Whether the column is the rowid: <https://sqlite.org/lang_createtable.html#rowid>.
    pub(crate) is_rowid: bool,
    pub(crate) autoincrement: bool,
    pub(crate) conflict: Conflict,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unique {
    pub(crate) columns: Vec<KeyColumn>,
    pub(crate) conflict: Conflict,
}

#[derive(Clone, Debug)]
pub(crate) struct ForeignKey {
    pub(crate) from: Vec<String>,
    pub(crate) parent: String,
    /// Where none are named, and the parent is there, those of its primary key.
    pub(crate) to: Vec<String>,
    pub(crate) on_update: String,
    pub(crate) on_delete: String,
    pub(crate) deferred: bool,
}

impl PartialEq for ForeignKey {
    fn eq(&self, other: &Self) -> bool {
        self.parent.eq_ignore_ascii_case(&other.parent)
            && same_names(&self.from, &other.from)
            && same_names(&self.to, &other.to)
            && self.on_update == other.on_update
            && self.on_delete == other.on_delete
            && self.deferred == other.deferred
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) name: Option<String>,
    pub(crate) expression: Phrase,
    /// The column that it is written at, in lower case.
    pub(crate) of_column: Option<String>,
}

/// A name is told only by the error of a row that does not pass.
impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression
    }
}

/// An index that has a `CREATE INDEX` of its own.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) table: String,
    pub(crate) unique: bool,
    pub(crate) terms: Vec<Term>,
    pub(crate) filter: Phrase,
}

impl PartialEq for Index {
    fn eq(&self, other: &Self) -> bool {
        self.table.eq_ignore_ascii_case(&other.table)
            && self.unique == other.unique
            && self.terms == other.terms
            && self.filter == other.filter
    }
}

/// What an index sorts by: a column's name or an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) what: Phrase,
    pub(crate) is_column: bool,
    pub(crate) collation: Collation,
    pub(crate) descending: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) body: Phrase,
}

impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        self.body == other.body
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    pub(crate) name: String,
    pub(crate) table: String,
    /// `BEFORE`, which need not be said, `AFTER` or `INSTEAD OF`.
    pub(crate) timing: &'static str,
    /// From the event on, without `FOR EACH ROW`, which need not be said.
    pub(crate) body: Phrase,
}

impl PartialEq for Trigger {
    fn eq(&self, other: &Self) -> bool {
        self.timing == other.timing && self.body == other.body
    }
}

impl Rows {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

impl Table {
    pub(crate) fn rows(&self) -> Option<&Rows> {
        match &self.body {
            Body::Rows(rows) => Some(rows),
            Body::Virtual { .. } => None,
        }
    }
}

pub(crate) fn same_names(some: &[String], others: &[String]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(a, b)| a.eq_ignore_ascii_case(b))
}
