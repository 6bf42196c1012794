//! How a folder is laid out: in landfall's own form, or as another tool has it.

use std::fmt;

use crate::sql::section;

/// How the files of a folder are named and cut. Every folder is recognised by its files; this is
/// for the few that can be read in two ways, and for those who want to be told when a file of
/// another form slips in.
///
/// In every layout the number is compared as a number, and what only landfall has may stand beside
/// the tool's own files: `0007_name.verify.sql`, `0050_name.baseline.sql`, `R__name.sql` and
/// `repeatable/name.sql`. Outside of [`Landfall`](Layout::Landfall) and [`Drizzle`](Layout::Drizzle) a
/// number is taken as it stands, also where it could be a date.
///
/// ```
/// use landfall::{Layout, Migrator};
///
/// Migrator::from_dir("migrations-example").layout(Layout::Landfall).check()?;
/// # Ok::<(), landfall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// `0001_name.sql` and `0001_name.down.sql`; a number that begins with a date is a timestamp.
    /// Those of wrangler and hiqlite are like it.
    Landfall,
    /// `1_name.up.sql` and `1_name.down.sql`. One of them may be missing: a migration without its up
    /// does nothing on its way up.
    GolangMigrate,
    /// `1_name.sql`, or `1_name.up.sql` and `1_name.down.sql`, or some of both. A first line
    /// `-- no-transaction` is honoured, as it is in the two above. Those of geni are like it.
    Sqlx,
    /// `V1__name.sql`, and `U1__name.sql`, which is a migration like any other. Subfolders are read.
    Refinery,
    /// `V1.2__name.sql`, `U1.2__name.sql`, which takes it back, and `B3__name.sql`, a baseline.
    /// Subfolders are read.
    Flyway,
    /// `2024-01-01-000000_name/up.sql` and `down.sql`; `run_in_transaction` in its `metadata.toml`
    /// is honoured.
    Diesel,
    /// `01-name/up.sql` and `down.sql`.
    RusqliteMigration,
    /// `20240101000000_name/migration.sql`, and `down.sql` where there is one.
    Prisma,
    /// `0000_name.sql` with `meta/_journal.json`, and `0000_name.down.sql` where there is one, or
    /// `20240101000000_name/migration.sql`; `--> statement-breakpoint` ends a statement.
    Drizzle,
    /// `00001_name.sql` with `-- +goose Up` and `-- +goose Down`; `NO TRANSACTION` is honoured.
    Goose,
    /// `20240101000000_name.sql` with `-- migrate:up` and `-- migrate:down`; `transaction:false` is
    /// honoured.
    Dbmate,
    /// `20240101000000-name.sql` with `-- +migrate Up` and `-- +migrate Down`; `notransaction` is
    /// honoured.
    SqlMigrate,
}

impl Layout {
    /// The tool whose marks cut each of its files in sections.
    pub(crate) fn sections(self) -> Option<section::Tool> {
        match self {
            Layout::Goose => Some(section::Tool::Goose),
            Layout::Dbmate => Some(section::Tool::Dbmate),
            Layout::SqlMigrate => Some(section::Tool::SqlMigrate),
            _ => None,
        }
    }

    pub(crate) fn of_sections(tool: section::Tool) -> Self {
        match tool {
            section::Tool::Goose => Layout::Goose,
            section::Tool::Dbmate => Layout::Dbmate,
            section::Tool::SqlMigrate => Layout::SqlMigrate,
        }
    }

    /// Whose folder it is, as far as that can be told where nobody has said.
    pub(crate) fn whose(self) -> &'static str {
        match self {
            Layout::Landfall => "landfall's",
            Layout::GolangMigrate => "golang-migrate's",
            Layout::Sqlx => "golang-migrate's or sqlx's",
            Layout::Refinery => "refinery's",
            Layout::Flyway => "Flyway's or refinery's",
            Layout::Diesel => "diesel's",
            Layout::RusqliteMigration => "rusqlite_migration's",
            Layout::Prisma => "Prisma's",
            Layout::Drizzle => "drizzle's",
            Layout::Goose => "goose's",
            Layout::Dbmate => "dbmate's",
            Layout::SqlMigrate => "sql-migrate's",
        }
    }

    /// What a migration's file is called, for the advice.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Layout::Landfall | Layout::Goose => "0001_name.sql",
            Layout::GolangMigrate => "0001_name.up.sql",
            Layout::Sqlx => "0001_name.sql` or `0001_name.up.sql",
            Layout::Refinery | Layout::Flyway => "V1__name.sql",
            Layout::Diesel => "2024-01-01-000000_name/up.sql",
            Layout::RusqliteMigration => "01-name/up.sql",
            Layout::Prisma => "20240101000000_name/migration.sql",
            Layout::Drizzle => "0000_name.sql",
            Layout::Dbmate => "20240101000000_name.sql",
            Layout::SqlMigrate => "20240101000000-name.sql",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layout::Landfall => "landfall",
            Layout::GolangMigrate => "golang-migrate",
            Layout::Sqlx => "sqlx",
            Layout::Refinery => "refinery",
            Layout::Flyway => "Flyway",
            Layout::Diesel => "diesel",
            Layout::RusqliteMigration => "rusqlite_migration",
            Layout::Prisma => "Prisma",
            Layout::Drizzle => "drizzle",
            Layout::Goose => "goose",
            Layout::Dbmate => "dbmate",
            Layout::SqlMigrate => "sql-migrate",
        })
    }
}
