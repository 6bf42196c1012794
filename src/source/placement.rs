//! Which directives may stand where, and what those that are said forbid.

use super::set::Entry;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::{Action, Position, Requirement, Script};

/// Directives that mean nothing in a script would be taken for granted and do nothing.
pub(crate) fn refuse_misplaced(script: &Script, what: &str, allowed: &[&str]) -> Result<()> {
    if let Some(word) = script.directives().said().find(|word| !allowed.contains(word)) {
        let why = format!("`{word}` has no place in a {what}");
        return Err(misplaced(script, script.place_of(word), why));
    }
    let waits = |r: &Requirement| matches!(r, Requirement::Backfill(_));
    if what != "migration" && script.directives().requires.iter().any(waits) {
        let why = format!("`requires backfill` has no place in a {what}");
        return Err(misplaced(script, script.place_of("requires backfill"), why));
    }
    Ok(())
}

pub(super) const IN_UP: [&str; 10] = [
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
pub(super) const IN_DOWN: [&str; 5] =
    ["allow", "allow-data-loss", "foreign-keys", "no-transaction", "requires"];
pub(super) const IN_VERIFY: [&str; 1] = ["requires"];
pub(super) const IN_BASELINE: [&str; 5] =
    ["allow", "breaking", "compatible", "foreign-keys", "requires"];
pub(super) const IN_REPEATABLE: [&str; 4] =
    ["allow", "allow-data-loss", "foreign-keys", "requires"];

pub(super) fn refuse_down_beside(entry: &Entry, down: &Script) -> Result<()> {
    let says = if entry.irreversible().is_some() {
        "calls itself irreversible"
    } else if entry.undo {
        "is recorded for undo"
    } else {
        return Ok(());
    };
    let why = format!("{} {says}, and here is its down", entry.label());
    Err(misplaced(down, down.position(down.start()), why))
}

/// What is recorded are rows: a script that says `undo` may change nothing else.
pub(super) fn refuse_unrecordable(entry: &Entry) -> Result<()> {
    let (true, Some(script)) = (entry.undo, entry.task.script()) else {
        return Ok(());
    };
    let contradicted = [
        ("irreversible", entry.irreversible().is_some()),
        ("no-transaction", script.directives().no_transaction),
    ];
    if let Some((word, _)) = contradicted.into_iter().find(|(_, said)| *said) {
        let why = format!("`{word}` contradicts `undo`");
        return Err(misplaced(script, script.place_of(word), why));
    }
    let changes_more = |action: &Action| match action {
        Action::Write { table, .. } => is_reserved(&table.name),
        Action::Pragma { name, value: Some(_) } => !KEEP_THE_ROWS.contains(&name.as_ref()),
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

pub(super) fn misplaced(script: &Script, position: Position, why: String) -> Error {
    let kind = ErrorKind::Directive { file: script.file.to_string(), position, why };
    Error::from(kind).at(script, position)
}
