//! The seal: proof that nothing has changed since the last run, in one query. And the word that no
//! drift was found, beside it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use rusqlite::types::ValueRef;
use rusqlite::{ErrorCode, Row, params};

use super::{Ledger, Tables, format};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;

/// How a database stands to a program at first sight. Any failure to read is a no: a seal or a word
/// that is wrong or missing only costs time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Whether the seal stored at the end of the last run is that of this program, and the ledger's
    /// rows and sentinels are those it was stored over.
    pub(crate) sealed: bool,
    /// Whether no drift was found, where that is asked for, with what is applied and the schema as
    /// they are.
    pub(crate) undrifted: bool,
}

/// A program, as far as it decides what a start does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) fingerprint: u64,
    /// Whether it has seeds: without any, no sentinel means anything to it.
    pub(crate) sows: bool,
}

/// What the seal is stored over, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seal {
    fingerprint: u64,
    /// Over the state and the sentinels.
    rest: u64,
    /// Over the rows of what is applied.
    applied: u64,
}

impl Seal {
    fn to_text(self) -> String {
        format!("{:016x}{:016x}{:016x}", self.fingerprint, self.rest, self.applied)
    }

    fn parse(text: &str) -> Option<Self> {
        let number = |at| u64::from_str_radix(text.get(at..at + 16)?, 16).ok();
        let seal = Seal { fingerprint: number(0)?, rest: number(16)?, applied: number(32)? };
        (seal.to_text() == text).then_some(seal)
    }
}

/// What is applied, as a number over its rows, and the version of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    applied: u64,
    version: i64,
}

impl Moment {
    fn word(self, judge: u64) -> String {
        format!("{judge:016x}{:016x}/{}", self.applied, self.version)
    }
}

/// What state and sentinels say, and the numbers over them and over what is applied, all of one
/// moment.
#[derive(Default)]
struct Glance {
    seal: Option<Seal>,
    /// What is said of drift.
    word: Option<String>,
    /// Whether the seal's number over what is applied could be believed, for nobody wrote to that.
    untouched: bool,
    rest: u64,
    applied: u64,
    version: i64,
}

/// The word that nobody wrote to what is applied. Our triggers take it away when somebody does, and
/// they are there as long as the schema is of the same version. A word that was brought here with
/// other rows, from a dump that somebody edited, has not the number that it was written under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Untouched {
    row: i64,
    version: i64,
}

impl Untouched {
    /// Far from the numbers that SQLite gives by itself.
    fn new(version: i64) -> Self {
        let row = RandomState::new().hash_one(version) | 1 << 62;
        Untouched { row: (row & u64::MAX >> 1).cast_signed(), version }
    }

    fn to_text(self) -> String {
        format!("{}/{}", self.row, self.version)
    }
}

impl Ledger<'_> {
    /// Looks once, and where drift is asked for, by a number for what it is judged by, at that as
    /// well.
    pub(crate) fn sight(&self, program: Program, drift: Option<u64>) -> Sight {
        self.seen(program, drift).unwrap_or_default()
    }

    fn seen(&self, program: Program, drift: Option<u64>) -> rusqlite::Result<Sight> {
        let Glance { seal, word, rest, applied, version, .. } = self.glance(program.sows)?;
        let moment = Moment { applied, version };
        Ok(Sight {
            sealed: seal == Some(Seal { fingerprint: program.fingerprint, rest, applied }),
            undrifted: drift.is_some_and(|judge| word == Some(moment.word(judge))),
        })
    }

    /// Where the schema and what is applied stand, to be told from any other moment.
    pub(crate) fn moment(&self) -> rusqlite::Result<Moment> {
        Ok(Moment { applied: self.applied_rows()?, version: format::schema_version(self.conn)? })
    }

    /// Stores the word that no drift was found at this moment, if it still is that. Inside a write
    /// transaction.
    pub(crate) fn note_no_drift(&self, judge: u64, moment: Moment) -> Result<()> {
        let store = || match self.moment()? == moment {
            true => self.set_state(DRIFT, &moment.word(judge)),
            false => Ok(()),
        };
        store().map_err(Error::sqlite("noting that there is no drift"))
    }

    /// Stores the seal, unless it is there already. Inside a write transaction.
    pub(crate) fn seal(&self, Program { fingerprint, sows }: Program) -> Result<()> {
        let store = || {
            let Glance { seal, untouched, rest, applied, .. } = self.glance(sows)?;
            let wanted = Seal { fingerprint, rest, applied };
            if untouched && seal == Some(wanted) {
                return Ok(());
            }
            self.set_state(SEAL, &wanted.to_text())?;
            match allowed(format::create_triggers(self.conn, &self.tables.prefix))? {
                true => self.note_untouched(),
                false => Ok(()),
            }
        };
        store().map_err(Error::sqlite("sealing the ledger"))
    }

    fn note_untouched(&self) -> rusqlite::Result<()> {
        let word = Untouched::new(format::schema_version(self.conn)?);
        let sql =
            format!("REPLACE INTO {} (rowid, key, value) VALUES (?1, ?2, ?3)", self.tables.state);
        let values = params![word.row, format::UNTOUCHED, word.to_text()];
        self.write("state", 1, || self.conn.execute(&sql, values))
    }

    /// Says that what is applied is about to change, and takes the triggers away until it is sealed
    /// again: they would say so too, but not on a connection on which they are
    /// [switched off](https://sqlite.org/c3ref/c_dbconfig_defensive.html), and one that allows none
    /// to fire would refuse the write.
    pub(super) fn touch(&self) -> rusqlite::Result<()> {
        self.erase("state", "key = ?1", [format::UNTOUCHED])?;
        allowed(format::drop_triggers(self.conn, &self.tables.prefix)).map(drop)
    }

    /// One query. While it is open, at the row that its end is marked by, the schema's version is asked
    /// for and, where nobody vouches for them, the rows of what is applied: so these are of the same
    /// moment, and take no lock of their own. No seed's name is NULL, so that every row tells which
    /// table it is of.
    fn glance(&self, sows: bool) -> rusqlite::Result<Glance> {
        let Tables { state, seeds, .. } = &self.tables;
        let sown = [" UNION ALL SELECT name,revision,state,0 FROM ", seeds].concat();
        let sown = if sows { sown.as_str() } else { "" };
        let sql = ["SELECT NULL,key,value,rowid FROM ", state, sown, MARKED_END].concat();
        let mut statement = self.conn.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut glance = Glance::default();
        let mut rest = Fingerprint::new();
        let mut word = None;
        while let Some(row) = rows.next()? {
            let (of, name, at) = (row.get_ref(0)?, row.get_ref(1)?, row.get_ref(3)?);
            let key = if of == ValueRef::Null { name.as_str().unwrap_or_default() } else { "" };
            match key {
                _ if at == ValueRef::Null => {
                    glance.version = format::schema_version(self.conn)?;
                    let version = glance.version;
                    let vouches =
                        |(row, word): (i64, String)| word == Untouched { row, version }.to_text();
                    glance.untouched = word.take().is_some_and(vouches);
                    glance.applied = match glance.seal.filter(|_| glance.untouched) {
                        Some(seal) => seal.applied,
                        None => self.applied_rows()?,
                    };
                }
                SEAL => glance.seal = Seal::parse(&text(row)?),
                DRIFT => glance.word = Some(text(row)?),
                format::UNTOUCHED => word = Some((row.get(3)?, text(row)?)),
                _ => put([of, name, row.get_ref(2)?], &mut rest),
            }
        }
        glance.rest = rest.finish();
        Ok(glance)
    }

    /// Runs over every row of what is applied: a ledger edited by hand is another ledger. What a row
    /// says beyond that (how long it took, its down script) decides nothing at a start. Of the other
    /// tables only they and their columns have to be there.
    ///
    /// SQLite's own part, stepping through the rows, is most of what it costs. Having SQLite put the
    /// rows together (`group_concat`) takes as long as handing them over.
    fn applied_rows(&self) -> rusqlite::Result<u64> {
        let sql = [
            "SELECT version,name,checksum,compatible FROM ",
            &self.tables.migrations,
            " UNION ALL SELECT id,at,action,version FROM ",
            &self.tables.history,
            " WHERE 0 UNION ALL SELECT name,revision,state,0 FROM ",
            &self.tables.seeds,
            " WHERE 0",
        ];
        let mut statement = self.conn.prepare(&sql.concat())?;
        let mut rows = statement.query([])?;
        let mut applied = Fingerprint::new();
        while let Some(row) = rows.next()? {
            let values = [row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?, row.get_ref(3)?];
            put(values, &mut applied);
        }
        Ok(applied.finish())
    }
}

/// A row of its own, the only one without a number.
const MARKED_END: &str = " UNION ALL SELECT 0,0,0,NULL";

/// Keys of the state that vouch for the rest.
const SEAL: &str = "seal";
const DRIFT: &str = "drift";

/// The value of a key. What is no text says nothing.
fn text(row: &Row<'_>) -> rusqlite::Result<String> {
    Ok(row.get_ref(2)?.as_str().unwrap_or_default().to_owned())
}

/// Whether the application lets its connection do this.
fn allowed(done: rusqlite::Result<()>) -> rusqlite::Result<bool> {
    match done {
        Err(error)
            if error.sqlite_error_code() == Some(ErrorCode::AuthorizationForStatementDenied) =>
        {
            Ok(false)
        }
        done => done.map(|()| true),
    }
}

/// Each type by itself: a text of digits is no number.
fn put<const N: usize>(values: [ValueRef<'_>; N], contents: &mut Fingerprint) {
    for value in values {
        let (kind, number) = match value {
            ValueRef::Null => (0, 0),
            ValueRef::Integer(number) => (1, number.cast_unsigned()),
            ValueRef::Real(number) => (2, number.to_bits()),
            ValueRef::Text(bytes) => (3, bytes.len() as u64),
            ValueRef::Blob(bytes) => (4, bytes.len() as u64),
        };
        contents.fold(kind, number);
        if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = value {
            contents.write(bytes);
        }
    }
}
