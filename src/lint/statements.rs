//! Rules about what single statements do, and what others of their script did before.

use super::{Hit, Kind};
use crate::sql::action::{Change, Name};
use crate::sql::losses::is_schema;
use crate::sql::script::Statement;
use crate::sql::token::{Kind as Token, tokens, unquoted};
use crate::sql::{Action, Object, Rule, Script, Verb};

pub(super) fn look(kind: Kind, script: &Script, found: &mut Vec<Hit>) {
    for (at, statement) in script.statements.iter().enumerate() {
        let (before, after) = script.statements.split_at(at);
        let after = after.get(1..).unwrap_or_default();
        let what = match &statement.action {
            Action::Alter { table, change: Change::RenameTable(to) } => {
                renamed_away(script, table, to, after)
            }
            Action::Create { what: Object::Table, name, temp: false, filled: true, .. }
                if !drops_later(after, &name.name) =>
            {
                let what = format!("`{}` is made from a query", name.name);
                Some((Rule::CreateTableAs, what))
            }
            Action::Create { what: Object::Index, name, on: Some(table), unique: true, .. }
                if kind == Kind::Up && !is_prepared(before, &name.name, table) =>
            {
                let what = format!(
                    "the unique index `{}` is made on `{}`, which was there before",
                    name.name, table.name
                );
                Some((Rule::UniqueOverRows, what))
            }
            Action::Write { table, .. } if is_schema(&table.name) => {
                Some((Rule::EditsSchema, format!("`{}` is written to", table.name)))
            }
            Action::Write { verb, table } => written(kind, script, statement, *verb, table),
            _ => None,
        };
        found.extend(what.map(|(rule, what)| Hit::at(rule, script, statement.start, what)));
    }
}

/// `ALTER TABLE t RENAME TO old; CREATE TABLE t …; DROP TABLE old`.
fn renamed_away(
    script: &Script,
    table: &Name,
    to: &str,
    after: &[Statement],
) -> Option<(Rule, String)> {
    let made = after.iter().position(|statement| match &statement.action {
        Action::Create { what: Object::Table, name, .. } => table.is(&name.name),
        _ => false,
    })?;
    let legacy = script.statements.iter().any(|statement| match &statement.action {
        Action::Pragma { name, value: Some(value) } => {
            name.as_ref() == "legacy_alter_table"
                && !matches!(value.as_ref(), "off" | "0" | "no" | "false")
        }
        _ => false,
    });
    let dropped = after.get(made..).is_some_and(|rest| drops_later(rest, to));
    (dropped && !legacy).then(|| {
        let table = &table.name;
        let what =
            format!("the rebuild of `{table}` first renames it to `{to}`, and drops it as that");
        (Rule::RenamedAway, what)
    })
}

fn drops_later(after: &[Statement], table: &str) -> bool {
    after.iter().any(|statement| match &statement.action {
        Action::Drop { what: Object::Table, name } => name.is(table),
        _ => false,
    })
}

/// Whether a script has made a table itself, or has seen to its rows, or puts an index back that it
/// has dropped.
fn is_prepared(before: &[Statement], index: &str, table: &Name) -> bool {
    before.iter().any(|statement| match &statement.action {
        Action::Create { what: Object::Table, name, .. } => name.is(&table.name),
        Action::Alter { change: Change::RenameTable(to), .. } => table.is(to),
        Action::Write { verb, table: written } => *verb != Verb::Insert && written.is(&table.name),
        Action::Drop { what: Object::Index, name } => name.is(index),
        _ => false,
    })
}

fn written(
    kind: Kind,
    script: &Script,
    statement: &Statement,
    verb: Verb,
    table: &Name,
) -> Option<(Rule, String)> {
    let sql = script.sql(statement);
    let words = words(sql);
    let name = &table.name;
    if matches!(verb, Verb::Insert | Verb::Replace) && copies_by_star(&words) {
        return Some((Rule::CopyByStar, format!("`{name}` is filled by SELECT *")));
    }
    let draws = words.windows(2).find_map(|pair| match pair {
        [(word, Token::Word), (open, _)] if open == "(" => ["random", "randomblob"]
            .into_iter()
            .find(|function| word.eq_ignore_ascii_case(function)),
        _ => None,
    });
    match (kind, draws) {
        (Kind::Up | Kind::Seed, Some(function)) => {
            Some((Rule::RandomValues, format!("`{name}` is given what {function}() draws")))
        }
        _ => None,
    }
}

fn words(sql: &str) -> Vec<(String, Token)> {
    let significant = tokens(sql).filter(|token| token.is_significant());
    significant.map(|token| (unquoted(token.text(sql)), token.kind)).collect()
}

/// `SELECT *` or `SELECT t.*`, outside of parentheses.
fn copies_by_star(words: &[(String, Token)]) -> bool {
    let mut depth = 0usize;
    let mut rest = words;
    while let [(word, kind), tail @ ..] = rest {
        match word.as_str() {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth == 0 && *kind == Token::Word && word.eq_ignore_ascii_case("SELECT") => {
                let star = |at: usize| tail.get(at).is_some_and(|(word, _)| word == "*");
                let dot = tail.get(1).is_some_and(|(word, _)| word == ".");
                if star(0) || (dot && star(2)) {
                    return true;
                }
            }
            _ => {}
        }
        rest = tail;
    }
    false
}
