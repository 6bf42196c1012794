//! What the text of a CHECK or a trigger tells of the values that it takes. Text only.

use rusqlite::types::Value;

use crate::sql::token::{Kind, Token, tokens, unquoted};

/// The text between the parentheses of each CHECK of a table.
pub(super) fn checks(sql: &str) -> Vec<String> {
    let all: Vec<Token> = tokens(sql).filter(|token| token.is_significant()).collect();
    let mut found = Vec::new();
    let mut rest = all.as_slice();
    while let [check, tail @ ..] = rest {
        rest = tail;
        let is_check = check.kind == Kind::Word && check.text(sql).eq_ignore_ascii_case("CHECK");
        if !is_check || tail.first().map(|open| open.text(sql)) != Some("(") {
            continue;
        }
        let mut depth = 0usize;
        for token in tail {
            match token.text(sql) {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let from = tail.first().map_or(0, |open| open.end);
                found.extend(sql.get(from..token.start).map(str::to_owned));
                break;
            }
        }
    }
    found
}

/// The names in a text, in lower case.
pub(super) fn names(text: &str) -> Vec<String> {
    let named = |token: &Token| matches!(token.kind, Kind::Word | Kind::Quoted);
    tokens(text).filter(named).map(|t| unquoted(t.text(text)).to_ascii_lowercase()).collect()
}

/// Values that a text speaks of, and their neighbours; those that fit its patterns; texts as long as
/// its numbers say.
pub(super) fn values(text: &str) -> Vec<Value> {
    let all: Vec<Token> = tokens(text).filter(|token| token.is_significant()).collect();
    let measures = names(text).iter().any(|name| name == "length" || name == "octet_length");
    let mut found: Vec<Value> = Vec::new();
    let mut negative = false;
    let mut last = "";
    for token in &all {
        let word = token.text(text);
        match token.kind {
            Kind::Text => {
                let literal = unquoted(word);
                let pattern =
                    last.eq_ignore_ascii_case("LIKE") || last.eq_ignore_ascii_case("GLOB");
                if pattern && last.eq_ignore_ascii_case("GLOB") {
                    found.push(Value::Text(fits_glob(&literal)));
                } else if pattern {
                    found.push(Value::Text(literal.replace('_', "1").replace('%', "x")));
                } else {
                    found.push(Value::Text(literal));
                }
            }
            Kind::Value => numbers(word, negative, measures, &mut found),
            _ => {}
        }
        negative = word == "-";
        last = word;
    }
    let mut distinct: Vec<Value> = Vec::with_capacity(found.len());
    for value in found {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

fn numbers(word: &str, negative: bool, measures: bool, found: &mut Vec<Value>) {
    if let Ok(number) = word.replace('_', "").parse::<i64>() {
        let number = if negative { -number } else { number };
        if measures && (0..=4096).contains(&number) {
            for length in [number, number + 1, number.saturating_sub(1)] {
                let length = usize::try_from(length).unwrap_or(0);
                found.push(Value::Text("0".repeat(length)));
                found.push(Value::Blob(vec![0; length]));
            }
        }
        let near = [number, number.saturating_add(1), number.saturating_sub(1)];
        found.extend(near.map(Value::Integer));
    } else if let Ok(number) = word.parse::<f64>() {
        let number = if negative { -number } else { number };
        found.extend([number, number + 0.5, number - 0.5].map(Value::Real));
    }
}

/// A text that a GLOB pattern fits, `NOT GLOB '*[^0-9]*'` as well as it can.
fn fits_glob(pattern: &str) -> String {
    let mut text = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => {}
            '?' => text.push('a'),
            '[' => {
                let set: String = chars.by_ref().take_while(|c| *c != ']').collect();
                let wanted = set.strip_prefix('^').map_or(set.chars().next(), |not| {
                    not.starts_with("0-9").then_some('a').or(Some('0'))
                });
                // What the usual `*[^…]*` is NOT to hold.
                let wanted = match set.strip_prefix('^') {
                    Some(allowed) if pattern.starts_with('*') => allowed.chars().next(),
                    _ => wanted,
                };
                text.extend(wanted);
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_read_to_its_own_parenthesis() {
        let sql = "CREATE TABLE t(a CHECK (a IN ('x', 'y')), b, CHECK(a > (b)), \"check\" TEXT)";
        assert_eq!(checks(sql), ["a IN ('x', 'y')", "a > (b)"]);
    }

    #[test]
    fn patterns_are_fitted_and_lengths_met() {
        let text = |s: &str| Value::Text(s.to_owned());
        assert_eq!(values("d LIKE '____-__-__'"), [text("1111-11-11")]);
        assert_eq!(values("d GLOB '[A-Z][0-9]?'"), [text("A0a")]);
        assert_eq!(values("d NOT GLOB '*[^0-9]*'"), [text("0")]);
        assert!(values("length(code) = 3").contains(&text("000")));
        let near = [-5, -4, -6].map(Value::Integer);
        assert_eq!(values("a > -5"), near);
    }
}
