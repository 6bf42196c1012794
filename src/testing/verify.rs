//! One line in an application's tests that proves its migrations.

use std::fmt;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Result};
use crate::escape::escaped;
use crate::finding::Findings;
use crate::migrator::Migrator;
use crate::proof::{Terms, prove};

pub use crate::finding::{Check, Finding};
pub use crate::proof::own_rows::SampleRows;

/// Reads no database of the application's: proves a set of migrations, with its seeds, on scratch
/// databases in memory, once it is told to with [`unwrap`](Verify::unwrap) or [`run`](Verify::run).
///
/// What the application's functions and scripts do besides, to files say, they do here too.
///
/// ```
/// # let migrator = landfall::Migrator::from_dir("migrations-example");
/// landfall::testing::verify(&migrator).unwrap(); // the whole of a test
/// ```
pub fn verify(migrator: &Migrator) -> Verify {
    Verify {
        migrator: migrator.clone(),
        rows: SampleRows::new(),
        folder: None,
        skipped: Vec::new(),
    }
}

/// What [`verify`] is to look at. Nothing is done before [`unwrap`](Verify::unwrap) or
/// [`run`](Verify::run).
///
/// ```
/// use landfall::testing::{Check, verify};
///
/// let verified = verify(&landfall::Migrator::from_dir("migrations-example"))
///     .skip(Check::Convergence, "there are no seeds yet")
///     .run()?;
/// assert_eq!(verified.migrations, 11);
/// # Ok::<(), landfall::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is looked at before `unwrap` or `run`"]
pub struct Verify {
    migrator: Migrator,
    rows: SampleRows,
    folder: Option<PathBuf>,
    skipped: Vec<(Check, String)>,
}

/// What was looked at, with nothing found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// How many migrations there are.
    pub migrations: usize,
    /// How many seeds and backfills.
    pub seeds: usize,
    /// How many rows were made up.
    pub rows: usize,
    /// What was left out, and why.
    pub skipped: Vec<(Check, String)>,
    /// Tables that were given no rows, and why.
    pub without_rows: Vec<(String, String)>,
}

impl Verify {
    /// Rows of the application's own, for tables that need them. Default: all are made up.
    pub fn with(mut self, rows: SampleRows) -> Self {
        self.rows = rows;
        self
    }

    /// The folder that the set was compiled from. A relative path starts from the current
    /// directory, which in tests is that of the package's `Cargo.toml`. Default: it is looked for
    /// below the package by its files' names, and not compared where that leaves a doubt.
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some(path.into());
        self
    }

    /// Leaves a check out, and says why. Default: all are made.
    pub fn skip(mut self, check: Check, why: impl Into<String>) -> Self {
        self.skipped.push((check, why.into()));
        self
    }

    /// Makes the checks, for a test that has nothing else to say: as [`run`](Verify::run).
    ///
    /// # Panics
    ///
    /// Where anything is found, with all of it as the message.
    #[track_caller]
    pub fn unwrap(self) {
        let found = self.run().err().map(|error| format!("{error:?}"));
        assert!(found.is_none(), "{}", found.unwrap_or_default());
    }

    /// Makes the checks. No database of the application's is opened.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsound`] with everything that was found at once;
    /// [`ErrorKind::NoReason`] where a check is left out without one.
    pub fn run(self) -> Result<Verified> {
        let blank = |(_, why): &(Check, String)| why.trim().is_empty();
        if self.skipped.iter().any(blank) {
            return Err(ErrorKind::NoReason { verb: "skip" }.into());
        }
        if self.rows.passed_over().iter().any(|(_, why)| why.trim().is_empty()) {
            return Err(ErrorKind::NoReason { verb: "none" }.into());
        }
        let proof = prove(&Terms {
            migrator: &self.migrator,
            rows: self.rows.clone(),
            folder: self.folder,
            skipped: self.skipped.iter().map(|(check, _)| *check).collect(),
        })?;
        if !proof.findings.is_empty() {
            let findings = Findings::new(proof.findings);
            let error = Error::from(ErrorKind::Unsound { findings: findings.clone() });
            return Err(error.changed("no database was touched").because(findings));
        }
        Ok(Verified {
            migrations: proof.migrations,
            seeds: proof.seeds,
            rows: proof.rows,
            skipped: self.skipped,
            without_rows: self.rows.passed_over().to_vec(),
        })
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verified { migrations, seeds, rows, .. } = self;
        write!(f, "{migrations} migrations and {seeds} seeds verified with {rows} rows made up")?;
        for (check, why) in &self.skipped {
            write!(f, "\n  left out: {check}: {}", escaped(why))?;
        }
        for (table, why) in &self.without_rows {
            write!(f, "\n  no rows: `{}`: {}", escaped(table), escaped(why))?;
        }
        Ok(())
    }
}
