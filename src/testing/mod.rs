//! What an application calls from its own tests.

mod kept;
mod lockfile;
mod sandbox;
mod schema_file;
mod verify;

use std::path::Path;

use crate::error::Result;
use crate::migrator::Migrator;

pub use crate::finding::Findings;
pub use lockfile::lockfile;
pub use sandbox::sandbox;
pub use schema_file::schema_file;
pub use verify::{Check, Finding, SampleRows, Verified, Verify, verify};

/// Reads no database: compares the files that a migrator was compiled with, byte by byte, with
/// those in the folder on disk: every `.sql` file, and what other tools keep beside them, such as a
/// `metadata.toml`. Those that are [ignored](Migrator::ignore) are left out.
///
/// `include_dir!` does not notice a file added after the last build. A test that calls this fails
/// then, and names the file. A relative path starts from the current directory, which in tests is
/// that of the package's `Cargo.toml`.
///
/// ```
/// # use landfall::{include_dir::{self, include_dir}, Migrator};
/// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
/// landfall::testing::embedded_is_current(&migrator, "migrations-example")?;
/// # Ok::<(), landfall::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Stale`](crate::ErrorKind::Stale) naming the first file that is only on one side or differs;
/// [`ErrorKind::Source`](crate::ErrorKind::Source) if the folder cannot be read.
pub fn embedded_is_current(migrator: &Migrator, folder: impl AsRef<Path>) -> Result<()> {
    migrator.source().refuse_stale(folder.as_ref())
}
