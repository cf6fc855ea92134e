//! A child whose tasks share a loop, and one of them does not let it turn: a coroutine that computes or calls something
//! that blocks, a greenlet that never waits, an extension that keeps the interpreter. The others cannot go on, and nobody
//! would know why. So the child has to say which task it is, once each time.
//!
//! While tasks run on its loop the child writes on its page when the loop turned last, several times within the time that
//! it may stand still. What waits for such a child goes to others, see `Engine::observed_many`.

use crate::action::Action;
use crate::child::{Child, Phase};
use crate::engine::Engine;
use crate::event::Now;

impl Engine {
    /// Asks a child whose loop has stood still for too long, as its page says, which task is to blame.
    pub(crate) fn tell_blocked(&mut self, now: Now, index: usize, actions: &mut Vec<Action>) {
        let due_us = self.blocked_due_us(&self.fleet.children()[index]);
        let child = self.fleet.at(index);
        if let (Some(due_us), Some(since_us)) = (due_us, child.turned_us)
            && due_us <= now.mono_us
            && child.phase == Phase::Ready
        {
            child.told_blocked_us = Some(since_us);
            actions.push(Action::Blocked { child: child.id, since_us });
        }
    }

    /// When a child's loop will have stood still for too long (`mono_us`), unless it turns before.
    pub(crate) fn blocked_due_us(&self, child: &Child) -> Option<u64> {
        let since_us = child.turned_us.filter(|_| child.turned_us != child.told_blocked_us)?;
        Some(since_us.saturating_add(self.config.blocked_after_us?))
    }
}
