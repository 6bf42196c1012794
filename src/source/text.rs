//! The text of a file, and the scripts in it: bytes, placeholders, sections, and what the layout says
//! besides.

use std::borrow::Cow;

use super::layout::Layout;
use super::metadata::Metadata;
use super::naming;
use crate::error::{Error, ErrorKind, Result};
use crate::sql::script::{Breakpoints, Fault, InTransaction, Marks, Reading, line_feeds};
use crate::sql::template::{self, Variables};
use crate::sql::{Position, Script, holds, section};

/// The script in a text, its faults told with their place.
pub(crate) fn read(file: Cow<'static, str>, sql: Cow<'static, str>) -> Result<Script> {
    read_as(file, sql, Reading::default())
}

/// The same of a text that the ledger has kept: one section of a file is all that it is.
pub(crate) fn read_stored(file: String, sql: String) -> Result<Script> {
    let reading = Reading { marks: Marks::Pass, ..Reading::default() };
    read_as(file.into(), sql.into(), reading)
}

pub(super) fn read_as(
    file: Cow<'static, str>,
    sql: Cow<'static, str>,
    reading: Reading,
) -> Result<Script> {
    match Script::read(sql.clone(), reading) {
        Ok(script) => Ok(script.called(file)),
        Err(fault) => Err(faulty(&file, sql, fault)),
    }
}

fn faulty(file: &str, sql: Cow<'static, str>, fault: Fault) -> Error {
    let text = line_feeds(sql);
    let position = Position::of(&text, fault.at);
    let line = text.lines().nth(position.line - 1).unwrap_or_default();
    let (name, why) = (file.to_owned(), fault.why);
    let kind = match fault.is_directive {
        true => ErrorKind::Directive { file: name, position, why },
        false => ErrorKind::BadText { file: name, position, why },
    };
    let error = Error::from(kind).in_line(file, position, line);
    match fault.advice {
        Some(advice) => error.advise(advice),
        None => error,
    }
}

/// The text with its placeholders filled, and LF as its line ends.
pub(super) fn filled(
    file: &str,
    text: Cow<'static, str>,
    variables: &Variables,
) -> Result<Cow<'static, str>> {
    let text = line_feeds(text);
    match template::fill(&text, variables) {
        Ok(None) => Ok(text),
        Ok(Some(filled)) => Ok(Cow::Owned(filled)),
        Err(fault) => Err(faulty(file, text, fault)),
    }
}

/// The up and the down script of one file.
pub(super) fn in_sections(
    path: &str,
    text: Cow<'static, str>,
    tool: section::Tool,
) -> Result<(Script, Option<Script>)> {
    let cut = section::cut(&text, tool).map_err(|fault| faulty(path, text.clone(), fault))?;
    let read = |section: section::Section| {
        let reading = Reading {
            part: Some(section.part),
            marks: Marks::Of(tool),
            transaction: section.transaction,
            ..Reading::default()
        };
        read_as(path.to_owned().into(), text.clone(), reading)
    };
    Ok((read(cut.up)?, cut.down.map(read).transpose()?))
}

/// What the layout says of a script besides its text.
pub(super) fn reading(path: &str, text: &str, layout: Layout, metadata: &Metadata) -> Reading {
    let first = text.lines().next().unwrap_or_default();
    let sqlx = first
        .strip_prefix("-- no-transaction")
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'));
    let transaction = match layout {
        Layout::Landfall | Layout::Sqlx | Layout::GolangMigrate if sqlx => InTransaction::No,
        Layout::Diesel => {
            let path = path.replace('\\', "/");
            let said = path.rsplit_once('/').and_then(|(folder, _)| metadata.get(folder));
            said.copied().unwrap_or_default()
        }
        _ => InTransaction::Yes,
    };
    let breakpoints = match layout {
        Layout::Drizzle => Breakpoints::End,
        _ => Breakpoints::Comments,
    };
    Reading { transaction, breakpoints, ..Reading::default() }
}

pub(super) fn bad_name(path: &str, why: String, layout: Layout) -> Error {
    let error = Error::from(ErrorKind::BadName { file: path.to_owned(), why });
    let file = path.replace('\\', "/");
    match layout {
        _ if !naming::is_sql(&file) => error.advise(format!(
            "say what it does with `.with(Migration::code(<version>, \"<name>\", …))`, and pass over \
             the file with `.ignore(\"{file}\")`"
        )),
        Layout::Landfall => error,
        _ => error.advise(format!(
            "name it `{}`, move it out of the folder, or pass over it with `.ignore(\"{file}\")`; \
             the folder was taken for {}, and `.layout(…)` says otherwise",
            layout.example(),
            layout.whose()
        )),
    }
}

pub(crate) fn text(file: &str, bytes: Cow<'static, [u8]>) -> Result<Cow<'static, str>> {
    let not_utf8 = |valid: &[u8]| ErrorKind::NotUtf8 {
        file: file.to_owned(),
        line: valid.iter().filter(|&&byte| byte == b'\n').count() + 1,
        why: "it is not valid UTF-8",
    };
    let text = match bytes {
        Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                return Err(not_utf8(valid).into());
            }
        },
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Cow::Owned(text),
            Err(error) => {
                let valid = error.as_bytes().get(..error.utf8_error().valid_up_to());
                return Err(not_utf8(valid.unwrap_or_default()).into());
            }
        },
    };
    refuse_nul(file, &text)?;
    Ok(text)
}

/// SQLite would stop reading at a NUL and pass over the rest in silence.
pub(super) fn refuse_nul(file: &str, text: &str) -> Result<()> {
    let at = if holds(text, 0) { text.find('\0') } else { None };
    match at {
        Some(at) => Err(ErrorKind::NotUtf8 {
            file: file.to_owned(),
            line: Position::of(text, at).line,
            why: "it holds a NUL",
        }
        .into()),
        None => Ok(()),
    }
}
