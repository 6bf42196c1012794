//! The seal: proof that nothing has changed since the last run, in one query. And the word that no
//! drift was found, beside it.

use std::hash::Hasher as _;

use rusqlite::types::ValueRef;

use super::{Ledger, format};
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

/// What the state and the sentinels say, and the schema's version, all of one moment.
#[derive(Default)]
struct Glance {
    seal: Option<String>,
    /// What is said of drift.
    word: Option<String>,
    /// The schema's version at which the rows of what is applied were last known to be those of the
    /// seal. Our triggers take this away when somebody writes to them.
    untouched: Option<String>,
    rest: u64,
    version: i64,
}

impl Glance {
    /// The seal's number over what is applied, where nobody can have written to that since: the
    /// triggers that would tell are there as long as the schema is what it was.
    fn vouched(&self) -> Option<u64> {
        let untouched = self.untouched.as_ref()?.parse() == Ok(self.version);
        untouched.then(|| Seal::parse(self.seal.as_ref()?).map(|seal| seal.applied))?
    }
}

impl Ledger<'_> {
    /// Looks once, and where drift is asked for, by a number for what it is judged by, at that as
    /// well.
    pub(crate) fn sight(&self, program: Program, drift: Option<u64>) -> Sight {
        self.seen(program, drift).unwrap_or_default()
    }

    fn seen(&self, program: Program, drift: Option<u64>) -> rusqlite::Result<Sight> {
        let glance = self.glance(program.sows)?;
        // Between the two another process may write: then these are not the rows of that seal.
        let applied = glance.vouched().map_or_else(|| self.applied_rows(), Ok)?;
        let Glance { seal, word, rest, version, .. } = glance;
        let seal = seal.as_deref().and_then(Seal::parse);
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
            let applied = self.applied_rows()?;
            let glance = self.glance(sows)?;
            let wanted = Seal { fingerprint, rest: glance.rest, applied }.to_text();
            if glance.vouched() == Some(applied) && glance.seal.as_ref() == Some(&wanted) {
                return Ok(());
            }
            format::create_triggers(self.conn, &self.tables.prefix)?;
            self.set_state(SEAL, &wanted)?;
            self.set_state(format::UNTOUCHED, &format::schema_version(self.conn)?.to_string())
        };
        store().map_err(Error::sqlite("sealing the ledger"))
    }

    /// Says that what is applied is about to change. The triggers say so too, but not on a
    /// connection on which they are [switched off](https://sqlite.org/c3ref/c_dbconfig_defensive.html).
    pub(super) fn touch(&self) -> rusqlite::Result<()> {
        let sql = format!("DELETE FROM {} WHERE key = '{}'", self.tables.state, format::UNTOUCHED);
        self.conn.execute(&sql, []).map(drop)
    }

    /// One query, and one pragma while it is open, which therefore takes no lock of its own. No seed's
    /// name is NULL, so that every row tells which table it is of.
    fn glance(&self, sows: bool) -> rusqlite::Result<Glance> {
        let state = ["SELECT NULL,key,value FROM ", &self.tables.state].concat();
        let sql = match sows {
            true => {
                [&state, " UNION ALL SELECT name,revision,state FROM ", &self.tables.seeds].concat()
            }
            false => state,
        };
        let mut statement = self.conn.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut glance = Glance::default();
        let mut rest = Fingerprint::new();
        let mut version = None;
        while let Some(row) = rows.next()? {
            if version.is_none() {
                version = Some(format::schema_version(self.conn)?);
            }
            let (of, name) = (row.get_ref(0)?, row.get_ref(1)?);
            let kept = match (of, name) {
                (ValueRef::Null, ValueRef::Text(key)) => glance.kept(key),
                _ => None,
            };
            // Of two rows with one key the second counts as contents.
            match kept {
                Some(kept @ None) => *kept = Some(row.get(2)?),
                _ => put([of, name, row.get_ref(2)?], &mut rest),
            }
        }
        glance.rest = rest.finish();
        glance.version = version.unwrap_or_default();
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

/// Keys of the state that vouch for the rest.
const SEAL: &str = "seal";
const DRIFT: &str = "drift";

impl Glance {
    /// Where the value of a key is kept that vouches for the rest and is none of it.
    fn kept(&mut self, key: &[u8]) -> Option<&mut Option<String>> {
        match str::from_utf8(key).ok()? {
            SEAL => Some(&mut self.seal),
            DRIFT => Some(&mut self.word),
            format::UNTOUCHED => Some(&mut self.untouched),
            _ => None,
        }
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
