//! An allocator for SQLite that fails on demand, for the thread that asks for it.
//!
//! Lookaside memory is switched off, so that every allocation of a connection passes through here:
//! <https://sqlite.org/malloc.html>.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use landfall::rusqlite::ffi;

/// When allocations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    /// The n-th one does, and those after it succeed.
    Once,
    /// The n-th one does, and all after it.
    FromThenOn,
}

thread_local! {
    /// Allocations counted while armed.
    static COUNTED: Cell<u64> = const { Cell::new(0) };
    static ARMED: Cell<Option<(u64, Fails)>> = const { Cell::new(None) };
}

struct Methods(ffi::sqlite3_mem_methods);

// SAFETY: function pointers, and a null pointer that is handed back to them.
unsafe impl Send for Methods {}
// SAFETY: as above; nothing is written to it after it was made.
unsafe impl Sync for Methods {}

static DEFAULT: OnceLock<Methods> = OnceLock::new();

/// Replaces SQLite's allocator for this process. Must come before SQLite is used for anything else.
pub fn install() {
    DEFAULT.get_or_init(|| {
        // SAFETY: the struct is plain data that SQLite fills in.
        let mut methods: ffi::sqlite3_mem_methods = unsafe { std::mem::zeroed() };
        // SAFETY: called once, before SQLite is initialized, with arguments of the documented types:
        // https://sqlite.org/c3ref/c_config_covering_index_scan.html
        unsafe {
            let asked = ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut methods);
            assert_eq!(asked, ffi::SQLITE_OK);
            let ours = ffi::sqlite3_mem_methods {
                xMalloc: Some(malloc),
                xRealloc: Some(realloc),
                ..methods
            };
            assert_eq!(
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const ours),
                ffi::SQLITE_OK
            );
            let none: c_int = 0;
            assert_eq!(
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOOKASIDE, none, none),
                ffi::SQLITE_OK
            );
        }
        Methods(methods)
    });
}

fn fails() -> bool {
    let Some((nth, fails)) = ARMED.get() else { return false };
    let counted = COUNTED.get() + 1;
    COUNTED.set(counted);
    match fails {
        Fails::Once => counted == nth,
        Fails::FromThenOn => counted >= nth,
    }
}

unsafe extern "C" fn malloc(bytes: c_int) -> *mut c_void {
    match DEFAULT.get().and_then(|methods| methods.0.xMalloc) {
        // SAFETY: SQLite's own allocator, with SQLite's own argument.
        Some(malloc) if !fails() => unsafe { malloc(bytes) },
        _ => std::ptr::null_mut(),
    }
}

unsafe extern "C" fn realloc(old: *mut c_void, bytes: c_int) -> *mut c_void {
    match DEFAULT.get().and_then(|methods| methods.0.xRealloc) {
        // SAFETY: SQLite's own allocator, with SQLite's own arguments.
        Some(realloc) if !fails() => unsafe { realloc(old, bytes) },
        _ => std::ptr::null_mut(),
    }
}

/// Does the work while allocations of this thread fail, and says how many there were.
pub fn armed<T>(nth: u64, fails: Fails, work: impl FnOnce() -> T) -> (T, u64) {
    COUNTED.set(0);
    ARMED.set(Some((nth, fails)));
    let result = work();
    ARMED.set(None);
    (result, COUNTED.get())
}
