//! Baselines, repeatables, verify scripts.

use rusqlite::Connection;

use super::empty::{Empty, differences};
use super::lab::{Keys, Lab, Stage};
use super::seeds::End;
use super::told::{finding, found, list};
use crate::error::Result;
use crate::finding::{Check, Finding};
use crate::lint::Hit;
use crate::migration::Target;
use crate::migrator::Migrator;

/// A baseline at this version makes what the migrations up to it make.
pub(super) fn baseline(
    lab: &Lab,
    stage: &Stage,
    empty: &Empty<'_>,
    findings: &mut Vec<Finding>,
    hits: &mut Vec<Hit>,
) -> Result<()> {
    let baseline = lab.set.baselines.iter().find(|baseline| baseline.version == stage.version);
    let Some(baseline) = baseline.filter(|baseline| baseline.script.file != stage.file) else {
        return Ok(());
    };
    let file = Some(baseline.script.file.as_ref());
    let program = lab.starting_from(baseline.version);
    let to = Target::Version(baseline.version);
    let up = |program: &Migrator, conn: &Connection| program.apply_to(conn, to);
    let programs = (&program, lab.strict(&program)?);
    let (conn, result) = lab.strictly(&lab.scratch(Keys::On)?, Keys::On, programs, hits, up)?;
    if let Err(error) = result {
        let what = "the baseline fails on an empty database";
        findings.push(finding(Check::Definitions, "baseline-fails", file, what, &error));
        return Ok(());
    }
    let differences = differences(&empty.state, &lab.state(&conn)?);
    if !differences.is_empty() {
        let what = format!(
            "the baseline does not make what the migrations up to {} make: {}",
            baseline.version,
            list(&differences)
        );
        let advice = "write it anew from a database that the migrations have made";
        findings.push(found(Check::Definitions, "baseline-differs", file, what, advice));
    }
    Ok(())
}

/// Repeatables run once more, and verify scripts at the end.
pub(super) fn again(lab: &Lab, end: &End, findings: &mut Vec<Finding>) -> Result<()> {
    for repeatable in &lab.set.repeatables {
        let conn = lab.copy(&end.conn, Keys::On)?;
        let file = Some(repeatable.script.file.as_ref());
        if let Err(error) = lab.with_edited(&repeatable.name)?.apply(&conn) {
            let (code, what) = ("repeatable-fails-again", "it fails when it runs again");
            findings.push(finding(Check::Definitions, code, file, what, &error));
            continue;
        }
        let differences = differences(&end.state, &lab.state(&conn)?);
        if !differences.is_empty() {
            let what = format!("it changes something when it runs again: {}", list(&differences));
            let advice = "let it only define: DROP … IF EXISTS and CREATE, no rows";
            let code = "repeatable-changes-again";
            findings.push(found(Check::Definitions, code, file, what, advice));
        }
    }
    if let Err(error) = lab.whole().verify(&end.conn) {
        let what = "on a new database, with everything applied";
        findings.push(finding(Check::Definitions, "verify-fails", None, what, &error));
    }
    Ok(())
}
