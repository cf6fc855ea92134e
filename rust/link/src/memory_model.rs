//! The memory of the page under loom: cells that notice when two sides use one of them at once.

use loom::cell::UnsafeCell;

/// Stands for the mapping.
pub(crate) struct SharedMemory(Vec<UnsafeCell<u8>>);

// SAFETY: what loom is here to find out; it stops the test at the first access that another one could meet.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// So many zero bytes.
    pub(crate) fn of(len: usize) -> SharedMemory {
        SharedMemory((0..len).map(|_| UnsafeCell::new(0)).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Safety
    /// No other side may read or write these places meanwhile.
    pub(crate) unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        for (cell, byte) in self.0[offset..].iter().zip(bytes) {
            // SAFETY: the pointer is valid inside `with_mut`, and loom sees to it that nobody else is there.
            cell.with_mut(|place| unsafe { *place = *byte });
        }
    }

    /// Fills `bytes` from `offset`.
    ///
    /// # Safety
    /// No other side may write these places meanwhile.
    pub(crate) unsafe fn read(&self, offset: usize, bytes: &mut [u8]) {
        for (cell, byte) in self.0[offset..].iter().zip(bytes) {
            // SAFETY: as above.
            *byte = cell.with(|place| unsafe { *place });
        }
    }
}
