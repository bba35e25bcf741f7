//! The allocator that audits the memory table: the system's own, counting what is handed out.
//!
//! Installed by `main` as the global allocator; without that, both numbers stay 0. Counts are what callers asked for;
//! what the system's allocator loses around it is a line of the table.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static CURRENT_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting.
#[derive(Debug)]
pub struct CountingAllocator;

/// Bytes handed out now.
pub fn current_bytes() -> usize {
    CURRENT_BYTES.load(Ordering::Relaxed)
}

/// The most bytes that were handed out at once.
pub fn peak_bytes() -> usize {
    PEAK_BYTES.load(Ordering::Relaxed)
}

/// Blocks below this come from the heap and go back to it; the system would else map and unmap, and clear page by page,
/// every buffer of a fetch.
#[cfg(target_env = "gnu")]
const HEAP_BLOCK_BYTES_MAX: libc::c_int = 16 << 20;

/// The heap's end stays this long before it is given back to the kernel: the buffers of a consumer at full speed.
#[cfg(target_env = "gnu")]
const HEAP_SLACK_BYTES: libc::c_int = 4 << 20;

/// Tells the system's allocator to keep the blocks that fetches and produce requests use again and again. Once, at
/// start; where the system's allocator cannot be told, nothing happens.
pub fn keep_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets two numbers of the allocator, which take effect for later calls.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, HEAP_BLOCK_BYTES_MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, HEAP_SLACK_BYTES);
    }
}

#[inline]
fn count(bytes: usize) {
    let now = CURRENT_BYTES.fetch_add(bytes, Ordering::Relaxed) + bytes;
    if now > PEAK_BYTES.load(Ordering::Relaxed) {
        PEAK_BYTES.fetch_max(now, Ordering::Relaxed);
    }
}

#[inline]
fn discount(bytes: usize) {
    CURRENT_BYTES.fetch_sub(bytes, Ordering::Relaxed);
}

// SAFETY: every call is passed on unchanged to `System`, which keeps the contract; counting touches no memory of it.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is handed on.
        let pointer = unsafe { System.alloc(layout) };
        if !pointer.is_null() {
            count(layout.size());
        }
        pointer
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let pointer = unsafe { System.alloc_zeroed(layout) };
        if !pointer.is_null() {
            count(layout.size());
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise that `pointer` came from here with `layout` is handed on.
        unsafe { System.dealloc(pointer, layout) };
        discount(layout.size());
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { System.realloc(pointer, layout, new_size) };
        if !moved.is_null() {
            // While it moves, both may exist; the difference is counted first so that the peak is not too low.
            count(new_size);
            discount(layout.size());
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken is counted, what is given back is not, and the peak remembers.
    #[test]
    fn counts() {
        let allocator = CountingAllocator;
        let layout = Layout::from_size_align(1000, 8).unwrap();
        let larger = Layout::from_size_align(3000, 8).unwrap();
        // SAFETY: layouts are valid and not empty, and each pointer is given back once with the layout it has.
        unsafe {
            let before = current_bytes();
            let pointer = allocator.alloc(layout);
            assert_eq!(current_bytes(), before + 1000);
            let pointer = allocator.realloc(pointer, layout, 3000);
            assert_eq!(current_bytes(), before + 3000);
            allocator.dealloc(pointer, larger);
            let pointer = allocator.alloc_zeroed(layout);
            assert_eq!(*pointer, 0);
            allocator.dealloc(pointer, layout);
            assert_eq!(current_bytes(), before);
        }
        assert!(peak_bytes() >= 4000);
    }
}
