//! Baselines, repeatables, verify scripts.

use super::empty::{Empty, differences};
use super::lab::{Keys, Lab, Stop};
use super::seeds::End;
use super::told::{finding, found, list};
use crate::error::Result;
use crate::finding::{Check, Finding};
use crate::migration::Target;

/// A baseline at this version makes what the migrations up to it make.
pub(super) fn baseline(
    lab: &Lab,
    stop: &Stop,
    empty: &Empty<'_>,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let baseline = lab.set.baselines.iter().find(|baseline| baseline.version == stop.version);
    let Some(baseline) = baseline.filter(|baseline| baseline.script.file != stop.file) else {
        return Ok(());
    };
    let file = Some(baseline.script.file.as_str());
    let conn = lab.scratch(Keys::On)?;
    let program = lab.from_baseline(baseline.version);
    if let Err(error) = program.apply_to(&conn, Target::Version(baseline.version)) {
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
    if !lab.set.repeatables.is_empty() {
        let conn = lab.copy(&end.conn, Keys::On)?;
        match lab.with_repeatables_edited()?.apply(&conn) {
            Err(error) => {
                let what = "a repeatable fails when it runs again";
                let code = "repeatable-fails-again";
                findings.push(finding(Check::Definitions, code, None, what, &error));
            }
            Ok(_) => {
                let differences = differences(&end.state, &lab.state(&conn)?);
                if !differences.is_empty() {
                    let what = format!(
                        "the repeatables change something when they run again: {}",
                        list(&differences)
                    );
                    let advice = "let them only define: DROP … IF EXISTS and CREATE, no rows";
                    let code = "repeatable-changes-again";
                    findings.push(found(Check::Definitions, code, None, what, advice));
                }
            }
        }
    }
    if let Err(error) = lab.whole().verify(&end.conn) {
        let what = "on a new database, with everything applied";
        findings.push(finding(Check::Definitions, "verify-fails", None, what, &error));
    }
    Ok(())
}
