//! A script: its text, its statements, what it says of itself, and what it weighs.

use std::borrow::Cow;

use super::action::{self, Action, Control, Reference};
use super::canonical::Canonical;
use super::directive::{self, Directives};
use super::position::Position;
use super::split::split;
use super::token::{Kind, Token, tokens};

/// A statement: where it stands and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) action: Action,
}

/// What is wrong with a script's text, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) why: String,
    /// Whether it is about a directive, and not about the SQL.
    pub(crate) is_directive: bool,
}

impl Fault {
    pub(crate) fn directive(at: usize, why: String) -> Self {
        Fault { at, why, is_directive: true }
    }
}

/// A script as read: SQL with LF line ends and no byte order mark.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The file's name, or what stands for it where there is none.
    pub(crate) file: String,
    pub(crate) text: Cow<'static, str>,
    pub(crate) statements: Vec<Statement>,
    pub(crate) directives: Directives,
    pub(crate) references: Vec<Reference>,
    pub(crate) checksum: String,
}

impl Script {
    /// Reads a script. A NUL must have been refused before: SQLite would stop reading there.
    pub(crate) fn read(file: impl Into<String>, text: Cow<'static, str>) -> Result<Self, Fault> {
        let text = line_feeds(text);
        let mut directives = Directives::default();
        let mut statements = Vec::new();
        let mut references = Vec::new();
        let mut canonical = Canonical::default();
        let mut fault = None;
        split(
            &text,
            |token, after_first| {
                if fault.is_some() {
                    return;
                }
                let comment = token.text(&text);
                if comment.starts_with("/*") && !closes(comment) {
                    let why = "a comment is opened here and never closed".to_owned();
                    fault = Some(Fault { at: token.start, why, is_directive: false });
                } else if let Some(tool) = section_of(comment) {
                    let why = format!(
                        "this is a section of {tool}, and every section of the file would run, \
                         its down section too"
                    );
                    fault = Some(Fault { at: token.start, why, is_directive: false });
                } else if !after_first {
                    fault = directives.read(comment, token.start).err();
                } else if directive::body(comment).is_some() {
                    let why = "a directive has to stand before the first statement".to_owned();
                    fault = Some(Fault::directive(token.start, why));
                }
            },
            |cut| {
                canonical.push(&text, cut);
                let action = action::action(&text, cut);
                if matches!(action, Action::Create { .. } | Action::Alter { .. }) {
                    references.extend(action::references(&text, cut));
                }
                statements.push(Statement { start: cut.start(), end: cut.end(), action });
            },
        );
        if let Some(fault) = fault {
            return Err(fault);
        }
        let checksum = canonical.checksum();
        Ok(Script { file: file.into(), text, statements, directives, references, checksum })
    }

    pub(crate) fn sql(&self, statement: &Statement) -> &str {
        self.text.get(statement.start..statement.end).unwrap_or_default()
    }

    pub(crate) fn position(&self, byte: usize) -> Position {
        Position::of(&self.text, byte)
    }

    /// Where the directive of this word stands.
    pub(crate) fn place_of(&self, directive: &str) -> Position {
        let says = |token: &Token| {
            let body = directive::body(token.text(&self.text));
            token.kind == Kind::Comment && body.is_some_and(|body| body.starts_with(directive))
        };
        self.position(tokens(&self.text).find(says).map_or(0, |token| token.start))
    }

    /// The line that the position is on.
    pub(crate) fn line(&self, position: Position) -> &str {
        self.text.lines().nth(position.line - 1).unwrap_or_default()
    }

    /// The statements that are ours to execute inside a transaction of our own: without
    /// `PRAGMA foreign_keys = …`, which does nothing there and is taken as a directive, and
    /// without a single `BEGIN … COMMIT` around everything else but pragmas.
    pub(crate) fn in_transaction(&self) -> Vec<&Statement> {
        let all = || self.statements.iter().filter(|s| sets_foreign_keys(&s.action).is_none());
        let is_pragma = |s: &&Statement| matches!(s.action, Action::Pragma { .. });
        let ends = |s: &&Statement| match s.action {
            Action::Control(control) => control != Control::Savepoint,
            _ => false,
        };
        let first = all().find(|s| !is_pragma(s));
        let last = all().rfind(|s| !is_pragma(s));
        let wraps = first.is_some_and(|s| s.action == Action::Control(Control::Begin))
            && last.is_some_and(|s| s.action == Action::Control(Control::Commit))
            && all().filter(ends).count() == 2;
        if wraps { all().filter(|s| !ends(s)).collect() } else { all().collect() }
    }

    /// The first statement that switches foreign keys off.
    pub(crate) fn foreign_keys_off(&self) -> Option<&Statement> {
        self.statements.iter().find(|s| sets_foreign_keys(&s.action) == Some(false))
    }

    /// Whether it says, in either form, that foreign keys are to be off while it runs.
    pub(crate) fn wants_foreign_keys_off(&self) -> bool {
        self.directives.foreign_keys_off || self.foreign_keys_off().is_some()
    }
}

/// `PRAGMA foreign_keys = value`, as SQLite reads the value: <https://sqlite.org/pragma.html>.
fn sets_foreign_keys(action: &Action) -> Option<bool> {
    match action {
        Action::Pragma { name, value: Some(value) } if name == "foreign_keys" => {
            let on = matches!(value.as_str(), "on" | "yes" | "true")
                || value.parse::<i64>().is_ok_and(|number| number != 0);
            Some(on)
        }
        _ => None,
    }
}

/// The tool whose files hold an up and a down section, marked by such a comment.
fn section_of(comment: &str) -> Option<&'static str> {
    let said = comment.strip_prefix("--")?.trim_start().to_ascii_lowercase();
    let tools = [("+goose ", "goose"), ("+migrate ", "sql-migrate"), ("migrate:", "dbmate")];
    tools.into_iter().find(|(mark, _)| said.starts_with(mark)).map(|(_, tool)| tool)
}

/// Whether a block comment is closed. SQLite takes the rest of the text as a comment where not,
/// and with it every statement that was meant to follow.
fn closes(comment: &str) -> bool {
    comment.len() >= 4 && comment.ends_with("*/")
}

/// The text without a byte order mark and with its line ends as LF, so that a checkout on
/// Windows runs the same SQL and stores the same strings. Done twice it is as done once: a down
/// script is read again out of the ledger.
pub(crate) fn line_feeds(text: Cow<'static, str>) -> Cow<'static, str> {
    let mut text = match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Cow::Owned(text) => match text.strip_prefix('\u{feff}') {
            Some(rest) => Cow::Owned(rest.to_owned()),
            None => Cow::Owned(text),
        },
    };
    while text.contains("\r\n") {
        text = Cow::Owned(text.replace("\r\n", "\n"));
    }
    text
}
