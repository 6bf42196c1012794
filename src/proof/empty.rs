//! The way up on empty databases: one by one, with foreign keys on and off, and all at once.

use rusqlite::Connection;

use super::downs::{self, Passage};
use super::lab::{Keys, Lab, Stage, State};
use super::shape::Order;
use super::told::{finding, found, list};
use crate::error::Result;
use crate::finding::{Check, Finding};
use crate::lint::Hit;
use crate::migration::{Target, Version};

pub(super) struct Empty<'l> {
    lab: &'l Lab,
    /// Foreign keys on: what everything else is compared with.
    pub(super) conn: Connection,
    pub(super) version: Option<Version>,
    pub(super) state: State,
    before: State,
    /// Foreign keys off, and no string in double quotes.
    strict: Connection,
    /// Whether a migration is known to end otherwise without foreign keys.
    keys_matter: bool,
}

impl<'l> Empty<'l> {
    pub(super) fn new(lab: &'l Lab) -> Result<Self> {
        let (conn, strict) = (lab.scratch(Keys::On)?, lab.scratch(Keys::Off)?);
        let state = lab.state(&conn)?;
        Ok(Empty {
            lab,
            conn,
            version: None,
            before: state.clone(),
            state,
            strict,
            keys_matter: false,
        })
    }

    /// Goes one version up. Whether it could.
    pub(super) fn step(
        &mut self,
        stage: &Stage,
        findings: &mut Vec<Finding>,
        hits: &mut Vec<Hit>,
    ) -> Result<bool> {
        let to = Target::Version(stage.version);
        if let Err(error) = self.lab.bare().apply_to(&self.conn, to) {
            let what = "it fails on an empty database";
            let file = Some(stage.file.as_str());
            let finding = finding(Check::Empty, "fails-when-empty", file, what, &error);
            let advice = format!("{}; what comes after it was not looked at", finding.advice);
            findings.push(Finding { advice, ..finding });
            return Ok(false);
        }
        self.version = Some(stage.version);
        let state = self.lab.state(&self.conn)?;
        self.before = std::mem::replace(&mut self.state, state);
        self.step_strictly(stage, findings, hits)?;
        Ok(true)
    }

    fn step_strictly(
        &mut self,
        stage: &Stage,
        findings: &mut Vec<Finding>,
        hits: &mut Vec<Hit>,
    ) -> Result<()> {
        let to = Target::Version(stage.version);
        let up = |conn: &Connection| self.lab.bare().apply_to(conn, to);
        let (conn, result) = self.lab.strictly(&self.strict, Keys::Off, hits, up)?;
        self.strict = conn;
        if let Err(error) = result {
            let what = "it fails on a connection that does not enforce foreign keys";
            let file = Some(stage.file.as_str());
            let code = "fails-without-foreign-keys";
            findings.push(finding(Check::Empty, code, file, what, &error));
            self.keys_matter = true;
            self.strict = self.lab.copy(&self.conn, Keys::Off)?;
            return Ok(());
        }
        let state = self.lab.state(&self.strict)?;
        let differences = differences(&self.state, &state);
        if !differences.is_empty() {
            let what = format!(
                "on a connection that does not enforce foreign keys it ends otherwise: {}",
                list(&differences)
            );
            let advice = "do not count on ON DELETE and ON UPDATE: say in the script itself what is \
                          to happen to the rows of other tables";
            let file = Some(stage.file.as_str());
            let code = "differs-by-foreign-keys";
            findings.push(found(Check::Empty, code, file, what, advice));
            self.keys_matter = true;
            self.strict = self.lab.copy(&self.conn, Keys::Off)?;
        }
        Ok(())
    }

    /// Down and up again. Whether all was well.
    pub(super) fn down(
        &self,
        stage: &Stage,
        findings: &mut Vec<Finding>,
        hits: &mut Vec<Hit>,
    ) -> Result<bool> {
        let passage = Passage { stage, before: &self.before, after: &self.state, rows: "" };
        downs::look(self.lab, &self.conn, &passage, findings, hits)
    }

    /// All at once, with foreign keys on and, unless that is known to matter, off.
    pub(super) fn end(&self, findings: &mut Vec<Finding>) -> Result<()> {
        for (keys, with) in [(Keys::On, "on"), (Keys::Off, "off")] {
            if keys == Keys::Off && self.keys_matter {
                continue;
            }
            let conn = self.lab.scratch(keys)?;
            if let Err(error) = self.lab.bare().apply(&conn) {
                let what = format!("all at once, with foreign keys {with}, they fail");
                findings.push(finding(Check::Empty, "fails-all-at-once", None, &what, &error));
                return Ok(());
            }
            let differences = differences(&self.state, &self.lab.state(&conn)?);
            if !differences.is_empty() {
                let what = format!(
                    "all at once, with foreign keys {with}, the end is another than one by one: {}",
                    list(&differences)
                );
                let advice = "find the migration that depends on how many run together, by \
                              last_insert_rowid() say";
                findings.push(found(Check::Empty, "differs-all-at-once", None, what, advice));
                return Ok(());
            }
        }
        Ok(())
    }
}

/// How the second differs from the first.
pub(super) fn differences(a: &State, b: &State) -> Vec<String> {
    let mut all = a.shape.differences(&b.shape, Order::Counts);
    if all.is_empty() {
        all = a.contents.differences(&b.contents);
    }
    all
}
