//! Why the ledger of another tool cannot be taken over, in sentences.

use std::fmt;

use super::{Error, ErrorKind};
use crate::adoption::Adopt;
use crate::migration::Version;

/// What is wrong with it.
#[derive(Debug)]
pub(crate) enum Unfit {
    Ambiguous { other: (Adopt, String) },
    Columns { expected: &'static [&'static str], found: Vec<String>, likely: Option<Adopt> },
    Dirty { migration: String, how: &'static str },
    TooManyRows { rows: usize },
    Unreadable { column: String, value: String, what: &'static str },
    Twice { version: Version },
    Negative { number: i64 },
    MoreThanKnown { count: usize, known: usize },
    CountsMore { baseline: String },
    Edited { file: String, version: Version },
    NoFile { what: String },
    NameTaken { name: String },
    CannotReplay,
    Guess { number: usize },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Ambiguous { other: (tool, ledger) } => {
                write!(f, "the database has {tool}'s `{ledger}` as well")
            }
            Unfit::Columns { expected: [], found, .. } => {
                write!(f, "its columns are {}, which is no ledger that is known", found.join(", "))
            }
            Unfit::Columns { expected, found, .. } => write!(
                f,
                "its columns are {}, and a ledger of that tool has {}",
                found.join(", "),
                expected.join(", ")
            ),
            Unfit::Dirty { migration, how } => {
                write!(f, "migration {migration} was begun and did not come to its end: {how}")
            }
            Unfit::TooManyRows { rows } => write!(f, "it has {rows} rows, and should have one"),
            Unfit::Unreadable { column, value, what } => {
                write!(f, "it holds a row whose `{column}` is `{value}`, which is {what}")
            }
            Unfit::Twice { version } => write!(f, "it holds version {version} twice"),
            Unfit::Negative { number } => write!(f, "it is {number}"),
            Unfit::MoreThanKnown { count, known } => {
                write!(f, "it counts {count} migrations as applied, and this program knows {known}")
            }
            Unfit::CountsMore { baseline } => write!(
                f,
                "it counts migrations, and how many of them the baseline {baseline} stands for is \
                 not known"
            ),
            Unfit::Edited { file, version } => write!(
                f,
                "its checksum of version {version} is not that of {file}, which was edited since"
            ),
            Unfit::NoFile { what } => write!(f, "this program has no migration for {what}"),
            Unfit::NameTaken { name } => {
                write!(f, "it would have to become `{name}`, and there is something of that name")
            }
            Unfit::CannotReplay => {
                f.write_str("its migrations cannot be replayed into an empty database")
            }
            Unfit::Guess { number } => write!(
                f,
                "it is {number}, and the schema is not what the first {number} migrations make"
            ),
        }
    }
}

impl Unfit {
    fn advice(&self, tool: Adopt, ledger: &str) -> String {
        let variant = tool.variant();
        match self {
            Unfit::Ambiguous { other: (other, _) } => format!(
                "name the one that is about this program's migrations: `.adopt({variant})` or \
                 `.adopt({})`",
                other.variant()
            ),
            Unfit::Columns { likely: Some(likely), .. } => {
                format!("it looks like {likely}'s: then say `.adopt({})`", likely.variant())
            }
            Unfit::Columns { .. } => format!(
                "name the table that is the ledger, as in `.adopt({variant}.table(\"<name>\"))`, or \
                 leave `adopt` away if there is none"
            ),
            Unfit::Dirty { .. } => match tool {
                Adopt::GolangMigrate => {
                    "look at the database, finish or undo by hand what that migration does, and \
                     tell the ledger with `migrate force <version>`; then start again"
                }
                Adopt::Prisma => {
                    "look at the database, finish or undo by hand what that migration does, and \
                     tell the ledger with `prisma migrate resolve`; then start again"
                }
                Adopt::Flyway => {
                    "look at the database, finish or undo by hand what that migration does, and \
                     tell the ledger with `flyway repair`; then start again"
                }
                _ => {
                    "look at the database, finish or undo by hand what that migration does, and \
                     then correct the row, or delete it; then start again"
                }
            }
            .to_owned(),
            Unfit::TooManyRows { .. } | Unfit::Unreadable { .. } | Unfit::Twice { .. } => {
                let begun = "look at the table and correct it";
                format!("{begun}; or, if it is not this program's ledger, leave `adopt` away")
            }
            Unfit::Negative { .. } => "look at who sets it; rusqlite_migration never sets it below \
                                       zero. Leave `adopt` away if it is used for something else"
                .to_owned(),
            Unfit::MoreThanKnown { .. } => {
                "start the newer program, which knows the rest; or, if the number is used for \
                 something else, leave `adopt` away"
                    .to_owned()
            }
            Unfit::CountsMore { .. } => {
                "bring back the migrations that the baseline stands for; or leave `adopt` away, and \
                 call `baseline` once with the version that the schema has"
                    .to_owned()
            }
            Unfit::Edited { file, .. } => format!(
                "restore {file} as it was when it was applied, and put the change into a new \
                 migration; or, if the edit is meant, say `.adopt({variant}.trusting())`"
            ),
            Unfit::NoFile { .. } => {
                "bring its file back, as it was when it was applied; or, if that is gone for good, \
                 leave `adopt` away, set another prefix with `ledger` and call `baseline` once with \
                 the version that the schema has"
                    .to_owned()
            }
            Unfit::NameTaken { name } => format!(
                "drop or rename `{name}`; or give landfall's tables another name with \
                 `ledger(\"<prefix>\")`, which leaves `{ledger}` as it is"
            ),
            Unfit::CannotReplay => format!(
                "if it needs functions, collations or modules of the application's, register them \
                 in `on_connect`; or take the ledger at its word with \
                 `.adopt({variant}.trusting())`"
            ),
            Unfit::Guess { .. } => {
                "if rusqlite_migration has set it, say `.adopt(Adopt::RusqliteMigration)`, which \
                 then says what differs; if it is used for something else, leave `adopt` away"
                    .to_owned()
            }
        }
    }
}

impl Error {
    /// The ledger of that tool cannot be taken over.
    pub(crate) fn unfit(tool: Adopt, ledger: &str, unfit: Unfit) -> Error {
        let kind = ErrorKind::Adoption {
            tool: tool.name(),
            ledger: ledger.to_owned(),
            why: unfit.to_string(),
        };
        Error::from(kind).advise(unfit.advice(tool, ledger))
    }
}
