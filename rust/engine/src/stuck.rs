//! Children that do not answer: one that never gets ready, one that does not exit when told to, one that runs the same
//! task for very long. The first two are killed, and replaced like any that dies; the third may be at work, so that only
//! where it is is logged, once for each task.

use crate::action::Action;
use crate::child::{Child, Phase};
use crate::engine::Engine;
use crate::event::{ChildId, Now, Number};

/// A child without tasks exits within this time after it was told to, or is killed.
const STOP_TIMEOUT_US: u64 = 10_000_000;
/// Thousands of tasks that began together are not logged together: so many of one child at a time…
const LOCATED_AT_ONCE: usize = 10;
/// …and the next ones after this time.
const LOCATED_EVERY_US: u64 = 1_000_000;

impl Child {
    /// With several slots: something was assigned that may turn out to run for very long.
    pub(crate) fn look_for_long_runners(&mut self, after_us: Option<u64>, now_us: u64) {
        if let Some(after_us) = after_us.filter(|_| self.locate_at_us.is_none()) {
            self.locate_at_us = Some(now_us.saturating_add(after_us));
        }
    }
}

impl Engine {
    /// The process of a child exists.
    pub(crate) fn child_forked(&mut self, now: Now, id: ChildId, actions: &mut Vec<Action>) {
        let Some(index) = self.fleet.find(id) else {
            self.counters.odd += 1;
            return;
        };
        let child = self.fleet.at(index);
        match child.phase {
            Phase::Starting => child.since_us = Some(now.mono_us),
            // It was killed before there was a process to kill.
            Phase::Killed => actions.push(Action::Kill { child: id }),
            Phase::Ready | Phase::Spare | Phase::Stopping => self.counters.odd += 1,
        }
    }

    /// Kills who had time enough to get ready, or to exit.
    pub(crate) fn kill_the_stuck(&mut self, now: Now, actions: &mut Vec<Action>) {
        for index in 0..self.fleet.children().len() {
            let due_us = self.due_us(index);
            let child = self.fleet.at(index);
            if due_us.is_some_and(|due_us| due_us <= now.mono_us) {
                actions.push(Action::DumpStacks { child: child.id, number: None });
                actions.push(Action::Kill { child: child.id });
                child.phase = Phase::Killed;
                self.fleet.refresh(index);
            }
        }
    }

    /// When the next one has had time enough (`mono_us`).
    pub(crate) fn stuck_due_us(&self) -> Option<u64> {
        (0..self.fleet.children().len()).filter_map(|index| self.due_us(index)).min()
    }

    /// Asks for the stacks of a child whose task has been running for very long.
    pub(crate) fn dump_long_runner(&mut self, now: Now, index: usize, actions: &mut Vec<Action>) {
        let Some(after_us) = self.config.stacks_after_us else {
            return;
        };
        let child = self.fleet.at(index);
        let id = child.id;
        if let Some(running) = child.running.as_mut().filter(|_| child.phase == Phase::Ready)
            && !running.is_dumped
            && now.mono_us.saturating_sub(running.since_us) >= after_us
        {
            running.is_dumped = true;
            actions.push(Action::DumpStacks { child: id, number: Some(running.number) });
        }
    }

    /// The same in a child with several slots, for each of its tasks. `running`: what its page says, if it was read. When
    /// to read it again follows from the oldest; nothing that starts later can be due before.
    pub(crate) fn locate_long_runners(
        &mut self,
        now: Now,
        index: usize,
        running: &[(Number, u64)],
        actions: &mut Vec<Action>,
    ) {
        let Some(after_us) = self.config.stacks_after_us else {
            return;
        };
        let child = self.fleet.at(index);
        let is_due = child.locate_at_us.is_some_and(|at_us| at_us <= now.mono_us);
        if running.is_empty() {
            // Read before it was due, or nothing is claimed yet: the next time.
            return;
        }
        let mut next_us = now.mono_us.saturating_add(after_us);
        let mut over = Vec::new();
        for &(number, since_us) in running {
            let due_us = since_us.saturating_add(after_us);
            if !child.is_open(number) || child.located.contains(&number) {
                continue;
            } else if due_us <= now.mono_us {
                over.push(number);
            } else {
                next_us = next_us.min(due_us);
            }
        }
        let is_too_many = !over.split_off(over.len().min(LOCATED_AT_ONCE)).is_empty();
        if child.phase != Phase::Ready || (is_too_many && !is_due) {
            return;
        }
        if is_too_many {
            next_us = next_us.min(now.mono_us + LOCATED_EVERY_US);
        }
        child.locate_at_us = Some(next_us);
        let id = child.id;
        for number in over {
            child.located.insert(number);
            actions.push(Action::Locate { child: id, number });
        }
    }

    fn due_us(&self, index: usize) -> Option<u64> {
        let child = &self.fleet.children()[index];
        let timeout_us = match child.phase {
            Phase::Starting => self.config.start_timeout_us?,
            Phase::Stopping => STOP_TIMEOUT_US,
            Phase::Ready | Phase::Spare | Phase::Killed => return None,
        };
        Some(child.since_us?.saturating_add(timeout_us))
    }
}
