//! Text that came from outside, as it is printed: names of files and tables, rows, lines of SQL. It can
//! hold what a terminal obeys or what makes a text look like another one. Values stay as they are;
//! everything that prints them goes through here.

use std::fmt::{self, Display, Write as _};

/// Text on one line, without anything that does not show.
pub(crate) fn escaped<T: Display>(text: T) -> Escaped<T> {
    Escaped { text, kept: None }
}

/// Text of several lines, which stay.
pub(crate) fn escaped_lines<T: Display>(text: T) -> Escaped<T> {
    Escaped { text, kept: Some('\n') }
}

/// A line of SQL, whose tabs stay.
pub(crate) fn escaped_sql<T: Display>(text: T) -> Escaped<T> {
    Escaped { text, kept: Some('\t') }
}

/// A text that is escaped when it is printed. Escaping it twice is the same.
pub(crate) struct Escaped<T> {
    text: T,
    kept: Option<char>,
}

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Writer { f, kept: self.kept }, "{}", self.text)
    }
}

struct Writer<'w, 'f> {
    f: &'w mut fmt::Formatter<'f>,
    kept: Option<char>,
}

impl fmt::Write for Writer<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut from = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| is_hidden(*c)) {
            if self.kept != Some(c) {
                self.f.write_str(text.get(from..at).unwrap_or_default())?;
                write!(self.f, "{}", c.escape_default())?;
                from = at + c.len_utf8();
            }
        }
        self.f.write_str(text.get(from..).unwrap_or_default())
    }
}

/// Control characters, and what Unicode has besides them that moves or hides text: separators of
/// lines, marks of direction, and characters of no width, but for those that choose a glyph.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_shows_is_printed_as_it_is() {
        for text in
            ["", "app.db", "C:\\a\\n.sql", "'\"`{}", "naïve — ünï 名前 🙂 e\u{301} ❤\u{fe0f}"]
        {
            assert_eq!(escaped(text).to_string(), text);
        }
    }

    #[test]
    fn text_that_does_not_show_is_escaped_once() {
        let hostile = "a\u{1b}[31m\r\n\tb\0\u{7f}\u{9b}\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}z";
        let shown = "a\\u{1b}[31m\\r\\n\\tb\\u{0}\\u{7f}\\u{9b}\\u{202e}\\u{2066}\\u{200b}\\u{feff}\
                     \\u{e0041}z";
        assert_eq!(escaped(hostile).to_string(), shown);
        assert_eq!(escaped(escaped(hostile)).to_string(), shown);
        assert_eq!(escaped_lines("a\r\n\tb").to_string(), "a\\r\n\\tb");
        assert_eq!(escaped_sql("a\r\n\tb").to_string(), "a\\r\\n\tb");
    }
}
