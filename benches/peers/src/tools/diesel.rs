use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_migrations::{
    EmbeddedMigration, EmbeddedMigrations, EmbeddedName, MigrationHarness, TomlMetadataWrapper,
};

use super::{Database, Tool};
use crate::Result;
use crate::set::Script;

/// diesel sets no busy timeout.
pub fn tool(scripts: &[Script]) -> impl Tool + use<> {
    Diesel { migrations: embedded(scripts), settings: "" }
}

/// With the busy timeout that the other drivers set by themselves.
pub fn with_busy_timeout(scripts: &[Script]) -> impl Tool + use<> {
    Diesel { migrations: embedded(scripts), settings: "PRAGMA busy_timeout = 5000" }
}

/// What `embed_migrations!` writes.
fn embedded(scripts: &[Script]) -> &'static [EmbeddedMigration] {
    let embedded = |script: &Script| {
        let name = format!("{:04}_{}", script.number, script.name);
        let metadata = TomlMetadataWrapper::new(true);
        EmbeddedMigration::new(script.text, None, EmbeddedName::new(name.leak()), metadata)
    };
    scripts.iter().map(embedded).collect::<Vec<_>>().leak()
}

struct Diesel {
    migrations: &'static [EmbeddedMigration],
    settings: &'static str,
}

struct Open {
    conn: SqliteConnection,
    migrations: &'static [EmbeddedMigration],
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Text)]
    answer: String,
}

impl Tool for Diesel {
    fn open(&self, path: &str) -> Result<Box<dyn Database + '_>> {
        let mut conn = SqliteConnection::establish(path)?;
        if !self.settings.is_empty() {
            conn.batch_execute(self.settings)?;
        }
        Ok(Box::new(Open { conn, migrations: self.migrations }))
    }
}

impl Database for Open {
    fn apply(&mut self) -> Result<()> {
        let migrations = EmbeddedMigrations::new(self.migrations);
        self.conn.run_pending_migrations(migrations).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn ask(&mut self, query: &str) -> Result<String> {
        let answer: Answer = diesel::sql_query(query).get_result(&mut self.conn)?;
        Ok(answer.answer)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
