//! Seeds from SQL files: `ensure_roles.sql` is the seed `roles`.

use std::fmt;
use std::sync::Arc;

use include_dir::Dir;
use rusqlite::Transaction;

use super::conditions::{Conditions, Need};
use super::{Edited, Seed};
use crate::error::{Error, ErrorKind, Result};
use crate::escape::escaped;
use crate::migration::{BoxError, Deed, Identity, Version};
use crate::source::{embedded, placement, refuse_odd, text};
use crate::sql::{Action, Control, Position, Script, complaint};

/// What SQLite refused in a seed's file, and where.
#[derive(Debug)]
pub(crate) struct Misstep {
    pub(crate) file: String,
    pub(crate) position: Position,
    pub(crate) line: String,
    pub(crate) why: String,
}

impl fmt::Display for Misstep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", escaped(&self.why))
    }
}

impl std::error::Error for Misstep {}

/// The seeds of a folder, in the order of their files' names.
pub(super) fn read(dir: &Dir<'static>, edited: Edited) -> Result<Vec<Seed>> {
    let mut files = embedded::files(dir);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut seeds = Vec::new();
    refuse_odd(&files).map_err(|error| error.advise("move it out of the folder"))?;
    for file in files {
        let Some(name) = name(&file.path)? else { continue };
        let text = text::text(&file.path, file.bytes)?;
        let script = text::read(file.path, text)?;
        seeds.push(seed(name, script, edited)?);
    }
    Ok(seeds)
}

/// The seed's name by its file's; `None` for a file that is none of SQL.
fn name(path: &str) -> Result<Option<String>> {
    let lower = path.to_ascii_lowercase();
    if !lower.ends_with(".sql") {
        return Ok(None);
    }
    let stem = path.get(..path.len() - ".sql".len()).unwrap_or_default();
    let why = match stem.strip_prefix("ensure_") {
        _ if path.contains(['/', '\\']) => "a seed's file stands in the folder itself",
        Some("") => "it has no name",
        Some(name) if !name.contains('.') => return Ok(Some(name.to_owned())),
        _ => "a seed's file is called `ensure_<name>.sql`",
    };
    let kind = ErrorKind::BadName { file: path.to_owned(), why: why.to_owned() };
    Err(Error::from(kind).advise("name it `ensure_<name>.sql`, or move it out of the folder"))
}

fn seed(name: String, script: Script, edited: Edited) -> Result<Seed> {
    placement::refuse_misplaced(&script, "seed", &IN_SEED)?;
    refuse_control(&script)?;
    refuse_keys_off(&script)?;
    let script = Arc::new(script);
    let said = &script.directives().seed;
    let conditions = Conditions {
        environments: said.environments.clone(),
        at_least: said.at_least.map(Version),
        after: said.after.clone(),
        need: if said.optional { Need::Optional } else { Need::Required },
    };
    Ok(Seed {
        name: name.into(),
        revision: 1,
        conditions,
        own_sentinel: said.sentinel.clone().map(Into::into),
        content: Some(script.checksum.clone()),
        script: Some(Arc::clone(&script)),
        edited,
        undoable: script.directives().undo,
        // What tells it from others is its text, which is known.
        identity: Identity::of(&()),
        deed: deed(script),
    })
}

const IN_SEED: [&str; 7] =
    ["after", "allow", "environment", "optional", "sentinel", "undo", "when-schema-at-least"];

pub(super) fn deed(script: Arc<Script>) -> Deed {
    Arc::new(move |tx| {
        for statement in script.in_transaction() {
            run(tx, &script, script.sql(statement), statement.start)?;
            if tx.is_autocommit() {
                // The migrator asks too, and tells.
                return Ok(());
            }
        }
        Ok(())
    })
}

fn run(
    tx: &Transaction<'_>,
    script: &Script,
    sql: &str,
    start: usize,
) -> std::result::Result<(), BoxError> {
    let step = || {
        let mut prepared = tx.prepare(sql)?;
        if prepared.parameter_count() > 0 {
            let why = "a seed's file has nothing to bind to its parameters, which would be NULL";
            return Err(rusqlite::Error::ToSqlConversionFailure(why.into()));
        }
        let mut rows = prepared.raw_query();
        while rows.next()?.is_some() {}
        Ok(())
    };
    step().map_err(|error| {
        let text = error.to_string();
        let (within, why) = complaint(&text, sql).unwrap_or((0, text));
        let position = script.position(start + within);
        let line = script.line(position).to_owned();
        Misstep { file: script.file.to_string(), position, line, why }.into()
    })
}

/// Inside a transaction it would be passed over in silence:
/// <https://sqlite.org/pragma.html#pragma_foreign_keys>.
fn refuse_keys_off(script: &Script) -> Result<()> {
    let Some(statement) = script.foreign_keys_off() else { return Ok(()) };
    let position = script.position(statement.start);
    let why = format!("a seed may not say `{}`", script.sql(statement));
    let kind = ErrorKind::BadText { file: script.file.to_string(), position, why };
    Err(Error::from(kind).at(script, position).advise(
        "remove it, and put the rows that others refer to first: a seed runs inside a transaction, \
         where foreign keys cannot be switched off",
    ))
}

/// A seed and its sentinel are one transaction, which is not the file's to end.
fn refuse_control(script: &Script) -> Result<()> {
    let ends = script.in_transaction().find(|statement| {
        matches!(statement.action, Action::Control(control) if control != Control::Savepoint)
    });
    let Some(statement) = ends else { return Ok(()) };
    let position = script.position(statement.start);
    let words = script.sql(statement).lines().next().unwrap_or_default();
    let why = format!("a seed may not say `{words}`");
    let kind = ErrorKind::BadText { file: script.file.to_string(), position, why };
    Err(Error::from(kind)
        .at(script, position)
        .advise("remove it: a seed and its sentinel are one transaction already"))
}
