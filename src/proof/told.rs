//! Errors and differences as findings.

use std::error::Error as _;

use crate::error::{Error, ErrorKind};
use crate::finding::{Check, Finding};

/// What an error says, and why, in one line. Where it happened is told beside it.
pub(super) fn reason(error: &Error) -> String {
    let mut parts = match error.kind() {
        ErrorKind::Statement { .. } if error.source().is_some() => Vec::new(),
        ErrorKind::Seed { .. } | ErrorKind::Code { .. } if error.source().is_some() => Vec::new(),
        ErrorKind::DataLoss { what, .. } => vec![format!("it would {what}")],
        ErrorKind::Verify { row, .. } => vec![format!("a row is wrong: {row}")],
        kind => vec![kind.to_string()],
    };
    let mut cause = error.source();
    while let Some(why) = cause {
        // What rusqlite has as its own cause is the code of the message before it.
        if !why.is::<rusqlite::ffi::Error>() {
            parts.push(why.to_string());
        }
        cause = why.source();
    }
    parts.join(": ")
}

/// A finding that an error tells of. `file` is told where the error points nowhere.
pub(super) fn finding(
    check: Check,
    code: &'static str,
    file: Option<&str>,
    before: &str,
    error: &Error,
) -> Finding {
    let between = if before.is_empty() { "" } else { ": " };
    Finding {
        check,
        code,
        file: error.file().or(file).map(str::to_owned),
        position: error.position(),
        what: format!("{before}{between}{}", reason(error)),
        advice: error.advice().unwrap_or("correct it").to_owned(),
    }
}

/// A finding of our own.
pub(super) fn found(
    check: Check,
    code: &'static str,
    file: Option<&str>,
    what: String,
    advice: &str,
) -> Finding {
    let (file, advice) = (file.map(str::to_owned), advice.to_owned());
    Finding { check, code, file, position: None, what, advice }
}

/// The first few of many.
pub(super) fn list(items: &[String]) -> String {
    let mut text = items.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
    if items.len() > 5 {
        text.push_str(&format!("; and {} more", items.len() - 5));
    }
    text
}
