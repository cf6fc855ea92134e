//! Who may start a task: the child by claiming it, or nobody because the worker has recalled it.
//!
//! One atomic word holds `(next, bound)`. The worker hands out task numbers by moving `bound` up, and takes unstarted
//! ones back by moving `next` up to `bound`. The child may start number `next` only by moving `next` past it while
//! `next < bound`. Whoever wins the compare-and-swap has decided; there is no third state. Numbers only ever grow
//! (wrapping at 2^32), so a frame whose number lies below `next` was recalled, for ever.

use crate::atomic::{AtomicU64, Ordering};

/// The word `(next, bound)`, in shared memory.
#[repr(transparent)]
pub struct Claim(AtomicU64);

/// True when `a` comes before `b` on the circle of task numbers.
fn is_before(a: u32, b: u32) -> bool {
    (b.wrapping_sub(a) as i32) > 0
}

fn pack(next: u32, bound: u32) -> u64 {
    (u64::from(next) << 32) | u64::from(bound)
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

impl Claim {
    /// A word whose first task gets that number; elsewhere the word lies in shared memory and starts as 0.
    #[cfg(all(test, loom))]
    pub(crate) fn starting_at(number: u32) -> Claim {
        Claim(AtomicU64::new(pack(number, number)))
    }

    /// Worker: allows `count` more tasks and returns the number of the first one.
    pub fn extend(&self, count: u32) -> u32 {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let (next, bound) = unpack(word);
            let moved = pack(next, bound.wrapping_add(count));
            match self.0.compare_exchange_weak(word, moved, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return bound,
                Err(seen) => word = seen,
            }
        }
    }

    /// Worker: takes back everything that has not been claimed. Returns the first number that will never run.
    pub fn recall(&self) -> u32 {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let (next, bound) = unpack(word);
            match self.0.compare_exchange_weak(word, pack(bound, bound), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return next,
                Err(seen) => word = seen,
            }
        }
    }

    /// Child: tries to start task `number`. False: it was recalled; drop the frame.
    pub fn claim(&self, number: u32) -> bool {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let (next, bound) = unpack(word);
            if is_before(number, next) || !is_before(number, bound) {
                return false;
            }
            let moved = pack(number.wrapping_add(1), bound);
            match self.0.compare_exchange_weak(word, moved, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
    }

    /// Tasks with a number below it were claimed or recalled.
    pub fn next(&self) -> u32 {
        unpack(self.0.load(Ordering::Acquire)).0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn claim_at(next: u32, bound: u32) -> Claim {
        Claim(AtomicU64::new(pack(next, bound)))
    }

    #[test]
    fn a_task_is_claimed_once_and_in_order() {
        let claim = claim_at(0, 0);
        assert_eq!(claim.extend(2), 0);
        assert!(claim.claim(0));
        assert!(!claim.claim(0));
        assert!(claim.claim(1));
        assert!(!claim.claim(2));
    }

    #[test]
    fn a_recalled_task_is_never_claimed_and_its_number_never_returns() {
        let claim = claim_at(0, 0);
        claim.extend(3);
        assert!(claim.claim(0));
        assert_eq!(claim.recall(), 1);
        assert!(!claim.claim(1));
        assert!(!claim.claim(2));
        assert_eq!(claim.extend(1), 3);
        assert!(claim.claim(3));
    }

    #[test]
    fn numbers_wrap_around() {
        let claim = claim_at(u32::MAX, u32::MAX);
        assert_eq!(claim.extend(2), u32::MAX);
        assert!(claim.claim(u32::MAX));
        assert!(claim.claim(0));
        assert_eq!(claim.next(), 1);
    }

    #[test]
    fn each_number_goes_to_exactly_one_side_when_claim_and_recall_race() {
        let claim = claim_at(0, 0);
        let rounds = 20_000u32;
        let (claimed, recalled) = std::thread::scope(|scope| {
            let child = scope.spawn(|| {
                let mut claimed = 0u32;
                let mut number = 0u32;
                while is_before(number, rounds * 4) {
                    if claim.claim(number) {
                        claimed += 1;
                        number += 1;
                    } else if is_before(number, claim.next()) {
                        number += 1;
                    } else {
                        std::hint::spin_loop();
                    }
                }
                claimed
            });
            let mut recalled = 0u32;
            for _ in 0..rounds {
                let first = claim.extend(4);
                let from = claim.recall();
                recalled += (first + 4).wrapping_sub(from);
            }
            (child.join().expect("the child thread does not panic"), recalled)
        });
        assert_eq!(claimed + recalled, rounds * 4);
    }
}
