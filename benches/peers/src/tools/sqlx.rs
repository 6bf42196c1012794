use std::borrow::Cow;
use std::str::FromStr;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, SqlSafeStr, SqlStr};
use tokio::runtime::{Builder, Runtime};

use super::{Database, IN_MEMORY, Tool};
use crate::Result;
use crate::set::Script;

/// One connection and not a pool, which would have to be built as well.
pub struct Sqlx {
    migrator: Migrator,
    runtime: Runtime,
}

struct Open<'a> {
    conn: SqliteConnection,
    tool: &'a Sqlx,
}

impl Sqlx {
    /// With checksums, which `migrate!` computes when it compiles.
    pub fn new(scripts: &[Script]) -> Result<Sqlx> {
        let embedded = |script: &Script| {
            let name = Cow::Owned(script.name.replace('_', " "));
            let text = SqlStr::from_static(script.text);
            Migration::new(script.number as i64, name, MigrationType::Simple, text, false)
        };
        let migrator = Migrator::with_migrations(scripts.iter().map(embedded).collect());
        Ok(Sqlx { migrator, runtime: Builder::new_current_thread().build()? })
    }
}

impl Tool for Sqlx {
    fn open(&self, path: &str) -> Result<Box<dyn Database + '_>> {
        let options = match path {
            IN_MEMORY => SqliteConnectOptions::from_str("sqlite::memory:")?,
            _ => SqliteConnectOptions::new().filename(path).create_if_missing(true),
        };
        let conn = self.runtime.block_on(SqliteConnection::connect_with(&options))?;
        Ok(Box::new(Open { conn, tool: self }))
    }
}

impl Database for Open<'_> {
    fn apply(&mut self) -> Result<()> {
        self.tool.runtime.block_on(self.tool.migrator.run(&mut self.conn))?;
        Ok(())
    }

    fn ask(&mut self, query: &str) -> Result<String> {
        let query = sqlx::AssertSqlSafe(query).into_sql_str();
        let answer = sqlx::query_scalar(query).fetch_one(&mut self.conn);
        Ok(self.tool.runtime.block_on(answer)?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.tool.runtime.block_on(self.conn.close())?)
    }
}
