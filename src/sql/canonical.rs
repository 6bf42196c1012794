//! What of a script counts: the canonical text, and its checksum.

use sha2::{Digest, Sha256};

use super::split::Cut;

/// Gathers the canonical text of a script: the tokens of its statements and nothing between
/// them. Comments, white space and a byte order mark are not in it, nor are empty statements and
/// whether the last one is closed by a semicolon.
#[derive(Debug, Default)]
pub(crate) struct Canonical {
    text: String,
}

impl Canonical {
    /// Tokens are divided by a NUL, which no script holds: two scripts have one canonical text
    /// only if they have the same tokens.
    pub(crate) fn push(&mut self, source: &str, statement: &Cut<'_>) {
        if self.text.is_empty() {
            // Most tokens are followed by white space, and all here by a NUL.
            self.text.reserve(source.len() + source.len() / 8);
        }
        for token in statement.tokens {
            self.text.push_str(token.text(source));
            self.text.push('\0');
        }
        self.text.push_str(";\0");
    }

    /// `sha256:<hex>`.
    pub(crate) fn checksum(&self) -> String {
        checksum_of(&self.text)
    }
}

/// `sha256:<hex>` of a text as it is.
pub(crate) fn checksum_of(text: &str) -> String {
    let mut checksum = String::with_capacity(7 + 64);
    checksum.push_str("sha256:");
    for byte in Sha256::digest(text.as_bytes()) {
        for nibble in [byte >> 4, byte & 15] {
            checksum.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    checksum
}
