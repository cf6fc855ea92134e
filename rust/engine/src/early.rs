//! Early acknowledgement (`acks_late=False`): the broker forgets the message before the task runs.
//!
//! From the confirmed acknowledgement to the end, only this worker knows the task; what is in that state dies with
//! the worker. So acknowledgement comes last, when a child has room, and at most 2 × concurrency tasks are in it.
//! Those beyond wait in a line of their own, so that they do not stand in the way of others.

use std::collections::VecDeque;

use crate::action::{Action, Ending};
use crate::engine::Engine;
use crate::event::Handle;
use crate::requests::Place;

/// The account of early-acknowledged deliveries.
#[derive(Debug)]
pub(crate) struct Early {
    limit: u32,
    /// Between the acknowledgement's sending and the end.
    count: u32,
    /// Of these, not at a child.
    unassigned: u32,
    /// Not acknowledged: waiting for a place.
    line: VecDeque<Handle>,
}

impl Early {
    /// Nobody yet, and room for two for each slot.
    pub(crate) fn new(concurrency: u32) -> Early {
        Early { limit: concurrency.saturating_mul(2).max(1), count: 0, unassigned: 0, line: VecDeque::new() }
    }

    /// There are that many slots now.
    pub(crate) fn set_slots(&mut self, slots: u32) {
        self.limit = slots.saturating_mul(2).max(1);
    }

    /// Whether one more may be acknowledged.
    pub(crate) fn has_room(&self) -> bool {
        self.count < self.limit
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
    pub(crate) fn enter(&mut self) {
        self.count += 1;
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
    pub(crate) fn leave(&mut self, was_at_child: bool) {
        self.count -= 1;
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
        if self.count + already >= self.limit {
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

impl Engine {
    /// Sends the acknowledgement; the delivery comes back to the ready queues when it is confirmed.
    pub(crate) fn acknowledge_early(&mut self, handle: Handle, actions: &mut Vec<Action>) {
        self.early.enter();
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
