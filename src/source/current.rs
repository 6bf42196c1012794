//! Whether what was compiled in is what the folder on disk holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Source;
use crate::error::{ErrorKind, Result};
use crate::path;

/// How deep below a package its migrations' folder may be.
const DEPTH: usize = 4;

impl Source {
    /// Refuses a folder that does not hold these files, byte by byte, or others too.
    pub(crate) fn refuse_stale(&self, folder: &Path) -> Result<()> {
        let embedded = self.by_path()?;
        let on_disk = self.in_folder(folder.to_owned()).by_path()?;
        let paths = embedded.keys().chain(on_disk.keys());
        for path in paths {
            let why = match (embedded.get(path), on_disk.get(path)) {
                (Some(a), Some(b)) if a == b => continue,
                (Some(_), Some(_)) => "is not what the program was compiled with",
                (Some(_), None) => "is compiled into the program, and no longer in the folder",
                (None, _) => "is in the folder, and not compiled into the program",
            };
            return Err(ErrorKind::Stale { file: path.clone(), why }.into());
        }
        Ok(())
    }

    fn by_path(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let files = self.deciding_files()?.into_iter();
        Ok(files.map(|file| (file.path.replace('\\', "/"), file.bytes.into_owned())).collect())
    }

    /// The folder below a package that holds most of these files as they are, and at least half of
    /// them. None where that is not one folder alone.
    pub(crate) fn likely_folder(&self, package: &Path) -> Result<Option<PathBuf>> {
        let files = self.by_path()?;
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
}

fn search(
    folder: &Path,
    depth: usize,
    files: &BTreeMap<String, Vec<u8>>,
    found: &mut Vec<(usize, PathBuf)>,
) {
    let is_there = |path: &String| folder.join(path).exists();
    // Where half of them are, one of any few more than half is.
    if files.keys().take(files.len() / 2 + 1).any(is_there) {
        let is_same = |(path, bytes): &(&String, &Vec<u8>)| {
            path::read(&folder.join(path)).is_ok_and(|there| there == **bytes)
        };
        let same = files.iter().filter(is_same).count();
        if same > 0 {
            found.push((same, folder.to_owned()));
        }
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && depth > 0 && name != "target" && !name.starts_with('.') {
            search(&entry.path(), depth - 1, files, found);
        }
    }
}
