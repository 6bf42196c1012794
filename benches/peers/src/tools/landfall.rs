use landfall::Migrator;

use super::{Tool, on_rusqlite};
use crate::set::{self, Script};

pub fn tool(scripts: &[Script]) -> impl Tool + use<> {
    let files = scripts
        .iter()
        .map(|script| (format!("{:04}_{}.sql", script.number, script.name), script.text));
    let migrations = set::folder_of_files(files);
    on_rusqlite::tool(move |conn| {
        Migrator::from_embedded(migrations).apply(conn)?;
        Ok(())
    })
}
