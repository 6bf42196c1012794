//! Power is lost at any point of a verb: what was not synced is lost, torn or out of order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::calls::{Inode, Op, Record, Watch, watched};
use crate::scenes::{
    APPLY, BACKFILL, BACKUP, BACKUP_AGAIN, EACH, OPEN_COPY, RESTORE, REVERT, Scene, State,
    assert_sound, backups, copy,
};

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    /// Below a limit that is not zero.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// A folder as the disk has it, and what is on its way there.
struct Disk {
    files: BTreeMap<Inode, Vec<u8>>,
    names: BTreeMap<PathBuf, Inode>,
    /// Writes and truncations since the file was synced.
    writes: BTreeMap<Inode, Vec<Op>>,
    /// Changes to names since their folder was synced.
    moves: BTreeMap<PathBuf, Vec<Op>>,
}

const SECTOR: usize = 512;

impl Disk {
    /// Everything is synced, but for the names of backups where these are not.
    fn of(start: &Path, are_backups_synced: bool) -> Self {
        let names: BTreeMap<PathBuf, Inode> = files(start).into_iter().zip(0..).collect();
        let content =
            |(path, file): (&PathBuf, &Inode)| (*file, fs::read(start.join(path)).unwrap());
        let files = names.iter().map(content).collect();
        let mut disk = Disk { files, names, writes: BTreeMap::new(), moves: BTreeMap::new() };
        for path in if are_backups_synced { Vec::new() } else { backups(start) } {
            let path = path.strip_prefix(start).unwrap().to_owned();
            let file = disk.names.remove(&path).unwrap();
            disk.take(&Op::Create { path, file });
        }
        disk
    }

    fn take(&mut self, op: &Op) {
        match op {
            Op::Write { file, .. } | Op::Truncate { file, .. } => {
                self.writes.entry(*file).or_default().push(op.clone());
            }
            Op::Sync { file } => {
                for write in self.writes.remove(file).unwrap_or_default() {
                    self.write(&write, |_| true);
                }
            }
            Op::Create { path, .. }
            | Op::Unlink { path }
            | Op::Rename { to: path, .. }
            | Op::Link { to: path, .. } => {
                let folder = path.parent().unwrap().to_owned();
                self.moves.entry(folder).or_default().push(op.clone());
            }
            Op::SyncFolder { path } => {
                for op in self.moves.remove(path).unwrap_or_default() {
                    self.name(&op);
                }
            }
        }
    }

    /// Puts those sectors of a write on the disk that get there.
    fn write(&mut self, op: &Op, mut arrives: impl FnMut(usize) -> bool) {
        match op {
            Op::Write { file, at, bytes } => {
                let content = self.files.entry(*file).or_default();
                for (nth, sector) in bytes.chunks(SECTOR).enumerate() {
                    if arrives(nth) {
                        let start = *at as usize + nth * SECTOR;
                        let end = start + sector.len();
                        if content.len() < end {
                            content.resize(end, 0);
                        }
                        content[start..end].copy_from_slice(sector);
                    }
                }
            }
            Op::Truncate { file, len } if arrives(0) => {
                self.files.entry(*file).or_default().resize(*len as usize, 0);
            }
            _ => {}
        }
    }

    fn name(&mut self, op: &Op) {
        match op {
            Op::Create { path, file } => {
                self.names.insert(path.clone(), *file);
            }
            Op::Unlink { path } => {
                self.names.remove(path);
            }
            Op::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            Op::Link { from, to } => {
                if let Some(&file) = self.names.get(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            _ => {}
        }
    }

    /// Power is lost: of what was on its way, some arrives.
    fn lose_power(&mut self, random: &mut Random) {
        for (_, ops) in std::mem::take(&mut self.moves) {
            // A file system keeps the order of names in a folder.
            let arrive = match random.below(3) {
                0 => 0,
                1 => ops.len(),
                _ => random.below(ops.len() + 1),
            };
            ops.iter().take(arrive).for_each(|op| self.name(op));
        }
        for (_, mut ops) in std::mem::take(&mut self.writes) {
            match random.below(5) {
                0 => continue,
                1 => {}
                2 => ops.truncate(random.below(ops.len() + 1)),
                3 => {
                    // Each by itself, in any order.
                    ops.retain(|_| random.below(2) == 0);
                    for at in (1..ops.len()).rev() {
                        ops.swap(at, random.below(at + 1));
                    }
                }
                _ => {
                    ops.truncate(random.below(ops.len() + 1));
                    if let Some(torn) = ops.pop() {
                        ops.iter().for_each(|op| self.write(op, |_| true));
                        let until = random.below(9);
                        let first = random.below(2) == 0;
                        self.write(&torn, |nth| (nth < until) == first);
                    }
                    continue;
                }
            }
            ops.iter().for_each(|op| self.write(op, |_| true));
        }
    }

    fn materialise(&self, folder: &Path) {
        fs::create_dir(folder.join("b")).unwrap();
        for (path, file) in &self.names {
            let empty = Vec::new();
            fs::write(folder.join(path), self.files.get(file).unwrap_or(&empty)).unwrap();
        }
    }
}

/// The files below a folder, without what is mapped into memory.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for part in ["", "b"] {
        for file in fs::read_dir(folder.join(part)).unwrap() {
            let file = file.unwrap();
            let path = Path::new(part).join(file.file_name());
            if file.file_type().unwrap().is_file() && !path.to_string_lossy().ends_with("-shm") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Records a scene, and tries about so many states that a loss of power can leave.
fn loses_power(scene: Scene, mode: &str, some: usize) {
    let dir = tempfile::tempdir().unwrap();
    let (start, live) = (dir.path().join("start"), dir.path().join("live"));
    fs::create_dir(&start).unwrap();
    fs::create_dir(&live).unwrap();
    scene.prepare(&start, mode);
    copy(&start, &live);
    let record = Record::of(&live, files(&live).into_iter());
    let mut watch = Watch { record: Some(record), ..Watch::default() };
    // While it is at it: closing may write too.
    let result = watched(&mut watch, || {
        let mut conn = scene.connect(&live, mode);
        let result = scene.act(&mut conn, &live);
        std::mem::forget(conn.take());
        result
    });
    result.unwrap();
    let record = watch.record.take().unwrap();
    let end = State::of(&live);
    let before = State::of(&start);
    assert_ne!(before, end, "{}", scene.name);
    let total = record.ops.len() + 1;
    let stride = if crate::all() { 1 } else { total.div_ceil(some).max(1) };
    let (mut tried, mut seen, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for done in (0..total).rev().step_by(stride) {
        // At the end, most is on its way.
        let seeds = if crate::all() || done == total - 1 { 6 } else { 1 };
        for seed in 1..=seeds {
            let mut random = Random((done as u64 * 64 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut disk = Disk::of(&start, scene.name != BACKUP_AGAIN.name);
            record.ops[..done].iter().for_each(|op| disk.take(op));
            disk.lose_power(&mut random);
            tried += 1;
            let one = || comes_back(scene, mode, &disk, done == total - 1, &end);
            match catch_unwind(AssertUnwindSafe(one)) {
                Ok(state) => drop(seen.insert(state)),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = text.or(panic.downcast_ref::<&str>().map(ToString::to_string));
                    let last = done.checked_sub(1).map(|last| name(&record.ops[last]));
                    let text = text.unwrap_or_default();
                    wrong.push(format!("after {done} ({last:?}), seed {seed}: {text}"));
                }
            }
        }
    }
    let name = scene.name;
    println!("{name}, {mode}: {} calls, {tried} states, {} different", total - 1, seen.len());
    let more = wrong.len();
    wrong.truncate(8);
    assert!(wrong.is_empty(), "{name}, {mode}: {more} wrong\n\n{}", wrong.join("\n\n"));
}

fn name(op: &Op) -> String {
    match op {
        Op::Write { file, at, bytes } => format!("write {file} at {at}, {} bytes", bytes.len()),
        op => format!("{op:?}"),
    }
}

/// Opens what a loss of power has left. Says what that is.
fn comes_back(scene: Scene, mode: &str, disk: &Disk, done: bool, end: &State) -> String {
    let dir = tempfile::tempdir().unwrap();
    disk.materialise(dir.path());
    assert_sound(dir.path(), scene.name);
    let now = State::of(dir.path());
    // With a journal that is deleted, a commit is durable only once the folder is synced, which
    // SQLite leaves to the next one: https://sqlite.org/pragma.html#pragma_synchronous. What
    // `open_copy` leaves has `synchronous = NORMAL`.
    if done && mode != "DELETE" && scene.name != OPEN_COPY.name {
        assert_eq!(now, *end, "it was done, and what it did is lost");
    }
    if now != *end {
        let next = scene.next_start(dir.path(), mode);
        assert!(next.is_ok(), "the next start failed: {next:?}");
        assert_sound(dir.path(), "after the next start");
        assert_eq!(State::of(dir.path()), *end, "after the next start");
    }
    format!("{now:?}")
}

const MODES: [&str; 4] = ["DELETE", "WAL", "PERSIST", "TRUNCATE"];
const SOME: usize = 10;

macro_rules! loses_power {
    ($($name:ident: $scene:expr;)*) => {$(
        #[test]
        fn $name() {
            MODES.iter().for_each(|mode| loses_power($scene, mode, SOME));
        }
    )*};
}

loses_power! {
    power_loss_in_apply_leaves_a_sound_database: APPLY;
    power_loss_in_apply_each_leaves_a_sound_database: EACH;
    power_loss_in_revert_leaves_a_sound_database: REVERT;
    power_loss_in_backup_leaves_whole_backups: BACKUP;
    power_loss_after_unsynced_backup_leaves_it: BACKUP_AGAIN;
    power_loss_in_restore_leaves_a_sound_database: RESTORE;
    power_loss_in_backfill_leaves_a_sound_database: BACKFILL;
    power_loss_in_open_copy_leaves_a_whole_file: OPEN_COPY;
}
