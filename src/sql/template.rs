//! Placeholders that an application fills before a script is read: `{{ .Name }}`, `{{ name }}`,
//! `${name}`.

use std::collections::BTreeMap;

use super::holds;
use super::script::Fault;
use super::token::{Kind, Token, tokens_in};

/// What placeholders stand for, by their name.
pub(crate) type Variables = BTreeMap<String, String>;

/// A placeholder, as it stands in a text.
struct Placeholder<'t> {
    text: &'t str,
    /// `None` for an instruction of a template language.
    name: Option<&'t str>,
    /// `{{ .Name }}`, which means nothing anywhere but in a template.
    is_go: bool,
}

/// Puts the values in. Comments stay as they are, and a quote inside a quoted text is doubled.
///
/// ```text
///                      a value is known    not, in code    in a name    in a string
/// {{ .Name }}          filled              refused         refused      refused, if any is known
/// {{ name }} ${name}   filled              refused         left         left
/// {{ if … }}           -                   refused         left         left
/// ```
///
/// No SQL outside of strings and names holds two opening braces. Inside a string they may be an
/// application's own data, such as the text of a message; only where variables are known at all is
/// a form that nothing else has taken for one of them.
pub(crate) fn fill(text: &str, variables: &Variables) -> Result<Option<String>, Fault> {
    if !holds(text, b'{') || !text.contains("{{") && !text.contains("${") {
        return Ok(None);
    }
    let mut filled = String::with_capacity(text.len());
    let mut rest = tokens_in(text, 0..text.len());
    while let Some(token) = rest.next() {
        if matches!(token.kind, Kind::Text | Kind::Quoted) {
            fill_quoted(text, token, variables, &mut filled)?;
            continue;
        }
        let before = text.get(..token.start).unwrap_or_default();
        let start = token.start - usize::from(before.ends_with('$'));
        let opens = token.kind == Kind::Mark && token.text(text) == "{";
        let tail = text.get(start..).filter(|_| opens);
        let Some(found) = tail.and_then(placeholder) else {
            filled.push_str(token.text(text));
            continue;
        };
        let value = value(&found, variables, start)?.ok_or_else(|| unknown(&found, start))?;
        filled.truncate(filled.len() - (token.start - start));
        filled.push_str(value);
        rest = tokens_in(text, start + found.text.len()..text.len());
    }
    Ok((filled != text).then_some(filled))
}

fn fill_quoted(
    text: &str,
    token: Token,
    variables: &Variables,
    filled: &mut String,
) -> Result<(), Fault> {
    let quote = text.get(token.start..).and_then(|text| text.chars().next()).unwrap_or('\'');
    let mut at = token.start;
    while let Some(tail) = text.get(at..token.end).filter(|tail| !tail.is_empty()) {
        let opens = |tail: &str| tail.starts_with("{{") || tail.starts_with("${");
        let found = if opens(tail) { placeholder(tail) } else { None };
        let next = tail.chars().next().map_or(1, char::len_utf8);
        let Some(found) = found else {
            let run = tail.get(next..).and_then(|rest| rest.find(['{', '$']));
            let length = run.map_or(tail.len(), |run| run + next);
            filled.push_str(tail.get(..length).unwrap_or_default());
            at += length;
            continue;
        };
        match value(&found, variables, at)? {
            Some(value) if quote == '[' => filled.push_str(value),
            Some(value) => filled.push_str(&value.replace(quote, &format!("{quote}{quote}"))),
            None if found.is_go && (token.kind == Kind::Quoted || !variables.is_empty()) => {
                return Err(unknown(&found, at));
            }
            None => filled.push_str(found.text),
        }
        at += found.text.len();
    }
    Ok(())
}

/// The placeholder at the head of a text.
fn placeholder(text: &str) -> Option<Placeholder<'_>> {
    let (open, close) = if text.starts_with("{{") { ("{{", "}}") } else { ("${", "}") };
    let within = text.strip_prefix(open)?;
    let line = within.lines().next().unwrap_or_default();
    let end = line.find(close);
    let (inner, length) = match end {
        Some(end) => (within.get(..end)?, open.len() + end + close.len()),
        // It is not closed: what it is, the rest of its line has to tell.
        None if open == "{{" => (line, open.len() + line.len()),
        None => return None,
    };
    let said = inner.trim();
    let word = said.strip_prefix('.').filter(|_| open == "{{").unwrap_or(said);
    let mut chars = word.chars();
    let is_name = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        && end.is_some();
    let name = is_name.then_some(word);
    let is_go = is_name && word.len() < said.len();
    (open == "{{" || is_name).then_some(Placeholder { text: text.get(..length)?, name, is_go })
}

fn value<'v>(
    found: &Placeholder<'_>,
    variables: &'v Variables,
    at: usize,
) -> Result<Option<&'v str>, Fault> {
    let Some((name, value)) = found.name.and_then(|name| variables.get_key_value(name)) else {
        return Ok(None);
    };
    match value.contains(['\n', '\r', '\0']) {
        true => {
            let why = format!(
                "the value of `{name}` holds a line break or NUL, after which every place in the \
                 file would be another"
            );
            Err(Fault::text(at, why).advise("give it a value of one line"))
        }
        false => Ok(Some(value)),
    }
}

fn unknown(found: &Placeholder<'_>, at: usize) -> Fault {
    let text = found.text;
    match found.name {
        Some(name) => {
            let why = format!("`{text}` is a placeholder, and nothing says what stands for it");
            let mut advice = format!("say it of the migrator: `.variable(\"{name}\", \"…\")`");
            if found.is_go {
                advice.push_str("; if the braces are meant as they are, that is its value");
            }
            Fault::text(at, why).advise(advice)
        }
        None => Fault::text(at, format!("`{text}` is an instruction of a template, and no SQL"))
            .advise("write the SQL that it makes"),
    }
}
