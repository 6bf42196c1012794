//! Files read from a folder at run time.

use std::borrow::Cow;
use std::path::Path;
use std::{fs, io};

use super::{File, naming};
use crate::error::{Error, ErrorKind, Result};
use crate::path::{self, blocks};

/// Every file below `root` that decides what the set is, by its path from there, in a fixed order.
/// Links are followed, but not into a folder that they stand in.
pub(crate) fn files(root: &Path) -> Result<Vec<File>> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), Vec::new())];
    while let Some((folder, mut above)) = open.pop() {
        let cannot = |error: io::Error| {
            Error::from(ErrorKind::Source { path: folder.clone() }).because(error)
        };
        let real = fs::canonicalize(&folder).map_err(cannot)?;
        if above.contains(&real) {
            continue;
        }
        above.push(real);
        for entry in fs::read_dir(&folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let kind = fs::metadata(&path).map(|found| found.file_type());
            let odd = match &kind {
                Ok(kind) if kind.is_dir() => Some("a folder"),
                Ok(kind) => blocks(*kind),
                // Reading it says why.
                Err(_) => None,
            };
            match odd {
                _ if !naming::counts(&name) => {}
                Some(_) => found.push(File { path: name.into(), bytes: Cow::default(), odd }),
                None => found.push(read(name, &path)?),
            }
            if kind.is_ok_and(|kind| kind.is_dir()) {
                open.push((path, above.clone()));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn read(name: String, path: &Path) -> Result<File> {
    let bytes = path::read(path)
        .map_err(|error| Error::from(ErrorKind::Source { path: path.to_owned() }).because(error))?;
    Ok(File { path: name.into(), bytes: Cow::Owned(bytes), odd: None })
}
