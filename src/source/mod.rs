//! Where migrations come from: files compiled in, a folder, code. Never sees a database.

mod current;
mod directory;
pub(crate) mod embedded;
mod glob;
pub(crate) mod layout;
mod metadata;
pub(crate) mod naming;
mod part;
pub(crate) mod placement;
mod recognise;
pub(crate) mod set;
mod shelf;
pub(crate) mod text;

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use include_dir::Dir;

use crate::error::{Error, ErrorKind, Result};
use crate::migration::{Identity, Migration, Up};
use crate::sql::template::Variables;
pub use layout::Layout;
pub(crate) use set::{Entry, Set, Task};

/// A file of a set, not yet looked into.
pub(crate) struct File {
    /// From the set's folder.
    pub(crate) path: Cow<'static, str>,
    pub(crate) bytes: Cow<'static, [u8]>,
    /// What it is, if it is no file; it has not been opened then.
    pub(crate) odd: Option<&'static str>,
}

/// Refuses what is named like a file and is none. A migration's own folder may have such a name.
pub(crate) fn refuse_odd(files: &[File]) -> Result<()> {
    let is_own = |odd: &File| {
        files.iter().filter(|file| file.odd.is_none()).any(|file| {
            let below = file.path.strip_prefix(&*odd.path).unwrap_or_default().to_ascii_lowercase();
            matches!(below.get(1..), Some("up.sql" | "migration.sql"))
        })
    };
    for file in files {
        if let Some(what) = file.odd.filter(|_| !is_own(file)) {
            let path = &file.path;
            let why = format!("it is {what}, not a file");
            let kind = ErrorKind::BadName { file: path.to_string(), why };
            return Err(Error::from(kind).advise(format!(
                "move it out of the folder, or pass over it with `.ignore(\"{}\")`",
                path.replace('\\', "/")
            )));
        }
    }
    Ok(())
}

/// How files are to be read.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Told {
    /// `None`: as they are recognised.
    pub(crate) layout: Option<Layout>,
    /// Patterns of those that are passed over.
    pub(crate) ignored: Vec<String>,
    /// What placeholders stand for.
    pub(crate) variables: Variables,
}

impl Told {
    pub(crate) fn ignores(&self, path: &str) -> bool {
        let path = naming::slashes(path);
        self.ignored.iter().any(|pattern| glob::matches(pattern, &path))
    }
}

/// Where a set comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    base: Base,
    told: Told,
    added: Vec<Migration>,
    /// The set, once read. A folder is read anew each time.
    loaded: Arc<OnceLock<Arc<Set>>>,
}

#[derive(Clone, Debug)]
enum Base {
    Embedded(Dir<'static>),
    Directory(PathBuf),
    Code,
    /// A set that was read before, and perhaps changed since.
    Read(Arc<Set>),
}

impl Source {
    pub(crate) fn embedded(dir: Dir<'static>) -> Self {
        Self::new(Base::Embedded(dir))
    }

    pub(crate) fn directory(path: PathBuf) -> Self {
        Self::new(Base::Directory(path))
    }

    pub(crate) fn code() -> Self {
        Self::new(Base::Code)
    }

    pub(crate) fn read(set: Arc<Set>) -> Self {
        let source = Self::new(Base::Read(Arc::clone(&set)));
        let _ = source.loaded.set(set);
        source
    }

    /// The folder compiled into the program, if that is where the set comes from.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.base, Base::Embedded(_))
    }

    fn new(base: Base) -> Self {
        Source { base, told: Told::default(), added: Vec::new(), loaded: Arc::default() }
    }

    pub(crate) fn add(&mut self, migration: Migration) {
        self.added.push(migration);
        self.loaded = Arc::default();
    }

    /// What it is told of its files.
    pub(crate) fn tell(&mut self) -> &mut Told {
        self.loaded = Arc::default();
        &mut self.told
    }

    /// The set, read and found sound.
    pub(crate) fn load(&self) -> Result<Arc<Set>> {
        if let Some(set) = self.loaded.get() {
            return Ok(Arc::clone(set));
        }
        let set = Arc::new(Set::read(self.files()?, &self.told, &self.added)?);
        if !matches!(self.base, Base::Directory(_)) {
            // Should another thread have been faster, its set is the same.
            let _ = self.loaded.set(Arc::clone(&set));
        }
        Ok(set)
    }

    /// The same set, but for the folder that its files are read from.
    pub(crate) fn in_folder(&self, path: PathBuf) -> Self {
        Source { base: Base::Directory(path), loaded: Arc::default(), ..self.clone() }
    }

    /// The files that decide what the set is, as they are.
    pub(crate) fn deciding_files(&self) -> Result<Vec<File>> {
        let mut files = self.files()?;
        files.retain(|file| naming::counts(&file.path) && !self.told.ignores(&file.path));
        Ok(files)
    }

    /// Every file that is there, for those who compare one folder with another.
    pub(crate) fn files(&self) -> Result<Vec<File>> {
        match &self.base {
            Base::Embedded(dir) => Ok(embedded::files(dir)),
            Base::Directory(path) => directory::files(path),
            Base::Code | Base::Read(_) => Ok(Vec::new()),
        }
    }

    /// Feeds everything that tells this set from another to the hasher, without reading it.
    pub(crate) fn hash(&self, hasher: &mut impl Hasher) -> Result<()> {
        self.told.hash(hasher);
        match &self.base {
            Base::Embedded(dir) => embedded::hash(dir, hasher),
            Base::Directory(path) => {
                for file in directory::files(path)? {
                    file.path.hash(hasher);
                    file.bytes.hash(hasher);
                }
            }
            Base::Code => {}
            Base::Read(set) => {
                let entries = set.migrations.iter().map(|entry| (entry.version, entry.checksum()));
                let baselines =
                    set.baselines.iter().map(|b| (b.version, b.script.checksum.as_str()));
                entries.chain(baselines).for_each(|known| known.hash(hasher));
                for repeatable in &set.repeatables {
                    (&repeatable.name, &repeatable.script.checksum).hash(hasher);
                }
            }
        }
        for migration in &self.added {
            migration.version.hash(hasher);
            migration.name.hash(hasher);
            match &migration.up {
                Up::Sql(text) => text.sql.hash(hasher),
                Up::Code { revision, .. } => revision.hash(hasher),
            }
            for text in [&migration.down, &migration.verify] {
                text.as_ref().map(|text| &text.sql).hash(hasher);
            }
            let said = (&migration.compatible, &migration.allow_data_loss, migration.undoable);
            (said, &migration.irreversible).hash(hasher);
        }
        Ok(())
    }

    /// The functions of code migrations, which no hash can tell apart.
    pub(crate) fn identities(&self) -> impl Iterator<Item = Identity> {
        self.added.iter().filter_map(|migration| match &migration.up {
            Up::Code { identity, .. } => Some(*identity),
            Up::Sql(_) => None,
        })
    }
}
