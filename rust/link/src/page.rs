//! The page that a worker shares with one child, and the words on it.
//!
//! | offset | word | written by | says |
//! | --- | --- | --- | --- |
//! | 0 | `format` | worker | layout version; a child of another version refuses it |
//! | 8 | `slots` | worker | how many tasks the child may run at once |
//! | 64 | `claim` | both | which tasks may be started, see `claim.rs` |
//! | 128 | `running`, `started_us` | child | with one slot: number + 1 of the task that runs (0: none), and since when |
//! | 192 | `head` | child | bytes ever written to the ring |
//! | 256 | `tail` | worker | bytes ever read from the ring |
//! | 320 | `soft_target` | worker | number + 1 of the task that a soft time limit is meant for |
//! | 328 | `terminate_target` | worker | number + 1 of the task that the signal of a revoke is meant for |
//! | 336 | `turned_us` | child | when the loop that its tasks share turned last; 0: there is none, or nothing runs on it |
//! | 4096 | slots × (`running`, `started_us`) | child | with several slots: the same for each; else nothing |
//! | next multiple of 4096 | ring | child | records |
//!
//! A child with one slot is told of time limits and revokes by a signal, which its page says for whom it is meant; one
//! with several slots by a frame that names the task.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::atomic::{AtomicU64, Ordering};
use crate::claim::Claim;
use crate::memory::SharedMemory;
use crate::ring::Ring;
use crate::running::Running;

const FORMAT: u64 = 3;
const FORMAT_AT: usize = 0;
const SLOTS_AT: usize = 8;
const CLAIM_AT: usize = 64;
const RUNNING_AT: usize = 128;
const HEAD_AT: usize = 192;
const TAIL_AT: usize = 256;
const SOFT_TARGET_AT: usize = 320;
const TERMINATE_TARGET_AT: usize = 328;
const TURNED_AT: usize = 336;
const TABLE_AT: usize = 4096;
/// Bytes of a slot: its two words.
const SLOT_BYTES: usize = 16;
/// Most slots of one child: their words take a megabyte.
const MOST_SLOTS: usize = 65_536;

/// One child's shared page. The worker creates it, the child opens it.
pub struct Page {
    memory: SharedMemory,
    slots: usize,
    ring_at: usize,
}

/// Where the ring of a page with so many slots begins.
fn ring_at(slots: usize) -> usize {
    let table = if slots == 1 { 0 } else { slots * SLOT_BYTES };
    (TABLE_AT + table).next_multiple_of(4096)
}

impl Page {
    /// Worker: a new page for a child that runs up to `slots` tasks at once (1..=65,536), whose ring holds `ring_bytes`
    /// (a multiple of 8); and the descriptor that the child opens.
    pub fn create(ring_bytes: usize, slots: usize) -> io::Result<(Page, OwnedFd)> {
        assert!(ring_bytes > 0 && ring_bytes.is_multiple_of(8), "ring size must be a positive multiple of 8");
        assert!((1..=MOST_SLOTS).contains(&slots), "a child has between 1 and {MOST_SLOTS} slots");
        let ring_at = ring_at(slots);
        let (memory, fd) = SharedMemory::create(ring_at + ring_bytes)?;
        let page = Page { memory, slots, ring_at };
        page.word(SLOTS_AT).store(slots as u64, Ordering::Relaxed);
        page.word(FORMAT_AT).store(FORMAT, Ordering::Release);
        Ok((page, fd))
    }

    /// Child: the page behind `fd`.
    pub fn open(fd: impl AsFd) -> io::Result<Page> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let mut page = Page { memory: SharedMemory::open(fd)?, slots: 1, ring_at: TABLE_AT };
        if page.memory.len() <= TABLE_AT {
            return Err(invalid("shared page is too small".to_owned()));
        }
        match page.word(FORMAT_AT).load(Ordering::Acquire) {
            FORMAT => {}
            other => {
                let text = format!("shared page has layout {other}, this child knows {FORMAT}: restart the worker");
                return Err(invalid(text));
            }
        }
        let slots = page.word(SLOTS_AT).load(Ordering::Relaxed);
        page.slots = usize::try_from(slots)
            .ok()
            .filter(|slots| (1..=MOST_SLOTS).contains(slots))
            .ok_or_else(|| invalid(format!("shared page has {slots} slots: expected 1 to {MOST_SLOTS}")))?;
        page.ring_at = ring_at(page.slots);
        if page.memory.len() <= page.ring_at {
            return Err(invalid("shared page has no room for its ring".to_owned()));
        }
        Ok(page)
    }

    /// How many tasks the child may run at once.
    pub fn slots(&self) -> usize {
        self.slots
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: constants, or words of the table of slots, inside the mapping and aligned to 8; all sides only use
        // atomic operations on them.
        unsafe { AtomicU64::from_ptr(self.memory.at(offset).cast()) }
    }

    /// The word that says which tasks may be started.
    pub fn claim(&self) -> &Claim {
        // SAFETY: `Claim` is a transparent wrapper of the same atomic word.
        unsafe { &*self.memory.at(CLAIM_AT).cast::<Claim>() }
    }

    /// Child: task `number` starts now in a slot that is free. `now_us` is the system's monotonic clock in microseconds.
    pub fn set_running(&self, slot: usize, number: u32, now_us: u64) {
        self.running_slot(slot).set(number, now_us);
    }

    /// Child: nothing runs in this slot.
    pub fn clear_running(&self, slot: usize) {
        self.running_slot(slot).clear();
    }

    /// The number of the task that runs in a slot, and since when (monotonic microseconds).
    pub fn running(&self, slot: usize) -> Option<(u32, u64)> {
        self.running_slot(slot).get()
    }

    /// The same of all that run, in the order of slots. Looks at every slot.
    pub fn all_running(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..self.slots).filter_map(|slot| self.running(slot))
    }

    fn running_slot(&self, slot: usize) -> Running<'_> {
        assert!(slot < self.slots, "slot {slot} of {}", self.slots);
        let at = if self.slots == 1 { RUNNING_AT } else { TABLE_AT + slot * SLOT_BYTES };
        Running { number: self.word(at), started_us: self.word(at + 8) }
    }

    /// Child: the loop that its tasks share turns now (monotonic microseconds); `None`: nothing runs on it.
    pub fn set_turned(&self, now_us: Option<u64>) {
        self.word(TURNED_AT).store(now_us.unwrap_or(0), Ordering::Relaxed);
    }

    /// Worker: when that was last.
    pub fn turned_us(&self) -> Option<u64> {
        Some(self.word(TURNED_AT).load(Ordering::Relaxed)).filter(|turned_us| *turned_us != 0)
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
            start: self.ring_at,
            capacity: self.memory.len() - self.ring_at,
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
        let (page, fd) = Page::create(256, 1).expect("memfd");
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
        let (page, _fd) = Page::create(64, 1).expect("memfd");
        assert!(page.push(&[1; 20]) && page.push(&[2; 20]));
        assert!(!page.push(&[3; 20]));
        let mut buffer = Vec::new();
        assert_eq!(page.drain(&mut buffer, |_| ()), Ok(2));
        assert!(page.push(&[3; 20]));
        assert_eq!(page.waiting(), 24);
    }

    #[test]
    fn nonsense_in_the_ring_is_reported_and_dropped() {
        let (page, _fd) = Page::create(64, 1).expect("memfd");
        assert!(page.push(&[1; 20]));
        page.word(page.ring_at).store(u64::MAX, Ordering::Release);
        let mut buffer = Vec::new();
        assert!(page.drain(&mut buffer, |_| ()).is_err());
        assert_eq!(page.waiting(), 0);
    }

    #[test]
    fn the_running_task_and_its_soft_limit_are_seen_from_both_sides() {
        let (page, fd) = Page::create(64, 1).expect("memfd");
        let child = Page::open(&fd).expect("same page");
        child.set_running(0, 7, 1234);
        assert_eq!(page.running(0), Some((7, 1234)));
        page.set_soft_target(7);
        assert!(child.is_soft_target());
        child.set_running(0, 8, 1300);
        assert!(!child.is_soft_target() && !child.is_terminate_target());
        page.set_terminate_target(8);
        assert!(child.is_terminate_target());
        child.clear_running(0);
        assert_eq!(page.running(0), None);
    }

    #[test]
    fn several_slots_are_seen_each_by_itself_and_the_ring_lies_behind_them() {
        let (page, fd) = Page::create(64, 300).expect("memfd");
        let child = Page::open(&fd).expect("same page");
        assert_eq!(child.slots(), 300);
        child.set_running(0, 7, 1234);
        child.set_running(299, 9, 1300);
        assert!(child.push(&[255; 40]));
        assert_eq!(page.all_running().collect::<Vec<_>>(), [(7, 1234), (9, 1300)]);
        child.clear_running(0);
        assert_eq!(page.all_running().collect::<Vec<_>>(), [(9, 1300)]);
    }

    #[test]
    fn loop_that_turns_is_seen_from_the_other_side() {
        let (page, fd) = Page::create(64, 2).expect("memfd");
        let child = Page::open(&fd).expect("same page");
        assert_eq!(page.turned_us(), None);
        child.set_turned(Some(1234));
        assert_eq!(page.turned_us(), Some(1234));
        child.set_turned(None);
        assert_eq!(page.turned_us(), None);
    }

    #[test]
    fn page_without_slots_is_refused() {
        let (page, fd) = Page::create(64, 1).expect("memfd");
        page.word(SLOTS_AT).store(0, Ordering::Relaxed);
        assert!(Page::open(&fd).is_err());
    }

    #[test]
    fn two_processes_worth_of_records_arrive_complete_and_in_order() {
        let (page, fd) = Page::create(1024, 1).expect("memfd");
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
