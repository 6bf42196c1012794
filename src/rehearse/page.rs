//! The page that a person reads before a deployment.

use std::fmt::{self, Display};
use std::time::Duration;

use super::{Beside, Downs, Finding, Part, Rehearsal, Rehearsed, RowsLost, Since, Space};
use crate::escape::escaped;
use crate::migration::Version;
use crate::report::columns;

impl Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.database.as_ref().and_then(|path| path.file_name());
        match name {
            Some(name) => {
                write!(f, "rehearsal on a copy of {}", escaped(name.to_string_lossy()))?;
            }
            None => f.write_str("rehearsal on a copy of a database in memory")?,
        }
        let copied = (bytes(self.space.before), milliseconds(self.copying));
        write!(f, " ({}, copied in {})", copied.0, copied.1)?;
        match (&self.error, self.is_noop()) {
            (Some(error), _) => {
                f.write_str("\n\nIT FAILS")?;
                indented(f, &format!("{error:?}"))?;
            }
            (None, true) => f.write_str("\n\nnothing is pending")?,
            (None, false) => write!(f, "\n\n{} → {}", at(self.from), at(self.to))?,
        }
        if !self.steps.is_empty() {
            f.write_str("\n\nsteps")?;
            let rows: Vec<_> = self.steps.iter().map(Rehearsed::cells).collect();
            indented(f, &columns(&rows))?;
        }
        let adopted = self.report.adopted.iter().map(|adopted| format!("adopts {adopted}"));
        let held = self.report.held.iter().map(|held| format!("not run: {held}"));
        let newer = self.report.newer.iter().map(|newer| format!("left alone: {newer}"));
        let warnings =
            self.report.warnings.iter().map(|warning| format!("warning: {}", escaped(warning)));
        list(f, "notes", adopted.chain(held).chain(newer).chain(warnings))?;
        list(f, "schema", self.changes.iter().map(|change| change.as_deed()))?;
        write!(f, "\n\nspace\n  {}", self.space)?;
        found(f, "quick_check", &self.quick_check)?;
        found(f, "foreign keys", &self.foreign_keys)?;
        f.write_str("\n\nway back")?;
        indented(f, &self.downs.to_string())?;
        if let Some(copy) = &self.copy {
            write!(f, "\n\nthe copy is {}", escaped(copy.display()))?;
        }
        Ok(())
    }
}

impl Rehearsed {
    fn cells(&self) -> [String; 5] {
        let Rehearsed { part, version, name, rows_changed, rows_lost, took } = self;
        let lost: Vec<String> = rows_lost.iter().map(RowsLost::to_string).collect();
        let lost = match lost.as_slice() {
            [] => String::new(),
            lost => format!("LOSES {}", lost.join(", ")),
        };
        let version = version.map(|version| format!("{version} ")).unwrap_or_default();
        let s = if *rows_changed == 1 { "" } else { "s" };
        let verb = if *part == Part::Backfill { "done" } else { "changed" };
        [
            part.to_string(),
            format!("{version}{name}"),
            milliseconds(*took),
            format!("{rows_changed} row{s} {verb}"),
            lost,
        ]
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Migration => "apply",
            Part::Revert => "revert",
            Part::Mark => "mark as applied",
            Part::Repeatable => "repeat",
            Part::Seed => "seed",
            Part::Backfill => "backfill",
        })
    }
}

impl Display for RowsLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.rows == 1 { "" } else { "s" };
        write!(f, "{} row{s} of {}", self.rows, escaped(&self.table))
    }
}

impl Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Space { before, after, beside } = self;
        write!(f, "the file: {} before, {} after", bytes(*before), bytes(*after))?;
        match beside {
            Beside::Measured(length) => {
                write!(f, "; beside it meanwhile: {}, as measured", bytes(*length))
            }
            Beside::AtMost(length) => {
                write!(f, "; beside it meanwhile: at most {} a transaction", bytes(*length))
            }
        }
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.since {
            Since::Before => write!(f, "as before: {}", escaped(&self.what)),
            Since::Now => write!(f, "NEW: {}", escaped(&self.what)),
        }
    }
}

impl Display for Downs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Downs::Restore => f.write_str("the downs restore the schema"),
            Downs::Differ { changes } => {
                f.write_str("the downs DO NOT restore the schema; after them")?;
                changes.iter().try_for_each(|change| write!(f, "\n  {change}"))
            }
            Downs::Irreversible { why } => write!(f, "none: {}", escaped(why)),
            Downs::Fail { error } => write!(f, "the downs FAIL\n{error:?}"),
            Downs::NotTried { why } => write!(f, "not tried: {}", escaped(why)),
        }
    }
}

fn at(version: Option<Version>) -> String {
    version.map_or("no version".to_owned(), |version| format!("version {version}"))
}

fn found(f: &mut fmt::Formatter<'_>, check: &str, found: &[Finding]) -> fmt::Result {
    if found.is_empty() {
        return write!(f, "\n\n{check}\n  nothing found");
    }
    list(f, check, found.iter().map(Finding::to_string))
}

/// A heading and a line for each, or nothing.
fn list(
    f: &mut fmt::Formatter<'_>,
    heading: &str,
    lines: impl Iterator<Item = String>,
) -> fmt::Result {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return Ok(());
    }
    write!(f, "\n\n{heading}")?;
    lines.iter().try_for_each(|line| indented(f, line))
}

fn indented(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.lines().try_for_each(|line| write!(f, "\n  {line}"))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut amount = count as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if amount < 1024.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, next);
    }
    if unit == "bytes" { format!("{count} bytes") } else { format!("{amount:.1} {unit}") }
}
