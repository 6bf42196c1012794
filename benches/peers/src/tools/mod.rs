//! How an application uses each tool, after the tool's own README.
//!
//! A tool is made from scripts before the clock starts, as far as its macro does that when it
//! compiles; `apply` is everything that is left to the start of a program.

mod bare;
mod diesel;
mod floor;
pub mod landfall;
mod on_rusqlite;
mod refinery;
mod rusqlite_migration;
mod sqlx;

use crate::Result;
use crate::set;

pub trait Tool {
    /// A connection as the tool's own driver opens it, with no setting that it does not make by
    /// itself.
    fn open(&self, path: &str) -> Result<Box<dyn Database + '_>>;
}

pub trait Database {
    fn apply(&mut self) -> Result<()>;

    /// Asks for one text, called `answer`.
    fn ask(&mut self, query: &str) -> Result<String>;

    /// Waits for the end of what would otherwise go on in the background.
    fn close(self: Box<Self>) -> Result<()>;
}

pub const IN_MEMORY: &str = ":memory:";

pub const BARE: &str = "bare SQL";
pub const FLOOR: &str = "bare SQL with a ledger";
pub const LANDFALL: &str = "landfall";
pub const RUSQLITE_MIGRATION: &str = "rusqlite_migration";
pub const RUSQLITE_MIGRATION_FOLDER: &str = "rusqlite_migration, folder";
pub const REFINERY: &str = "refinery";
pub const REFINERY_GROUPED: &str = "refinery, grouped";
pub const DIESEL: &str = "diesel_migrations";
pub const DIESEL_WAITING: &str = "diesel_migrations, busy timeout";
pub const SQLX: &str = "sqlx";

pub fn tool(name: &str, size: usize) -> Result<Box<dyn Tool>> {
    let scripts = set::scripts(size);
    Ok(match name {
        BARE => Box::new(bare::tool(&scripts)),
        FLOOR => Box::new(floor::tool(&scripts)),
        LANDFALL => Box::new(landfall::tool(&scripts)),
        RUSQLITE_MIGRATION => Box::new(rusqlite_migration::from_slice(&scripts)),
        RUSQLITE_MIGRATION_FOLDER => Box::new(rusqlite_migration::from_directory(&scripts)),
        REFINERY => Box::new(refinery::tool(&scripts)),
        REFINERY_GROUPED => Box::new(refinery::grouped(&scripts)),
        DIESEL => Box::new(diesel::tool(&scripts)),
        DIESEL_WAITING => Box::new(diesel::with_busy_timeout(&scripts)),
        SQLX => Box::new(sqlx::Sqlx::new(&scripts)?),
        _ => return Err(format!("no tool is called {name}").into()),
    })
}

/// What an application asks first. It makes SQLite read the schema, if nothing did so before.
pub const FIRST_QUERY: &str = "SELECT name AS answer FROM entity_1 WHERE id = 1";

pub const SQLITE_VERSION: &str = "SELECT sqlite_version() AS answer";
