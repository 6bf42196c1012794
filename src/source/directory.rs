//! Files read from a folder at run time.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::File;
use crate::error::{Error, ErrorKind, Result};

/// Every `.sql` file below `root`, by its path from there, in a fixed order.
pub(crate) fn files(root: &Path) -> Result<Vec<File>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        let cannot = |error: io::Error| {
            Error::from(ErrorKind::Source { path: folder.clone() }).because(error)
        };
        for entry in fs::read_dir(&folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            if path.is_dir() {
                open.push(path);
            } else if is_sql(&path) {
                found.push(read(root, path)?);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// By the end of its name, as for embedded files: a bare `.sql` has no extension to `Path`.
fn is_sql(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.to_ascii_lowercase().ends_with(".sql")
}

fn read(root: &Path, path: PathBuf) -> Result<File> {
    let bytes = fs::read(&path)
        .map_err(|error| Error::from(ErrorKind::Source { path: path.clone() }).because(error))?;
    let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
    Ok(File { path: name, bytes: Cow::Owned(bytes) })
}
