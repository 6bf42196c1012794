//! What verifying a set of migrations finds: values and sentences.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::escape::escaped;
use crate::sql::Position;

/// What [`verify`](crate::testing::verify) looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// The set loads, and is what the folder on disk holds.
    Set,
    /// Every migration applies to an empty database, one by one and all at once, with foreign keys
    /// on and off, to the same end.
    Empty,
    /// Every table can be given rows, so that the checks below have something to look at.
    Rows,
    /// Every migration applies to a database with rows, and loses none that it does not sign off.
    Populated,
    /// Every down restores what was there before its up, and the up can follow again.
    Downs,
    /// From every version, with seeds having run at it, the end is the same.
    Convergence,
    /// Seeds and backfills change nothing when they run again.
    Seeds,
    /// Repeatables can run twice, verify scripts pass, baselines equal what they stand for.
    Definitions,
    /// What is written has none of the known traps in it.
    Lint,
}

impl Check {
    /// All of them, in the order in which they are made.
    pub const ALL: [Check; 9] = [
        Check::Set,
        Check::Empty,
        Check::Rows,
        Check::Populated,
        Check::Downs,
        Check::Convergence,
        Check::Seeds,
        Check::Definitions,
        Check::Lint,
    ];

    fn name(self) -> &'static str {
        match self {
            Check::Set => "set",
            Check::Empty => "empty",
            Check::Rows => "rows",
            Check::Populated => "populated",
            Check::Downs => "downs",
            Check::Convergence => "convergence",
            Check::Seeds => "seeds",
            Check::Definitions => "definitions",
            Check::Lint => "lint",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that is wrong: which, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The check that found it.
    pub check: Check,
    /// A word for this kind of fault, which stays the same between releases. Of the lint it is the
    /// one that `-- landfall: allow` takes.
    pub code: &'static str,
    /// The file, or what stands for it where there is none.
    pub file: Option<String>,
    /// The place in the file, where there is one.
    pub position: Option<Position>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", escaped(file))?;
            if let Some(Position { line, column, .. }) = self.position {
                write!(f, ":{line}:{column}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{} [{}]", escaped(&self.what), self.code)?;
        if !self.advice.is_empty() {
            write!(f, "\n    what to do: {}", escaped(&self.advice))?;
        }
        Ok(())
    }
}

/// Everything that was found at once, by check and file. Its `Display` is for a person to act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    list: Arc<Vec<Finding>>,
}

impl Findings {
    pub(crate) fn new(mut list: Vec<Finding>) -> Self {
        list.sort_by(|a, b| {
            (a.check, &a.file, a.position, a.code).cmp(&(b.check, &b.file, b.position, b.code))
        });
        list.dedup();
        Findings { list: Arc::new(list) }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// `1 fault`, `2 faults`.
    pub(crate) fn count(&self) -> String {
        let plural = if self.len() == 1 { "" } else { "s" };
        format!("{} fault{plural}", self.len())
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let mut check = None;
        for finding in self.iter() {
            if check != Some(finding.check) {
                let between = if text.is_empty() { "" } else { "\n" };
                let _ = write!(text, "{between}{}:", finding.check);
                check = Some(finding.check);
            }
            let _ = write!(text, "\n  {finding}");
        }
        f.write_str(if text.is_empty() { "nothing was found" } else { &text })
    }
}

impl std::error::Error for Findings {}
