//! The application's triggers, silent while a batch runs.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::error::{Error, Result};
use crate::seed::UserTriggers;

/// The application's triggers, silent until dropped.
pub(super) struct Suppressed<'c> {
    conn: &'c Connection,
    were_on: bool,
}

impl<'c> Suppressed<'c> {
    pub(super) fn by(conn: &'c Connection, triggers: UserTriggers) -> Result<Option<Self>> {
        if triggers == UserTriggers::Fire {
            return Ok(None);
        }
        let setting = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        let switch = || {
            let were_on = conn.db_config(setting)?;
            let guard = Suppressed { conn, were_on };
            conn.set_db_config(setting, false)?;
            Ok(Some(guard))
        };
        switch().map_err(Error::sqlite("suppressing triggers"))
    }
}

impl Drop for Suppressed<'_> {
    fn drop(&mut self) {
        let setting = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        let _ = self.conn.set_db_config(setting, self.were_on);
    }
}
