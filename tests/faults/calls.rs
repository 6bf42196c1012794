//! The system calls of this process that reach files: counted, failed, recorded.
//!
//! The functions at the end have the names of libc's, so that the linker has SQLite and std call
//! them. A thread that [watches](watched) nothing gets the system calls themselves. Syncs,
//! which would only take time, are never done; nor are SQLite's pauses on a thread that watches.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_long, c_uint, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

/// What a system call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Open,
    Read,
    Write,
    Sync,
    Truncate,
    Unlink,
    Rename,
    Link,
    Lock,
    Stat,
}

pub const KINDS: [Kind; 10] = [
    Kind::Open,
    Kind::Read,
    Kind::Write,
    Kind::Sync,
    Kind::Truncate,
    Kind::Unlink,
    Kind::Rename,
    Kind::Link,
    Kind::Lock,
    Kind::Stat,
];

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Eio,
    Enospc,
    Eintr,
    /// It does half of what it was asked for.
    Short,
}

/// Which call fails: the n-th of its kind, counted from 1, and perhaps all after it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub kind: Kind,
    pub fault: Fault,
    pub at: u64,
    pub for_ever: bool,
}

/// What happens to the calls of a thread, and what they were.
#[derive(Default)]
pub struct Watch {
    pub calls: [u64; KINDS.len()],
    /// How many of each kind there were after each sync, truncation and deletion: the places of
    /// which some are commits.
    pub commits: Vec<[u64; KINDS.len()]>,
    pub plan: Option<Plan>,
    pub injected: u64,
    pub record: Option<Record>,
}

thread_local! {
    static WATCH: Cell<*mut Watch> = const { Cell::new(null_mut()) };
}

/// Runs something whose calls are watched.
pub fn watched<T>(watch: &mut Watch, work: impl FnOnce() -> T) -> T {
    struct Off;
    impl Drop for Off {
        fn drop(&mut self) {
            WATCH.set(null_mut());
        }
    }
    WATCH.set(watch);
    let _off = Off;
    work()
}

fn watch() -> Option<&'static mut Watch> {
    let watch = WATCH.try_with(Cell::get).unwrap_or(null_mut());
    // SAFETY: it is set only while `watched` borrows it, and on the same thread.
    unsafe { watch.as_mut() }
}

impl Watch {
    /// Counts a call, and says whether and how it is to fail.
    fn next(&mut self, kind: Kind) -> Option<Fault> {
        let calls = &mut self.calls[kind as usize];
        *calls += 1;
        let calls = *calls;
        if matches!(kind, Kind::Sync | Kind::Truncate | Kind::Unlink) {
            self.commits.push(self.calls);
        }
        let plan = self.plan.filter(|plan| plan.kind == kind)?;
        let hit = calls == plan.at || (calls > plan.at && plan.for_ever);
        self.injected += u64::from(hit);
        hit.then_some(plan.fault)
    }
}

/// A number that stands for a file, whatever its name.
pub type Inode = usize;

/// What changes a file or a folder. Paths are below the folder that is recorded.
#[derive(Clone, Debug)]
pub enum Op {
    Write { file: Inode, at: u64, bytes: Vec<u8> },
    Truncate { file: Inode, len: u64 },
    Sync { file: Inode },
    Create { path: PathBuf, file: Inode },
    Rename { from: PathBuf, to: PathBuf },
    Link { from: PathBuf, to: PathBuf },
    Unlink { path: PathBuf },
    SyncFolder { path: PathBuf },
}

/// Everything that was done in a folder, in order.
#[derive(Default)]
pub struct Record {
    root: PathBuf,
    pub ops: Vec<Op>,
    pub names: BTreeMap<PathBuf, Inode>,
    next: Inode,
    fds: BTreeMap<c_int, Target>,
}

enum Target {
    File(Inode),
    Folder(PathBuf),
}

impl Record {
    /// Of a folder with these files in it.
    pub fn of(root: &Path, files: impl Iterator<Item = PathBuf>) -> Self {
        let names: BTreeMap<PathBuf, Inode> = files.zip(0..).collect();
        let next = names.len();
        Record { root: root.to_owned(), names, next, ..Record::default() }
    }

    fn below(&self, path: &CStr) -> Option<PathBuf> {
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        let path = path.strip_prefix(&self.root).ok()?;
        // It is mapped into memory, and made anew by whoever opens the database next.
        (!path.as_os_str().as_bytes().ends_with(b"-shm")).then(|| path.to_owned())
    }

    fn opened(&mut self, fd: c_int, path: &CStr, flags: c_int) {
        let Some(path) = self.below(path) else { return };
        let target = match self.names.get(&path) {
            Some(&file) => {
                if flags & libc::O_TRUNC != 0 {
                    self.ops.push(Op::Truncate { file, len: 0 });
                }
                Target::File(file)
            }
            None if flags & libc::O_CREAT != 0 => {
                let file = self.next;
                self.next += 1;
                self.names.insert(path.clone(), file);
                self.ops.push(Op::Create { path, file });
                Target::File(file)
            }
            None => Target::Folder(path),
        };
        self.fds.insert(fd, target);
    }

    fn file(&self, fd: c_int) -> Option<Inode> {
        match self.fds.get(&fd) {
            Some(Target::File(file)) => Some(*file),
            _ => None,
        }
    }

    fn wrote(&mut self, fd: c_int, at: u64, bytes: &[u8]) {
        if let Some(file) = self.file(fd) {
            self.ops.push(Op::Write { file, at, bytes: bytes.to_owned() });
        }
    }

    fn truncated(&mut self, fd: c_int, len: u64) {
        if let Some(file) = self.file(fd) {
            self.ops.push(Op::Truncate { file, len });
        }
    }

    fn synced(&mut self, fd: c_int) {
        match self.fds.get(&fd) {
            Some(Target::File(file)) => self.ops.push(Op::Sync { file: *file }),
            Some(Target::Folder(path)) => self.ops.push(Op::SyncFolder { path: path.clone() }),
            None => {}
        }
    }

    fn unlinked(&mut self, path: &CStr) {
        let Some(path) = self.below(path) else { return };
        self.names.remove(&path);
        self.ops.push(Op::Unlink { path });
    }

    fn renamed(&mut self, from: &CStr, to: &CStr) {
        let (Some(from), Some(to)) = (self.below(from), self.below(to)) else { return };
        if let Some(file) = self.names.remove(&from) {
            self.names.insert(to.clone(), file);
        }
        self.ops.push(Op::Rename { from, to });
    }

    fn linked(&mut self, from: &CStr, to: &CStr) {
        let (Some(from), Some(to)) = (self.below(from), self.below(to)) else { return };
        if let Some(&file) = self.names.get(&from) {
            self.names.insert(to.clone(), file);
        }
        self.ops.push(Op::Link { from, to });
    }
}

/// Sets `errno` and says that the call failed.
fn failed(fault: Fault) -> c_long {
    let errno = match fault {
        Fault::Eio | Fault::Short => libc::EIO,
        Fault::Enospc => libc::ENOSPC,
        Fault::Eintr => libc::EINTR,
    };
    // SAFETY: it is this thread's.
    unsafe { *libc::__errno_location() = errno };
    -1
}

/// Whether a call is to fail. Standard input and output are nobody's database.
fn fault(kind: Kind, fd: c_int) -> Option<Fault> {
    if (0..=2).contains(&fd) { None } else { watch()?.next(kind) }
}

fn recording() -> Option<&'static mut Record> {
    watch()?.record.as_mut()
}

const NO_FD: c_int = -1;

fn opening(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    if let Some(fault) = fault(Kind::Open, NO_FD) {
        return failed(fault) as c_int;
    }
    // SAFETY: the caller's arguments, as they are.
    unsafe {
        let fd = libc::syscall(libc::SYS_openat, folder, path, flags, mode) as c_int;
        if let (true, Some(record)) = (fd >= 0, recording()) {
            record.opened(fd, CStr::from_ptr(path), flags);
        }
        fd
    }
}

fn reading(fd: c_int, len: usize, call: impl Fn(usize) -> c_long) -> isize {
    match fault(Kind::Read, fd) {
        Some(Fault::Short) if len > 1 => call(len / 2) as isize,
        Some(Fault::Short) | None => call(len) as isize,
        Some(fault) => failed(fault) as isize,
    }
}

fn writing(
    fd: c_int,
    bytes: *const c_void,
    len: usize,
    at: Option<i64>,
    call: impl Fn(usize) -> c_long,
) -> isize {
    let len = match fault(Kind::Write, fd) {
        Some(Fault::Short) if len > 1 => len / 2,
        Some(Fault::Short) | None => len,
        Some(fault) => return failed(fault) as isize,
    };
    let done = call(len);
    if let (1.., Some(record)) = (done, recording()) {
        // SAFETY: so many bytes were just written from there, and the file is open.
        let (bytes, end) = unsafe {
            let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), done as usize);
            (bytes, libc::lseek(fd, 0, libc::SEEK_CUR))
        };
        record.wrote(fd, at.unwrap_or(end - done) as u64, bytes);
    }
    done as isize
}

fn syncing(fd: c_int) -> c_int {
    if let Some(fault) = fault(Kind::Sync, fd) {
        return failed(fault) as c_int;
    }
    if let Some(record) = recording() {
        record.synced(fd);
    }
    // The disk itself is not what is tested.
    0
}

fn truncating(fd: c_int, len: i64) -> c_int {
    if let Some(fault) = fault(Kind::Truncate, fd) {
        return failed(fault) as c_int;
    }
    // SAFETY: the caller's arguments, as they are.
    let done = unsafe { libc::syscall(libc::SYS_ftruncate, fd, len) as c_int };
    if let (0, Some(record)) = (done, recording()) {
        record.truncated(fd, len as u64);
    }
    done
}

fn locking(fd: c_int, command: c_int, argument: *mut c_void) -> c_int {
    let locks = [libc::F_SETLK, libc::F_SETLKW, libc::F_GETLK, libc::F_OFD_SETLK];
    if locks.contains(&command)
        && let Some(fault) = fault(Kind::Lock, fd)
    {
        return failed(fault) as c_int;
    }
    // SAFETY: the caller's arguments, as they are.
    unsafe { libc::syscall(libc::SYS_fcntl, fd, command, argument) as c_int }
}

fn asking(fd: c_int, into: *mut c_void) -> c_int {
    if let Some(fault) = fault(Kind::Stat, fd) {
        return failed(fault) as c_int;
    }
    // SAFETY: the caller's arguments, as they are.
    unsafe { libc::syscall(libc::SYS_fstat, fd, into) as c_int }
}

/// A call about one or two names.
fn naming(kind: Kind, call: impl Fn() -> c_long, note: impl Fn(&mut Record)) -> c_int {
    if let Some(fault) = fault(kind, NO_FD) {
        return failed(fault) as c_int;
    }
    let done = call() as c_int;
    if let (0, Some(record)) = (done, recording()) {
        note(record);
    }
    done
}

/// SAFETY of all: the arguments are as libc's functions of these names want them, and are handed on
/// as they are.
mod libc_names {
    use super::*;

    #[unsafe(no_mangle)]
    unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        opening(libc::AT_FDCWD, path, flags, mode)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        opening(libc::AT_FDCWD, path, flags, mode)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn openat(at: c_int, path: *const c_char, f: c_int, mode: c_uint) -> c_int {
        opening(at, path, f, mode)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn openat64(at: c_int, path: *const c_char, f: c_int, mode: c_uint) -> c_int {
        opening(at, path, f, mode)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn close(fd: c_int) -> c_int {
        if let Some(record) = recording() {
            record.fds.remove(&fd);
        }
        unsafe { libc::syscall(libc::SYS_close, fd) as c_int }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn read(fd: c_int, into: *mut c_void, len: usize) -> isize {
        reading(fd, len, |len| unsafe { libc::syscall(libc::SYS_read, fd, into, len) })
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn pread(fd: c_int, into: *mut c_void, len: usize, at: i64) -> isize {
        reading(fd, len, |len| unsafe { libc::syscall(libc::SYS_pread64, fd, into, len, at) })
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn pread64(fd: c_int, into: *mut c_void, len: usize, at: i64) -> isize {
        reading(fd, len, |len| unsafe { libc::syscall(libc::SYS_pread64, fd, into, len, at) })
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn write(fd: c_int, from: *const c_void, len: usize) -> isize {
        let call = |len: usize| unsafe { libc::syscall(libc::SYS_write, fd, from, len) };
        writing(fd, from, len, None, call)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn pwrite(fd: c_int, from: *const c_void, len: usize, at: i64) -> isize {
        let call = |len: usize| unsafe { libc::syscall(libc::SYS_pwrite64, fd, from, len, at) };
        writing(fd, from, len, Some(at), call)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn pwrite64(fd: c_int, from: *const c_void, len: usize, at: i64) -> isize {
        let call = |len: usize| unsafe { libc::syscall(libc::SYS_pwrite64, fd, from, len, at) };
        writing(fd, from, len, Some(at), call)
    }

    /// SQLite sleeps for 10 seconds in all before it gives up a lock on the log.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn nanosleep(time: *const c_void, left: *mut c_void) -> c_int {
        match watch() {
            Some(_) => 0,
            None => unsafe { libc::syscall(libc::SYS_nanosleep, time, left) as c_int },
        }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn fsync(fd: c_int) -> c_int {
        syncing(fd)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
        syncing(fd)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn ftruncate(fd: c_int, len: i64) -> c_int {
        truncating(fd, len)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn ftruncate64(fd: c_int, len: i64) -> c_int {
        truncating(fd, len)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: *mut c_void) -> c_int {
        locking(fd, command, argument)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn fcntl64(fd: c_int, command: c_int, argument: *mut c_void) -> c_int {
        locking(fd, command, argument)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn fstat(fd: c_int, into: *mut c_void) -> c_int {
        asking(fd, into)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn fstat64(fd: c_int, into: *mut c_void) -> c_int {
        asking(fd, into)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
        let call = || unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path, 0) };
        naming(Kind::Unlink, call, |record| record.unlinked(unsafe { CStr::from_ptr(path) }))
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
        let at = libc::AT_FDCWD;
        let call = || unsafe { libc::syscall(libc::SYS_renameat2, at, from, at, to, 0) };
        naming(Kind::Rename, call, |record| unsafe {
            record.renamed(CStr::from_ptr(from), CStr::from_ptr(to));
        })
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
        let at = libc::AT_FDCWD;
        unsafe { linkat(at, from, at, to, 0) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn linkat(
        of: c_int,
        from: *const c_char,
        at: c_int,
        to: *const c_char,
        flags: c_int,
    ) -> c_int {
        let call = || unsafe { libc::syscall(libc::SYS_linkat, of, from, at, to, flags) };
        naming(Kind::Link, call, |record| unsafe {
            record.linked(CStr::from_ptr(from), CStr::from_ptr(to));
        })
    }
}
