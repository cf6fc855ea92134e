//! Seats: how many children work at once, and how one takes the place of another.
//!
//! ```text
//!   Starting ──▶ Spare ──▶ Ready ──▶ (leaving) ──▶ Stopping ──▶ gone
//!          └────────────────▲         no more tasks, those that it has may end
//! ```
//!
//! At most `seats` children have tasks. A child that has been given its last task (`max_tasks_per_child`) or has grown
//! too large (`max_memory_per_child`) *leaves*: it gets nothing more, and is told to exit when it is idle. Its
//! successor is started before that, as soon as the last task is half a second away, or the memory nine tenths of what
//! it may be, and waits as a *spare*: it takes the seat in the very turn in which the old one's last task ends. So a
//! replacement never leaves a seat empty, as long as tasks take longer than a fork; and it never runs one task more
//! than there are seats.
//!
//! None of this is looked at while every option that moves children is off and nobody has resized the pool.

use crate::action::Action;
use crate::child::{Child, Phase};
use crate::engine::{self, Engine};
use crate::event::{ChildId, Now};
use crate::recall::recall;

/// A successor is started when a child's remaining tasks take less than this.
const WARM_AHEAD_US: f64 = 500_000.0;
/// A successor is started when a child's memory is beyond this share of its bound: nine tenths.
const GROWING: (u64, u64) = (9, 10);

impl Engine {
    /// Whether children come and go for other reasons than death.
    pub(crate) fn is_elastic(&self) -> bool {
        self.is_resized
            || self.config.max_tasks_per_child.is_some()
            || self.config.max_memory_per_child_kib.is_some()
            || self.scale.is_some()
    }

    /// What a child's memory means for its future.
    pub(crate) fn memory(&mut self, id: ChildId, peak_kib: u64, actions: &mut Vec<Action>) {
        let (Some(index), Some(most_kib)) = (self.fleet.find(id), self.config.max_memory_per_child_kib) else {
            self.counters.odd += 1;
            return;
        };
        let child = self.fleet.at(index);
        child.is_growing = peak_kib > most_kib / GROWING.1 * GROWING.0;
        child.is_outgrown |= peak_kib > most_kib;
        if child.is_outgrown && child.unstarted() > 0 {
            recall(child, actions);
        }
        self.fleet.refresh(index);
    }

    /// Lets those that are finished leave, takes seats from those that are too many, and gives free ones to spares.
    pub(crate) fn tend(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !self.is_elastic() || self.phase > engine::Phase::Warm {
            return;
        }
        for index in 0..self.fleet.children().len() {
            let child = self.fleet.at(index);
            if child.phase == Phase::Ready && child.is_leaving() && child.is_idle() && !child.is_recalling {
                self.stop(index, actions);
            }
        }
        if self.phase == engine::Phase::Running {
            self.take_seats(actions);
        }
        while self.fleet.seated(self.seats) < self.seats {
            let Some(index) = self.fleet.children().iter().position(|child| child.phase == Phase::Spare) else {
                break;
            };
            self.fleet.at(index).phase = Phase::Ready;
            self.fleet.refresh(index);
        }
        if self.phase == engine::Phase::Running {
            self.stop_needless_spares(actions);
            self.spawn_missing(now, actions);
        }
    }

    /// Spawns what is missing: one child for each seat, and successors of those that will leave soon.
    pub(crate) fn spawn_missing(&mut self, now: Now, actions: &mut Vec<Action>) {
        let wanted = self.wanted_children();
        let spawned = self.fleet.spawn(wanted, now.mono_us);
        actions.extend(spawned.into_iter().map(|child| Action::Spawn { child }));
    }

    /// How many children that stay there should be.
    pub(crate) fn wanted_children(&self) -> u32 {
        if !self.is_elastic() {
            return self.seats;
        }
        let mean_us = self.prefetch.mean_run_us();
        let bounded = self.config.max_tasks_per_child.is_some();
        let leaves_soon = self.fleet.count(|child| {
            let is_short = || mean_us.is_some_and(|mean_us| child.allowance as f64 * mean_us <= WARM_AHEAD_US);
            child.is_staying() && !child.is_cell && (child.is_growing || (bounded && is_short()))
        });
        self.seats + leaves_soon.min(self.seats)
    }

    /// Tells a child without tasks to exit.
    pub(crate) fn stop(&mut self, index: usize, actions: &mut Vec<Action>) {
        let now_us = self.now.mono_us;
        let child = self.fleet.at(index);
        child.phase = Phase::Stopping;
        child.since_us = Some(now_us);
        actions.push(Action::Stop { child: child.id });
        self.fleet.refresh(index);
    }

    /// After the number of seats went down: idle children become spares, and if that is not enough, busy ones leave
    /// when their task has ended. Marks that are no longer called for are taken back.
    fn take_seats(&mut self, actions: &mut Vec<Action>) {
        // One that is marked has given up its seat: counted so, its mark would come and go.
        (0..self.fleet.children().len()).for_each(|index| self.fleet.at(index).is_surplus = false);
        let surplus = self.fleet.seated(self.seats).saturating_sub(self.seats);
        let is_free = |child: &Child| child.is_staying() && child.is_idle() && !child.is_recalling && !child.is_cell;
        for index in self.fleet.first(surplus, is_free) {
            let child = self.fleet.at(index);
            child.phase = Phase::Spare;
            child.reserved_for = None;
        }
        (0..self.fleet.children().len()).for_each(|index| self.fleet.refresh(index));
        let stays = |child: &Child| child.is_staying() && !child.is_cell;
        for index in self.fleet.first(self.fleet.count(stays).saturating_sub(self.seats), stays) {
            let child = self.fleet.at(index);
            child.is_surplus = true;
            child.reserved_for = None;
            if child.unstarted() > 0 {
                recall(child, actions);
            }
            self.fleet.refresh(index);
        }
    }

    /// Spares are kept only where children have successors, and no more than one for each seat; when there are fewer seats
    /// than before, only for those that will leave soon. A child that is being killed makes none needless: the spare is
    /// about to take its place.
    fn stop_needless_spares(&mut self, actions: &mut Vec<Action>) {
        let has_successors =
            self.config.max_tasks_per_child.is_some() || self.config.max_memory_per_child_kib.is_some();
        let tolerated = match (has_successors, std::mem::take(&mut self.is_shrunk)) {
            (false, _) => self.seats,
            (true, false) => self.seats.saturating_mul(2),
            (true, true) => self.wanted_children(),
        };
        let staying = self.fleet.lasting() - self.fleet.killed_at_work();
        let needless = staying.saturating_sub(tolerated);
        for index in self.fleet.first(needless, |child| child.phase == Phase::Spare) {
            self.stop(index, actions);
        }
    }
}
