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
        let mut byte = byte.min(text.len());
        while !text.is_char_boundary(byte) {
            byte -= 1;
        }
        let before = text.get(..byte).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Position { byte, line: before.matches('\n').count() + 1, column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}
