//! Versions with dots: `1.2.3` as one number that keeps their order.
//!
//! A version without dots is its number, as long as no dotted one of the folder comes before it. So
//! V1 and V2 are 1 and 2, in a ledger that refinery wrote as in ours, and stay so when V2.1 comes
//! after them. Between 2 and 3 there is no number, so that V2.1, and whatever comes after the first
//! dotted version of a folder, is written out:
//!
//! ```text
//! first part            further parts                     number
//! 0 to 999,999          three below 10,000                1.2.3 is 1 0002 0003 0000
//! 1970 to 2999, a year  six below 100                     2013.1.15.11.35.56 is 2013 01 15 11 35 56 00
//! up to 10^14           one below 10,000                  1 at the head, then 20240101120000 0001
//! ```
//!
//! Appending a version never changes the number of another. One that is put in further down does,
//! where it is the first dotted one: those behind it are written out from then on. Each entry knows
//! its other number, so that a ledger with that one is recognised and nothing runs twice.

/// A version as Flyway compares it: numbers, trailing zeros left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Parts(Vec<u64>);

const YEARS: std::ops::RangeInclusive<u64> = 1970..=2999;

impl Parts {
    /// Digits with dots between them, or underscores, which Flyway takes as the same.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let number = |part: &str| match part.parse::<u64>() {
            _ if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(format!("`{text}` is no version: digits, with dots between them"))
            }
            Ok(number) if i64::try_from(number).is_ok() => Ok(number),
            _ => Err(super::too_large(part)),
        };
        let mut parts = text.split(['.', '_']).map(number).collect::<Result<Vec<u64>, String>>()?;
        while parts.len() > 1 && parts.last() == Some(&0) {
            parts.pop();
        }
        Ok(Parts(parts))
    }

    pub(super) fn is_dotted(&self) -> bool {
        self.0.len() > 1
    }

    /// The number of a version without dots, taken as it stands.
    pub(super) fn plain(&self) -> Option<i64> {
        match self.0.as_slice() {
            [number] => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The number of a version, written out.
    pub(super) fn written_out(&self) -> Result<i64, String> {
        let (first, rest) = self.0.split_first().map_or((0, [].as_slice()), |(f, r)| (*f, r));
        let (base, width, count) = match first {
            year if YEARS.contains(&year) => (100, 100, 6),
            0..1_000_000 => (10_000, 10_000, 3),
            _ => (10_000, 10_000, 1),
        };
        let told = || {
            let text = self.to_string();
            format!(
                "version {text} does not fit into 64 bits: after {first} there can be {count} \
                 part{}, each below {width}",
                if count == 1 { "" } else { "s" }
            )
        };
        if rest.len() > count
            || rest.iter().any(|part| *part >= width)
            || first > 100_000_000_000_000
        {
            return Err(told());
        }
        let mut number = first;
        for at in 0..count {
            number = number * base + rest.get(at).copied().unwrap_or(0);
        }
        let head = if first < 1_000_000 { 0 } else { 1_000_000_000_000_000_000 };
        i64::try_from(head + number).map_err(|_| told())
    }
}

impl std::fmt::Display for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&parts.join("."))
    }
}
