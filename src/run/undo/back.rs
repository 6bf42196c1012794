//! Putting back: every row that a record names becomes what it was.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, params_from_iter};

use super::log::SEQUENCE;
use super::routes::Routes;
use super::shape::Shape;
use super::{image, place, refuse_temp_triggers, values};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{ChangedRow, Holding, Ledger, Record, RowsChecksum, damaged};
use crate::plan::ChangedSince;
use crate::run::lock::refuse_lost;
use crate::run::session::Settings;
use crate::run::statements::shown;
use crate::supervisor::Supervisor;

/// So many rows are listed by name; the rest is counted.
const LISTED: usize = 100;

/// Puts back what a record holds of what is called so.
pub(crate) type PutBack =
    fn(&Connection, &Ledger<'_>, &Record, &str, ChangedSince, &Supervisor) -> Result<u64>;

const PUTTING_BACK: &str = "putting rows back for";

/// Puts every row of a record back and forgets the record. Inside a write transaction with foreign
/// keys off: they are checked by whoever commits. First all that came is deleted, then all that
/// went is inserted, so that no row is in another's way, and at the end each row is compared.
/// Returns how many rows that were.
pub(crate) fn put_back(
    conn: &Connection,
    ledger: &Ledger<'_>,
    record: &Record,
    what: &str,
    policy: ChangedSince,
    supervisor: &Supervisor,
) -> Result<u64> {
    refuse_temp_triggers(conn, |why| cannot_undo(what, why))?;
    let (mut work, changed) = supervisor.during(PUTTING_BACK, || {
        let mut work = Work::prepare(conn, ledger, record, what)?;
        work.refuse_stale_virtual_tables(conn)?;
        let changed = work.changed_since()?;
        Ok((work, changed))
    })?;
    if policy == ChangedSince::Refuse && !changed.rows.is_empty() {
        let (what, rows) = (what.to_owned(), changed.list());
        return Err(ErrorKind::ChangedSince { what, rows }.into());
    }
    let quiet = Quiet::switch(conn)?;
    let checks = Settings::remember(conn, |name| name == "ignore_check_constraints")?;
    // The rows were there: whatever a CHECK says of them, they are what is to be there again.
    conn.execute_batch("PRAGMA ignore_check_constraints = ON")
        .map_err(Error::sqlite("switching CHECK constraints off"))?;
    let before = conn.total_changes();
    let rows = supervisor.during(PUTTING_BACK, || {
        refuse_lost(conn)?;
        work.delete()?;
        refuse_lost(conn)?;
        work.insert()?;
        let rows = conn.total_changes().saturating_sub(before);
        work.compare()?;
        Ok(rows)
    })?;
    drop(work);
    checks.restore()?;
    quiet.restore()?;
    ledger.undone(record)?;
    Ok(rows)
}

/// The tables of a record's rows, if these are all the rows that it had, as they were written.
fn whole(ledger: &Ledger<'_>, holding: &Holding, what: &str) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let (mut count, mut checksum) = (0i64, RowsChecksum::new());
    ledger.each_recorded_row(holding, what, &mut |row| {
        count += 1;
        checksum.add(&row);
        names.insert(row.table);
        Ok(())
    })?;
    let (first, last) = (*holding.rows.start(), *holding.rows.end());
    let wanted = (last - first).saturating_add(1);
    let why = if count != wanted {
        format!("of its {wanted} rows, {first} to {last}, {count} are there")
    } else if holding.checksum.is_some_and(|then| then != checksum.finish()) {
        "its rows do not match their checksum".to_owned()
    } else if names.len() != holding.tables.len() {
        let (named, found) = (holding.tables.len(), names.len());
        format!("it names {named} tables, and its rows are of {found}")
    } else {
        return Ok(names);
    };
    Err(damaged(what, &why))
}

/// A record, and the statements for each of its tables.
struct Work<'a> {
    ledger: &'a Ledger<'a>,
    holding: Holding,
    what: &'a str,
    hands: BTreeMap<String, Hands<'a>>,
    /// Rows of `sqlite_sequence` that went on since: ids given out are not taken back.
    passed_over: BTreeSet<Vec<u8>>,
}

struct Hands<'c> {
    shape: Shape,
    select: Statement<'c>,
    delete: Statement<'c>,
    insert: Statement<'c>,
}

/// Rows that are no longer as the record left them.
#[derive(Default)]
struct Changed {
    rows: Vec<String>,
    more: usize,
}

impl Changed {
    fn list(mut self) -> Vec<String> {
        if self.more > 0 {
            self.rows.push(format!("{} rows more", self.more));
        }
        self.rows
    }
}

impl<'a> Work<'a> {
    fn prepare(
        conn: &'a Connection,
        ledger: &'a Ledger<'a>,
        record: &'a Record,
        what: &'a str,
    ) -> Result<Self> {
        let holding = ledger.holding(record.id, what)?;
        let names = whole(ledger, &holding, what)?;
        let mut hands = BTreeMap::new();
        for name in names {
            let shape =
                Shape::of(conn, &name).map_err(Error::sqlite("reading a table's columns"))?;
            let Some(shape) = shape else {
                let why = format!("table `{name}` is no longer there");
                return Err(cannot_undo(what, why).into());
            };
            let now = shape.signature();
            if !holding.tables.contains(&now) {
                let why = format!("table `{name}` has other columns now: {now}");
                return Err(cannot_undo(what, why).into());
            }
            let prepare = |sql: String| {
                conn.prepare(&sql).map_err(Error::sqlite("preparing to put rows back"))
            };
            let (select, delete) = (prepare(shape.select_row())?, prepare(shape.delete_row())?);
            let insert = prepare(shape.insert_row())?;
            hands.insert(name, Hands { shape, select, delete, insert });
        }
        let mut work = Work { ledger, holding, what, hands, passed_over: BTreeSet::new() };
        work.refuse_damaged_images()?;
        Ok(work)
    }

    /// A full text index made since, and kept by triggers, would not hear of what is put back.
    fn refuse_stale_virtual_tables(&self, conn: &Connection) -> Result<()> {
        let routes = Routes::of_triggers(conn).map_err(Error::sqlite("reading triggers"))?;
        let kept = |name: &String| Some((name.clone(), routes.to_virtual(name)?));
        match self.hands.keys().find_map(kept) {
            Some((name, kept)) => {
                let why = format!(
                    "triggers on `{name}` write to `{kept}`, a virtual table, and stay quiet"
                );
                Err(Error::from(cannot_undo(self.what, why)).advise(format!(
                    "drop these triggers, revert, make them again and bring `{kept}` up to date"
                )))
            }
            None => Ok(()),
        }
    }

    fn each(
        &mut self,
        mut act: impl FnMut(&mut Hands<'a>, &mut BTreeSet<Vec<u8>>, ChangedRow) -> Result<()>,
    ) -> Result<()> {
        let (hands, passed_over, what) = (&mut self.hands, &mut self.passed_over, self.what);
        self.ledger.each_recorded_row(&self.holding, what, &mut |row| match hands
            .get_mut(&row.table)
        {
            Some(hands) => act(hands, passed_over, row),
            None => Err(damaged(what, &format!("it has a row of `{}`", row.table))),
        })
    }

    /// An image has a value for each column, and a row differs before and after.
    fn refuse_damaged_images(&mut self) -> Result<()> {
        let what = self.what;
        self.each(|hands, _, row| {
            let (key, columns) = (hands.shape.key.len(), hands.shape.columns.len());
            let images = [(Some(&row.key), key)];
            let images = images
                .into_iter()
                .chain([&row.before, &row.after].map(|image| (image.as_ref(), columns)));
            for (image, values) in images {
                if let Some(image) = image
                    && decoded(what, image)?.len() != values
                {
                    let why = format!("an image of a row of `{}` is cut off", row.table);
                    return Err(damaged(what, &why));
                }
            }
            match row.before == row.after {
                true => {
                    let why = format!("it has a row of `{}` that did not change", row.table);
                    Err(damaged(what, &why))
                }
                false => Ok(()),
            }
        })
    }

    fn changed_since(&mut self) -> Result<Changed> {
        let mut changed = Changed::default();
        let what = self.what;
        self.each(|hands, passed_over, row| {
            let now = hands.now(what, &row)?;
            if now == row.after {
                return Ok(());
            }
            if row.table == SEQUENCE {
                passed_over.insert(row.key);
            } else if changed.rows.len() < LISTED {
                changed.rows.push(hands.difference(&row, now.as_deref()));
            } else {
                changed.more += 1;
            }
            Ok(())
        })?;
        Ok(changed)
    }

    fn delete(&mut self) -> Result<()> {
        let what = self.what;
        self.each(|hands, _, row| {
            // Inserting into a table makes its row there anew, if it is not there.
            if row.table == SEQUENCE {
                return Ok(());
            }
            let key = decoded(what, &row.key)?;
            let deleted = hands.delete.execute(params_from_iter(bound(&key)));
            deleted.map(drop).map_err(Error::sqlite("putting rows back"))
        })
    }

    fn insert(&mut self) -> Result<()> {
        let what = self.what;
        self.each(|hands, passed_over, row| {
            if passed_over.contains(&row.key) && row.table == SEQUENCE {
                return Ok(());
            }
            let key = decoded(what, &row.key)?;
            if row.table == SEQUENCE {
                let deleted = hands.delete.execute(params_from_iter(bound(&key)));
                deleted.map_err(Error::sqlite("putting rows back"))?;
            }
            let Some(before) = &row.before else {
                return Ok(());
            };
            let before = decoded(what, before)?;
            let shown_key = if hands.shape.hidden_key { key.as_slice() } else { &[] };
            let values = bound(shown_key).chain(bound(&before));
            match hands.insert.execute(params_from_iter(values)) {
                Ok(_) => Ok(()),
                Err(error) if is_constraint(&error) => {
                    let place = place(&hands.shape, &key);
                    let why = format!("something is in the place of {place}");
                    Err(Error::from(cannot_undo(what, why)).because(error).advise(
                        "change or delete the row that was written since and holds the same \
                         value, and revert again",
                    ))
                }
                Err(error) => Err(Error::sqlite("putting rows back")(error)),
            }
        })
    }

    /// What is there now is what was there then, or nothing is to be committed.
    fn compare(&mut self) -> Result<()> {
        let what = self.what;
        self.each(|hands, passed_over, row| {
            let over = row.table == SEQUENCE && passed_over.contains(&row.key);
            if over || hands.now(what, &row)? == row.before {
                return Ok(());
            }
            let key = decoded(what, &row.key)?;
            let place = place(&hands.shape, &key);
            Err(cannot_undo(what, format!("{place} would not become what it was")).into())
        })
    }
}

impl Hands<'_> {
    /// The image of a row as it is now.
    fn now(&mut self, what: &str, row: &ChangedRow) -> Result<Option<Vec<u8>>> {
        let key = decoded(what, &row.key)?;
        let columns = self.shape.columns.len();
        let mut read = || {
            let mut found = self.select.query(params_from_iter(bound(&key)))?;
            found.next()?.map(|row| Ok(image::encode(values(row, 0, columns)?))).transpose()
        };
        read().map_err(Error::sqlite("comparing rows with what they were"))
    }

    /// `note rowid 7: text was left as 'a' and is 'b'`
    fn difference(&self, row: &ChangedRow, now: Option<&[u8]>) -> String {
        let key = image::decode(&row.key).unwrap_or_default();
        let place = place(&self.shape, &key);
        match (row.after.as_deref(), now) {
            (None, _) => format!("{place} is there again"),
            (_, None) => format!("{place} is gone"),
            (Some(after), Some(now)) => {
                let left = image::decode(after).unwrap_or_default();
                let now = image::decode(now).unwrap_or_default();
                let values = left.into_iter().zip(now).zip(&self.shape.columns);
                let mut differ = values
                    .filter(|((left, now), _)| image::encode([*left]) != image::encode([*now]));
                match differ.next() {
                    Some(((left, now), column)) => format!(
                        "{place}: {column} was left as {} and is {}",
                        shown(left),
                        shown(now)
                    ),
                    None => place,
                }
            }
        }
    }
}

fn bound<'v>(values: &'v [ValueRef<'v>]) -> impl Iterator<Item = ToSqlOutput<'v>> {
    values.iter().map(|value| ToSqlOutput::Borrowed(*value))
}

fn decoded<'i>(what: &str, bytes: &'i [u8]) -> Result<Vec<ValueRef<'i>>> {
    image::decode(bytes).ok_or_else(|| damaged(what, "an image of a row cannot be read"))
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}

pub(super) fn cannot_undo(what: &str, why: String) -> ErrorKind {
    ErrorKind::CannotUndo { what: what.to_owned(), why }
}

/// The application's triggers, off until dropped: what they did when the rows were changed is in
/// the record too. <https://sqlite.org/c3ref/c_dbconfig_defensive.html#sqlitedbconfigenabletrigger>
struct Quiet<'c> {
    conn: &'c Connection,
    were_on: bool,
}

impl<'c> Quiet<'c> {
    fn switch(conn: &'c Connection) -> Result<Self> {
        let switching = "switching triggers off";
        let setting = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
        let were_on = conn.db_config(setting).map_err(Error::sqlite(switching))?;
        let quiet = Quiet { conn, were_on };
        conn.set_db_config(setting, false).map_err(Error::sqlite(switching))?;
        Ok(quiet)
    }

    fn restore(mut self) -> Result<()> {
        self.put_back().map_err(Error::sqlite("switching triggers on again"))
    }

    fn put_back(&mut self) -> rusqlite::Result<()> {
        if self.were_on {
            self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true)?;
            self.were_on = false;
        }
        Ok(())
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = self.put_back();
    }
}
