//! diesel's `metadata.toml`, of which one line counts.

use std::collections::BTreeMap;

use super::layout::Layout;
use super::naming::METADATA;
use super::{File, text};
use crate::error::{Error, ErrorKind, Result};
use crate::sql::Position;
use crate::sql::script::{InTransaction, line_feeds};

/// What is said of the migrations of each folder.
pub(super) type Metadata = BTreeMap<String, InTransaction>;

pub(super) fn read(files: &[File], layout: Layout) -> Result<Metadata> {
    let mut found = Metadata::new();
    for file in files.iter().filter(|_| layout == Layout::Diesel) {
        let path = file.path.replace('\\', "/");
        if let Some((folder, name)) = path.rsplit_once('/')
            && name.eq_ignore_ascii_case(METADATA)
        {
            let text = line_feeds(text::text(&path, file.bytes.clone())?);
            found.insert(folder.to_owned(), in_transaction(&path, &text)?);
        }
    }
    Ok(found)
}

/// `run_in_transaction = false`, at the top of <https://toml.io>'s grammar: before any `[table]`.
fn in_transaction(path: &str, text: &str) -> Result<InTransaction> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let said = line.split('#').next().unwrap_or_default().trim();
        if said.starts_with('[') {
            break;
        }
        let (key, value) = said.split_once('=').unwrap_or((said, ""));
        let key = key.trim().trim_matches(['"', '\'']);
        match (key, value.trim()) {
            ("run_in_transaction", "true") => return Ok(InTransaction::Yes),
            ("run_in_transaction", "false") => return Ok(InTransaction::No),
            ("run_in_transaction", _) => {
                let position = Position::of(text, at + line.len() - line.trim_start().len());
                let why = "`run_in_transaction` is `true` or `false`".to_owned();
                let kind = ErrorKind::BadText { file: path.to_owned(), position, why };
                return Err(Error::from(kind)
                    .in_line(path, position, line.trim_end())
                    .advise("correct the line"));
            }
            _ => at += line.len(),
        }
    }
    Ok(InTransaction::Yes)
}
