//! Promise 6: what no child here can take soon goes back to the front of its queue, where a free worker finds it.
//!
//! A delivery that has waited for `return_after_us` goes back when every child is stuck that long at one task, or
//! when more are before it than the children get through in that time. It is not counted as an attempt. The
//! lookahead (`prefetch`) sees the same signs and fetches nothing ahead, so that a worker with long tasks does not
//! fetch and return in a loop.

use crate::action::Action;
use crate::engine::{Engine, Phase};
use crate::event::{Handle, Now};

impl Engine {
    /// Returns what has a permit and waits for a place of its queue: another worker may have one.
    fn give_standing_back(&mut self, now: Now, actions: &mut Vec<Action>) {
        let (after_us, requests) = (self.config.return_after_us, &mut self.requests);
        let is_late = |handle: Handle| {
            let held = requests.of(handle);
            !held.is_acked && now.mono_us.saturating_sub(held.ready_since_us) >= after_us
        };
        for handle in self.queues.take_late(is_late) {
            self.hand_back(handle, actions);
        }
    }

    /// Returns what waited too long, last in line first: each goes to the front, and so the order is kept.
    pub(crate) fn give_back(&mut self, now: Now, actions: &mut Vec<Action>) {
        let may = self.phase == Phase::Running && self.is_broker_up && self.is_lease_safe;
        if may && !self.suspects.is_empty() {
            self.give_suspects_back(now, actions);
        }
        if may && self.queues.has_standing() {
            self.give_standing_back(now, actions);
        }
        if !may || self.waiting() == 0 || self.fleet.idle() > 0 {
            return;
        }
        let after_us = self.config.return_after_us;
        let keep = match self.fleet.stuck_for_us(now.mono_us) {
            None => 0,
            Some(stuck_us) if stuck_us >= after_us => 0,
            Some(_) => self.prefetch.startable(self.fleet.capacity(), after_us).unwrap_or(u32::MAX),
        };
        let mut surplus = self.waiting().saturating_sub(keep);
        let mut returned: Vec<Handle> = Vec::new();
        let requests = &mut self.requests;
        let mut keeps = |handle: Handle| {
            let held = requests.of(handle);
            let waited_us = now.mono_us.saturating_sub(held.ready_since_us);
            if surplus == 0 || held.is_acked || waited_us < after_us {
                return true;
            }
            surplus -= 1;
            returned.push(handle);
            false
        };
        self.gatherings.retain_newest_first(&mut keeps);
        self.ready.retain_newest_first(&mut keeps);
        self.early.retain_newest_first(&mut keeps);
        for handle in returned {
            self.hand_back(handle, actions);
        }
    }
}
