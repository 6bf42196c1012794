//! A table of 200,000 rows is filled in the background, with a progress bar. In the middle the
//! process is killed; the next one goes on where it was, and every row is done once.
//!
//! `cargo run --example backfill`

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use landfall::rusqlite::Connection;
use landfall::{Backfill, Event, Migration, Migrator, SeedState, Seeds};

const ROWS: i64 = 200_000;

/// What the application is about: posts that are to get a slug each. A trigger counts how often
/// each row was changed, to prove that it was once.
fn migrator() -> Migrator {
    let posts = Migration::sql(
        1,
        "posts",
        format!(
            "CREATE TABLE post(id INTEGER PRIMARY KEY, title TEXT NOT NULL, slug TEXT);
             CREATE TABLE change(post INTEGER PRIMARY KEY, times INTEGER NOT NULL);
             CREATE TRIGGER counts AFTER UPDATE ON post BEGIN
                 INSERT INTO change VALUES (new.id, 1) ON CONFLICT DO UPDATE SET times = times + 1;
             END;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
             INSERT INTO post(id, title) SELECT i, 'Post Number ' || i FROM n;"
        ),
    );
    let slugs = Backfill::update("slugs", "post", "slug = replace(lower(title), ' ', '-')", "")
        .total("SELECT count(*) FROM post")
        .deferred()
        // Another process takes over so soon after the last sign of life.
        .lease(Duration::from_millis(500));
    Migrator::from_migrations([posts]).seeds(Seeds::new().backfill(slugs))
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(path) = std::env::args().nth(1) {
        return work(path.as_ref());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("app.db");

    let clock = Instant::now();
    let conn = migrator().open(&path)?; // does not wait for what is deferred
    println!("{ROWS} rows made and started in {:.1} s", clock.elapsed().as_secs_f64());
    println!("{}\n", migrator().status(&conn)?);

    println!("a process that is killed in the middle:");
    let mut child = Command::new(std::env::current_exe()?).arg(&path).spawn()?;
    let done = "SELECT coalesce(max(done), 0) FROM schema_seeds";
    let done = || conn.query_row(done, [], |row| row.get::<_, i64>(0));
    while done()? < ROWS / 2 && child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    let status = child.wait()?;
    let at_kill = done()?;
    println!("\n{status}, at row {at_kill}; the database says:");
    println!("{}\n", migrator().status(&conn)?);

    println!("the next one:");
    let clock = Instant::now();
    let status = Command::new(std::env::current_exe()?).arg(&path).status()?;
    let took = clock.elapsed().as_secs_f64();
    println!("\n{status}; the other {} rows in {took:.1} s", ROWS - at_kill);

    let (rows, least, most): (i64, i64, i64) =
        conn.query_row("SELECT count(*), min(times), max(times) FROM change", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    println!("{rows} rows changed, each at least {least} and at most {most} times");
    assert_eq!((rows, least, most), (ROWS, 1, 1));
    assert_eq!(migrator().status(&conn)?.seeds[0].state, SeedState::Done);
    assert!(migrator().apply(&conn)?.is_noop());
    Ok(())
}

/// What a background thread of the application would do.
fn work(path: &Path) -> Result<(), Box<dyn Error>> {
    let bar = ProgressBar::new(ROWS as u64);
    bar.set_style(ProgressStyle::with_template("{prefix} {bar:40} {pos}/{len} {msg}")?);
    let conn = Connection::open(path)?;
    let shown = bar.clone();
    let report = migrator()
        .on_event(move |event| {
            match event {
                Event::Backfill { progress, rate, left, .. } => {
                    shown.set_length(progress.total.unwrap_or(progress.done));
                    shown.set_position(progress.done);
                    let left = left.unwrap_or_default().as_secs_f64();
                    shown.set_message(format!("{rate:.0} rows/s, {left:.1} s left"));
                }
                // Also within a batch that takes long, from another thread.
                Event::Progress { elapsed, .. } => {
                    shown.set_prefix(format!("{:.0} s", elapsed.as_secs_f64()));
                }
                _ => {}
            }
        })
        .run_backfills(&conn)?;
    bar.abandon();
    println!("{report}");
    Ok(())
}
