//! The lexical grammar: text → tokens, as SQLite's own tokenizer cuts them.

use std::ops::Range;

/// What a token is, as far as anyone here needs to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// White space, and a byte order mark wherever SQLite passes over it.
    Space,
    /// `-- …` up to the line's end, or `/* … */`.
    Comment,
    /// A bare word: a keyword or an identifier.
    Word,
    /// `"name"`, `[name]` or `` `name` ``.
    Quoted,
    /// `'text'`.
    Text,
    /// A number, a blob literal, a bound variable.
    Value,
    /// `;`
    Semicolon,
    /// An operator or any other mark.
    Mark,
}

/// A token and the bytes it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Token {
    /// Whether the token means anything to SQLite's parser.
    pub(crate) fn is_significant(self) -> bool {
        !matches!(self.kind, Kind::Space | Kind::Comment)
    }

    pub(crate) fn length(self) -> usize {
        self.end - self.start
    }

    pub(crate) fn text(self, source: &str) -> &str {
        source.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn bytes(self, source: &str) -> &[u8] {
        source.as_bytes().get(self.start..self.end).unwrap_or_default()
    }

    /// Whether it is this keyword, which is written in ASCII.
    pub(crate) fn is(self, keyword: &str, source: &str) -> bool {
        self.kind == Kind::Word
            && self.length() == keyword.len()
            && self.bytes(source).eq_ignore_ascii_case(keyword.as_bytes())
    }
}

/// The tokens of a text, one after another, covering every byte of it.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

pub(crate) fn tokens(text: &str) -> Tokens<'_> {
    Tokens { bytes: text.as_bytes(), at: 0 }
}

/// The tokens of a part of a text, which say where they stand in all of it.
pub(crate) fn tokens_in(text: &str, part: Range<usize>) -> Tokens<'_> {
    Tokens { bytes: text.as_bytes().get(..part.end).unwrap_or_default(), at: part.start }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    #[inline]
    fn next(&mut self) -> Option<Token> {
        let start = self.at;
        let first = *self.bytes.get(start)?;
        let kind = match in_words(first) {
            InWords::First => self.word(),
            _ => self.scan(first),
        };
        Some(Token { kind, start, end: self.at })
    }
}

impl Tokens<'_> {
    /// The next token after any white space.
    pub(crate) fn next_after_space(&mut self) -> Option<Token> {
        if begins_space(self.peek(0)) {
            self.take_while(is_space);
        }
        self.next()
    }

    /// The byte `ahead` places further, or 0 past the end: a script holds no NUL.
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|&b| !wanted(b)).unwrap_or(rest.len());
    }

    fn take(&mut self, bytes: usize, kind: Kind) -> Kind {
        self.at = (self.at + bytes).min(self.bytes.len());
        kind
    }

    fn scan(&mut self, first: u8) -> Kind {
        match first {
            0xEF if self.peek(1) == 0xBB && self.peek(2) == 0xBF => self.take(3, Kind::Space),
            b'-' if self.peek(1) == b'-' => {
                self.take_while(|b| b != b'\n');
                Kind::Comment
            }
            b'/' if self.peek(1) == b'*' && self.peek(2) != 0 => self.block_comment(),
            b'\'' => self.quoted(b'\'', Kind::Text),
            b'"' | b'`' => self.quoted(first, Kind::Quoted),
            b'[' => {
                self.take_while(|b| b != b']');
                self.take(1, Kind::Quoted)
            }
            b'x' | b'X' if self.peek(1) == b'\'' => {
                self.at += 1;
                self.quoted(b'\'', Kind::Value)
            }
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_ascii_digit() => self.number(),
            b'?' => {
                self.at += 1;
                self.take_while(|b| b.is_ascii_digit());
                Kind::Value
            }
            b'$' | b'@' | b':' | b'#' => self.variable(),
            b';' => self.take(1, Kind::Semicolon),
            b'(' | b')' | b',' => self.take(1, Kind::Mark),
            _ if begins_space(first) => {
                self.take_while(is_space);
                Kind::Space
            }
            _ if is_word(first) => self.word(),
            _ => self.mark(),
        }
    }

    fn word(&mut self) -> Kind {
        self.take_while(is_word);
        Kind::Word
    }

    fn block_comment(&mut self) -> Kind {
        self.at += 3;
        while self.at < self.bytes.len() {
            if self.bytes.get(self.at - 1) == Some(&b'*') && self.peek(0) == b'/' {
                return self.take(1, Kind::Comment);
            }
            self.at += 1;
        }
        Kind::Comment
    }

    fn quoted(&mut self, quote: u8, kind: Kind) -> Kind {
        self.at += 1;
        while self.at < self.bytes.len() {
            if self.peek(0) != quote {
                self.at += 1;
            } else if self.peek(1) == quote {
                self.at += 2;
            } else {
                return self.take(1, kind);
            }
        }
        kind
    }

    /// Digits, `0x…`, a fraction, an exponent, and the word stuck to it, which SQLite refuses.
    fn number(&mut self) -> Kind {
        let hexadecimal = self.peek(0) == b'0' && matches!(self.peek(1), b'x' | b'X');
        self.take_while(is_word);
        if hexadecimal {
            return Kind::Value;
        }
        if self.peek(0) == b'.' {
            self.at += 1;
            self.take_while(is_word);
        }
        let exponent = matches!(self.bytes.get(self.at - 1), Some(b'e' | b'E'));
        if exponent && matches!(self.peek(0), b'+' | b'-') && self.peek(1).is_ascii_digit() {
            self.at += 1;
            self.take_while(is_word);
        }
        Kind::Value
    }

    /// `$name`, `@name`, `:name`, and Tcl's `$a::b(c)`, which SQLite takes as one token.
    fn variable(&mut self) -> Kind {
        let start = self.at;
        self.at += 1;
        loop {
            self.take_while(is_word);
            if self.at > start + 1 && self.peek(0) == b'(' {
                self.take_while(|b| !is_space(b) && b != b')');
                if self.peek(0) == b')' {
                    self.at += 1;
                }
                break;
            }
            if self.peek(0) != b':' || self.peek(1) != b':' {
                break;
            }
            self.at += 2;
        }
        if self.at == start + 1 { Kind::Mark } else { Kind::Value }
    }

    fn mark(&mut self) -> Kind {
        let length = match (self.peek(0), self.peek(1), self.peek(2)) {
            (b'-', b'>', b'>') => 3,
            (b'-', b'>', _)
            | (b'|', b'|', _)
            | (b'<', b'=' | b'>' | b'<', _)
            | (b'>', b'=' | b'>', _)
            | (b'=' | b'!', b'=', _) => 2,
            _ => 1,
        };
        self.take(length, Kind::Mark)
    }
}

/// A vertical tab only goes on with white space.
fn begins_space(byte: u8) -> bool {
    is_space(byte) && byte != b'\x0b'
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn is_word(byte: u8) -> bool {
    in_words(byte) != InWords::No
}

fn in_words(byte: u8) -> InWords {
    WORDS.get(usize::from(byte)).copied().unwrap_or(InWords::No)
}

/// Whether a byte can stand in a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InWords {
    No,
    Yes,
    /// And is the first byte of nothing else.
    First,
}

/// Most bytes of a script are looked up here.
static WORDS: [InWords; 256] = {
    let mut table = [InWords::No; 256];
    let mut rest: &mut [InWords] = &mut table;
    let mut byte = 0_u8;
    while let Some((in_words, others)) = rest.split_first_mut() {
        *in_words = match byte {
            b'x' | b'X' | b'0'..=b'9' | b'$' | 0xEF => InWords::Yes,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => InWords::First,
            _ => InWords::No,
        };
        byte = byte.wrapping_add(1);
        rest = others;
    }
    table
};

/// The name that an identifier token stands for, its quotes taken off.
pub(crate) fn unquoted(token: &str) -> String {
    let (open, close) = match token.chars().next() {
        Some('[') => ('[', ']'),
        Some(quote @ ('"' | '`' | '\'')) => (quote, quote),
        _ => return token.to_owned(),
    };
    let body = token.strip_prefix(open).unwrap_or(token);
    let body = body.strip_suffix(close).unwrap_or(body);
    if open == '[' {
        return body.to_owned();
    }
    body.replace(&format!("{open}{open}"), &open.to_string())
}

/// A name in double quotes, as SQL wants one that may hold anything.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
