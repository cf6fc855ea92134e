//! The number of seats: by order, or by the load.
//!
//! *Autoscaling* grows at once: when more tasks are running or ready than there are seats, there is a seat for each of
//! them, up to the maximum. It shrinks slowly: after each `keepalive` to the most that was needed at any moment of it.
//! Celery's autoscaler grows by the same rule; it shrinks to the need of the moment, once its last growth lies
//! `keepalive` back. So that work that waits is seen, a worker whose children are all busy fetches one task for each
//! seat that it could still add.
//!
//! Where tasks share a process, a seat is for as many as it has slots, and what counts is the tasks: there are as many
//! seats as those that run or could would fill. A process that is blocked, or takes nothing more, counts as full.
//!
//! The bounds that depend on the number of children follow: the prefetch in proportion, and the early-acknowledged.

use crate::action::Action;
use crate::config::Autoscale;
use crate::engine::{Engine, Phase};
use crate::event::{Now, Resize};

/// The autoscaler's bounds, and what it remembers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) bounds: Autoscale,
    /// Most children needed at once since `since_us`.
    peak: u32,
    /// `None` before the first turn (`mono_us`).
    since_us: Option<u64>,
}

impl Scale {
    pub(crate) fn new(bounds: Autoscale) -> Scale {
        Scale { bounds: sane(bounds), peak: 0, since_us: None }
    }

    /// When to look again whether fewer would do (`mono_us`).
    fn due_us(&self) -> Option<u64> {
        self.since_us.map(|since_us| since_us.saturating_add(self.bounds.keepalive_us))
    }

    /// How many seats there should be, when `needed` tasks run or could.
    fn seats(&mut self, seats: u32, needed: u32, may_grow: bool, now_us: u64) -> u32 {
        let Autoscale { max, min, .. } = self.bounds;
        self.peak = self.peak.max(needed);
        if may_grow && needed > seats && seats < max {
            (self.peak, self.since_us) = (needed, Some(now_us));
            return needed.min(max);
        }
        match self.due_us() {
            None => self.since_us = Some(now_us),
            Some(due_us) if due_us <= now_us => {
                let enough = self.peak.clamp(min, max).min(seats);
                (self.peak, self.since_us) = (needed, Some(now_us));
                return enough;
            }
            Some(_) => {}
        }
        seats
    }
}

/// At least one child, and no more at least than at most.
fn sane(bounds: Autoscale) -> Autoscale {
    let max = bounds.max.max(1);
    Autoscale { max, min: bounds.min.clamp(1, max), ..bounds }
}

impl Engine {
    /// Somebody wants more or fewer children.
    pub(crate) fn resize(&mut self, resize: Resize) {
        let bounds = self.scale.as_ref().map(|scale| scale.bounds);
        let (least, most) = bounds.map_or((0, u32::MAX), |bounds| (bounds.min, bounds.max));
        let seats = match resize {
            Resize::Grow(count) => self.seats.saturating_add(count).min(most),
            Resize::Shrink(count) => self.seats.saturating_sub(count).max(least),
            Resize::Autoscale { max, min } => {
                let Some(scale) = &mut self.scale else {
                    return;
                };
                let bounds = scale.bounds;
                scale.bounds =
                    sane(Autoscale { max: max.unwrap_or(bounds.max), min: min.unwrap_or(bounds.min), ..bounds });
                self.seats.clamp(scale.bounds.min, scale.bounds.max)
            }
        };
        self.set_seats(seats);
        self.is_resized = true;
        self.follow_size();
    }

    /// Follows the load, after what could be dispatched has been.
    pub(crate) fn autoscale(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.scale.is_none() || self.phase != Phase::Running {
            return;
        }
        let needed = self.needed_seats();
        let may_grow = self.is_lease_safe && self.is_broker_up;
        let scale = self.scale.as_mut().expect("asked above");
        let seats = scale.seats(self.seats, needed, may_grow, now.mono_us);
        if seats != self.seats {
            self.set_seats(seats);
            self.tend(now, actions);
        }
    }

    fn set_seats(&mut self, seats: u32) {
        self.is_shrunk |= seats < self.seats;
        self.seats = seats;
    }

    /// How many seats the tasks that run or could would take.
    fn needed_seats(&self) -> u32 {
        let (slots, waiting) = (self.config.per_child(), self.waiting() - self.gatherings.len());
        if self.config.slots == 1 {
            return self.fleet.count(|child| !child.is_idle()).saturating_add(waiting);
        }
        let children = self.fleet.children().iter().filter(|child| !child.is_cell);
        let taken = children.map(|child| {
            // One that is blocked, or has had its last task, can take nothing, however much of it is free.
            let is_full = child.is_stalled || child.allowance == 0 || child.is_outgrown;
            if is_full { slots.max(child.open()) } else { child.open() }
        });
        taken.sum::<u32>().saturating_add(waiting).div_ceil(slots)
    }

    /// Most tasks at once that there may be without another order.
    pub(crate) fn capacity(&self) -> u32 {
        let children = self.scale.as_ref().map_or(self.seats, |scale| scale.bounds.max);
        children.saturating_mul(self.config.per_child())
    }

    /// Tasks at once for which the autoscaler could still add seats.
    pub(crate) fn growth(&self) -> u32 {
        let seats = self.scale.as_ref().map_or(0, |scale| scale.bounds.max.saturating_sub(self.seats));
        seats.saturating_mul(self.config.per_child())
    }

    /// When the autoscaler wants to look again (`mono_us`).
    pub(crate) fn scale_due_us(&self) -> Option<u64> {
        self.scale.as_ref().filter(|scale| self.seats > scale.bounds.min)?.due_us()
    }

    /// The bounds that depend on the number of children.
    fn follow_size(&mut self) {
        let capacity = self.capacity();
        let started = u64::from(self.config.autoscale.map_or(self.config.concurrency, |bounds| bounds.max).max(1))
            * u64::from(self.config.per_child());
        let prefetch = u64::from(self.config.prefetch) * u64::from(capacity) / started;
        self.prefetch.set_limit(u32::try_from(prefetch).unwrap_or(u32::MAX).max(capacity));
        self.prefetch.set_batches(capacity, &self.config);
        self.early.set_slots(capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale() -> Scale {
        Scale::new(Autoscale { max: 8, min: 2, keepalive_us: 1_000 })
    }

    #[test]
    fn work_that_waits_gets_a_seat_each_up_to_the_maximum() {
        let mut scale = scale();
        assert_eq!(scale.seats(2, 5, true, 0), 5);
        assert_eq!(scale.seats(5, 50, true, 1), 8);
    }

    #[test]
    fn quiet_pool_shrinks_to_what_was_needed_at_most() {
        let mut scale = scale();
        assert_eq!(scale.seats(2, 8, true, 0), 8);
        assert_eq!(scale.seats(8, 3, true, 1_000), 8);
        assert_eq!(scale.seats(8, 1, true, 1_500), 8);
        assert_eq!(scale.seats(8, 0, true, 2_000), 3);
        assert_eq!(scale.seats(3, 0, true, 3_000), 2);
    }

    #[test]
    fn pool_that_is_as_large_as_needed_or_permitted_is_looked_at_when_it_would_have_been() {
        for (seats, needed) in [(5, 5), (8, 50)] {
            let mut scale = scale();
            scale.seats(2, needed, true, 0);
            assert_eq!(scale.seats(seats, needed, true, 999), seats);
            assert_eq!(scale.seats(seats, 0, true, 1_000), seats);
            assert_eq!(scale.seats(seats, 0, true, 2_000), 2);
        }
    }

    #[test]
    fn nothing_grows_while_nothing_may_start() {
        assert_eq!(scale().seats(2, 5, false, 0), 2);
    }

    #[test]
    fn senseless_bounds_are_put_right() {
        let bounds = Scale::new(Autoscale { max: 0, min: 9, keepalive_us: 1 }).bounds;
        assert_eq!((bounds.max, bounds.min), (1, 1));
    }
}
