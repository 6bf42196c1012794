//! What a backfill costs beside the same `UPDATE` in hand-written batches, what it costs others, and
//! what a registry costs a start: `cargo bench --bench backfill` prints Markdown tables.

use std::error::Error;
use std::ffi::{CStr, c_uint, c_void};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use landfall::rusqlite::{self, Connection, ffi, params};
use landfall::{Backfill, Migration, Migrator, Seed, Seeds};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SET: &str = "slug = lower(name), checked = 1";
const BATCH: u32 = 20_000;

fn main() -> Result<()> {
    // Started again by itself for what is measured of a process as a whole.
    if let Ok(path) = std::env::var("LANDFALL_BENCH_FILLS") {
        fill(Path::new(&path), |backfill| backfill)?;
        println!("{}", peak_memory()?);
        return Ok(());
    }
    println!("SQLite {}\n", rusqlite::version());
    beside_hand_written()?;
    beside_a_writer()?;
    memory()?;
    registry()
}

fn table(rows: u32) -> Migrator {
    Migrator::from_migrations([Migration::sql(
        1,
        "item",
        format!(
            "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, slug TEXT, checked);
             CREATE TABLE note(x);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO item(id, name) SELECT i, 'The Item Of Number ' || i FROM n;"
        ),
    )])
}

fn file(path: &Path, rows: u32) -> Result<Connection> {
    let conn = Connection::open(path)?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    conn.execute_batch("PRAGMA synchronous = NORMAL")?;
    table(rows).apply(&conn)?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(conn)
}

fn slugs() -> Backfill {
    Backfill::update("slugs", "item", SET, "")
}

fn rows_of(conn: &Connection) -> Result<u32> {
    Ok(conn.query_row("SELECT max(id) FROM item", [], |row| row.get(0))?)
}

fn fill(path: &Path, change: impl Fn(Backfill) -> Backfill) -> Result<Duration> {
    let conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA synchronous = NORMAL")?;
    let migrator = table(rows_of(&conn)?).seeds(Seeds::new().backfill(change(slugs())));
    let clock = Instant::now();
    migrator.apply(&conn)?;
    Ok(clock.elapsed())
}

/// As somebody would write it for one table and one start: no cursor is kept.
fn by_hand(path: &Path) -> Result<Duration> {
    let conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA synchronous = NORMAL")?;
    let rows = rows_of(&conn)?;
    let clock = Instant::now();
    let sql = format!("UPDATE item SET {SET} WHERE id > ?1 AND id <= ?2");
    for from in (0..rows).step_by(BATCH as usize) {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        conn.execute(&sql, params![from, from + BATCH])?;
        conn.execute_batch("COMMIT")?;
    }
    Ok(clock.elapsed())
}

fn fresh(folder: &Path, rows: u32) -> Result<std::path::PathBuf> {
    let path = folder.join("bench.db");
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    drop(file(&path, rows)?);
    Ok(path)
}

fn beside_hand_written() -> Result<()> {
    let folder = tempfile::tempdir()?;
    println!("### 1,000,000 rows, in batches of {BATCH}\n");
    println!("| by hand | landfall, no pauses | ratio | with the pauses of a start | ratio |");
    println!("|---:|---:|---:|---:|---:|");
    let same = |backfill: Backfill| backfill.batch(BATCH).batch_at_most(BATCH);
    // Batches of this size whatever they take.
    let same = |backfill| same(backfill).batch_time(Duration::from_secs(60));
    let mut times = [const { Vec::new() }; 3];
    for round in 0..3 {
        for turn in 0..3 {
            let way = (round + turn) % 3;
            let path = fresh(folder.path(), 1_000_000)?;
            times[way].push(match way {
                0 => by_hand(&path)?,
                1 => fill(&path, |backfill| same(backfill).pause(Duration::ZERO))?,
                _ => fill(&path, same)?,
            });
        }
    }
    let [hand, bare, paused] = times.map(|mut times| {
        times.sort();
        times[1].as_secs_f64()
    });
    println!(
        "| {hand:.2} s | {bare:.2} s | {:.2} | {paused:.2} s | {:.2} |\n",
        bare / hand,
        paused / hand
    );
    Ok(())
}

fn beside_a_writer() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = fresh(folder.path(), 1_000_000)?;
    let log = Arc::new(AtomicU64::new(0));
    let (largest, wal) = (log.clone(), folder.path().join("bench.db-wal"));
    let migrator =
        table(1_000_000).seeds(Seeds::new().backfill(slugs().deferred())).on_event(move |_| {
            let size = std::fs::metadata(&wal).map_or(0, |wal| wal.len());
            largest.fetch_max(size, Ordering::Relaxed);
        });
    let over = AtomicBool::new(false);
    let waits = Mutex::new(Vec::new());
    let report = std::thread::scope(|scope| -> Result<_> {
        scope.spawn(|| -> Result<()> {
            let writer = Connection::open(&path)?;
            writer.busy_timeout(Duration::from_secs(30))?;
            writer.execute_batch("PRAGMA synchronous = NORMAL")?;
            while !over.load(Ordering::Relaxed) {
                let clock = Instant::now();
                writer.execute("INSERT INTO note VALUES (1)", [])?;
                waits.lock().map_err(|_| "poisoned")?.push(clock.elapsed());
                std::thread::sleep(Duration::from_millis(3));
            }
            Ok(())
        });
        let conn = Connection::open(&path)?;
        conn.execute_batch("PRAGMA synchronous = NORMAL")?;
        let report = migrator.run_backfills(&conn);
        over.store(true, Ordering::Relaxed);
        Ok(report?)
    })?;
    let mut waits = waits.into_inner().map_err(|_| "poisoned")?;
    waits.sort();
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    let done = &report.backfills[0];
    println!("### A writer beside `run_backfills` over 1,000,000 rows, WAL\n");
    println!(
        "| took | batches | writes | a write waits, median | 99 % | longest | largest `-wal` |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    println!(
        "| {:.1} s | {} | {} | {:.1} ms | {:.1} ms | {:.1} ms | {:.1} MiB |\n",
        done.took.as_secs_f64(),
        done.batches,
        waits.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        log.load(Ordering::Relaxed) as f64 / (1 << 20) as f64
    );
    Ok(())
}

fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

/// Of a process of its own each, which does nothing else.
fn memory() -> Result<()> {
    let folder = tempfile::tempdir()?;
    println!("### Peak memory of a process that fills\n");
    println!("| rows | peak |");
    println!("|---:|---:|");
    for rows in [100_000, 1_000_000] {
        let path = fresh(folder.path(), rows)?;
        let mut again = Command::new(std::env::current_exe()?);
        let output = again.env("LANDFALL_BENCH_FILLS", &path).output()?;
        let peak: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
        println!("| {rows} | {:.1} MiB |", peak / 1024.0);
    }
    println!();
    Ok(())
}

fn registry() -> Result<()> {
    println!("### A start with nothing to do, by the number of seeds\n");
    println!("| seeds | queries | median of 1,001 on a warm connection |");
    println!("|---:|---:|---:|");
    for count in [1, 100, 1000] {
        let seeds = (0..count).fold(Seeds::new(), |seeds, n| {
            seeds.add(Seed::new(format!("seed_{n}"), |tx| {
                tx.execute("INSERT INTO note VALUES (1)", []).map(drop)
            }))
        });
        let migrator = table(10).seeds(seeds);
        let conn = Connection::open_in_memory()?;
        migrator.apply(&conn)?;
        traced(&conn, Some(begins));
        QUERIES.store(0, Ordering::Relaxed);
        migrator.apply(&conn)?;
        let queries = QUERIES.load(Ordering::Relaxed);
        traced(&conn, None);
        let mut times = Vec::new();
        for _ in 0..1001 {
            let clock = Instant::now();
            assert!(migrator.apply(&conn)?.is_noop());
            times.push(clock.elapsed());
        }
        times.sort();
        println!("| {count} | {queries} | {:.1} µs |", times[500].as_secs_f64() * 1e6);
    }
    println!();
    Ok(())
}

static QUERIES: AtomicU64 = AtomicU64::new(0);

type Callback =
    unsafe extern "C" fn(c_uint, *mut c_void, *mut c_void, *mut c_void) -> std::ffi::c_int;

unsafe extern "C" fn begins(
    _: c_uint,
    _: *mut c_void,
    _: *mut c_void,
    text: *mut c_void,
) -> std::ffi::c_int {
    // SAFETY: of SQLITE_TRACE_STMT this is the statement's text.
    let sql = unsafe { CStr::from_ptr(text.cast()) }.to_bytes();
    // Not a query of the database: `PRAGMA busy_timeout` asks the connection.
    if !sql.starts_with(b"PRAGMA") {
        QUERIES.fetch_add(1, Ordering::Relaxed);
    }
    0
}

/// SQLite is asked itself: what rusqlite has for it differs from release to release.
fn traced(conn: &Connection, callback: Option<Callback>) {
    let mask = ffi::SQLITE_TRACE_STMT as c_uint;
    // SAFETY: the connection is open, and the callback takes nothing of ours.
    let done =
        unsafe { ffi::sqlite3_trace_v2(conn.handle(), mask, callback, std::ptr::null_mut()) };
    assert_eq!(done, ffi::SQLITE_OK);
}
