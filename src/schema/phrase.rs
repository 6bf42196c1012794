//! A piece of SQL as it stands in a schema: what of it counts, and how it is shown.

use std::fmt;

use crate::sql::keyword::{is_keyword, named, needs_quotes};
use crate::sql::token::{Kind, Token, tokens, unquoted};

/// A piece of SQL. Two are equal if they mean the same to SQLite's parser.
#[derive(Clone, Default)]
pub(crate) struct Phrase {
    /// The tokens, each followed by a NUL: names and keywords in lower case and without quotes,
    /// text as it is.
    meaning: String,
    /// The tokens as they were written, with the white space that a person expects.
    shown: String,
}

impl PartialEq for Phrase {
    fn eq(&self, other: &Self) -> bool {
        self.meaning == other.meaning
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Which names there are. A name in double quotes that there is not is a string:
/// <https://sqlite.org/quirks.html#double_quoted_string_literals_are_accepted>.
pub(crate) type Names<'n> = &'n dyn Fn(&str) -> bool;

impl Phrase {
    /// Reads tokens of a text.
    pub(crate) fn of(text: &str, tokens: &[Token], names: Names<'_>) -> Self {
        let mut phrase = Phrase::default();
        let mut writer = Writer::default();
        for (at, token) in tokens.iter().enumerate() {
            let said = token.text(text);
            let before = at.checked_sub(1).and_then(|before| tokens.get(before));
            let (meaning, shown) = match token.kind {
                Kind::Word => (said.to_ascii_lowercase(), said.to_owned()),
                Kind::Quoted => {
                    let name = unquoted(said);
                    let after = tokens.get(at + 1..).unwrap_or_default();
                    if said.starts_with('"')
                        && !names(&name.to_ascii_lowercase())
                        && is_operand(text, before, after)
                    {
                        let literal = format!("'{}'", name.replace('\'', "''"));
                        (literal.clone(), literal)
                    } else {
                        let folded = name.to_ascii_lowercase();
                        let quoted = needs_quotes(&folded) || !is_plain(&folded);
                        let meaning = if quoted { crate::sql::quoted(&folded) } else { folded };
                        (meaning, named(&name))
                    }
                }
                Kind::Value => (said.to_ascii_lowercase(), said.to_owned()),
                Kind::Mark => (spelled_once(said).to_owned(), said.to_owned()),
                _ => (said.to_owned(), said.to_owned()),
            };
            phrase.meaning.push_str(&meaning);
            phrase.meaning.push('\0');
            writer.push(token.kind, &shown);
        }
        phrase.shown = writer.text;
        phrase
    }

    /// Reads an expression, parentheses around all of it left out.
    pub(crate) fn expression(text: &str, tokens: &[Token], names: Names<'_>) -> Self {
        Self::of(text, bared(text, tokens), names)
    }

    /// Text as a string literal.
    pub(crate) fn literal(text: &str) -> Self {
        let literal = format!("'{}'", text.replace('\'', "''"));
        Phrase { meaning: format!("{literal}\0"), shown: literal }
    }

    /// The tokens exactly as they stand, for what is no SQL: only white space and comments between
    /// them do not count.
    pub(crate) fn verbatim(text: &str, tokens: &[Token]) -> Self {
        let mut phrase = Phrase::default();
        let mut writer = Writer::default();
        for token in tokens {
            phrase.meaning.push_str(token.text(text));
            phrase.meaning.push('\0');
            writer.push(token.kind, token.text(text));
        }
        phrase.shown = writer.text;
        phrase
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.meaning.is_empty()
    }

    /// Whether it is this one word, given in lower case.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.meaning.strip_suffix('\0') == Some(word)
    }

    /// Whether any token is this name, given in lower case.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        let quoted = crate::sql::quoted(name);
        self.meaning.split('\0').any(|token| token == name || token == quoted)
    }

    /// What two equal ones share, to sort and look up by.
    pub(crate) fn key(&self) -> &str {
        &self.meaning
    }

    /// Whether it can stand after DEFAULT without parentheses.
    pub(crate) fn is_literal(&self) -> bool {
        let tokens = significant(&self.shown);
        let (sign, rest) = match tokens.as_slice() {
            [first, rest @ ..] if matches!(first.text(&self.shown), "+" | "-") => (true, rest),
            all => (false, all),
        };
        let [token] = rest else { return false };
        match token.kind {
            Kind::Value => true,
            Kind::Text => !sign,
            Kind::Word => {
                let word = token.text(&self.shown).to_ascii_lowercase();
                !sign && (word == "null" || needs_quotes(&word))
            }
            _ => false,
        }
    }
}

/// The tokens of a text that mean something.
pub(crate) fn significant(text: &str) -> Vec<Token> {
    tokens(text).filter(|token| token.is_significant()).collect()
}

/// The tokens within the parentheses that stand around all of them, however many.
pub(crate) fn bared<'t>(text: &str, mut all: &'t [Token]) -> &'t [Token] {
    while let [first, inner @ .., last] = all
        && first.text(text) == "("
        && last.text(text) == ")"
        && closes_last(text, inner)
    {
        all = inner;
    }
    all
}

/// Whether no parenthesis in it closes one before it.
fn closes_last(text: &str, inner: &[Token]) -> bool {
    let mut depth = 0usize;
    for token in inner {
        match token.text(text) {
            "(" => depth += 1,
            ")" if depth == 0 => return false,
            ")" => depth -= 1,
            _ => {}
        }
    }
    true
}

fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80;
    bytes.next().is_some_and(|b| word(b) && !b.is_ascii_digit() && b != b'$') && bytes.all(word)
}

/// SQLite spells two operators in two ways.
fn spelled_once(mark: &str) -> &str {
    match mark {
        "==" => "=",
        "<>" => "!=",
        other => other,
    }
}

/// Whether a name in double quotes stands where a value may: not after a dot or AS, not as the
/// alias of what is before it, not before a dot, a parenthesis, or the AS of a WITH.
fn is_operand(text: &str, before: Option<&Token>, after: &[Token]) -> bool {
    let follows = before.is_none_or(|before| {
        let said = before.text(text);
        match before.kind {
            Kind::Word => {
                let introduces_name = ["as", "table", "into", "update", "from", "join", "on"];
                let word = said.to_ascii_lowercase();
                is_keyword(&word)
                    && !matches!(word.as_str(), "end" | "null" | "true" | "false")
                    && (!introduces_name.contains(&word.as_str()) || word == "on")
            }
            Kind::Mark => said != "." && said != ")",
            _ => false,
        }
    });
    let said = |at: usize| after.get(at).map_or("", |token| token.text(text));
    let leads =
        matches!(said(0), "." | "(") || said(0).eq_ignore_ascii_case("as") && said(1) == "(";
    follows && !leads
}

/// Writes tokens with one space between them, and none where a person writes none.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) text: String,
    /// The last token, and whether what comes next is stuck to it.
    last: Option<(Kind, String)>,
    sticks: bool,
}

impl Writer {
    pub(crate) fn push(&mut self, kind: Kind, token: &str) {
        if self.wants_space(kind, token) {
            self.text.push(' ');
        }
        self.sticks = matches!(token, "(" | ".") || self.is_sign(token);
        self.text.push_str(token);
        self.last = Some((kind, token.to_owned()));
    }

    /// Begins a new line, so many spaces in.
    pub(crate) fn line(&mut self, indent: usize) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&" ".repeat(indent));
        self.last = None;
        self.sticks = true;
    }

    fn wants_space(&self, kind: Kind, token: &str) -> bool {
        let Some((last_kind, last)) = &self.last else { return false };
        if self.sticks || (kind == Kind::Mark && matches!(token, ")" | "," | ".")) || token == ";" {
            return false;
        }
        // The parenthesis of a function's arguments, or of a table's columns.
        let calls = *last_kind == Kind::Quoted
            || *last_kind == Kind::Word && (!is_keyword(last) || is_function(last));
        !(token == "(" && calls)
    }

    /// Whether a plus or minus belongs to the number behind it.
    fn is_sign(&self, token: &str) -> bool {
        if !matches!(token, "-" | "+" | "~") {
            return false;
        }
        match &self.last {
            None => true,
            Some((Kind::Word, word)) => is_keyword(word),
            Some((Kind::Mark, mark)) => mark != ")",
            Some(_) => false,
        }
    }
}

/// Keywords that are functions as well.
fn is_function(word: &str) -> bool {
    let functions = ["cast", "glob", "if", "like", "raise", "regexp", "replace"];
    functions.iter().any(|function| word.eq_ignore_ascii_case(function))
}
