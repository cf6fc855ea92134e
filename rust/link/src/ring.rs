//! A ring of records in shared memory: one writer (the child), one reader (the worker).
//!
//! `head` and `tail` count bytes since the start and never wrap in practice (2^64); their place in the ring is the
//! remainder. A record is a little-endian `u32` length and that many bytes, padded to 8. The writer copies the record
//! first and moves `head` afterwards (release), so a writer that dies halfway has written nothing.

use crate::atomic::{AtomicU64, Ordering};
use crate::memory::SharedMemory;

/// Where the ring lies in the shared memory, and its two counters.
pub(crate) struct Ring<'m> {
    pub(crate) memory: &'m SharedMemory,
    pub(crate) head: &'m AtomicU64,
    pub(crate) tail: &'m AtomicU64,
    pub(crate) start: usize,
    pub(crate) capacity: usize,
}

fn padded(len: usize) -> usize {
    (4 + len).next_multiple_of(8)
}

impl Ring<'_> {
    /// Appends a record. False: there is no room for it now.
    pub(crate) fn push(&self, record: &[u8]) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        let used = head.wrapping_sub(self.tail.load(Ordering::Acquire)) as usize;
        let need = padded(record.len());
        if used > self.capacity || need > self.capacity - used {
            return false;
        }
        self.copy_in(head, &(record.len() as u32).to_le_bytes());
        self.copy_in(head + 4, record);
        self.head.store(head + need as u64, Ordering::Release);
        true
    }

    /// Hands every waiting record to `take`, oldest first; returns how many. `Err` holds what is wrong with a record
    /// that no honest writer can have written; the ring is then emptied.
    pub(crate) fn drain(&self, buffer: &mut Vec<u8>, mut take: impl FnMut(&[u8])) -> Result<usize, String> {
        let mut tail = self.tail.load(Ordering::Relaxed);
        let head = self.head.load(Ordering::Acquire);
        let mut count = 0;
        while tail != head {
            let mut len = [0u8; 4];
            self.copy_out(tail, &mut len);
            let len = u32::from_le_bytes(len) as usize;
            let available = head.wrapping_sub(tail) as usize;
            if available > self.capacity || padded(len) > available {
                self.tail.store(head, Ordering::Release);
                return Err(format!("a record of {len} bytes with {available} bytes in a ring of {}", self.capacity));
            }
            buffer.resize(len, 0);
            self.copy_out(tail + 4, buffer);
            tail += padded(len) as u64;
            take(buffer);
            count += 1;
        }
        self.tail.store(tail, Ordering::Release);
        Ok(count)
    }

    pub(crate) fn used(&self) -> usize {
        self.head.load(Ordering::Acquire).wrapping_sub(self.tail.load(Ordering::Acquire)) as usize
    }

    fn copy_in(&self, at: u64, bytes: &[u8]) {
        let place = (at % self.capacity as u64) as usize;
        let (left, right) = bytes.split_at(bytes.len().min(self.capacity - place));
        // SAFETY: `place + left.len() <= capacity`, and the reader does not look at these bytes before `head` has moved
        // past them.
        unsafe {
            self.memory.write(self.start + place, left);
            self.memory.write(self.start, right);
        }
    }

    fn copy_out(&self, at: u64, bytes: &mut [u8]) {
        let place = (at % self.capacity as u64) as usize;
        let first = bytes.len().min(self.capacity - place);
        let (left, right) = bytes.split_at_mut(first);
        // SAFETY: `place + left.len() <= capacity`, and the writer does not touch these bytes before `tail` has moved
        // past them.
        unsafe {
            self.memory.read(self.start + place, left);
            self.memory.read(self.start, right);
        }
    }
}
