//! Recording: TEMP triggers that keep the first image of every row that a deed touches, as
//! <https://sqlite.org/undoredo.html> suggests, and at the end a comparison with what became of it.

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use super::log::{COUNTS, Log, LogKind, SEEN, SEQUENCE, Watched};
use super::routes::{of_the_ledger, refuse_unrecordable, written_to};
use super::shape::{Shape, tables};
use super::virtual_tables::{shadows, virtual_table};
use super::{Terms, cannot_record, image, refuse_temp_triggers, values};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{ChangedRow, Ledger, Recorded, Recording};
use crate::run::lock::refuse_lost;
use crate::sql::{Script, quoted};

/// Recording since [`start`](Recorder::start), until [`finish`](Recorder::finish) or a drop, which
/// forgets it.
///
/// "Every row that a deed touches" is every row that is inserted, updated or deleted by it, by
/// triggers, or by foreign keys' actions, for all of these fire triggers. Rows that REPLACE throws
/// out fire DELETE triggers only with `recursive_triggers`, which would change what the
/// application's own triggers do. So before an insert or update each row that stands in its way
/// by any unique index is kept as it is, whether or not it will be thrown out. Where that goes by
/// values which a trigger, a default or a new rowid can still change, rows can escape: so the rows
/// of a table that has a unique index are counted too, and what does not add up is refused.
///
/// Each image is taken before its row changes, and before foreign keys act, which is before any
/// AFTER trigger. Only an insert's key is not known by then; it acts on no other row, and our
/// triggers come before the application's, since SQLite puts TEMP triggers first.
pub(crate) struct Recorder<'c> {
    conn: &'c Connection,
    what: String,
    logs: Vec<Log>,
    /// Tables that cannot be recorded.
    watched: Vec<Watched>,
    /// Tables of virtual tables, and what they held.
    shadows: Vec<(String, u64)>,
    schema: i64,
    /// Whether all that was made is dropped again.
    ended: bool,
}

impl<'c> Recorder<'c> {
    /// Begins to record a script, unless its text shows that it cannot be recorded. Inside a write
    /// transaction.
    pub(crate) fn of_script(
        conn: &'c Connection,
        ledger: &Ledger<'_>,
        script: &Script,
        what: String,
    ) -> Result<Self> {
        refuse_unrecordable(conn, ledger, script, &what)?;
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
        let mut unrecordable = elsewhere(conn).map_err(Error::sqlite(reading))?;
        for name in tables(conn, "table").map_err(Error::sqlite(reading))? {
            let shape = Shape::of(conn, &name).map_err(Error::sqlite(reading))?;
            let Some(shape) = shape else { continue };
            if ledger.owns(&name) {
                unrecordable.push((shape.table(), of_the_ledger(&name)));
            } else if shape.key.is_empty() {
                let why = format!(
                    "it writes to `{name}`, whose columns take every name of the rowid, so that \
                     its rows cannot be told apart"
                );
                unrecordable.push((shape.table(), why));
            } else {
                logs.push((shape, LogKind::Triggers));
            }
        }
        let watched = unrecordable.into_iter().enumerate().map(|(at, (table, why))| {
            let trigger = format!("{SEEN}_{at}");
            Watched { table, why, trigger }
        });
        let sequence = Shape::of(conn, SEQUENCE).map_err(Error::sqlite(reading))?;
        logs.extend(sequence.map(|shape| (shape, LogKind::Copy)));
        let logs = logs.into_iter().enumerate().map(|(at, (shape, kind))| Log {
            shape,
            table: format!("landfall_undo_{at}"),
            kind,
        });
        let schema = schema_version(conn)?;
        refuse_lost(conn)?;
        // The guard comes first: what is made and not dropped would go on recording.
        let recorder = Recorder {
            conn,
            what,
            logs: logs.collect(),
            watched: watched.collect(),
            shadows: Vec::new(),
            schema,
            ended: false,
        };
        let begin = || {
            conn.execute_batch(&format!(
                "CREATE TEMP TABLE {SEEN}(why TEXT PRIMARY KEY);
                 CREATE TEMP TABLE {COUNTS}(log TEXT PRIMARY KEY, rows)"
            ))?;
            let logs = recorder.logs.iter().map(Log::begin);
            let mut all = logs.chain(recorder.watched.iter().map(Watched::begin));
            all.try_for_each(|sql| conn.execute_batch(&sql))
        };
        begin().map_err(Error::sqlite("beginning to record changed rows"))?;
        Ok(recorder)
    }

    /// How many rows have been kept: SQLite counts them among the changes.
    pub(crate) fn kept(&self) -> Result<u64> {
        let count = |table: &str| {
            let sql = format!("SELECT count(*) FROM temp.{table}");
            self.conn.query_row(&sql, [], |row| row.get::<_, i64>(0))
        };
        let filled = self.logs.iter().filter(|log| log.kind == LogKind::Triggers);
        let filled = filled.map(|log| log.table.as_str()).chain([COUNTS]);
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
        // The ledger is among what is watched.
        self.unwatch().map_err(Error::sqlite("ending the record of changed rows"))?;
        let mut recording = ledger.begin_recording()?;
        let mut room = terms.limit;
        let mut signatures = String::new();
        for log in &self.logs {
            let pushed = self.push(log, &mut recording, &mut room)?;
            match pushed {
                Pushed::Nothing => {}
                Pushed::Rows => signatures.push_str(&format!("{}\n", log.shape.signature())),
                Pushed::Unseen => {
                    let why = format!(
                        "REPLACE threw rows out of `{}` that nobody could foresee",
                        log.shape.name
                    );
                    return Err(cannot_record(&self.what, why).into());
                }
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
        let sql = format!("SELECT why FROM temp.{SEEN} ORDER BY why");
        let seen = self.conn.query_row(&sql, [], |row| row.get(0)).optional();
        seen.map_err(Error::sqlite(asking))
    }

    fn push(&self, log: &Log, to: &mut Recording<'_>, room: &mut u64) -> Result<Pushed> {
        let reading = "comparing rows with what they were";
        let shape = &log.shape;
        let keys = shape.key.len();
        let mut now = self.conn.prepare(&shape.select_row()).map_err(Error::sqlite(reading))?;
        let mut kept = self.conn.prepare(&log.rows()).map_err(Error::sqlite(reading))?;
        let mut kept = kept.query([]).map_err(Error::sqlite(reading))?;
        let mut pushed = Pushed::Nothing;
        let mut gained = 0;
        while let Some(row) = kept.next().map_err(Error::sqlite(reading))? {
            let mut read = || {
                let key = values(row, 0, keys)?;
                let was: bool = row.get(keys)?;
                let before = match was {
                    true => Some(image::encode(values(row, keys + 1, shape.columns.len())?)),
                    false => None,
                };
                let bound = key.iter().map(|value| ToSqlOutput::Borrowed(*value));
                let mut found = now.query(params_from_iter(bound))?;
                let after = match found.next()? {
                    Some(row) => Some(image::encode(values(row, 0, shape.columns.len())?)),
                    None => None,
                };
                let table = shape.name.clone();
                Ok(ChangedRow { table, key: image::encode(key), before, after })
            };
            let changed = read().map_err(Error::sqlite(reading))?;
            gained += i64::from(changed.after.is_some()) - i64::from(changed.before.is_some());
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
        match self.gained(log).map_err(Error::sqlite(reading))? {
            Some(all) if all != gained => Ok(Pushed::Unseen),
            _ => Ok(pushed),
        }
    }

    /// How many rows more a table has than before it was written to, if they were counted.
    fn gained(&self, log: &Log) -> rusqlite::Result<Option<i64>> {
        let sql = format!(
            "SELECT (SELECT count(*) FROM {}) - rows FROM temp.{COUNTS} WHERE log = ?1",
            log.shape.table()
        );
        self.conn.query_row(&sql, [&log.table], |row| row.get(0)).optional()
    }

    fn unwatch(&self) -> rusqlite::Result<()> {
        self.watched.iter().try_for_each(|watched| self.conn.execute_batch(&watched.end()))
    }

    fn drop_all(&self) -> rusqlite::Result<()> {
        // A table that somebody reads from cannot be dropped, and its triggers can.
        self.unwatch()?;
        self.logs.iter().try_for_each(|log| self.conn.execute_batch(&log.drop_triggers()))?;
        for Log { table, .. } in &self.logs {
            self.conn.execute_batch(&format!("DROP TABLE IF EXISTS temp.{table}"))?;
        }
        self.conn.execute_batch(&format!(
            "DROP TABLE IF EXISTS temp.{SEEN}; DROP TABLE IF EXISTS temp.{COUNTS}"
        ))
    }
}

enum Pushed {
    Nothing,
    Rows,
    TooMuch,
    /// Rows are gone that were not kept.
    Unseen,
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

/// Tables of attached databases, and why they are not recorded.
fn elsewhere(conn: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = conn.prepare(
        "SELECT schema, name FROM pragma_table_list
         WHERE schema NOT IN ('main', 'temp') AND type = 'table'
           AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let rows = statement.query_map([], |row| {
        let (schema, name): (String, String) = (row.get(0)?, row.get(1)?);
        let table = format!("{}.{}", quoted(&schema), quoted(&name));
        Ok((table, format!("`{name}` is in another database, `{schema}`")))
    })?;
    rows.collect()
}

fn schema_version(conn: &Connection) -> Result<i64> {
    conn.query_row("PRAGMA main.schema_version", [], |row| row.get(0))
        .map_err(Error::sqlite("reading the schema's version"))
}
