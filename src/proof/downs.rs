//! One migration down again, and up once more.

use rusqlite::Connection;

use super::contents::{Contents, Rows, shown};
use super::lab::{Keys, Lab, Stage, State};
use super::shape::Order;
use super::told::{finding, found, list};
use crate::error::Result;
use crate::finding::{Check, Finding};
use crate::lint::Hit;
use crate::migration::Target;
use crate::migrator::Migrator;
use crate::plan::DataLoss;
use crate::source::Entry;
use crate::sql::Rule;

/// A migration's way up, as it was gone.
pub(super) struct Passage<'a> {
    pub(super) stage: &'a Stage,
    pub(super) before: &'a State,
    pub(super) after: &'a State,
    /// What to say of the database: nothing, or that it has rows.
    pub(super) rows: &'static str,
}

/// Takes a migration back on a copy of a database that has it, and applies it again. Whether all was
/// well, or there is no down to look at.
pub(super) fn look(
    lab: &Lab,
    conn: &Connection,
    passage: &Passage<'_>,
    findings: &mut Vec<Finding>,
    hits: &mut Vec<Hit>,
) -> Result<bool> {
    let Some(entry) = lab.entry(passage.stage) else { return Ok(true) };
    let file = match way_back(entry, passage, findings, hits) {
        Way::Back(file) => file,
        Way::Nothing => return Ok(true),
        Way::Missing => return Ok(false),
    };
    let careless = lab.careless();
    let strict = lab.strict_at(passage.stage).map(|strict| strict.data_loss(DataLoss::Allow));
    let down = |program: &Migrator, conn: &Connection| program.revert(conn, Target::Steps(1));
    let (conn, back) = lab.strictly(conn, Keys::On, (&careless, strict), hits, down)?;
    let rows = passage.rows;
    if let Err(error) = back {
        let code = if rows.is_empty() { "down-fails" } else { "down-fails-with-rows" };
        let what = format!("the down fails{rows}");
        findings.push(finding(Check::Downs, code, Some(&file), &what, &error));
        return Ok(false);
    }
    let state = lab.state(&conn)?;
    let schema = passage.before.shape.differences(&state.shape, Order::DoesNotCount);
    if !schema.is_empty() {
        let what = format!(
            "after up and down{rows} the schema is not what it was before: {}",
            list(&schema)
        );
        let advice = "let the down restore what was there; or, if that cannot be, remove it and \
                      write `-- landfall: irreversible: <reason>` at the head of the up";
        findings.push(found(Check::Downs, "down-differs", Some(&file), what, advice));
        return Ok(false);
    }
    let lost = lost(entry, passage, &state.contents);
    if !lost.is_empty() {
        let what = format!("the down loses what the up had kept: {}", list(&lost));
        let advice = "copy the rows with all their columns; or, if that cannot be, remove the down \
                      and write `-- landfall: irreversible: <reason>` at the head of the up";
        findings.push(found(Check::Downs, "down-loses-rows", Some(&file), what, advice));
        return Ok(false);
    }
    again(lab, &conn, passage, &file, findings)
}

enum Way {
    /// By this script.
    Back(String),
    /// There is none and need not be.
    Nothing,
    /// There should be one: that is told.
    Missing,
}

fn way_back(
    entry: &Entry,
    passage: &Passage<'_>,
    findings: &mut Vec<Finding>,
    hits: &mut Vec<Hit>,
) -> Way {
    if entry.undo {
        return Way::Back(entry.label().to_owned());
    }
    if entry.irreversible().is_some() {
        return Way::Nothing;
    }
    let Some(down) = &entry.down else {
        let what = "there is no down".to_owned();
        let advice = match entry.task.script() {
            Some(_) => {
                "write its `.down.sql`, or `-- landfall: irreversible: <reason>` at its head"
            }
            None => "say `.down(…)` or `.undoable()` of it, or `.irreversible(\"<reason>\")`",
        };
        findings.push(found(Check::Downs, "down-missing", Some(entry.label()), what, advice));
        return Way::Missing;
    };
    if !down.statements.is_empty() {
        return Way::Back(down.file.to_string());
    }
    let (before, after) = (passage.before, passage.after);
    let mut changed = before.shape.deeds(&after.shape);
    if changed.is_empty() {
        changed = before.contents.differences(&after.contents);
    }
    if changed.is_empty() {
        return Way::Nothing;
    }
    let what = format!("the down is empty, and the up is not: {}", list(&changed));
    let (rule, file) = (Rule::EmptyDown, down.file.to_string());
    hits.push(Hit { rule, file, position: None, what });
    Way::Missing
}

/// Rows and values that were there before and after the up, and are gone after the down.
fn lost(entry: &Entry, passage: &Passage<'_>, now: &Contents) -> Vec<String> {
    let (before, after) = (&passage.before.contents, &passage.after.contents);
    let mut lost = Vec::new();
    for (table, was) in &before.tables {
        let (Some(up), Some(now)) = (kept(entry, table, after), now.tables.get(table)) else {
            continue;
        };
        if was.count == up.count && now.count < was.count {
            lost.push(format!("`{table}` has {} of {}", now.count, shown(was.count)));
            continue;
        }
        let gone = was.columns.iter().filter(|(column, values)| {
            let kept = up.columns.get(*column) == Some(*values);
            kept && now.columns.get(*column).is_some_and(|now| now != *values)
        });
        let gone: Vec<String> = gone.map(|(column, _)| format!("`{column}`")).collect();
        if !gone.is_empty() {
            lost.push(format!("`{table}` has other values in {}", gone.join(", ")));
        }
    }
    lost
}

/// The table after the up that was this one before, also where the up has renamed it.
fn kept<'a>(entry: &Entry, table: &str, after: &'a Contents) -> Option<&'a Rows> {
    let renamed = entry.task.script().and_then(|script| after.tables.get(&script.renamed(table)));
    renamed.or_else(|| after.tables.get(table))
}

fn again(
    lab: &Lab,
    conn: &Connection,
    passage: &Passage<'_>,
    file: &str,
    findings: &mut Vec<Finding>,
) -> Result<bool> {
    let rows = passage.rows;
    let up = lab.careless().apply_to(conn, Target::Version(passage.stage.version));
    if let Err(error) = up {
        let what = format!("after its down{rows} the up fails");
        findings.push(finding(Check::Downs, "up-again-fails", Some(file), &what, &error));
        return Ok(false);
    }
    let schema = passage.after.shape.differences(&lab.state(conn)?.shape, Order::DoesNotCount);
    if !schema.is_empty() {
        let what = format!(
            "after up, down and up again{rows} the schema is another than after the first up: {}",
            list(&schema)
        );
        let advice = "let the down take away all that the up has made";
        findings.push(found(Check::Downs, "up-again-differs", Some(file), what, advice));
        return Ok(false);
    }
    Ok(true)
}
