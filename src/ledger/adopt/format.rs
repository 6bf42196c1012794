//! The tables that other tools keep, as far as they are told by them.

use crate::adoption::Adopt;

/// A ledger's table: its usual name, and the columns by which it is known.
#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) tool: Adopt,
    pub(crate) table: &'static str,
    /// All of these are there.
    pub(crate) has: &'static [&'static str],
    /// None of these is: another tool's table of the same name has them.
    pub(crate) lacks: &'static [&'static str],
    /// Read where they are there.
    pub(crate) may_have: &'static [&'static str],
    /// Whether it has no others.
    pub(crate) others: Others,
    /// Which of them says when a migration was applied.
    pub(crate) time: &'static str,
}

/// Columns that a format does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    MayBe,
    Never,
}

impl Format {
    const BARE: Format = Format {
        tool: Adopt::Auto,
        table: "",
        has: &[],
        lacks: &[],
        may_have: &[],
        others: Others::MayBe,
        time: "",
    };

    pub(crate) fn of(tool: Adopt) -> Option<&'static Format> {
        FORMATS.iter().find(|format| format.tool == tool)
    }

    /// Whether a table that has these columns can be one.
    pub(crate) fn fits(&self, columns: &[impl AsRef<str>]) -> bool {
        let there = |wanted: &&str| columns.iter().any(|c| c.as_ref().eq_ignore_ascii_case(wanted));
        let no_more = self.others == Others::MayBe || columns.len() == self.has.len();
        self.has.iter().all(there) && !self.lacks.iter().any(there) && no_more
    }
}

/// Columns by name, for what a table declares of their types is not to be relied on. What a tool
/// added later, or left out once, is not asked for.
pub(crate) const FORMATS: [Format; 12] = [
    Format {
        tool: Adopt::Refinery,
        table: "refinery_schema_history",
        has: &["version", "name", "applied_on", "checksum"],
        time: "applied_on",
        ..Format::BARE
    },
    Format {
        tool: Adopt::Sqlx,
        table: "_sqlx_migrations",
        has: &["version", "description", "installed_on", "success", "checksum"],
        time: "installed_on",
        ..Format::BARE
    },
    Format {
        tool: Adopt::Diesel,
        table: "__diesel_schema_migrations",
        has: &["version", "run_on"],
        time: "run_on",
        ..Format::BARE
    },
    Format {
        tool: Adopt::SeaOrm,
        table: "seaql_migrations",
        has: &["version", "applied_at"],
        lacks: &["checksum", "dirty"],
        time: "applied_at",
        ..Format::BARE
    },
    Format {
        tool: Adopt::Hiqlite,
        table: "_migrations",
        has: &["id", "name", "ts", "hash"],
        time: "ts",
        ..Format::BARE
    },
    Format {
        tool: Adopt::Geni,
        table: "schema_migrations",
        has: &["id"],
        // Beside others an `id` counts rows.
        others: Others::Never,
        ..Format::BARE
    },
    Format {
        tool: Adopt::GolangMigrate,
        table: "schema_migrations",
        has: &["version", "dirty"],
        ..Format::BARE
    },
    Format {
        tool: Adopt::Goose,
        table: "goose_db_version",
        has: &["id", "version_id", "is_applied"],
        may_have: &["tstamp"],
        time: "tstamp",
        ..Format::BARE
    },
    Format {
        tool: Adopt::Dbmate,
        table: "schema_migrations",
        has: &["version"],
        lacks: &["dirty", "name", "checksum", "run_on", "applied_at", "applied_on", "success"],
        ..Format::BARE
    },
    Format {
        tool: Adopt::Flyway,
        table: "flyway_schema_history",
        has: &["installed_rank", "version", "description", "type", "script", "checksum", "success"],
        may_have: &["installed_on"],
        time: "installed_on",
        ..Format::BARE
    },
    Format {
        tool: Adopt::Prisma,
        table: "_prisma_migrations",
        has: &["checksum", "finished_at", "migration_name", "rolled_back_at", "started_at"],
        time: "finished_at",
        ..Format::BARE
    },
    Format {
        tool: Adopt::Drizzle,
        table: "__drizzle_migrations",
        has: &["hash", "created_at"],
        lacks: &["version"],
        ..Format::BARE
    },
];
