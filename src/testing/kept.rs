//! A text file that is kept beside the code and under review: compared with what it should say, and
//! written anew where that is asked for.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind as Io;
use std::path::Path;

use crate::error::{Difference, Error, ErrorKind, Result};
use crate::escape::escaped;
use crate::path::{self, Partial};

/// What a test's environment says for a kept file to be written and not compared.
const UPDATE: (&str, &str) = ("UPDATE_LOCK", "1");

/// Sees to it that the file holds this text; `of` says what that is, after "is not". Line ends do
/// not count. A file that holds another text fails, both shown as a difference of lines, or is
/// replaced as a whole where the environment has `UPDATE_LOCK=1`.
pub(super) fn keep(path: &Path, text: &str, of: &'static str) -> Result<()> {
    keep_unless(path, text, |found| {
        let error = Error::from(ErrorKind::Outdated { path: path.to_owned(), of });
        Some(match found {
            Some(found) => error.because(Difference(difference(found, text))),
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
    let found = match path::read(path).map(String::from_utf8) {
        Ok(Ok(found)) => Some(found.replace("\r\n", "\n")),
        // Another text in any case.
        Ok(Err(_)) => Some("(not UTF-8)\n".to_owned()),
        Err(error) if error.kind() == Io::NotFound => None,
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
    let partial = Partial::create(path, "partial")?;
    fs::write(partial.path(), text)?;
    fs::rename(partial.path(), path)
}

/// How many lines that are the same are shown around those that are not.
const CONTEXT: usize = 2;

/// How many lines are shown in all.
const SHOWN: usize = 200;

/// How many lines may differ for the fewest to be looked for.
const EDITS: isize = 1000;

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

/// The fewest lines to take away and to add that make one of the other, by E. Myers's way: on each
/// diagonal one walks as far as the lines are the same, with no edit, one, two, and so on. Where
/// they become too many, all of the one goes and all of the other comes.
fn aligned<'l>(a: &[&'l str], b: &[&'l str], lines: &mut Vec<(char, &'l str)>) {
    let Some(steps) = steps(a, b) else {
        lines.extend(a.iter().map(|line| ('-', *line)));
        lines.extend(b.iter().map(|line| ('+', *line)));
        return;
    };
    let start = lines.len();
    let (mut x, mut y) = (a.len() as isize, b.len() as isize);
    for (edits, reach) in steps.iter().enumerate().rev() {
        let (from, from_x) = reach.origin(edits as isize, x - y);
        let from_y = from_x - from;
        while x > from_x && y > from_y {
            lines.extend(line(a, x - 1).map(|line| (' ', line)));
            (x, y) = (x - 1, y - 1);
        }
        match x > from_x {
            true => lines.extend(line(a, x - 1).map(|line| ('-', line))),
            false => lines.extend(line(b, y - 1).map(|line| ('+', line))),
        }
        (x, y) = (from_x, from_y);
    }
    lines.get_mut(start..).unwrap_or_default().reverse();
}

fn line<'l>(lines: &[&'l str], at: isize) -> Option<&'l str> {
    lines.get(usize::try_from(at).ok()?).copied()
}

/// What there was to start from at each number of edits, up to the one that makes it all.
fn steps(a: &[&str], b: &[&str]) -> Option<Vec<Reach>> {
    let mut reach = Reach(HashMap::from([(1, 0)]));
    let mut steps = Vec::new();
    for edits in 0..=EDITS {
        steps.push(reach.clone());
        for diagonal in (-edits..=edits).step_by(2) {
            let (from, from_x) = reach.origin(edits, diagonal);
            let mut x = if from > diagonal { from_x } else { from_x + 1 };
            while line(a, x).is_some_and(|one| line(b, x - diagonal) == Some(one)) {
                x += 1;
            }
            reach.0.insert(diagonal, x);
            if x >= a.len() as isize && x - diagonal >= b.len() as isize {
                return Some(steps);
            }
        }
    }
    None
}

/// How far along the first text one has come, by diagonal: lines of the first less lines of the
/// second.
#[derive(Clone)]
struct Reach(HashMap<isize, isize>);

impl Reach {
    /// The neighbour that a diagonal is come to from, by taking a line away or adding one, and how
    /// far that has come.
    fn origin(&self, edits: isize, diagonal: isize) -> (isize, isize) {
        let at = |diagonal| self.0.get(&diagonal).copied().unwrap_or(0);
        let adds = diagonal == -edits || diagonal != edits && at(diagonal - 1) < at(diagonal + 1);
        let from = if adds { diagonal + 1 } else { diagonal - 1 };
        (from, at(from))
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
    let (mut skipped, mut told) = (false, 0);
    for (at, (mark, line)) in lines.iter().enumerate() {
        if is_near(at) {
            if std::mem::take(&mut skipped) {
                text.push_str("\n  …");
            }
            told += 1;
            if told > SHOWN {
                text.push_str("\n  … and so on");
                break;
            }
            let _ = write!(text, "\n{}", format!("{mark} {}", escaped(line)).trim_end());
        } else {
            skipped = true;
        }
    }
    text
}
