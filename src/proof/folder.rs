//! The folder that a set was compiled from, if it can be found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Terms;
use super::told::found;
use crate::error::{ErrorKind, Result};
use crate::finding::{Check, Finding};
use crate::source::Source;
use crate::testing::embedded_is_current;

/// How deep below the package the folder may be.
const DEPTH: usize = 4;

pub(super) fn compare(terms: &Terms<'_>) -> Result<Option<Finding>> {
    let source = terms.migrator.source();
    let folder = match &terms.folder {
        Some(folder) => folder.clone(),
        None if !source.is_embedded() => return Ok(None),
        None => match package().map(|package| likely(source, &package)) {
            Some(Ok(Some(folder))) => folder,
            _ => return Ok(None),
        },
    };
    let Err(error) = embedded_is_current(terms.migrator, &folder) else { return Ok(None) };
    let (code, file, what) = match error.kind() {
        ErrorKind::Stale { file, why } => ("stale", Some(file.as_str()), format!("it {why}")),
        kind => ("folder-unreadable", None, kind.to_string()),
    };
    let advice = error.advice().unwrap_or_default();
    let what = format!("{what} ({})", folder.display());
    Ok(Some(found(Check::Set, code, file, what, advice)))
}

/// Cargo says to its tests where the package is.
fn package() -> Option<PathBuf> {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from)
}

/// The folder below the package that holds most of these files as they are, and at least half of
/// them, if there is only one.
fn likely(source: &Source, package: &Path) -> Result<Option<PathBuf>> {
    let files: BTreeMap<String, Vec<u8>> = source
        .files()?
        .into_iter()
        .map(|file| (file.path.replace('\\', "/"), file.bytes.into_owned()))
        .filter(|(path, _)| path.to_ascii_lowercase().ends_with(".sql") && !path.contains('/'))
        .collect();
    let mut found: Vec<(usize, PathBuf)> = Vec::new();
    search(package, DEPTH, &files, &mut found);
    let most = found.iter().map(|(count, _)| *count).max().unwrap_or(0);
    found.retain(|(count, _)| *count == most);
    let is_enough = most * 2 >= files.len() && most > 0;
    Ok(match found.pop() {
        Some((_, folder)) if is_enough && found.is_empty() => Some(folder),
        _ => None,
    })
}

fn search(
    folder: &Path,
    depth: usize,
    files: &BTreeMap<String, Vec<u8>>,
    found: &mut Vec<(usize, PathBuf)>,
) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut same = 0;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if let Some(bytes) = files.get(&name) {
            same += usize::from(std::fs::read(entry.path()).is_ok_and(|there| there == *bytes));
        } else if is_folder && depth > 0 && name != "target" && !name.starts_with('.') {
            search(&entry.path(), depth - 1, files, found);
        }
    }
    if same > 0 {
        found.push((same, folder.to_owned()));
    }
}
