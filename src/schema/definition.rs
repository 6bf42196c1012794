//! What the text of a `CREATE TABLE` or `CREATE INDEX` says that SQLite's pragmas do not. Text only.

use super::phrase::significant;
use crate::sql::action::Reader;
use crate::sql::token::{Kind, Token};

/// The body of a `CREATE TABLE`.
#[derive(Debug, Default)]
pub(crate) struct Definition {
    pub(crate) columns: Vec<ColumnText>,
    pub(crate) checks: Vec<CheckText>,
    /// Of each foreign key, in order, whether it is deferred.
    pub(crate) deferred: Vec<bool>,
    /// Of UNIQUE constraints with a conflict clause: the columns, in lower case, and the clause.
    pub(crate) unique_conflicts: Vec<(Vec<String>, String)>,
    pub(crate) primary_conflict: Option<String>,
    pub(crate) autoincrement: bool,
    pub(crate) strict: bool,
    pub(crate) without_rowid: bool,
    /// What is not understood: written for another SQLite, or by hand.
    pub(crate) rest: Vec<Token>,
}

#[derive(Debug, Default)]
pub(crate) struct ColumnText {
    pub(crate) name: String,
    pub(crate) collation: Option<String>,
    pub(crate) not_null_conflict: Option<String>,
    pub(crate) generated: Option<Vec<Token>>,
}

#[derive(Debug)]
pub(crate) struct CheckText {
    pub(crate) name: Option<String>,
    pub(crate) expression: Vec<Token>,
    /// The column that it is part of, which takes it along when it is dropped.
    pub(crate) of_column: Option<usize>,
}

/// Words that end a column's type.
const CONSTRAINTS: [&str; 11] = [
    "CONSTRAINT",
    "PRIMARY",
    "NOT",
    "NULL",
    "UNIQUE",
    "CHECK",
    "DEFAULT",
    "COLLATE",
    "REFERENCES",
    "AS",
    "DEFERRABLE",
];

/// Reads a `CREATE TABLE` as SQLite stores it.
pub(crate) fn table(sql: &str) -> Definition {
    let tokens = significant(sql);
    let mut r = Reader { text: sql, tokens: &tokens };
    let mut definition = Definition::default();
    while !r.tokens.is_empty() && r.peek() != "(" {
        r.advance();
    }
    for item in items(sql, r.parentheses().unwrap_or_default()) {
        let mut r = Reader { text: sql, tokens: item };
        if ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"].iter().any(|word| r.at(word)) {
            definition.table_constraints(&mut r);
        } else {
            definition.column(&mut r);
        }
    }
    while !r.tokens.is_empty() {
        if r.skip("WITHOUT") {
            definition.without_rowid |= r.skip("ROWID");
        } else if r.skip("STRICT") {
            definition.strict = true;
        } else if !r.skip_mark(",") {
            definition.unknown(&mut r);
        }
    }
    definition
}

/// The parts of a list, which commas divide.
pub(crate) fn items<'t>(text: &str, list: &'t [Token]) -> Vec<&'t [Token]> {
    let mut depth = 0usize;
    let mut items = Vec::new();
    let mut start = 0;
    for (at, token) in list.iter().enumerate() {
        match token.text(text) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                items.extend(list.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    items.extend(list.get(start..).filter(|item| !item.is_empty()));
    items
}

impl Definition {
    fn unknown(&mut self, r: &mut Reader<'_>) {
        self.rest.extend(r.tokens.first());
        r.advance();
    }

    fn column(&mut self, r: &mut Reader<'_>) {
        let Some(name) = r.identifier() else {
            return self.rest.extend(r.tokens);
        };
        while !r.tokens.is_empty() && !CONSTRAINTS.iter().any(|word| r.at(word)) {
            if r.parentheses().is_none() {
                r.advance();
            }
        }
        let mut column = ColumnText { name, ..ColumnText::default() };
        let mut constraint = None;
        while !r.tokens.is_empty() {
            if r.skip("CONSTRAINT") {
                constraint = r.identifier();
                continue;
            }
            if r.skip("NOT") {
                if r.skip("NULL") {
                    column.not_null_conflict = conflict(r);
                } else {
                    self.deferral(r, false);
                }
            } else if r.skip("NULL") {
                conflict(r);
            } else if r.skip("PRIMARY") {
                r.skip("KEY");
                let _ = r.skip("ASC") || r.skip("DESC");
                self.primary_conflict = conflict(r);
                self.autoincrement |= r.skip("AUTOINCREMENT");
            } else if r.skip("UNIQUE") {
                self.unique(vec![column.name.to_ascii_lowercase()], conflict(r));
            } else if r.skip("DEFAULT") {
                if r.parentheses().is_none() {
                    let _ = r.skip_mark("-") || r.skip_mark("+");
                    r.advance();
                }
            } else if r.skip("COLLATE") {
                column.collation = r.identifier();
            } else if r.skip("GENERATED") {
                // ALWAYS AS, of which the second says it.
                r.skip("ALWAYS");
            } else if r.skip("AS") {
                column.generated = r.parentheses().map(<[Token]>::to_vec);
                let _ = r.skip("STORED") || r.skip("VIRTUAL");
            } else {
                self.shared(r, constraint.take(), Some(self.columns.len()));
            }
            constraint = None;
        }
        self.columns.push(column);
    }

    /// SQLite wants no commas between them.
    fn table_constraints(&mut self, r: &mut Reader<'_>) {
        let mut constraint = None;
        while !r.tokens.is_empty() {
            if r.skip("CONSTRAINT") {
                constraint = r.identifier();
                continue;
            }
            if r.skip("PRIMARY") {
                r.skip("KEY");
                let columns = r.parentheses().unwrap_or_default();
                let word = |token: &Token| token.text(r.text).eq_ignore_ascii_case("AUTOINCREMENT");
                self.autoincrement |= columns.last().is_some_and(word);
                self.primary_conflict = conflict(r);
            } else if r.skip("UNIQUE") {
                let columns = items(r.text, r.parentheses().unwrap_or_default());
                let names = columns.into_iter().filter_map(|tokens| {
                    let mut r = Reader { text: r.text, tokens };
                    r.identifier().map(|name| name.to_ascii_lowercase())
                });
                self.unique(names.collect(), conflict(r));
            } else if r.skip("FOREIGN") {
                r.skip("KEY");
                r.parentheses();
            } else {
                self.shared(r, constraint.take(), None);
            }
            constraint = None;
        }
    }

    fn unique(&mut self, columns: Vec<String>, conflict: Option<String>) {
        self.unique_conflicts.extend(conflict.map(|conflict| (columns, conflict)));
    }

    /// What a column and a table have in common.
    fn shared(&mut self, r: &mut Reader<'_>, name: Option<String>, of_column: Option<usize>) {
        if r.skip("CHECK") {
            let expression = r.parentheses().unwrap_or_default().to_vec();
            self.checks.push(CheckText { name, expression, of_column });
            conflict(r);
        } else if r.skip("REFERENCES") {
            r.identifier();
            r.parentheses();
            self.deferred.push(false);
        } else if r.skip("ON") {
            // DELETE, UPDATE and what to do then, which a pragma tells.
            r.advance();
            let _ = r.skip("SET") || r.skip("NO");
            r.advance();
        } else if r.skip("MATCH") {
            r.advance();
        } else if r.at("NOT") || r.at("DEFERRABLE") {
            let deferrable = !r.skip("NOT");
            self.deferral(r, deferrable);
        } else {
            self.unknown(r);
        }
    }

    fn deferral(&mut self, r: &mut Reader<'_>, deferrable: bool) {
        if !r.skip("DEFERRABLE") {
            return self.unknown(r);
        }
        let deferred = r.skip("INITIALLY") && r.advance().eq_ignore_ascii_case("DEFERRED");
        if let Some(last) = self.deferred.last_mut() {
            *last = deferrable && deferred;
        }
    }
}

/// `ON CONFLICT …`, in upper case; ABORT is what happens anyway.
fn conflict(r: &mut Reader<'_>) -> Option<String> {
    let rest = r.tokens;
    if r.skip("ON") && r.skip("CONFLICT") {
        let word = r.advance().to_ascii_uppercase();
        return (word != "ABORT").then_some(word);
    }
    r.tokens = rest;
    None
}

/// The body of a `CREATE INDEX`: its columns and expressions, and its WHERE.
#[derive(Debug, Default)]
pub(crate) struct IndexText {
    pub(crate) terms: Vec<Vec<Token>>,
    pub(crate) filter: Vec<Token>,
}

/// Reads a `CREATE INDEX`.
pub(crate) fn index(sql: &str) -> IndexText {
    let tokens = significant(sql);
    let mut r = Reader { text: sql, tokens: &tokens };
    while !r.tokens.is_empty() && r.peek() != "(" {
        r.advance();
    }
    let terms = items(sql, r.parentheses().unwrap_or_default());
    let terms = terms.into_iter().map(|term| unordered(sql, term).to_vec()).collect();
    r.skip("WHERE");
    IndexText { terms, filter: r.tokens.to_vec() }
}

/// A term without its order, which a pragma tells.
fn unordered<'t>(text: &str, term: &'t [Token]) -> &'t [Token] {
    match term {
        [rest @ .., last]
            if last.kind == Kind::Word
                && ["ASC", "DESC"].iter().any(|w| last.text(text).eq_ignore_ascii_case(w)) =>
        {
            rest
        }
        all => all,
    }
}

/// The tokens of a view or trigger after its name, and those of a virtual table: module, arguments.
pub(crate) fn after_name(sql: &str) -> Vec<Token> {
    let tokens = significant(sql);
    let mut r = Reader { text: sql, tokens: &tokens };
    let objects = ["TABLE", "VIEW", "TRIGGER"];
    while !r.tokens.is_empty() && !objects.iter().any(|word| r.skip(word)) {
        r.advance();
    }
    if r.skip("IF") {
        r.skip("NOT");
        r.skip("EXISTS");
    }
    r.name();
    r.tokens.to_vec()
}
