//! What a file's name says, in each layout. Names only: this room opens nothing.

mod dotted;
mod folder;
mod numbered;

use std::borrow::Cow;

use super::layout::Layout;
use crate::migration::Version;
pub(super) use dotted::Parts;
pub(super) use folder::{Folder, folder};
use numbered::{LANDFALL, LOOSE, OWN, PLAIN, SQLX, has_suffix, versioned};

/// What a file is, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Up {
        number: Number,
        name: String,
    },
    Down {
        number: Number,
        name: String,
    },
    Verify {
        version: Version,
    },
    Baseline {
        version: Version,
        name: String,
    },
    Repeatable {
        name: String,
    },
    /// Not a migration's file: passed over.
    Other,
}

/// A version, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) version: Version,
    /// The number that it would have were the folder's dotted versions others.
    pub(crate) also: Option<Version>,
    /// As the file or its folder has it.
    pub(crate) text: String,
}

/// The names of a folder: its layout, and what decides a version's number besides its own name.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(super) layout: Layout,
    /// The first of the dotted versions.
    pub(super) dotted: Option<Parts>,
}

impl Names {
    /// Reads a path relative to the set's folder. Every `.sql` file has to be understood.
    pub(crate) fn role(&self, path: &str) -> Result<Role, String> {
        let path = slashes(path);
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
        let Some(stem) = strip_suffix_ignoring_case(file, ".sql") else {
            return self.refuse_code(file).map(|()| Role::Other);
        };
        if let Some(name) = repeatable(folder, stem, self.layout) {
            return repeat(name);
        }
        let form = match self.layout {
            _ if folder == "repeatable" => return repeat(stem),
            Layout::Refinery | Layout::Flyway if stem.starts_with(['V', 'U', 'B']) => {
                return self.lettered(stem);
            }
            layout if !folder.is_empty() => return folder::role(folder, stem, layout),
            // drizzle numbers by counting or by the second, and has no names of its own.
            Layout::Landfall | Layout::Drizzle => &LANDFALL,
            Layout::Sqlx | Layout::GolangMigrate => &SQLX,
            Layout::Goose => &PLAIN,
            Layout::Dbmate | Layout::SqlMigrate => &LOOSE,
            _ if OWN.iter().any(|own| strip_suffix_ignoring_case(stem, own).is_some()) => &PLAIN,
            layout => return Err(strange(layout)),
        };
        let role = versioned(stem, form)?;
        match (&role, self.layout) {
            (Role::Up { .. }, Layout::GolangMigrate) if !has_suffix(stem, ".up") => {
                Err("golang-migrate's files end with `.up.sql` or `.down.sql`".to_owned())
            }
            _ => Ok(role),
        }
    }

    /// A migration that its tool would run, and that nobody here can.
    fn refuse_code(&self, file: &str) -> Result<(), String> {
        let runs = match self.layout {
            Layout::Refinery | Layout::Flyway => is_lettered(file),
            Layout::Goose => true,
            _ => false,
        };
        match is_code(file) && runs {
            true => Err("it is a migration in code, which cannot be run from a file".to_owned()),
            false => Ok(()),
        }
    }

    /// `V1.2__name`, `U1.2__name`, `B1.2__name`.
    fn lettered(&self, stem: &str) -> Result<Role, String> {
        let mut chars = stem.chars();
        let letter = chars.next().unwrap_or_default();
        let Some((text, name)) = chars.as_str().split_once("__") else {
            return Err(format!("`{letter}` is not followed by a number, `__` and a name"));
        };
        let (name, verifies) = match strip_suffix_ignoring_case(name, ".verify") {
            Some(name) if letter == 'V' => (name, true),
            _ => (name, false),
        };
        if name.is_empty() {
            return Err("it has no name".to_owned());
        }
        if name.contains('.') {
            return Err(unknown_suffix(name));
        }
        let number = self.number(text)?;
        let (version, name) = (number.version, name.to_owned());
        Ok(match (letter, self.layout) {
            _ if verifies => Role::Verify { version },
            ('B', Layout::Flyway) => Role::Baseline { version, name },
            ('B', _) => return Err(strange(self.layout)),
            ('U', Layout::Flyway) => Role::Down { number, name },
            _ => Role::Up { number, name },
        })
    }

    fn number(&self, text: &str) -> Result<Number, String> {
        let parts = Parts::read(text)?;
        let is_after = self.dotted.as_ref().is_some_and(|dotted| parts > *dotted);
        let (version, also) = match parts.plain() {
            Some(plain) if is_after => (parts.written_out()?, Some(plain)),
            Some(plain) => (plain, parts.written_out().ok()),
            None => (parts.written_out()?, None),
        };
        let also = also.map(Version).filter(|also| also.0 != version);
        Ok(Number { version: Version(version), also, text: text.to_owned() })
    }
}

/// Whether a name begins with `V`, `U` or `B` and a number.
pub(super) fn is_lettered(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    let number = file.strip_prefix(['V', 'U', 'B']).unwrap_or_default();
    number.starts_with(|c: char| c.is_ascii_digit()) && number.contains("__")
}

/// The version of such a name.
pub(super) fn parts_of(path: &str) -> Option<(char, Parts)> {
    let path = path.replace('\\', "/");
    let file = path.rsplit('/').next().unwrap_or_default();
    let mut chars = file.chars();
    let letter = chars.next().filter(|letter| matches!(letter, 'V' | 'U' | 'B'))?;
    let (text, _) = chars.as_str().split_once("__")?;
    Some((letter, Parts::read(text).ok()?))
}

impl Parts {
    /// Those with dots.
    pub(super) fn dotted(self) -> Option<Self> {
        self.is_dotted().then_some(self)
    }
}

/// Whether a file is a repeatable's, in any layout.
pub(crate) fn is_repeatable(path: &str) -> bool {
    let path = slashes(path);
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
    let stem = strip_suffix_ignoring_case(file, ".sql");
    stem.is_some_and(|stem| folder == "repeatable" || stem.starts_with("R__"))
}

/// A path with `/` between its names, as Windows does not have it.
pub(super) fn slashes(path: &str) -> Cow<'_, str> {
    match path.contains('\\') {
        true => Cow::Owned(path.replace('\\', "/")),
        false => Cow::Borrowed(path),
    }
}

pub(super) fn is_sql(path: &str) -> bool {
    strip_suffix_ignoring_case(path, ".sql").is_some()
}

/// Whether a file decides what the set is: SQL, or what another tool says beside it.
pub(crate) fn counts(path: &str) -> bool {
    let path = path.replace('\\', "/").to_ascii_lowercase();
    let file = path.rsplit('/').next().unwrap_or_default();
    let of_tools = file == METADATA || file == LOCK || path.ends_with(JOURNAL);
    file.ends_with(".sql") || of_tools || is_code(file)
}

/// Whether a file is named like a migration of refinery's, Flyway's or goose's in their language.
fn is_code(file: &str) -> bool {
    let numbered = || file.starts_with(|c: char| c.is_ascii_digit()) && file.contains('_');
    let lettered = || is_lettered(&file.to_ascii_uppercase());
    match file.rsplit_once('.').map(|(stem, extension)| (stem, extension.to_ascii_lowercase())) {
        Some((_, extension)) if matches!(extension.as_str(), "rs" | "java") => lettered(),
        Some((stem, extension)) if extension == "go" => numbered() && !stem.ends_with("_test"),
        _ => false,
    }
}

/// What diesel says of a migration besides its scripts.
pub(super) const METADATA: &str = "metadata.toml";
/// What Prisma has beside its migrations.
pub(super) const LOCK: &str = "migration_lock.toml";
/// What drizzle has below them.
pub(super) const JOURNAL: &str = "meta/_journal.json";

/// The name of a repeatable, which in a layout with subfolders may stand in any of them.
fn repeatable<'s>(folder: &str, stem: &'s str, layout: Layout) -> Option<&'s str> {
    let anywhere = matches!(layout, Layout::Refinery | Layout::Flyway);
    let here = anywhere || matches!(folder, "" | "repeatable");
    stem.strip_prefix("R__").filter(|_| here)
}

fn repeat(name: &str) -> Result<Role, String> {
    match name {
        "" => Err("it has no name".to_owned()),
        name if name.contains('.') => Err(unknown_suffix(name)),
        name => Ok(Role::Repeatable { name: name.to_owned() }),
    }
}

fn unknown_suffix(name: &str) -> String {
    let suffix = name.split_once('.').map_or(name, |(_, suffix)| suffix);
    format!("`.{suffix}` is no suffix of a migration")
}

fn strange(layout: Layout) -> String {
    format!("it has none of the forms that {layout} has")
}

fn number(digits: &str) -> Result<i64, String> {
    digits.parse().map_err(|_| too_large(digits))
}

fn too_large(digits: &str) -> String {
    format!("version {digits} is too large: at most {}", i64::MAX)
}

/// Whether a number is one thing to landfall and another to whoever takes it as it stands.
pub(super) fn is_short_date(path: &str) -> bool {
    let digits = leading_digits(path);
    matches!(digits.len(), 8 | 12) && is_date(digits)
}

/// Whether digits begin with a year, month and day.
fn is_date(digits: &str) -> bool {
    let part = |range| digits.get(range).and_then(|part: &str| part.parse::<u32>().ok());
    matches!((part(0..4), part(4..6), part(6..8)), (Some(1970..=2999), Some(1..=12), Some(1..=31)))
}

fn leading_digits(text: &str) -> &str {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..end).unwrap_or_default()
}

fn strip_suffix_ignoring_case<'t>(text: &'t str, suffix: &str) -> Option<&'t str> {
    let at = text.len().checked_sub(suffix.len())?;
    let (head, tail) = text.split_at_checked(at)?;
    tail.eq_ignore_ascii_case(suffix).then_some(head)
}
