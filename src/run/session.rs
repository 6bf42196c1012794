//! Settings of the connection, put back as they were on every way out.

use std::cell::Cell;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _};

use crate::error::{Error, Result};

/// Settings that a script can change, that take effect inside a transaction too, and that survive
/// its end, a rollback included: <https://sqlite.org/pragma.html>.
pub(crate) const SETTINGS: [&str; 31] = [
    "analysis_limit",
    "automatic_index",
    "busy_timeout",
    "cache_size",
    "cache_spill",
    "case_sensitive_like",
    "cell_size_check",
    "checkpoint_fullfsync",
    "count_changes",
    "empty_result_callbacks",
    "foreign_keys",
    "full_column_names",
    "fullfsync",
    "ignore_check_constraints",
    "journal_size_limit",
    "legacy_alter_table",
    "locking_mode",
    "max_page_count",
    "mmap_size",
    "query_only",
    "read_uncommitted",
    "recursive_triggers",
    "reverse_unordered_selects",
    "secure_delete",
    "short_column_names",
    "synchronous",
    "temp_store",
    "threads",
    "trusted_schema",
    "wal_autocheckpoint",
    "writable_schema",
];

/// Settings that decide what a statement does, and not how fast or whether somebody may write.
pub(crate) const MEANINGS: [&str; 11] = [
    "case_sensitive_like",
    "cell_size_check",
    "foreign_keys",
    "ignore_check_constraints",
    "legacy_alter_table",
    "max_page_count",
    "recursive_triggers",
    "reverse_unordered_selects",
    "secure_delete",
    "trusted_schema",
    "writable_schema",
];

/// What no PRAGMA tells: <https://sqlite.org/c3ref/c_dbconfig_defensive.html>. Older releases of
/// rusqlite do not know them all: what an inner block imports goes before what is imported around it,
/// so that those are nothing there.
fn switches() -> [Option<DbConfig>; 5] {
    #[allow(unused_imports)]
    use unknown::*;
    {
        use DbConfig::*;
        [
            SQLITE_DBCONFIG_ENABLE_TRIGGER.into(),
            SQLITE_DBCONFIG_ENABLE_VIEW.into(),
            SQLITE_DBCONFIG_DQS_DDL.into(),
            SQLITE_DBCONFIG_DQS_DML.into(),
            SQLITE_DBCONFIG_DEFENSIVE.into(),
        ]
    }
}

#[allow(dead_code)]
mod unknown {
    use rusqlite::config::DbConfig;

    pub(super) const SQLITE_DBCONFIG_ENABLE_VIEW: Option<DbConfig> = None;
    pub(super) const SQLITE_DBCONFIG_DQS_DDL: Option<DbConfig> = None;
    pub(super) const SQLITE_DBCONFIG_DQS_DML: Option<DbConfig> = None;
}

/// Gives another connection the settings that decide what a statement does.
pub(crate) fn carry_over(from: &Connection, to: &Connection) -> rusqlite::Result<()> {
    for name in MEANINGS {
        if let Some(value) = read(from, "main.", name)? {
            write(to, "main.", name, &value)?;
        }
    }
    for switch in switches().into_iter().flatten() {
        // An older SQLite has not got them all.
        if let Ok(on) = from.db_config(switch) {
            to.set_db_config(switch, on)?;
        }
    }
    Ok(())
}

/// Where a setting stands. `locking_mode` has, besides that of `main`, a default for databases
/// attached later, which a script that names no database changes too.
fn scopes(name: &str) -> &'static [&'static str] {
    if name == "locking_mode" { &["", "main."] } else { &["main."] }
}

/// Settings as they were. [`restore`](Settings::restore) tells what failed, `Drop` forgives.
pub(crate) struct Settings<'c> {
    conn: &'c Connection,
    saved: Vec<(&'static str, &'static str, Value)>,
    /// Is set where `Drop` could not put them all back.
    lost: Option<&'c Cell<bool>>,
}

impl<'c> Settings<'c> {
    /// Remembers the settings that somebody may change.
    pub(crate) fn remember(
        conn: &'c Connection,
        may_change: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let mut saved = Vec::new();
        for name in SETTINGS.into_iter().filter(|name| may_change(name)) {
            for scope in scopes(name) {
                let value = read(conn, scope, name)
                    .map_err(Error::sqlite("reading the connection's settings"))?;
                // A setting that this build of SQLite does not have cannot be changed either.
                saved.extend(value.map(|value| (*scope, name, value)));
            }
        }
        Ok(Settings { conn, saved, lost: None })
    }

    /// Sets the flag if `Drop` cannot put them all back.
    pub(crate) fn telling(mut self, lost: &'c Cell<bool>) -> Self {
        self.lost = Some(lost);
        self
    }

    /// An interrupt takes down one attempt and not the next.
    pub(crate) fn restore(mut self) -> Result<()> {
        self.put_back()
            .or_else(|_| self.put_back())
            .map_err(Error::sqlite("restoring the connection's settings"))
    }

    /// What could not be put back stays remembered.
    fn put_back(&mut self) -> rusqlite::Result<()> {
        let conn = self.conn;
        let mut result = Ok(());
        self.saved.retain(|(scope, name, value)| match write(conn, scope, name, value) {
            Ok(()) => false,
            Err(error) => {
                result = Err(error);
                true
            }
        });
        result
    }
}

impl Drop for Settings<'_> {
    fn drop(&mut self) {
        if let (Err(_), Some(lost)) = (self.put_back().or_else(|_| self.put_back()), self.lost) {
            lost.set(true);
        }
    }
}

fn read(conn: &Connection, scope: &str, name: &str) -> rusqlite::Result<Option<Value>> {
    let sql = match name {
        // The one that does not answer.
        "case_sensitive_like" => "SELECT 'a' NOT LIKE 'A'".to_owned(),
        _ => format!("PRAGMA {scope}{name}"),
    };
    conn.query_row(&sql, [], |row| row.get(0)).optional()
}

fn write(conn: &Connection, scope: &str, name: &str, value: &Value) -> rusqlite::Result<()> {
    if read(conn, scope, name)?.as_ref() == Some(value) {
        return Ok(());
    }
    let text = match (name, value) {
        ("secure_delete", Value::Integer(2)) => "FAST".to_owned(),
        (_, Value::Integer(number)) => number.to_string(),
        (_, Value::Text(text)) => text.clone(),
        _ => return Ok(()),
    };
    conn.execute_batch(&format!("PRAGMA {scope}{name} = {text}"))
}

/// Enforcement of foreign keys, off until dropped.
///
/// "It is not possible to enable or disable foreign key constraints in the middle of a
/// multi-statement transaction": <https://sqlite.org/foreignkeys.html#fk_enable>. So this
/// comes before BEGIN, and is undone after the transaction's end.
pub(crate) struct KeysOff<'c> {
    conn: &'c Connection,
    was_on: bool,
}

impl<'c> KeysOff<'c> {
    pub(crate) fn switch(conn: &'c Connection) -> Result<Self> {
        let was_on = enforces_foreign_keys(conn)?;
        // The guard comes first: an interrupted PRAGMA fails and may have switched all the same.
        let guard = KeysOff { conn, was_on };
        if was_on {
            conn.execute_batch("PRAGMA foreign_keys = OFF")
                .map_err(Error::sqlite("switching foreign keys off"))?;
            if enforces_foreign_keys(conn)? {
                let refused = "the connection did not let foreign keys be switched off";
                return Err(Error::sqlite("switching foreign keys off")(
                    rusqlite::Error::ToSqlConversionFailure(refused.into()),
                ));
            }
        }
        Ok(guard)
    }

    /// An interrupt takes down one attempt and not the next.
    pub(crate) fn restore(mut self) -> Result<()> {
        self.put_back()
            .or_else(|_| self.put_back())
            .map_err(Error::sqlite("switching foreign keys on again"))
    }

    fn put_back(&mut self) -> rusqlite::Result<()> {
        if self.was_on {
            // Unlike a PRAGMA it takes no memory, cannot be interrupted, and is never ignored.
            self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
            self.was_on = false;
        }
        Ok(())
    }
}

impl Drop for KeysOff<'_> {
    fn drop(&mut self) {
        let _ = self.put_back();
    }
}

pub(crate) fn enforces_foreign_keys(conn: &Connection) -> Result<bool> {
    conn.query_row("PRAGMA foreign_keys", [], |row| row.get(0))
        .map_err(Error::sqlite("asking whether foreign keys are on"))
}
