//! What can only be seen from outside of a process: what it asks of the disk, and how several of
//! them get on with each other.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

use crate::Result;
use crate::tools::{self, FIRST_QUERY};

const AT_ONCE: usize = 8;

/// For the processes to be there before they all begin.
const HEAD_START: Duration = Duration::from_millis(150);

/// What a process can be told to do after it opened a database.
pub const APPLY: &str = "apply";
pub const ASK: &str = "ask";
pub const PEAK: &str = "peak";

/// Runs in a process of its own.
pub fn perform(tool: &str, size: usize, path: &str, steps: &[&str]) -> Result<()> {
    let tool = tools::tool(tool, size)?;
    let mut db = tool.open(path)?;
    for step in steps {
        match *step {
            APPLY => db.apply()?,
            ASK => drop(db.ask(FIRST_QUERY)?),
            PEAK => println!("{}", own_peak()?),
            _ => return Err(format!("no step is called {step}").into()),
        }
    }
    db.close()
}

/// Runs in a process of its own: what an application does when it starts, at a time given in
/// nanoseconds since 1970.
pub fn boot(tool: &str, size: usize, path: &str, start: u64) -> Result<()> {
    let tool = tools::tool(tool, size)?;
    let start = UNIX_EPOCH + Duration::from_nanos(start);
    if let Ok(left) = start.duration_since(SystemTime::now()) {
        thread::sleep(left);
    }
    let mut db = tool.open(path)?;
    db.apply()?;
    db.ask(FIRST_QUERY)?;
    db.close()
}

/// The most memory that this process had at any time, in KiB, as Linux tells it.
fn own_peak() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    Ok(number.ok_or("the system does not tell")?.parse()?)
}

/// The most memory that a process has in which the tool applies everything, in KiB.
pub fn peak(tool: &str, size: usize, path: &str) -> Result<u64> {
    let output = Command::new(std::env::current_exe()?)
        .args(["do", tool, &size.to_string(), path, APPLY, PEAK])
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// How often a tool has the disk write through while it applies everything to a new file. Nothing
/// where strace is not at hand.
pub fn syncs(tool: &str, size: usize, folder: &Path) -> Result<Option<usize>> {
    let (path, summary) = (folder.join("syncs.db"), folder.join("syncs.txt"));
    let strace = Command::new("strace")
        .args(["-f", "-c", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(&summary)
        .arg(std::env::current_exe()?)
        .args(["do", tool, &size.to_string()])
        .args([path.as_os_str(), APPLY.as_ref()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !strace.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    std::fs::remove_file(path)?;
    // Columns: % time, seconds, µs per call, calls, errors where there were any, name.
    let calls = |line: &str| -> Option<usize> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, _, _, calls, .., "fsync" | "fdatasync"] => calls.parse().ok(),
            _ => None,
        }
    };
    Ok(Some(std::fs::read_to_string(summary)?.lines().filter_map(calls).sum()))
}

/// How many instructions all these steps take, without those that all but the last take. Nothing
/// where valgrind is not at hand.
pub fn instructions(tool: &str, size: usize, path: &str, steps: &[&str]) -> Result<Option<u64>> {
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("callgrind.out");
    let count = |steps: &[&str]| -> Result<Option<u64>> {
        let valgrind = Command::new("valgrind")
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg(std::env::current_exe()?)
            .args(["do", tool, &size.to_string(), path])
            .args(steps)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !valgrind.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let profile = std::fs::read_to_string(&profile)?;
        let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
        Ok(Some(total.ok_or("callgrind counted nothing")?.trim().parse()?))
    };
    let before = steps.split_last().map_or(steps, |(_, before)| before);
    Ok(count(steps)?.zip(count(before)?).map(|(all, before)| all.saturating_sub(before)))
}

/// What became of many starts at once.
#[derive(Default)]
pub struct Starts {
    pub all: usize,
    pub failed: usize,
    /// How many rounds left a database that is not what the migrations make.
    pub unfinished: usize,
    /// What those that failed said.
    pub errors: BTreeMap<String, usize>,
}

/// Starts eight processes at once on a file that is not there yet, again and again.
pub fn at_once(tool: &str, size: usize, rounds: usize) -> Result<Starts> {
    let mut starts = Starts::default();
    for _ in 0..rounds {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("app.db");
        let start = (SystemTime::now() + HEAD_START).duration_since(UNIX_EPOCH)?.as_nanos();
        let children: Vec<Child> = (0..AT_ONCE)
            .map(|_| {
                Command::new(std::env::current_exe()?)
                    .args(["boot", tool, &size.to_string()])
                    .arg(&path)
                    .arg(start.to_string())
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
            })
            .collect::<std::io::Result<_>>()?;
        for child in children {
            let output = child.wait_with_output()?;
            starts.all += 1;
            if !output.status.success() {
                starts.failed += 1;
                *starts.errors.entry(said(&output)).or_default() += 1;
            }
        }
        starts.unfinished += usize::from(!whole(&path, size)?);
    }
    Ok(starts)
}

/// The error, without the number of the migration that it happened to meet.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let parts: Vec<&str> =
        text.trim().split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    parts.join("…").replace('\n', " ")
}

/// Whether every table is there with the three rows that it was made with, and every view.
fn whole(path: &Path, size: usize) -> Result<bool> {
    let conn = Connection::open(path)?;
    let count = |query: &str| conn.query_row(query, [], |row| row.get::<_, u32>(0));
    let made = |kind: &str| {
        count(&format!(
            "SELECT count(*) FROM sqlite_schema WHERE type = '{kind}' AND name GLOB 'entity_*'"
        ))
    };
    if (made("table")?, made("view")?) != (u32::try_from(size)?, u32::try_from(size / 10)?) {
        return Ok(false);
    }
    for n in 1..=size {
        if count(&format!("SELECT count(*) FROM entity_{n}"))? != 3 {
            return Ok(false);
        }
    }
    Ok(true)
}
