//! Time limits and revokes of tasks that run beside others in one process.
//!
//! A signal would hit the process, not the task. So the child is told by a frame which task to interrupt: to raise its
//! soft limit in it, or to end it and report that. A task that has not ended so long after it was told to is ended with
//! its process; its neighbours are run again, and the attempt is not counted against them (`death.rs`).
//!
//! When a task is due to be looked at is kept in a heap, so that thousands of tasks without limits cost nothing, and
//! those with limits only when one is over: the page is read then (`Engine::looks_at`), and says since when it runs.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::action::{Action, Interrupt};
use crate::child::{Child, Phase};
use crate::engine::Engine;
use crate::event::{ChildId, Now, Number};
use crate::limits::Limits;
use crate::recall::recall;
use crate::requests::Revoke;
use crate::revoke;

/// A task that was told to end has so long to do so before its process is killed, in microseconds.
pub(crate) const GRACE_US: u64 = 1_000_000;
/// A task that is due to be looked at, and is not seen running yet, is looked for again after this time.
const AGAIN_US: u64 = 2_000;
/// A child that has not claimed for so long what it was given is blocked: longer than a time slice, and than a
/// collection of garbage.
const STALLED_US: u64 = 20_000;
/// It may still be reading what was sent, at this many bytes in a microsecond on a busy machine.
const READ_BYTES_PER_US: u64 = 10;

/// Why a task was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Its hard limit, in milliseconds, is over.
    HardLimit(u64),
    /// It was revoked, with this signal.
    Terminate(i32),
}

/// A task that was interrupted, and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interrupted {
    /// Its number.
    pub(crate) number: Number,
    /// It was told of its soft limit.
    is_soft_sent: bool,
    /// It was told to end: why, and until when (`mono_us`).
    told: Option<(Told, u64)>,
}

/// When to look at which tasks of a child, soonest first. Entries of tasks that have ended are left until they are more
/// than the others.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    heap: BinaryHeap<Reverse<(u64, Number)>>,
}

impl Checks {
    /// Looks at a task then.
    fn add(&mut self, due_us: u64, number: Number) {
        self.heap.push(Reverse((due_us, number)));
    }

    /// When that is next (`mono_us`).
    pub(crate) fn due_us(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((due_us, _))| *due_us)
    }

    fn pop_due(&mut self, now_us: u64) -> Option<Number> {
        self.heap.peek().filter(|Reverse((due_us, _))| *due_us <= now_us)?;
        self.heap.pop().map(|Reverse((_, number))| number)
    }
}

impl Child {
    /// A task with limits was assigned: it is looked at when the first of them can be over.
    pub(crate) fn watch(&mut self, number: Number, limits: &Limits, now_us: u64) {
        let Some(shortest_us) = limits.shortest_us() else { return };
        self.checks.add(now_us.saturating_add(shortest_us), number);
        if self.checks.heap.len() > 64 + 2 * self.open() as usize {
            let mut checks = std::mem::take(&mut self.checks);
            checks.heap.retain(|Reverse((_, number))| self.is_open(*number));
            self.checks = checks;
        }
    }

    /// Sees to it that a task that was assigned is looked at when a limit of it is over, or it has been running for very
    /// long.
    pub(crate) fn watch_limits(&mut self, number: Number, limits: &Limits, stacks_after_us: Option<u64>, now_us: u64) {
        if self.slots > 1 {
            self.watch(number, limits, now_us);
            self.look_for_long_runners(stacks_after_us, now_us);
        } else if let Some(shortest_us) = limits.shortest_us() {
            let so_far_us = self.shortest_limit_us.unwrap_or(u64::MAX);
            self.shortest_limit_us = Some(so_far_us.min(shortest_us));
        }
    }

    /// What a task was told that has not ended.
    pub(crate) fn told(&self, number: Number) -> Option<Told> {
        self.interrupted.iter().find(|it| it.number == number)?.told.map(|(told, _)| told)
    }

    /// When the first of those that were told to end has had time enough (`mono_us`).
    pub(crate) fn grace_due_us(&self) -> Option<u64> {
        self.interrupted.iter().filter_map(|it| it.told).map(|(_, until_us)| until_us).min()
    }

    fn interrupted(&mut self, number: Number) -> &mut Interrupted {
        let index = self.interrupted.iter().position(|it| it.number == number).unwrap_or_else(|| {
            self.interrupted.push(Interrupted { number, is_soft_sent: false, told: None });
            self.interrupted.len() - 1
        });
        &mut self.interrupted[index]
    }
}

impl Engine {
    /// Whether it matters now which tasks of this child run, and since when. Asked by the driver before it reads the
    /// page of a child with several slots: `Event::ObservedMany` may say that nothing runs otherwise.
    pub fn looks_at(&self, id: ChildId, now_us: u64) -> bool {
        let child = self.fleet.children().iter().find(|child| child.id == id);
        child.is_some_and(|child| {
            let due_us = child.checks.due_us().into_iter().chain(child.locate_at_us).min();
            child.has_revoked || due_us.is_some_and(|due_us| due_us <= now_us)
        })
    }

    /// The control page of a child with several slots was read.
    pub(crate) fn observed_many(
        &mut self,
        now: Now,
        id: ChildId,
        next: Number,
        running: Vec<(Number, u64)>,
        turned_us: Option<u64>,
        actions: &mut Vec<Action>,
    ) {
        let Some(index) = self.fleet.find(id) else {
            self.counters.odd += 1;
            return;
        };
        let child = self.fleet.at(index);
        if child.claim(next) {
            child.unclaimed_since_us = now.mono_us;
        }
        child.turned_us = turned_us;
        self.locate_long_runners(now, index, &running, actions);
        self.tell_blocked(now, index, actions);
        if !running.is_empty() && self.fleet.at(index).phase == Phase::Ready {
            let since: HashMap<Number, u64> = running.into_iter().collect();
            self.interrupt_what_is_over(now, index, &since, actions);
            self.interrupt_what_is_revoked(now, index, &since, actions);
        }
        self.kill_for_those_that_go_on(now, index, actions);
        let child = self.fleet.at(index);
        let left_us = now.mono_us.saturating_sub(child.unclaimed_since_us);
        let is_late = || left_us >= child.unclaimed_bytes() / READ_BYTES_PER_US;
        if left_us >= STALLED_US && child.phase == Phase::Ready && child.unstarted() > 0 && is_late() {
            child.is_stalled = true;
            recall(child, actions);
            self.fleet.refresh(index);
        }
    }

    /// A child came to frames that had been recalled.
    pub(crate) fn awake(&mut self, id: ChildId) {
        if let Some(index) = self.fleet.find(id) {
            self.fleet.at(index).is_stalled = false;
            self.fleet.refresh(index);
        } else {
            self.counters.odd += 1;
        }
    }

    /// Tells those of their limits whose time has come.
    fn interrupt_what_is_over(
        &mut self,
        now: Now,
        index: usize,
        since: &HashMap<Number, u64>,
        actions: &mut Vec<Action>,
    ) {
        let mut later = Vec::new();
        while let Some(number) = self.fleet.at(index).checks.pop_due(now.mono_us) {
            let (child, requests) = (self.fleet.at(index), &mut self.requests);
            let Some(limits) = child.limits(number, |handle| requests.of(handle).limits) else { continue };
            let Some(&since_us) = since.get(&number) else {
                later.push((now.mono_us + AGAIN_US, number));
                continue;
            };
            let due = |limit_us: u64| since_us.saturating_add(limit_us);
            let id = child.id;
            let it = child.interrupted(number);
            if let Some(limit_us) = limits.hard_us.filter(|&limit_us| due(limit_us) <= now.mono_us) {
                if it.told.is_none() {
                    it.told = Some((Told::HardLimit(limit_us / 1_000), now.mono_us + GRACE_US));
                    actions.push(Action::Interrupt { child: id, number, kind: Interrupt::HardLimit });
                }
                continue;
            }
            let mut next_us = limits.hard_us.map(due);
            match limits.soft_us.filter(|_| !it.is_soft_sent) {
                Some(limit_us) if due(limit_us) <= now.mono_us => {
                    it.is_soft_sent = true;
                    let kind = Interrupt::SoftLimit { limit_ms: limit_us / 1_000 };
                    actions.push(Action::Interrupt { child: id, number, kind });
                }
                Some(limit_us) => next_us = Some(next_us.map_or(due(limit_us), |hard_us| hard_us.min(due(limit_us)))),
                None => {}
            }
            later.extend(next_us.map(|due_us| (due_us, number)));
            let child = self.fleet.at(index);
            child.interrupted.retain(|it| it.is_soft_sent || it.told.is_some());
        }
        let checks = &mut self.fleet.at(index).checks;
        later.into_iter().for_each(|(due_us, number)| checks.add(due_us, number));
    }

    /// Tells those to end that are to be terminated and run.
    fn interrupt_what_is_revoked(
        &mut self,
        now: Now,
        index: usize,
        since: &HashMap<Number, u64>,
        actions: &mut Vec<Action>,
    ) {
        if !self.fleet.at(index).has_revoked {
            return;
        }
        let open: Vec<_> = self.fleet.at(index).open_tasks().collect();
        let mut has_more = false;
        for (number, handle) in open {
            let Some(Revoke::Terminate(signal)) = self.requests.of(handle).revoke else { continue };
            let child = self.fleet.at(index);
            let id = child.id;
            if !since.contains_key(&number) {
                has_more = true;
                continue;
            }
            let it = child.interrupted(number);
            if it.told.is_none() {
                it.told = Some((Told::Terminate(signal), now.mono_us + revoke::GRACE_US));
                actions.push(Action::Interrupt { child: id, number, kind: Interrupt::Terminate });
            }
        }
        self.fleet.at(index).has_revoked = has_more;
    }

    /// Kills a child in which a task goes on although it was told to end.
    fn kill_for_those_that_go_on(&mut self, now: Now, index: usize, actions: &mut Vec<Action>) {
        let child = self.fleet.at(index);
        let is_over = |it: &&Interrupted| it.told.is_some_and(|(_, until_us)| until_us <= now.mono_us);
        let Some(number) = child.interrupted.iter().find(is_over).map(|it| it.number) else { return };
        if child.phase == Phase::Ready {
            recall(child, actions);
            child.phase = Phase::Killed;
            child.is_killed_for_one = true;
            actions.push(Action::DumpStacks { child: child.id, number: Some(number) });
            actions.push(Action::Kill { child: child.id });
            self.fleet.refresh(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Handle;

    #[test]
    fn checks_of_ended_tasks_do_not_pile_up() {
        let mut child = Child::new(ChildId(0), 4, u64::MAX);
        let limits = Limits { soft_us: None, hard_us: Some(u64::MAX / 2) };
        let mut most = 0;
        for number in 0..10_000 {
            child.assign(Handle(number), 1, 1, 0);
            child.watch(number, &limits, 0);
            most = most.max(child.checks.heap.len());
            if number >= 3 {
                child.close(number, 0);
            }
        }
        assert_eq!(most, 64 + 2 * 4);
        assert!((0..3).all(|open| child.checks.heap.iter().any(|Reverse((_, number))| *number == open)));
    }
}
