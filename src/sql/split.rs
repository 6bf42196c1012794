//! Splits a script into statements, as `sqlite3_complete` finds their ends.

use super::token::{Kind, Token, Tokens, tokens};

/// Where in a statement the splitter is. A semicolon ends a statement except inside the body of
/// a trigger, which ends with `; END ;`.
///
/// ```text
///            ;        EXPLAIN   CREATE   TEMP     TRIGGER  END      other
/// Start      Start    Explain   Create   Plain    Plain    Plain    Plain
/// Plain      Start    Plain     Plain    Plain    Plain    Plain    Plain
/// Explain    Start    Plain     Create   Plain    Plain    Plain    Explain
/// Create     Start    Plain     Plain    Create   Trigger  Plain    Plain
/// Trigger    Semi     Trigger   Trigger  Trigger  Trigger  Trigger  Trigger
/// Semi       Semi     Trigger   Trigger  Trigger  Trigger  End      Trigger
/// End        Start    Trigger   Trigger  Trigger  Trigger  Trigger  Trigger
/// ```
///
/// The rule is SQLite's: <https://sqlite.org/c3ref/complete.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Plain,
    Explain,
    Create,
    Trigger,
    Semi,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Semicolon,
    Explain,
    Create,
    Temp,
    Trigger,
    End,
    Other,
}

impl Input {
    fn of(token: Token, text: &str) -> Self {
        match token.kind {
            Kind::Semicolon => Input::Semicolon,
            Kind::Word => Input::of_word(token.text(text)),
            _ => Input::Other,
        }
    }

    /// Length and first letter leave one keyword at most to compare with.
    fn of_word(word: &str) -> Self {
        let first = word.bytes().next().unwrap_or_default().to_ascii_uppercase();
        let (keyword, input) = match (first, word.len()) {
            (b'C', 6) => ("CREATE", Input::Create),
            (b'E', 3) => ("END", Input::End),
            (b'E', 7) => ("EXPLAIN", Input::Explain),
            (b'T', 4) => ("TEMP", Input::Temp),
            (b'T', 7) => ("TRIGGER", Input::Trigger),
            (b'T', 9) => ("TEMPORARY", Input::Temp),
            _ => return Input::Other,
        };
        if keyword.eq_ignore_ascii_case(word) { input } else { Input::Other }
    }
}

impl State {
    fn after(self, input: Input) -> Self {
        use State::{Create, End, Explain, Plain, Semi, Start, Trigger};
        match (self, input) {
            (Trigger | Semi, Input::Semicolon) => Semi,
            (_, Input::Semicolon) => Start,
            (Semi, Input::End) => End,
            (Trigger | Semi | End, _) => Trigger,
            (Start, Input::Explain) => Explain,
            (Start | Explain, Input::Create) => Create,
            (Explain, Input::Other) => Explain,
            (Create, Input::Temp) => Create,
            (Create, Input::Trigger) => Trigger,
            _ => Plain,
        }
    }
}

/// A statement: its significant tokens, the closing semicolon not among them.
#[derive(Debug)]
pub(crate) struct Cut<'t> {
    pub(crate) tokens: &'t [Token],
}

impl Cut<'_> {
    /// Where the statement starts: its first token.
    pub(crate) fn start(&self) -> usize {
        self.tokens.first().map_or(0, |token| token.start)
    }

    /// Where it ends: after its last token.
    pub(crate) fn end(&self) -> usize {
        self.tokens.last().map_or(0, |token| token.end)
    }
}

/// Hands over each statement of a script in turn, and each comment as it passes, with whether a
/// statement has begun before it. Empty statements are passed over.
pub(crate) fn split(
    text: &str,
    on_comment: impl FnMut(Token, bool),
    on_statement: impl FnMut(&Cut<'_>),
) {
    split_tokens(text, tokens(text), |_| false, on_comment, on_statement);
}

/// The same of some tokens of the text, where `is_end` says which comments end a statement,
/// wherever they stand.
pub(crate) fn split_tokens(
    text: &str,
    mut tokens: Tokens<'_>,
    is_end: impl Fn(&str) -> bool,
    mut on_comment: impl FnMut(Token, bool),
    mut on_statement: impl FnMut(&Cut<'_>),
) {
    let mut state = State::Start;
    let mut pending: Vec<Token> = Vec::with_capacity(64);
    let mut any = false;
    while let Some(token) = tokens.next_after_space() {
        state = match token.kind {
            Kind::Space => continue,
            Kind::Comment => {
                on_comment(token, any);
                if !is_end(token.text(text)) {
                    continue;
                }
                State::Start
            }
            // Nothing else gets out of the state that most tokens are met in.
            kind if state == State::Plain && kind != Kind::Semicolon => State::Plain,
            _ => state.after(Input::of(token, text)),
        };
        if state != State::Start {
            any = true;
            pending.push(token);
        } else if !pending.is_empty() {
            on_statement(&Cut { tokens: &pending });
            pending.clear();
        }
    }
    if !pending.is_empty() {
        on_statement(&Cut { tokens: &pending });
    }
}
