//! A database lent to one test after another, inside a transaction.

use std::cell::RefCell;

use rusqlite::Connection;

use crate::error::{Error, ErrorKind, Result};
use crate::fresh::MigratorIdentity;
use crate::migrator::Migrator;

/// Writes: lends the function a fresh database, and takes back everything that it does to it. The
/// fastest way for a test that can live inside one transaction: each thread keeps one database in
/// memory for a migrator, migrated once, its schema read once.
///
/// It is all undone at the end, also where the test panics. The function returns what it likes.
///
/// What it cannot do: begin a transaction (`Connection::transaction` or `BEGIN` fail with "cannot
/// start a transaction within a transaction"; savepoints are fine), end the one it is in, or do
/// what SQLite refuses inside one, such as `VACUUM` or switching foreign keys. What is not the
/// database's but the connection's stays for the next test on the thread: settings made with
/// `PRAGMA`, attached databases, functions and hooks. A test that needs any of that wants
/// [`open_in_memory`](crate::Migrator::open_in_memory).
///
/// ```
/// # use landfall::{include_dir::{self, include_dir}, Migrator};
/// # let migrator = Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example"));
/// use landfall::testing::sandbox;
///
/// for _ in 0..2 {
///     let id = sandbox(&migrator, |db| {
///         db.execute("INSERT INTO contact(name) VALUES ('Ada')", []).unwrap();
///         db.last_insert_rowid()
///     })?;
///     assert_eq!(id, 1);
/// }
/// # Ok::<(), landfall::Error>(())
/// ```
///
/// # Errors
///
/// As [`apply`](crate::Migrator::apply), before the function runs; and, after it,
/// [`ErrorKind::SandboxLeft`] where it ended the transaction, so that what it did could not be
/// taken back. The database is thrown away then, and the next test gets another.
pub fn sandbox<T>(migrator: &Migrator, test: impl FnOnce(&Connection) -> T) -> Result<T> {
    let identity = migrator.identity()?;
    let kept = SANDBOXES.with_borrow_mut(|sandboxes| {
        let at = sandboxes.iter().position(|sandbox| sandbox.identity == identity)?;
        Some(sandboxes.swap_remove(at).conn)
    });
    let conn = match kept {
        Some(conn) => conn,
        None => migrator.open_in_memory()?,
    };
    run(&conn, LEND).map_err(Error::sqlite("beginning a test's transaction"))?;
    let lent = Lent { conn: Some(conn), identity: Some(identity) };
    let returned = lent.conn.as_ref().map(test);
    match (returned, lent.give_back()) {
        (Some(returned), true) => Ok(returned),
        _ => Err(Error::from(ErrorKind::SandboxLeft).changed("its database was thrown away")),
    }
}

/// A database that tests on this thread are lent, one after another.
struct Sandbox {
    identity: MigratorIdentity,
    conn: Connection,
}

thread_local! {
    static SANDBOXES: RefCell<Vec<Sandbox>> = const { RefCell::new(Vec::new()) };
}

/// The savepoint goes with its transaction, so that `COMMIT; BEGIN` does not pass for nothing:
/// <https://sqlite.org/lang_savepoint.html>.
const LEND: [&str; 2] = ["BEGIN", "SAVEPOINT landfall_sandbox"];
const TAKE_BACK: [&str; 2] = ["RELEASE landfall_sandbox", "ROLLBACK"];

/// Through the connection's cache: a test that asks little should not wait for these to be parsed.
fn run(conn: &Connection, statements: [&str; 2]) -> rusqlite::Result<()> {
    statements.into_iter().try_for_each(|sql| conn.prepare_cached(sql)?.execute([]).map(drop))
}

/// How many a thread keeps.
const KEPT: usize = 4;

/// A sandbox while a test has it.
struct Lent {
    conn: Option<Connection>,
    identity: Option<MigratorIdentity>,
}

impl Lent {
    /// Takes back what the test did, and says whether it could: a connection on which it could not
    /// is not lent again.
    fn give_back(mut self) -> bool {
        self.put_away()
    }

    fn put_away(&mut self) -> bool {
        let (Some(conn), Some(identity)) = (self.conn.take(), self.identity.take()) else {
            return false;
        };
        if run(&conn, TAKE_BACK).is_err() {
            return false;
        }
        let sandbox = Sandbox { identity, conn };
        let put = SANDBOXES.try_with(|sandboxes| {
            let mut sandboxes = sandboxes.try_borrow_mut().ok()?;
            if sandboxes.len() >= KEPT {
                sandboxes.remove(0);
            }
            sandboxes.push(sandbox);
            Some(())
        });
        // Where the thread is ending there is nobody left to lend it to.
        put.is_ok()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.put_away();
    }
}
