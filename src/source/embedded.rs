//! Files compiled into the program.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use include_dir::{Dir, DirEntry};

use super::{File, naming};
use crate::fingerprint::Fingerprint;

/// Every file below `dir`, by its path from there.
pub(crate) fn files(dir: &Dir<'static>) -> Vec<File> {
    let mut found = Vec::new();
    collect(dir, dir, &mut found);
    found
}

fn collect(root: &Dir<'static>, dir: &Dir<'static>, found: &mut Vec<File>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => {
                let path = below(root, dir.path());
                if naming::counts(&path) {
                    found.push(File { path, bytes: Cow::default(), odd: Some("a folder") });
                }
                collect(root, dir, found);
            }
            DirEntry::File(file) => {
                let path = below(root, file.path());
                found.push(File { path, bytes: Cow::Borrowed(file.contents()), odd: None });
            }
        }
    }
}

fn below(root: &Dir<'static>, path: &'static Path) -> Cow<'static, str> {
    // The folder that was compiled in as a whole has no path.
    let is_below = !root.path().as_os_str().is_empty();
    let below = if is_below { path.strip_prefix(root.path()).ok() } else { None };
    below.unwrap_or(path).to_string_lossy()
}

/// Feeds a number to the hasher that stands for every byte. It is made once for each folder that is
/// compiled in: what is `'static` stays what it is, and where it is.
pub(crate) fn hash(dir: &Dir<'static>, hasher: &mut impl Hasher) {
    type Hashed = BTreeMap<(usize, usize), u64>;
    static HASHED: Mutex<Hashed> = Mutex::new(Hashed::new());
    let entries = dir.entries();
    let place = (entries.as_ptr().addr(), entries.len());
    let mut hashed = HASHED.lock().unwrap_or_else(PoisonError::into_inner);
    let hash = hashed.entry(place).or_insert_with(|| {
        let mut hasher = Fingerprint::new();
        hash_bytes(dir, &mut hasher);
        hasher.finish()
    });
    hash.hash(hasher);
}

/// Parses and allocates nothing.
fn hash_bytes(dir: &Dir<'_>, hasher: &mut impl Hasher) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => hash_bytes(dir, hasher),
            DirEntry::File(file) => {
                file.path().as_os_str().hash(hasher);
                file.contents().hash(hasher);
            }
        }
    }
}
