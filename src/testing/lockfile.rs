//! A list of all migrations, kept in a file that goes into version control with them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::kept::keep_unless;
use crate::error::{Error, ErrorKind, Result};
use crate::migrator::Migrator;
use crate::source::Entry;

/// Reads no database: compares the migrations with a file that lists each one's version, checksum
/// and name, and that goes into version control with them. For an application's tests.
///
/// An applied migration that is edited, deleted or renamed fails the test before any database
/// notices. And since new lines come last, two branches that each add a migration conflict when they
/// are merged, so that somebody decides which comes first.
///
/// With `UPDATE_LOCK=1` in the environment the file is written anew instead. That is how it is made,
/// and how a new migration gets into it:
///
/// ```text
/// UPDATE_LOCK=1 cargo test
/// ```
///
/// A relative path starts from the current directory, which in tests is that of the package's
/// `Cargo.toml`. White space, comments and line ends of the migrations do not count, as in the
/// ledger; CRLF in the file itself does not either.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("migrations.lock");
/// # let migrator = landfall::Migrator::from_dir("migrations-example");
/// let error = landfall::testing::lockfile(&migrator, &path).unwrap_err();
/// assert_eq!(
///     error.advice(),
///     Some("run the test once with UPDATE_LOCK=1 in the environment, and commit the file")
/// );
/// # Ok::<(), landfall::Error>(())
/// # .map_err(Box::<dyn std::error::Error>::from)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Locked`] with everything in which file and migrations differ;
/// [`ErrorKind::Kept`] where the file cannot be read or written. Only with `UPDATE_LOCK=1` is
/// anything written.
pub fn lockfile(migrator: &Migrator, path: impl AsRef<Path>) -> Result<()> {
    let (set, path) = (migrator.load()?, path.as_ref());
    let listed = |entry: &Entry| {
        let (checksum, name) = (entry.checksum().to_owned(), entry.name.clone());
        (entry.version.get(), Line { checksum, name })
    };
    let migrations: BTreeMap<i64, Line> = set.migrations.iter().map(listed).collect();
    keep_unless(path, &written(&migrations), |found| {
        let (faults, advice) = match found {
            None => (vec!["is not there".to_owned()], ADD),
            Some(text) => compare(text, &migrations),
        };
        (!faults.is_empty()).then(|| {
            let kind = ErrorKind::Locked { path: path.to_owned(), faults };
            Error::from(kind).changed("no file was written").advise(advice)
        })
    })
}

/// A migration as the file lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    checksum: String,
    name: String,
}

const ADD: &str = "run the test once with UPDATE_LOCK=1 in the environment, and commit the file";
const RESTORE: &str = "restore the migration as it was, and put the change into a new one; or, if \
                       no database has it yet, run the test once with UPDATE_LOCK=1 in the \
                       environment, and commit the file";
const SETTLE: &str = "give one of the migrations that were merged the next number if they have the \
                      same, then run the test once with UPDATE_LOCK=1 in the environment, and \
                      commit the file";

const HEAD: &str = "\
# Every migration: version, checksum, name. Two branches that add one each conflict here.
# Written by `UPDATE_LOCK=1 cargo test`; not to be edited by hand.
";

fn written(migrations: &BTreeMap<i64, Line>) -> String {
    let mut text = HEAD.to_owned();
    for (version, Line { checksum, name }) in migrations {
        let _ = writeln!(text, "{version} {checksum} {name}");
    }
    text
}

/// How a file differs from the migrations, and what to do.
fn compare(text: &str, migrations: &BTreeMap<i64, Line>) -> (Vec<String>, &'static str) {
    let (mut faults, mut listed) = (Vec::new(), BTreeMap::new());
    let mut advice = ADD;
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (line, at) = (line.trim(), at + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((version, of)) = read(line) else {
            faults.push(format!("is not understood at line {at}: {line}"));
            advice = SETTLE;
            continue;
        };
        if listed.insert(version, at).is_some() {
            faults.push(format!("has version {version} twice, at line {at} again"));
            advice = SETTLE;
            continue;
        }
        let Line { checksum, name } = &of;
        match migrations.get(&version) {
            None => {
                faults
                    .push(format!("has migration {version} ({name}) at line {at}, which is gone"));
            }
            Some(now) if now.checksum != *checksum => faults.push(format!(
                "has migration {version} ({name}) at line {at}, which was edited: it was \
                 {checksum}, and is {}",
                now.checksum
            )),
            Some(now) if now.name != *name => faults.push(format!(
                "has migration {version} ({name}) at line {at}, which is called {} now",
                now.name
            )),
            Some(_) => continue,
        }
        if advice == ADD {
            advice = RESTORE;
        }
    }
    let new = migrations.iter().filter(|(version, _)| !listed.contains_key(version));
    faults.extend(
        new.map(|(version, line)| format!("does not have migration {version} ({})", line.name)),
    );
    (faults, advice)
}

/// `version checksum name`.
fn read(line: &str) -> Option<(i64, Line)> {
    let (version, rest) = line.split_once(' ')?;
    let (checksum, name) = rest.trim_start().split_once(' ')?;
    let is_checksum = checksum.starts_with("sha256:") || checksum.starts_with("code:");
    let line = Line { checksum: checksum.to_owned(), name: name.trim().to_owned() };
    Some((version.parse().ok().filter(|_| is_checksum)?, line))
}
