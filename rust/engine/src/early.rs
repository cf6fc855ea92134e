//! Early acknowledgement (`acks_late=False`): the broker forgets the message before the task runs.
//!
//! From the confirmed acknowledgement to the end, only this worker knows the task; what is in that state dies with
//! the worker. So acknowledgement comes last, when a child has room, and at most 2 × concurrency tasks are in it.
//! Those beyond wait in a line of their own, so that they do not stand in the way of others. The calls of a batch count
//! as one when they are as many as it may have, so that there may be 2 × concurrency batches.

use std::collections::VecDeque;

use crate::action::{Action, Ending};
use crate::engine::Engine;
use crate::event::Handle;
use crate::requests::Place;

/// What one task counts for.
const WEIGHT: u64 = 1 << 32;

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
}

impl Early {
    /// Nobody yet, and room for two for each slot.
    pub(crate) fn new(concurrency: u32) -> Early {
        Early { limit: limit(concurrency), count: 0, unassigned: 0, line: VecDeque::new() }
    }

    /// There are that many slots now.
    pub(crate) fn set_slots(&mut self, slots: u32) {
        self.limit = limit(slots);
    }

    /// Whether one more task, or batch, may be acknowledged.
    pub(crate) fn has_room(&self) -> bool {
        self.count + WEIGHT <= self.limit
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

    /// Waits for a place.
    pub(crate) fn queue(&mut self, handle: Handle) {
        self.line.push_back(handle);
    }

    /// The first in line, for whom there is a place now.
    fn next(&mut self, already: u32) -> Option<Handle> {
        if self.count + (u64::from(already) + 1) * WEIGHT > self.limit {
            return None;
        }
        self.line.pop_front()
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

    /// Makes as many from the line ready as there are places, now that a child has room.
    pub(crate) fn admit_from_early_line(&mut self) {
        if !self.is_broker_up {
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
}
