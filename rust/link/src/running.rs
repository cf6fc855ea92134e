//! Which task a child runs, and since when: two words that are read together without a lock.
//!
//! The number is taken away before the time changes, and put there afterwards. A reader looks at the number, the time,
//! and the number again. The fences see to it that whoever sees a new time also sees that the old number is gone;
//! without them a reader could take the next task's start for this one's, on machines that reorder stores.

use crate::atomic::{AtomicU64, Ordering, fence, pause};

/// The slot. `number` holds the task's number + 1, or 0 while nothing runs.
pub(crate) struct Running<'m> {
    pub(crate) number: &'m AtomicU64,
    pub(crate) started_us: &'m AtomicU64,
}

impl Running<'_> {
    /// Child: task `number` starts now.
    pub(crate) fn set(&self, number: u32, now_us: u64) {
        self.number.store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        self.started_us.store(now_us, Ordering::Relaxed);
        self.number.store(u64::from(number) + 1, Ordering::Release);
    }

    /// Child: nothing runs.
    pub(crate) fn clear(&self) {
        self.number.store(0, Ordering::Release);
    }

    /// Worker: the number of the task that runs, and since when.
    pub(crate) fn get(&self) -> Option<(u32, u64)> {
        loop {
            let number = self.number.load(Ordering::Acquire);
            let started_us = self.started_us.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if self.number.load(Ordering::Relaxed) == number {
                return (number != 0).then(|| ((number - 1) as u32, started_us));
            }
            pause();
        }
    }
}
