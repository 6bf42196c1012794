//! What the rows of a ledger say, tool by tool. Values only: this room never sees a connection.

use std::collections::BTreeMap;

use rusqlite::types::Value;

use super::check::Check;
use super::read::Cells;
use crate::adoption::Adopt;
use crate::error::Unfit;
use crate::migration::Version;

/// What a ledger says is applied.
#[derive(Debug, Default)]
pub(crate) struct Testimony {
    /// One by one.
    pub(crate) each: Vec<Told>,
    /// Definitions that may run again, by name.
    pub(crate) repeatables: Vec<Told>,
    /// Everything up to and including this version.
    pub(crate) up_to: Option<UpTo>,
    /// So many, from the first on.
    pub(crate) first: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct UpTo {
    pub(crate) number: Number,
    /// Whether there was a migration of that version, and not only a schema that was as if.
    pub(crate) has_run: bool,
    /// The script that stood for everything up to there.
    pub(crate) baseline: Option<Told>,
}

/// One that is applied.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) key: Key,
    pub(crate) name: String,
    pub(crate) at: Option<String>,
    pub(crate) check: Option<Check>,
}

/// By what it is found in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Number(Number),
    /// The name of its file or folder, or its own, or else the version.
    Name(String, Option<Number>),
    /// The checksum alone.
    Content,
}

/// A version as another tool writes and compares it: numbers with dots between them, zeros at their
/// end left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(Vec<i64>);

impl Number {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let number = |part: &str| part.parse().ok().filter(|number| *number >= 0);
        let mut parts = text.split(['.', '_']).map(number).collect::<Option<Vec<i64>>>()?;
        while parts.len() > 1 && parts.last() == Some(&0) {
            parts.pop();
        }
        Some(Number(parts))
    }

    /// The same as a version of ours, where it is a single number.
    pub(crate) fn version(&self) -> Option<Version> {
        match self.0.as_slice() {
            [number] => Some(Version(*number)),
            _ => None,
        }
    }
}

impl From<Version> for Number {
    fn from(version: Version) -> Self {
        Number(vec![version.0])
    }
}

type Result<T> = std::result::Result<T, Unfit>;

/// Understands the rows of a tool's ledger.
pub(crate) fn understand(tool: Adopt, mut rows: Vec<Cells>) -> Result<Testimony> {
    let key = match tool {
        Adopt::Goose => "id",
        Adopt::Flyway => "installed_rank",
        Adopt::Drizzle => "created_at",
        _ => "",
    };
    // Rows come in no order; the sort keeps those that are equal, or no numbers, as they came.
    rows.sort_by_key(|row| row.number(key));
    let mut testimony = Testimony::default();
    match tool {
        Adopt::GolangMigrate => testimony.up_to = newest(&rows)?,
        Adopt::Goose => testimony.each = goose(&rows)?,
        Adopt::Prisma => testimony.each = prisma(&rows)?,
        Adopt::Flyway => flyway(&rows, &mut testimony)?,
        _ => testimony.each = rows.iter().map(|row| told(tool, row)).collect::<Result<_>>()?,
    }
    Ok(testimony)
}

/// Of the tools that keep a row for each migration that is applied and no other.
fn told(tool: Adopt, row: &Cells) -> Result<Told> {
    let at = row.at.clone();
    Ok(match tool {
        Adopt::Refinery => {
            let (version, name) = (version(row, "version")?, row.text("name"));
            let recorded = row.text("checksum");
            let check = Check::Sip { name: name.clone(), version: version.0, recorded };
            Told { key: Key::Number(version.into()), name, at, check: Some(check) }
        }
        Adopt::Sqlx => {
            let version = version(row, "version")?;
            let name = row.text("description");
            if row.truth("success") != Some(true) {
                return Err(dirty(version, &name, "its `success` is 0"));
            }
            let check = match row.get("checksum") {
                Value::Blob(bytes) => Check::Sha384(bytes.clone()),
                _ => return Err(unreadable(row, "checksum", "no checksum")),
            };
            Told { key: Key::Number(version.into()), name, at, check: Some(check) }
        }
        Adopt::Hiqlite => {
            let check = Check::Sha256(row.text("hash"));
            Told {
                key: Key::Number(version(row, "id")?.into()),
                name: row.text("name"),
                at,
                check: Some(check),
            }
        }
        Adopt::SeaOrm => {
            let stem = row.text("version");
            let (version, name) = match sea_orm(&stem) {
                Some((version, name)) => (Some(version.into()), name.to_owned()),
                None => (None, stem.clone()),
            };
            Told { key: Key::Name(stem, version), name, at, check: None }
        }
        Adopt::Drizzle => {
            let check = Check::Sha256(row.text("hash"));
            Told { key: Key::Content, name: String::new(), at, check: Some(check) }
        }
        Adopt::Geni => plain(version(row, "id")?, at),
        _ => plain(version(row, "version")?, at),
    })
}

fn plain(version: Version, at: Option<String>) -> Told {
    Told { key: Key::Number(version.into()), name: String::new(), at, check: None }
}

/// golang-migrate keeps one row, or none before the first migration.
fn newest(rows: &[Cells]) -> Result<Option<UpTo>> {
    let [row] = rows else {
        return if rows.is_empty() {
            Ok(None)
        } else {
            Err(Unfit::TooManyRows { rows: rows.len() })
        };
    };
    // After the last down script it is -1.
    let is_none = row.number("version") == Some(-1);
    let version = if is_none { Version(-1) } else { version(row, "version")? };
    if row.truth("dirty") != Some(false) {
        return Err(dirty(version, "", "its `dirty` is 1"));
    }
    Ok((!is_none).then_some(UpTo { number: version.into(), has_run: true, baseline: None }))
}

/// goose adds a row when it applies and, in older releases, another when it takes back: the last
/// one counts. Version 0 is its own.
fn goose(rows: &[Cells]) -> Result<Vec<Told>> {
    let mut last = BTreeMap::new();
    for row in rows {
        let version = version(row, "version_id")?;
        let Some(is_applied) = row.truth("is_applied") else {
            return Err(unreadable(row, "is_applied", "neither yes nor no"));
        };
        last.insert(version, is_applied.then(|| plain(version, row.at.clone())));
    }
    last.remove(&Version(0));
    Ok(last.into_values().flatten().collect())
}

/// Prisma keeps the rows of attempts that failed. One that was declared rolled back counts for it
/// as not applied.
fn prisma(rows: &[Cells]) -> Result<Vec<Told>> {
    let mut all = Vec::new();
    for row in rows.iter().filter(|row| row.is_null("rolled_back_at")) {
        let directory = row.text("migration_name");
        let (digits, name) = split_number(&directory);
        let Ok(number) = digits.parse() else {
            return Err(unreadable(row, "migration_name", "no name that begins with a number"));
        };
        let name = name.strip_prefix('_').unwrap_or(name).to_owned();
        if row.is_null("finished_at") {
            return Err(dirty(Version(number), &name, "it has no `finished_at`"));
        }
        let check = Some(Check::Sha256(row.text("checksum")));
        let key = Key::Name(directory.clone(), Some(Version(number).into()));
        all.push(Told { key, name, at: row.at.clone(), check });
    }
    Ok(all)
}

/// Flyway's rows tell what happened, in the order of their ranks.
fn flyway(rows: &[Cells], testimony: &mut Testimony) -> Result<()> {
    let mut applied: Vec<(Number, Told)> = Vec::new();
    for row in rows {
        let kind = row.text("type").to_ascii_uppercase();
        if kind == "SCHEMA" {
            continue;
        }
        let (name, file) = (row.text("description"), row.text("script"));
        let number = Number::read(&row.text("version"));
        if row.truth("success") != Some(true) {
            return Err(Unfit::Dirty { migration: file, how: "its `success` is 0" });
        }
        let check = row.number("checksum").map(Check::Crc32);
        let told = Told { key: Key::Name(file, number.clone()), name, at: row.at.clone(), check };
        if row.is_null("version") {
            testimony.repeatables.retain(|other| other.name != told.name);
            if kind != "DELETE" {
                testimony.repeatables.push(told);
            }
            continue;
        }
        let Some(number) = number else {
            return Err(unreadable(row, "version", "no version"));
        };
        // `BASELINE` is said by hand, `SQL_BASELINE` and the like by a script that has run.
        if kind.ends_with("BASELINE") {
            let baseline = (kind != "BASELINE").then_some(told);
            testimony.up_to = Some(UpTo { number, has_run: false, baseline });
            continue;
        }
        applied.retain(|(other, _)| *other != number);
        if !kind.starts_with("UNDO") && kind != "DELETE" {
            applied.push((number, told));
        }
    }
    testimony.each = applied.into_iter().map(|(_, told)| told).collect();
    Ok(())
}

/// `m20220101_000001_create_table`: a date, a number within it, and a name.
fn sea_orm(stem: &str) -> Option<(Version, &str)> {
    let (date, rest) = split_number(stem.strip_prefix('m')?);
    let (number, rest) = split_number(rest.strip_prefix('_')?);
    let fits = date.len() == 8 && number.len() == 6;
    let version = format!("{date}{number}").parse().ok().filter(|_| fits)?;
    Some((Version(version), rest.strip_prefix('_')?))
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn version(row: &Cells, column: &str) -> Result<Version> {
    let number = row.number(column).filter(|number| *number >= 0);
    number.map(Version).ok_or_else(|| unreadable(row, column, "no version of 64 bits"))
}

fn unreadable(row: &Cells, column: &str, what: &'static str) -> Unfit {
    Unfit::Unreadable { column: column.to_owned(), value: row.text(column), what }
}

fn dirty(version: Version, name: &str, how: &'static str) -> Unfit {
    let migration =
        if name.is_empty() { version.to_string() } else { format!("{version} ({name})") };
    Unfit::Dirty { migration, how }
}
