use rusqlite_migration::{M, Migrations};

use super::{Tool, on_rusqlite};
use crate::set::{self, Script};

/// From a `const` slice.
pub fn from_slice(scripts: &[Script]) -> impl Tool + use<> {
    let migrations: Vec<M<'static>> = scripts.iter().map(|script| M::up(script.text)).collect();
    on_rusqlite::tool(move |conn| Ok(Migrations::from_slice(&migrations).to_latest(conn)?))
}

/// From a folder that was compiled in, whose names are read when the program starts.
pub fn from_directory(scripts: &[Script]) -> impl Tool + use<> {
    let folders =
        scripts.iter().map(|script| (format!("{:04}-{}", script.number, script.name), script.text));
    let migrations = set::folder_of_folders(folders);
    on_rusqlite::tool(move |conn| Ok(Migrations::from_directory(migrations)?.to_latest(conn)?))
}
