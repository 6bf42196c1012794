//! The schema of a database by meaning, so that two can be compared.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::sql::token::tokens;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    lines: Vec<String>,
}

impl Shape {
    pub(crate) fn of(conn: &Connection, is_ours: impl Fn(&str) -> bool) -> Result<Self> {
        read(conn, is_ours).map_err(Error::sqlite("reading the schema"))
    }

    pub(crate) fn differences(&self, other: &Shape) -> Vec<String> {
        let gone = self.lines.iter().filter(|l| !other.lines.contains(l)).map(|l| format!("lost {l}"));
        let more = other.lines.iter().filter(|l| !self.lines.contains(l)).map(|l| format!("has {l}"));
        gone.chain(more).collect()
    }
}

fn read(conn: &Connection, is_ours: impl Fn(&str) -> bool) -> rusqlite::Result<Shape> {
    let mut lines = Vec::new();
    let queries = [
        "SELECT m.tbl_name, type || ' ' || name, CASE WHEN type IN ('view', 'trigger', 'index') THEN sql END FROM sqlite_master m",
        "SELECT m.name, m.name || '.' || x.name || ' ' || x.type || ' ' || x.\"notnull\" || ' '
                || ifnull(x.dflt_value, '-') || ' ' || x.pk || ' ' || x.hidden, NULL
         FROM sqlite_master m, pragma_table_xinfo(m.name) x WHERE m.type = 'table'",
        "SELECT m.name, m.name || ' index ' || i.\"unique\" || i.origin || i.partial || ' '
                || group_concat(ifnull(x.name, 'expression') || x.\"desc\" || x.coll), NULL
         FROM sqlite_master m, pragma_index_list(m.name) i, pragma_index_xinfo(i.name) x
         WHERE m.type = 'table' GROUP BY m.name, i.name",
        "SELECT m.name, m.name || '(' || k.\"from\" || ') references ' || k.\"table\" || '('
                || ifnull(k.\"to\", '') || ') ' || k.on_delete || ' ' || k.on_update, NULL
         FROM sqlite_master m, pragma_foreign_key_list(m.name) k WHERE m.type = 'table'",
    ];
    for query in queries {
        let mut statement = conn.prepare(query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let table: String = row.get(0)?;
            if is_ours(&table) || table.starts_with("sqlite_") {
                continue;
            }
            let (line, sql): (String, Option<String>) = (row.get(1)?, row.get(2)?);
            let sql = sql.unwrap_or_default();
            let words: Vec<&str> =
                tokens(&sql).filter(|t| t.is_significant()).map(|t| t.text(&sql)).collect();
            lines.push(format!("{line} {}", words.join(" ").replace('"', "")));
        }
    }
    lines.sort();
    Ok(Shape { lines })
}
