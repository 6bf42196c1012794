//! A text file that is kept beside the code and under review: compared with what it should say, and
//! written anew where that is asked for.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind as Io;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// What a test's environment says for a kept file to be written and not compared.
const UPDATE: (&str, &str) = ("UPDATE_LOCK", "1");

/// Sees to it that the file holds this text; `of` says what that is, after "is not". Line ends do
/// not count. A file that holds another text fails, both shown as a difference of lines, or is
/// replaced as a whole where the environment has `UPDATE_LOCK=1`.
pub(super) fn keep(path: &Path, text: &str, of: &'static str) -> Result<()> {
    keep_unless(path, text, |found| {
        let error = Error::from(ErrorKind::Outdated { path: path.to_owned(), of });
        Some(match found {
            Some(found) => error.because(difference(found, text)),
            None => error.because("there is no such file"),
        })
    })
}

/// The same, with a fault of its own for a file that holds another text, or is not there; none where
/// that is as good.
pub(super) fn keep_unless(
    path: &Path,
    text: &str,
    fault: impl FnOnce(Option<&str>) -> Option<Error>,
) -> Result<()> {
    let found = match fs::read_to_string(path) {
        Ok(found) => Some(found.replace("\r\n", "\n")),
        Err(error) if error.kind() == Io::NotFound => None,
        // Another text in any case.
        Err(error) if error.kind() == Io::InvalidData => Some("(not UTF-8)\n".to_owned()),
        Err(error) => return Err(unreadable(path, error)),
    };
    if found.as_deref() == Some(text) {
        return Ok(());
    }
    if std::env::var_os(UPDATE.0).is_some_and(|value| value == UPDATE.1) {
        return write(path, text).map_err(|error| unreadable(path, error));
    }
    fault(found.as_deref()).map_or(Ok(()), Err)
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::from(ErrorKind::Kept { path: path.to_owned() }).because(error)
}

/// The file is the old one or the new one, whatever happens.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-partial", std::process::id()));
    let partial = path.with_file_name(name);
    let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

/// How many lines that are the same are shown around those that are not.
const CONTEXT: usize = 2;

/// Where the pairs of lines to compare become too many, the texts are shown one after the other.
const PAIRS: usize = 4_000_000;

/// What is in the file and should not be after `-`, what should be and is not after `+`.
fn difference(found: &str, wanted: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (found.lines().collect(), wanted.lines().collect());
    let mut lines: Vec<(char, &str)> = Vec::new();
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old.iter().skip(head).rev().zip(new.iter().skip(head).rev());
    let tail = tail.take_while(|(a, b)| a == b).count();
    let middle = |all: &[&'_ str]| head..all.len() - tail;
    let (a, b) = (old.get(middle(&old)), new.get(middle(&new)));
    lines.extend(old.iter().take(head).map(|line| (' ', *line)));
    aligned(a.unwrap_or_default(), b.unwrap_or_default(), &mut lines);
    lines.extend(old.iter().skip(old.len() - tail).map(|line| (' ', *line)));
    if lines.iter().all(|(mark, _)| *mark == ' ') {
        return "only the end of the last line differs".to_owned();
    }
    shown(&lines)
}

/// The longest lines that both have in common, and between them those of the one and the other.
fn aligned<'l>(a: &[&'l str], b: &[&'l str], lines: &mut Vec<(char, &'l str)>) {
    let width = b.len() + 1;
    let mut common = Vec::new();
    if a.len().saturating_mul(b.len()) <= PAIRS {
        common = vec![0u32; (a.len() + 1) * width];
    }
    let at = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    if !common.is_empty() {
        for (i, one) in a.iter().enumerate().rev() {
            for (j, other) in b.iter().enumerate().rev() {
                let longest = match one == other {
                    true => at(&common, i + 1, j + 1) + 1,
                    false => at(&common, i + 1, j).max(at(&common, i, j + 1)),
                };
                if let Some(cell) = common.get_mut(i * width + j) {
                    *cell = longest;
                }
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    loop {
        match (a.get(i), b.get(j)) {
            (Some(one), Some(other)) if one == other && !common.is_empty() => {
                lines.push((' ', one));
                (i, j) = (i + 1, j + 1);
            }
            (Some(one), other)
                if other.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) =>
            {
                lines.push(('-', one));
                i += 1;
            }
            (_, Some(other)) => {
                lines.push(('+', other));
                j += 1;
            }
            _ => return,
        }
    }
}

/// Only what is near a line that differs, the rest as `…`.
fn shown(lines: &[(char, &str)]) -> String {
    let differs: Vec<usize> =
        lines.iter().enumerate().filter(|(_, (mark, _))| *mark != ' ').map(|(at, _)| at).collect();
    let is_near = |at: usize| {
        let next = differs.partition_point(|other| *other + CONTEXT < at);
        differs.get(next).is_some_and(|other| *other <= at + CONTEXT)
    };
    let mut text = "- in the file, + as it should be".to_owned();
    let mut skipped = false;
    for (at, (mark, line)) in lines.iter().enumerate() {
        if is_near(at) {
            if std::mem::take(&mut skipped) {
                text.push_str("\n  …");
            }
            let _ = write!(text, "\n{}", format!("{mark} {line}").trim_end());
        } else {
            skipped = true;
        }
    }
    text
}
