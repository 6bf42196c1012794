//! Not a tool: the same texts, and by hand what landfall's ledger is written with. What is left
//! between this and landfall is landfall's own.

use rusqlite::params;

use super::{Tool, on_rusqlite};
use crate::set::Script;

const TABLES: &str = "
    CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL,
        checksum TEXT NOT NULL, down_sql TEXT, compatible INTEGER NOT NULL, applied_at TEXT NOT NULL,
        took_us INTEGER NOT NULL, app_version TEXT);
    CREATE TABLE schema_seeds (name TEXT PRIMARY KEY NOT NULL, revision INTEGER NOT NULL,
        state TEXT NOT NULL, cursor, done INTEGER, total INTEGER, rows_changed INTEGER,
        started_at TEXT, finished_at TEXT, took_us INTEGER, app_version TEXT) WITHOUT ROWID;
    CREATE TABLE schema_history (id INTEGER PRIMARY KEY, at TEXT NOT NULL, action TEXT NOT NULL,
        version INTEGER, name TEXT, reason TEXT, detail TEXT, app_version TEXT);
    CREATE TABLE schema_state (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO schema_state VALUES ('format', '1'), ('seal', '0123456789abcdef0123456789abcdef');
";
const ROW: &str = "INSERT INTO schema_migrations VALUES (?1, ?2, ?3, NULL, 1, ?4, 100, NULL)";
const LINE: &str = "INSERT INTO schema_history(at, action, version, name, detail) VALUES (?4, 'apply', ?1, ?2, ?3)";

pub fn tool(scripts: &[Script]) -> impl Tool + use<> {
    let scripts: Vec<(usize, String, &'static str)> =
        scripts.iter().map(|script| (script.number, script.name.clone(), script.text)).collect();
    let checksum = format!("sha256:{}", "0123456789abcdef".repeat(4));
    on_rusqlite::tool(move |conn| {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        for (_, _, text) in &scripts {
            conn.execute_batch(text)?;
        }
        conn.execute_batch(TABLES)?;
        for sql in [ROW, LINE] {
            let mut statement = conn.prepare(sql)?;
            for (number, name, _) in &scripts {
                let now = "2026-01-01T00:00:00.000Z";
                statement.execute(params![*number as i64, name, checksum, now])?;
            }
        }
        conn.execute_batch("COMMIT")?;
        Ok(())
    })
}
