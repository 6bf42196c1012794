//! What other tools keep of a file to tell whether it was edited since.

use std::borrow::Cow;

use sha2::{Digest, Sha256, Sha384};

use super::crc32;
use super::siphash::SipHasher13;
use crate::sql::Script;

/// A checksum as another tool recorded it, and what it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// refinery's, over name, version and text.
    Sip { name: String, version: i64, recorded: String },
    /// sqlx's, over the file.
    Sha384(Vec<u8>),
    /// hiqlite's, Prisma's and drizzle's, over the file, as hexadecimal digits.
    Sha256(String),
    /// Flyway's, over the lines.
    Crc32(i64),
}

impl Check {
    /// Whether it is that of a script, as it lies in the set or as another checkout would have it:
    /// a tool's program may have been built on another system than this one.
    pub(crate) fn is_of(&self, script: &Script) -> bool {
        let held = script.original();
        let lf = held.strip_prefix('\u{feff}').unwrap_or(held).replace("\r\n", "\n");
        let text = lf.as_str();
        let crlf = text.replace('\n', "\r\n");
        let forms = [Cow::Borrowed(held), text.into(), crlf.into()];
        let with_mark = forms.iter().skip(1).map(|form| format!("\u{feff}{form}").into());
        let with_mark: Vec<Cow<'_, str>> = with_mark.collect();
        forms.iter().chain(&with_mark).any(|form| self.is_of_text(form)) || self.ignores(text)
    }

    fn is_of_text(&self, text: &str) -> bool {
        match self {
            Check::Sip { name, version, recorded } => {
                // The number is of 32 bits, or with a feature of refinery's of 64.
                let short = i32::try_from(*version).map(i32::to_le_bytes);
                let of = |version: &[u8]| sip(name, version, text).to_string() == *recorded;
                short.is_ok_and(|short| of(&short)) || of(&version.to_le_bytes())
            }
            Check::Sha384(recorded) => Sha384::digest(text)[..] == recorded[..],
            Check::Sha256(recorded) => hex(&Sha256::digest(text)).eq_ignore_ascii_case(recorded),
            Check::Crc32(recorded) => i64::from(crc32::of_lines(text)) == *recorded,
        }
    }

    /// sqlx can be told to leave characters out, and there is no record of which; its documentation
    /// shows these.
    fn ignores(&self, text: &str) -> bool {
        let ignored: [&[char]; 2] = [&['\r', '\n'], &['\r', '\n', ' ', '\t']];
        matches!(self, Check::Sha384(_))
            && ignored.iter().any(|ignored| self.is_of_text(&text.replace(*ignored, "")))
    }

    /// As text, for the ledger's row of a migration that the set lacks.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Check::Sip { recorded, .. } => format!("siphash:{recorded}"),
            Check::Sha384(bytes) => format!("sha384:{}", hex(bytes)),
            Check::Sha256(digits) => format!("file-sha256:{}", digits.to_ascii_lowercase()),
            Check::Crc32(number) => format!("crc32:{number}"),
        }
    }
}

/// What refinery's derived and manual `Hash` feed: strings with an 0xFF after them.
fn sip(name: &str, version: &[u8], text: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in [name.as_bytes(), &[0xff], version, text.as_bytes(), &[0xff]] {
        hasher.write(part);
    }
    hasher.finish()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_are_those_of_the_tools() {
        let create = "CREATE TABLE t(x);";
        let sip =
            |name: &str, version: i32, text: &str| super::sip(name, &version.to_le_bytes(), text);
        assert_eq!(sip("initial", 1, create), 2_011_280_339_464_619_383);
        assert_eq!(sip("initial", 1, "CREATE TABLE t(x);\r\n"), 12_751_243_059_671_536_644);
        assert_eq!(sip("abc_def", 20, ""), 17_708_933_709_917_355_743);
        assert_eq!(super::sip("initial", &1_i64.to_le_bytes(), create), 3_756_050_514_621_225_500);
        assert_eq!(
            hex(&Sha384::digest(create)),
            "d56139f8be3f6a81b511886b9b3991db295bc27fcaaac949317edbdcb324f9781cb9ffe524ef81a1633791eb8cbdd0fa"
        );
        assert_eq!(crc32::of_lines(create), -393_881_676);
        let lines = "\u{feff}CREATE TABLE t(x);\r\n-- ünï\nINSERT INTO t VALUES (1);\n";
        assert_eq!(crc32::of_lines(lines), -1_476_823_664);
    }

    /// Of 0 to 255 bytes, in two pieces; the number is from another implementation.
    #[test]
    fn siphash_is_right_at_every_length() {
        let bytes: Vec<u8> = (0..=255).collect();
        let hashes = (0..bytes.len()).map(|length| {
            let (head, tail) = bytes.split_at(length).0.split_at(length / 3);
            let mut hasher = SipHasher13::new();
            hasher.write(head);
            hasher.write(tail);
            hasher.finish()
        });
        let all = hashes.fold(0_u64, |all, hash| all.wrapping_mul(31).wrapping_add(hash));
        assert_eq!(all, 366_701_385_996_813_269);
    }
}
