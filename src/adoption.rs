//! Which tool's ledger is taken over, and on what terms: values and sentences.

use std::fmt;

use crate::escape::escaped;
use crate::migration::Version;

/// Another tool, whose ledger [`Migrator::adopt`](crate::Migrator::adopt) takes over: the one line
/// to change for an application that comes from it.
///
/// Most tools let their table be called something else: say so with [`table`](Adopt::table).
///
/// ```
/// use landfall::{Adopt, Migration, Migrator};
/// use landfall::rusqlite::Connection;
///
/// // A database as rusqlite_migration left it, which counts what it applied.
/// let conn = Connection::open_in_memory()?;
/// conn.execute_batch("CREATE TABLE person(name TEXT); PRAGMA user_version = 1")?;
///
/// let migrator = Migrator::from_migrations([
///     Migration::sql(1, "person", "CREATE TABLE person(name TEXT)"),
///     Migration::sql(2, "born", "ALTER TABLE person ADD COLUMN born TEXT"),
/// ])
/// .adopt(Adopt::RusqliteMigration);
/// let report = migrator.apply(&conn)?;
/// assert_eq!(report.adopted.as_ref().map(|adopted| adopted.migrations.len()), Some(1));
/// assert_eq!(report.applied.len(), 1);
/// assert!(migrator.apply(&conn)?.is_noop());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Adopt {
    /// rusqlite_migration, and others that count what they applied in
    /// [`PRAGMA user_version`](https://sqlite.org/pragma.html#pragma_user_version): the first
    /// migrations of the set, in order, are applied. A set that begins with a baseline is refused, as
    /// nobody knows how many that stands for. The number is left as it is.
    RusqliteMigration,
    /// refinery: `refinery_schema_history`, with SipHash checksums.
    Refinery,
    /// sqlx, and what is built on it: `_sqlx_migrations`, with SHA-384 checksums.
    Sqlx,
    /// diesel: `__diesel_schema_migrations`, versions only.
    Diesel,
    /// sea-orm-migration: `seaql_migrations`. `m20220101_000001_name` is version 20220101000001, or
    /// the migration of that whole name.
    SeaOrm,
    /// hiqlite: `_migrations`, with SHA-256 checksums.
    Hiqlite,
    /// geni: `schema_migrations` with an `id` alone, versions only.
    Geni,
    /// golang-migrate: `schema_migrations`, the newest version only. Everything in the set up to
    /// that counts as applied.
    GolangMigrate,
    /// goose: `goose_db_version`, versions only.
    Goose,
    /// dbmate, and Rails: `schema_migrations`, versions only.
    Dbmate,
    /// Flyway: `flyway_schema_history`, with CRC-32 checksums; its repeatables and baselines too.
    Flyway,
    /// Prisma: `_prisma_migrations`, with SHA-256 checksums.
    Prisma,
    /// drizzle: `__drizzle_migrations`. A migration is found by the SHA-256 of its file.
    Drizzle,
    /// Whichever of these the database has, told by table and columns. Two at once are refused. A
    /// `user_version` alone, which many applications use for something else, is only believed where
    /// the schema is what that many migrations make, [trusting](Adopt::trusting) or not.
    Auto,
}

/// A tool's ledger, and how it is taken over: what [`Adopt::table`] and [`Adopt::trusting`] make.
///
/// ```
/// use landfall::{Adopt, Migrator};
///
/// Migrator::from_dir("migrations-example")
///     .adopt(Adopt::Sqlx.table("_my_migrations").trusting())
///     .open_in_memory()?; // a database without that ledger is like any other
/// # Ok::<(), landfall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    pub(crate) tool: Adopt,
    pub(crate) table: Option<String>,
    pub(crate) proof: Proof,
}

/// What shows that a ledger which is taken over tells the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Proof {
    /// The migrations that it names, replayed into an empty database, make the schema that the
    /// database has, and each checksum that it keeps is that of the file.
    Replayed,
    /// Nothing: it is taken at its word.
    Trusted,
}

impl Adopt {
    /// Takes the ledger at its word: nothing is replayed, and a checksum that is not that of the
    /// file is a warning. For migrations that cannot be replayed, a schema that was changed by hand
    /// and is right, or files that were edited since. Danger: where the ledger is wrong, what comes
    /// next is applied to a schema that it was not written for. The history says that it was trusted.
    pub fn trusting(self) -> Adoption {
        Adoption::from(self).trusting()
    }

    /// The name of its table in this database, where it is not the tool's usual one.
    pub fn table(self, name: impl Into<String>) -> Adoption {
        Adoption::from(self).table(name)
    }
}

impl Adoption {
    /// As [`Adopt::trusting`].
    pub fn trusting(mut self) -> Self {
        self.proof = Proof::Trusted;
        self
    }

    /// As [`Adopt::table`].
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = Some(name.into());
        self
    }
}

impl From<Adopt> for Adoption {
    fn from(tool: Adopt) -> Self {
        Adoption { tool, table: None, proof: Proof::Replayed }
    }
}

/// A ledger of another tool's that was taken over, or, in a [`Plan`](crate::Plan), is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Adopted {
    /// Whose it is.
    pub tool: Adopt,
    /// Its table, or `PRAGMA user_version`.
    pub ledger: String,
    /// What that table is called from then on, where it had the name of one of ours.
    pub renamed_to: Option<String>,
    /// The versions that it says are applied, rising.
    pub migrations: Vec<Version>,
    /// How many of its checksums are those of the files. Some tools keep none.
    pub checksums: usize,
    /// What shows that it tells the truth.
    pub proof: Proof,
}

impl Adopt {
    /// The tool's name.
    pub(crate) fn name(self) -> &'static str {
        self.words().0
    }

    /// How it is written.
    pub(crate) fn variant(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Adopt::RusqliteMigration => ("rusqlite_migration", "Adopt::RusqliteMigration"),
            Adopt::Refinery => ("refinery", "Adopt::Refinery"),
            Adopt::Sqlx => ("sqlx", "Adopt::Sqlx"),
            Adopt::Diesel => ("diesel", "Adopt::Diesel"),
            Adopt::SeaOrm => ("sea-orm", "Adopt::SeaOrm"),
            Adopt::Hiqlite => ("hiqlite", "Adopt::Hiqlite"),
            Adopt::Geni => ("geni", "Adopt::Geni"),
            Adopt::GolangMigrate => ("golang-migrate", "Adopt::GolangMigrate"),
            Adopt::Goose => ("goose", "Adopt::Goose"),
            Adopt::Dbmate => ("dbmate", "Adopt::Dbmate"),
            Adopt::Flyway => ("Flyway", "Adopt::Flyway"),
            Adopt::Prisma => ("Prisma", "Adopt::Prisma"),
            Adopt::Drizzle => ("drizzle", "Adopt::Drizzle"),
            Adopt::Auto => ("some tool", "Adopt::Auto"),
        }
    }
}

impl Adopted {
    /// That it is still to be done.
    pub(crate) fn pending(&self) -> String {
        format!("the ledger of {}, `{}`, is to be taken over", self.tool, self.ledger)
    }
}

impl fmt::Display for Adopt {
    /// The tool's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.migrations.len();
        let s = if count == 1 { "" } else { "s" };
        write!(f, "{count} migration{s} of {}'s `{}`", self.tool, escaped(&self.ledger))?;
        if let Some(name) = &self.renamed_to {
            write!(f, ", which becomes `{}`", escaped(name))?;
        }
        if self.checksums > 0 {
            write!(
                f,
                ", {} checksum{} agreed",
                self.checksums,
                if self.checksums == 1 { "" } else { "s" }
            )?;
        }
        f.write_str(match self.proof {
            Proof::Replayed => ", proved by a replay",
            Proof::Trusted => ", trusted",
        })
    }
}
