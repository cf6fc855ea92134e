//! What the auditor knows of rate limits: how many starts a limit can have allowed by now, at the very most.
//!
//! Arrivals are the only way in, so the k-th start cannot come before the earliest permit that the k-th arrival could
//! have had from a bucket of capacity 1: an interval after the one before, and not before it was there (less what a
//! late tick may make up for). Permits that were spent in vain only make the bound looser.

use crate::admit::Rate;

/// What a late tick may make up for, as the bucket has it, in microseconds.
const CATCH_UP_US: u64 = 100_000;
/// Beyond its permit, a delivery waits for a tick, an answer and a turn.
const PATIENCE_US: u64 = 500_000;

/// One task type's limit as seen from outside.
#[derive(Debug, Default)]
pub(super) struct Permits {
    rate: Option<Rate>,
    /// By arrival: when it may have had its permit.
    earliest_us: Vec<u64>,
    arrivals_us: Vec<u64>,
    /// The first so many came without a limit, and need no permit.
    free: usize,
    /// The same as `earliest_us` for the next one to arrive.
    next_us: u64,
    /// First starts so far.
    starts: usize,
    last_us: u64,
    /// This worker has, or had, a limit for it: it knows of lanes.
    is_known: bool,
}

impl Permits {
    /// Nothing has come in yet.
    pub(super) fn new(rate: Option<Rate>, has_lanes: bool) -> Permits {
        Permits { rate, is_known: rate.is_some() || has_lanes, ..Permits::default() }
    }

    /// The limit is another one. `free`, `timed`: deliveries here that are due, and that are not; if there was no limit
    /// until now, the first need no permit.
    pub(super) fn set(&mut self, rate: Option<Rate>, free: usize, timed: usize, now_us: u64) {
        self.last_us = now_us;
        self.is_known = true;
        let before_us = self.interval_us();
        self.rate = rate;
        let Some(before_us) = before_us else {
            self.starts = 0;
            self.next_us = 0;
            self.arrivals_us = vec![0; free];
            self.earliest_us = vec![0; free];
            self.free = free;
            (0..timed).for_each(|_| self.arrived(now_us));
            return;
        };
        // What was granted before counts for the shorter of both intervals.
        let Some(interval_us) = self.interval_us().map(|interval_us| interval_us.min(before_us)) else { return };
        // A permit that an earlier, still shorter interval allowed stands through any number of changes.
        let granted_us = self.earliest_us.get(self.starts).copied().unwrap_or(self.next_us);
        let (last, next_us) = (self.starts.checked_sub(1), self.next_us);
        self.next_us = last.map_or(0, |last| self.earliest_us[last].saturating_add(interval_us)).min(granted_us);
        for at in self.starts.max(self.free)..self.arrivals_us.len() {
            let own_us = self.arrivals_us[at].saturating_sub(CATCH_UP_US);
            self.earliest_us[at] = self.earliest_us[at].min(self.next_us.max(own_us));
            self.next_us = self.earliest_us[at].saturating_add(interval_us);
        }
        self.next_us = self.next_us.min(next_us);
    }

    /// Whether there is a limit now.
    pub(super) fn is_limited(&self) -> bool {
        self.rate.is_some()
    }

    /// A delivery came in.
    pub(super) fn arrived(&mut self, now_us: u64) {
        let Some(interval_us) = self.interval_us() else { return };
        let earliest_us = self.next_us.max(now_us.saturating_sub(CATCH_UP_US));
        self.arrivals_us.push(now_us);
        self.earliest_us.push(earliest_us);
        self.next_us = earliest_us.saturating_add(interval_us);
    }

    /// A delivery is started for the first time. False: more than the limit can have allowed.
    pub(super) fn started(&mut self, now_us: u64) -> bool {
        self.last_us = now_us;
        if self.rate.is_none() {
            return true;
        }
        self.starts += 1;
        self.earliest_us.get(self.starts - 1).is_some_and(|&earliest_us| earliest_us <= now_us)
    }

    /// A permit may have been spent otherwise: a delivery has left unstarted, or came from a lane and waits for its turn.
    pub(super) fn spent(&mut self, now_us: u64) {
        self.last_us = now_us;
    }

    /// Whether somebody who waits since `since_us` should have had a permit at `now_us`.
    pub(super) fn is_overdue(&self, since_us: u64, now_us: u64) -> bool {
        match self.interval_us() {
            None => true,
            Some(interval_us) => {
                let due_us = self.last_us.max(since_us).saturating_add(interval_us).saturating_add(PATIENCE_US);
                now_us >= due_us
            }
        }
    }

    /// Whether this worker ever had a limit for it.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Rounded down: the bound is to err on the side of the engine.
    fn interval_us(&self) -> Option<u64> {
        self.rate.map(|rate| rate.interval_ns() / 1_000)
    }
}
