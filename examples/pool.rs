//! A pool whose connections all migrate: whichever comes first does the work, the others wait for
//! it or find nothing to do. No connection is handed out before the schema is there.
//!
//! The pool is r2d2 with a manager of a few lines, so that rusqlite can be any version that
//! `landfall` takes. With r2d2_sqlite the same is
//! `SqliteConnectionManager::file(path).with_init(move |conn| …)`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use landfall::Migrator;
use landfall::include_dir::{self, include_dir};
use landfall::rusqlite::{self, Connection};

struct Manager {
    path: PathBuf,
    migrator: Migrator,
    /// How many connections have been opened, and how many of them migrated.
    opened: Arc<AtomicUsize>,
    migrated: Arc<AtomicUsize>,
}

impl r2d2::ManageConnection for Manager {
    type Connection = Connection;
    type Error = landfall::rusqlite::Error;

    fn connect(&self) -> Result<Connection, Self::Error> {
        let conn = Connection::open(&self.path)?;
        conn.busy_timeout(Duration::from_secs(5))?;
        // r2d2 tries again after an error, and logs it; an application that would rather stop
        // calls `apply` once before it builds the pool as well.
        let report = self
            .migrator
            .apply(&conn)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        self.opened.fetch_add(1, Ordering::SeqCst);
        self.migrated.fetch_add(usize::from(!report.is_noop()), Ordering::SeqCst);
        Ok(conn)
    }

    fn is_valid(&self, conn: &mut Connection) -> Result<(), Self::Error> {
        conn.execute_batch("SELECT 1")
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let opened = Arc::new(AtomicUsize::new(0));
    let migrated = Arc::new(AtomicUsize::new(0));
    let manager = Manager {
        path: folder.path().join("contacts.db"),
        migrator: Migrator::from_embedded(include_dir!("$CARGO_MANIFEST_DIR/migrations-example")),
        opened: Arc::clone(&opened),
        migrated: Arc::clone(&migrated),
    };
    let pool = r2d2::Pool::builder().max_size(4).build(manager)?;

    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let pool = pool.clone();
            thread::spawn(move || -> Result<(), Box<dyn Error + Send + Sync>> {
                let conn = pool.get()?;
                let name = format!("contact {worker}");
                conn.execute("INSERT INTO contact(name) VALUES (?1)", [name])?;
                Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked")?.map_err(|error| error.to_string())?;
    }

    let contacts: i64 =
        pool.get()?.query_row("SELECT count(*) FROM contact", [], |row| row.get(0))?;
    let (opened, migrated) = (opened.load(Ordering::SeqCst), migrated.load(Ordering::SeqCst));
    println!("{opened} connections were opened, {migrated} of them migrated");
    println!("8 workers wrote {contacts} contacts");
    assert_eq!((opened, migrated, contacts), (4, 1, 8));
    Ok(())
}
