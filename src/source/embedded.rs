//! Files compiled into the program.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use include_dir::{Dir, DirEntry};

use super::File;

/// Every file below `dir`, by its path from there.
pub(crate) fn files(dir: &Dir<'static>) -> Vec<File> {
    let mut found = Vec::new();
    collect(dir, dir, &mut found);
    found
}

fn collect(root: &Dir<'static>, dir: &Dir<'static>, found: &mut Vec<File>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => collect(root, dir, found),
            DirEntry::File(file) => {
                let path = file.path().strip_prefix(root.path()).unwrap_or(file.path());
                found.push(File {
                    path: path.to_string_lossy().into_owned(),
                    bytes: Cow::Borrowed(file.contents()),
                });
            }
        }
    }
}

/// Feeds every byte to the hasher, parsing and allocating nothing.
pub(crate) fn hash(dir: &Dir<'_>, hasher: &mut impl Hasher) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => hash(dir, hasher),
            DirEntry::File(file) => {
                file.path().as_os_str().hash(hasher);
                file.contents().hash(hasher);
            }
        }
    }
}
