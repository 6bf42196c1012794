//! Recording: TEMP triggers that keep the first image of every row that a deed touches, as
//! <https://sqlite.org/undoredo.html> suggests, and at the end a comparison with what became of it.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};

use super::shape::{ROW, Shape, tables};
use super::{Terms, image, refuse_temp_triggers};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{ChangedRow, Ledger, Recorded, Recording};
use crate::sql::action::written;
use crate::sql::{Action, Script, quoted};

/// Recording since [`start`](Recorder::start), until [`finish`](Recorder::finish) or a drop, which
/// forgets it.
///
/// "Every row that a deed touches" is every row that is inserted, updated or deleted by it, by
/// triggers, or by foreign keys' actions, for all of these fire triggers. Rows that REPLACE throws
/// out fire DELETE triggers only with `recursive_triggers`, which would change what the
/// application's own triggers do. So before an insert or update each row that stands in its way
/// by any unique index is kept as it is, whether or not it will be thrown out.
///
/// Each image is taken before its row changes, and before foreign keys act, which is before any
/// AFTER trigger. Only an insert's key is not known by then; it acts on no other row, and our
/// triggers come before the application's, since SQLite puts TEMP triggers first.
pub(crate) struct Recorder<'c> {
    conn: &'c Connection,
    what: String,
    logs: Vec<Log>,
    /// Tables of virtual tables, and what they held.
    shadows: Vec<(String, u64)>,
    schema: i64,
    /// Whether all that was made is dropped again.
    ended: bool,
}

/// The table whose rows' first images are in `temp.landfall_undo_<n>`.
struct Log {
    shape: Shape,
    table: String,
    kind: LogKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LogKind {
    /// Triggers fill it.
    Triggers,
    /// It is a copy, made at the start: `sqlite_sequence` takes no trigger.
    Copy,
    /// Its table cannot be recorded; that it was written to is noted.
    Unrecordable,
}

/// Names of tables that cannot be recorded, as soon as they are written to.
const SEEN: &str = "landfall_undo_seen";
pub(super) const SEQUENCE: &str = "sqlite_sequence";

impl<'c> Recorder<'c> {
    /// Begins to record a script, unless its text shows that it cannot be recorded. Inside a write
    /// transaction.
    pub(crate) fn of_script(
        conn: &'c Connection,
        ledger: &Ledger<'_>,
        script: &Script,
        what: String,
    ) -> Result<Self> {
        refuse_unrecordable(conn, script, &what)?;
        Self::start(conn, ledger, what)
    }

    /// Begins to record code, which may write to anything: the tables that virtual tables keep are
    /// read before and after. A trigger on one of them can take SQLite down: FTS5 writes there from
    /// within a savepoint, which the trigger makes it open again.
    pub(crate) fn of_code(conn: &'c Connection, ledger: &Ledger<'_>, what: String) -> Result<Self> {
        let mut recorder = Self::start(conn, ledger, what)?;
        recorder.shadows = shadows(conn)?;
        Ok(recorder)
    }

    fn start(conn: &'c Connection, ledger: &Ledger<'_>, what: String) -> Result<Self> {
        let refuse = |why: &str| cannot_record(&what, why.to_owned());
        refuse_temp_triggers(conn, |why| cannot_record(&what, why))?;
        let reading = "reading the schema for a record";
        // `PRAGMA table_list`: https://sqlite.org/pragma.html#pragma_table_list
        if rusqlite::version_number() < 3_037_000 {
            return Err(refuse("that needs SQLite 3.37 or later").into());
        }
        let mut logs = Vec::new();
        for name in tables(conn, "table").map_err(Error::sqlite(reading))? {
            if ledger.owns(&name) {
                continue;
            }
            let shape = Shape::of(conn, &name).map_err(Error::sqlite(reading))?;
            logs.extend(shape.map(|shape| {
                let kind = match shape.key.is_empty() {
                    true => LogKind::Unrecordable,
                    false => LogKind::Triggers,
                };
                (shape, kind)
            }));
        }
        let sequence = Shape::of(conn, SEQUENCE).map_err(Error::sqlite(reading))?;
        logs.extend(sequence.map(|shape| (shape, LogKind::Copy)));
        let logs = logs.into_iter().enumerate().map(|(at, (shape, kind))| Log {
            shape,
            table: format!("landfall_undo_{at}"),
            kind,
        });
        let schema = schema_version(conn)?;
        // The guard comes first: what is made and not dropped would go on recording.
        let recorder = Recorder {
            conn,
            what,
            logs: logs.collect(),
            shadows: Vec::new(),
            schema,
            ended: false,
        };
        let begin = || {
            conn.execute_batch(&format!("CREATE TEMP TABLE {SEEN}(name TEXT PRIMARY KEY)"))?;
            recorder.logs.iter().try_for_each(|log| conn.execute_batch(&log.begin()))
        };
        begin().map_err(Error::sqlite("beginning to record changed rows"))?;
        Ok(recorder)
    }

    /// How many rows have been kept: SQLite counts them among the changes.
    pub(crate) fn kept(&self) -> Result<u64> {
        let count = |log: &Log| {
            let sql = format!("SELECT count(*) FROM temp.{}", log.table);
            self.conn.query_row(&sql, [], |row| row.get::<_, i64>(0))
        };
        let filled = self.logs.iter().filter(|log| log.kind == LogKind::Triggers);
        let counts = filled.map(count).collect::<rusqlite::Result<Vec<_>>>();
        let counts = counts.map_err(Error::sqlite("counting kept rows"))?;
        Ok(counts.iter().sum::<i64>().cast_unsigned())
    }

    /// Stores what changed since the start, if all of it could be recorded and is no more than
    /// the limit.
    pub(crate) fn finish(
        mut self,
        ledger: &Ledger<'_>,
        of: &Recorded,
        name: &str,
        terms: &Terms,
    ) -> Result<()> {
        if let Some(why) = self.unrecordable()? {
            return Err(cannot_record(&self.what, why).into());
        }
        if schema_version(self.conn)? != self.schema {
            let why = "it changed the schema, which is not undone by rows".to_owned();
            return Err(cannot_record(&self.what, why).into());
        }
        let mut recording = ledger.begin_recording()?;
        let mut room = terms.limit;
        let mut signatures = String::new();
        for log in self.logs.iter().filter(|log| log.kind != LogKind::Unrecordable) {
            let pushed = self.push(log, &mut recording, &mut room)?;
            match pushed {
                Pushed::Nothing => {}
                Pushed::Rows => signatures.push_str(&format!("{}\n", log.shape.signature())),
                Pushed::TooMuch => {
                    let (what, limit) = (self.what.clone(), terms.limit);
                    return Err(ErrorKind::UndoTooLarge { what, limit }.into());
                }
            }
        }
        ledger.end_recording(recording, of, name, &signatures)?;
        self.drop_all().map_err(Error::sqlite("ending the record of changed rows"))?;
        self.ended = true;
        Ok(())
    }

    /// Why not all of it could be recorded: a table that was written to.
    fn unrecordable(&self) -> Result<Option<String>> {
        let asking = "asking what could not be recorded";
        if !self.shadows.is_empty() {
            let now = shadows(self.conn)?;
            let other = self.shadows.iter().zip(now).find(|(was, now)| *was != now);
            if let Some(((shadow, _), _)) = other {
                let of = virtual_table(self.conn, shadow).map_err(Error::sqlite(asking))?;
                return Ok(Some(written_to(of.as_ref().unwrap_or(shadow))));
            }
        }
        let sql = format!("SELECT name FROM temp.{SEEN} ORDER BY name");
        let seen = self.conn.query_row(&sql, [], |row| row.get::<_, String>(0)).optional();
        Ok(seen.map_err(Error::sqlite(asking))?.map(|name| {
            format!(
                "it writes to `{name}`, whose columns take every name of the rowid, so that its \
                 rows cannot be told apart"
            )
        }))
    }

    fn push(&self, log: &Log, to: &mut Recording<'_>, room: &mut u64) -> Result<Pushed> {
        let reading = "comparing rows with what they were";
        let shape = &log.shape;
        let keys = shape.key.len();
        let mut now = self.conn.prepare(&shape.select_row()).map_err(Error::sqlite(reading))?;
        let mut kept = self.conn.prepare(&log.rows()).map_err(Error::sqlite(reading))?;
        let mut kept = kept.query([]).map_err(Error::sqlite(reading))?;
        let mut pushed = Pushed::Nothing;
        while let Some(row) = kept.next().map_err(Error::sqlite(reading))? {
            let mut read = || {
                let key = values(row, 0, keys)?;
                let was: bool = row.get(keys)?;
                let before = match was {
                    true => Some(image::encode(values(row, keys + 1, shape.columns.len())?)),
                    false => None,
                };
                let bound = key.iter().map(|value| rusqlite::types::ToSqlOutput::Borrowed(*value));
                let mut found = now.query(params_from_iter(bound))?;
                let after = match found.next()? {
                    Some(row) => Some(image::encode(values(row, 0, shape.columns.len())?)),
                    None => None,
                };
                let table = shape.name.clone();
                Ok(ChangedRow { table, key: image::encode(key), before, after })
            };
            let changed = read().map_err(Error::sqlite(reading))?;
            if changed.before == changed.after {
                continue;
            }
            let Some(left) = room.checked_sub(changed.bytes()) else {
                return Ok(Pushed::TooMuch);
            };
            *room = left;
            to.push(&changed)?;
            pushed = Pushed::Rows;
        }
        Ok(pushed)
    }

    fn drop_all(&self) -> rusqlite::Result<()> {
        for log in &self.logs {
            self.conn.execute_batch(&log.end())?;
        }
        self.conn.execute_batch(&format!("DROP TABLE IF EXISTS temp.{SEEN}"))
    }
}

enum Pushed {
    Nothing,
    Rows,
    TooMuch,
}

impl Drop for Recorder<'_> {
    /// An interrupt takes down one attempt and not the next, and perhaps the transaction, which has
    /// failed by then anyway.
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.drop_all().or_else(|_| self.drop_all());
        }
    }
}

impl ChangedRow {
    fn bytes(&self) -> u64 {
        let images = [Some(&self.key), self.before.as_ref(), self.after.as_ref()];
        images.into_iter().flatten().map(|image| image.len() as u64).sum()
    }
}

impl Log {
    /// What makes the log and fills it. Inside a trigger a table to insert into cannot say its
    /// schema, and TEMP ones come first. An INSERT there must not count on OR IGNORE: the
    /// outer statement's conflict clause would replace it.
    fn begin(&self) -> String {
        let Log { shape, table, .. } = self;
        if self.kind == LogKind::Unrecordable {
            return self.begin_to_see();
        }
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
        let rows = |which: &str| format!("FROM {} AS {ROW} WHERE {which}", shape.table());
        let in_the_way =
            format!("({}) AND {}", shape.pushed_out.join(" OR "), unkept(&format!("{ROW}.")));
        let others = format!("NOT ({}) AND {in_the_way}", shape.same_key("OLD."));
        let exists = |which: &str| format!("EXISTS (SELECT 1 {})", rows(which));
        let those =
            |which: &str| format!("{all} SELECT {} {}", row_of(&format!("{ROW}.")), rows(which));
        let absent = format!("{} AND NOT {}", unkept("NEW."), exists(&shape.same_key("NEW.")));
        // In whatever order those of one event fire. What decides stands in WHEN: an INSERT that
        // looks into its own table builds a table of its own for every row.
        let triggers = [
            ("BEFORE INSERT", exists(&in_the_way), those(&in_the_way)),
            ("AFTER INSERT", unkept("NEW."), none.clone()),
            ("BEFORE UPDATE", unkept("OLD."), old.clone()),
            ("BEFORE UPDATE", exists(&others), those(&others)),
            ("BEFORE UPDATE", absent, none),
            ("BEFORE DELETE", unkept("OLD."), old),
        ];
        for (at, (event, when, body)) in triggers.into_iter().enumerate() {
            sql.push_str(&self.trigger(at, event, &when, &body));
        }
        sql
    }

    fn begin_to_see(&self) -> String {
        let name = self.shape.name.replace('\'', "''");
        let unseen = format!("NOT EXISTS (SELECT 1 FROM temp.{SEEN} WHERE name = '{name}')");
        let see = format!("INSERT INTO {SEEN} VALUES ('{name}')");
        let events = ["BEFORE INSERT", "BEFORE UPDATE", "BEFORE DELETE"].into_iter().enumerate();
        events.map(|(at, event)| self.trigger(at, event, &unseen, &see)).collect()
    }

    fn trigger(&self, at: usize, event: &str, when: &str, body: &str) -> String {
        let (table, on) = (&self.table, self.shape.table());
        format!("CREATE TEMP TRIGGER {table}_{at} {event} ON {on} WHEN {when} BEGIN {body}; END;\n")
    }

    fn end(&self) -> String {
        let table = &self.table;
        let triggers = (0..6).map(|at| format!("DROP TRIGGER IF EXISTS temp.{table}_{at};\n"));
        let triggers: String = triggers.collect();
        format!("{triggers}DROP TABLE IF EXISTS temp.{table};")
    }

    /// The kept rows: key, whether there was a row, and its image. Of a copy also the rows that
    /// are new.
    fn rows(&self) -> String {
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

/// Values of a row, from a column on.
pub(super) fn values<'r>(
    row: &'r Row<'_>,
    from: usize,
    count: usize,
) -> rusqlite::Result<Vec<ValueRef<'r>>> {
    (from..from + count).map(|at| row.get_ref(at)).collect()
}

/// Refuses, before anything runs, a script whose text shows that it cannot be recorded.
fn refuse_unrecordable(conn: &Connection, script: &Script, what: &str) -> Result<()> {
    let routes = Routes::read(conn).map_err(Error::sqlite("reading the schema for a record"))?;
    for statement in &script.statements {
        let Action::Write { table, .. } = &statement.action else {
            continue;
        };
        let elsewhere = table.schema.as_ref().filter(|_| !table.is_temp());
        let why = match elsewhere.filter(|schema| !schema.eq_ignore_ascii_case("main")) {
            Some(schema) => format!("`{}` is in another database, `{schema}`", table.name),
            None => match routes.to_virtual(&table.name) {
                Some(reached) => written_to(&reached),
                None => continue,
            },
        };
        let position = script.position(statement.start);
        return Err(Error::from(cannot_record(what, why)).at(script, position));
    }
    Ok(())
}

/// Where a write can lead: through triggers, and along foreign keys.
struct Routes {
    virtual_tables: Vec<String>,
    /// From and to, in lower case.
    edges: Vec<(String, String)>,
}

impl Routes {
    fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let mut virtual_tables = conn.prepare(
            "SELECT name FROM main.sqlite_master
             WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'",
        )?;
        let virtual_tables = virtual_tables.query_map([], |row| row.get(0))?;
        let virtual_tables = virtual_tables.collect::<rusqlite::Result<Vec<String>>>()?;
        let mut edges = Vec::new();
        let mut triggers =
            conn.prepare("SELECT tbl_name, sql FROM main.sqlite_master WHERE type = 'trigger'")?;
        let mut rows = triggers.query([])?;
        while let Some(row) = rows.next()? {
            let (table, sql): (String, String) = (row.get(0)?, row.get(1)?);
            let from = table.to_ascii_lowercase();
            let to = written(&sql).into_iter().map(|to| (from.clone(), to.to_ascii_lowercase()));
            edges.extend(to);
        }
        let mut keys = conn.prepare(
            "SELECT lower(k.\"table\"), lower(m.name)
             FROM main.sqlite_master AS m, pragma_foreign_key_list(m.name, 'main') AS k
             WHERE m.type = 'table'",
        )?;
        let keys = keys.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        edges.extend(keys.collect::<rusqlite::Result<Vec<(String, String)>>>()?);
        Ok(Routes { virtual_tables, edges })
    }

    /// The virtual table that a write to this table can reach.
    fn to_virtual(&self, table: &str) -> Option<String> {
        let mut reached = BTreeSet::from([table.to_ascii_lowercase()]);
        loop {
            let hit = self
                .virtual_tables
                .iter()
                .find(|name| reached.contains(&name.to_ascii_lowercase()));
            if let Some(hit) = hit {
                return Some(hit.clone());
            }
            let next = self.edges.iter().filter(|(from, _)| reached.contains(from));
            let next: Vec<String> = next.map(|(_, to)| to.clone()).collect();
            let before = reached.len();
            reached.extend(next);
            if reached.len() == before {
                return None;
            }
        }
    }
}

/// The tables that virtual tables keep, each with a hash of what it holds.
fn shadows(conn: &Connection) -> Result<Vec<(String, u64)>> {
    let read = || {
        let names = tables(conn, "shadow")?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        // What a virtual table has not written yet it writes when a savepoint begins.
        conn.execute_batch("SAVEPOINT landfall_undo; RELEASE landfall_undo")?;
        names.into_iter().map(|name| hashed(conn, name)).collect()
    };
    read().map_err(Error::sqlite("looking at virtual tables"))
}

fn hashed(conn: &Connection, name: String) -> rusqlite::Result<(String, u64)> {
    let mut statement = conn.prepare(&format!("SELECT * FROM main.{}", quoted(&name)))?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut hasher = DefaultHasher::new();
    while let Some(row) = rows.next()? {
        image::encode(values(row, 0, columns)?).hash(&mut hasher);
    }
    Ok((name, hasher.finish()))
}

/// The virtual table that a table belongs to.
fn virtual_table(conn: &Connection, shadow: &str) -> rusqlite::Result<Option<String>> {
    let virtual_tables = tables(conn, "virtual")?.into_iter();
    let owns = |name: &String| {
        shadow.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('_'))
    };
    Ok(virtual_tables.filter(owns).max_by_key(String::len))
}

fn schema_version(conn: &Connection) -> Result<i64> {
    conn.query_row("PRAGMA main.schema_version", [], |row| row.get(0))
        .map_err(Error::sqlite("reading the schema's version"))
}

fn written_to(table: &str) -> String {
    format!("it writes to `{table}`, a virtual table, whose rows nobody else can see change")
}

fn cannot_record(what: &str, why: String) -> ErrorKind {
    ErrorKind::CannotRecord { what: what.to_owned(), why }
}
