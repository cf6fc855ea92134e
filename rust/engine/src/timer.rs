//! Deliveries that wait here for their eta: a heap by wall-clock time.
//!
//! An eta is a promise in wall-clock time, so it is compared with the wall clock at every tick and never turned into
//! a monotonic instant that a clock jump would falsify. The deadline handed out is an estimate, capped so that a jump
//! is noticed soon.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::event::{Handle, Now};

/// Longest sleep while something waits, so that a wall clock that jumped is noticed within this time.
const LONGEST_SLEEP_US: u64 = 1_000_000;

/// The local timer.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    /// Due time, then order of arrival, so that equal etas keep the queue's order.
    heap: BinaryHeap<Reverse<(i64, u64, Handle)>>,
    arrivals: u64,
}

impl Timer {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Waits until `until_ms` (Unix time).
    pub(crate) fn push(&mut self, until_ms: i64, handle: Handle) {
        self.arrivals += 1;
        self.heap.push(Reverse((until_ms, self.arrivals, handle)));
    }

    /// The next delivery whose time has come, or `None`.
    pub(crate) fn pop_due(&mut self, wall_ms: i64) -> Option<Handle> {
        let Reverse((until_ms, _, _)) = *self.heap.peek()?;
        if until_ms > wall_ms {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, handle))| handle)
    }

    /// Takes one delivery off, wherever it is. Linear; only lost leases need it.
    pub(crate) fn remove(&mut self, handle: Handle) {
        self.heap.retain(|Reverse((_, _, waiting))| *waiting != handle);
    }

    /// Takes everything off, latest first.
    pub(crate) fn drain(&mut self) -> Vec<Handle> {
        self.drain_later_than(i64::MIN)
    }

    /// Takes off what is due later than `limit_ms`, latest first.
    pub(crate) fn drain_later_than(&mut self, limit_ms: i64) -> Vec<Handle> {
        let entries = std::mem::take(&mut self.heap).into_sorted_vec();
        let mut later = Vec::new();
        for entry in entries {
            if entry.0.0 > limit_ms {
                later.push(entry.0.2);
            } else {
                self.heap.push(entry);
            }
        }
        later
    }

    /// When to look next (`mono_us`), judged by the clocks at `now`.
    pub(crate) fn deadline(&self, now: Now) -> Option<u64> {
        let Reverse((until_ms, _, _)) = *self.heap.peek()?;
        let wait_ms = until_ms.saturating_sub(now.wall_ms).max(0) as u64;
        let wait_us = wait_ms.saturating_mul(1_000).min(LONGEST_SLEEP_US);
        Some(now.mono_us + wait_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn deliveries_come_out_in_order_of_eta_then_arrival() {
        let mut timer = Timer::default();
        for (until_ms, handle) in [(20, 3), (10, 2), (20, 1)] {
            timer.push(until_ms, Handle(handle));
        }
        let due: Vec<_> = std::iter::from_fn(|| timer.pop_due(20)).collect();
        assert_eq!(due, [Handle(2), Handle(3), Handle(1)]);
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut timer = Timer::default();
        timer.push(20, Handle(1));
        assert_eq!(timer.pop_due(19), None);
        assert_eq!(timer.deadline(at(500, 19)), Some(1_500));
    }

    #[test]
    fn far_deadline_is_capped_so_that_a_clock_jump_is_noticed() {
        let mut timer = Timer::default();
        timer.push(i64::MAX, Handle(1));
        assert_eq!(timer.deadline(at(0, 0)), Some(LONGEST_SLEEP_US));
    }

    #[test]
    fn draining_by_limit_keeps_the_near_ones() {
        let mut timer = Timer::default();
        for (until_ms, handle) in [(10, 1), (30, 2), (20, 3)] {
            timer.push(until_ms, Handle(handle));
        }
        assert_eq!(timer.drain_later_than(20), [Handle(2)]);
        assert_eq!(timer.drain_later_than(15), [Handle(3)]);
        assert_eq!(timer.len(), 1);
    }
}
