//! Redeliveries: counted durably, bounded, and run alone.
//!
//! A delivery that was handed out before may be the one that killed its process. Its attempt number is recorded at
//! the broker when a child is idle for it, not earlier, so that only starts are counted and not the time it waited
//! in a prefetch; the child is kept free meanwhile. A first start is not recorded, since that would cost every task
//! a round trip: `floor` tells the broker of it when it turns out to have died.

use crate::action::{Action, Ending};
use crate::engine::{Engine, Phase};
use crate::event::Handle;
use crate::requests::Place;

impl Engine {
    /// Asks the broker to count the start that is about to happen.
    pub(crate) fn record_attempt(&mut self, handle: Handle, actions: &mut Vec<Action>) {
        let held = self.requests.of(handle);
        held.place = Place::Recording;
        actions.push(Action::RecordAttempt { handle, floor: held.attempts });
    }

    /// The start is counted: it may happen, unless it is one too many.
    pub(crate) fn attempt_recorded(&mut self, handle: Handle, attempt: u32, actions: &mut Vec<Action>) {
        let held = match self.requests.get_mut(handle) {
            Some(held) if held.place == Place::Recording => held,
            _ => {
                self.counters.odd += 1;
                return;
            }
        };
        held.attempts = attempt;
        held.is_recorded = true;
        let most = self.config.max_deliveries;
        let (is_revoked, queue) = (held.revoke.is_some(), held.request.queue);
        self.release_child_of(handle);
        if is_revoked {
            self.end_revoked(handle, None, actions);
        } else if most > 0 && attempt > most {
            let ending = Ending::WorkerLost { attempts: attempt - 1, acked_early: false };
            self.end(handle, ending, actions);
        } else if self.phase == Phase::Running && !self.queues.gives_back(queue) {
            self.make_ready_first(handle);
        } else {
            self.hand_back(handle, actions);
        }
    }

    /// The child kept free for this delivery, if it still lives, may have work again.
    pub(crate) fn release_child_of(&mut self, handle: Handle) {
        let children = self.fleet.children();
        if let Some(index) = children.iter().position(|child| child.reserved_for == Some(handle)) {
            self.fleet.at(index).reserved_for = None;
            self.fleet.refresh(index);
        }
    }

    /// No child is kept free any longer: the broker's answers may be far away.
    pub(crate) fn release_reserved_children(&mut self) {
        for index in 0..self.fleet.children().len() {
            self.fleet.at(index).reserved_for = None;
            self.fleet.refresh(index);
        }
    }
}
