//! Children that do not answer: one that never gets ready, one that does not exit when told to, one that runs the same
//! task for very long. The first two are killed, and replaced like any that dies; the third may be at work, so that only
//! its stacks are logged, once for each task.

use crate::action::Action;
use crate::child::Phase;
use crate::engine::Engine;
use crate::event::{ChildId, Now};

/// A child without tasks exits within this time after it was told to, or is killed.
const STOP_TIMEOUT_US: u64 = 10_000_000;

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
