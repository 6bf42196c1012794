//! What can go wrong, in sentences.

mod advice;
mod unfit;

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::adoption::Adopt;
use crate::backup::image;
use crate::damage::Damage;
use crate::escape::{self, escaped_lines, escaped_sql};
use crate::finding::Findings;
use crate::migration::{BoxError, Version};
use crate::report::Report;
use crate::schema::Change;
use crate::sql::{Position, Script};
pub(crate) use unfit::Unfit;

/// What every verb returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, what state the database is in, and what to do next.
///
/// * `{}` is one line: what we were doing, where, and what was changed. After a commit that failed
///   that is looked up; where the database cannot be read any more, the line says that it is not known.
/// * `{:#}` adds the line with a caret under the place, and what to do next.
/// * `{:?}`, which `unwrap` and `fn main() -> Result<…>` print, adds the causes.
/// * [`source`](std::error::Error::source) is why; its text stands in neither of the first two.
///
/// Names, rows and SQL from outside can hold what a terminal obeys. Whatever this library prints shows
/// control characters and the like escaped, `\u{1b}`; the fields of values hold them as they are.
///
/// ```
/// use landfall::{ErrorKind, Migration, Migrator};
///
/// let error = Migrator::from_migrations([Migration::sql(1, "typo", "CREATE TABL t(x)")])
///     .open_in_memory()
///     .unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "migration 1_typo failed at line 1, column 8; nothing was changed"
/// );
/// assert!(matches!(error.kind(), ErrorKind::Statement { .. }));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    snippet: Option<Snippet>,
    changed: Changed,
    advice: Option<String>,
    source: Option<BoxError>,
    report: Option<Report>,
}

/// The line that an error points at.
struct Snippet {
    file: String,
    position: Position,
    line: String,
}

/// What state the database is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Nothing,
    /// A commit failed, and so did the question whether it is stored.
    Unknown,
    /// A sentence of its own.
    Told(String),
}

const UNKNOWN: &str = "it is not known whether this is stored";

/// What is being done with another file than the database's.
pub(crate) const RESTORING: &str = "restoring";

/// A sentence that can hold a name, a row or a piece of SQL.
macro_rules! escaped {
    ($($said:tt)*) => {
        escape::escaped(format_args!($($said)*))
    };
}

/// What kind of thing went wrong. The fields are there for programs; the sentences come from
/// [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // of the fields, which their names tell
pub enum ErrorKind {
    /// A file's name, or another name, has none of the known forms.
    #[error("{}", escaped!("`{file}` is not understood: {why}"))]
    #[non_exhaustive]
    BadName { file: String, why: String },
    /// Files of two tools in one folder.
    #[error("{}", escaped!("`{first}` is {first_is}, and `{second}` is {second_is}: one folder is one tool's"))]
    #[non_exhaustive]
    MixedLayouts { first: String, first_is: &'static str, second: String, second_is: &'static str },
    /// A file that two tools would take for different things.
    #[error("{}", escaped!("`{file}` can be read in two ways: {why}"))]
    #[non_exhaustive]
    AmbiguousLayout { file: String, why: String },
    /// Two files claim one version, or two repeatables one name.
    #[error("{}", escaped!("`{first}` and `{second}` are both {what}"))]
    #[non_exhaustive]
    DuplicateVersion { what: String, first: String, second: String },
    /// A `.down.sql` or `.verify.sql` without its migration.
    #[error("{}", escaped!("`{file}` belongs to no migration: there is none with version {version}"))]
    #[non_exhaustive]
    OrphanDown { file: String, version: Version },
    /// A file that is not text.
    #[error("{}", escaped!("`{file}` is not text at line {line}: {why}"))]
    #[non_exhaustive]
    NotUtf8 { file: String, line: usize, why: &'static str },
    /// A `-- landfall:` line that is not understood or not allowed there.
    #[error("{}", escaped!("`{file}`, {position}: {why}"))]
    #[non_exhaustive]
    Directive { file: String, position: Position, why: String },
    /// A script whose text cannot all be meant.
    #[error("{}", escaped!("`{file}`, {position}: {why}"))]
    #[non_exhaustive]
    BadText { file: String, position: Position, why: String },
    /// The files in a folder are not those that the program was compiled with.
    #[error("{}", escaped!("`{file}` {why}"))]
    #[non_exhaustive]
    Stale { file: String, why: &'static str },
    /// A file that is kept beside the migrations does not say what it should.
    #[error("{}", escaped!("`{}` is not {of}", path.display()))]
    #[non_exhaustive]
    Outdated { path: PathBuf, of: &'static str },
    /// A file that is kept beside the migrations cannot be read or written.
    #[error("{}", escaped!("cannot keep `{}`", path.display()))]
    #[non_exhaustive]
    Kept { path: PathBuf },
    /// The migrations could not be read.
    #[error("{}", escaped!("cannot read migrations from {}", path.display()))]
    #[non_exhaustive]
    Source { path: PathBuf },

    /// An applied migration is not what the program holds under that version.
    #[error("{}", escaped!("migration {file} is not what was applied to this database as version {version}"))]
    #[non_exhaustive]
    Modified { version: Version, file: String, recorded: String, found: String },
    /// The database has a migration that the program does not know, older than its newest.
    #[error("{}", escaped!(
        "cannot locate migration {version} ({name}), which is applied to this database \
         {}",
        by_app(app_version)
    ))]
    #[non_exhaustive]
    Missing { version: Version, name: String, app_version: Option<String> },
    /// An applied migration has another number now, because of the versions that came beside it.
    #[error("{}", escaped!(
        "{file} was applied to this database as version {applied}, and is version {version} now"
    ))]
    #[non_exhaustive]
    Renumbered { file: String, applied: Version, version: Version },
    /// A pending migration is older than one already applied.
    #[error("{}", escaped!("migration {file} is pending, but the database is already at version {latest}"))]
    #[non_exhaustive]
    Late { version: Version, file: String, latest: Version },
    /// The database was brought up by a newer program.
    #[error("{}", escaped!(
        "the database is at version {version} ({name}), made {}, and this program knows \
         only {known}",
        by_app(app_version)
    ))]
    #[non_exhaustive]
    Newer { version: Version, name: String, app_version: Option<String>, known: String },
    /// A table with the name of one of ours that is not ours.
    #[error("{}", escaped!("table `{table}` is not landfall's: {looks_like}"))]
    #[non_exhaustive]
    ForeignLedger { table: String, looks_like: String, adopt: Option<Adopt> },
    /// The ledger of another tool cannot be taken over as it is.
    #[error("{}", escaped!("the ledger of {tool}, `{ledger}`, cannot be taken over: {why}"))]
    #[non_exhaustive]
    Adoption { tool: &'static str, ledger: String, why: String },
    /// The migrations that another tool's ledger names do not make the schema that is there.
    #[error("{}", escaped!(
        "the ledger of {tool}, `{ledger}`, cannot be taken over: the schema is not what its \
         migrations make: {}",
        list(differences)
    ))]
    #[non_exhaustive]
    Unproved { tool: &'static str, ledger: String, differences: Vec<String> },
    /// The table that says what is applied is gone, and others of the ledger are there.
    #[error("{}", escaped!("the ledger has lost its table `{table}`, and what is applied cannot be told"))]
    #[non_exhaustive]
    LostLedger { table: String },
    /// A trigger keeps writes to one of the ledger's tables from taking effect, or undoes them.
    #[error(
        "{}",
        escaped!("{} the ledger's table `{table}` from taking effect", which_keep(triggers))
    )]
    #[non_exhaustive]
    NotWritten { table: String, triggers: Vec<String> },
    /// The ledger was written by a release of this library that is newer than this one.
    #[error("{}", escaped!("the ledger `{table}` has format {found}, and this program reads up to {known}"))]
    #[non_exhaustive]
    FutureFormat { table: String, found: String, known: i64 },
    /// The target is no version of the set, or none that is applied.
    #[error("{}", escaped!("there is no {what} version {version}"))]
    #[non_exhaustive]
    UnknownTarget { version: Version, what: &'static str },
    /// The database holds tables but no ledger, and the set starts from a baseline.
    #[error("{}", escaped!("the database holds tables of `{baseline}` but no ledger"))]
    #[non_exhaustive]
    NotEmpty { baseline: String },

    /// The connection is inside a transaction of the caller's.
    #[error("the connection is inside a transaction")]
    InTransaction,
    /// The database cannot be written, and something is to be written.
    #[error("{}", escaped!("{steps}, and {why}"))]
    #[non_exhaustive]
    ReadOnly { steps: String, why: &'static str },
    /// Another connection held the lock for longer than the migrator was told to wait.
    #[error("{}", escaped!("the database is locked by another connection; gave up after {} ms", waited.as_millis()))]
    #[non_exhaustive]
    Busy { waited: Duration },
    /// The application's [`Stop`](crate::Stop) has stopped the run there: a statement was
    /// interrupted, or the next step was not begun.
    #[error("{}", escaped!("stopped {at}"))]
    #[non_exhaustive]
    Stopped { at: String },
    /// A TEMP table or view hides one that the migrations are about.
    #[error("{}", escaped!("the TEMP {what} `{name}` hides the database's own `{name}` on this connection"))]
    #[non_exhaustive]
    Shadowed { what: String, name: String },

    /// A script begins or ends a transaction itself.
    #[error("{}", escaped!("migration {file} may not say `{statement}` at {position}"))]
    #[non_exhaustive]
    TransactionControl { file: String, position: Position, statement: String },
    /// A statement that SQLite runs only outside a transaction.
    #[error("{}", escaped!("migration {file} cannot run `{statement}` at {position} inside a transaction"))]
    #[non_exhaustive]
    NeedsNoTransaction { file: String, position: Position, statement: String },
    /// SQLite refused a statement.
    #[error("{}", escaped!("migration {file} failed at {position}"))]
    #[non_exhaustive]
    Statement { file: String, position: Position },
    /// A code migration returned an error.
    #[error("{}", escaped!("code migration {name} failed"))]
    #[non_exhaustive]
    Code { name: String },
    /// A migration or revert would lose data that is there, and nothing signs that off.
    #[error("{}", escaped!("{file} would {what}{}", at(position)))]
    #[non_exhaustive]
    DataLoss {
        file: String,
        position: Option<Position>,
        what: String,
        table: String,
        column: Option<String>,
        rows: u64,
    },
    /// The migrations leave rows that refer to nothing, or a key that names a missing table.
    #[error("{}", escaped!("foreign keys are broken by {by}: {}", list(broken)))]
    #[non_exhaustive]
    ForeignKeys { by: String, broken: Vec<String> },
    /// A verify script found rows that are wrong.
    #[error("{}", escaped!("verify script {file} found a wrong row at {position}: {row}"))]
    #[non_exhaustive]
    Verify { file: String, position: Position, row: String },
    /// A view or trigger that worked before does not work after.
    #[error("{}", escaped!("{by} breaks {object}: {why}"))]
    #[non_exhaustive]
    BrokenObject { by: String, object: String, why: String },
    /// A script needs what this SQLite does not have.
    #[error("{}", escaped!("migration {file} requires {what}, {found}"))]
    #[non_exhaustive]
    Requires { file: String, what: String, found: String },
    /// A migration cannot be taken back.
    #[error("{}", escaped!("migration {version} ({name}) cannot be reverted: {why}"))]
    #[non_exhaustive]
    Irreversible { version: Version, name: String, why: String },
    /// Not all that it changes can be recorded, so that it could not be undone.
    #[error("{}", escaped!("{what} cannot be recorded for undo: {why}"))]
    #[non_exhaustive]
    CannotRecord { what: String, why: String },
    /// The record of what it changed would be larger than allowed.
    #[error("{}", escaped!("the record of what {what} changes is larger than {limit} bytes"))]
    #[non_exhaustive]
    UndoTooLarge { what: String, limit: u64 },
    /// There is no record of what it changed, or it fits no longer, or it is damaged.
    #[error("{}", escaped!("{what} cannot be undone: {why}"))]
    #[non_exhaustive]
    CannotUndo { what: String, why: String },
    /// Undoing would overwrite rows that were changed after what is undone.
    #[error("{}", escaped!("undoing {what} would overwrite what was written since: {}", list(rows)))]
    #[non_exhaustive]
    ChangedSince { what: String, rows: Vec<String> },
    /// A migration that runs outside a transaction did not come to its end.
    #[error("{}", escaped!(
        "migration {version} ({name}), which runs outside a transaction, was interrupted: {progress}"
    ))]
    #[non_exhaustive]
    Interrupted { version: Version, name: String, progress: String },
    /// A migration that runs outside a transaction in this process was taken over by another one.
    #[error(
        "{}",
        escaped!(
            "migration {version} ({name}), which runs outside a transaction, was taken over by \
             another process"
        )
    )]
    #[non_exhaustive]
    TakenOver { version: Version, name: String },

    /// A seed failed.
    #[error("{}", escaped!("seed {name} failed"))]
    #[non_exhaustive]
    Seed { name: String },
    /// A backfill failed.
    #[error("{}", escaped!("backfill {name} {what}"))]
    #[non_exhaustive]
    Backfill { name: String, what: String, row: Option<String> },
    /// The file of a seed that has run was edited, and the registry refuses that.
    #[error("{}", escaped!("seed {file} is not what has run on this database as {name}"))]
    #[non_exhaustive]
    SeedModified { name: String, file: String, recorded: String, found: String },
    /// The registry of seeds is not sound.
    #[error("{}", escaped!("the seeds are not sound: {why}"))]
    #[non_exhaustive]
    BadSeed { why: String },
    /// A verb that goes on record was given no reason.
    #[error("{}", escaped!("{verb} goes on record and needs a reason"))]
    #[non_exhaustive]
    NoReason { verb: &'static str },
    /// The database is not at the newest version that this program knows.
    #[error("{}", escaped!("the database is not current: {pending}"))]
    #[non_exhaustive]
    NotCurrent { pending: String },
    /// Verifying a set of migrations has found something. [`Findings`] is all of it.
    #[error("{}", escaped!("{} in the migrations", findings.count()))]
    #[non_exhaustive]
    Unsound { findings: Findings },
    /// A file that is kept beside the migrations does not say what they are.
    #[error("{}", escaped!("`{}` {}", path.display(), list(faults)))]
    #[non_exhaustive]
    Locked { path: PathBuf, faults: Vec<String> },
    /// A test that was lent a database inside a transaction ended that.
    #[error("the test ended the transaction that its database was lent in")]
    SandboxLeft,
    /// A file that was to be made is there already, and not empty.
    #[error("{}", escaped!("`{}` is already there, and not empty", path.display()))]
    #[non_exhaustive]
    NotFresh { path: PathBuf },
    /// The schema is not what the migrations made.
    #[error("{}", escaped!("the schema is not what was applied to this database: {}", list_of(changes)))]
    #[non_exhaustive]
    Drift { changes: Vec<Change> },
    /// A backup could not be made, or not be restored.
    #[error("{}", escaped!("{doing} {} failed", named(path)))]
    #[non_exhaustive]
    Backup { path: PathBuf, doing: &'static str },
    /// SQLite says that the database file is damaged, or no database (`what`), which was met while
    /// `doing` something. `backup` is the newest one in the migrator's folder.
    #[error("{}", escaped!("the database file `{}` {what}: {doing}", path.display()))]
    #[non_exhaustive]
    Damaged { path: PathBuf, what: &'static str, doing: String, backup: Option<PathBuf> },
    /// Something else that SQLite refused.
    #[error("{}", escaped!("{doing} failed"))]
    #[non_exhaustive]
    Sqlite { doing: &'static str },
}

/// Whether SQLite refuses a statement for what the statement says: not because of an interrupt, a full
/// disk, a lack of memory or the like, which say nothing about the statement.
pub(crate) fn is_about_sql(error: &rusqlite::Error) -> bool {
    // The variant that tells a place has no code to ask for, and is always about the statement.
    matches!(error.sqlite_error_code(), None | Some(rusqlite::ErrorCode::Unknown))
}

/// A write to one of the ledger's tables that did not take effect, on its way through functions that
/// return SQLite's errors.
#[derive(Debug, thiserror::Error)]
#[error("a write to `{table}` did not take effect")]
pub(crate) struct NotWritten {
    pub(crate) table: String,
    pub(crate) triggers: Vec<String>,
}

/// The transaction that something belongs to is gone, on its way as above.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("SQLite rolled the transaction back")]
pub(crate) struct LostTransaction;

impl From<NotWritten> for rusqlite::Error {
    fn from(error: NotWritten) -> Self {
        rusqlite::Error::ToSqlConversionFailure(error.into())
    }
}

impl From<LostTransaction> for rusqlite::Error {
    fn from(error: LostTransaction) -> Self {
        rusqlite::Error::ToSqlConversionFailure(error.into())
    }
}

/// An error of ours that came through functions which return SQLite's.
fn carried<E: std::error::Error + 'static>(
    error: rusqlite::Error,
) -> std::result::Result<E, rusqlite::Error> {
    match error {
        rusqlite::Error::ToSqlConversionFailure(source) => match source.downcast::<E>() {
            Ok(found) => Ok(*found),
            Err(source) => Err(rusqlite::Error::ToSqlConversionFailure(source)),
        },
        error => Err(error),
    }
}

fn which_keep(triggers: &[String]) -> String {
    match triggers {
        [] => "something keeps writes to".to_owned(),
        [trigger] => format!("the trigger `{trigger}` keeps writes to"),
        _ => format!("one of the triggers {} keeps writes to", list(triggers)),
    }
}

/// A path, or the quotes around none.
fn named(path: &Path) -> String {
    if path.as_os_str().is_empty() { "\"\"".to_owned() } else { path.display().to_string() }
}

fn by_app(app_version: &Option<String>) -> String {
    match app_version {
        Some(version) => format!("by version {version} of the application"),
        None => "by a version of the application that gave no name".to_owned(),
    }
}

fn at(position: &Option<Position>) -> String {
    position.map(|position| format!(" at {position}")).unwrap_or_default()
}

/// The first few of many.
fn list(items: &[String]) -> String {
    let mut text = items.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
    if items.len() > 5 {
        let _ = write!(text, "; and {} more", items.len() - 5);
    }
    text
}

fn list_of(changes: &[Change]) -> String {
    list(&changes.iter().map(ToString::to_string).collect::<Vec<_>>())
}

impl From<ErrorKind> for Error {
    #[cold]
    fn from(kind: ErrorKind) -> Self {
        let advice = match &kind {
            // Its statements have lines.
            ErrorKind::Drift { .. } => kind.advice(),
            kind => kind.advice().map(|advice| escape::escaped(advice).to_string()),
        };
        Error(Box::new(Inner {
            kind,
            snippet: None,
            changed: Changed::Nothing,
            advice,
            source: None,
            report: None,
        }))
    }
}

impl Error {
    /// What kind of thing went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// What had been done, and stays done, before it went wrong; `None` if nothing was.
    ///
    /// ```
    /// use landfall::{Migrator, Seeds};
    ///
    /// let error = Migrator::from_dir("migrations-example")
    ///     .seeds(Seeds::new().ensure("typo", |tx| tx.execute("INSERT INTO contakt", []).map(drop)))
    ///     .open_in_memory()
    ///     .unwrap_err();
    /// assert_eq!(error.report().map(|report| report.applied.len()), Some(11));
    /// ```
    pub fn report(&self) -> Option<&Report> {
        self.0.report.as_ref()
    }

    /// What to do next, as `{:#}` prints it; `None` where nobody can say.
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// The file or, of a migration from code, the name that the error points into.
    pub fn file(&self) -> Option<&str> {
        self.0.snippet.as_ref().map(|snippet| snippet.file.as_str())
    }

    /// The place in that file.
    ///
    /// ```
    /// use landfall::{Migration, Migrator};
    ///
    /// let error = Migrator::from_migrations([Migration::sql(1, "typo", "CREATE TABL t(x)")])
    ///     .open_in_memory()
    ///     .unwrap_err();
    /// assert_eq!(error.file(), Some("1_typo"));
    /// assert_eq!(error.position().map(|place| (place.line, place.column)), Some((1, 8)));
    /// assert_eq!(error.advice(), Some("correct the statement and start again"));
    /// ```
    pub fn position(&self) -> Option<Position> {
        self.0.snippet.as_ref().map(|snippet| snippet.position)
    }

    pub(crate) fn sqlite(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
        move |error| Error::of_sqlite(doing, error)
    }

    #[cold]
    fn of_sqlite(doing: &'static str, error: rusqlite::Error) -> Error {
        let error = match carried::<NotWritten>(error) {
            Ok(NotWritten { table, triggers }) => {
                return ErrorKind::NotWritten { table, triggers }.into();
            }
            Err(error) => error,
        };
        let error = match carried::<LostTransaction>(error) {
            Ok(lost) => return Error::from(ErrorKind::Sqlite { doing }).because(lost),
            Err(error) => error,
        };
        let told = Error::from(ErrorKind::Sqlite { doing });
        let told = match error {
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => told.advise(
                "a value is there that cannot have been written so: execute `PRAGMA \
                 integrity_check`, and `restore` a backup if the file is damaged",
            ),
            _ => told,
        };
        told.because(error)
    }

    pub(crate) fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn at(self, script: &Script, position: Position) -> Self {
        self.in_line(&script.file, position, script.line(position))
    }

    pub(crate) fn in_line(mut self, file: &str, position: Position, line: &str) -> Self {
        self.0.snippet = Some(Snippet { file: file.to_owned(), position, line: line.to_owned() });
        self
    }

    pub(crate) fn advise(mut self, advice: impl fmt::Display) -> Self {
        self.0.advice = Some(escape::escaped(advice).to_string());
        self
    }

    pub(crate) fn changed(mut self, what: impl Into<String>) -> Self {
        self.0.changed = Changed::Told(what.into());
        self
    }

    /// Adds to what is told of the database's state.
    pub(crate) fn also(self, what: &str) -> Self {
        match &self.0.changed {
            Changed::Nothing => self.changed(what),
            Changed::Unknown => self,
            Changed::Told(told) => {
                let told = format!("{told}; {what}");
                self.changed(told)
            }
        }
    }

    /// A commit failed, and so did the question whether it is stored.
    pub(crate) fn not_known(mut self) -> Self {
        self.0.changed = Changed::Unknown;
        self.advise(
            "see the cause below; then start again with a new connection, which goes by what is \
             stored",
        )
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.0.changed == Changed::Unknown
    }

    /// Says of a lock how long was waited for it in all.
    pub(crate) fn after_waiting(mut self, all: Duration) -> Self {
        if let ErrorKind::Busy { waited } = &mut self.0.kind {
            *waited = all;
        }
        self
    }

    /// It happened in a database in memory, which is gone.
    pub(crate) fn in_memory(mut self) -> Self {
        self.0.report = None;
        self.changed("that was in memory, to see what the migrations make; nothing was changed")
    }

    /// What earlier transactions of the same run did stays done, and is told.
    pub(crate) fn after(mut self, report: Report) -> Self {
        let backed_up = report.backup.as_ref().is_some_and(|backup| backup.path().is_some());
        if report.is_noop() && backed_up {
            self.0.report = Some(report);
        } else if !report.is_noop() {
            let gist = report.gist();
            self.0.changed = match self.0.changed {
                Changed::Nothing => Changed::Told(format!(
                    "what came before stays ({gist}), nothing else was changed"
                )),
                Changed::Unknown => {
                    Changed::Told(format!("what came before stays ({gist}), {UNKNOWN}"))
                }
                Changed::Told(told) if matches!(self.0.kind, ErrorKind::Stopped { .. }) => {
                    Changed::Told(format!("{told}; what came before stays ({gist})"))
                }
                told => told,
            };
            self.0.report = Some(report);
        }
        self
    }

    /// What follows from an interrupt of ours is told as that, with what this error says of the state
    /// of the database.
    pub(crate) fn stopped(mut self, at: String) -> Self {
        if !matches!(self.0.kind, ErrorKind::Stopped { .. }) {
            self.0.kind = ErrorKind::Stopped { at };
            self.0.advice = self.0.kind.advice();
            self.0.snippet = None;
            if self.0.changed == Changed::Nothing {
                return self.rolled_back();
            }
        }
        self
    }

    pub(crate) fn rolled_back(self) -> Self {
        self.changed("its transaction was rolled back and nothing of it stays")
    }

    /// Another kind of error, of the same cause.
    pub(crate) fn into_kind(mut self, kind: ErrorKind) -> Self {
        (self.0.kind, self.0.snippet) = (kind, None);
        self
    }

    /// The cause as text alone: its codes are about another file.
    pub(crate) fn without_codes(mut self) -> Self {
        let text = self.0.source.take().map(|source| source.to_string());
        self.because(text.unwrap_or_default())
    }

    /// What of the database is damaged, where that is the cause. A backup's damage is another file's.
    pub(crate) fn damage(&self) -> Option<Damage> {
        if matches!(
            self.0.kind,
            ErrorKind::Backup { doing: RESTORING, .. } | ErrorKind::Damaged { .. }
        ) {
            return None;
        }
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            if let Some(damage) = error.downcast_ref().and_then(Damage::of) {
                return Some(damage);
            }
            if error.is::<image::Damaged>() {
                return Some(Damage::File);
            }
            cause = error.source();
        }
        None
    }

    /// Whether SQLite said that another connection is in the way.
    pub(crate) fn is_busy(&self) -> bool {
        self.cause().is_some_and(is_busy)
    }

    /// Why, as a text.
    pub(crate) fn why(&self) -> String {
        self.0.source.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// Whether SQLite failed in a way that leaves open whether a statement that commits by itself is
    /// stored: it was interrupted, or the system refused to read or write.
    pub(crate) fn is_ambiguous(&self) -> bool {
        let code = self.cause().and_then(rusqlite::Error::sqlite_error_code);
        self.is_interrupt() || code == Some(rusqlite::ErrorCode::SystemIoFailure)
    }

    /// Whether somebody interrupted SQLite at its work.
    pub(crate) fn is_interrupt(&self) -> bool {
        let code = self.cause().and_then(rusqlite::Error::sqlite_error_code);
        code == Some(rusqlite::ErrorCode::OperationInterrupted)
    }

    /// Whether SQLite failed for a reason that is not in a statement's text.
    pub(crate) fn is_fault(&self) -> bool {
        self.cause().is_some_and(|error| !is_about_sql(error))
    }

    pub(crate) fn is_foreign_ledger(&self) -> bool {
        matches!(self.0.kind, ErrorKind::ForeignLedger { .. })
    }

    fn cause(&self) -> Option<&rusqlite::Error> {
        self.0.source.as_ref()?.downcast_ref()
    }

    fn one_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", escape::escaped(&self.0.kind))?;
        match &self.0.changed {
            Changed::Nothing => f.write_str("; nothing was changed"),
            Changed::Unknown => write!(f, "; {UNKNOWN}"),
            Changed::Told(what) => write!(f, "; {}", escape::escaped(what)),
        }
    }

    fn long(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.one_line(f)?;
        if let Some(Snippet { file, position, line }) = &self.0.snippet {
            let number = position.line.to_string();
            let margin = " ".repeat(number.len());
            // As wide as it is shown.
            let before: String = line.chars().take(position.column - 1).collect();
            let before = escaped_sql(before).to_string();
            let indent: String =
                before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let (file, line) = (escape::escaped(file), escaped_sql(line));
            write!(f, "\n{margin}--> {file}:{}:{}", position.line, position.column)?;
            write!(f, "\n{margin} |\n{number} | {line}\n{margin} | {indent}^")?;
        }
        match &self.0.advice {
            Some(advice) => write!(f, "\nwhat to do: {advice}"),
            None => Ok(()),
        }
    }
}

/// Whether another connection is in the way, be it another process or another connection to the
/// same shared cache. Where a transaction that has read cannot write any more, waiting is of no use:
/// <https://sqlite.org/rescode.html#busy_snapshot>.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    let snapshot = error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_BUSY_SNAPSHOT);
    !snapshot && matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { self.long(f) } else { self.one_line(f) }
    }
}

/// A cause. Where the text of another's error has lines, they are indented, so that none of them passes
/// for one of ours.
fn cause_in_lines(
    cause: &(dyn std::error::Error + 'static),
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    if cause.is::<rusqlite::Error>() {
        return write!(f, "{}", escape::escaped(cause));
    }
    let text = escaped_lines(cause).to_string();
    match cause.is::<Findings>() || cause.is::<Difference>() {
        true => f.write_str(&text),
        false => f.write_str(&text.replace('\n', "\n    ")),
    }
}

/// How a file differs from what it should say, in lines.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Difference(pub(crate) String);

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.long(f)?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            // What rusqlite has as its own cause is the code of the message before it.
            if !error.is::<rusqlite::ffi::Error>() {
                f.write_str("\ncaused by: ")?;
                cause_in_lines(error, f)?;
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| {
            let source: &(dyn std::error::Error + 'static) = source.as_ref();
            source
        })
    }
}

#[cfg(test)]
mod tests {
    /// A sentence that takes a value into it has to go through `escaped!`.
    #[test]
    fn every_sentence_with_a_value_is_escaped() {
        let kinds =
            include_str!("error.rs").split_once("pub enum ErrorKind {").map(|(_, kinds)| kinds);
        let kinds = kinds.and_then(|kinds| kinds.split_once("\n}\n")).map(|(kinds, _)| kinds);
        let sentences: Vec<&str> = kinds.unwrap_or_default().split("#[error(").skip(1).collect();
        assert!(sentences.len() > 40);
        for sentence in sentences {
            let said = sentence.split(")]").next().unwrap_or_default();
            let is_escaped = said.trim_start().trim_start_matches("\"{}\",").trim_start();
            assert!(!said.contains('{') || is_escaped.starts_with("escaped!("), "{said}");
        }
    }
}
