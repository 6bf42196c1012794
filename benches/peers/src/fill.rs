//! Puts what was printed into the documents. What was printed under `### Title` goes between the
//! lines `<!-- ### Title -->` and `<!-- end -->`; the rest of a document stays as it is.

use std::path::Path;

use crate::Result;

const END: &str = "<!-- end -->";

pub fn fill(measured: &Path, document: &Path) -> Result<()> {
    let measured = std::fs::read_to_string(measured)?;
    let text = std::fs::read_to_string(document)?;
    let mut filled = String::with_capacity(text.len());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        filled.push_str(line);
        filled.push('\n');
        let Some(title) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"))
        else {
            continue;
        };
        if !title.starts_with("### ") {
            continue;
        }
        if !lines.clone().any(|line| line == END) {
            return Err(format!("{}: `{title}` has no end", document.display()).into());
        }
        let before: Vec<&str> = lines.by_ref().take_while(|line| *line != END).collect();
        match section(&measured, title) {
            Some(section) if !section.is_empty() => filled.push_str(&format!("\n{section}\n\n")),
            _ if before.iter().all(|line| line.trim().is_empty()) => {
                return Err(format!("{}: nothing is known of `{title}`", document.display()).into());
            }
            _ => {
                eprintln!("{}: `{title}` was not measured, and stays", document.display());
                before.iter().for_each(|line| filled.push_str(&format!("{line}\n")));
            }
        }
        filled.push_str(END);
        filled.push('\n');
    }
    Ok(std::fs::write(document, filled)?)
}

/// What stands under a title, up to the next one.
fn section<'a>(measured: &'a str, title: &str) -> Option<&'a str> {
    let (_, rest) = measured.split_once(&format!("{title}\n"))?;
    Some(rest.split_once("\n### ").map_or(rest, |(section, _)| section).trim())
}
