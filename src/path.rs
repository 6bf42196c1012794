//! Files by their paths. A path is taken literally: it names a file, whatever SQLite or a URI would
//! read into it.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::fs::{self, FileType, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::backup::remove;
use crate::migration::BoxError;

/// Opens a database by its path: every database file that this library opens.
///
/// To SQLite a name that begins with `file:` may be a URI, and the empty one and `:memory:` are
/// databases without a file: <https://sqlite.org/c3ref/open.html>. URIs can be on for the whole
/// process, so that leaving `SQLITE_OPEN_URI` out of the flags is not enough.
pub(crate) fn open(path: &Path, flags: OpenFlags) -> Result<Connection, BoxError> {
    refuse_no_file(path)?;
    if let Some(what) = fs::metadata(path).ok().and_then(|found| blocks(found.file_type())) {
        return Err(format!("it is {what}, not a file").into());
    }
    Ok(Connection::open_with_flags(literal(path), flags)?)
}

pub(crate) fn refuse_no_file(path: &Path) -> Result<(), BoxError> {
    match stands_for_no_file(path) {
        true => Err(format!("\"{}\" stands for no file", path.display()).into()),
        false => Ok(()),
    }
}

/// Whether SQLite takes this for a database in memory, or a temporary one.
pub(crate) fn stands_for_no_file(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.as_os_str() == ":memory:"
}

fn literal(path: &Path) -> Cow<'_, Path> {
    match path.as_os_str().as_encoded_bytes().starts_with(b"file:") {
        true => Cow::Owned(Path::new(".").join(path)),
        false => Cow::Borrowed(path),
    }
}

/// What it is, if neither a file nor a folder: opening or reading such a thing can take for ever.
#[cfg(unix)]
pub(crate) fn blocks(kind: FileType) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt as _;
    let kinds = [
        (kind.is_fifo(), "a FIFO"),
        (kind.is_socket(), "a socket"),
        (kind.is_block_device() || kind.is_char_device(), "a device"),
    ];
    kinds.into_iter().find_map(|(is, what)| is.then_some(what))
}

#[cfg(not(unix))]
pub(crate) fn blocks(_kind: FileType) -> Option<&'static str> {
    None
}

/// What the file holds. It is refused where reading could take for ever.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    match blocks(fs::metadata(path)?.file_type()) {
        Some(what) => Err(io::Error::other(format!("it is {what}, not a file"))),
        None => fs::read(path),
    }
}

/// A file beside another one, under a name that nothing else has, to be given that one's name when
/// it is finished. It goes when dropped. Several threads and processes can have one each, whatever
/// their process ids are. What a killed process leaves is for [`clear`](Partial::clear).
pub(crate) struct Partial {
    path: PathBuf,
}

impl Partial {
    /// Makes it, empty. `kind` is the end of its name.
    pub(crate) fn create(target: &Path, kind: &str) -> io::Result<Partial> {
        loop {
            let mut name = head(target);
            name.push(format!("{:016x}.{kind}", RandomState::new().build_hasher().finish()));
            let path = target.with_file_name(name);
            match new_file().open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|_| Partial { path }),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes all that are there for this target, those of other processes too. That is safe where
    /// the target is there and none of them may replace it.
    pub(crate) fn clear(target: &Path, kind: &str) {
        let head = head(target);
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let rest = name.as_encoded_bytes().strip_prefix(head.as_encoded_bytes());
            let rest = rest.and_then(|rest| rest.split_at_checked(16));
            if let Some((number, rest)) = rest
                && number.iter().all(u8::is_ascii_hexdigit)
                && rest.strip_prefix(b".") == Some(kind.as_bytes())
            {
                let _ = remove(&target.with_file_name(name));
            }
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = remove(&self.path);
    }
}

fn head(target: &Path) -> std::ffi::OsString {
    let mut head = OsStr::new(".").to_owned();
    head.push(target.file_name().unwrap_or_default());
    head.push(".");
    head
}

/// A file that must not be there yet, with the permissions that SQLite gives a database.
fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    options
}
