//! All children of this worker: who lives, who wants work, and when a missing one is spawned.
//!
//! A child that dies at work is replaced at once. One that dies before it was ready (the app cannot be imported, no
//! memory for a process) is replaced after a pause that doubles from 0.1 s to 10 s, until one gets ready again.

use crate::child::{Child, Phase, Want};
use crate::event::ChildId;

/// First pause after a child died before it was ready.
const FIRST_PAUSE_US: u64 = 100_000;
/// Longest such pause.
const LONGEST_PAUSE_US: u64 = 10_000_000;

/// The children, few enough to be looked through.
#[derive(Debug)]
pub(crate) struct Fleet {
    children: Vec<Child>,
    next_id: u32,
    /// Where the last report was from; reports come in runs.
    last_found: usize,
    wanting: u32,
    idle: u32,
    /// Pause before the next spawn, and until when it lasts; zero when children live long enough to get ready.
    pause_us: u64,
    paused_until_us: u64,
    /// How many tasks a child may be given.
    allowance: u64,
    /// The slots of a child, and how many tasks it runs at once.
    slots: u32,
    per_child: u32,
}

impl Fleet {
    /// Nobody yet. `slots`: those of a child; `per_child`: how many tasks it runs at once; `max_tasks`: how many it may be
    /// given.
    pub(crate) fn new(slots: u32, per_child: u32, max_tasks: Option<u32>) -> Fleet {
        Fleet {
            children: Vec::new(),
            next_id: 0,
            last_found: 0,
            wanting: 0,
            idle: 0,
            pause_us: 0,
            paused_until_us: 0,
            allowance: max_tasks.map_or(u64::MAX, |most| u64::from(most.max(1))),
            slots,
            per_child,
        }
    }

    /// All of them.
    pub(crate) fn children(&self) -> &[Child] {
        &self.children
    }

    /// The child at a place of `children`.
    pub(crate) fn at(&mut self, index: usize) -> &mut Child {
        &mut self.children[index]
    }

    /// Where a child is in `children`; `None` when it is gone.
    pub(crate) fn find(&mut self, id: ChildId) -> Option<usize> {
        if self.children.get(self.last_found).map(|child| child.id) == Some(id) {
            return Some(self.last_found);
        }
        let index = self.children.iter().position(|child| child.id == id)?;
        self.last_found = index;
        Some(index)
    }

    /// How many want work.
    pub(crate) fn wanting(&self) -> u32 {
        self.wanting
    }

    /// How many take tasks; without cells, as everywhere here but in `count`.
    pub(crate) fn ready(&self) -> u32 {
        self.count(|child| child.phase == Phase::Ready && !child.is_cell)
    }

    /// How many tasks could start this instant.
    pub(crate) fn idle(&self) -> u32 {
        self.idle
    }

    /// How many children satisfy a condition.
    pub(crate) fn count(&self, condition: impl Fn(&Child) -> bool) -> u32 {
        self.children.iter().filter(|child| condition(child)).count() as u32
    }

    /// Where in `children` the first ones are that satisfy a condition, at most so many.
    pub(crate) fn first(&self, most: u32, condition: impl Fn(&Child) -> bool) -> Vec<usize> {
        let all = self.children.iter().enumerate().filter(|(_, child)| condition(child));
        all.map(|(index, _)| index).take(most as usize).collect()
    }

    /// Brings the counts of those that want work up to date; to be called after every change to a child.
    pub(crate) fn refresh(&mut self, index: usize) {
        let child = &mut self.children[index];
        let free = child.free_slots();
        let want = match child.has_room() && !child.is_cell {
            false => Want::Nothing,
            true if free == 0 => Want::More,
            true => Want::Anything,
        };
        let free = if want == Want::Anything { free } else { 0 };
        if (want, free) != (child.want, child.counted_free) {
            let before = std::mem::replace(&mut child.want, want);
            let before_free = std::mem::replace(&mut child.counted_free, free);
            self.wanting += u32::from(want != Want::Nothing);
            self.wanting -= u32::from(before != Want::Nothing);
            self.idle += free;
            self.idle -= before_free;
        }
    }

    /// How many children live that work or will: all but those that leave. One that is being killed counts while it has
    /// a task, which may still run.
    pub(crate) fn lasting(&self) -> u32 {
        self.count(|child| {
            !child.is_cell
                && match child.phase {
                    Phase::Ready => !child.is_leaving(),
                    Phase::Starting | Phase::Spare => true,
                    Phase::Killed => !child.is_idle(),
                    Phase::Stopping => false,
                }
        })
    }

    /// How many children are being killed while they have a task.
    pub(crate) fn killed_at_work(&self) -> u32 {
        self.count(|child| child.phase == Phase::Killed && !child.is_idle() && !child.is_cell)
    }

    /// How many children have a seat: they run tasks, or may. Where one runs several, the slots that free themselves while
    /// it leaves must not stay empty until its last task has ended: it gives its seat up, unless as many as there are
    /// `seats` have done so already.
    pub(crate) fn seated(&self, seats: u32) -> u32 {
        let is_at_work = |child: &Child| match child.phase {
            Phase::Ready => true,
            Phase::Killed => !child.is_idle(),
            Phase::Starting | Phase::Spare | Phase::Stopping => false,
        };
        let at_work = self.count(|child| is_at_work(child) && !child.is_cell);
        if self.per_child == 1 {
            return at_work;
        }
        let leaving = self.count(|child| is_at_work(child) && !child.is_cell && !child.is_staying());
        at_work - leaving.min(seats)
    }

    /// Whether starting fails at present.
    pub(crate) fn is_failing_to_start(&self) -> bool {
        self.pause_us > 0
    }

    /// Names the children to spawn now, so that `wanted` last.
    pub(crate) fn spawn(&mut self, wanted: u32, now_us: u64) -> Vec<ChildId> {
        if now_us < self.paused_until_us {
            return Vec::new();
        }
        let missing = wanted.saturating_sub(self.lasting());
        let spawned: Vec<_> = (0..missing).map(|n| ChildId(self.next_id.wrapping_add(n))).collect();
        self.next_id = self.next_id.wrapping_add(missing);
        let (slots, most, allowance) = (self.slots, self.per_child, self.allowance);
        self.children.extend(spawned.iter().map(|&id| {
            let mut child = Child::new(id, slots, allowance);
            child.most = most;
            child
        }));
        spawned
    }

    /// Names a child to spawn that has no seat and runs suspects only; `None` while starting fails.
    pub(crate) fn spawn_cell(&mut self, now_us: u64) -> Option<ChildId> {
        if now_us < self.paused_until_us {
            return None;
        }
        let id = ChildId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        let mut cell = Child::new(id, self.slots, self.allowance);
        cell.is_cell = true;
        self.children.push(cell);
        Some(id)
    }

    /// Nothing is spawned before (`mono_us`).
    pub(crate) fn paused_until_us(&self) -> u64 {
        self.paused_until_us
    }

    /// When to spawn next (`mono_us`), if children are missing.
    pub(crate) fn spawn_due_us(&self, wanted: u32) -> Option<u64> {
        (self.lasting() < wanted).then_some(self.paused_until_us)
    }

    /// A child got ready: starting works. It has a seat if fewer than `seats` are taken, else it is a spare.
    pub(crate) fn became_ready(&mut self, index: usize, seats: u32) {
        let has_seat = self.seated(seats) < seats || self.children[index].is_cell;
        self.children[index].phase = if has_seat { Phase::Ready } else { Phase::Spare };
        self.pause_us = 0;
        self.paused_until_us = 0;
        self.refresh(index);
    }

    /// Takes a dead child out.
    pub(crate) fn remove(&mut self, index: usize, now_us: u64) -> Child {
        let child = self.children.swap_remove(index);
        self.wanting -= u32::from(child.want != Want::Nothing);
        self.idle -= child.counted_free;
        if child.phase == Phase::Starting && now_us >= self.paused_until_us {
            self.pause_us = (self.pause_us * 2).clamp(FIRST_PAUSE_US, LONGEST_PAUSE_US);
            self.paused_until_us = now_us + self.pause_us;
        }
        child
    }

    /// How long no child could start anything, at least; zero when one is free. `None`: no child takes tasks at all.
    pub(crate) fn stuck_for_us(&self, now_us: u64) -> Option<u64> {
        self.takers().map(|child| child.stuck_for_us(now_us)).min()
    }

    /// How many tasks run at once when all are busy.
    pub(crate) fn capacity(&self) -> u32 {
        self.takers().count() as u32 * self.per_child
    }

    /// The children in whose slots what waits will start. One that leaves counts where it runs one task, since its
    /// successor starts when that ends; with several it has given up its seat, if there is anybody to take it.
    fn takers(&self) -> impl Iterator<Item = &Child> {
        let is_taker = |child: &&Child| child.phase == Phase::Ready && !child.is_cell;
        let leaves_room = self.per_child > 1 && self.children.iter().any(|child| !child.is_cell && child.is_staying());
        self.children.iter().filter(is_taker).filter(move |child| !leaves_room || child.is_staying())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets all children die before they are ready; returns when they are replaced.
    fn die_starting(fleet: &mut Fleet, now_us: u64) -> u64 {
        while !fleet.children().is_empty() {
            fleet.remove(0, now_us);
        }
        fleet.spawn_due_us(2).expect("children are missing")
    }

    #[test]
    fn missing_children_are_spawned_under_new_names() {
        let mut fleet = Fleet::new(1, 1, None);
        assert_eq!(fleet.spawn(2, 0), [ChildId(0), ChildId(1)]);
        fleet.became_ready(0, 2);
        fleet.remove(0, 5);
        assert_eq!(fleet.spawn(2, 5), [ChildId(2)]);
    }

    #[test]
    fn dead_child_wants_nothing() {
        let mut fleet = Fleet::new(1, 1, None);
        fleet.spawn(2, 0);
        fleet.became_ready(0, 2);
        assert_eq!((fleet.wanting(), fleet.idle()), (1, 1));
        fleet.remove(0, 5);
        assert_eq!((fleet.wanting(), fleet.idle()), (0, 0));
    }

    #[test]
    fn children_that_die_starting_are_replaced_ever_more_slowly() {
        let mut fleet = Fleet::new(1, 1, None);
        let mut now_us = 0;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert_eq!(fleet.spawn(2, now_us).len(), 2);
            let due_us = die_starting(&mut fleet, now_us);
            assert!(fleet.spawn(2, due_us - 1).is_empty());
            pauses.push((due_us - now_us) / 1_000);
            now_us = due_us;
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    }

    #[test]
    fn child_that_gets_ready_ends_the_pause() {
        let mut fleet = Fleet::new(1, 1, None);
        fleet.spawn(2, 0);
        fleet.remove(1, 0);
        fleet.became_ready(0, 2);
        assert_eq!(fleet.spawn(2, 0).len(), 1);
    }
}
