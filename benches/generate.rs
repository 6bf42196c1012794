//! Migrations to measure with. Text only, and the same for every benchmark and every tool.

use std::fmt::Write as _;

/// What the migrations of a set are like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each makes a table with an index and a few rows; every third adds a column to an older
    /// table, and every tenth has one of the `views`.
    Realistic,
    /// As above without the columns and the views, which cost SQLite itself the more the larger
    /// the schema is.
    TablesOnly,
    /// Only tables, without rows; every fifth rebuilds an older one, every seventh drops one.
    Rebuilds,
}

/// The text of the `n`-th migration, counted from 1.
pub fn migration(kind: Kind, n: usize) -> String {
    let parent = n.saturating_sub(1).max(1);
    let mut sql = format!(
        "-- Entity {n}, which belongs to entity {parent}.\n\
         CREATE TABLE entity_{n} (\n  \
           id INTEGER PRIMARY KEY,\n  \
           name TEXT NOT NULL,\n  \
           state TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'open', 'done')),\n  \
           amount REAL NOT NULL DEFAULT 0,\n  \
           parent_id INTEGER REFERENCES entity_{parent}(id) ON DELETE CASCADE,\n  \
           created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP\n\
         );\n\
         CREATE INDEX entity_{n}_by_parent ON entity_{n}(parent_id, name);\n"
    );
    if kind != Kind::Rebuilds {
        let _ = write!(
            sql,
            "INSERT INTO entity_{n}(name, amount) VALUES\n  \
               ('the first; of its kind', 1.5), ('the second', 2.5), ('the third', 3.5);\n"
        );
    }
    if kind == Kind::Realistic && n.is_multiple_of(3) {
        let older = n / 2;
        let _ = writeln!(
            sql,
            "ALTER TABLE entity_{older} ADD COLUMN note_{n} TEXT NOT NULL DEFAULT '';"
        );
    }
    if kind == Kind::Rebuilds {
        if n.is_multiple_of(5) {
            let older = n / 2;
            let _ = writeln!(
                sql,
                "CREATE TABLE rebuilt (\n  \
                   id INTEGER PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, amount REAL,\n  \
                   parent_id INTEGER REFERENCES entity_1(id), created_at TEXT NOT NULL\n\
                 );\n\
                 INSERT INTO rebuilt SELECT * FROM entity_{older};\n\
                 DROP TABLE entity_{older};\n\
                 ALTER TABLE rebuilt RENAME TO entity_{older};\n\
                 CREATE INDEX entity_{older}_by_parent ON entity_{older}(parent_id, name);"
            );
        }
        match n % 7 {
            3 => sql.push_str(&format!("CREATE TABLE passing_{n} (note TEXT);\n")),
            4 if n > 4 => sql.push_str(&format!("DROP TABLE passing_{};\n", n - 1)),
            _ => {}
        }
    }
    sql.push('\n');
    sql
}

/// The views over the tables that the first `size` migrations make.
pub fn views(size: usize) -> String {
    let views = (10..=size).step_by(10).map(|n| {
        format!(
            "DROP VIEW IF EXISTS entity_{n}_card;\n\
             CREATE VIEW entity_{n}_card AS\n\
             SELECT a.id, a.name, b.name AS parent_name\n\
             FROM entity_{n} AS a LEFT JOIN entity_{p} AS b ON b.id = a.parent_id;\n\n",
            p = n - 1
        )
    });
    views.collect()
}
