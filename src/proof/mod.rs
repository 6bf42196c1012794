//! Proves a set of migrations on scratch databases of its own: what `testing::verify` reports. It
//! goes up once, version by version, with several databases side by side. Each step looks at the whole
//! schema and at every table, so that the work grows with the number of migrations times that of tables.

mod contents;
mod definitions;
mod downs;
mod empty;
mod folder;
mod fronts;
mod lab;
pub(crate) mod own_rows;
mod populated;
mod rows;
mod seeds;
mod shape;
mod told;

use std::path::PathBuf;

use crate::error::Result;
use crate::finding::{Check, Finding};
use crate::lint::{self, Hit};
use crate::migrator::Migrator;
use crate::sql::Rule;
use lab::Lab;
use own_rows::SampleRows;
use told::finding;

/// What is to be looked at, and how.
pub(crate) struct Terms<'a> {
    pub(crate) migrator: &'a Migrator,
    pub(crate) rows: SampleRows,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) skipped: Vec<Check>,
}

/// What was looked at, and found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proof {
    pub(crate) findings: Vec<Finding>,
    pub(crate) migrations: usize,
    pub(crate) seeds: usize,
    pub(crate) rows: usize,
}

impl Terms<'_> {
    fn wants(&self, check: Check) -> bool {
        !self.skipped.contains(&check)
    }
}

/// Makes every check that is wanted. An error is one of ours: no database could be made at all.
pub(crate) fn prove(terms: &Terms<'_>) -> Result<Proof> {
    let mut proof = Proof::default();
    let lab = match Lab::new(terms.migrator) {
        Ok(lab) => lab,
        Err(error) => {
            proof.findings.push(finding(Check::Set, "does-not-load", None, "", &error));
            return Ok(proof);
        }
    };
    if let Err(error) = terms.migrator.check() {
        proof.findings.push(finding(Check::Set, "stale-sign-off", None, "", &error));
    }
    if terms.wants(Check::Set) {
        proof.findings.extend(folder::compare(terms)?);
    }
    proof.migrations = lab.stages.len();
    proof.seeds = lab.registry.iter().count();
    let mut hits = lint::hits(&lab.set, &lab.registry);
    let went = way_up(&lab, terms, &mut proof, &mut hits)?;
    if !terms.wants(Check::Lint) {
        hits.retain(|hit| hit.rule == Rule::EmptyDown);
    }
    if !terms.wants(Check::Downs) {
        hits.retain(|hit| hit.rule != Rule::EmptyDown);
    }
    let was_looked_for = |rule: Rule| match rule {
        Rule::EmptyDown => terms.wants(Check::Downs) && went == Went::ToTheEnd,
        Rule::LostInRebuild | Rule::StaleFullText => {
            terms.wants(Check::Populated) && terms.wants(Check::Lint) && went == Went::ToTheEnd
        }
        _ => terms.wants(Check::Lint) && went == Went::ToTheEnd,
    };
    proof.findings.extend(lint::settle(&lab.set, &lab.registry, hits, was_looked_for));
    proof.findings.retain(|finding| terms.wants(finding.check));
    for finding in &mut proof.findings {
        if let (Some(file), None) = (&finding.file, finding.position) {
            finding.position = lint::beginning(&lab.set, &lab.registry, file);
        }
    }
    Ok(proof)
}

/// Whether every migration could be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    ToTheEnd,
    NotAllTheWay,
}

fn way_up(lab: &Lab, terms: &Terms<'_>, proof: &mut Proof, hits: &mut Vec<Hit>) -> Result<Went> {
    let mut empty = empty::Empty::new(lab)?;
    let mut populated = populated::Populated::new(lab, terms)?;
    let mut fronts = fronts::Fronts::new(lab, terms.wants(Check::Convergence));
    for stage in &lab.stages {
        fronts.start(&empty.conn, empty.version)?;
        let findings = &mut proof.findings;
        if !empty.step(stage, findings, hits)? {
            return Ok(Went::NotAllTheWay);
        }
        let is_down_sound = !terms.wants(Check::Downs) || empty.down(stage, findings, hits)?;
        if populated.is_wanted() {
            populated.step(stage, &empty, is_down_sound, findings, hits)?;
        }
        fronts.step(stage, findings)?;
        if terms.wants(Check::Definitions) {
            definitions::baseline(lab, stage, &empty, findings, hits)?;
        }
    }
    populated.end(&mut proof.findings);
    proof.rows = populated.rows();
    empty.end(&mut proof.findings)?;
    let Some(end) = seeds::end(lab, &empty.conn, &mut proof.findings, hits)? else {
        return Ok(Went::NotAllTheWay);
    };
    fronts.end(&end, &mut proof.findings)?;
    if terms.wants(Check::Seeds) {
        seeds::again(lab, &end, &mut proof.findings)?;
        if populated.is_wanted() {
            seeds::backfills_again(lab, &populated.conn, &mut proof.findings)?;
        }
    }
    if terms.wants(Check::Definitions) {
        definitions::again(lab, &end, &mut proof.findings)?;
    }
    Ok(Went::ToTheEnd)
}
