//! Migrations that have a folder each: diesel's, rusqlite_migration's, Prisma's.

use super::super::layout::Layout;
use super::{Number, Role, leading_digits, number, strange};
use crate::migration::Version;

/// What the name of a migration's folder says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Folder {
    /// The layout that has such names.
    pub(in super::super) layout: Layout,
    /// Without what stands between the digits.
    pub(in super::super) digits: String,
    /// As written.
    text: String,
    name: String,
}

/// `2024-01-01-000000_name`, of which a name without `_` is all version; or `01-name`.
pub(in super::super) fn folder(folder: &str) -> Option<Folder> {
    diesel(folder).or_else(|| {
        let digits = leading_digits(folder);
        let name = folder.get(digits.len()..)?.strip_prefix('-')?;
        (!digits.is_empty() && !name.is_empty()).then(|| Folder {
            layout: Layout::RusqliteMigration,
            digits: digits.to_owned(),
            text: digits.to_owned(),
            name: name.to_owned(),
        })
    })
}

/// Digits, or dashes after a year.
fn diesel(folder: &str) -> Option<Folder> {
    let (text, name) = folder.split_once('_').unwrap_or((folder, ""));
    let mut parts = text.split('-');
    let is_number = parts.all(|part| !part.is_empty() && leading_digits(part) == part);
    let is_whole = leading_digits(text).len() == 4 || !text.contains('-');
    (is_number && is_whole).then(|| Folder {
        layout: Layout::Diesel,
        digits: text.replace('-', ""),
        text: text.to_owned(),
        name: if name.is_empty() { folder.to_owned() } else { name.to_owned() },
    })
}

pub(super) fn role(path: &str, stem: &str, layout: Layout) -> Result<Role, String> {
    let script = stem.to_ascii_lowercase();
    let up = match layout {
        Layout::Diesel | Layout::RusqliteMigration => "up",
        Layout::Prisma | Layout::Drizzle => "migration",
        _ => {
            return Err("the only subfolder that may hold .sql files is `repeatable`".to_owned());
        }
    };
    if !matches!(script.as_str(), "down" | "verify") && script != up {
        return Err(strange(layout));
    }
    let Folder { layout: found, digits, text, name } = match folder(path) {
        Some(folder) if !path.contains('/') => folder,
        _ => return Err(format!("its folder `{path}` has no form that {layout} has")),
    };
    // What stands before the name is a dash only with rusqlite_migration.
    if (found == Layout::RusqliteMigration) != (layout == Layout::RusqliteMigration) {
        return match (layout, plain(path)) {
            (Layout::RusqliteMigration, Some(folder)) => of_script(&script, up, folder),
            _ => Err(format!("its folder `{path}` has no form that {layout} has")),
        };
    }
    of_script(&script, up, (digits, text, name))
}

/// `01-2` can be diesel's and rusqlite_migration's.
fn plain(folder: &str) -> Option<(String, String, String)> {
    let (digits, name) = folder.split_once('-')?;
    let is_number = !digits.is_empty() && leading_digits(digits) == digits;
    is_number.then(|| (digits.to_owned(), digits.to_owned(), name.to_owned()))
}

fn of_script(
    script: &str,
    up: &str,
    (digits, text, name): (String, String, String),
) -> Result<Role, String> {
    let version = Version(number(&digits)?);
    let number = Number { version, also: None, text };
    Ok(match script {
        "verify" => Role::Verify { version },
        script if script == up => Role::Up { number, name },
        _ => Role::Down { number, name },
    })
}
