//! A script: its text, its statements, what it says of itself, and what it weighs.

use std::borrow::Cow;
use std::ops::Range;

use super::action::{self, Action, Change, Control, Reference};
use super::canonical::Canonical;
use super::directive::{self, Directives};
use super::holds;
use super::position::Position;
use super::section::{self, Tool};
use super::split::split_tokens;
use super::token::{Kind, Token, tokens, tokens_in};

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
    /// What to do, where it is not what the kind says.
    pub(crate) advice: Option<String>,
}

impl Fault {
    pub(crate) fn directive(at: usize, why: String) -> Self {
        Fault { at, why, is_directive: true, advice: None }
    }

    pub(crate) fn text(at: usize, why: impl Into<String>) -> Self {
        Fault { at, why: why.into(), is_directive: false, advice: None }
    }

    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        Fault { advice: Some(advice.into()), ..self }
    }
}

/// What is known of a script besides its text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// The part of the text that it is; `None`: all of it.
    pub(crate) part: Option<Range<usize>>,
    pub(crate) marks: Marks,
    pub(crate) breakpoints: Breakpoints,
    pub(crate) transaction: InTransaction,
}

/// Comments that are another tool's marks of sections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Marks {
    /// They are refused: what they mark would run as one script.
    #[default]
    Refuse,
    /// Those of this tool have been read.
    Of(Tool),
    /// They mean nothing any more: the text is one section.
    Pass,
}

/// `--> statement-breakpoint`, which drizzle puts between two statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Breakpoints {
    /// A comment like any other.
    #[default]
    Comments,
    /// The end of a statement, with or without a semicolon.
    End,
}

/// Whether the script runs inside a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum InTransaction {
    /// Unless a directive says otherwise.
    #[default]
    Yes,
    /// Another tool's way of saying it said no.
    No,
}

/// A script as read: SQL with LF line ends and no byte order mark.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The file's name, or what stands for it where there is none.
    pub(crate) file: Cow<'static, str>,
    /// All of the file. The script is the `part`.
    pub(crate) text: Cow<'static, str>,
    /// The text as the file holds it, where that is another one.
    original: Option<Box<Cow<'static, str>>>,
    part: Range<usize>,
    pub(crate) statements: Box<[Statement]>,
    /// Nothing where it says nothing, as most do.
    directives: Option<Box<Directives>>,
    breakpoints: Breakpoints,
    /// Whether that it runs outside a transaction is said in another tool's way.
    said_outside: bool,
    /// Those that act on children.
    pub(crate) references: Box<[Reference]>,
    pub(crate) checksum: String,
}

impl Script {
    /// Reads a script. A NUL must have been refused before: SQLite would stop reading there.
    pub(crate) fn read(text: Cow<'static, str>, reading: Reading) -> Result<Self, Fault> {
        let held = text.clone();
        let text = line_feeds(text);
        let original = (text != held).then(|| held.into());
        let part = reading.part.unwrap_or(0..text.len());
        let mut directives = Directives::default();
        let mut statements = Vec::new();
        let mut references = Vec::new();
        let mut canonical = Canonical::default();
        let mut fault = None;
        let is_end = |comment: &str| {
            reading.breakpoints == Breakpoints::End && comment.starts_with(BREAKPOINT)
        };
        split_tokens(
            &text,
            tokens_in(&text, part.clone()),
            is_end,
            |token, after_first| {
                if fault.is_some() {
                    return;
                }
                let comment = token.text(&text);
                if comment.starts_with("/*") && !closes(comment) {
                    let why = "a comment is opened here and never closed";
                    fault = Some(Fault::text(token.start, why));
                } else if let Some(tool) = strange_mark(comment, reading.marks) {
                    fault = Some(section::misplaced(token.start, tool));
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
        let said_outside = reading.transaction == InTransaction::No && !directives.no_transaction;
        directives.no_transaction |= said_outside;
        // What does nothing to children is not asked for again.
        references.retain(|reference: &Reference| reference.on_delete || reference.on_update);
        Ok(Script {
            file: Cow::Borrowed(""),
            text,
            original,
            part,
            statements: statements.into(),
            directives: (!directives.is_empty()).then(|| directives.into()),
            breakpoints: reading.breakpoints,
            said_outside,
            references: references.into(),
            checksum,
        })
    }

    /// The same, under the name of its file.
    pub(crate) fn called(self, file: impl Into<Cow<'static, str>>) -> Self {
        Script { file: file.into(), ..self }
    }

    /// The same, read from a file that holds something else: other line ends, or placeholders.
    pub(crate) fn of_file(mut self, text: Option<Cow<'static, str>>) -> Self {
        self.original = text.map(Box::new).or(self.original);
        self
    }

    /// What it says of itself.
    pub(crate) fn directives(&self) -> &Directives {
        self.directives.as_deref().unwrap_or(&directive::NONE)
    }

    /// The text as the file holds it.
    pub(crate) fn original(&self) -> &str {
        self.original.as_deref().unwrap_or(&self.text)
    }

    /// The script's own text, which says by itself all that is known of it: what the ledger keeps.
    pub(crate) fn stored(&self) -> Cow<'_, str> {
        let whole = self.part == (0..self.text.len());
        let own = self.text.get(self.part.clone()).unwrap_or_default();
        let own = match self.breakpoints {
            Breakpoints::End => self.with_semicolons(),
            Breakpoints::Comments if whole => Cow::Borrowed(own),
            Breakpoints::Comments => Cow::Borrowed(own.trim()),
        };
        match self.said_outside {
            true => Cow::Owned(format!("-- landfall: no-transaction\n{own}")),
            false => own,
        }
    }

    /// The text, in which breakpoints that alone end a statement have a semicolon before them.
    fn with_semicolons(&self) -> Cow<'_, str> {
        let mut text = String::new();
        let mut is_open = false;
        for token in tokens_in(&self.text, self.part.clone()) {
            let own = token.text(&self.text);
            if is_open && token.kind == Kind::Comment && own.starts_with(BREAKPOINT) {
                text.push(';');
                is_open = false;
            }
            if token.is_significant() {
                is_open = own != ";";
            }
            text.push_str(own);
        }
        Cow::Owned(text)
    }

    /// Where it begins in its file.
    pub(crate) fn start(&self) -> usize {
        self.part.start
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> usize {
        self.part.end
    }

    /// Whether its statements define the schema anew.
    pub(crate) fn changes_schema(&self) -> bool {
        self.statements.iter().any(|statement| match &statement.action {
            Action::Create { temp, .. } => !temp,
            Action::Drop { name, .. } => !name.is_temp(),
            Action::Alter { .. } | Action::Unknown => true,
            _ => false,
        })
    }

    /// Whether any token of its stands in double quotes.
    pub(crate) fn has_double_quotes(&self) -> bool {
        self.text.contains('"')
            && tokens(&self.text).any(|token| is_in_double_quotes(token.text(&self.text)))
    }

    /// The same with what stands in double quotes in backticks, where SQLite takes it for a name and
    /// nothing else: <https://sqlite.org/quirks.html#dblquote>. Every place stays where it is.
    pub(crate) fn in_backticks(&self) -> Script {
        let mut text = String::with_capacity(self.text.len());
        for token in tokens(&self.text) {
            let word = token.text(&self.text);
            let inside = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
            match inside.filter(|_| is_in_double_quotes(word)) {
                Some(inside) => text.extend(["`", inside, "`"]),
                None => text.push_str(word),
            }
        }
        Script { text: text.into(), ..self.clone() }
    }

    pub(crate) fn sql(&self, statement: &Statement) -> &str {
        self.text.get(statement.start..statement.end).unwrap_or_default()
    }

    /// What a table of this name, in lower case, is called after the script's renames.
    pub(crate) fn renamed(&self, table: &str) -> String {
        let mut name = table.to_owned();
        for statement in &self.statements {
            if let Action::Alter { table, change: Change::RenameTable(to) } = &statement.action
                && table.is(&name)
            {
                name = to.to_ascii_lowercase();
            }
        }
        name
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
        let mut tokens = tokens_in(&self.text, self.part.clone());
        self.position(tokens.find(says).map_or(self.part.start, |token| token.start))
    }

    /// The line that the position is on.
    pub(crate) fn line(&self, position: Position) -> &str {
        self.text.lines().nth(position.line - 1).unwrap_or_default()
    }

    /// The statements that are ours to execute inside a transaction of our own: without
    /// `PRAGMA foreign_keys = …`, which does nothing there and is taken as a directive, and
    /// without a single `BEGIN … COMMIT` around everything else but pragmas, or the way around
    /// another runner's transaction.
    pub(crate) fn in_transaction(&self) -> impl Iterator<Item = &Statement> {
        let peeled = self.statements.iter().any(ends) && (self.wraps() || self.escapes());
        self.statements.iter().filter(move |statement| {
            sets_foreign_keys(&statement.action).is_none() && !(peeled && ends(statement))
        })
    }

    /// `BEGIN … COMMIT` around everything else but pragmas.
    pub(crate) fn wraps(&self) -> bool {
        let controls = self.controls();
        self.statements.iter().filter(|s| ends(s)).count() == 2
            && controls.first() == Some(&Some(Control::Begin))
            && controls.last() == Some(&Some(Control::Commit))
    }

    /// `COMMIT`, foreign keys off, everything else, `BEGIN`: written for a runner whose transaction
    /// has to be left for that and that would commit once more. What lies between may be one
    /// `BEGIN … COMMIT` but for pragmas.
    fn escapes(&self) -> bool {
        let controls = self.controls();
        let [Some(Control::Commit), inside @ .., Some(Control::Begin)] = controls.as_slice() else {
            return false;
        };
        let is = |at: Option<&Statement>, control| {
            at.is_some_and(|statement| statement.action == Action::Control(control))
        };
        let off_first = || {
            let before = |s: &&Statement| is_pragma(s) || ends(s);
            let mut head = self.statements.iter().take_while(before);
            head.any(|s| sets_foreign_keys(&s.action) == Some(false))
        };
        let alone = inside.iter().all(Option::is_none);
        let paired = || {
            let [Some(Control::Begin), within @ .., Some(Control::Commit)] = inside else {
                return false;
            };
            within.iter().all(Option::is_none) && self.is_off_before_second_control()
        };
        is(self.statements.first(), Control::Commit)
            && is(self.statements.last(), Control::Begin)
            && off_first()
            && (alone || paired())
    }

    /// In `COMMIT … BEGIN`, the keys go off before that BEGIN, inside which they could not.
    fn is_off_before_second_control(&self) -> bool {
        let mut head = self.statements.iter().skip(1).take_while(|s| !ends(s));
        head.any(|s| sets_foreign_keys(&s.action) == Some(false))
    }

    /// What each statement but pragmas does to the transaction.
    fn controls(&self) -> Vec<Option<Control>> {
        let statements = self.statements.iter().filter(|s| !is_pragma(s));
        let controls = statements.map(|s| match s.action {
            Action::Control(control) if control != Control::Savepoint => Some(control),
            _ => None,
        });
        controls.collect()
    }

    /// The first statement that switches foreign keys off.
    pub(crate) fn foreign_keys_off(&self) -> Option<&Statement> {
        self.statements.iter().find(|s| sets_foreign_keys(&s.action) == Some(false))
    }

    /// Whether it says, in either form, that foreign keys are to be off while it runs.
    pub(crate) fn wants_foreign_keys_off(&self) -> bool {
        self.directives().foreign_keys_off || self.foreign_keys_off().is_some()
    }
}

fn is_pragma(statement: &Statement) -> bool {
    matches!(statement.action, Action::Pragma { .. })
}

/// Whether it begins or ends a transaction.
fn ends(statement: &Statement) -> bool {
    matches!(statement.action, Action::Control(control) if control != Control::Savepoint)
}

/// Whether a token is in double quotes, with nothing in it that backticks would make another name.
fn is_in_double_quotes(word: &str) -> bool {
    let inside = word.strip_prefix('"').and_then(|word| word.strip_suffix('"'));
    inside.is_some_and(|inside| !inside.contains(['"', '`']))
}

/// `PRAGMA foreign_keys = value`, as SQLite reads the value: <https://sqlite.org/pragma.html>.
fn sets_foreign_keys(action: &Action) -> Option<bool> {
    match action {
        Action::Pragma { name, value: Some(value) } if name.as_ref() == "foreign_keys" => {
            let on = matches!(value.as_ref(), "on" | "yes" | "true")
                || value.parse::<i64>().is_ok_and(|number| number != 0);
            Some(on)
        }
        _ => None,
    }
}

const BREAKPOINT: &str = "--> statement-breakpoint";

/// The tool whose mark a comment is, where nobody has read it as one.
fn strange_mark(comment: &str, marks: Marks) -> Option<Tool> {
    let tool = section::tool_of(comment)?;
    (marks != Marks::Of(tool) && marks != Marks::Pass).then_some(tool)
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
    while holds(&text, b'\r') && text.contains("\r\n") {
        text = Cow::Owned(text.replace("\r\n", "\n"));
    }
    text
}
