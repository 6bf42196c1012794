//! What a file's name says. Names only: this room opens nothing.

use crate::migration::Version;

/// What a file is, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Up {
        version: Version,
        name: String,
    },
    Down {
        version: Version,
    },
    Verify {
        version: Version,
    },
    Baseline {
        version: Version,
        name: String,
    },
    Repeatable {
        name: String,
    },
    /// Not a migration's file: passed over.
    Other,
}

/// Reads a path relative to the set's folder. Every `.sql` file has to be understood.
pub(crate) fn role(path: &str) -> Result<Role, String> {
    let path = path.replace('\\', "/");
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
    let Some(stem) = strip_suffix_ignoring_case(file, ".sql") else {
        return Ok(Role::Other);
    };
    let repeatable = stem.strip_prefix("R__");
    match (folder, repeatable) {
        ("", Some(name)) | ("repeatable", Some(name)) => repeat(name),
        ("repeatable", None) => repeat(stem),
        ("", None) => versioned(stem),
        _ => Err("the only subfolder that may hold .sql files is `repeatable`".to_owned()),
    }
}

fn repeat(name: &str) -> Result<Role, String> {
    match name {
        "" => Err("it has no name".to_owned()),
        name if name.contains('.') => Err(unknown_suffix(name)),
        name => Ok(Role::Repeatable { name: name.to_owned() }),
    }
}

fn versioned(stem: &str) -> Result<Role, String> {
    let suffixes = [".down", ".verify", ".baseline"];
    let cut = suffixes
        .into_iter()
        .find_map(|suffix| strip_suffix_ignoring_case(stem, suffix).map(|stem| (stem, suffix)));
    let (stem, suffix) = cut.unwrap_or((stem, ""));
    let (version, name) = version_and_name(stem)?;
    if name.contains('.') {
        return Err(unknown_suffix(&name));
    }
    Ok(match suffix {
        ".down" => Role::Down { version },
        ".verify" => Role::Verify { version },
        ".baseline" => Role::Baseline { version, name },
        _ => Role::Up { version, name },
    })
}

fn unknown_suffix(name: &str) -> String {
    let suffix = name.split_once('.').map_or(name, |(_, suffix)| suffix);
    format!("`.{suffix}` is no suffix of a migration")
}

/// `0001_name`, or a timestamp: `20250214_name`, `20250214_0930_name`, `20250214093000_name`.
fn version_and_name(stem: &str) -> Result<(Version, String), String> {
    let digits = leading_digits(stem);
    let rest = stem.get(digits.len()..).unwrap_or_default();
    if digits.is_empty() {
        return Err("it does not start with a number".to_owned());
    }
    let Some(name) = rest.strip_prefix('_') else {
        return Err("its number is not followed by `_` and a name".to_owned());
    };
    let number: i64 = digits
        .parse()
        .map_err(|_| format!("version {digits} is too large: at most {}", i64::MAX))?;
    let (version, name) = match (digits.len(), is_date(digits)) {
        (8, true) => match time_of_day(name)? {
            Some((time, name)) => (number * 1_000_000 + time, name),
            None => (number * 1_000_000, name),
        },
        (12, true) => (number * 100, name),
        _ => (number, name),
    };
    if name.is_empty() {
        return Err("it has no name".to_owned());
    }
    Ok((Version(version), name.to_owned()))
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

/// Whether digits begin with a year, month and day.
fn is_date(digits: &str) -> bool {
    let part = |range| digits.get(range).and_then(|part: &str| part.parse::<u32>().ok());
    matches!((part(0..4), part(4..6), part(6..8)), (Some(1970..=2999), Some(1..=12), Some(1..=31)))
}

fn leading_digits(text: &str) -> &str {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..end).unwrap_or_default()
}

fn strip_suffix_ignoring_case<'t>(text: &'t str, suffix: &str) -> Option<&'t str> {
    let at = text.len().checked_sub(suffix.len())?;
    let (head, tail) = text.split_at_checked(at)?;
    tail.eq_ignore_ascii_case(suffix).then_some(head)
}
