//! A shared mapping of a memfd: the only place where pages are mapped and unmapped.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{MemfdFlags, fstat, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A mapping that several processes read and write. Its bytes are only touched through atomics and raw copies.
pub(crate) struct SharedMemory {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone within the process, and everything that reads or writes it does so
// through atomics, or through a ring whose two ends are each guarded by their owner.
unsafe impl Send for SharedMemory {}
// SAFETY: as above; `&SharedMemory` only hands out the address.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// A new mapping of `len` zero bytes, and the descriptor by which another process maps the same.
    pub(crate) fn create(len: usize) -> io::Result<(SharedMemory, OwnedFd)> {
        let fd = memfd_create("fastworker-page", MemfdFlags::CLOEXEC)?;
        ftruncate(&fd, len as u64)?;
        Ok((SharedMemory::map(&fd, len)?, fd))
    }

    /// Maps all of the memory behind `fd`.
    pub(crate) fn open(fd: impl AsFd) -> io::Result<SharedMemory> {
        let len = usize::try_from(fstat(&fd)?.st_size)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "shared page has a negative size"))?;
        SharedMemory::map(fd, len)
    }

    fn map(fd: impl AsFd, len: usize) -> io::Result<SharedMemory> {
        // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing of ours.
        let start =
            unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, fd, 0)? };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap returned a null mapping"))?;
        Ok(SharedMemory { start, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of byte `offset`.
    ///
    /// # Panics
    /// When `offset` lies outside: offsets are constants or checked by the caller.
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.len, "offset {offset} outside of a shared page of {} bytes", self.len);
        // SAFETY: within the mapping, just checked.
        unsafe { self.start.as_ptr().add(offset) }
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Safety
    /// No other side may read or write these places meanwhile.
    ///
    /// # Panics
    /// When a part of it lies outside.
    pub(crate) unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            assert!(bytes.len() <= self.len - offset, "{} bytes at {offset} leave a shared page", bytes.len());
            // SAFETY: inside the mapping, just checked; nobody else is there, as the caller promises.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(offset), bytes.len()) };
        }
    }

    /// Fills `bytes` from `offset`.
    ///
    /// # Safety
    /// No other side may write these places meanwhile.
    ///
    /// # Panics
    /// When a part of it lies outside.
    pub(crate) unsafe fn read(&self, offset: usize, bytes: &mut [u8]) {
        if !bytes.is_empty() {
            assert!(bytes.len() <= self.len - offset, "{} bytes at {offset} leave a shared page", bytes.len());
            // SAFETY: inside the mapping, just checked; nobody writes there, as the caller promises.
            unsafe { std::ptr::copy_nonoverlapping(self.at(offset), bytes.as_mut_ptr(), bytes.len()) };
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length and not unmapped since; nobody can hold a reference into it, as
        // every reference borrows `self`.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "munmap of a mapping of ours cannot fail: {unmapped:?}");
    }
}
