//! Not a tool: the same texts in one transaction. It keeps no record and cannot be run twice.

use super::{Tool, on_rusqlite};
use crate::set::Script;

pub fn tool(scripts: &[Script]) -> impl Tool + use<> {
    // Not as one: rusqlite has SQLite copy what is left of a script for each of its statements.
    let texts: Vec<&'static str> = scripts.iter().map(|script| script.text).collect();
    on_rusqlite::tool(move |conn| {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        for text in &texts {
            conn.execute_batch(text)?;
        }
        conn.execute_batch("COMMIT")?;
        Ok(())
    })
}
