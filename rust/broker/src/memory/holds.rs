//! Whether a task's message is in a room.

use super::state::State;
use crate::parked::is_of;

impl State {
    /// It is in a queue, a lane, a lease, parked or dead.
    pub(super) fn holds(&self, task_id: &str) -> bool {
        let queued = self.queues.values().flat_map(|queue| queue.values());
        let mut kept = queued.chain(self.lanes.messages()).chain(self.leased.values()).chain(self.parked.values());
        kept.any(|message| is_of(&message.body, task_id))
            || self.dead.one(task_id).is_some_and(|letter| letter.id == task_id)
    }
}
