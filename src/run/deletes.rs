//! Rows that one statement deletes: counted before it, and after.

use rusqlite::Connection;

use super::table::{has_word, holding, schema_of};
use crate::error::is_about_sql;
use crate::sql::action::Name;
use crate::sql::{Verb, quoted};

/// What there was before a statement that may delete.
pub(crate) struct Deletes {
    schema: String,
    table: String,
    /// `None` where the table is the script's own.
    rows: Option<i64>,
    changes: u64,
    /// The other tables, where triggers could reach them.
    others: Vec<(String, i64)>,
}

impl Deletes {
    /// Counts the table, and all others if it has triggers.
    pub(crate) fn before(
        conn: &Connection,
        table: &Name,
        is_own: bool,
    ) -> rusqlite::Result<Option<Self>> {
        let (schema, table) = (schema_of(conn, table)?, table.name.clone());
        let mut others = Vec::new();
        if has_triggers(conn, &table)? {
            let here = |other: &String| schema == "main" && other.eq_ignore_ascii_case(&table);
            for other in holding(conn)?.into_iter().filter(|other| !here(other)) {
                match count(conn, "main", &other) {
                    Err(error) if is_about_sql(&error) => {}
                    rows => others.push((other, rows?)),
                }
            }
        }
        if is_own && others.is_empty() {
            return Ok(None);
        }
        let rows = if is_own { None } else { Some(count(conn, &schema, &table)?) };
        Ok(Some(Deletes {
            schema,
            table: table.into(),
            rows,
            changes: conn.total_changes(),
            others,
        }))
    }

    /// The tables that have lost rows by the statement, and how many.
    pub(crate) fn after(
        &self,
        conn: &Connection,
        verb: Verb,
        sql: &str,
    ) -> rusqlite::Result<Vec<(String, i64)>> {
        // A statement that changed nothing at all leaves the number of the one before.
        if conn.total_changes() == self.changes {
            return Ok(Vec::new());
        }
        let changed = i64::try_from(conn.changes()).unwrap_or(i64::MAX);
        let mut deleted = Vec::new();
        if let Some(rows) = self.rows {
            let after = count(conn, &self.schema, &self.table)?;
            // REPLACE does not count the rows that it throws out as changes, and what is done to a
            // view's tables is none to the view: <https://sqlite.org/c3ref/changes.html>.
            let gone = match verb {
                Verb::Delete => changed.max(rows - after),
                // Rows that `ON CONFLICT … DO UPDATE` changes are counted as well, and are not new.
                Verb::Insert if has_word(sql, "DO") => rows - after,
                Verb::Insert | Verb::Replace => rows + changed - after,
                Verb::Update | Verb::UpdateOrReplace => rows - after,
            };
            // A command to a virtual table, such as FTS5's `rebuild`, counts as a change and is no
            // row.
            let is_command = verb == Verb::Insert && after >= rows;
            if gone > 0 && !(is_command && self.is_virtual(conn)?) {
                deleted.push((self.table.clone(), gone));
            }
        }
        for (other, rows) in &self.others {
            let gone = rows - count(conn, "main", other)?;
            if gone > 0 {
                deleted.push((other.clone(), gone));
            }
        }
        Ok(deleted)
    }

    fn is_virtual(&self, conn: &Connection) -> rusqlite::Result<bool> {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM {}.sqlite_master
                            WHERE name = ?1 COLLATE NOCASE AND sql LIKE 'CREATE VIRTUAL%')",
            quoted(&self.schema)
        );
        conn.query_row(&sql, [&self.table], |row| row.get(0))
    }
}

fn has_triggers(conn: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM main.sqlite_master
                              WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE)
                   OR EXISTS (SELECT 1 FROM temp.sqlite_master
                              WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE)";
    conn.query_row(sql, [table], |row| row.get(0))
}

fn count(conn: &Connection, schema: &str, table: &str) -> rusqlite::Result<i64> {
    let sql = format!("SELECT count(*) FROM {}.{}", quoted(schema), quoted(table));
    conn.query_row(&sql, [], |row| row.get(0))
}
