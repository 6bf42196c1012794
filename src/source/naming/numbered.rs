//! `1_name.sql` and `1_name.suffix.sql`.

use super::{
    Number, Role, is_date, leading_digits, number, strip_suffix_ignoring_case, unknown_suffix,
};
use crate::migration::Version;

/// A form of `1_name.suffix.sql`.
pub(super) struct Form {
    suffixes: &'static [&'static str],
    /// What stands between number and name.
    separators: &'static [char],
    dates: Dates,
}

/// A number that begins with a date.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dates {
    /// It is a timestamp: YYYYMMDDhhmmss in the end.
    Expand,
    /// It is a number.
    AsTheyStand,
}

pub(super) const OWN: [&str; 2] = [".verify", ".baseline"];
pub(super) const LANDFALL: Form =
    Form { suffixes: &[".down", ".verify", ".baseline"], separators: &['_'], dates: Dates::Expand };
pub(super) const SQLX: Form = Form {
    suffixes: &[".up", ".down", ".verify", ".baseline"],
    separators: &['_'],
    dates: Dates::AsTheyStand,
};
pub(super) const PLAIN: Form =
    Form { suffixes: &OWN, separators: &['_'], dates: Dates::AsTheyStand };
pub(super) const LOOSE: Form =
    Form { suffixes: &OWN, separators: &['_', '-'], dates: Dates::AsTheyStand };

pub(super) fn has_suffix(stem: &str, suffix: &str) -> bool {
    strip_suffix_ignoring_case(stem.trim_end_matches('.'), suffix).is_some()
}

pub(super) fn versioned(stem: &str, form: &Form) -> Result<Role, String> {
    // `30_name.up..sql` is there in real folders, and golang-migrate takes it.
    let undotted = stem.trim_end_matches('.');
    let ups = [".up", ".down"];
    let is_up = form.suffixes.contains(&".up") && ups.iter().any(|up| has_suffix(stem, up));
    let stem = if is_up { undotted } else { stem };
    let cut = form
        .suffixes
        .iter()
        .find_map(|suffix| strip_suffix_ignoring_case(stem, suffix).map(|stem| (stem, *suffix)));
    let (stem, suffix) = cut.unwrap_or((stem, ""));
    let (number, name) = version_and_name(stem, form)?;
    // Before `.up` a dot is a part of the name; elsewhere it is a suffix that is misspelt.
    let known = [".up", ".down", ".verify", ".baseline", ".sql"];
    let twice = known.iter().any(|known| strip_suffix_ignoring_case(&name, known).is_some());
    if name.contains('.') && (!is_up || twice) {
        return Err(unknown_suffix(&name));
    }
    let version = number.version;
    Ok(match suffix {
        ".down" => Role::Down { number, name },
        ".verify" => Role::Verify { version },
        ".baseline" => Role::Baseline { version, name },
        _ => Role::Up { number, name },
    })
}

/// `0001_name`, or a timestamp: `20250214_name`, `20250214_0930_name`, `20250214093000_name`.
fn version_and_name(stem: &str, form: &Form) -> Result<(Number, String), String> {
    let digits = leading_digits(stem);
    let rest = stem.get(digits.len()..).unwrap_or_default();
    if digits.is_empty() {
        return Err("it does not start with a number".to_owned());
    }
    let Some(name) = rest.strip_prefix(form.separators) else {
        return Err("its number is not followed by `_` and a name".to_owned());
    };
    let number = number(digits)?;
    let (version, name) = match (form.dates, digits.len(), is_date(digits)) {
        (Dates::Expand, 8, true) => match time_of_day(name)? {
            Some((time, name)) => (number * 1_000_000 + time, name),
            None => (number * 1_000_000, name),
        },
        (Dates::Expand, 12, true) => (number * 100, name),
        _ => (number, name),
    };
    if name.is_empty() {
        return Err("it has no name".to_owned());
    }
    let number = Number { version: Version(version), also: None, text: digits.to_owned() };
    Ok((number, name.to_owned()))
}

/// `0930_name` or `093000_name`, after a date: hours, minutes and seconds as one number.
fn time_of_day(rest: &str) -> Result<Option<(i64, &str)>, String> {
    let digits = leading_digits(rest);
    let name = rest.get(digits.len()..).and_then(|rest| rest.strip_prefix('_'));
    let (Some(name), 4 | 6) = (name, digits.len()) else {
        return Ok(None);
    };
    let number: i64 = digits.parse().unwrap_or_default();
    let time = if digits.len() == 4 { number * 100 } else { number };
    if time / 10_000 > 23 || time / 100 % 100 > 59 || time % 100 > 59 {
        return Err(format!("`{digits}` after the date is no time of day"));
    }
    Ok(Some((time, name)))
}
