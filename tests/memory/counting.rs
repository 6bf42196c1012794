//! Counts what Rust code allocates, by thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALL: Cell<u64> = const { Cell::new(0) };
    static NOW: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    ALL.set(ALL.get() + bytes as u64);
    NOW.set(NOW.get() + bytes as i64);
    PEAK.set(PEAK.get().max(NOW.get()));
}

// SAFETY: the system's allocator does the work; the counters are plain numbers of this thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.set(NOW.get() - layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that some work allocates in all, and how many it holds at most.
pub fn counted(work: impl FnOnce()) -> (u64, i64) {
    ALL.set(0);
    PEAK.set(NOW.get());
    let before = NOW.get();
    work();
    (ALL.get(), PEAK.get() - before)
}
