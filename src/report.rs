//! What was done, and how things stand: values and sentences.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::adoption::Adopted;
use crate::escape::escaped;
use crate::held::{Held, Progress};
use crate::migration::Version;

/// What a verb did. `Display` is a few lines for a person.
///
/// ```
/// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
/// let report = landfall::Migrator::from_dir("migrations-example").apply(&conn)?;
/// println!("{report}");
/// assert_eq!(report.applied[0].name, "contacts");
/// assert_eq!(report.repeated[0].name, "views");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Another tool's ledger that was taken over, before anything else.
    pub adopted: Option<Adopted>,
    /// Migrations that ran, in the order they ran.
    pub applied: Vec<Done>,
    /// Migrations and recorded seeds taken back, in the order that happened.
    pub reverted: Vec<Done>,
    /// Repeatables that ran.
    pub repeated: Vec<Done>,
    /// Migrations written into the ledger without running them.
    pub marked: Vec<Done>,
    /// Rows of the ledger brought in line with the set: an edit accepted, a down script or the
    /// word on compatibility changed.
    pub amended: Vec<Done>,
    /// Migrations and seeds whose record is gone, so that they can no longer be undone.
    pub forgotten: Vec<Done>,
    /// Seeds that ran.
    pub seeds: Vec<SeedDone>,
    /// Backfills that batches were done of.
    pub backfills: Vec<BackfillDone>,
    /// Seeds and backfills that are not done, and why. Those in none of the lists had run before.
    /// Where the one query of a start found nothing to do, nothing is listed.
    pub held: Vec<Held>,
    /// The backup that was made before anything was changed, or why there is none; `None` where
    /// no backup was asked for, or nothing was to be done.
    pub backup: Option<BackupOutcome>,
    /// The backup whose content the database has now.
    pub restored: Option<PathBuf>,
    /// Migrations of a newer program, which this one does not know and left alone.
    pub newer: Vec<NewerMigration>,
    /// What is worth a look and did not stop the run.
    pub warnings: Vec<String>,
    /// How long it all took, waiting included.
    pub took: Duration,
}

/// One migration or repeatable that something was done to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Done {
    /// Its version; `None` for a repeatable or a seed.
    pub version: Option<Version>,
    /// Its name.
    pub name: String,
    /// Rows inserted, updated or deleted, those by triggers and foreign-key actions included.
    pub rows_changed: u64,
    /// How long it took.
    pub took: Duration,
}

impl Done {
    /// One of which nothing but a row of the ledger was written.
    pub(crate) fn in_ledger(version: Option<Version>, name: String) -> Self {
        Done { version, name, rows_changed: 0, took: Duration::ZERO }
    }
}

/// What became of a backup that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupOutcome {
    /// It was made.
    #[non_exhaustive]
    Made {
        /// The file.
        path: PathBuf,
    },
    /// The newest backup holds just what this one would have: an earlier start, which failed, has
    /// made it.
    #[non_exhaustive]
    AlreadyThere {
        /// The file.
        path: PathBuf,
    },
    /// There was none to make.
    #[non_exhaustive]
    PassedOver {
        /// The reason.
        why: &'static str,
    },
}

impl BackupOutcome {
    /// The backup's file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            BackupOutcome::Made { path } | BackupOutcome::AlreadyThere { path } => Some(path),
            BackupOutcome::PassedOver { .. } => None,
        }
    }
}

impl fmt::Display for BackupOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupOutcome::Made { path } => {
                write!(f, "backup made: {}", escaped(path.display()))
            }
            BackupOutcome::AlreadyThere { path } => {
                write!(f, "backup already there: {}", escaped(path.display()))
            }
            BackupOutcome::PassedOver { why } => write!(f, "no backup: {why}"),
        }
    }
}

/// One seed that ran.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeedDone {
    /// Its name.
    pub name: String,
    /// The revision that its sentinel now has.
    pub revision: u32,
    /// Rows inserted, updated or deleted, those by triggers and foreign-key actions included.
    pub rows_changed: u64,
    /// How long it took.
    pub took: Duration,
}

/// What was done of one backfill.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackfillDone {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: u32,
    /// How far it is now, since its beginning.
    pub progress: Progress,
    /// Rows done in this run.
    pub rows: u64,
    /// Batches committed in this run.
    pub batches: u64,
    /// Rows skipped in this run, which are listed in `schema_skipped`.
    pub skipped: u64,
    /// Whether it has come to its end.
    pub is_finished: bool,
    /// How long it took in this run, pauses included.
    pub took: Duration,
}

impl BackfillDone {
    pub(crate) fn new(name: &str, revision: u32) -> Self {
        BackfillDone {
            name: name.to_owned(),
            revision,
            progress: Progress::default(),
            rows: 0,
            batches: 0,
            skipped: 0,
            is_finished: false,
            took: Duration::ZERO,
        }
    }
}

impl fmt::Display for BackfillDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BackfillDone { name, progress, batches, took, .. } = self;
        let verb = if self.is_finished { "filled" } else { "went on with" };
        let es = if *batches == 1 { "" } else { "es" };
        let (name, took) = (escaped(name), took.as_secs_f64());
        write!(f, "{verb} {name}: {progress}, {batches} batch{es} ({took:.1} s)")
    }
}

/// A migration in the database that the program does not know, newer than all it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewerMigration {
    /// Its version.
    pub version: Version,
    /// Its name.
    pub name: String,
    /// What the newer program recorded of it.
    pub compatibility: Compatibility,
    /// The application's version that applied it, if it gave one.
    pub app_version: Option<String>,
}

/// Whether programs that do not know a migration can go on working after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compatibility {
    /// They can: it only adds tables, indexes, views or columns, or says so itself.
    Compatible,
    /// They cannot be trusted to.
    Breaking,
}

impl fmt::Display for Compatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compatibility::Compatible => "compatible",
            Compatibility::Breaking => "breaking",
        })
    }
}

impl Done {
    fn label(&self) -> String {
        match self.version {
            Some(version) => format!("{version} {}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Puts more at the end; mostly there was nothing before, and nothing has to be copied.
fn join<T>(list: &mut Vec<T>, more: Vec<T>) {
    match list.is_empty() {
        true => *list = more,
        false => list.extend(more),
    }
}

impl Report {
    /// Whether nothing was done: the database was as it should be.
    pub fn is_noop(&self) -> bool {
        self.lists().iter().all(|(_, done)| done.is_empty())
            && self.seeds.is_empty()
            && self.backfills.is_empty()
            && self.restored.is_none()
            && self.adopted.is_none()
    }

    /// Takes in what a transaction did, once it is committed.
    pub(crate) fn absorb(&mut self, done: Report) {
        join(&mut self.applied, done.applied);
        join(&mut self.reverted, done.reverted);
        join(&mut self.repeated, done.repeated);
        join(&mut self.marked, done.marked);
        join(&mut self.amended, done.amended);
        join(&mut self.warnings, done.warnings);
        join(&mut self.held, done.held);
    }

    fn lists(&self) -> [(&'static str, &Vec<Done>); 6] {
        [
            ("applied", &self.applied),
            ("reverted", &self.reverted),
            ("marked as applied", &self.marked),
            ("amended", &self.amended),
            ("repeated", &self.repeated),
            ("forgot how to undo", &self.forgotten),
        ]
    }

    /// In one line: `3 applied, 1 repeated, 2 seeds`.
    pub(crate) fn gist(&self) -> String {
        let mut parts: Vec<String> = self
            .lists()
            .iter()
            .filter(|(_, done)| !done.is_empty())
            .map(|(what, done)| match (done.first(), done.last()) {
                (Some(only), _) if done.len() == 1 => format!("{what} {}", only.label()),
                (Some(first), Some(last)) => {
                    format!("{what} {}: {} to {}", done.len(), first.label(), last.label())
                }
                _ => String::new(),
            })
            .collect();
        if let Some(adopted) = &self.adopted {
            parts.insert(0, format!("adopted {adopted}"));
        }
        if !self.seeds.is_empty() {
            let names: Vec<_> = self.seeds.iter().map(|seed| seed.name.as_str()).collect();
            parts.push(format!("seeded {}", names.join(", ")));
        }
        parts.extend(self.backfills.iter().map(|done| {
            let verb = if done.is_finished { "filled" } else { "went on with" };
            format!("{verb} {}", done.name)
        }));
        if let Some(path) = &self.restored {
            parts.push(format!("restored {}", path.display()));
        }
        if parts.is_empty() { "nothing to do".to_owned() } else { parts.join("; ") }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_noop() {
            let waits = self.held.iter().any(Held::is_unsettled);
            f.write_str(if waits { "nothing to do now" } else { "nothing to do" })?;
        } else {
            write!(f, "done in {:.1} ms", self.took.as_secs_f64() * 1000.0)?;
        }
        if let Some(backup) = &self.backup {
            write!(f, "\n  {backup}")?;
        }
        if let Some(path) = &self.restored {
            write!(f, "\n  restored {}", escaped(path.display()))?;
        }
        if let Some(adopted) = &self.adopted {
            write!(f, "\n  adopted {adopted}")?;
        }
        for (what, list) in self.lists() {
            for done in list {
                let label = escaped(done.label());
                write!(f, "\n  {what} {label} ({} µs)", done.took.as_micros())?;
            }
        }
        for seed in &self.seeds {
            write!(
                f,
                "\n  seeded {}: {} row{} ({} µs)",
                escaped(&seed.name),
                seed.rows_changed,
                if seed.rows_changed == 1 { "" } else { "s" },
                seed.took.as_micros()
            )?;
        }
        for backfill in &self.backfills {
            write!(f, "\n  {backfill}")?;
        }
        for held in &self.held {
            write!(f, "\n  not run: {held}")?;
        }
        for newer in &self.newer {
            write!(f, "\n  left alone {newer}")?;
        }
        for warning in &self.warnings {
            write!(f, "\n  warning: {}", escaped(warning))?;
        }
        Ok(())
    }
}

impl fmt::Display for NewerMigration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: of a newer program", self.version, escaped(&self.name))?;
        if let Some(app) = &self.app_version {
            write!(f, " ({})", escaped(app))?;
        }
        write!(f, ", {}", self.compatibility)
    }
}

/// How a database stands to a set. `Display` is a table.
///
/// ```
/// # let conn = landfall::rusqlite::Connection::open_in_memory()?;
/// let status = landfall::Migrator::from_dir("migrations-example").status(&conn)?;
/// let first = "1   contacts          pending";
/// assert_eq!(status.to_string().lines().next(), Some(first));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Status {
    /// Every migration of the set and of the ledger, in order, then the repeatables.
    pub migrations: Vec<MigrationStatus>,
    /// Every seed of the registry, in order, then sentinels that no seed of it has.
    pub seeds: Vec<SeedStatus>,
}

/// How one migration stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MigrationStatus {
    /// Its version; `None` for a repeatable.
    pub version: Option<Version>,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// When it was applied, UTC, ISO 8601.
    pub applied_at: Option<String>,
    /// The application's version that applied it.
    pub app_version: Option<String>,
}

/// How a migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// In the set and in the ledger, and the same.
    Applied,
    /// In the set and not in the ledger; `apply` will run it.
    Pending,
    /// Pending, and older than one that is applied.
    Late,
    /// In both, and not the same.
    Modified,
    /// In the ledger and not in the set, older than the set's newest.
    Missing,
    /// In the ledger and not in the set, newer than the set's newest.
    Newer,
    /// Begun outside a transaction and not finished.
    Interrupted,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Applied => "applied",
            State::Pending => "pending",
            State::Late => "late",
            State::Modified => "modified",
            State::Missing => "missing",
            State::Newer => "newer",
            State::Interrupted => "interrupted",
        }
    }
}

/// How one seed stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SeedStatus {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: SeedState,
    /// When it finished, UTC, ISO 8601.
    pub finished_at: Option<String>,
    /// Why it is held back, or how far it is.
    pub note: Option<String>,
}

/// How a seed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeedState {
    /// Its sentinel is there, at its revision or a later one.
    Done,
    /// It will run at the next `apply`.
    Pending,
    /// A backfill that was begun and is not done; its note says how far it is.
    Running,
    /// It is not done, and `apply` does not run it as things are: see its note.
    HeldBack,
    /// A sentinel that no seed of the registry has; it is left alone.
    Unknown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = Vec::new();
        for migration in &self.migrations {
            let version = migration.version.map_or("R".to_owned(), |version| version.to_string());
            let at = migration.applied_at.clone().unwrap_or_default();
            rows.push([version, migration.name.clone(), migration.state.word().to_owned(), at]);
        }
        for seed in &self.seeds {
            let state = match seed.state {
                SeedState::Done => "done",
                SeedState::Pending => "pending",
                SeedState::Running => "running",
                SeedState::HeldBack => "held back",
                SeedState::Unknown => "unknown",
            };
            let at = seed.note.clone().or(seed.finished_at.clone()).unwrap_or_default();
            rows.push(["seed".to_owned(), seed.name.clone(), state.to_owned(), at]);
        }
        if rows.is_empty() {
            return f.write_str("no migrations and no seeds");
        }
        f.write_str(&columns(&rows))
    }
}

/// Rows as text, each column as wide as its widest cell.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| escaped(cell).to_string())).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lines = rows.iter().map(|row| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// One line of the history, which is only ever added to. `Display` is one line.
///
/// ```
/// # let migrator = landfall::Migrator::from_dir("migrations-example");
/// # let conn = migrator.open_in_memory()?;
/// for entry in migrator.history(&conn)? {
///     println!("{entry}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Its place in the history, rising.
    pub id: i64,
    /// When, UTC, ISO 8601.
    pub at: String,
    /// What was done: `apply`, `revert`, `repeat`, `baseline`, `adopt`, `amend`, `replace`, `repair`,
    /// `seed`, `forget` (how to undo it), `waive` (a rule, with the reason given), `lose` (what a sign-off let go), `backup`,
    /// `restore`.
    pub action: String,
    /// The migration's version, where it is about one.
    pub version: Option<Version>,
    /// The migration's, repeatable's or seed's name.
    pub name: Option<String>,
    /// The reason that was given.
    pub reason: Option<String>,
    /// More, for a person.
    pub detail: Option<String>,
    /// The application's version that did it.
    pub app_version: Option<String>,
}

impl fmt::Display for HistoryEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", escaped(&self.at), escaped(&self.action))?;
        if let Some(version) = self.version {
            write!(f, " {version}")?;
        }
        for text in [&self.name, &self.reason, &self.detail].into_iter().flatten() {
            write!(f, " {}", escaped(text))?;
        }
        Ok(())
    }
}
