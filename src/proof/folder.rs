//! The folder that a set was compiled from, if it is given or can be found.

use std::path::PathBuf;

use super::Terms;
use super::told::found;
use crate::error::{ErrorKind, Result};
use crate::finding::{Check, Finding};

pub(super) fn compare(terms: &Terms<'_>) -> Result<Option<Finding>> {
    let source = terms.migrator.source();
    let folder = match &terms.folder {
        Some(folder) => folder.clone(),
        None if !source.is_embedded() => return Ok(None),
        None => match package().map(|package| source.likely_folder(&package)).transpose()? {
            Some(Some(folder)) => folder,
            _ => return Ok(None),
        },
    };
    let Err(error) = source.refuse_stale(&folder) else { return Ok(None) };
    let (code, file, what) = match error.kind() {
        ErrorKind::Stale { file, why } => ("stale", Some(file.as_str()), format!("it {why}")),
        kind => ("folder-unreadable", None, kind.to_string()),
    };
    let what = format!("{what} ({})", folder.display());
    Ok(Some(found(Check::Set, code, file, what, error.advice().unwrap_or_default())))
}

/// Cargo says to its tests where the package is.
fn package() -> Option<PathBuf> {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from)
}
