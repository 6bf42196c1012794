//! Which layout a folder has: what each file tells of the tool that it is from, and whether one tool
//! has them all.

use std::collections::{BTreeMap, BTreeSet};

use super::File;
use super::layout::Layout;
use super::naming::{self, Folder, Names, Parts, slashes};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::section;

/// What one file tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    /// `1_name.sql`, which several tools have.
    Plain,
    /// `1_name.down.sql`
    Down,
    /// `1_name.up.sql`
    Up,
    /// `V1__name.sql`
    Lettered,
    Diesel,
    RusqliteMigration,
    /// `1_name/migration.sql`
    Migration,
    Goose,
    Dbmate,
    SqlMigrate,
}

impl Shape {
    /// Whose file it is, for a person.
    fn whose(self) -> &'static str {
        match self {
            Shape::Plain => "a numbered file, as landfall, sqlx and drizzle have them",
            Shape::Down => "a down script, as landfall, golang-migrate and sqlx have them",
            Shape::Up => "golang-migrate's or sqlx's",
            Shape::Lettered => "Flyway's or refinery's",
            Shape::Diesel => "diesel's",
            Shape::RusqliteMigration => "rusqlite_migration's",
            Shape::Migration => "Prisma's or drizzle's",
            Shape::Goose => "goose's",
            Shape::Dbmate => "dbmate's",
            Shape::SqlMigrate => "sql-migrate's",
        }
    }

    fn sections(self) -> Option<section::Tool> {
        match self {
            Shape::Goose => Some(section::Tool::Goose),
            Shape::Dbmate => Some(section::Tool::Dbmate),
            Shape::SqlMigrate => Some(section::Tool::SqlMigrate),
            _ => None,
        }
    }

    /// Whether one tool has both.
    fn goes_with(self, other: Shape) -> bool {
        let named = |shape| matches!(shape, Shape::Plain | Shape::Down | Shape::Up);
        let one_tools = named(self) && named(other);
        // A file without marks among those that have some is told of by who looks for them.
        let unmarked = self.sections().is_some() && other == Shape::Plain
            || other.sections().is_some() && self == Shape::Plain;
        self == other || one_tools || unmarked
    }
}

/// The names of these files, in the layout that they are said to have or are found to have.
pub(super) fn names(files: &[File], said: Option<Layout>) -> Result<Names> {
    let layout = match said {
        Some(layout) => layout,
        None => recognise(files)?,
    };
    let lettered = matches!(layout, Layout::Refinery | Layout::Flyway);
    let versions = files.iter().filter(|file| lettered && naming::is_sql(&file.path));
    let dotted = versions.filter_map(|file| naming::parts_of(&file.path)?.1.dotted()).min();
    if layout == Layout::Diesel {
        refuse_other_order(files)?;
    }
    Ok(Names { layout, dotted })
}

fn recognise(files: &[File]) -> Result<Layout> {
    let mut found: BTreeMap<Shape, &str> = BTreeMap::new();
    for file in files.iter().filter(|file| naming::is_sql(&file.path)) {
        if let Some(shape) = shape(file) {
            found.entry(shape).or_insert(&file.path);
        }
    }
    for (shape, file) in &found {
        if let Some((other, second)) = found.iter().find(|(other, _)| !shape.goes_with(**other)) {
            return Err(mixed((file, *shape), (second, *other)));
        }
    }
    let has = |shape| found.contains_key(&shape);
    let beside =
        |path: &str| files.iter().any(|file| slashes(&file.path).eq_ignore_ascii_case(path));
    Ok(match found.keys().find_map(|shape| shape.sections()) {
        Some(tool) => Layout::of_sections(tool),
        None if has(Shape::Lettered) => lettered(files)?,
        None if has(Shape::Diesel) => Layout::Diesel,
        None if has(Shape::RusqliteMigration) => Layout::RusqliteMigration,
        // Where neither's own file is there, the one that takes more.
        None if has(Shape::Migration) && !beside(naming::LOCK) => Layout::Drizzle,
        None if has(Shape::Migration) => Layout::Prisma,
        None if has(Shape::Up) => {
            refuse_short_dates(files, &found)?;
            Layout::Sqlx
        }
        None if beside(naming::JOURNAL) => Layout::Drizzle,
        None => Layout::Landfall,
    })
}

/// `None` for what is landfall's own beside any tool's, and for what no tool has.
fn shape(file: &File) -> Option<Shape> {
    let path = slashes(&file.path);
    let lower = path.to_ascii_lowercase();
    let (folder, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
    if naming::is_repeatable(&path) {
        return None;
    }
    if naming::is_lettered(&path) {
        return Some(Shape::Lettered);
    }
    let of_folder = || naming::folder(folder);
    match name {
        "migration.sql" if of_folder().is_some() => return Some(Shape::Migration),
        "up.sql" => {
            return of_folder().map(|Folder { layout, .. }| match layout {
                Layout::Diesel => Shape::Diesel,
                _ => Shape::RusqliteMigration,
            });
        }
        _ if !folder.is_empty() || !name.starts_with(|c: char| c.is_ascii_digit()) => return None,
        _ => {}
    }
    let stem = name.strip_suffix(".sql")?.trim_end_matches('.');
    let marked = std::str::from_utf8(&file.bytes).ok().and_then(section::tool_in);
    match marked {
        _ if stem.ends_with(".up") => Some(Shape::Up),
        _ if stem.ends_with(".down") => Some(Shape::Down),
        _ if stem.contains('.') => None,
        Some(section::Tool::Goose) => Some(Shape::Goose),
        Some(section::Tool::Dbmate) => Some(Shape::Dbmate),
        Some(section::Tool::SqlMigrate) => Some(Shape::SqlMigrate),
        None => Some(Shape::Plain),
    }
}

/// `U1__name.sql` takes V1 back with Flyway, and is a migration of its own with refinery: one runs
/// what the other must not.
fn lettered(files: &[File]) -> Result<Layout> {
    let versions = |wanted: char| {
        files.iter().filter(|file| naming::is_sql(&file.path)).filter_map(move |file| {
            let (letter, parts) = naming::parts_of(&file.path)?;
            (letter == wanted).then_some((parts, file.path.as_ref()))
        })
    };
    let ups: BTreeSet<Parts> = versions('V').map(|(parts, _)| parts).collect();
    let alone = versions('U').find(|(parts, _)| !ups.contains(parts));
    match alone {
        None => Ok(Layout::Flyway),
        Some((parts, file)) => Err(Error::from(ErrorKind::AmbiguousLayout {
            file: file.to_owned(),
            why: format!(
                "refinery runs it as a migration, and Flyway to take back a V{parts}, which is not \
                 there"
            ),
        })
        .advise("say whose it is: `.layout(Layout::Refinery)` or `.layout(Layout::Flyway)`")),
    }
}

/// `20250214_name.sql` is a timestamp to landfall and the number 20,250,214 to sqlx.
fn refuse_short_dates(files: &[File], found: &BTreeMap<Shape, &str>) -> Result<()> {
    let Some(plain) = found.get(&Shape::Plain) else { return Ok(()) };
    let mut paths = files.iter().map(|file| file.path.as_ref());
    let Some(file) = paths.find(|path| naming::is_short_date(path)) else { return Ok(()) };
    let beside = found.get(&Shape::Up).copied().filter(|up| *up != file).unwrap_or(plain);
    Err(Error::from(ErrorKind::AmbiguousLayout {
        file: file.to_owned(),
        why: format!(
            "its number is a date to landfall and a plain number to sqlx, and beside `{beside}` it \
             can be either's"
        ),
    })
    .advise(
        "say whose it is: `.layout(Layout::Sqlx)`; or, if the others are landfall's, name files \
         `<number>_name.sql` and `<number>_name.down.sql`",
    ))
}

/// diesel compares its versions as texts, and a longer one can stand between two shorter ones.
fn refuse_other_order(files: &[File]) -> Result<()> {
    let mut versions: Vec<(i64, String, &str)> = Vec::new();
    for file in files.iter().filter(|file| naming::is_sql(&file.path)) {
        let path = slashes(&file.path);
        let found = path.split_once('/').and_then(|(folder, _)| naming::folder(folder));
        let Some(Folder { digits, .. }) = found else { continue };
        if digits.len() < 14 {
            continue;
        }
        if let Ok(number) = digits.parse() {
            versions.push((number, digits, &file.path));
        }
    }
    versions.sort();
    let mut pairs = versions.iter().zip(versions.iter().skip(1));
    match pairs.find(|((_, a, _), (_, b, _))| a > b) {
        None => Ok(()),
        Some(((_, digits, file), (_, _, longer))) => Err(Error::from(ErrorKind::AmbiguousLayout {
            file: (*file).to_owned(),
            why: format!("diesel runs it after `{longer}`, and {digits} is the smaller number"),
        })
        .advise("give it as many digits: `2024-01-01-000000-0000_name`")),
    }
}

fn mixed((first, shape): (&str, Shape), (second, other): (&str, Shape)) -> Error {
    let (first, second) = (first.to_owned(), second.to_owned());
    ErrorKind::MixedLayouts { first, first_is: shape.whose(), second, second_is: other.whose() }
        .into()
}
