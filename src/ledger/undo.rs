//! What recorded deeds changed, row by row, so that they can be put back exactly. Two tables, made
//! by the first deed that is recorded: most databases never have them.

use std::collections::BTreeSet;
use std::hash::Hasher as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Row, Statement, params};

use super::{Ledger, foreign, format};
use crate::error::{Error, ErrorKind, Result};
use crate::fingerprint::Fingerprint;
use crate::migration::Version;

/// Whose changes a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    Migration(Version),
    /// A seed, by the revision that ran, and the one that its sentinel had before, if any.
    Seed {
        revision: u32,
        before: Option<u32>,
    },
}

/// That there is a record, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: i64,
    pub(crate) of: Recorded,
    pub(crate) name: String,
    /// The versions that were applied before it, of which none is to be taken back before it.
    /// Empty for a migration: its own version says where it stands.
    pub(crate) after: Vec<Version>,
}

/// One row as it was and as it became; `None` where there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangedRow {
    pub(crate) table: String,
    pub(crate) key: Vec<u8>,
    pub(crate) before: Option<Vec<u8>>,
    pub(crate) after: Option<Vec<u8>>,
}

/// A record whose line cannot be right, so that not even whose it is can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damaged {
    rowid: i64,
    pub(crate) why: String,
}

/// What a record holds.
#[derive(Debug)]
pub(crate) struct Holding {
    /// The tables of its rows, each as it was then.
    pub(crate) tables: Vec<String>,
    /// The numbers of its rows, none of which is missing.
    pub(crate) rows: RangeInclusive<i64>,
    /// The checksum of its rows. Earlier releases stored none.
    pub(crate) checksum: Option<u64>,
}

/// The checksum of a record's rows, in their order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowsChecksum(Fingerprint);

impl RowsChecksum {
    pub(crate) fn new() -> Self {
        RowsChecksum(Fingerprint::new())
    }

    pub(crate) fn add(&mut self, row: &ChangedRow) {
        self.0.write(row.table.as_bytes());
        self.0.write(&row.key);
        for image in [&row.before, &row.after] {
            self.0.write_u8(image.is_some().into());
            self.0.write(image.as_deref().unwrap_or_default());
        }
    }

    pub(crate) fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// A line of the table of records.
struct Line {
    id: i64,
    version: Option<i64>,
    name: String,
    revision: Option<u32>,
    before: Option<u32>,
    at: String,
    history: i64,
    /// Without the checksums.
    tables: String,
    first: i64,
    last: i64,
    /// Of the rows, and of this line.
    checksums: Option<(u64, u64)>,
}

/// The columns that [`Line::read`] reads.
const LINE: &str =
    "id, version, name, revision, revision_before, at, history, tables, first_row, last_row";

impl Line {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let tables: String = row.get(7)?;
        let (tables, checksums) = match split_checksums(&tables) {
            Some((tables, checksums)) => (tables.to_owned(), Some(checksums)),
            None => (tables, None),
        };
        Ok(Line {
            id: row.get(0)?,
            version: row.get(1)?,
            name: row.get(2)?,
            revision: row.get(3)?,
            before: row.get(4)?,
            at: row.get(5)?,
            history: row.get(6)?,
            tables,
            first: row.get(8)?,
            last: row.get(9)?,
            checksums,
        })
    }

    fn is_empty(&self) -> bool {
        self.first > self.last
    }

    /// The checksum of what a line says and of that of its rows. The time is not among it: the same
    /// deed has the same checksum.
    fn checksum(&self, rows: u64) -> u64 {
        let mut all = Fingerprint::new();
        let numbers = [self.id, self.history, self.first, self.last].map(Some);
        let others = [self.version, self.revision.map(i64::from), self.before.map(i64::from)];
        for number in numbers.into_iter().chain(others) {
            all.write_u8(number.is_some().into());
            all.write_u64(number.unwrap_or_default().cast_unsigned());
        }
        for text in [&self.name, &self.tables] {
            all.write(text.as_bytes());
        }
        all.write_u64(rows);
        all.finish()
    }

    /// What cannot be right about it, as far as it tells without its rows.
    fn damage(&self) -> Option<String> {
        let (first, last) = (self.first, self.last);
        if self.checksums.is_some_and(|(rows, line)| self.checksum(rows) != line) {
            return Some("its columns do not match their checksum".to_owned());
        }
        if first < 1 || last < first - 1 {
            return Some(format!("its rows cannot be those from {first} to {last}"));
        }
        (self.is_empty() != self.tables.is_empty()).then(|| match self.is_empty() {
            true => "it names tables and has no rows".to_owned(),
            false => "it has rows and names no tables".to_owned(),
        })
    }

    fn recorded(&self) -> std::result::Result<Recorded, String> {
        match (self.version, self.revision) {
            (Some(version), _) => Ok(Recorded::Migration(Version(version))),
            (None, Some(revision)) => Ok(Recorded::Seed { revision, before: self.before }),
            (None, None) => Err("it has neither a version nor a revision".to_owned()),
        }
    }
}

/// The last line of a record's tables is `checksums <of its rows> <of its columns>`. It is no
/// column of its own, so that earlier releases read and write the same table.
fn split_checksums(tables: &str) -> Option<(&str, (u64, u64))> {
    let lines = tables.strip_suffix('\n')?;
    let at = lines.rfind('\n').map_or(0, |newline| newline + 1);
    let (before, last) = lines.split_at_checked(at)?;
    let (rows, line) = last.strip_prefix("checksums ")?.split_once(' ')?;
    let number = |hex: &str| u64::from_str_radix(hex, 16).ok();
    Some((before, (number(rows)?, number(line)?)))
}

/// The lines that claim a row which another one claims too. Of two of them one is wrong, and that is
/// not the one with a matching checksum.
fn sharing(lines: &[(i64, Line)]) -> BTreeSet<i64> {
    let mut ranges: Vec<(i64, i64, i64)> = lines
        .iter()
        .filter(|(_, line)| !line.is_empty())
        .map(|(rowid, line)| (line.first, line.last, *rowid))
        .collect();
    ranges.sort_unstable();
    let mut sharing = BTreeSet::new();
    let mut furthest: Option<(i64, i64)> = None;
    for (first, last, rowid) in ranges {
        if let Some((end, other)) = furthest
            && first <= end
        {
            sharing.extend([rowid, other]);
        }
        if furthest.is_none_or(|(end, _)| end < last) {
            furthest = Some((last, rowid));
        }
    }
    sharing
}

/// The error for a record that cannot be right.
pub(crate) fn damaged(what: &str, why: &str) -> Error {
    let (what, why) = (what.to_owned(), format!("its record is damaged: {why}"));
    Error::from(ErrorKind::CannotUndo { what, why }).advise(DAMAGED)
}

/// The error for a line that cannot be right, whatever is to be undone: it may be the line of that.
pub(crate) fn damaged_line(found: &Damaged) -> Error {
    let what = "what was recorded".to_owned();
    Error::from(ErrorKind::CannotUndo { what, why: found.why.clone() }).advise(DAMAGED)
}

const DAMAGED: &str = "put the undo tables back from a backup; or give the record up with \
                       `forget_undo` and put the rows right with a new migration";

/// Whether a value was not of the type that it has to be, rather than that reading failed.
fn is_of_another_type(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code().is_none()
}

/// Writes a record: its rows one by one, then what they are the record of.
pub(crate) struct Recording<'c> {
    ledger: &'c Ledger<'c>,
    insert: Statement<'c>,
    first: i64,
    next: i64,
    checksum: RowsChecksum,
}

impl Recording<'_> {
    pub(crate) fn push(&mut self, row: &ChangedRow) -> Result<()> {
        let ChangedRow { table, key, before, after } = row;
        self.checksum.add(row);
        let recording = "recording a changed row";
        let Recording { ledger, insert, .. } = self;
        let values = params![self.next, table, key, before, after];
        ledger
            .write("undo_rows", 1, || insert.execute(values))
            .map_err(Error::sqlite(recording))?;
        // Only in a damaged table is there a row with the last number that there is.
        let none_left = rusqlite::Error::IntegralValueOutOfRange(0, self.next);
        let next = self.next.checked_add(1);
        self.next = next.ok_or(none_left).map_err(Error::sqlite(recording))?;
        Ok(())
    }
}

impl Ledger<'_> {
    /// Makes the tables, those of records too, if they are not there. Inside a write transaction.
    pub(crate) fn begin_recording(&self) -> Result<Recording<'_>> {
        let begin = || {
            self.in_transaction()?;
            format::create(self.conn, self.prefix())?;
            format::create_undo(self.conn, self.prefix())?;
            let rows = &self.tables.undo_rows;
            let newest = format!("SELECT ifnull(max(id), 0) FROM {rows}");
            let newest: i64 = self.conn.query_row(&newest, [], |row| row.get(0))?;
            let insert = format!(
                "INSERT INTO {rows} (id, tbl, key, before, after) VALUES (?1, ?2, ?3, ?4, ?5)"
            );
            let (insert, first) = (self.conn.prepare(&insert)?, newest.saturating_add(1));
            Ok(Recording {
                ledger: self,
                insert,
                first,
                next: first,
                checksum: RowsChecksum::new(),
            })
        };
        begin().map_err(Error::sqlite("making room for a record of changed rows"))
    }

    /// Says whose the rows are that were pushed. No number is given twice, since the history, which
    /// only grows, has a line for every record: who read one before another process took that record
    /// back does not take back another. What an earlier run of the same migration left
    /// goes: that run has been taken back, or the ledger would not have let it run again.
    pub(crate) fn end_recording(
        &self,
        recording: Recording<'_>,
        of: &Recorded,
        name: &str,
        tables: &str,
    ) -> Result<()> {
        let Recording { insert, first, next, checksum, .. } = recording;
        drop(insert);
        let (version, revision, before) = match of {
            Recorded::Migration(version) => (Some(version.0), None, None),
            Recorded::Seed { revision, before } => (None, Some(*revision), *before),
        };
        if let Some(version) = version {
            self.forget_where("version = ?1", [version])?;
        }
        let newest_of = format!(
            "SELECT (SELECT ifnull(max(id), 0) FROM {}), (SELECT ifnull(max(id), 0) FROM {})",
            self.tables.history, self.tables.undo
        );
        let write = || {
            self.in_transaction()?;
            let newest = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
            let (history, record) = self.conn.query_row(&newest_of, [], newest)?;
            let line = Line {
                id: history.max(record).saturating_add(1),
                version,
                name: name.to_owned(),
                revision,
                before,
                at: self.now()?,
                history,
                tables: tables.to_owned(),
                first,
                last: next - 1,
                checksums: None,
            };
            let rows = checksum.finish();
            let tables = format!("{tables}checksums {rows:016x} {:016x}\n", line.checksum(rows));
            let sql = format!(
                "INSERT INTO {} ({LINE}, app_version)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                self.tables.undo
            );
            let Line { id, at, last, .. } = line;
            let app_version = &self.app_version;
            let values = params![
                id,
                version,
                name,
                revision,
                before,
                at,
                history,
                tables,
                first,
                last,
                app_version
            ];
            self.write("undo", 1, || self.conn.execute(&sql, values))
        };
        write().map_err(Error::sqlite("recording what was changed"))
    }

    /// What can be put back, the oldest first, and what cannot be right.
    pub(super) fn records(&self) -> rusqlite::Result<(Vec<Record>, Vec<Damaged>)> {
        let sql = format!("SELECT {LINE}, rowid FROM {} ORDER BY id", self.tables.undo);
        let mut statement = self.conn.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let (mut lines, mut damaged) = (Vec::new(), Vec::new());
        let mut found = |rowid: i64, why: String| {
            let why = format!("line {rowid} of `{}_undo` is damaged: {why}", self.prefix());
            damaged.push(Damaged { rowid, why });
        };
        while let Some(row) = rows.next()? {
            let rowid = row.get(10)?;
            match Line::read(row) {
                Ok(line) => match line.damage() {
                    Some(why) => found(rowid, why),
                    None => lines.push((rowid, line)),
                },
                Err(error) if is_of_another_type(&error) => found(rowid, error.to_string()),
                Err(error) => return Err(error),
            }
        }
        let shared = sharing(&lines);
        let mut records = Vec::new();
        let mut applied = None;
        for (rowid, line) in &lines {
            if shared.contains(rowid) && line.checksums.is_none() {
                found(*rowid, "it claims rows that another record has too".to_owned());
                continue;
            }
            let of = match line.recorded() {
                Ok(of) => of,
                Err(why) => {
                    found(*rowid, why);
                    continue;
                }
            };
            let after = match of {
                Recorded::Migration(_) => Vec::new(),
                Recorded::Seed { .. } => {
                    let applied = match &mut applied {
                        Some(applied) => applied,
                        none => none.insert(self.applied_when()?),
                    };
                    let before = applied.iter().filter(|(_, id)| *id <= line.history);
                    before.map(|(version, _)| *version).collect()
                }
            };
            records.push(Record { id: line.id, of, name: line.name.clone(), after });
        }
        Ok((records, damaged))
    }

    /// The line of the history at which each migration was last applied.
    fn applied_when(&self) -> rusqlite::Result<Vec<(Version, i64)>> {
        let sql = format!(
            "SELECT version, max(id) FROM {}
             WHERE action IN ('apply', 'baseline') AND version IS NOT NULL GROUP BY version ORDER BY version",
            self.tables.history
        );
        let mut statement = self.conn.prepare(&sql)?;
        let rows = statement.query_map([], |row| Ok((Version(row.get(0)?), row.get(1)?)))?;
        rows.collect()
    }

    /// What a record holds, by its line.
    pub(crate) fn holding(&self, id: i64, what: &str) -> Result<Holding> {
        let sql = format!("SELECT {LINE} FROM {} WHERE id = ?1", self.tables.undo);
        let line = self.conn.query_row(&sql, [id], Line::read);
        let line = line.map_err(Error::sqlite("reading what was changed"))?;
        if let Some(why) = line.damage() {
            return Err(damaged(what, &why));
        }
        // Without a checksum, a row beside the range that no record has may be one of its own.
        if line.checksums.is_none() {
            let beside = format!(
                "SELECT count(*) FROM {} AS r WHERE r.id IN (?1, ?2) AND NOT EXISTS (
                     SELECT 1 FROM {} AS u WHERE r.id BETWEEN u.first_row AND u.last_row)",
                self.tables.undo_rows, self.tables.undo
            );
            let beside: i64 = self
                .conn
                .query_row(&beside, [line.first - 1, line.last.saturating_add(1)], |row| row.get(0))
                .map_err(Error::sqlite("reading what was changed"))?;
            if let 1.. = beside {
                let (first, last) = (line.first, line.last);
                let why = format!("beside its rows, {first} to {last}, are some of no record");
                return Err(damaged(what, &why));
            }
        }
        Ok(Holding {
            tables: line.tables.lines().map(str::to_owned).collect(),
            rows: line.first..=line.last,
            checksum: line.checksums.map(|(rows, _)| rows),
        })
    }

    /// Goes over the rows of a record, in the order they were recorded in.
    pub(crate) fn each_recorded_row(
        &self,
        holding: &Holding,
        what: &str,
        look: &mut dyn FnMut(ChangedRow) -> Result<()>,
    ) -> Result<()> {
        let reading = "reading a changed row";
        let sql = format!(
            "SELECT tbl, key, before, after, id FROM {}
             WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
            self.tables.undo_rows,
        );
        let mut statement = self.conn.prepare(&sql).map_err(Error::sqlite(reading))?;
        let range = [holding.rows.start(), holding.rows.end()];
        let mut rows = statement.query(range).map_err(Error::sqlite(reading))?;
        while let Some(row) = rows.next().map_err(Error::sqlite(reading))? {
            let read = || {
                Ok(ChangedRow {
                    table: row.get(0)?,
                    key: row.get(1)?,
                    before: row.get(2)?,
                    after: row.get(3)?,
                })
            };
            look(read().map_err(|error| match is_of_another_type(&error) {
                true => {
                    let number = row.get::<_, i64>(4).unwrap_or_default();
                    let table = format!("{}_undo_rows", self.prefix());
                    damaged(what, &format!("row {number} of `{table}`: {error}"))
                }
                false => Error::sqlite(reading)(error),
            })?)?;
        }
        Ok(())
    }

    /// Forgets a record, whose rows have been put back. A seed's sentinel is again as it was.
    pub(crate) fn undone(&self, record: &Record) -> Result<()> {
        self.forget_where("id = ?1", [record.id])?;
        let Recorded::Seed { before, .. } = record.of else {
            return Ok(());
        };
        let name = &record.name;
        // Of a seed from a file, which text that was is not kept.
        let sql = format!(
            "UPDATE {} SET revision = ?2, cursor = CASE WHEN cursor NOT NULL THEN '' END
             WHERE name = ?1",
            self.tables.seeds
        );
        let take_back = || match before {
            Some(_) => self.write("seeds", 1, || self.conn.execute(&sql, params![name, before])),
            None => self.erase("seeds", "name = ?1", [name]),
        };
        self.in_transaction()
            .and_then(|()| take_back())
            .map_err(Error::sqlite("taking a seed's sentinel back"))
    }

    /// Forgets what was recorded of a seed: a run that is not recorded stands on top of it now.
    pub(crate) fn forget_recorded_seed(&self, name: &str) -> Result<()> {
        match foreign::inspect(self.conn, self.prefix())?.undo {
            true => self.forget_where("version IS NULL AND name = ?1", [name]).map(drop),
            false => Ok(()),
        }
    }

    /// Forgets what was recorded of a migration.
    pub(crate) fn forget_recorded(&self, version: Version) -> Result<()> {
        match foreign::inspect(self.conn, self.prefix())?.undo {
            true => self.forget_where("version = ?1", [version.0]).map(drop),
            false => Ok(()),
        }
    }

    /// Forgets every record older than that, and every damaged one, and says of what.
    pub(crate) fn forget_older(&self, age: Duration) -> Result<Vec<(Option<Version>, String)>> {
        if !foreign::inspect(self.conn, self.prefix())?.undo {
            return Ok(Vec::new());
        }
        let (_, damaged) = self.records().map_err(Error::sqlite("reading what was recorded"))?;
        let mut forgotten = Vec::new();
        for line in damaged {
            forgotten.extend(self.forget_where("rowid = ?1", [line.rowid])?);
        }
        let which = "at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1)";
        let age = format!("-{:.3} seconds", age.as_secs_f64());
        forgotten.extend(self.forget_where(which, [age])?);
        Ok(forgotten)
    }

    /// Forgets records, which may be damaged: rows that another record claims stay.
    fn forget_where<P: rusqlite::ToSql>(
        &self,
        which: &str,
        value: [P; 1],
    ) -> Result<Vec<(Option<Version>, String)>> {
        let undo = &self.tables.undo;
        let forget = || {
            self.in_transaction()?;
            let mut found = self.conn.prepare(&format!(
                "SELECT rowid, first_row, last_row, version, CAST(name AS TEXT) FROM {undo}
                 WHERE {which} ORDER BY id"
            ))?;
            let found = found.query_map(value, |row| {
                let rows = match (row.get(1)?, row.get(2)?) {
                    (Value::Integer(first), Value::Integer(last)) => Some([first, last]),
                    _ => None,
                };
                let version = match row.get(3)? {
                    Value::Integer(version) => Some(Version(version)),
                    _ => None,
                };
                let name = String::from_utf8_lossy(row.get_ref(4)?.as_bytes().unwrap_or_default());
                Ok((row.get::<_, i64>(0)?, rows, (version, name.into_owned())))
            })?;
            let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
            let others = format!(
                "SELECT count(*) FROM {undo}
                 WHERE rowid <> ?1 AND first_row <= last_row AND first_row <= ?3 AND last_row >= ?2"
            );
            for (rowid, range, _) in &found {
                if let Some([first, last]) = range {
                    let values = [rowid, first, last];
                    let others: i64 = self.conn.query_row(&others, values, |row| row.get(0))?;
                    let unclaimed = match others {
                        0 => "?1 NOT NULL".to_owned(),
                        _ => format!(
                            "NOT EXISTS (SELECT 1 FROM {undo} AS u
                             WHERE u.rowid <> ?1 AND r.id BETWEEN u.first_row AND u.last_row)"
                        ),
                    };
                    let rows = format!("r.id BETWEEN ?2 AND ?3 AND {unclaimed}");
                    self.erase("undo_rows", &rows, values)?;
                }
                self.erase("undo", "rowid = ?1", [rowid])?;
            }
            Ok(found.into_iter().map(|(.., of)| of).collect())
        };
        forget().map_err(Error::sqlite("forgetting what was recorded"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(tables: &str) -> Line {
        Line {
            id: 7,
            version: Some(2),
            name: "data".to_owned(),
            revision: None,
            before: None,
            at: String::new(),
            history: 3,
            tables: tables.to_owned(),
            first: 1,
            last: 1,
            checksums: None,
        }
    }

    /// They are stored: another value would make every record that there is a damaged one.
    #[test]
    fn checksums_are_what_earlier_releases_stored() {
        let mut rows = RowsChecksum::new();
        let (table, key) = ("note".to_owned(), vec![1, 2]);
        rows.add(&ChangedRow { table, key, before: None, after: Some(vec![1, 2, 3, 1, 97]) });
        let rows = rows.finish();
        let line = line("\"note\" (\"id\", \"text\") by \"id\"\n").checksum(rows);
        assert_eq!(format!("{rows:016x} {line:016x}"), "6c13596279fcf384 d4354140fe632c10");
    }

    #[test]
    fn checksums_are_split_off_the_last_line_alone() {
        for (tables, expected) in [
            ("", None),
            ("checksums 1 2", None),
            ("checksums 1 2\n", Some(("", (1, 2)))),
            ("a\nchecksums ff 0\n", Some(("a\n", (255, 0)))),
            ("checksums 1 2\na\n", None),
            ("checksums 1\n", None),
            ("checksums x 2\n", None),
            ("a\n", None),
        ] {
            assert_eq!(split_checksums(tables), expected, "{tables:?}");
        }
    }

    #[test]
    fn lines_that_share_rows_are_found_wherever_they_stand() {
        let lines = |ranges: &[(i64, i64)]| {
            let made = ranges
                .iter()
                .zip(1..)
                .map(|(&(first, last), rowid)| (rowid, Line { first, last, ..line("t\n") }));
            sharing(&made.collect::<Vec<_>>()).into_iter().collect::<Vec<i64>>()
        };
        assert_eq!(lines(&[(1, 4), (5, 4), (5, 9), (10, 10)]), [0i64; 0]);
        assert_eq!(lines(&[(1, 4), (4, 9), (10, 10)]), [1, 2]);
        assert_eq!(lines(&[(1, 100), (2, 3), (50, 60), (101, 102)]), [1, 2, 3]);
        assert_eq!(lines(&[(3, 3), (3, 3), (2, 1)]), [1, 2]);
    }
}
