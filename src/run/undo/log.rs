//! A table's log, and the triggers that fill it.

use super::shape::{ROW, Shape};
use crate::sql::quoted;

/// The table whose rows' first images are in `temp.landfall_undo_<n>`.
pub(super) struct Log {
    pub(super) shape: Shape,
    pub(super) table: String,
    pub(super) kind: LogKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LogKind {
    /// Triggers fill it.
    Triggers,
    /// It is a copy, made at the start: `sqlite_sequence` takes no trigger.
    Copy,
}

/// A table that cannot be recorded: that it was written to is noted, and why that is refused.
pub(super) struct Watched {
    pub(super) table: String,
    pub(super) why: String,
    pub(super) trigger: String,
}

/// Why tables that cannot be recorded are not, as soon as they are written to.
pub(super) const SEEN: &str = "landfall_undo_seen";
/// How many rows a table had before it was first written to.
pub(super) const COUNTS: &str = "landfall_undo_counts";
pub(super) const SEQUENCE: &str = "sqlite_sequence";

const BEFORE: [&str; 3] = ["BEFORE INSERT", "BEFORE UPDATE", "BEFORE DELETE"];

impl Log {
    /// What makes the log and fills it. Inside a trigger a table to insert into cannot say its
    /// schema, and TEMP ones come first. An INSERT there must not count on OR IGNORE: the
    /// outer statement's conflict clause would replace it.
    pub(super) fn begin(&self) -> String {
        let Log { shape, table, .. } = self;
        let keys: Vec<String> = (0..shape.key.len()).map(|at| format!("k{at}")).collect();
        let names = keys.join(", ");
        let collated: Vec<String> = keys
            .iter()
            .zip(&shape.key)
            .map(|(key, part)| format!("{key} COLLATE {}", quoted(&part.collation)))
            .collect();
        let images: Vec<String> = (0..shape.columns.len()).map(|at| format!("c{at}")).collect();
        let images = images.join(", ");
        let key = match shape.without_rowid {
            true => format!("{}, was, {images}, PRIMARY KEY ({names})", collated.join(", ")),
            false => format!("k0 INTEGER PRIMARY KEY, was, {images}"),
        };
        let without = if shape.without_rowid { " WITHOUT ROWID" } else { "" };
        let mut sql = format!("CREATE TEMP TABLE {table}({key}){without};\n");
        // Without affinity on either side (`+`), values compare as they are stored.
        let unkept = |of: &str| {
            let same: Vec<String> = keys
                .iter()
                .zip(shape.key_of(of))
                .map(|(key, of)| format!("{table}.{key} = +{of}"))
                .collect();
            format!("NOT EXISTS (SELECT 1 FROM temp.{table} WHERE {})", same.join(" AND "))
        };
        let all = format!("INSERT INTO {table} ({names}, was, {images})");
        let row_of = |of: &str| {
            let (key, columns) = (shape.key_of(of).join(", "), shape.columns_of(of).join(", "));
            format!("{key}, 1, {columns}")
        };
        if self.kind == LogKind::Copy {
            sql.push_str(&format!("{all} SELECT {} FROM {};\n", row_of(""), shape.table()));
            return sql;
        }
        let none = format!(
            "INSERT INTO {table} ({names}, was) VALUES ({}, 0)",
            shape.key_of("NEW.").join(", ")
        );
        let old = format!("{all} VALUES ({})", row_of("OLD."));
        let row = format!("{ROW}.");
        let rows = |which: &str| format!("FROM {} AS {ROW} WHERE {which}", shape.table());
        let exists = |which: &str| format!("EXISTS (SELECT 1 {})", rows(which));
        // Each way by itself: an OR between them would have SQLite look at every row.
        let in_the_way: Vec<String> =
            shape.pushed_out.iter().map(|way| format!("{way} AND {}", unkept(&row))).collect();
        let others: Vec<String> = in_the_way
            .iter()
            .map(|way| format!("{way} AND NOT ({})", shape.same_key("OLD.")))
            .collect();
        let any =
            |ways: &[String]| ways.iter().map(|way| exists(way)).collect::<Vec<_>>().join(" OR ");
        let those = |ways: &[String]| {
            let each =
                ways.iter().map(|way| format!("{all} SELECT {} {}", row_of(&row), rows(way)));
            each.collect::<Vec<_>>().join("; ")
        };
        let absent = format!("{} AND NOT {}", unkept("NEW."), exists(&shape.same_key("NEW.")));
        // In whatever order those of one event fire. What decides stands in WHEN: an INSERT that
        // looks into its own table builds a table of its own for every row.
        let mut triggers = vec![
            ("BEFORE INSERT", any(&in_the_way), those(&in_the_way)),
            ("AFTER INSERT", unkept("NEW."), none.clone()),
            ("BEFORE UPDATE", unkept("OLD."), old.clone()),
            ("BEFORE UPDATE", any(&others), those(&others)),
            ("BEFORE UPDATE", absent, none),
            ("BEFORE DELETE", unkept("OLD."), old),
        ];
        if shape.may_push_out_others {
            let uncounted =
                format!("NOT EXISTS (SELECT 1 FROM temp.{COUNTS} WHERE log = '{table}')");
            let count = format!(
                "INSERT INTO {COUNTS} VALUES ('{table}', (SELECT count(*) FROM {}))",
                shape.table()
            );
            triggers.extend(BEFORE.map(|event| (event, uncounted.clone(), count.clone())));
        }
        for (at, (event, when, body)) in triggers.into_iter().enumerate() {
            let trigger = format!("{table}_{at}");
            sql.push_str(&create_trigger(&trigger, event, &shape.table(), &when, &body));
        }
        sql
    }

    pub(super) fn drop_triggers(&self) -> String {
        let table = &self.table;
        (0..9).map(|at| format!("DROP TRIGGER IF EXISTS temp.{table}_{at};\n")).collect()
    }

    /// The kept rows: key, whether there was a row, and its image. Of a copy also the rows that
    /// are new.
    pub(super) fn rows(&self) -> String {
        let Log { shape, table, .. } = self;
        let kept = format!("SELECT * FROM temp.{table}");
        if self.kind != LogKind::Copy {
            return kept;
        }
        let key = shape.key_of("").join(", ");
        let nothing = ", NULL".repeat(shape.columns.len());
        format!(
            "{kept} UNION ALL SELECT {key}, 0{nothing} FROM {} AS t
             WHERE NOT EXISTS (SELECT 1 FROM temp.{table} WHERE k0 = t.{key})",
            shape.table()
        )
    }
}

impl Watched {
    pub(super) fn begin(&self) -> String {
        let why = self.why.replace('\'', "''");
        let unseen = format!("NOT EXISTS (SELECT 1 FROM temp.{SEEN} WHERE why = '{why}')");
        let see = format!("INSERT INTO {SEEN} VALUES ('{why}')");
        let triggers = BEFORE.into_iter().enumerate().map(|(at, event)| {
            let trigger = format!("{}_{at}", self.trigger);
            create_trigger(&trigger, event, &self.table, &unseen, &see)
        });
        triggers.collect()
    }

    pub(super) fn end(&self) -> String {
        let triggers = (0..BEFORE.len())
            .map(|at| format!("DROP TRIGGER IF EXISTS temp.{}_{at};\n", self.trigger));
        triggers.collect()
    }
}

fn create_trigger(name: &str, event: &str, on: &str, when: &str, body: &str) -> String {
    format!("CREATE TEMP TRIGGER {name} {event} ON {on} WHEN {when} BEGIN {body}; END;\n")
}
