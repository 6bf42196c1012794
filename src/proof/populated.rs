//! The way up on a database with rows.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::Terms;
use super::contents::{Rows, shown};
use super::downs::{self, Passage};
use super::empty::Empty;
use super::lab::{Keys, Lab, Stage, State};
use super::rows::{Filled, Which};
use super::told::{finding, found, list};
use crate::error::{Error, ErrorKind, Result};
use crate::finding::{Check, Finding};
use crate::lint::Hit;
use crate::migration::{Target, Version};
use crate::report::Report;
use crate::source::Entry;
use crate::sql::action::Change;
use crate::sql::losses::Losses;
use crate::sql::{Action, Object, Rule, Statement, Verb, quoted};

pub(super) struct Populated<'l> {
    lab: &'l Lab,
    terms: &'l Terms<'l>,
    pub(super) conn: Connection,
    version: Version,
    filled: Filled,
    /// Tables that are told of already.
    told: BTreeSet<String>,
}

const WITH_ROWS: &str = " on a database with rows";

impl<'l> Populated<'l> {
    pub(super) fn new(lab: &'l Lab, terms: &'l Terms<'l>) -> Result<Self> {
        let conn = lab.scratch(Keys::On)?;
        let (version, filled, told) = (Version(i64::MIN), Filled::default(), BTreeSet::new());
        Ok(Populated { lab, terms, conn, version, filled, told })
    }

    /// Whether any check needs the rows.
    pub(super) fn is_wanted(&self) -> bool {
        let checks = [Check::Rows, Check::Populated, Check::Downs, Check::Seeds];
        checks.into_iter().any(|check| self.terms.wants(check))
    }

    pub(super) fn rows(&self) -> usize {
        self.filled.rows
    }

    /// Fills what is there, goes one version up, and down and up again if the down is to be looked
    /// at.
    pub(super) fn step(
        &mut self,
        stage: &Stage,
        empty: &Empty<'_>,
        looks_at_down: bool,
        findings: &mut Vec<Finding>,
        hits: &mut Vec<Hit>,
    ) -> Result<()> {
        let lab = self.lab;
        self.fill(Which::All, findings)?;
        let before = lab.state(&self.conn)?;
        let was_stale = stale_indexes(&self.conn).map_err(Error::sqlite(ASKING))?;
        let conn = lab.copy(&self.conn, Keys::On)?;
        let entry = lab.entry(stage);
        let report = match self.go_up(&conn, stage, findings)? {
            Some((conn, report)) => {
                self.conn = conn;
                report
            }
            None => {
                // It goes on from what an empty database becomes.
                self.conn = lab.copy(&empty.conn, Keys::On)?;
                self.filled.begin_anew();
                self.version = stage.version;
                return Ok(());
            }
        };
        self.version = stage.version;
        if let Some(entry) = entry {
            warned(entry, &report, hits);
        }
        for index in stale_indexes(&self.conn).map_err(Error::sqlite(ASKING))? {
            if !was_stale.contains(&index) {
                let what = format!("the full text index `{index}` does not fit its rows");
                let (rule, file) = (Rule::StaleFullText, stage.file.clone());
                hits.push(Hit { rule, file, position: None, what });
            }
        }
        let after = lab.state(&self.conn)?;
        if let Some(entry) = entry {
            findings.extend(lost(entry, &before, &after));
        }
        self.fill(Which::New, findings)?;
        if looks_at_down && self.terms.wants(Check::Downs) {
            let after = lab.state(&self.conn)?;
            let passage = Passage { stage, before: &before, after: &after, rows: WITH_ROWS };
            downs::look(lab, &self.conn, &passage, findings, hits)?;
        }
        Ok(())
    }

    /// Goes up on a copy, also where data would be lost: that is told.
    fn go_up(
        &self,
        conn: &Connection,
        stage: &Stage,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<(Connection, Report)>> {
        let (lab, to, file) = (self.lab, Target::Version(stage.version), Some(stage.file.as_str()));
        let error = match lab.bare().apply_to(conn, to) {
            Ok(report) => return Ok(Some((lab.copy(conn, Keys::On)?, report))),
            Err(error) => error,
        };
        if let ErrorKind::DataLoss { .. } = error.kind() {
            findings.push(finding(Check::Populated, "data-loss", file, "", &error));
            let again = lab.copy(&self.conn, Keys::On)?;
            if let Ok(report) = lab.careless().apply_to(&again, to) {
                return Ok(Some((again, report)));
            }
            return Ok(None);
        }
        let what = "it applies to an empty database, and fails on one with rows";
        let finding = finding(Check::Populated, "fails-with-rows", file, what, &error);
        let advice = "let it work for rows too: give a constant DEFAULT, UPDATE the rows first, or \
                      rebuild the table; if real rows cannot be like those made up, give your own \
                      with `.with(SampleRows::new()…)`";
        findings.push(Finding { advice: advice.to_owned(), ..finding });
        Ok(None)
    }

    fn fill(&mut self, which: Which, findings: &mut Vec<Finding>) -> Result<()> {
        let lab = self.lab;
        let is_ours = |table: &str| lab.is_ours(table);
        let unfilled =
            self.filled.fill(&mut self.conn, self.version, which, &self.terms.rows, is_ours)?;
        for unfilled in unfilled {
            if !self.told.insert(unfilled.table.to_ascii_lowercase()) {
                continue;
            }
            let what = format!(
                "no rows could be made up for `{}` at version {}: {}",
                unfilled.table, self.version, unfilled.why
            );
            let advice = format!(
                "give it rows with `.with(SampleRows::new().table(\"{0}\", |tx| …))`, or say \
                 `.none(\"{0}\", \"<reason>\")` there",
                unfilled.table
            );
            let file = maker(lab, &unfilled.table, self.version);
            findings.push(found(Check::Rows, "not-filled", file, what, &advice));
        }
        Ok(())
    }

    /// Tells of rows that were given for tables which there never were.
    pub(super) fn end(&self, findings: &mut Vec<Finding>) {
        for table in self.terms.rows.tables().filter(|table| !self.filled.has_met(table)) {
            let what = format!("rows are given for `{table}`, and there is no such table");
            let advice = "correct its name, or take it out";
            findings.push(found(Check::Rows, "rows-for-nothing", None, what, advice));
        }
    }
}

/// The last script up to a version that makes a table of this name, or gives it to one.
fn maker<'l>(lab: &'l Lab, table: &str, at: Version) -> Option<&'l str> {
    let makes = |statement: &Statement| match &statement.action {
        Action::Create { what: Object::Table, name, .. } => name.is(table),
        Action::Alter { change: Change::RenameTable(to), .. } => to.eq_ignore_ascii_case(table),
        _ => false,
    };
    let entries = lab.set.migrations.iter().rev().filter(|entry| entry.version <= at);
    let mut scripts = entries.filter_map(|entry| entry.task.script());
    let last = scripts.find(|script| script.statements.iter().any(makes));
    last.map(|script| script.file.as_ref())
}

/// What the runner says of rebuilds: `<file>: after the rebuild of `t` …`.
fn warned(entry: &Entry, report: &Report, hits: &mut Vec<Hit>) {
    let Some(script) = entry.task.script() else { return };
    let start = format!("{}: after the rebuild of `", script.file);
    for warning in &report.warnings {
        let Some(rest) = warning.strip_prefix(&start) else { continue };
        let table = rest.split('`').next().unwrap_or_default();
        let drops = |statement: &&Statement| match &statement.action {
            Action::Drop { what: Object::Table, name } => name.is(table),
            _ => false,
        };
        let at = script.statements.iter().find(drops).map_or(0, |statement| statement.start);
        let what = format!("after the rebuild of `{rest}");
        hits.push(Hit::at(Rule::LostInRebuild, script, at, what));
    }
}

/// Rows that are gone and values that are NULL in tables which the migration does not say that it
/// deletes from or updates.
fn lost(entry: &Entry, before: &State, after: &State) -> Vec<Finding> {
    let Some(script) = entry.task.script() else { return Vec::new() };
    let statements: Vec<_> = script.statements.iter().collect();
    let dropped = Losses::of(script, &statements).tables;
    let writes = |table: &str, wanted: &[Verb]| {
        script.statements.iter().any(|statement| match &statement.action {
            Action::Write { verb, table: written } => wanted.contains(verb) && written.is(table),
            _ => false,
        })
    };
    let replaces = [Verb::Replace, Verb::UpdateOrReplace];
    let deletes = [Verb::Delete, Verb::Replace, Verb::UpdateOrReplace];
    let updates = [Verb::Update, Verb::UpdateOrReplace, Verb::Replace];
    let mut findings = Vec::new();
    for (table, was) in &before.contents.tables {
        let Some(now) = after.contents.tables.get(table) else { continue };
        // The runner sees to what is rebuilt.
        let is_rebuilt = dropped.iter().any(|dropped| dropped.name.eq_ignore_ascii_case(table));
        let file = Some(script.file.as_ref());
        if now.count < was.count && !is_rebuilt && !writes(table, &deletes) {
            let what = format!(
                "`{table}` has {} of {} afterwards, and no statement deletes from it",
                now.count,
                shown(was.count)
            );
            let advice = if statements.iter().any(|statement| match &statement.action {
                Action::Write { verb, .. } => replaces.contains(verb),
                _ => false,
            }) {
                "REPLACE deletes the row that is in the way, and with it what refers to that: \
                 write INSERT … ON CONFLICT DO UPDATE"
            } else {
                "deleting a row deletes what refers to it with ON DELETE CASCADE: delete those \
                 rows in the script itself, so that a reader sees it"
            };
            findings.push(found(Check::Populated, "rows-lost", file, what, advice));
        } else if now.count >= was.count && !is_rebuilt && !writes(table, &updates) {
            let emptied = emptied(was, now);
            if !emptied.is_empty() {
                let what = format!(
                    "`{table}` has lost values in {}, and no statement updates it",
                    list(&emptied)
                );
                let advice = "deleting a row sets the keys that refer to it to NULL where they say \
                              ON DELETE SET NULL: update those rows in the script itself, so that \
                              a reader sees it";
                findings.push(found(Check::Populated, "keys-set-null", file, what, advice));
            }
        }
    }
    findings
}

fn emptied(was: &Rows, now: &Rows) -> Vec<String> {
    let fewer = was.columns.iter().filter(|(column, values)| {
        now.columns.get(*column).is_some_and(|now| now.some < values.some)
    });
    fewer.map(|(column, _)| format!("`{column}`")).collect()
}

const ASKING: &str = "looking for full text indexes that do not fit their rows";

/// The FTS5 indexes that do not fit their rows. With rank 1 the content table is compared too:
/// <https://sqlite.org/fts5.html#the_integrity_check_command>.
fn stale_indexes(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM main.sqlite_master
               WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%fts5%'";
    let mut statement = conn.prepare(sql)?;
    let names = statement.query_map([], |row| row.get(0))?;
    let mut names = names.collect::<rusqlite::Result<Vec<String>>>()?;
    let is_stale = |index: &String| {
        let index = quoted(index);
        let sql = format!("INSERT INTO {index}({index}, rank) VALUES ('integrity-check', 1)");
        conn.execute_batch(&sql).is_err()
    };
    names.retain(is_stale);
    Ok(names)
}
