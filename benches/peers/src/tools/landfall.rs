use include_dir::Dir;
use landfall::Migrator;

use super::{Tool, on_rusqlite};
use crate::set::{self, Script};

pub fn tool(scripts: &[Script]) -> impl Tool + use<> {
    let migrations = migrations(scripts);
    on_rusqlite::tool(move |conn| {
        Migrator::from_embedded(migrations).apply(conn)?;
        Ok(())
    })
}

/// As `include_dir!` makes it.
pub fn migrations(scripts: &[Script]) -> &'static Dir<'static> {
    let files = scripts
        .iter()
        .map(|script| (format!("{:04}_{}.sql", script.number, script.name), script.text));
    set::folder_of_files(files)
}
