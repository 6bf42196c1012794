//! Files that hold an up and a down section, marked by comments: those of goose, dbmate and
//! sql-migrate.

use std::fmt;
use std::ops::Range;

use super::holds;
use super::position::Position;
use super::script::{Fault, InTransaction};
use super::token::{Kind, Token, tokens};

/// A tool whose files have sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Goose,
    Dbmate,
    SqlMigrate,
}

/// A section: the part of the text, and whether it runs inside a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) part: Range<usize>,
    pub(crate) transaction: InTransaction,
}

/// The sections of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sections {
    pub(crate) up: Section,
    pub(crate) down: Option<Section>,
}

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Up(InTransaction),
    Down(InTransaction),
    Begin,
    End,
    /// The whole file runs outside a transaction.
    Outside,
}

struct Mark {
    start: usize,
    end: usize,
    word: Word,
}

impl Tool {
    const ALL: [Tool; 3] = [Tool::Goose, Tool::Dbmate, Tool::SqlMigrate];

    /// What its marks begin with.
    fn prefix(self) -> &'static str {
        match self {
            Tool::Goose => "+goose",
            Tool::Dbmate => "migrate:",
            Tool::SqlMigrate => "+migrate",
        }
    }

    /// The mark that every one of its files has.
    fn up(self) -> &'static str {
        match self {
            Tool::Goose => "-- +goose Up",
            Tool::Dbmate => "-- migrate:up",
            Tool::SqlMigrate => "-- +migrate Up",
        }
    }

    /// What follows the prefix of a mark of its own.
    fn said(self, comment: &str) -> Option<String> {
        let said = comment.strip_prefix("--")?.trim_start();
        let (prefix, rest) = said.split_at_checked(self.prefix().len())?;
        if !prefix.eq_ignore_ascii_case(self.prefix()) {
            return None;
        }
        let rest = rest.to_ascii_lowercase();
        let mut words = rest.split_whitespace();
        let is_mark = match self {
            // A comment may begin with the word `migrate:`; dbmate knows these two.
            Tool::Dbmate => {
                !rest.starts_with(char::is_whitespace)
                    && matches!(words.clone().next(), Some("up" | "down"))
            }
            _ => rest.starts_with(char::is_whitespace),
        };
        let first = words.next().filter(|_| is_mark)?;
        Some(words.fold(first.to_owned(), |said, word| format!("{said} {word}")))
    }

    fn read(self, said: &str) -> Option<Word> {
        use InTransaction::{No, Yes};
        Some(match (self, said) {
            (_, "up") => Word::Up(Yes),
            (_, "down") => Word::Down(Yes),
            (Tool::Dbmate, "up transaction:false") => Word::Up(No),
            (Tool::Dbmate, "down transaction:false") => Word::Down(No),
            (Tool::Dbmate, "up transaction:true") => Word::Up(Yes),
            (Tool::Dbmate, "down transaction:true") => Word::Down(Yes),
            (Tool::SqlMigrate, "up notransaction") => Word::Up(No),
            (Tool::SqlMigrate, "down notransaction") => Word::Down(No),
            (Tool::Goose, "no transaction") => Word::Outside,
            (Tool::Goose | Tool::SqlMigrate, "statementbegin") => Word::Begin,
            (Tool::Goose | Tool::SqlMigrate, "statementend") => Word::End,
            _ => return None,
        })
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tool::Goose => "goose",
            Tool::Dbmate => "dbmate",
            Tool::SqlMigrate => "sql-migrate",
        })
    }
}

/// The tool whose mark a comment is.
pub(crate) fn tool_of(comment: &str) -> Option<Tool> {
    Tool::ALL.into_iter().find(|tool| tool.said(comment).is_some())
}

/// The tool whose marks a text holds.
pub(crate) fn tool_in(text: &str) -> Option<Tool> {
    let may = (holds(text, b'+') || holds(text, b':'))
        && Tool::ALL.into_iter().any(|tool| text.contains(tool.prefix()));
    let mut comments = may.then(|| tokens(text)).into_iter().flatten();
    comments.find_map(|token| match token.kind {
        Kind::Comment => tool_of(token.text(text)),
        _ => None,
    })
}

/// A mark in a text that is not read in sections.
pub(super) fn misplaced(at: usize, tool: Tool) -> Fault {
    let why = format!(
        "this is a section of {tool}, and every section of the file would run, its down section \
         too"
    );
    Fault::text(at, why)
        .advise("put the down section into a `.down.sql` file of its own, and remove the marks")
}

/// Cuts a text into its sections. What stands before the first mark belongs to the up section.
pub(crate) fn cut(text: &str, tool: Tool) -> Result<Sections, Fault> {
    let line = |at: usize| Position::of(text, at).line;
    let show = |mark: &Mark| text.get(mark.start..mark.end).unwrap_or_default().trim_end();
    let (mut up, mut down): (Option<&Mark>, Option<&Mark>) = (None, None);
    let mut open: Option<&Mark> = None;
    let mut outside = false;
    let marks = marks(text, tool)?;
    for mark in &marks {
        let before = match mark.word {
            Word::Up(_) => up,
            Word::Down(_) => down,
            _ => None,
        };
        if let Some(first) = before {
            let first = line(first.start);
            let why = format!("`{}` is there twice: the first is in line {first}", show(mark));
            return Err(Fault::text(mark.start, why).advise("make it one"));
        }
        if let (Some(begin), Word::Up(_) | Word::Down(_) | Word::Begin) = (open, mark.word) {
            return Err(unclosed(begin, Some(line(mark.start))));
        }
        match mark.word {
            Word::Up(_) if down.is_some() => return Err(upside_down(down.unwrap_or(mark), tool)),
            Word::Up(_) => up = Some(mark),
            Word::Down(_) if up.is_none() => return Err(upside_down(mark, tool)),
            Word::Down(_) => down = Some(mark),
            Word::Begin => open = Some(mark),
            Word::End if open.take().is_none() => {
                let why = format!("`{}` ends what was never begun", show(mark));
                return Err(Fault::text(mark.start, why).advise("remove it, or begin it"));
            }
            Word::End => {}
            Word::Outside => outside = true,
        }
    }
    if let Some(begin) = open {
        return Err(unclosed(begin, None));
    }
    let Some(up) = up else {
        let why = format!("it has no `{}`, which every migration of {tool} has", tool.up());
        let advice = format!("write `{}` before its first statement", tool.up());
        return Err(Fault::text(0, why).advise(advice));
    };
    let mut early = tokens(text).take_while(|token| token.start < up.start);
    if let Some(token) = early.find(|token| token.is_significant()) {
        let why = format!("this stands before `{}`, and {tool} would not run it", tool.up());
        return Err(Fault::text(token.start, why).advise("move it below the mark"));
    }
    let of = |part, word| {
        let said = matches!(word, Word::Up(InTransaction::No) | Word::Down(InTransaction::No));
        let transaction = if outside || said { InTransaction::No } else { InTransaction::Yes };
        Section { part, transaction }
    };
    Ok(Sections {
        up: of(0..down.map_or(text.len(), |down| down.start), up.word),
        down: down.map(|down| of(down.end..text.len(), down.word)),
    })
}

/// The marks, each a line of its own. The tools look at lines, whatever they stand in: a line that
/// looks like a mark inside a string or a block comment is one to them and none to SQLite.
fn marks(text: &str, tool: Tool) -> Result<Vec<Mark>, Fault> {
    let mut marks = Vec::new();
    for token in tokens(text) {
        if token.kind != Kind::Comment || !token.text(text).starts_with("--") {
            refuse_hidden(text, token, tool)?;
            continue;
        }
        let Some(said) = tool.said(token.text(text)) else { continue };
        let before = text.get(..token.start).unwrap_or_default();
        if !before.rsplit('\n').next().unwrap_or_default().trim().is_empty() {
            let why = format!("{tool} looks for its marks at the beginning of a line");
            return Err(Fault::text(token.start, why).advise("give it a line of its own"));
        }
        let Some(word) = tool.read(&said) else {
            let why = format!("`{}` is no mark of {tool} that is known here", said.trim_end());
            return Err(Fault::text(token.start, why).advise(unknown(&said)));
        };
        marks.push(Mark { start: token.start, end: token.end, word });
    }
    Ok(marks)
}

fn unknown(said: &str) -> &'static str {
    match said.starts_with("envsub") {
        true => "write the values of the environment into the file",
        false => "correct it, or make it a comment of another form",
    }
}

fn refuse_hidden(text: &str, token: Token, tool: Tool) -> Result<(), Fault> {
    let within = token.text(text);
    let mut at = token.start;
    for line in within.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if at > token.start && tool.said(line.trim()).is_some() {
            let line = Position::of(text, token.start).line;
            let why = format!(
                "{tool} takes this for its mark, and it is inside a string, name or comment that \
                 begins in line {line}"
            );
            return Err(Fault::text(at + indent, why).advise("close it before, or word it anew"));
        }
        at += line.len();
    }
    Ok(())
}

fn unclosed(begin: &Mark, at_line: Option<usize>) -> Fault {
    let why = match at_line {
        Some(line) => format!("`StatementBegin` is not closed by the mark in line {line}"),
        None => "`StatementBegin` is never closed".to_owned(),
    };
    Fault::text(begin.start, why).advise("write `StatementEnd` after its statement")
}

fn upside_down(down: &Mark, tool: Tool) -> Fault {
    let why = format!("the down section stands before `{}`", tool.up());
    Fault::text(down.start, why).advise("put the up section first")
}
