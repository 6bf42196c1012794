//! What the tools that work on a connection of rusqlite's have in common.

use rusqlite::Connection;

use super::{Database, Tool};
use crate::Result;

pub struct OnRusqlite<Apply>(Apply);

/// A tool that is this function.
pub fn tool<Apply: Fn(&mut Connection) -> Result<()>>(apply: Apply) -> OnRusqlite<Apply> {
    OnRusqlite(apply)
}

struct Open<'a, Apply> {
    conn: Connection,
    apply: &'a Apply,
}

impl<Apply: Fn(&mut Connection) -> Result<()>> Tool for OnRusqlite<Apply> {
    fn open(&self, path: &str) -> Result<Box<dyn Database + '_>> {
        Ok(Box::new(Open { conn: Connection::open(path)?, apply: &self.0 }))
    }
}

impl<Apply: Fn(&mut Connection) -> Result<()>> Database for Open<'_, Apply> {
    fn apply(&mut self) -> Result<()> {
        (self.apply)(&mut self.conn)
    }

    fn ask(&mut self, query: &str) -> Result<String> {
        Ok(self.conn.query_row(query, [], |row| row.get(0))?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.conn.close().map_err(|(_, error)| error.into())
    }
}
