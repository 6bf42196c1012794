//! Who runs a migration outside a transaction, and whether that process is still there.
//!
//! The mark of such a migration names its holder: a run of a process. Another process asks the system
//! whether that one lives. It can do so on the same machine, since the same boot and in the same
//! container; elsewhere only time tells.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A run of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// A number drawn at random by the copy of this library that runs it: one process can hold several.
    copy: u64,
    /// Which of that copy's runs.
    run: u64,
    process: u32,
    /// When the process started, by the system's own count: process ids are used again.
    started: Option<u64>,
    /// The machine since its start, and the container.
    place: Option<String>,
}

/// Whether a process is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Alive,
    Gone,
    /// It is elsewhere, or the system does not tell.
    Unknown,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// This copy of the library in this process.
fn copy() -> u64 {
    static COPY: OnceLock<u64> = OnceLock::new();
    *COPY.get_or_init(|| RandomState::new().build_hasher().finish())
}

/// The runs of this copy that hold a mark.
static RUNS: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// A run of this process, which counts as alive until this is dropped.
pub(crate) struct LiveRun(Holder);

impl LiveRun {
    pub(crate) fn begin() -> Self {
        let process = std::process::id();
        let holder = Holder {
            copy: copy(),
            run: NEXT.fetch_add(1, Ordering::Relaxed),
            process,
            started: match Process::of(process) {
                Process::There { started, .. } => Some(started),
                Process::Gone | Process::Unseen => None,
            },
            place: place(),
        };
        RUNS.lock().unwrap_or_else(PoisonError::into_inner).insert(holder.run);
        LiveRun(holder)
    }

    pub(crate) fn holder(&self) -> &Holder {
        &self.0
    }
}

impl Drop for LiveRun {
    fn drop(&mut self) {
        RUNS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0.run);
    }
}

impl Holder {
    /// `<copy>-<run>/<process>/<started>/<place>`; what is not known is `-`.
    pub(super) fn to_text(&self) -> String {
        let started = self.started.map_or("-".to_owned(), |started| started.to_string());
        let place = self.place.as_deref().unwrap_or("-");
        format!("{:016x}-{}/{}/{started}/{place}", self.copy, self.run, self.process)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '/');
        let (copy, run) = parts.next()?.split_once('-')?;
        let (copy, run) = (u64::from_str_radix(copy, 16).ok()?, run.parse().ok()?);
        let process = parts.next()?.parse().ok()?;
        let started = match parts.next()? {
            "-" => None,
            started => Some(started.parse().ok()?),
        };
        let place = Some(parts.next()?).filter(|place| *place != "-").map(str::to_owned);
        Some(Holder { copy, run, process, started, place })
    }

    /// Asks the system. A process that is stopped is alive.
    pub(crate) fn life(&self) -> Life {
        let here = place();
        if here.is_none() || here != self.place {
            return Life::Unknown;
        }
        if self.process == std::process::id() && self.copy == copy() {
            let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
            return if runs.contains(&self.run) { Life::Alive } else { Life::Gone };
        }
        match (self.started, Process::of(self.process)) {
            (None, _) | (_, Process::Unseen) => Life::Unknown,
            (Some(then), Process::There { started, ended: false }) if then == started => {
                Life::Alive
            }
            _ => Life::Gone,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.process)?;
        match place() {
            here if here.is_some() && here == self.place => Ok(()),
            _ => f.write_str(" of another machine or container, or from before a restart"),
        }
    }
}

/// The machine since its start, and the container that process ids count in.
#[cfg(target_os = "linux")]
fn place() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let container = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), container.to_str()?))
}

/// A process, as far as the system shows it.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
enum Process {
    There {
        started: u64,
        /// It has ended, and only waits to be collected.
        ended: bool,
    },
    Gone,
    /// The system does not show it, or not to this user.
    Unseen,
}

impl Process {
    /// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
    #[cfg(target_os = "linux")]
    fn of(process: u32) -> Self {
        let read = |process: u32| std::fs::read_to_string(format!("/proc/{process}/stat"));
        match read(process) {
            Ok(stat) => Self::read(&stat).unwrap_or(Process::Unseen),
            // Where processes of others are hidden, so is the first one, which is always there:
            // https://man7.org/linux/man-pages/man5/proc.5.html
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && read(1).is_ok() => {
                Process::Gone
            }
            Err(_) => Process::Unseen,
        }
    }

    #[cfg(target_os = "linux")]
    fn read(stat: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, which can hold anything.
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        let ended = matches!(fields.next()?, "Z" | "X");
        // That was the third field, and the start is the 22nd.
        Some(Process::There { started: fields.nth(18)?.parse().ok()?, ended })
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_process: u32) -> Self {
        Process::Unseen
    }
}

#[cfg(not(target_os = "linux"))]
fn place() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holder_text_round_trips() {
        let here = LiveRun::begin();
        for holder in [
            here.holder().clone(),
            Holder { copy: 3, run: 7, process: 1, started: None, place: None },
            Holder {
                copy: u64::MAX,
                run: 1,
                process: 9,
                started: Some(3),
                place: Some("a/b c".to_owned()),
            },
        ] {
            assert_eq!(Holder::parse(&holder.to_text()), Some(holder));
        }
        for damaged in ["", "x", "1-1/2/3", "1/2/3/p", "g-1/2/3/p", "1-1/-2/3/p", "1-1/2/x/p"] {
            assert_eq!(Holder::parse(damaged), None, "{damaged}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn run_is_alive_until_it_ends() {
        let holding = LiveRun::begin();
        let holder = holding.holder().clone();
        assert_eq!(holder.life(), Life::Alive);
        drop(holding);
        assert_eq!(holder.life(), Life::Gone);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn start_of_a_process_is_read_behind_any_name() {
        let stat = |name: &str, state: &str| {
            let fields: Vec<String> = (4..=22).map(|field| field.to_string()).collect();
            Process::read(&format!("7 ({name}) {state} {} 0 0", fields.join(" ")))
        };
        for (name, state, ended) in [("a", "S", false), (") R 1 (", "T", false), ("b c", "Z", true)]
        {
            let found = stat(name, state);
            let is_it =
                |found| matches!(found, Process::There { started: 22, ended: is } if is == ended);
            assert!(found.is_some_and(is_it), "{name}");
        }
        assert!(Process::read("7 (a) S 1 2").is_none());
        assert!(Process::read("").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn other_process_is_told_by_its_start() {
        let parent = std::os::unix::process::parent_id();
        let start = match Process::of(parent) {
            Process::There { started, ended: false } => Some(started),
            _ => None,
        };
        assert!(start.is_some());
        let later = start.map(|start| start + 1);
        let of = |process, started, place| Holder { copy: 1, run: 1, process, started, place };
        assert_eq!(of(parent, start, place()).life(), Life::Alive);
        assert_eq!(of(parent, later, place()).life(), Life::Gone);
        assert_eq!(of(parent, None, place()).life(), Life::Unknown);
        assert_eq!(of(parent, start, Some("elsewhere".to_owned())).life(), Life::Unknown);
        assert_eq!(of(parent, start, None).life(), Life::Unknown);
        assert_eq!(of(u32::MAX, start, place()).life(), Life::Gone);
    }
}
