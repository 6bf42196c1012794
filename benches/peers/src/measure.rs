//! The tables. Times are medians, with the middle half of the rounds in brackets.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Result;
use crate::fresh;
use crate::processes::{self, APPLY, ASK};
use crate::rounds::{self, Way, timed};
use crate::tools::{self, *};

const SIZES: [usize; 3] = [10, 100, 1000];

/// Each as its README shows it.
const TOOLS: [&str; 5] = [LANDFALL, RUSQLITE_MIGRATION, REFINERY, DIESEL, SQLX];

/// What is drawn, a line each: the measure, the tool, how many migrations, the value.
type Numbers = String;

/// In ratios to bare SQL.
pub const COLD: &str = "cold apply in memory";

/// In microseconds.
pub const NOTHING_TO_DO: &str = "nothing to do";

/// In microseconds.
pub const FOR_A_TEST: &str = "a fresh database for a test";

/// In ratios to bare SQL.
const FILE: &str = "fresh file";

/// In failures.
const AT_ONCE: &str = "at once";

/// Everything, or the one part that is named.
pub fn all(numbers: &Path, part: Option<&str>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut drawn = Numbers::new();
    let is_wanted = |name: &str| part.is_none_or(|part| part == name);
    if is_wanted("machine") {
        machine()?;
    }
    if is_wanted("cold") {
        in_memory(&mut drawn)?;
    }
    if is_wanted("file") {
        fresh_file(folder.path(), &mut drawn)?;
    }
    if is_wanted("nothing") {
        nothing_to_do(folder.path(), &mut drawn)?;
    }
    if is_wanted("tests") {
        for_tests(&mut drawn)?;
    }
    if is_wanted("memory") {
        memory(folder.path())?;
    }
    if is_wanted("together") {
        at_once(&mut drawn)?;
    }
    if part.is_none() {
        gist(&drawn)?;
    }
    std::fs::write(numbers, drawn)?;
    Ok(())
}

fn machine() -> Result<()> {
    println!("### The SQLite that each of them runs on\n");
    println!("| tool | SQLite | journal | synchronous | foreign keys | waits for a lock |");
    println!("|---|---|---|---|---|---|");
    let folder = tempfile::tempdir()?;
    let path = text(folder.path().join("settings.db"))?;
    for name in [BARE].iter().chain(&TOOLS) {
        let tool = tools::tool(name, 1)?;
        let mut db = tool.open(&path)?;
        let mut ask = |what: &str| db.ask(what);
        println!(
            "| {name} | {} | {} | {} | {} | {} ms |",
            ask(SQLITE_VERSION)?,
            ask("SELECT journal_mode AS answer FROM pragma_journal_mode")?,
            ask("SELECT iif(synchronous = 2, 'full', 'other') AS answer FROM pragma_synchronous")?,
            ask("SELECT iif(foreign_keys, 'on', 'off') AS answer FROM pragma_foreign_keys")?,
            ask("SELECT CAST(timeout AS TEXT) AS answer FROM pragma_busy_timeout")?,
        );
        db.close()?;
    }
    println!();
    Ok(())
}

fn in_memory(drawn: &mut Numbers) -> Result<()> {
    println!("### Every migration of each tool, in memory\n");
    let mut table = Table::new(&SIZES);
    for size in SIZES {
        let names: Vec<&str> = [BARE, FLOOR].into_iter().chain(TOOLS).collect();
        let tools = made(&names, size)?;
        let mut ways: Vec<Way<'_>> =
            tools.iter().map(|tool| -> Way<'_> { Box::new(|| cold(&**tool, IN_MEMORY)) }).collect();
        let times = rounds::race(if size < 1000 { 61 } else { 11 }, &mut ways)?;
        for (name, time) in names.iter().zip(&times) {
            table.put(name, format!("{} | {:.2}", time.cell(), time.ratio(&times[0])));
            note(drawn, COLD, name, size, time.ratio(&times[0]))?;
        }
    }
    table.print("| ratio ");
    println!("### Every migration in memory, in instructions\n");
    // A thousand would take callgrind a minute for each tool.
    in_instructions(
        &[BARE, FLOOR, LANDFALL, RUSQLITE_MIGRATION, REFINERY, DIESEL, SQLX],
        &[10, 100],
        |tool, size| processes::instructions(tool, size, IN_MEMORY, &[APPLY]),
    )
}

/// What callgrind counts in the first start of a process, whatever else the machine does.
fn in_instructions(
    names: &[&str],
    sizes: &[usize],
    count: impl Fn(&str, usize) -> Result<Option<u64>>,
) -> Result<()> {
    let mut table = Table::new(sizes);
    for size in sizes {
        let mut first = None;
        for name in names {
            let counted = count(name, *size)?.map(|count| count as f64);
            first = first.or(counted);
            let cells = match counted.zip(first) {
                Some((count, first)) => format!("{:.0} k | {:.2}", count / 1e3, count / first),
                None => "no valgrind | ".to_owned(),
            };
            table.put(name, cells);
        }
    }
    table.print("| ratio ");
    Ok(())
}

fn fresh_file(folder: &Path, drawn: &mut Numbers) -> Result<()> {
    const SIZE: usize = 100;
    println!("### {SIZE} migrations of each tool, on a fresh file\n");
    println!("| tool | time | ratio | fsync and fdatasync |");
    println!("|---|---:|---:|---:|");
    let names =
        [BARE, FLOOR, LANDFALL, RUSQLITE_MIGRATION, REFINERY, REFINERY_GROUPED, DIESEL, SQLX];
    let path = folder.join("fresh.db");
    let place = text(path.clone())?;
    let tools = made(&names, SIZE)?;
    let mut ways: Vec<Way<'_>> = tools
        .iter()
        .map(|tool| -> Way<'_> {
            Box::new(|| {
                let took = cold(&**tool, &place)?;
                std::fs::remove_file(&path)?;
                Ok(took)
            })
        })
        .collect();
    let times = rounds::race(31, &mut ways)?;
    for (name, time) in names.iter().zip(&times) {
        let syncs = match processes::syncs(name, SIZE, folder)? {
            Some(syncs) => syncs.to_string(),
            None => "not counted, no strace".to_owned(),
        };
        println!("| {name} | {} | {:.2} | {syncs} |", time.cell(), time.ratio(&times[0]));
        note(drawn, FILE, name, SIZE, time.ratio(&times[0]))?;
    }
    println!();
    println!("### fsync and fdatasync of a fresh file, over the number of migrations\n");
    println!("| tool | 10 | 100 | 1000 |");
    println!("|---|---:|---:|---:|");
    for name in [BARE, LANDFALL] {
        let count = |size| processes::syncs(name, size, folder);
        let counts = SIZES.into_iter().map(count).collect::<Result<Vec<_>>>()?;
        let shown = counts.into_iter().map(|count| count.map_or("?".to_owned(), |n| n.to_string()));
        println!("| {name} | {} |", shown.collect::<Vec<_>>().join(" | "));
    }
    println!();
    Ok(())
}

/// Opens, and measures what is left until everything is applied.
fn cold(tool: &dyn Tool, place: &str) -> Result<Duration> {
    let mut db = tool.open(place)?;
    let (took, ()) = timed(|| db.apply())?;
    db.close()?;
    Ok(took)
}

fn nothing_to_do(folder: &Path, drawn: &mut Numbers) -> Result<()> {
    let names: [&str; 6] =
        [LANDFALL, RUSQLITE_MIGRATION, RUSQLITE_MIGRATION_FOLDER, REFINERY, DIESEL, SQLX];
    let mut alone = Table::new(&SIZES);
    let mut whole = Table::new(&SIZES);
    for size in SIZES {
        let tools = made(&names, size)?;
        let mut files = Vec::new();
        for (at, tool) in tools.iter().enumerate() {
            let path = file(folder, at, size)?;
            cold(&**tool, &path)?;
            files.push(path);
        }

        let both = || tools.iter().zip(&files);
        let rounds = if size < 1000 { 301 } else { 101 };
        let mut ways: Vec<Way<'_>> =
            both().map(|(tool, path)| -> Way<'_> { Box::new(|| warm(&**tool, path)) }).collect();
        let times = rounds::race(rounds, &mut ways)?;
        for (name, time) in names.iter().zip(&times) {
            let beside = time.ratio(&times[0]);
            alone.put(name, format!("{} | {beside:.2}", time.cell()));
            note(drawn, NOTHING_TO_DO, name, size, time.median().as_secs_f64() * 1e6)?;
        }

        let mut ways: Vec<Way<'_>> = both()
            .flat_map(|(tool, path)| -> [Way<'_>; 2] {
                [
                    Box::new(|| start(&**tool, path, |_| Ok(()))),
                    Box::new(|| start(&**tool, path, |db| db.apply())),
                ]
            })
            .collect();
        let times = rounds::race(rounds, &mut ways)?;
        for (name, pair) in names.iter().zip(times.chunks(2)) {
            whole.put(name, format!("{} | {:.2}", pair[1].cell(), pair[1].ratio(&pair[0])));
        }
    }
    println!("### A boot with nothing to do: apply alone, where the schema is parsed already\n");
    alone.print("| beside landfall ");
    println!("### Apply alone with nothing to do, in instructions\n");
    in_instructions(&names, &SIZES, |name, size| {
        let at = names.iter().position(|known| *known == name).ok_or("no file for this tool")?;
        processes::instructions(name, size, &file(folder, at, size)?, &[ASK, APPLY])
    })?;
    println!("### A boot with nothing to do: open, apply and the first query\n");
    whole.print("| without apply ");
    Ok(())
}

fn file(folder: &Path, tool: usize, size: usize) -> Result<String> {
    text(folder.join(format!("{tool}-{size}.db")))
}

/// A connection that has asked something before, as if the application had.
fn warm(tool: &dyn Tool, path: &str) -> Result<Duration> {
    let mut db = tool.open(path)?;
    db.ask(FIRST_QUERY)?;
    let (took, ()) = timed(|| db.apply())?;
    db.close()?;
    Ok(took)
}

fn start(
    tool: &dyn Tool,
    path: &str,
    apply: impl FnOnce(&mut dyn Database) -> Result<()>,
) -> Result<Duration> {
    let work = || {
        let mut db = tool.open(path)?;
        apply(&mut *db)?;
        db.ask(FIRST_QUERY)?;
        Ok(db)
    };
    let (took, db) = timed(work)?;
    db.close()?;
    Ok(took)
}

/// Replayed, copied, lent.
fn for_tests(drawn: &mut Numbers) -> Result<()> {
    println!("### A fresh database in memory and a first query\n");
    let mut table = Table::new(&SIZES);
    let mut beside = Table::new(&SIZES);
    for size in SIZES {
        let times = fresh::race(size, if size < 1000 { 61 } else { 9 })?;
        let image = &times[1];
        for (name, time) in fresh::NAMES.iter().zip(&times) {
            table.put(name, format!("{} | {:.0}", time.cell(), times[0].ratio(time)));
            note(drawn, FOR_A_TEST, name, size, time.median().as_secs_f64() * 1e6)?;
        }
        for (at, name) in [(2, fresh::BACKED_UP), (3, fresh::OPEN_IN_MEMORY)] {
            let times = &times[at];
            beside.put(name, format!("{} | {:.2}", times.cell(), times.ratio(image)));
        }
    }
    table.print("| times faster ");
    println!("### Copies of a migrated database, beside an image that is deserialized\n");
    beside.print("| ratio ");
    Ok(())
}

fn memory(folder: &Path) -> Result<()> {
    const SIZE: usize = 1000;
    println!("### Peak memory of a process that applies {SIZE} migrations\n");
    println!("| tool | in memory | ratio | into a file | ratio |");
    println!("|---|---:|---:|---:|---:|");
    let mut first = None;
    for name in [BARE].iter().chain(&TOOLS) {
        let path = folder.join("peak.db");
        let in_memory = processes::peak(name, SIZE, IN_MEMORY)? as f64;
        let in_file = processes::peak(name, SIZE, &text(path.clone())?)? as f64;
        std::fs::remove_file(path)?;
        let (memory, file) = *first.get_or_insert((in_memory, in_file));
        println!(
            "| {name} | {:.1} MiB | {:.2} | {:.1} MiB | {:.2} |",
            in_memory / 1024.0,
            in_memory / memory,
            in_file / 1024.0,
            in_file / file
        );
    }
    println!();
    Ok(())
}

/// What a reader in a hurry wants to know, from what was noted.
fn gist(drawn: &Numbers) -> Result<()> {
    println!("### What 100 migrations cost, in short\n");
    println!("| | {} |", TOOLS.join(" | "));
    println!("|---|{}", "---:|".repeat(TOOLS.len()));
    let row = |what: &str, measure: &str, shown: fn(f64) -> String| {
        let cell = |tool: &&str| {
            let start = format!("{measure}\t{tool}\t100\t");
            let value = drawn.lines().find_map(|line| line.strip_prefix(&start))?;
            Some(shown(value.parse().ok()?))
        };
        let cells: Vec<String> = TOOLS.iter().map(|tool| cell(tool).unwrap_or_default()).collect();
        println!("| {what} | {} |", cells.join(" | "));
    };
    let ratio =
        |ratio: f64| if ratio < 9.995 { format!("{ratio:.2}") } else { format!("{ratio:.1}") };
    row("all of them, in memory", COLD, ratio);
    row("all of them, a new file", FILE, ratio);
    row("nothing to do", NOTHING_TO_DO, |micros| format!("{micros:.0} µs"));
    let failed = "of 160 starts, eight at once on a new file, failed";
    row(failed, AT_ONCE, |failed| format!("{failed:.0}"));
    println!();
    Ok(())
}

fn at_once(drawn: &mut Numbers) -> Result<()> {
    const SIZE: usize = 100;
    const ROUNDS: usize = 20;
    println!(
        "### Eight processes that start at once on a fresh file, {SIZE} migrations, {ROUNDS} rounds\n"
    );
    println!(
        "| tool | starts that failed | rounds that left the database unfinished | what most of those that failed said |"
    );
    println!("|---|---:|---:|---|");
    let names =
        [LANDFALL, RUSQLITE_MIGRATION, REFINERY, REFINERY_GROUPED, DIESEL, DIESEL_WAITING, SQLX];
    for name in names {
        let starts = processes::at_once(name, SIZE, rounds::rounds(ROUNDS))?;
        note(drawn, AT_ONCE, name, SIZE, starts.failed as f64)?;
        let most = starts.errors.iter().max_by_key(|(_, count)| **count);
        let said = most.map_or(String::new(), |(error, _)| format!("`{error}`"));
        println!(
            "| {name} | {} of {} | {} of {ROUNDS} | {said} |",
            starts.failed, starts.all, starts.unfinished
        );
    }
    println!();
    Ok(())
}

/// A line for each tool, and two cells for each size.
struct Table {
    sizes: Vec<usize>,
    lines: Vec<(String, Vec<String>)>,
}

impl Table {
    fn new(sizes: &[usize]) -> Table {
        Table { sizes: sizes.to_vec(), lines: Vec::new() }
    }

    fn put(&mut self, name: &str, cells: String) {
        match self.lines.iter_mut().find(|(known, _)| known == name) {
            Some((_, line)) => line.push(cells),
            None => self.lines.push((name.to_owned(), vec![cells])),
        }
    }

    fn print(&self, second: &str) {
        let heads: String = self.sizes.iter().map(|size| format!(" {size} {second}|")).collect();
        println!("| tool |{heads}");
        println!("|---|{}", "---:|---:|".repeat(self.sizes.len()));
        for (name, cells) in &self.lines {
            println!("| {name} | {} |", cells.join(" | "));
        }
        println!();
    }
}

fn made(names: &[&str], size: usize) -> Result<Vec<Box<dyn Tool>>> {
    names.iter().map(|name| tools::tool(name, size)).collect()
}

fn note(drawn: &mut Numbers, measure: &str, tool: &str, size: usize, value: f64) -> Result<()> {
    Ok(writeln!(drawn, "{measure}\t{tool}\t{size}\t{value}")?)
}

fn text(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().map_err(|_| "a temporary folder that is not text".into())
}
