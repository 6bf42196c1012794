//! Another tool's ledger: found, read, understood, and written down as ours. Theirs is only ever
//! read, or renamed where its name is needed.

mod check;
mod crc32;
mod decide;
mod format;
mod read;
mod siphash;
mod told;

use rusqlite::{Connection, params};

use super::{Applied, Deed, Ledger, Row, foreign};
use crate::adoption::{Adopt, Adopted, Adoption, Proof};
use crate::error::{Error, ErrorKind, Result, Unfit};
use crate::report::Compatibility;
use crate::source::Set;
use crate::sql::quoted;
use decide::{Rows, decide};
use format::Format;
use read::Found;
use told::{Testimony, understand};

/// A ledger that can be taken over, and the rows that ours begins with then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Takeover {
    pub(crate) told: Adopted,
    /// Whether nobody said that this is a ledger.
    pub(crate) is_guess: bool,
    rows: Rows,
}

impl Takeover {
    /// As if ours were written already.
    pub(crate) fn applied(&self) -> Applied {
        Applied {
            migrations: self.rows.migrations.clone(),
            repeatables: self.rows.repeatables.clone(),
            takeover: Some(Box::new(self.clone())),
            ..Applied::default()
        }
    }

    /// The files whose checksums are not those that were recorded, which is trusted to be right.
    pub(crate) fn edited(&self) -> &[String] {
        &self.rows.edited
    }

    /// What the error is about.
    pub(crate) fn refused(&self, unfit: Unfit) -> Error {
        Error::unfit(self.told.tool, &self.told.ledger, unfit)
    }
}

/// What there may be of another tool: whose, and what it is.
pub(crate) fn likely(conn: &Connection) -> Result<Option<(Adopt, String)>> {
    let number = || read::find(conn, &Adopt::RusqliteMigration.into());
    let found = match read::all(conn)?.into_iter().next() {
        Some(found) => Some(found),
        None => number()?,
    };
    Ok(found.map(|found| (found.tool(), found.ledger().to_owned())))
}

/// What hiqlite and Rails keep beside their ledgers.
const BESIDE: [(&str, &[&str]); 2] = [
    ("_metadata", &["key", "data"]),
    ("ar_internal_metadata", &["key", "value", "created_at", "updated_at"]),
];

/// Whether a table is a ledger of another tool's: by its columns, and by its usual name or the one
/// that it gets from us.
pub(crate) fn is_ledger(name: &str, columns: &[&str]) -> bool {
    let names = |format: &Format| {
        let kept = renamed(format.table, format.tool);
        name.eq_ignore_ascii_case(format.table) || name.eq_ignore_ascii_case(&kept)
    };
    BESIDE.iter().any(|(beside, its)| name.eq_ignore_ascii_case(beside) && columns == *its)
        || format::FORMATS.iter().any(|format| names(format) && format.fits(columns))
}

/// SQLite renames no table while any view or trigger is broken.
fn not_renamed(error: rusqlite::Error) -> Error {
    let is_about_another = error.to_string().contains("error in ");
    let error = Error::sqlite("renaming the ledger of another tool")(error);
    match is_about_another {
        true => error.advise(
            "SQLite renames no table while a view or trigger does not work: mend or drop it; or \
             give landfall's tables another name with `ledger(\"<prefix>\")`",
        ),
        false => error,
    }
}

/// What the table is called that was named for it, before it is taken over and after.
pub(crate) fn tables_of(adoption: &Adoption) -> Vec<String> {
    let Some(table) = &adoption.table else { return Vec::new() };
    let tools = format::FORMATS.iter().map(|format| format.tool);
    let its = tools.filter(|tool| adoption.tool == Adopt::Auto || adoption.tool == *tool);
    std::iter::once(table.clone()).chain(its.map(|tool| renamed(table, tool))).collect()
}

/// What a table is called once ours has its name.
fn renamed(table: &str, tool: Adopt) -> String {
    format!("{table}_{}", tool.name().to_ascii_lowercase().replace('-', "_"))
}

impl Ledger<'_> {
    /// What there is to be taken over; nothing where our ledger is there already. Read inside a
    /// transaction: their table may be renamed and ours made between two looks.
    pub(crate) fn takeover(&self, set: &Set, adoption: &Adoption) -> Result<Option<Takeover>> {
        let ours = foreign::inspect(self.conn, &self.tables.prefix);
        if let Ok(found) = ours
            && found != foreign::Found::default()
            && !self.is_only_restored(found)?
        {
            return Ok(None);
        }
        let Some(found) = read::find(self.conn, adoption)? else {
            return ours.map(|_| None);
        };
        let renamed_to = match ours {
            Ok(_) => None,
            Err(error) => match error.kind() {
                ErrorKind::ForeignLedger { table, .. } if table == found.ledger() => {
                    Some(self.free_name(&found)?)
                }
                _ => return Err(error),
            },
        };
        let unfit = |unfit| Error::unfit(found.tool(), found.ledger(), unfit);
        let (testimony, is_guess) = match &found {
            Found::UserVersion { number, is_guess } => {
                (Testimony { first: *number, ..Testimony::default() }, *is_guess)
            }
            Found::Table { format, table } => {
                let rows = read::rows(self.conn, format, table)?;
                (understand(format.tool, rows).map_err(unfit)?, false)
            }
        };
        let proof = if is_guess { Proof::Replayed } else { adoption.proof };
        let rows = decide(set, &testimony, found.tool(), proof).map_err(unfit)?;
        let told = Adopted {
            tool: found.tool(),
            ledger: found.ledger().to_owned(),
            renamed_to,
            migrations: rows.migrations.iter().map(|row| row.version).collect(),
            checksums: rows.checksums,
            proof,
        };
        Ok(Some(Takeover { told, is_guess, rows }))
    }

    /// Whether ours is there for no more than to say that a backup was put back, one from before
    /// theirs was taken over.
    fn is_only_restored(&self, found: foreign::Found) -> Result<bool> {
        if !found.migrations || !found.history {
            return Ok(false);
        }
        let sql = format!(
            "SELECT NOT EXISTS (SELECT 1 FROM {})
                AND NOT EXISTS (SELECT 1 FROM {} WHERE action NOT IN ('restore', 'backup'))",
            self.tables.migrations, self.tables.history
        );
        self.conn.query_row(&sql, [], |row| row.get(0)).map_err(Error::sqlite("reading the ledger"))
    }

    /// The name that a table gets, if nothing has it.
    fn free_name(&self, found: &Found) -> Result<String> {
        let name = renamed(found.ledger(), found.tool());
        match read::is_taken(self.conn, &name)? {
            true => Err(Error::unfit(found.tool(), found.ledger(), Unfit::NameTaken { name })),
            false => Ok(name),
        }
    }

    /// Writes ours. Inside a write transaction.
    pub(crate) fn take_over(&self, takeover: &Takeover) -> Result<()> {
        let told = &takeover.told;
        if let Some(name) = &told.renamed_to {
            let sql =
                format!("ALTER TABLE main.{} RENAME TO {}", quoted(&told.ledger), quoted(name));
            self.conn.execute_batch(&sql).map_err(not_renamed)?;
        }
        self.create()?;
        self.write_taken(takeover).map_err(Error::sqlite("writing the ledger"))?;
        let mut detail = told.to_string();
        if !takeover.edited().is_empty() {
            detail.push_str(&format!(", edited since: {}", takeover.edited().join(", ")));
        }
        self.record([Deed {
            action: "adopt",
            name: Some(told.tool.name()),
            detail: Some(&detail),
            ..Deed::default()
        }])
    }

    /// Which version of the application applied them is not known. Where no time is either, it is
    /// that of the adoption.
    fn write_taken(&self, takeover: &Takeover) -> rusqlite::Result<()> {
        let sql = format!(
            "INSERT INTO {} (version, name, checksum, down_sql, compatible, applied_at, took_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            self.tables.migrations
        );
        let now = self.now()?;
        self.in_transaction()?;
        self.touch()?;
        let mut statement = self.conn.prepare(&sql)?;
        for row in takeover.rows.migrations.iter().chain(&takeover.rows.repeatables) {
            let Row { version, name, checksum, down_sql, compatibility, applied_at, .. } = row;
            let compatible = *compatibility == Compatibility::Compatible;
            let at = if applied_at.is_empty() { &now } else { applied_at };
            let values = params![version.0, name, checksum, down_sql, compatible, at, 0];
            self.write("migrations", 1, || statement.execute(values))?;
        }
        Ok(())
    }
}
