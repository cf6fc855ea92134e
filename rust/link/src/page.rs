//! The page that a worker shares with one child, and the words on it.
//!
//! | offset | word | written by | says |
//! | --- | --- | --- | --- |
//! | 0 | `format` | worker | layout version; a child of another version refuses it |
//! | 64 | `claim` | both | which tasks may be started, see `claim.rs` |
//! | 128 | `running`, `started_us` | child | number + 1 of the task that runs (0: none), and since when |
//! | 192 | `head` | child | bytes ever written to the ring |
//! | 256 | `tail` | worker | bytes ever read from the ring |
//! | 320 | `soft_target` | worker | number + 1 of the task that a soft time limit is meant for |
//! | 328 | `terminate_target` | worker | number + 1 of the task that the signal of a revoke is meant for |
//! | 4096 | ring | child | records |

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::atomic::{AtomicU64, Ordering};
use crate::claim::Claim;
use crate::memory::SharedMemory;
use crate::ring::Ring;
use crate::running::Running;

const FORMAT: u64 = 1;
const FORMAT_AT: usize = 0;
const CLAIM_AT: usize = 64;
const RUNNING_AT: usize = 128;
const STARTED_AT: usize = 136;
const HEAD_AT: usize = 192;
const TAIL_AT: usize = 256;
const SOFT_TARGET_AT: usize = 320;
const TERMINATE_TARGET_AT: usize = 328;
const RING_AT: usize = 4096;

/// One child's shared page. The worker creates it, the child opens it.
pub struct Page {
    memory: SharedMemory,
}

impl Page {
    /// Worker: a new page whose ring holds `ring_bytes` (a multiple of 8), and the descriptor that the child opens.
    pub fn create(ring_bytes: usize) -> io::Result<(Page, OwnedFd)> {
        assert!(ring_bytes > 0 && ring_bytes.is_multiple_of(8), "ring size must be a positive multiple of 8");
        let (memory, fd) = SharedMemory::create(RING_AT + ring_bytes)?;
        let page = Page { memory };
        page.word(FORMAT_AT).store(FORMAT, Ordering::Release);
        Ok((page, fd))
    }

    /// Child: the page behind `fd`.
    pub fn open(fd: impl AsFd) -> io::Result<Page> {
        let page = Page { memory: SharedMemory::open(fd)? };
        if page.memory.len() <= RING_AT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "shared page is too small"));
        }
        match page.word(FORMAT_AT).load(Ordering::Acquire) {
            FORMAT => Ok(page),
            other => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("shared page has layout {other}, this child knows {FORMAT}: restart the worker"),
            )),
        }
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: constants inside the mapping, aligned to 8; all sides only use atomic operations on them.
        unsafe { AtomicU64::from_ptr(self.memory.at(offset).cast()) }
    }

    /// The word that says which tasks may be started.
    pub fn claim(&self) -> &Claim {
        // SAFETY: `Claim` is a transparent wrapper of the same atomic word.
        unsafe { &*self.memory.at(CLAIM_AT).cast::<Claim>() }
    }

    /// Child: task `number` starts now. `now_us` is the system's monotonic clock in microseconds.
    pub fn set_running(&self, number: u32, now_us: u64) {
        self.running_slot().set(number, now_us);
    }

    /// Child: nothing runs.
    pub fn clear_running(&self) {
        self.running_slot().clear();
    }

    /// The number of the task that runs, and since when (monotonic microseconds).
    pub fn running(&self) -> Option<(u32, u64)> {
        self.running_slot().get()
    }

    fn running_slot(&self) -> Running<'_> {
        Running { number: self.word(RUNNING_AT), started_us: self.word(STARTED_AT) }
    }

    /// Worker: the soft time limit signal that follows is meant for task `number`.
    pub fn set_soft_target(&self, number: u32) {
        self.word(SOFT_TARGET_AT).store(u64::from(number) + 1, Ordering::Release);
    }

    /// Child: whether a soft time limit signal is meant for the task that runs now.
    pub fn is_soft_target(&self) -> bool {
        let target = self.word(SOFT_TARGET_AT).load(Ordering::Acquire);
        target != 0 && target == self.word(RUNNING_AT).load(Ordering::Acquire)
    }

    /// Worker: the signal of a revoke that follows is meant for task `number`.
    pub fn set_terminate_target(&self, number: u32) {
        self.word(TERMINATE_TARGET_AT).store(u64::from(number) + 1, Ordering::Release);
    }

    /// Child: whether the signal of a revoke is meant for the task that runs now.
    pub fn is_terminate_target(&self) -> bool {
        let target = self.word(TERMINATE_TARGET_AT).load(Ordering::Acquire);
        target != 0 && target == self.word(RUNNING_AT).load(Ordering::Acquire)
    }

    fn ring(&self) -> Ring<'_> {
        Ring {
            memory: &self.memory,
            head: self.word(HEAD_AT),
            tail: self.word(TAIL_AT),
            start: RING_AT,
            capacity: self.memory.len() - RING_AT,
        }
    }

    /// Child: appends a record to the ring. False: no room (send it over the socket). One thread at a time.
    pub fn push(&self, record: &[u8]) -> bool {
        self.ring().push(record)
    }

    /// Worker: hands every waiting record to `take`. `Err`: the child wrote nonsense and must be replaced.
    pub fn drain(&self, buffer: &mut Vec<u8>, take: impl FnMut(&[u8])) -> Result<usize, String> {
        self.ring().drain(buffer, take)
    }

    /// Bytes that wait in the ring.
    pub fn waiting(&self) -> usize {
        self.ring().used()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in_also_around_the_end() {
        let (page, fd) = Page::create(256).expect("memfd");
        let child = Page::open(&fd).expect("same page");
        let mut buffer = Vec::new();
        for round in 0..100u8 {
            let record = vec![round; 1 + usize::from(round) % 90];
            assert!(child.push(&record));
            let mut seen = Vec::new();
            page.drain(&mut buffer, |bytes| seen.push(bytes.to_vec())).expect("honest writer");
            assert_eq!(seen, [record]);
        }
    }

    #[test]
    fn a_full_ring_refuses_and_recovers() {
        let (page, _fd) = Page::create(64).expect("memfd");
        assert!(page.push(&[1; 20]) && page.push(&[2; 20]));
        assert!(!page.push(&[3; 20]));
        let mut buffer = Vec::new();
        assert_eq!(page.drain(&mut buffer, |_| ()), Ok(2));
        assert!(page.push(&[3; 20]));
        assert_eq!(page.waiting(), 24);
    }

    #[test]
    fn nonsense_in_the_ring_is_reported_and_dropped() {
        let (page, _fd) = Page::create(64).expect("memfd");
        assert!(page.push(&[1; 20]));
        page.word(RING_AT).store(u64::MAX, Ordering::Release);
        let mut buffer = Vec::new();
        assert!(page.drain(&mut buffer, |_| ()).is_err());
        assert_eq!(page.waiting(), 0);
    }

    #[test]
    fn the_running_task_and_its_soft_limit_are_seen_from_both_sides() {
        let (page, fd) = Page::create(64).expect("memfd");
        let child = Page::open(&fd).expect("same page");
        child.set_running(7, 1234);
        assert_eq!(page.running(), Some((7, 1234)));
        page.set_soft_target(7);
        assert!(child.is_soft_target());
        child.set_running(8, 1300);
        assert!(!child.is_soft_target() && !child.is_terminate_target());
        page.set_terminate_target(8);
        assert!(child.is_terminate_target());
        child.clear_running();
        assert_eq!(page.running(), None);
    }

    #[test]
    fn two_processes_worth_of_records_arrive_complete_and_in_order() {
        let (page, fd) = Page::create(1024).expect("memfd");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let child = Page::open(&fd).expect("same page");
                for number in 0..50_000u32 {
                    while !child.push(&number.to_le_bytes()) {
                        std::hint::spin_loop();
                    }
                }
            });
            let (mut expected, mut buffer) = (0u32, Vec::new());
            while expected < 50_000 {
                page.drain(&mut buffer, |bytes| {
                    assert_eq!(bytes, expected.to_le_bytes());
                    expected += 1;
                })
                .expect("honest writer");
            }
        });
    }
}
