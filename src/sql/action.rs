//! What a statement does, as far as its text tells.

use super::split::Cut;
use super::token::{Kind, Token, tokens, unquoted};

/// A name as written, its quotes taken off: `schema.name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) schema: Option<Box<str>>,
    pub(crate) name: Box<str>,
}

impl Name {
    /// Whether it stands in `temp`, and so is the connection's own.
    pub(crate) fn is_temp(&self) -> bool {
        self.schema.as_deref().is_some_and(|schema| schema.eq_ignore_ascii_case("temp"))
    }

    /// SQLite compares names without regard to case, in ASCII only.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Table,
    VirtualTable,
    Index,
    View,
    Trigger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Insert,
    /// `REPLACE` and `INSERT OR REPLACE`: an insert that may delete.
    Replace,
    Update,
    /// `UPDATE OR REPLACE`: an update that may delete.
    UpdateOrReplace,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Begin,
    Commit,
    Rollback,
    /// `SAVEPOINT`, `RELEASE`, `ROLLBACK TO`: they nest inside a transaction.
    Savepoint,
}

/// A `REFERENCES` clause and whether it acts on children when the parent row goes or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) parent: Box<str>,
    pub(crate) on_delete: bool,
    pub(crate) on_update: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    RenameTable(Box<str>),
    RenameColumn(Box<Renamed>),
    AddColumn(Box<str>),
    DropColumn(Box<str>),
    Other,
}

/// A column's old and new name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Renamed {
    pub(crate) from: Box<str>,
    pub(crate) to: Box<str>,
}

/// What a statement does. There is one for each statement of a set, so that it is kept small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Control(Control),
    Pragma {
        name: Box<str>,
        value: Option<Box<str>>,
    },
    Create {
        what: Object,
        name: Name,
        on: Option<Box<Name>>,
        temp: bool,
        unique: bool,
        /// `IF NOT EXISTS`: it may do nothing.
        lenient: bool,
        /// `CREATE TABLE … AS`: it comes with rows.
        filled: bool,
    },
    Drop {
        what: Object,
        name: Name,
    },
    Alter {
        table: Name,
        change: Change,
    },
    Write {
        verb: Verb,
        table: Name,
    },
    Vacuum,
    Attach,
    Detach,
    /// `SELECT`, `VALUES`, `EXPLAIN`, `ANALYZE`, `REINDEX`: nothing of the user's is changed.
    Query,
    /// Not understood: SQLite will say what it thinks of it.
    Unknown,
}

/// The significant tokens of one statement, read from the left.
pub(crate) struct Reader<'a> {
    pub(crate) text: &'a str,
    pub(crate) tokens: &'a [Token],
}

impl<'a> Reader<'a> {
    pub(crate) fn peek(&self) -> &'a str {
        self.tokens.first().map_or("", |token| token.text(self.text))
    }

    pub(crate) fn advance(&mut self) -> &'a str {
        let word = self.peek();
        self.pass();
        word
    }

    fn pass(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }

    pub(crate) fn at(&self, keyword: &str) -> bool {
        self.tokens.first().is_some_and(|token| token.is(keyword, self.text))
    }

    pub(crate) fn skip(&mut self, keyword: &str) -> bool {
        let here = self.at(keyword);
        if here {
            self.pass();
        }
        here
    }

    pub(crate) fn skip_mark(&mut self, mark: &str) -> bool {
        let here = self.peek() == mark;
        if here {
            self.advance();
        }
        here
    }

    /// `name` or `schema.name`; a string in quotes is a name to SQLite where one is wanted.
    pub(crate) fn name(&mut self) -> Option<Name> {
        let first = self.boxed()?;
        if self.skip_mark(".") {
            let name = self.boxed()?;
            return Some(Name { schema: Some(first), name });
        }
        Some(Name { schema: None, name: first })
    }

    pub(crate) fn identifier(&mut self) -> Option<String> {
        match self.tokens.first()?.kind {
            Kind::Word | Kind::Quoted | Kind::Text => Some(unquoted(self.advance())),
            _ => None,
        }
    }

    fn boxed(&mut self) -> Option<Box<str>> {
        self.identifier().map(String::into_boxed_str)
    }

    /// Passes over `( … )`.
    fn skip_parentheses(&mut self) -> bool {
        self.parentheses().is_some()
    }

    /// What stands in `( … )`, which is passed over; `None` where there is none, or it never ends.
    pub(crate) fn parentheses(&mut self) -> Option<&'a [Token]> {
        if self.peek() != "(" {
            return None;
        }
        let all = self.tokens;
        let mut depth = 0usize;
        while !self.tokens.is_empty() {
            match self.advance() {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return all.get(1..all.len() - self.tokens.len() - 1);
            }
        }
        None
    }
}

/// A word in upper case, to be compared with keywords. One longer than all of them is none.
struct Keyword {
    bytes: [u8; 9],
    length: usize,
}

impl Keyword {
    fn of(word: &str) -> Self {
        let mut bytes = [0; 9];
        for (to, from) in bytes.iter_mut().zip(word.bytes()) {
            *to = from.to_ascii_uppercase();
        }
        Keyword { bytes, length: word.len() }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What the statement does.
pub(crate) fn action(text: &str, statement: &Cut<'_>) -> Action {
    let mut reader = Reader { text, tokens: statement.tokens };
    read(&mut reader).unwrap_or(Action::Unknown)
}

fn read(r: &mut Reader<'_>) -> Option<Action> {
    if r.at("WITH") {
        skip_with(r)?;
    }
    Some(match Keyword::of(r.advance()).as_bytes() {
        b"BEGIN" => Action::Control(Control::Begin),
        b"COMMIT" | b"END" => Action::Control(Control::Commit),
        b"ROLLBACK" => {
            r.skip("TRANSACTION");
            Action::Control(if r.at("TO") { Control::Savepoint } else { Control::Rollback })
        }
        b"SAVEPOINT" | b"RELEASE" => Action::Control(Control::Savepoint),
        b"PRAGMA" => pragma(r)?,
        b"CREATE" => create(r)?,
        b"DROP" => drop(r)?,
        b"ALTER" => alter(r)?,
        b"INSERT" => {
            let replaces = r.skip("OR") && r.advance().eq_ignore_ascii_case("REPLACE");
            r.skip("INTO");
            let verb = if replaces { Verb::Replace } else { Verb::Insert };
            Action::Write { verb, table: r.name()? }
        }
        b"REPLACE" => {
            r.skip("INTO");
            Action::Write { verb: Verb::Replace, table: r.name()? }
        }
        b"UPDATE" => {
            // `OR` may only be a keyword here: a table of that name has to be quoted.
            let replaces = r.skip("OR") && r.advance().eq_ignore_ascii_case("REPLACE");
            let verb = if replaces { Verb::UpdateOrReplace } else { Verb::Update };
            Action::Write { verb, table: r.name()? }
        }
        b"DELETE" => {
            r.skip("FROM");
            Action::Write { verb: Verb::Delete, table: r.name()? }
        }
        b"VACUUM" => Action::Vacuum,
        b"ATTACH" => Action::Attach,
        b"DETACH" => Action::Detach,
        b"SELECT" | b"VALUES" | b"EXPLAIN" | b"ANALYZE" | b"REINDEX" => Action::Query,
        _ => return None,
    })
}

/// `WITH [RECURSIVE] name [(columns)] AS [[NOT] MATERIALIZED] (query), …`
fn skip_with(r: &mut Reader<'_>) -> Option<()> {
    r.advance();
    r.skip("RECURSIVE");
    loop {
        r.identifier()?;
        r.skip_parentheses();
        if !r.skip("AS") {
            return None;
        }
        r.skip("NOT");
        r.skip("MATERIALIZED");
        if !r.skip_parentheses() {
            return None;
        }
        if !r.skip_mark(",") {
            return Some(());
        }
    }
}

fn pragma(r: &mut Reader<'_>) -> Option<Action> {
    let name = r.name()?.name.to_ascii_lowercase().into();
    let has_value = r.skip_mark("=") || r.skip_mark("(");
    let value = has_value.then(|| {
        let mut value = String::new();
        while !r.tokens.is_empty() && r.peek() != ")" {
            value.push_str(&unquoted(r.advance()));
        }
        value.to_ascii_lowercase().into()
    });
    Some(Action::Pragma { name, value })
}

fn create(r: &mut Reader<'_>) -> Option<Action> {
    let temp = r.skip("TEMP") || r.skip("TEMPORARY");
    let unique = r.skip("UNIQUE");
    let what = object(r)?;
    let lenient = r.skip("IF") && r.skip("NOT") && r.skip("EXISTS");
    let name = r.name()?;
    let on = match what {
        Object::Index => {
            r.skip("ON");
            Some(Box::new(r.name()?))
        }
        Object::Trigger => {
            // The event's columns cannot be named `on` without quotes.
            while !r.tokens.is_empty() && !r.skip("ON") {
                r.advance();
            }
            Some(Box::new(r.name()?))
        }
        _ => None,
    };
    let temp = temp || name.is_temp();
    let filled = what == Object::Table && r.at("AS");
    Some(Action::Create { what, name, on, temp, unique, lenient, filled })
}

fn object(r: &mut Reader<'_>) -> Option<Object> {
    Some(match Keyword::of(r.advance()).as_bytes() {
        b"TABLE" => Object::Table,
        b"VIRTUAL" if r.skip("TABLE") => Object::VirtualTable,
        b"INDEX" => Object::Index,
        b"VIEW" => Object::View,
        b"TRIGGER" => Object::Trigger,
        _ => return None,
    })
}

fn drop(r: &mut Reader<'_>) -> Option<Action> {
    let what = object(r)?;
    if r.at("IF") {
        r.advance();
        r.skip("EXISTS");
    }
    Some(Action::Drop { what, name: r.name()? })
}

fn alter(r: &mut Reader<'_>) -> Option<Action> {
    if !r.skip("TABLE") {
        return None;
    }
    let table = r.name()?;
    let verb = Keyword::of(r.advance());
    let explicit = r.skip("COLUMN");
    let change = match verb.as_bytes() {
        // `RENAME TO name` ends there; `RENAME to TO name` renames a column called `to`.
        b"RENAME" if !explicit && r.at("TO") && r.tokens.len() == 2 => {
            r.advance();
            Change::RenameTable(r.boxed()?)
        }
        b"RENAME" => {
            let from = r.boxed()?;
            r.skip("TO");
            Change::RenameColumn(Box::new(Renamed { from, to: r.boxed()? }))
        }
        b"ADD" if explicit || !(r.at("CONSTRAINT") || r.at("CHECK")) => {
            Change::AddColumn(r.boxed()?)
        }
        b"DROP" if explicit || !r.at("CONSTRAINT") => Change::DropColumn(r.boxed()?),
        _ => Change::Other,
    };
    Some(Action::Alter { table, change })
}

/// The `REFERENCES` clauses of a statement, with what they do to children.
pub(crate) fn references(text: &str, statement: &Cut<'_>) -> Vec<Reference> {
    let mut found: Vec<Reference> = Vec::new();
    let mut r = Reader { text, tokens: statement.tokens };
    // Nearly every token is passed over by its length.
    let may_be = |token: &Token| matches!(token.length(), 2 | 10) && token.kind == Kind::Word;
    while let Some(at) = r.tokens.iter().position(may_be) {
        r.tokens = r.tokens.get(at..).unwrap_or_default();
        if r.skip("REFERENCES") {
            if let Some(parent) = r.boxed() {
                found.push(Reference { parent, on_delete: false, on_update: false });
            }
        } else if r.skip("ON") {
            let acts = |r: &mut Reader<'_>| r.at("CASCADE") || r.at("SET");
            let Some(last) = found.last_mut() else {
                continue;
            };
            if r.skip("DELETE") {
                last.on_delete |= acts(&mut r);
            } else if r.skip("UPDATE") {
                last.on_update |= acts(&mut r);
            }
        } else {
            r.pass();
        }
    }
    found
}

/// The tables that a trigger's text inserts into, updates, or deletes from.
pub(crate) fn written(text: &str) -> Vec<String> {
    let tokens: Vec<Token> = tokens(text).filter(|token| token.is_significant()).collect();
    let mut r = Reader { text, tokens: &tokens };
    let mut found = Vec::new();
    while !r.tokens.is_empty() {
        let named = if r.skip("INTO") {
            true
        } else if r.skip("UPDATE") {
            if r.skip("OR") {
                r.advance();
            }
            true
        } else {
            r.skip("DELETE") && r.skip("FROM")
        };
        if named {
            found.extend(r.name().map(|name| name.name.into_string()));
        } else {
            r.advance();
        }
    }
    found
}
