#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(clippy::needless_doctest_main)] // a build.rs is nothing but its main
#![warn(missing_docs, unreachable_pub)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::incompatible_msrv
)]

mod adoption;
mod asking;
mod backup;
mod damage;
mod drift;
mod error;
mod escape;
mod event;
mod finding;
mod fingerprint;
mod fresh;
mod held;
mod ledger;
mod lint;
mod means;
mod migration;
mod migrator;
mod options;
mod path;
mod plan;
mod proof;
mod putting_back;
pub mod rehearse;
mod replay;
mod report;
mod rows;
mod run;
pub mod schema;
mod seed;
mod source;
pub mod sql;
mod status;
mod stop;
mod supervisor;
pub mod testing;

pub use adoption::{Adopt, Adopted, Adoption, Proof};
pub use backup::{Backup, When};
pub use drift::Drifted;
pub use error::{Error, ErrorKind, Result};
pub use event::Event;
pub use held::{Held, HeldBack, Progress};
pub use migration::{BoxError, Migration, Target, Version};
pub use migrator::Migrator;
pub use plan::{
    Amendment, ChangedSince, DataLoss, Direction, ForeignKeys, Late, Missing, Newer, Plan, Step,
    Strictness, Transactions,
};
pub use rehearse::Rehearsal;
pub use report::{
    BackfillDone, BackupOutcome, Compatibility, Done, HistoryEntry, MigrationStatus,
    NewerMigration, Report, SeedDone, SeedState, SeedStatus, State, Status,
};
pub use rows::{RowPolicy, Rows, RowsWritten};
pub use seed::{Backfill, Batch, Edited, Failures, Seed, Seeds, UserTriggers};
pub use source::Layout;
pub use sql::Position;
pub use stop::Stop;

pub use include_dir;
pub use rusqlite;
