//! Patterns that say which files to pass over.

/// Whether a pattern matches a path, or a folder above it. Without a `/` it is about a name, at any
/// depth. `*` and `?` stand for what a name can hold, `**` for any number of folders. Letters are
/// compared as they are.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_end_matches('/');
    let names: Vec<&str> = path.split('/').collect();
    if !pattern.contains('/') {
        return !pattern.is_empty() && names.iter().any(|name| is_name(pattern, name));
    }
    let pattern: Vec<&str> = pattern.trim_start_matches('/').split('/').collect();
    (1..=names.len()).any(|upto| is_path(&pattern, names.get(..upto).unwrap_or_default()))
}

fn is_path(pattern: &[&str], names: &[&str]) -> bool {
    match (pattern.split_first(), names.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), Some((_, below))) => is_path(rest, names) || is_path(pattern, below),
        (Some((&"**", rest)), None) => is_path(rest, names),
        (Some((first, rest)), Some((name, below))) => is_name(first, name) && is_path(rest, below),
        _ => false,
    }
}

/// Goes back to the last star where the rest does not fit.
fn is_name(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut to) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&c) = name.get(to) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, to));
                at += 1;
            }
            Some(&p) if p == '?' || p == c => {
                at += 1;
                to += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    at = after;
                    to = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|&p| p == '*')
}
