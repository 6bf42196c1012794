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

/// How long most tokens are at most.
const SHORT: usize = 16;

impl Canonical {
    /// Tokens are divided by a NUL, which no script holds: two scripts have one canonical text
    /// only if they have the same tokens.
    pub(crate) fn push(&mut self, source: &str, statement: &Cut<'_>) {
        if self.bytes.is_empty() {
            // Most tokens are followed by white space, and all here by a NUL.
            self.bytes.reserve(source.len() + source.len() / 8);
        }
        for token in statement.tokens {
            let rest = source.as_bytes().get(token.start..).unwrap_or_default();
            match rest.first_chunk::<SHORT>() {
                // A fixed number of bytes is copied at once. What is too much is cut off.
                Some(chunk) if token.length() <= SHORT => {
                    self.bytes.extend_from_slice(chunk);
                    self.bytes.truncate(self.bytes.len() + token.length() - SHORT);
                }
                _ => self.bytes.extend_from_slice(token.bytes(source)),
            }
            self.bytes.push(0);
        }
        self.bytes.extend_from_slice(b";\0");
    }

    /// `sha256:<hex>`.
    pub(crate) fn checksum(&self) -> String {
        written(&Sha256::digest(&self.bytes).into())
    }
}

/// `sha256:<hex>` of a text as it is.
pub(crate) fn checksum_of(text: &str) -> String {
    written(&Sha256::digest(text).into())
}

fn written(hash: &[u8; 32]) -> String {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
    let digits = hash.map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    ["sha256:", std::str::from_utf8(digits.as_flattened()).unwrap_or_default()].concat()
}
