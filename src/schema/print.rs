//! A schema as SQL that makes it, the same for all that mean the same.

use super::phrase::{Writer, significant};
use super::table::{
    Body, Check, Collation, Column, ForeignKey, Index, KeyColumn, PrimaryKey, Rows, Table, Term,
    Trigger, Unique, View,
};
use super::{Objects, folded};
use crate::sql::keyword::named;
use crate::sql::token::Kind;

pub(super) fn snapshot(objects: &Objects) -> String {
    let tables = objects.tables.values().map(table);
    let indexes = objects.indexes.values().map(|index| self::index(index, objects));
    let views = objects.views.values().map(view);
    let triggers = objects.triggers.values().map(trigger);
    let all: Vec<String> = tables.chain(indexes).chain(views).chain(triggers).collect();
    let mut text = String::new();
    for statement in all {
        if !text.is_empty() && (statement.contains('\n') || text.ends_with("\n);\n")) {
            text.push('\n');
        }
        text.push_str(&statement);
        text.push_str(";\n");
    }
    text
}

pub(super) fn table(table: &Table) -> String {
    let name = named(&table.name);
    match &table.body {
        Body::Rows(rows) => format!("CREATE TABLE {name} {}", body(rows)),
        Body::Virtual { module, arguments } => {
            format!("CREATE VIRTUAL TABLE {name} USING {}{arguments}", named(module))
        }
    }
}

fn body(rows: &Rows) -> String {
    let mut lines: Vec<String> =
        rows.columns.iter().map(|column| self::column(rows, column)).collect();
    lines.extend(
        rows.primary_key.as_ref().filter(|key| !is_inline(rows, key)).map(|key| {
            format!("PRIMARY KEY {}{}", keys(rows, &key.columns), conflict(&key.conflict))
        }),
    );
    let mut rest: Vec<String> = Vec::new();
    rest.extend(
        rows.uniques
            .iter()
            .filter(|key| inline_unique(rows, key).is_none())
            .map(|key| unique(rows, key)),
    );
    rest.extend(rows.foreign_keys.iter().filter(|key| key.from.len() > 1).map(foreign_key));
    rest.sort();
    lines.extend(rest);
    lines.extend(rows.checks.iter().filter(|check| check.of_column.is_none()).map(check));
    if !rows.rest.is_empty() {
        lines.push(rows.rest.to_string());
    }
    let options: Vec<&str> = [(rows.strict, "STRICT"), (rows.without_rowid, "WITHOUT ROWID")]
        .into_iter()
        .filter_map(|(is, word)| is.then_some(word))
        .collect();
    let options = match options.is_empty() {
        true => String::new(),
        false => format!(" {}", options.join(", ")),
    };
    format!("(\n    {}\n){options}", lines.join(",\n    "))
}

/// A column with all that is its own.
pub(super) fn column(rows: &Rows, column: &Column) -> String {
    let mut text = named(&column.name);
    let mut say = |words: &str| {
        text.push(' ');
        text.push_str(words);
    };
    if !column.declared.is_empty() {
        say(&column.declared.to_string());
    }
    if let Some(key) = rows.primary_key.as_ref().filter(|key| is_inline(rows, key))
        && key.columns.iter().any(|key| key.name.eq_ignore_ascii_case(&column.name))
    {
        say("PRIMARY KEY");
        if key.columns.iter().any(|column| column.descending) {
            say("DESC");
        }
        if key.conflict.is_some() {
            say(conflict(&key.conflict).trim_start());
        }
        if key.autoincrement {
            say("AUTOINCREMENT");
        }
    }
    if let Some(clause) = &column.not_null {
        say(&format!("NOT NULL{}", conflict(clause)));
    }
    for key in &rows.uniques {
        if inline_unique(rows, key).is_some_and(|name| name.eq_ignore_ascii_case(&column.name)) {
            say(&format!("UNIQUE{}", conflict(&key.conflict)));
        }
    }
    if let Some(default) = &column.default {
        match default.is_literal() {
            true => say(&format!("DEFAULT {default}")),
            false => say(&format!("DEFAULT ({default})")),
        }
    }
    if column.collation != Collation::default() {
        say(&format!("COLLATE {}", named(&column.collation.0)));
    }
    if let Some(generated) = &column.generated {
        let kind = if generated.stored { "STORED" } else { "VIRTUAL" };
        say(&format!("GENERATED ALWAYS AS ({}) {kind}", generated.expression));
    }
    let name = folded(&column.name);
    for own in rows.checks.iter().filter(|check| check.of_column.as_ref() == Some(&name)) {
        say(&check(own));
    }
    for key in rows.foreign_keys.iter().filter(|key| is_of(key, &column.name)) {
        say(&references(key));
    }
    text
}

pub(super) fn is_of(key: &ForeignKey, column: &str) -> bool {
    matches!(key.from.as_slice(), [from] if from.eq_ignore_ascii_case(column))
}

/// Whether a primary key is said at its column. Of `INTEGER PRIMARY KEY DESC` it has to be:
/// <https://sqlite.org/lang_createtable.html#rowid>.
fn is_inline(rows: &Rows, key: &PrimaryKey) -> bool {
    match key.columns.as_slice() {
        [only] => key.is_rowid || collates_as_column(rows, only),
        _ => false,
    }
}

/// The column that a UNIQUE is said at.
pub(super) fn inline_unique<'u>(rows: &Rows, key: &'u Unique) -> Option<&'u str> {
    match key.columns.as_slice() {
        [only] if collates_as_column(rows, only) && !only.descending => Some(&only.name),
        _ => None,
    }
}

fn collates_as_column(rows: &Rows, key: &KeyColumn) -> bool {
    rows.column(&key.name).is_some_and(|column| column.collation == key.collation)
}

/// `(a, b COLLATE NOCASE DESC)`
pub(super) fn keys(rows: &Rows, keys: &[KeyColumn]) -> String {
    let keys = keys.iter().map(|key| {
        let mut text = named(&key.name);
        if !collates_as_column(rows, key) {
            text.push_str(&format!(" COLLATE {}", named(&key.collation.0)));
        }
        if key.descending {
            text.push_str(" DESC");
        }
        text
    });
    format!("({})", keys.collect::<Vec<_>>().join(", "))
}

fn conflict(clause: &Option<String>) -> String {
    clause.as_ref().map(|word| format!(" ON CONFLICT {word}")).unwrap_or_default()
}

pub(super) fn primary_key(rows: &Rows, key: &PrimaryKey) -> String {
    let mut text = keys(rows, &key.columns);
    text.push_str(&conflict(&key.conflict));
    if key.autoincrement {
        text.push_str(" AUTOINCREMENT");
    }
    if !key.is_rowid && !rows.without_rowid && is_integer(rows, key) {
        text.push_str(", not the rowid");
    }
    text
}

fn is_integer(rows: &Rows, key: &PrimaryKey) -> bool {
    let first = key.columns.first().and_then(|column| rows.column(&column.name));
    key.columns.len() == 1 && first.is_some_and(|column| column.declared.is("integer"))
}

pub(super) fn unique(rows: &Rows, key: &Unique) -> String {
    format!("UNIQUE {}{}", keys(rows, &key.columns), conflict(&key.conflict))
}

pub(super) fn check(check: &Check) -> String {
    let name = check.name.as_ref().map(|name| format!("CONSTRAINT {} ", named(name)));
    format!("{}CHECK ({})", name.unwrap_or_default(), check.expression)
}

fn names(names: &[String]) -> String {
    names.iter().map(|name| named(name)).collect::<Vec<_>>().join(", ")
}

pub(super) fn foreign_key(key: &ForeignKey) -> String {
    format!("FOREIGN KEY ({}) {}", names(&key.from), references(key))
}

pub(super) fn references(key: &ForeignKey) -> String {
    let mut text = format!("REFERENCES {}", named(&key.parent));
    if !key.to.is_empty() {
        text.push_str(&format!("({})", names(&key.to)));
    }
    for (event, action) in [("UPDATE", &key.on_update), ("DELETE", &key.on_delete)] {
        if action != "NO ACTION" {
            text.push_str(&format!(" ON {event} {action}"));
        }
    }
    if key.deferred {
        text.push_str(" DEFERRABLE INITIALLY DEFERRED");
    }
    text
}

pub(super) fn index(index: &Index, objects: &Objects) -> String {
    let rows = objects.tables.get(&folded(&index.table)).and_then(Table::rows);
    let of_column = |term: &Term| {
        let columns = rows.map(|rows| rows.columns.as_slice()).unwrap_or_default();
        let column = columns.iter().find(|column| term.what.mentions(&folded(&column.name)));
        column.map(|column| column.collation.clone()).unwrap_or_default()
    };
    let terms = index.terms.iter().map(|term| {
        let mut text = term.what.to_string();
        // An expression says its collation itself.
        if term.is_column && term.collation != of_column(term) {
            text.push_str(&format!(" COLLATE {}", named(&term.collation.0)));
        }
        if term.descending {
            text.push_str(" DESC");
        }
        text
    });
    let terms = terms.collect::<Vec<_>>().join(", ");
    let unique = if index.unique { "UNIQUE " } else { "" };
    let filter = match index.filter.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", index.filter),
    };
    let (name, table) = (named(&index.name), named(&index.table));
    format!("CREATE {unique}INDEX {name} ON {table} ({terms}){filter}")
}

/// Each clause begins a line, and so does each column of the result.
pub(super) fn view(view: &View) -> String {
    const CLAUSES: [&str; 12] = [
        "except",
        "from",
        "group",
        "having",
        "intersect",
        "limit",
        "order",
        "select",
        "union",
        "values",
        "where",
        "window",
    ];
    const JOINS: [&str; 7] = ["cross", "full", "inner", "join", "left", "natural", "right"];
    let shown = view.body.to_string();
    let mut writer = Writer::default();
    let mut depth = 0usize;
    let mut joins = false;
    let mut selects = false;
    for token in significant(&shown) {
        let said = token.text(&shown);
        let word = said.to_ascii_lowercase();
        let is_word = token.kind == Kind::Word && depth == 0;
        let join = is_word && JOINS.contains(&word.as_str());
        if is_word && CLAUSES.contains(&word.as_str()) || join && !joins {
            writer.line(0);
        }
        joins = join || joins && word == "outer";
        selects |= is_word && word == "select";
        depth = match said {
            "(" => depth + 1,
            ")" => depth.saturating_sub(1),
            _ => depth,
        };
        writer.push(token.kind, said);
        if said == "," && depth == 0 && selects {
            writer.line(4);
        }
    }
    let text = writer.text;
    let space = if text.starts_with('(') { "" } else { " " };
    format!("CREATE VIEW {}{space}{text}", named(&view.name))
}

/// Each statement has a line.
pub(super) fn trigger(trigger: &Trigger) -> String {
    let shown = trigger.body.to_string();
    let tokens = significant(&shown);
    let last = tokens.len().saturating_sub(1);
    let mut writer = Writer::default();
    let mut inside = false;
    let mut starts = false;
    for (at, token) in tokens.into_iter().enumerate() {
        let said = token.text(&shown);
        let is = |word: &str| token.kind == Kind::Word && said.eq_ignore_ascii_case(word);
        if !inside && is("BEGIN") {
            writer.line(0);
            writer.push(token.kind, said);
            (inside, starts) = (true, true);
            continue;
        }
        if inside && at == last {
            writer.line(0);
        } else if std::mem::take(&mut starts) {
            writer.line(4);
        }
        writer.push(token.kind, said);
        starts = inside && said == ";";
    }
    format!("CREATE TRIGGER {} {} {}", named(&trigger.name), trigger.timing, writer.text)
}
