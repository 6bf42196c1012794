//! The schema that the migrations make, kept as a file under review.

use std::path::Path;

use super::kept::keep;
use crate::error::Result;
use crate::migrator::Migrator;
use crate::replay::Extent;
use crate::schema::Snapshot;

/// Reads no database of yours: compares the schema that all migrations and repeatables make, as
/// readable SQL, with what a file says. Kept beside the folder of the migrations (not in it: it is none), that file shows in a review what
/// a new migration does to the whole, and two branches that change one table conflict in it.
///
/// The migrations run in a database in memory, without seeds. The text is that of
/// [`Snapshot::to_sql`]: the same for all ways of making the same schema. A relative path starts from
/// the current directory, which in tests is that of the package's `Cargo.toml`. Line ends do not
/// count.
///
/// The first time, and whenever the change is meant, run the test with `UPDATE_LOCK=1` in its
/// environment: it writes the file.
///
/// ```
/// # use landfall::{include_dir::{self, include_dir}, Migrator};
/// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
/// landfall::testing::schema_file(&migrator, "tests/kept/schema.sql")?;
/// # Ok::<(), landfall::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Outdated`](crate::ErrorKind::Outdated), its cause the lines that differ;
/// [`ErrorKind::Kept`](crate::ErrorKind::Kept) where the file cannot be read or written; as
/// [`apply`](Migrator::apply) where a migration fails.
pub fn schema_file(migrator: &Migrator, path: impl AsRef<Path>) -> Result<()> {
    let replay = migrator.replay(Extent::Whole, true)?;
    let snapshot = Snapshot::of(&replay.conn)?;
    keep(path.as_ref(), &snapshot.to_sql(), "the schema that the migrations make")
}
