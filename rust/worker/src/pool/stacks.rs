//! The stacks that a child writes when it is asked to: behind the ring, in the memory that it shares with us. So that
//! nothing that it writes can block it, and what it wrote survives it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::fstat;
use rustix::io::pread;

/// Asks a child for its stacks: the signal that `python/fastworker/worker/stacks.py` registers. A realtime signal that no
/// library uses for itself.
pub(crate) const SIGNAL: i32 = 61;

/// More than this of one answer is left out.
const MOST_BYTES: u64 = 64 * 1024;

/// The end of a child's memory, where its stacks are appended.
pub(crate) struct Stacks {
    fd: OwnedFd,
    seen: u64,
    /// What the stacks that were asked for are of, for the log; `None`: none were.
    pub(crate) wanted_for: Option<String>,
}

impl Stacks {
    /// Watches the file behind `fd`, whose present end is its ring's.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Stacks> {
        let seen = size(&fd)?;
        Ok(Stacks { fd, seen, wanted_for: None })
    }

    /// What was written since the last look.
    pub(crate) fn take(&mut self) -> String {
        let Ok(end) = size(&self.fd) else { return String::new() };
        let len = end.saturating_sub(self.seen).min(MOST_BYTES);
        let mut bytes = vec![0; len as usize];
        let read = pread(&self.fd, &mut bytes[..], self.seen).unwrap_or(0);
        self.seen = end;
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }
}

fn size(fd: &OwnedFd) -> io::Result<u64> {
    Ok(u64::try_from(fstat(fd)?.st_size).unwrap_or(0))
}
