//! The phases of stopping.
//!
//! ```text
//!   Running ─ Warm, Soft ─▶ Warm ─ Cold, or its time is over ─▶ Cold ──▶ Finished
//!      └───────────────────── Cold ──────────────────────────────▲
//! ```
//!
//! - *Warm*: nothing is fetched; what has not started goes back to its queue; what runs may finish. What was
//!   acknowledged early is known to nobody else and still runs. Children without work are stopped. A *soft* shutdown is
//!   a warm one with a bound of its own.
//! - *Cold*: what runs is killed and goes back, marked as redelivered; what was acknowledged early is lost, and said so.
//! - *Finished*: every handle is settled, every child has exited, no fetch is out. While the broker is away this waits
//!   for its answers; how long, is for the driver to decide.

use crate::action::Action;
use crate::child;
use crate::engine::{Engine, Phase};
use crate::event::{Handle, Now, Shutdown};
use crate::recall::recall;

impl Engine {
    /// A shutdown was asked for. Only a stronger one than before changes anything.
    pub(crate) fn shut_down(&mut self, now: Now, kind: Shutdown, actions: &mut Vec<Action>) {
        let after = |timeout_us: u64| now.mono_us.saturating_add(timeout_us);
        let soft_us = self.config.soft_timeout_us;
        match kind {
            Shutdown::Warm if self.phase == Phase::Running => {
                self.cold_at_us = self.config.warm_timeout_us.map(after);
                self.enter(Phase::Warm, actions);
            }
            Shutdown::Soft if soft_us > 0 && self.phase <= Phase::Warm => {
                self.cold_at_us = Some(self.cold_at_us.map_or(after(soft_us), |at_us| at_us.min(after(soft_us))));
                self.stays_until_us = self.cold_at_us.filter(|_| self.config.soft_waits_when_idle);
                if self.phase == Phase::Running {
                    self.enter(Phase::Warm, actions);
                }
            }
            Shutdown::Cold | Shutdown::Soft if self.phase < Phase::Cold => self.go_cold(actions),
            Shutdown::Warm | Shutdown::Soft | Shutdown::Cold => {}
        }
    }

    /// Ends a wait whose time is over.
    pub(crate) fn end_the_wait(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.phase == Phase::Warm && self.cold_at_us.is_some_and(|at_us| at_us <= now.mono_us) {
            actions.push(Action::TimeIsUp);
            self.go_cold(actions);
        }
    }

    /// When that is (`mono_us`).
    pub(crate) fn shutdown_due_us(&self) -> Option<u64> {
        self.cold_at_us.filter(|_| self.phase == Phase::Warm)
    }

    fn go_cold(&mut self, actions: &mut Vec<Action>) {
        self.stays_until_us = None;
        self.enter(Phase::Cold, actions);
    }

    fn enter(&mut self, phase: Phase, actions: &mut Vec<Action>) {
        self.phase = phase;
        self.release_reserved_children();
        self.recall_all(actions);
        self.empty_lists(actions);
        if phase == Phase::Cold {
            self.kill_all(actions);
        }
    }

    /// Stops what has nothing left to do, and says when nothing is left at all. Called after every event.
    pub(crate) fn wind_up(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.phase == Phase::Running {
            return;
        }
        if self.phase == Phase::Warm && !self.ready.is_empty() && self.has_no_use_for_work() {
            // The last child that could run them has had its last task, or died of one.
            self.spawn_missing_for_acked(now, actions);
        }
        if !self.ready.is_empty() && self.has_no_use_for_work() {
            // Acknowledged early, and no child is left to run them.
            while let Some(handle) = self.ready.pop() {
                self.hand_back(handle, actions);
            }
        }
        if self.early.unassigned() == 0 || self.phase == Phase::Cold {
            self.stop_idle_children(actions);
        }
        let is_idle = self.stays_until_us.is_none_or(|until_us| until_us <= now.mono_us);
        let is_over = is_idle && self.requests.len() == 0 && self.fleet.children().is_empty() && !self.is_awaiting();
        if is_over {
            self.phase = Phase::Finished;
            actions.push(Action::Finished);
        }
    }

    /// Returns everything that waits here, last in line first. What was acknowledged early stays if it may still run.
    fn empty_lists(&mut self, actions: &mut Vec<Action>) {
        let is_cold = self.phase == Phase::Cold;
        let mut leaving: Vec<Handle> = self.timer.drain();
        leaving.extend(self.rates.drain());
        leaving.extend(self.queues.drain());
        let requests = &mut self.requests;
        let mut stays = |handle| {
            let stays = requests.of(handle).is_acked && !is_cold;
            if !stays {
                leaving.push(handle);
            }
            stays
        };
        self.gatherings.retain_newest_first(&mut stays);
        self.ready.retain_newest_first(&mut stays);
        self.early.retain_newest_first(|handle| {
            leaving.push(handle);
            false
        });
        leaving.extend(self.suspects.drain(..).rev());
        leaving.extend(self.aside.drain(..).rev());
        for handle in leaving {
            self.hand_back(handle, actions);
        }
    }

    /// Whether no child lives that could still be given a task.
    fn has_no_use_for_work(&self) -> bool {
        self.fleet.count(|child| match child.phase {
            child::Phase::Ready => !child.is_leaving() && !child.is_cell,
            child::Phase::Starting | child::Phase::Spare => !child.is_cell,
            child::Phase::Stopping | child::Phase::Killed => false,
        }) == 0
    }

    /// What was acknowledged early is known to nobody else: one child more for it, unless starting fails.
    fn spawn_missing_for_acked(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !self.fleet.is_failing_to_start() {
            let lasting = self.fleet.lasting();
            let spawned = self.fleet.spawn(lasting + 1, now.mono_us);
            actions.extend(spawned.into_iter().map(|child| Action::Spawn { child }));
        }
    }

    /// Kills every child that is not known to be idle.
    fn kill_all(&mut self, actions: &mut Vec<Action>) {
        for index in 0..self.fleet.children().len() {
            let child = self.fleet.at(index);
            let is_idle = child.phase == child::Phase::Ready && child.is_idle();
            if !is_idle && child.phase != child::Phase::Killed {
                recall(child, actions);
                child.phase = child::Phase::Killed;
                actions.push(Action::Kill { child: child.id });
                self.fleet.refresh(index);
            }
        }
    }

    /// Tells idle children to exit.
    fn stop_idle_children(&mut self, actions: &mut Vec<Action>) {
        for index in 0..self.fleet.children().len() {
            let child = self.fleet.at(index);
            let is_here = matches!(child.phase, child::Phase::Ready | child::Phase::Spare);
            if is_here && child.is_idle() && !child.is_recalling {
                self.stop(index, actions);
            }
        }
    }
}
