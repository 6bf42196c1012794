//! What a boot costs beside bare SQLite: `cargo bench --bench boot` prints Markdown tables.
//!
//! Both sides are measured in turn within the same run, the first of a round being the second of
//! the next, so that a machine that slows down slows both. Medians are compared; the spread is the
//! middle half of the rounds.

mod generate;

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use landfall::include_dir::{Dir, DirEntry, File};
use landfall::rusqlite::{self, Connection};
use landfall::{DataLoss, Drifted, Migration, Migrator, Target, Transactions};

use generate::Kind;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SIZES: [usize; 3] = [10, 100, 1000];

/// A set of migrations, as files compiled in and as bare scripts.
struct Set {
    embedded: Dir<'static>,
    /// The same texts in the same order. Not as one: rusqlite has SQLite copy what is left of a
    /// script for each of its statements, and bare SQL would look slow.
    bare: Vec<String>,
}

impl Set {
    fn execute(&self, conn: &Connection) -> Result<()> {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        for script in &self.bare {
            conn.execute_batch(script)?;
        }
        conn.execute_batch("COMMIT")?;
        Ok(())
    }
}

fn set(kind: Kind, size: usize) -> Set {
    let mut files: Vec<(String, String)> = (1..=size)
        .map(|n| (format!("{n:04}_entity_{n}.sql"), generate::migration(kind, n)))
        .collect();
    if kind == Kind::Realistic {
        files.push(("R__views.sql".to_owned(), generate::views(size)));
    }

    let bare = files.iter().map(|(_, text)| text.clone()).collect();
    let entries = files
        .into_iter()
        .map(|(name, text)| DirEntry::File(File::new(name.leak(), text.leak().as_bytes())));
    let entries: Vec<DirEntry<'static>> = entries.collect();
    Set { embedded: Dir::new("", entries.leak()), bare }
}

/// How long the rounds took, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn at(&self, part: f64) -> Duration {
        let last = self.0.len() - 1;
        self.0[(last as f64 * part).round() as usize]
    }

    fn median(&self) -> Duration {
        self.at(0.5)
    }

    fn cell(&self) -> String {
        let [low, median, high] = [0.25, 0.5, 0.75].map(|part| shown(self.at(part)));
        format!("{median} ({low} – {high})")
    }

    fn ratio(&self, to: &Times) -> String {
        format!("{:.2}", self.median().as_secs_f64() / to.median().as_secs_f64())
    }
}

fn shown(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..100.0 => format!("{micros:.1} µs"),
        ..10_000.0 => format!("{:.2} ms", micros / 1e3),
        _ => format!("{:.1} ms", micros / 1e3),
    }
}

/// One way to do the thing. It returns what was measured, so that what comes before and after,
/// such as making and removing a file, is not.
type Way<'a> = Box<dyn FnMut() -> Result<Duration> + 'a>;

/// Runs the ways in turn, one round of all of them unmeasured first.
fn race<const N: usize>(rounds: usize, mut ways: [Way<'_>; N]) -> Result<[Times; N]> {
    // `ROUNDS=1` tries whether everything runs.
    let said = std::env::var("ROUNDS").ok().and_then(|said| said.parse().ok());
    let rounds: usize = said.unwrap_or(rounds);
    let mut times = [const { Vec::new() }; N];
    for round in 0..=rounds {
        for turn in 0..N {
            let at = (round + turn) % N;
            let took = ways[at]()?;
            if round > 0 {
                times[at].push(took);
            }
        }
    }
    Ok(times.map(|mut times| {
        times.sort();
        Times(times)
    }))
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let clock = Instant::now();
    let done = work()?;
    Ok((clock.elapsed(), done))
}

fn main() -> Result<()> {
    machine()?;
    for argument in std::env::args() {
        match argument.as_str() {
            "guard" => return guard(),
            "undo" => return undo(),
            "many" => return many(),
            "drift" => return drift(),
            "drift-counts" => return drift_counts(),
            _ => {}
        }
    }
    println!("### Every migration, on a fresh database in memory\n");
    let sets = SIZES.map(|size| (size, set(Kind::Realistic, size)));
    in_memory(&sets)?;
    println!("The same without added columns and views:\n");
    in_memory(&SIZES.map(|size| (size, set(Kind::TablesOnly, size))))?;
    fresh_file(&sets)?;
    nothing_to_do(&sets)?;
    drift()?;
    guard()?;
    many()?;
    undo()
}

fn machine() -> Result<()> {
    let cores = std::thread::available_parallelism()?;
    println!("{cores} cores, SQLite {}\n", rusqlite::version());
    Ok(())
}

fn in_memory(sets: &[(usize, Set)]) -> Result<()> {
    println!("| migrations | bare SQL | landfall | ratio | its set read before | ratio |");
    println!("|---:|---:|---:|---:|---:|---:|");
    for (size, set) in sets {
        let read = Migrator::from_embedded(&set.embedded);
        read.check()?;
        let rounds = if *size < 1000 { 31 } else { 9 };
        let [bare, landfall, ready] = race(
            rounds,
            [
                Box::new(|| {
                    let conn = Connection::open_in_memory()?;
                    Ok(timed(|| set.execute(&conn))?.0)
                }),
                Box::new(|| {
                    let conn = Connection::open_in_memory()?;
                    let work = || Ok(Migrator::from_embedded(&set.embedded).apply(&conn)?);
                    let (took, report) = timed(work)?;
                    assert_eq!(report.applied.len(), *size);
                    Ok(took)
                }),
                Box::new(|| {
                    let conn = Connection::open_in_memory()?;
                    Ok(timed(|| Ok(read.apply(&conn)?))?.0)
                }),
            ],
        )?;
        println!(
            "| {size} | {} | {} | {} | {} | {} |",
            bare.cell(),
            landfall.cell(),
            landfall.ratio(&bare),
            ready.cell(),
            ready.ratio(&bare)
        );
    }
    println!();
    Ok(())
}

/// What it costs to look for what would be lost, where there is nothing to lose.
fn guard() -> Result<()> {
    let set = set(Kind::Rebuilds, 100);
    let guarded = Migrator::from_embedded(&set.embedded);
    let unguarded = guarded.clone().data_loss(DataLoss::Allow);
    let apply = |migrator: &Migrator| {
        let conn = Connection::open_in_memory()?;
        migrator.check()?;
        Ok(timed(|| Ok(migrator.apply(&conn)?))?.0)
    };
    let ways: [Way<'_>; 2] = [Box::new(|| apply(&unguarded)), Box::new(|| apply(&guarded))];
    let [without, with] = race(61, ways)?;
    println!("### The guard against loss, over 100 migrations on a fresh database in memory\n");
    println!("| `DataLoss::Allow` | `DataLoss::Refuse` | ratio |");
    println!("|---:|---:|---:|");
    println!("| {} | {} | {} |\n", without.cell(), with.cell(), with.ratio(&without));
    Ok(())
}

/// Everything but SQLite's own DDL, which grows with the schema: time for each of many migrations
/// that write two rows.
fn many() -> Result<()> {
    println!("### Microseconds for each migration, of many that write two rows\n");
    println!(
        "| migrations | check | plan | apply | transaction for each | nothing to do | revert |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for size in [10, 100, 1_000, 10_000] {
        let table = Migration::sql(0, "t", "CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
        let rows = (1..=size).map(|n| {
            let up = format!("INSERT INTO t(x) VALUES ({n});\nUPDATE t SET x = 0 WHERE id = {n};");
            Migration::sql(n, format!("row_{n}"), up).down(format!("DELETE FROM t WHERE id = {n}"))
        });
        let migrator = Migrator::from_migrations(rows.chain([table.down("DROP TABLE t")]))
            .data_loss(DataLoss::Allow);
        let each = migrator.clone().transactions(Transactions::Each);
        let (conn, other) = (Connection::open_in_memory()?, Connection::open_in_memory()?);
        let times = [
            timed(|| Ok(migrator.check()?))?.0,
            timed(|| Ok(migrator.plan(&conn)?))?.0,
            timed(|| Ok(migrator.apply(&conn)?))?.0,
            timed(|| Ok(each.apply(&other)?))?.0,
            timed(|| Ok(migrator.apply(&conn)?))?.0,
            timed(|| Ok(migrator.revert(&conn, Target::Empty)?))?.0,
        ];
        let cells = times.map(|time| format!("{:.1}", time.as_secs_f64() * 1e6 / size as f64));
        println!("| {size} | {} |", cells.join(" | "));
    }
    println!();
    Ok(())
}

/// What it costs to record a data migration over 100,000 rows, and to put them back.
fn undo() -> Result<()> {
    const DATA: &str = "UPDATE note SET text = upper(text)";
    let plain = Migrator::from_migrations([Migration::sql(1, "upper", DATA)]);
    let recorded = Migration::sql(1, "upper", format!("-- landfall: undo\n{DATA}"));
    let recorded = Migrator::from_migrations([recorded]);
    let filled = || {
        let conn = Connection::open_in_memory()?;
        conn.execute_batch(
            "CREATE TABLE note(id INTEGER PRIMARY KEY, owner INTEGER, text TEXT);
             WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000)
             INSERT INTO note SELECT n, n % 100, 'some words about ' || n FROM c;",
        )?;
        Ok::<_, rusqlite::Error>(conn)
    };
    let apply = |migrator: &Migrator| {
        let conn = filled()?;
        Ok(timed(|| Ok(migrator.apply(&conn)?))?.0)
    };
    let ways: [Way<'_>; 3] = [
        Box::new(|| apply(&plain)),
        Box::new(|| apply(&recorded)),
        Box::new(|| {
            let conn = filled()?;
            recorded.apply(&conn)?;
            Ok(timed(|| Ok(recorded.revert(&conn, Target::Empty)?))?.0)
        }),
    ];
    let [without, with, back] = race(9, ways)?;
    println!("### An update of 100,000 rows that is recorded for undo, in memory\n");
    println!("| not recorded | recorded | ratio | taken back | ratio |");
    println!("|---:|---:|---:|---:|---:|");
    println!(
        "| {} | {} | {} | {} | {} |\n",
        without.cell(),
        with.cell(),
        with.ratio(&without),
        back.cell(),
        back.ratio(&without)
    );
    Ok(())
}

fn fresh_file(sets: &[(usize, Set)]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    println!("### Every migration, on a fresh file with SQLite's default journal\n");
    println!("| migrations | bare SQL | landfall | ratio |");
    println!("|---:|---:|---:|---:|");
    for (size, set) in sets {
        let (one, other) = (folder.path().join("bare.db"), folder.path().join("landfall.db"));
        let rounds = if *size < 1000 { 31 } else { 9 };
        let [bare, landfall] = race(
            rounds,
            [
                Box::new(|| fresh(&one, |conn| set.execute(conn))),
                Box::new(|| {
                    fresh(&other, |conn| {
                        Migrator::from_embedded(&set.embedded).apply(conn)?;
                        Ok(())
                    })
                }),
            ],
        )?;
        println!("| {size} | {} | {} | {} |", bare.cell(), landfall.cell(), landfall.ratio(&bare));
    }
    println!();
    Ok(())
}

fn fresh(path: &Path, work: impl FnOnce(&Connection) -> Result<()>) -> Result<Duration> {
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    let conn = Connection::open(path)?;
    Ok(timed(|| work(&conn))?.0)
}

fn nothing_to_do(sets: &[(usize, Set)]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    println!("### A boot with nothing to do, on a file\n");
    println!("| migrations | open, one query | open, apply | ratio | apply on a warm connection |");
    println!("|---:|---:|---:|---:|---:|");
    for (size, set) in sets {
        let path = folder.path().join(format!("{size}.db"));
        let migrator = Migrator::from_embedded(&set.embedded);
        let warm = Connection::open(&path)?;
        migrator.apply(&warm)?;
        let [query, apply, again] = race(
            301,
            [
                Box::new(|| {
                    let work = || {
                        let conn = Connection::open(&path)?;
                        one_query(&conn)?;
                        Ok(conn)
                    };
                    Ok(timed(work)?.0)
                }),
                Box::new(|| {
                    let work = || {
                        let conn = Connection::open(&path)?;
                        let report = Migrator::from_embedded(&set.embedded).apply(&conn)?;
                        assert!(report.is_noop());
                        Ok(conn)
                    };
                    Ok(timed(work)?.0)
                }),
                Box::new(|| Ok(timed(|| Ok(migrator.apply(&warm)?))?.0)),
            ],
        )?;
        println!(
            "| {size} | {} | {} | {} | {} |",
            query.cell(),
            apply.cell(),
            apply.ratio(&query),
            again.cell()
        );
    }
    println!();
    Ok(())
}

/// A boot with nothing to do that looks for drift: with the word that there is none, and without.
fn drift() -> Result<()> {
    let folder = tempfile::tempdir()?;
    println!("### A boot with nothing to do that looks for drift, on a file\n");
    println!(
        "| migrations | open, apply | the same, refusing drift | ratio | warm | warm, refusing | ratio | after a change |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    for size in SIZES {
        let path = folder.path().join(format!("{size}.db"));
        let plain = Migrator::from_embedded(&set(Kind::Realistic, size).embedded);
        let refusing = plain.clone().drifted(Drifted::Refuse);
        let warm = Connection::open(&path)?;
        refusing.apply(&warm)?;
        refusing.apply(&warm)?; // looks, and notes it
        let opened = |migrator: &Migrator| {
            let work = || {
                let conn = Connection::open(&path)?;
                assert!(migrator.apply(&conn)?.is_noop());
                Ok(conn)
            };
            Ok(timed(work)?.0)
        };
        let again = |migrator: &Migrator| Ok(timed(|| Ok(migrator.apply(&warm)?))?.0);
        let ways: [Way<'_>; 4] = [
            Box::new(|| opened(&plain)),
            Box::new(|| opened(&refusing)),
            Box::new(|| again(&plain)),
            Box::new(|| again(&refusing)),
        ];
        let [open, open_refusing, plain_again, refusing_again] = race(301, ways)?;
        let looks = || {
            warm.execute_batch("CREATE TABLE z(x); DROP TABLE z")?;
            again(&refusing)
        };
        let [looked] = race(if size < 1000 { 31 } else { 9 }, [Box::new(looks)])?;
        println!(
            "| {size} | {} | {} | {} | {} | {} | {} | {} |",
            open.cell(),
            open_refusing.cell(),
            open_refusing.ratio(&open),
            plain_again.cell(),
            refusing_again.cell(),
            refusing_again.ratio(&plain_again),
            looked.cell(),
        );
    }
    println!();
    Ok(())
}

/// One boot with nothing to do for a tool that counts instructions: `drift-counts ROUNDS POLICY`.
fn drift_counts() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let after = arguments.iter().skip_while(|argument| *argument != "drift-counts").skip(1);
    let after: Vec<&String> = after.collect();
    let rounds: usize = after.first().map_or(Ok(100), |rounds| rounds.parse())?;
    let policy = match after.get(1) {
        Some(policy) if *policy == "refuse" => Drifted::Refuse,
        _ => Drifted::Ignore,
    };
    let size = after.get(2).map_or(Ok(100), |size| size.parse())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("counted.db");
    let migrator = Migrator::from_embedded(&set(Kind::Realistic, size).embedded);
    let conn = Connection::open(&path)?;
    let refusing = migrator.clone().drifted(Drifted::Refuse);
    refusing.apply(&conn)?;
    refusing.apply(&conn)?;
    let migrator = migrator.drifted(policy);
    for _ in 0..rounds {
        let conn = Connection::open(&path)?;
        assert!(migrator.apply(&conn)?.is_noop());
    }
    Ok(())
}

fn one_query(conn: &Connection) -> Result<i64> {
    Ok(conn.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?)
}
