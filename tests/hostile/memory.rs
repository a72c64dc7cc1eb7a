//! An allocator that counts what each thread holds, and refuses what no test has a reason to ask for.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::Write,
    sync::Mutex,
};

/// The longest single allocation: beyond it the program aborts, after it has printed the input that asked.
const LONGEST: usize = 4 << 30;

/// The input that is being looked at.
pub(crate) static INPUT: Mutex<String> = Mutex::new(String::new());

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

fn is_too_long(size: usize) -> bool {
    if size > LONGEST {
        let mut stderr = std::io::stderr(); // which needs no memory
        let _ = writeln!(stderr, "{size} bytes at once are asked for by:");
        if let Ok(input) = INPUT.try_lock() {
            let _ = stderr.write_all(input.as_bytes());
        }
    }
    size > LONGEST
}

#[expect(unsafe_code, reason = "an allocator is unsafe by nature")]
// SAFETY: all memory is that of the system's allocator, which is asked with the arguments given; null is a refusal.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_too_long(layout.size()) {
            return std::ptr::null_mut();
        }
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_too_long(layout.size()) {
            return std::ptr::null_mut();
        }
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_too_long(size) {
            return std::ptr::null_mut();
        }
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// What `work` gives, and how many bytes this thread held at most during it, beyond those that it held before.
pub(crate) fn most_during<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    MOST.set(before);
    let result = work();
    (result, (MOST.get() - before) as usize)
}

#[test]
fn allocations_are_counted() {
    let (bytes, most) = most_during(|| {
        drop(vec![0_u8; 1 << 20]);
        vec![1_u8; 1000]
    });
    assert_eq!((bytes.len(), most), (1000, 1 << 20));
    let (_, most) = most_during(|| std::hint::black_box(vec![0_u8; 50]).len());
    assert_eq!(most, 50);
}
