//! Seeds and backfills, run and run again.

use rusqlite::Connection;

use super::empty::differences;
use super::lab::{Keys, Lab, State};
use super::told::{finding, found, list};
use crate::error::Result;
use crate::finding::{Check, Finding};
use crate::held::{Held, HeldBack};
use crate::lint::Hit;
use crate::migrator::Migrator;
use crate::seed::Item;

/// A new database with everything done.
pub(super) struct End {
    pub(super) conn: Connection,
    pub(super) state: State,
    /// How another one differs that was made in the same way: what the seeds draw.
    pub(super) drawn: Vec<String>,
}

/// Does all that is left to do on a database that has every migration.
pub(super) fn end(
    lab: &Lab,
    conn: &Connection,
    findings: &mut Vec<Finding>,
    hits: &mut Vec<Hit>,
) -> Result<Option<End>> {
    let mut made = Vec::new();
    for _ in 0..2 {
        let whole = |program: &Migrator, conn: &Connection| {
            let report = program.apply(conn)?;
            program.run_backfills(conn).map(|_| report)
        };
        let programs = (lab.whole(), lab.strict(lab.whole())?);
        let (conn, result) = lab.strictly(conn, Keys::On, programs, hits, whole)?;
        let report = match result {
            Ok(report) => report,
            Err(error) => {
                let what = "on a new database it fails";
                findings.push(finding(Check::Empty, "fails-at-the-end", None, what, &error));
                return Ok(None);
            }
        };
        if made.is_empty() {
            findings.extend(report.held.iter().filter_map(failed));
        }
        let state = lab.state(&conn)?;
        made.push((conn, state));
    }
    let (Some((_, other)), Some((conn, state))) = (made.pop(), made.pop()) else {
        return Ok(None);
    };
    let drawn = differences(&state, &other);
    if !drawn.is_empty() {
        let what = format!("two new databases do not get the same rows: {}", list(&drawn));
        let advice = "write the values out that a seed draws at random, or derive them from what \
                      is there";
        findings.push(found(Check::Seeds, "seeds-draw", None, what, advice));
    }
    Ok(Some(End { conn, state, drawn }))
}

/// An optional seed that fails on a new database, where the start goes on all the same.
fn failed(held: &Held) -> Option<Finding> {
    let HeldBack::Failed { why } = &held.why else { return None };
    let what = format!("the optional seed `{}` fails on a new database: {why}", held.name);
    Some(found(Check::Seeds, "optional-seed-fails", None, what, "correct it, or take it out"))
}

/// Each seed and backfill once more, its sentinel taken away.
pub(super) fn again(lab: &Lab, end: &End, findings: &mut Vec<Finding>) -> Result<()> {
    for item in lab.registry.iter().filter(|item| lab.registry.is_here(item)) {
        let conn = lab.copy(&end.conn, Keys::On)?;
        run_again(lab, &conn, &end.state, item, "", findings)?;
    }
    Ok(())
}

/// Backfills on a database with rows: first, and once more.
pub(super) fn backfills_again(
    lab: &Lab,
    conn: &Connection,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let backfills = || lab.registry.iter().filter(|item| matches!(item, Item::Backfill(_)));
    if backfills().next().is_none() {
        return Ok(());
    }
    let conn = lab.copy(conn, Keys::On)?;
    let program = lab.with_backfills_alone();
    if let Err(error) = program.apply(&conn).and_then(|_| program.run_backfills(&conn)) {
        let what = "on a database with rows it fails";
        findings.push(finding(Check::Seeds, "backfill-fails", None, what, &error));
        return Ok(());
    }
    let state = lab.state(&conn)?;
    for item in backfills().filter(|item| lab.registry.is_here(item)) {
        let conn = lab.copy(&conn, Keys::On)?;
        run_again(lab, &conn, &state, item, " on a database with rows", findings)?;
    }
    Ok(())
}

fn run_again(
    lab: &Lab,
    conn: &Connection,
    before: &State,
    item: &Item,
    rows: &str,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    lab.ledger(conn)?.forget_seed(item.name())?;
    let program = match rows.is_empty() {
        true => lab.whole().clone(),
        false => lab.with_backfills_alone(),
    };
    let (what, file) = match item {
        Item::Seed(seed) => ("seed", seed.script.as_ref().map(|script| script.file.as_ref())),
        Item::Backfill(_) => ("backfill", None),
    };
    let name = item.name();
    let advice = "let it look whether its rows are there: INSERT … WHERE NOT EXISTS, INSERT … ON \
                  CONFLICT DO NOTHING, UPDATE … WHERE the value is still the old one";
    let code = "not-idempotent";
    let result = program.apply(conn).and_then(|_| program.run_backfills(conn));
    if let Err(error) = result {
        let what = format!("the {what} `{name}` fails when it runs again{rows}");
        let finding = finding(Check::Seeds, code, file, &what, &error);
        findings.push(Finding { advice: advice.to_owned(), ..finding });
        return Ok(());
    }
    let changed = differences(before, &lab.state(conn)?);
    if !changed.is_empty() {
        let what = format!(
            "the {what} `{name}` changes something when it runs again{rows}: {}",
            list(&changed)
        );
        findings.push(found(Check::Seeds, code, file, what, advice));
    }
    Ok(())
}
