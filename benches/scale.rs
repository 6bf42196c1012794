//! How time and memory grow: `cargo bench --bench scale` prints a Markdown table of each case at a
//! size and at four times that size. `cargo bench --bench scale -- once` measures extreme inputs
//! once each. A further argument selects the cases whose name contains it.
//!
//! Each measurement runs in a process of its own, so that the peak of its memory is that of the
//! case alone.

#[allow(dead_code)] // not every benchmark measures with every kind
mod generate;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use landfall::include_dir::{Dir, DirEntry, File};
use landfall::rusqlite::{self, Connection};
use landfall::schema::{Snapshot, diff};
use landfall::testing::verify;
use landfall::{DataLoss, Migration, Migrator, Seed, Seeds};

use generate::Kind;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Does the work at a size, in a folder of its own. It returns how long the measured part took,
/// and what came of it.
type Work = fn(usize, &Path) -> Result<(Duration, String)>;

/// For four times the size; a case that grows more is flagged.
const MOST: f64 = 5.0;

/// A measurement that takes longer is ended and reported.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is measured at a size and at four times that size.
struct Case {
    name: &'static str,
    size: usize,
    /// Runs first, in another process, unmeasured.
    prepare: Option<Work>,
    landfall: Work,
    /// The same by SQLite alone.
    bare: Option<Work>,
}

/// What is measured once.
struct Once {
    name: &'static str,
    size: usize,
    work: Work,
}

fn cases() -> Vec<Case> {
    let case = |name, size, landfall, bare| Case { name, size, prepare: None, landfall, bare };
    vec![
        case(
            "INSERTs into another table, then a rebuild",
            2_000,
            |n, _| rebuilt(n, OTHER).apply(),
            Some(|n, _| rebuilt(n, OTHER).bare()),
        ),
        case(
            "INSERTs into a table, then its rebuild",
            2_000,
            |n, _| rebuilt(n, OWN).apply(),
            Some(|n, _| rebuilt(n, OWN).bare()),
        ),
        case(
            "UPDATEs of a table, then its rebuild",
            2_000,
            |n, _| rebuilt(n, UPDATE).apply(),
            Some(|n, _| rebuilt(n, UPDATE).bare()),
        ),
        case(
            "INSERTs, then a rebuild, `DataLoss::RefuseDeletes`",
            2_000,
            |n, _| rebuilt(n, OWN).guarded(DataLoss::RefuseDeletes).apply(),
            Some(|n, _| rebuilt(n, OWN).bare()),
        ),
        case(
            "INSERTs, then a rebuild, `no-transaction`",
            2_000,
            |n, _| rebuilt(n, OWN).outside().apply(),
            Some(|n, _| rebuilt(n, OWN).outside().bare()),
        ),
        case(
            "CREATE and DROP pairs in one script",
            1_000,
            |n, _| pairs(n).apply(),
            Some(|n, _| pairs(n).bare()),
        ),
        case("seeds", 500, |n, _| sown(n, &Connection::open_in_memory()?), Some(bare_seeds)),
        Case {
            name: "a start after these seeds",
            size: 500,
            prepare: Some(|n, folder| sown(n, &unsynced(folder)?)),
            landfall: |n, folder| sown(n, &unsynced(folder)?),
            bare: None,
        },
        case(
            "repeatables",
            500,
            |n, _| applied(&repeatables(n), &Connection::open_in_memory()?),
            Some(|n, _| {
                bare((1..=n).flat_map(|n| {
                    [format!("DROP VIEW IF EXISTS v{n}"), format!("CREATE VIEW v{n} AS SELECT {n}")]
                }))
            }),
        ),
        case(
            "migrations in one `apply`",
            10_000,
            |n, _| applied(&many(n), &Connection::open_in_memory()?),
            Some(|n, _| bare(std::iter::once(TABLE.to_owned()).chain((1..n).map(row)))),
        ),
        Case {
            name: "a start after these migrations",
            size: 10_000,
            prepare: Some(|n, folder| applied(&many(n), &unsynced(folder)?)),
            landfall: |n, folder| applied(&many(n), &unsynced(folder)?),
            bare: None,
        },
        case(
            "statements in one script",
            50_000,
            |n, _| statements(n).apply(),
            Some(|n, _| statements(n).bare()),
        ),
        case(
            "MB in one INSERT of a long text",
            10,
            |n, _| long_text(n).apply(),
            Some(|n, _| long_text(n).bare()),
        ),
        case(
            "MB in one INSERT of many rows",
            10,
            |n, _| many_rows(n).apply(),
            Some(|n, _| many_rows(n).bare()),
        ),
        case("migrations in `testing::verify`", 50, |n, _| verified(&tables(n)), None),
    ]
}

fn extremes() -> Vec<Once> {
    let once = |name, size, work| Once { name, size, work };
    let mut all = vec![
        once("migrations in one `apply`", 100_000, |n, _| {
            applied(&many(n), &Connection::open_in_memory()?)
        }),
        once("MB in one file of a folder", 200, |n, folder| {
            let folder = folder.join("migrations");
            std::fs::create_dir(&folder)?;
            let file = std::fs::File::create(folder.join("0001_large.sql"))?;
            let mut file = std::io::BufWriter::new(file);
            writeln!(file, "{TABLE};")?;
            let filler = "x".repeat(960);
            for n in 0..n * 1_000 {
                writeln!(file, "INSERT INTO t(x) VALUES ('{n:06}{filler}');")?;
            }
            drop(file.into_inner()?);
            applied(&Migrator::from_dir(folder), &Connection::open_in_memory()?)
        }),
        once("MB in one INSERT of a long text", 50, |n, _| long_text(n).apply()),
        once("MB in one INSERT of many rows", 50, |n, _| many_rows(n).apply()),
        once("statements in one script", 1_000_000, |n, _| statements(n).apply()),
        once("rows in one INSERT", 10_000, |n, _| {
            let rows: Vec<String> = (0..n).map(|n| format!("({n})")).collect();
            one(format!("{TABLE}; INSERT INTO t(x) VALUES {}", rows.join(", ")))
        }),
        once("values in one row of an INSERT", 10_000, |n, _| {
            let values: Vec<String> = (0..n).map(|n| n.to_string()).collect();
            one(format!("{TABLE}; INSERT INTO t VALUES ({})", values.join(", ")))
        }),
    ];
    for size in [2_000, 10_000] {
        all.push(once("columns: `apply`", size, |n, _| one(wide(n))));
        all.push(once("columns: `Snapshot` and `diff`", size, |n, _| compared(&wide(n))));
        all.push(once("columns: `verify`", size, |n, _| verified(&migrator(wide(n)))));
    }
    for size in [1_000, 100_000] {
        all.extend([
            once("parentheses in a statement: `apply`", size, |n, _| one(in_statement(n))),
            once("parentheses in a statement: `verify`", size, |n, _| {
                verified(&migrator(in_statement(n)))
            }),
            once("parentheses in a CHECK: `apply`", size, |n, _| one(in_check(n))),
            once("parentheses in a CHECK: `Snapshot` and `diff`", size, |n, _| {
                compared(&in_check(n))
            }),
            once("parentheses in a CHECK: `verify`", size, |n, _| verified(&migrator(in_check(n)))),
            once("parentheses in a DEFAULT: `apply`", size, |n, _| one(in_default(n))),
            once("parentheses in a DEFAULT: `Snapshot` and `diff`", size, |n, _| {
                compared(&in_default(n))
            }),
            once("parentheses in a DEFAULT: `verify`", size, |n, _| {
                verified(&migrator(in_default(n)))
            }),
            once("parentheses in a view: `apply`", size, |n, _| one(in_view(n))),
            once("parentheses in a view: `Snapshot` and `diff`", size, |n, _| {
                compared(&in_view(n))
            }),
            once("parentheses in a view: `verify`", size, |n, _| verified(&migrator(in_view(n)))),
        ]);
    }
    all
}

// What the cases consist of.

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, x)";

const OTHER: fn(usize) -> String = |n| format!("INSERT INTO other(x) VALUES ('row {n}')");
const OWN: fn(usize) -> String = |n| format!("INSERT INTO t(x) VALUES ('row {n}')");
const UPDATE: fn(usize) -> String = |n| format!("UPDATE t SET x = 'new {n}' WHERE id = {n}");

/// One script, as a migration after one that makes its tables, and as single statements: rusqlite
/// copies what is left of a batch for each of its statements, and bare SQL would not be linear.
struct Script {
    before: Vec<String>,
    statements: Vec<String>,
    data_loss: DataLoss,
    outside: bool,
}

impl Script {
    fn of(before: Vec<String>, statements: Vec<String>) -> Self {
        Script { before, statements, data_loss: DataLoss::Refuse, outside: false }
    }

    fn guarded(self, data_loss: DataLoss) -> Self {
        Script { data_loss, ..self }
    }

    fn outside(self) -> Self {
        Script { outside: true, ..self }
    }

    fn apply(self) -> Result<(Duration, String)> {
        let mut text = String::new();
        if self.outside {
            text.push_str("-- landfall: no-transaction\n");
        }
        for statement in self.statements {
            text.push_str(&statement);
            text.push_str(";\n");
        }
        let before = Migration::sql(1, "before", self.before.join(";\n"));
        let migrator = Migrator::from_migrations([before, Migration::sql(2, "script", text)]);
        applied(&migrator.data_loss(self.data_loss), &Connection::open_in_memory()?)
    }

    fn bare(self) -> Result<(Duration, String)> {
        if self.outside {
            let conn = Connection::open_in_memory()?;
            return timed(|| {
                self.before.iter().chain(&self.statements).try_for_each(|s| conn.execute_batch(s))
            });
        }
        bare(self.before.into_iter().chain(self.statements))
    }
}

fn rebuilt(n: usize, statement: fn(usize) -> String) -> Script {
    let before = vec![
        TABLE.to_owned(),
        "CREATE TABLE other(id INTEGER PRIMARY KEY, x)".to_owned(),
        format!(
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {n})
             INSERT INTO t(x) SELECT 'old ' || n FROM c"
        ),
    ];
    let rebuild = [
        "CREATE TABLE t_new(id INTEGER PRIMARY KEY, x NOT NULL)",
        "INSERT INTO t_new(id, x) SELECT id, x FROM t",
        "DROP TABLE t",
        "ALTER TABLE t_new RENAME TO t",
    ];
    let statements = (1..=n).map(statement).chain(rebuild.map(str::to_owned)).collect();
    Script::of(before, statements)
}

fn pairs(n: usize) -> Script {
    let pair = |n| [format!("CREATE TABLE r{n}(x)"), format!("DROP TABLE r{n}")];
    Script::of(vec![TABLE.to_owned()], (0..n).flat_map(pair).collect())
}

fn statements(n: usize) -> Script {
    Script::of(vec![TABLE.to_owned()], (0..n).map(row).collect())
}

fn row(n: usize) -> String {
    format!("INSERT INTO t(x) VALUES ({n})")
}

fn long_text(megabytes: usize) -> Script {
    let text = "it's; long ".replace('\'', "''").repeat(megabytes * 1_000_000 / 12);
    Script::of(vec![TABLE.to_owned()], vec![format!("INSERT INTO t(x) VALUES ('{text}')")])
}

fn many_rows(megabytes: usize) -> Script {
    let mut text = "INSERT INTO t(x) VALUES (0)".to_owned();
    while text.len() < megabytes * 1_000_000 {
        text.push_str(", ('some words')");
    }
    Script::of(vec![TABLE.to_owned()], vec![text])
}

fn many(n: usize) -> Migrator {
    let rows = (1..n).map(|n| Migration::sql(n as i64, format!("row_{n}"), row(n)));
    Migrator::from_migrations([Migration::sql(0, "t", TABLE)].into_iter().chain(rows))
}

fn tables(n: usize) -> Migrator {
    Migrator::from_migrations((1..=n).map(|n| {
        let up = generate::migration(Kind::TablesOnly, n);
        Migration::sql(n as i64, format!("entity_{n}"), up).down(format!("DROP TABLE entity_{n}"))
    }))
}

fn repeatables(n: usize) -> Migrator {
    let file = |n| {
        let text = format!("DROP VIEW IF EXISTS v{n};\nCREATE VIEW v{n} AS SELECT {n};\n");
        DirEntry::File(File::new(format!("R__v{n}.sql").leak(), text.leak().as_bytes()))
    };
    let files: Vec<DirEntry<'static>> = (1..=n).map(file).collect();
    Migrator::from_embedded(Dir::new("", files.leak()))
}

fn sown(n: usize, conn: &Connection) -> Result<(Duration, String)> {
    let seeds = (0..n).fold(Seeds::new(), |seeds, n| {
        seeds.add(Seed::new(format!("seed_{n}"), move |tx| tx.execute(&row(n), []).map(drop)))
    });
    applied(&migrator(TABLE.to_owned()).seeds(seeds), conn)
}

/// A transaction for each, with a row that says that it has run.
fn bare_seeds(n: usize, _: &Path) -> Result<(Duration, String)> {
    let conn = Connection::open_in_memory()?;
    timed(|| {
        conn.execute_batch(TABLE)?;
        conn.execute_batch("CREATE TABLE seeds(name TEXT PRIMARY KEY)")?;
        (0..n).try_for_each(|n| {
            conn.execute_batch("BEGIN IMMEDIATE")?;
            conn.execute_batch(&row(n))?;
            conn.execute("INSERT INTO seeds VALUES (?1)", [format!("seed_{n}")])?;
            conn.execute_batch("COMMIT")
        })
    })
}

fn wide(n: usize) -> String {
    let columns: Vec<String> = (0..n).map(|n| format!("c{n} INTEGER")).collect();
    format!("CREATE TABLE wide({})", columns.join(", "))
}

fn nested(n: usize) -> String {
    format!("{}1{}", "(".repeat(n), ")".repeat(n))
}

fn in_statement(n: usize) -> String {
    format!("{TABLE}; INSERT INTO t(x) VALUES ({})", nested(n))
}

fn in_check(n: usize) -> String {
    format!("CREATE TABLE t(id INTEGER PRIMARY KEY, x CHECK ({}))", nested(n))
}

fn in_default(n: usize) -> String {
    format!("CREATE TABLE t(id INTEGER PRIMARY KEY, x DEFAULT ({}))", nested(n))
}

fn in_view(n: usize) -> String {
    format!("CREATE VIEW v AS SELECT {} AS x", nested(n))
}

// What is done with them.

fn timed<E: Into<Box<dyn Error>>>(
    work: impl FnOnce() -> std::result::Result<(), E>,
) -> Result<(Duration, String)> {
    let clock = Instant::now();
    work().map_err(Into::into)?;
    Ok((clock.elapsed(), "done".to_owned()))
}

fn applied(migrator: &Migrator, conn: &Connection) -> Result<(Duration, String)> {
    timed(|| migrator.apply(conn).map(drop))
}

fn bare(statements: impl Iterator<Item = String>) -> Result<(Duration, String)> {
    let statements: Vec<String> = statements.collect();
    let conn = Connection::open_in_memory()?;
    timed(|| {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        statements.iter().try_for_each(|statement| conn.execute_batch(statement))?;
        conn.execute_batch("COMMIT")
    })
}

fn migrator(text: String) -> Migrator {
    Migrator::from_migrations([Migration::sql(1, "one", text)])
}

fn one(text: String) -> Result<(Duration, String)> {
    applied(&migrator(text), &Connection::open_in_memory()?)
}

fn verified(migrator: &Migrator) -> Result<(Duration, String)> {
    timed(|| verify(migrator).run().map(drop))
}

/// Reads the schema that a script makes, prints it, and compares it with an empty one.
///
/// What SQLite does not parse is written into the schema's table as a damaged or newer database
/// could have it.
fn compared(text: &str) -> Result<(Duration, String)> {
    let conn = Connection::open_in_memory()?;
    let empty = Snapshot::of(&conn)?;
    let how = match conn.execute_batch(text) {
        Ok(()) => "done",
        Err(_) => {
            let (kind, name) = match text.split(['(', ' ']).nth(2) {
                Some(name) if text.starts_with("CREATE VIEW") => ("view", name),
                name => ("table", name.unwrap_or_default()),
            };
            conn.execute_batch("PRAGMA writable_schema = ON")?;
            conn.execute(
                "INSERT INTO sqlite_schema VALUES (?1, ?2, ?2, 0, ?3)",
                [kind, name, text],
            )?;
            "done, with the text written into the schema"
        }
    };
    let (took, _) = timed(|| {
        let snapshot = Snapshot::of(&conn)?;
        let changes = [diff(&empty, &snapshot), diff(&snapshot, &empty)].concat();
        assert!(changes.iter().all(|change| !change.to_string().is_empty()));
        assert!(!snapshot.to_sql().is_empty() || changes.is_empty());
        Ok::<_, landfall::Error>(())
    })?;
    Ok((took, how.to_owned()))
}

/// A file, for what another process has to find: without syncs, which would be all that counts.
fn unsynced(folder: &Path) -> Result<Connection> {
    let conn = Connection::open(folder.join("scale.db"))?;
    conn.execute_batch("PRAGMA synchronous = OFF")?;
    Ok(conn)
}

// How it is measured.

/// What a process has measured.
struct Measured {
    time: Duration,
    /// The most memory that it had at any time, in KiB.
    peak: u64,
    outcome: std::result::Result<String, String>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["child", side, name, size, folder] => child(side, name, size.parse()?, Path::new(folder)),
        ["once"] => all_once(""),
        ["once", part] => all_once(part),
        [] => {
            growth("")?;
            all_once("")
        }
        ["growth"] => growth(""),
        [part] => growth(part),
        _ => Err("[growth | once [part] | part]".into()),
    }
}

fn growth(part: &str) -> Result<()> {
    let cores = std::thread::available_parallelism()?;
    println!("{cores} cores, SQLite {}\n", rusqlite::version());
    println!("### Growth of time and memory for four times the size\n");
    println!("| case | sizes | time | growth | beside bare | memory | growth |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let rounds = std::env::var("ROUNDS").ok().and_then(|said| said.parse().ok()).unwrap_or(3);
    let mut flagged = Vec::new();
    for case in cases().iter().filter(|case| case.name.contains(part)) {
        let sizes = [case.size, case.size * 4];
        let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
        if case.prepare.is_some() {
            for (size, folder) in sizes.iter().zip(&folders) {
                succeeded("prepare", case.name, *size, folder.path())?;
            }
        }
        // The least of the rounds: what else the machine does only adds.
        let mut least: [[Option<(Duration, u64)>; 2]; 2] = Default::default();
        for _ in 0..rounds {
            for (at, side) in ["landfall", "bare"].into_iter().enumerate() {
                if side == "bare" && case.bare.is_none() {
                    continue;
                }
                for ((size, folder), least) in sizes.iter().zip(&folders).zip(&mut least[at]) {
                    let it = succeeded(side, case.name, *size, folder.path())?;
                    let before = least.unwrap_or((it.time, it.peak));
                    *least = Some((before.0.min(it.time), before.1.min(it.peak)));
                }
            }
        }
        let [[Some(small), Some(large)], bare] = least else {
            return Err(format!("{}: no rounds", case.name).into());
        };
        let times = large.0.as_secs_f64() / small.0.as_secs_f64();
        let peaks = large.1 as f64 / small.1 as f64;
        let mut beside = "–".to_owned();
        let mut of_bare = 0.0;
        if let [Some(bare_small), Some(bare_large)] = bare {
            let ratio = |one: (Duration, u64), other: (Duration, u64)| {
                one.0.as_secs_f64() / other.0.as_secs_f64()
            };
            of_bare = ratio(bare_large, bare_small);
            beside = format!("{:.2}, {:.2}", ratio(small, bare_small), ratio(large, bare_large));
        }
        let flag = |growth: f64| {
            let mark = if growth > MOST { "**" } else { "" };
            format!("{mark}{growth:.1}{mark}")
        };
        println!(
            "| {} | {}, {} | {}, {} | {} | {beside} | {}, {} | {} |",
            case.name,
            thousands(sizes[0]),
            thousands(sizes[1]),
            shown(small.0),
            shown(large.0),
            flag(times),
            mebibytes(small.1),
            mebibytes(large.1),
            flag(peaks),
        );
        if times > MOST || peaks > MOST {
            let bare = if of_bare > MOST { ", as bare SQLite does" } else { "" };
            flagged.push(format!("- {}: time {times:.1}, memory {peaks:.1}{bare}", case.name));
        }
    }
    match flagged.as_slice() {
        [] => println!("\nNothing grows more than {MOST} times.\n"),
        cases => println!("\nMore than {MOST} times:\n\n{}\n", cases.join("\n")),
    }
    Ok(())
}

fn all_once(part: &str) -> Result<()> {
    println!("### Extreme inputs, each once\n");
    println!("| input | time | memory | outcome |");
    println!("|---|---:|---:|---|");
    for once in extremes().iter().filter(|once| once.name.contains(part)) {
        let folder = tempfile::tempdir()?;
        let measured = in_child("once", once.name, once.size, folder.path())?;
        let outcome = measured.outcome.unwrap_or_else(|outcome| outcome);
        println!(
            "| {} {} | {} | {} | {outcome} |",
            thousands(once.size),
            once.name,
            shown(measured.time),
            mebibytes(measured.peak),
        );
    }
    println!();
    Ok(())
}

fn succeeded(side: &str, name: &str, size: usize, folder: &Path) -> Result<Measured> {
    let measured = in_child(side, name, size, folder)?;
    match &measured.outcome {
        Ok(_) => Ok(measured),
        Err(outcome) => Err(format!("{name}, {side}, {size}: {outcome}").into()),
    }
}

/// Measures in a process of its own, which may end in any way.
fn in_child(side: &str, name: &str, size: usize, folder: &Path) -> Result<Measured> {
    let clock = Instant::now();
    let mut child = Command::new(std::env::current_exe()?)
        .args(["child", side, name, &size.to_string()])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if clock.elapsed() > PATIENCE => {
                child.kill()?;
                child.wait()?;
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let mut said = String::new();
    child.stdout.take().ok_or("no output")?.read_to_string(&mut said)?;
    let failed = |why: String| Measured { time: clock.elapsed(), peak: 0, outcome: Err(why) };
    let Some(status) = status else {
        return Ok(failed(format!("no end within {} s", PATIENCE.as_secs())));
    };
    let mut parts = said.trim_end().splitn(4, '\t');
    let (Some(time), Some(peak), Some(how), Some(outcome)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Ok(failed(format!("**the process ended: {status}**")));
    };
    Ok(Measured {
        time: Duration::from_nanos(time.parse()?),
        peak: peak.parse()?,
        outcome: if how == "ok" { Ok(outcome.to_owned()) } else { Err(outcome.to_owned()) },
    })
}

fn child(side: &str, name: &str, size: usize, folder: &Path) -> Result<()> {
    let work = match side {
        "once" => extremes().into_iter().find(|once| once.name == name).map(|once| once.work),
        _ => cases().into_iter().find(|case| case.name == name).and_then(|case| match side {
            "prepare" => case.prepare,
            "bare" => case.bare,
            _ => Some(case.landfall),
        }),
    };
    let work = work.ok_or("there is no such case")?;
    let clock = Instant::now();
    let (time, how, outcome) = match work(size, folder) {
        Ok((time, outcome)) => (time, "ok", outcome),
        Err(error) => (clock.elapsed(), "error", told(&*error)),
    };
    print!("{}\t{}\t{how}\t{outcome}", time.as_nanos(), own_peak()?);
    Ok(())
}

/// An error with its causes, short and on one line.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    let text = text.replace(['\n', '\t', '|'], " ");
    match text.chars().count() {
        ..=200 => text,
        _ => {
            let [start, end]: [String; 2] = [
                text.chars().take(100).collect(),
                text.chars().rev().take(100).collect::<Vec<_>>().into_iter().rev().collect(),
            ];
            format!("{start} … {end}")
        }
    }
}

/// The most memory that this process had at any time, in KiB, as Linux tells it.
fn own_peak() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    Ok(number.ok_or("the system does not tell")?.parse()?)
}

fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds @ ..0.01 => format!("{:.2} ms", seconds * 1e3),
        seconds @ ..1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}

fn mebibytes(kibibytes: u64) -> String {
    match kibibytes {
        0 => "–".to_owned(),
        _ => format!("{:.0} MiB", kibibytes as f64 / 1024.0),
    }
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
