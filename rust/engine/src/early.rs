//! Early acknowledgement (`acks_late=False`): the broker forgets the message before the task runs.
//!
//! From the confirmed acknowledgement to the end, only this worker knows the task; what is in that state dies with
//! the worker. So acknowledgement comes last, when a child has room, and at most 2 × concurrency tasks are in it.
//! Those beyond wait in a line of their own, so that they do not stand in the way of others. The calls of a batch count
//! as one when they are as many as it may have, so that there may be 2 × concurrency batches.
//!
//! An acknowledgement costs a round trip to the broker. Of short tasks, while there are enough of them, `COMPANY` leave
//! at a time: the first places that become free wait for the next ones, for no longer than `PATIENCE_US`.

use std::collections::VecDeque;

use crate::action::{Action, Ending};
use crate::child::Child;
use crate::engine::Engine;
use crate::event::{Handle, Now};
use crate::requests::Place;

/// What one task counts for.
const WEIGHT: u64 = 1 << 32;
/// As many acknowledgements of short tasks leave together. With two processes it is all that there may be.
const COMPANY: u32 = 4;
/// A task that is expected to take longer does not wait for company: the round trip is a small part of it.
const SHORT_US: u32 = 250;
/// No place stays free for longer, in microseconds, while something waits for it.
const PATIENCE_US: u64 = 1_000;

/// The account of early-acknowledged deliveries.
#[derive(Debug)]
pub(crate) struct Early {
    /// Weights: a task has `WEIGHT`, each call of a batch its part of that.
    limit: u64,
    /// Between the acknowledgement's sending and the end.
    count: u64,
    /// Of these, not at a child.
    unassigned: u32,
    /// Not acknowledged: waiting for a place.
    line: VecDeque<Handle>,
    /// Since when free places wait for more of them (`mono_us`).
    waits_since_us: Option<u64>,
}

impl Early {
    /// Nobody yet, and room for two for each slot.
    pub(crate) fn new(concurrency: u32) -> Early {
        Early { limit: limit(concurrency), count: 0, unassigned: 0, line: VecDeque::new(), waits_since_us: None }
    }

    /// There are that many slots now.
    pub(crate) fn set_slots(&mut self, slots: u32) {
        self.limit = limit(slots);
    }

    /// Whether one more task, or batch, may be acknowledged.
    pub(crate) fn has_room(&self) -> bool {
        self.waits_since_us.is_none() && self.has_places(1)
    }

    /// Whether so many are free.
    fn has_places(&self, places: u32) -> bool {
        self.count + u64::from(places) * WEIGHT <= self.limit
    }

    /// Free places are to be looked at anew; returns since when they waited.
    pub(crate) fn stop_waiting(&mut self) -> Option<u64> {
        self.waits_since_us.take()
    }

    /// When free places wait no longer for company (`mono_us`).
    pub(crate) fn due_us(&self) -> Option<u64> {
        self.waits_since_us.map(|since_us| since_us + PATIENCE_US)
    }

    /// How many are between acknowledgement and end without being at a child: they still need one.
    pub(crate) fn unassigned(&self) -> u32 {
        self.unassigned
    }

    /// How many wait for a place.
    pub(crate) fn line_len(&self) -> usize {
        self.line.len()
    }

    /// Takes a place: the acknowledgement is sent.
    pub(crate) fn enter(&mut self, weight: u64) {
        self.count += weight;
        self.unassigned += 1;
    }

    /// One got to a child.
    pub(crate) fn assigned(&mut self) {
        self.unassigned -= 1;
    }

    /// One came back from a child unstarted.
    pub(crate) fn came_back(&mut self) {
        self.unassigned += 1;
    }

    /// Gives the place back.
    pub(crate) fn leave(&mut self, was_at_child: bool, weight: u64) {
        self.count -= weight;
        if !was_at_child {
            self.unassigned -= 1;
        }
    }

    /// Waits for a place, behind those that are before it.
    fn queue(&mut self, handle: Handle, is_before: impl Fn(Handle) -> bool) {
        let last = self.line.iter().rposition(|&waiting| is_before(waiting));
        self.line.insert(last.map_or(0, |last| last + 1), handle);
    }

    /// The first in line, for whom there is a place now.
    fn next(&mut self, already: u32) -> Option<Handle> {
        if self.has_places(already + 1) { self.line.pop_front() } else { None }
    }

    /// Takes one out of the line. Linear; only lost leases need it.
    pub(crate) fn remove(&mut self, handle: Handle) {
        self.line.retain(|&waiting| waiting != handle);
    }

    /// Takes out of the line, last first, whom `keep` refuses.
    pub(crate) fn retain_newest_first(&mut self, mut keep: impl FnMut(Handle) -> bool) {
        let line = std::mem::take(&mut self.line);
        for handle in line.into_iter().rev() {
            if keep(handle) {
                self.line.push_front(handle);
            }
        }
    }
}

/// Room for two for each slot.
fn limit(slots: u32) -> u64 {
    u64::from(slots.saturating_mul(2).max(1)) * WEIGHT
}

impl Engine {
    /// What a delivery counts for.
    pub(crate) fn early_weight(&self, handle: Handle) -> u64 {
        let most = self.batch_task(handle).and_then(|task| self.config.tasks[task].batch).map_or(1, |terms| terms.most);
        WEIGHT / u64::from(most.max(1))
    }

    /// Sends the acknowledgement; the delivery comes back to the ready queues when it is confirmed.
    pub(crate) fn acknowledge_early(&mut self, handle: Handle, actions: &mut Vec<Action>) {
        self.early.enter(self.early_weight(handle));
        self.requests.of(handle).place = Place::Acking;
        actions.push(Action::Settle { handle, ending: Ending::EarlyAck });
    }

    /// Puts a delivery in line for a place: the most urgent first, in order of arrival. Who was called, and finds that
    /// another has taken the place, keeps its own in line.
    pub(crate) fn wait_for_place(&mut self, handle: Handle) {
        self.requests.of(handle).place = Place::EarlyLine;
        let requests = &self.requests;
        let rank = |handle| requests.get(handle).map(|held| (held.request.priority, held.order));
        let own = rank(handle);
        self.early.queue(handle, |other| rank(other) < own);
    }

    /// Makes as many from the line ready as there are places, now that a child has room.
    /// `waited_since_us`: since when places have waited for company.
    pub(crate) fn admit_from_early_line(&mut self, now: Now, waited_since_us: Option<u64>) {
        if !self.is_broker_up {
            return;
        }
        let since_us = waited_since_us.unwrap_or(now.mono_us);
        if self.waits_for_company(now, since_us) {
            self.early.waits_since_us = Some(since_us);
            return;
        }
        let mut moved = Vec::new();
        while let Some(handle) = self.early.next(moved.len() as u32) {
            moved.push(handle);
        }
        for handle in moved.into_iter().rev() {
            self.make_ready_first(handle);
        }
    }

    /// Whether the places that are free wait for others, as they have done since then. A child that turned out to run
    /// something slow is exclusive; where a process has several slots, no child tells when its next one ends.
    fn waits_for_company(&self, now: Now, since_us: u64) -> bool {
        let early = &self.early;
        let can_have_company = early.line.len() >= COMPANY as usize && early.limit >= u64::from(COMPANY) * WEIGHT;
        if !can_have_company || early.has_places(COMPANY) || !early.has_places(1) || self.config.slots > 1 {
            return false;
        }
        let is_near_its_end = |child: &Child| !child.is_idle() && !child.is_exclusive;
        now.mono_us.saturating_sub(since_us) < PATIENCE_US
            && early.line.front().is_some_and(|&handle| self.is_short(handle))
            && (early.unassigned > 0 || self.fleet.children().iter().any(is_near_its_end))
    }

    fn is_short(&self, handle: Handle) -> bool {
        let task = self.requests.get(handle).and_then(|held| held.request.task).map_or(0, |task| task as usize);
        self.windows[task].cost_us() <= SHORT_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What leaves the line too soon is queued again, so that nothing seen from outside shows this.
    #[test]
    fn as_many_leave_the_line_as_there_are_places() {
        let mut early = Early::new(2);
        early.enter(WEIGHT);
        (0..9).for_each(|handle| early.queue(Handle(handle), |_| true));
        let next: Vec<_> = (0..9).map_while(|already| early.next(already)).collect();
        assert_eq!(next, [0, 1, 2].map(Handle));
    }
}
