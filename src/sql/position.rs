//! A place in a script.

use std::fmt;

/// A place in a script: computed only when somebody has to be told of it.
///
/// ```
/// let place = landfall::Position::of("SELECT 1;\nSELEC 2;", 10);
/// assert_eq!((place.line, place.column), (2, 1));
/// assert_eq!(place.to_string(), "line 2, column 1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Position {
    /// Bytes before the place, counted from 0, in the text with its line ends read as LF and
    /// without a byte order mark.
    pub byte: usize,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in characters, not bytes.
    pub column: usize,
}

impl Position {
    /// Where the byte with this offset stands in `text`; past its end, where it ends.
    pub fn of(text: &str, byte: usize) -> Self {
        Position::START.on(text, byte)
    }

    pub(crate) const START: Position = Position { byte: 0, line: 1, column: 1 };

    /// The place of a later byte of the same text: what is before this one is not read again.
    pub(crate) fn on(self, text: &str, byte: usize) -> Self {
        let mut byte = byte.min(text.len());
        while !text.is_char_boundary(byte) {
            byte -= 1;
        }
        let between = text.get(self.byte..byte).unwrap_or_default();
        let (columns, rest) = match between.rfind('\n') {
            Some(newline) => (0, between.get(newline + 1..).unwrap_or_default()),
            None => (self.column - 1, between),
        };
        let column = columns + rest.chars().count() + 1;
        Position { byte, line: self.line + between.matches('\n').count(), column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}
