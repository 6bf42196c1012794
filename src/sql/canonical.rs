//! What of a script counts: the canonical text, and its checksum.

use sha2::{Digest, Sha256};

use super::split::Cut;

/// Gathers the canonical text of a script: the tokens of its statements and nothing between
/// them. Comments, white space and a byte order mark are not in it, nor are empty statements and
/// whether the last one is closed by a semicolon.
#[derive(Debug, Default)]
pub(crate) struct Canonical {
    bytes: Vec<u8>,
}

impl Canonical {
    /// Tokens are divided by a NUL, which no script holds: two scripts have one canonical text
    /// only if they have the same tokens.
    pub(crate) fn push(&mut self, source: &str, statement: &Cut<'_>) {
        if self.bytes.is_empty() {
            // Most tokens are followed by white space, and all here by a NUL.
            self.bytes.reserve(source.len() + source.len() / 8);
        }
        for token in statement.tokens {
            match token.bytes(source) {
                [mark] => self.bytes.extend_from_slice(&[*mark, 0]),
                bytes => {
                    self.bytes.extend_from_slice(bytes);
                    self.bytes.push(0);
                }
            }
        }
        self.bytes.extend_from_slice(b";\0");
    }

    /// `sha256:<hex>`.
    pub(crate) fn checksum(&self) -> String {
        checksum_of_bytes(&self.bytes)
    }
}

/// `sha256:<hex>` of a text as it is.
pub(crate) fn checksum_of(text: &str) -> String {
    checksum_of_bytes(text.as_bytes())
}

fn checksum_of_bytes(bytes: &[u8]) -> String {
    let mut checksum = String::with_capacity(7 + 64);
    checksum.push_str("sha256:");
    for byte in Sha256::digest(bytes) {
        for nibble in [byte >> 4, byte & 15] {
            checksum.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    checksum
}
