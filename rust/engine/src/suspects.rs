//! Redeliveries where tasks run beside others: in cells.
//!
//! A process that dies takes all its running tasks with it, and nobody knows which of them killed it. With one slot the
//! suspect is alone in its process and its attempts count it out (`attempts.rs`). With several, what has been started
//! before never shares a process with what has not, so that it cannot harm it: it goes to a *cell*, a child that is
//! started for the purpose, beside those that have seats, and stopped when nothing is left for it. Suspects share a
//! cell with as many as the square root of its slots; one on its last permitted attempt has a cell for itself. So nothing
//! that is innocent is counted out, as long as two attempts or more are permitted.
//!
//! An early-acknowledged type is never a suspect: its messages are gone before they start.

use crate::action::{Action, Ending};
use crate::admit::is_expired;
use crate::child::{Child, Phase as ChildPhase};
use crate::dispatch::Sent;
use crate::engine::{Engine, Phase};
use crate::event::{Handle, Now};
use crate::requests::Place;

/// Most cells at once that take more.
const MOST_CELLS: u32 = 4;
/// Most cells at once, with those that leave.
const MOST_WITH_LEAVING: u32 = 2 * MOST_CELLS;

impl Engine {
    /// Whether a delivery that is to be started has to go to a cell.
    pub(crate) fn is_suspect(&mut self, handle: Handle) -> bool {
        if self.config.slots == 1 {
            return false;
        }
        let held = self.requests.of(handle);
        let task = held.request.task.map_or(0, |task| task as usize);
        held.runs_alone && self.config.tasks.get(task).is_some_and(|task| task.acks_late)
    }

    /// Puts a suspect that is in no list in line for a cell.
    pub(crate) fn wait_for_cell(&mut self, handle: Handle, is_first: bool) {
        self.requests.of(handle).place = Place::Suspect;
        if is_first {
            self.suspects.push_front(handle);
        } else {
            self.suspects.push_back(handle);
        }
    }

    /// Gives suspects to the cells, and sees to it that there are cells.
    pub(crate) fn dispatch_suspects(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.config.slots == 1 {
            return;
        }
        if self.phase != Phase::Running {
            return;
        }
        if !self.suspects.is_empty() && self.is_lease_safe {
            for index in 0..self.fleet.children().len() {
                if self.fleet.at(index).is_cell {
                    self.fill_cell(index, now, actions);
                }
            }
        }
        let is_cell = |phase| move |child: &Child| child.is_cell && child.phase == phase;
        let is_waiting = self.fleet.count(is_cell(ChildPhase::Starting)) > 0
            || self.fleet.count(|child| child.is_cell && child.reserved_for.is_some()) > 0;
        let has_use = !self.suspects.is_empty() && self.is_lease_safe && self.is_broker_up;
        if has_use && !is_waiting && self.may_have_another_cell() {
            actions.extend(self.fleet.spawn_cell(now.mono_us).map(|child| Action::Spawn { child }));
        }
        if self.suspects.is_empty() {
            self.close_cells(actions);
        }
    }

    /// Whether the cells are fewer than there may be. One that leaves takes nothing more, and makes room for another.
    fn may_have_another_cell(&self) -> bool {
        let cells = self.fleet.count(|child| child.is_cell && child.phase == ChildPhase::Ready);
        let staying = self.fleet.count(|child| child.is_cell && child.is_staying());
        staying < MOST_CELLS && cells < MOST_WITH_LEAVING
    }

    /// When a cell can be started that is called for (`mono_us`).
    pub(crate) fn cell_due_us(&self) -> Option<u64> {
        let has_use = !self.suspects.is_empty() && self.is_lease_safe && self.is_broker_up;
        has_use.then(|| self.fleet.paused_until_us()).filter(|&at_us| at_us > self.now.mono_us)
    }

    /// Fills one cell, in order.
    fn fill_cell(&mut self, index: usize, now: Now, actions: &mut Vec<Action>) {
        let mut window = Sent::to(self.fleet.at(index), true);
        while self.fleet.at(index).has_room()
            && let Some(&handle) = self.suspects.front()
        {
            let most = self.config.max_deliveries;
            let is_idle = self.fleet.at(index).is_idle();
            let held = self.requests.of(handle);
            if is_expired(&held.request, now) {
                self.suspects.pop_front();
                self.end(handle, Ending::Expired, actions);
                continue;
            }
            if !held.is_recorded {
                if self.is_broker_up {
                    self.suspects.pop_front();
                    self.fleet.at(index).reserved_for = Some(handle);
                    self.record_attempt(handle, actions);
                }
                break;
            }
            let is_last = most > 0 && held.attempts >= most;
            if is_last && !is_idle {
                break;
            }
            self.suspects.pop_front();
            if let Some(task) = self.batch_task(handle) {
                // Alone, so that it is known which of a batch is to blame.
                window.send(self.fleet.at(index), actions);
                self.assign_batch(index, task, vec![handle], 0, now, actions);
                window.first = self.fleet.at(index).next_number();
            } else {
                self.assign(index, handle, 0, now);
                window.handles.push(handle);
            }
            self.fleet.at(index).is_exclusive = is_last;
        }
        window.send(self.fleet.at(index), actions);
        self.fleet.refresh(index);
    }

    /// Promise 6: what no cell here can take within a second may be tried by others, last in line first.
    pub(crate) fn give_suspects_back(&mut self, now: Now, actions: &mut Vec<Action>) {
        let after_us = self.config.return_after_us;
        if self.may_have_another_cell() && !self.fleet.is_failing_to_start() {
            return;
        }
        // Nothing goes past one that is counted and was not taken: it is to be alone.
        let next_is_last = self.suspects.front().is_some_and(|&handle| self.requests.of(handle).is_recorded);
        let is_cell = |child: &Child| child.is_cell && child.phase == ChildPhase::Ready;
        let is_stuck = |child: &Child| {
            let is_shut = child.is_exclusive || child.is_leaving() || (next_is_last && !child.is_idle());
            let is_closed = is_shut || child.stuck_for_us(now.mono_us) > 0;
            is_cell(child) && is_closed && now.mono_us.saturating_sub(child.busy_since_us) >= after_us
        };
        if self.fleet.count(is_stuck) < self.fleet.count(is_cell) {
            return;
        }
        let requests = &mut self.requests;
        let mut leaving: Vec<Handle> = Vec::new();
        self.suspects.retain(|&handle| {
            let held = requests.of(handle);
            // A start that was counted is not wasted.
            let stays = held.is_recorded || now.mono_us.saturating_sub(held.ready_since_us) < after_us;
            if !stays {
                leaving.push(handle);
            }
            stays
        });
        for handle in leaving.into_iter().rev() {
            self.hand_back(handle, actions);
        }
    }

    /// Tells cells without tasks to exit.
    fn close_cells(&mut self, actions: &mut Vec<Action>) {
        for index in 0..self.fleet.children().len() {
            let child = self.fleet.at(index);
            let is_free = child.is_idle() && !child.is_recalling && child.reserved_for.is_none();
            if child.is_cell && child.phase == ChildPhase::Ready && is_free {
                self.stop(index, actions);
            }
        }
    }
}
