//! The stacks that a child writes when it is asked to: behind the ring, in the memory that it shares with us. So that
//! nothing that it writes can block it, and what it wrote survives it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::fstat;
use rustix::io::pread;
use rustix::process::Signal;

/// Asks a child for its stacks: the signal that `python/fastworker/worker/stacks.py` registers. A realtime signal that no
/// library uses for itself.
pub(crate) const SIGNAL: i32 = 61;

/// Asks a child with a loop which task keeps it: `python/fastworker/child/heartbeat.py` handles it. That is Python code,
/// which runs only where the task is in Python too, or in a system call; the other signal is answered in any case.
pub(crate) const BLAME_SIGNAL: i32 = 62;
/// The line that answers it begins so.
const BLAME: &str = "blocked by: ";

/// A signal by its number.
pub(crate) fn signal(number: i32) -> Signal {
    debug_assert!(number == SIGNAL || number == BLAME_SIGNAL);
    // SAFETY: below the kernel's largest, and not one that the C library keeps for itself.
    unsafe { Signal::from_raw_unchecked(number) }
}

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

    /// What was written since the last look: who is to blame, if that is said, and the stacks.
    pub(crate) fn take(&mut self) -> (Option<String>, String) {
        split_blame(&self.written())
    }

    fn written(&mut self) -> String {
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

/// Takes the line that says who is to blame out of what was written.
fn split_blame(written: &str) -> (Option<String>, String) {
    let (mut blame, mut stacks) = (None, String::new());
    for line in written.lines() {
        match line.strip_prefix(BLAME) {
            Some(who) => blame = Some(who.to_owned()),
            None => {
                stacks.push_str(line);
                stacks.push('\n');
            }
        }
    }
    stacks.truncate(stacks.trim_end().len());
    (blame, stacks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame_is_taken_out_of_the_stacks() {
        let written = "Current thread:\n  File 1\nblocked by: task a[1], at a.py:3 in a\n  File 2\n\n";
        let (blame, stacks) = split_blame(written);
        assert_eq!(blame.as_deref(), Some("task a[1], at a.py:3 in a"));
        assert_eq!(stacks, "Current thread:\n  File 1\n  File 2");
        assert_eq!(split_blame(""), (None, String::new()));
    }
}
