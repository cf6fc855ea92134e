//! What must not go on for long, seen from outside: idle children beside work, and work kept from others.

use super::broker::{Lease, Message, Owner, Place};
use super::child::Child;
use super::world::{Worker, World};
use crate::config::Scope;
use crate::event::ChildId;

/// A child may be idle this long while a message could run.
const LONGEST_IDLENESS_US: u64 = 500_000;
/// Outages that began before the calm are over after this time, and the children are back.
const LONGEST_OUTAGE_US: u64 = 15_000_000;
/// Unstarted tasks may lie behind a running one this long while another child is idle.
const LONGEST_NEGLECT_US: u64 = 40_000;
/// Beyond that, a child with several slots may still be reading them, at this many bytes in a microsecond.
const READ_BYTES_PER_US: u64 = 10;
/// What runs for very long is looked for so often while it was not to be seen.
const LONGEST_OVERSIGHT_US: u64 = 5_000;
/// A message may wait in a lane this long beyond its permit: a look a second, and an answer.
const LONGEST_LANE_US: u64 = 3_000_000;
/// A delivery may wait here this long while all children are at long tasks: promise 6, and two ticks.
const LONGEST_HOARDING_US: u64 = 2_000_000;

impl World {
    /// Once the accidents are over (or at any time, if none were planned).
    pub(super) fn check_calm(&self) -> Result<(), String> {
        let is_faultless = self.plan.accidents.is_empty();
        let outage_us = if is_faultless { 0 } else { self.plan.calm_from_us + LONGEST_OUTAGE_US };
        for worker in self.workers.values().filter(|it| it.audit.is_at_work()) {
            if self.mono_us >= outage_us + LONGEST_HOARDING_US {
                self.check_hoarding(worker)?;
            }
            if self.mono_us >= outage_us + LONGEST_IDLENESS_US {
                self.check_idleness(worker)?;
            }
        }
        Ok(())
    }

    /// Where tasks run beside others: the worker, which does not want to know now what runs, has not forgotten one that
    /// has been running for very long.
    pub(super) fn check_long_runners(&self, owner: Owner, child: ChildId) -> Result<(), String> {
        let Some((worker, after_us)) = self.workers.get(&owner).zip(self.plan.config.stacks_after_us) else {
            return Ok(());
        };
        let runs = worker.children.get(&child).map_or(&[][..], |child| &child.runs);
        let forgotten = runs.iter().find(|run| {
            let is_over = run.since_us + after_us + LONGEST_OVERSIGHT_US <= self.mono_us;
            is_over && !worker.audit.was_located(child, run.number)
        });
        // Of very many only some each second.
        match forgotten.filter(|_| (2..=10).contains(&self.plan.config.slots)) {
            Some(run) => Err(format!("looks_for_long: {child:?} {} has been running for long", run.number)),
            None => Ok(()),
        }
    }

    /// Promise 3: what a recoverer took away is not started by its former holder: that looks after its leases before it
    /// starts anything again. Nor does anything else start without a lease, unless somebody who takes no part here took
    /// it, or the broker forgot it.
    pub(super) fn check_start(&self, worker: &Worker, lease: Lease) -> Result<(), String> {
        let message = &self.broker.messages[lease.message];
        let recovered = message.recovered.filter(|&(epoch, _)| epoch == lease.epoch);
        if recovered.is_some() && message.forgotten == 0 {
            return Err(format!(
                "start_recovered: worker {} starts message {}, which was recovered from it",
                worker.owner, lease.message
            ));
        }
        let is_owned = message.epoch == lease.epoch && message.place == Place::Leased(worker.owner);
        let is_forgotten = message.forgotten > 0 || message.place == Place::Forgotten;
        if !is_owned && recovered.is_none() && !message.was_taken && !is_forgotten {
            return Err(format!(
                "start_unowned: worker {} starts message {}, which is at {:?}",
                worker.owner, lease.message, message.place
            ));
        }
        Ok(())
    }

    /// No child is idle for long while a message could run.
    fn check_idleness(&self, worker: &Worker) -> Result<(), String> {
        let since_us = self.mono_us - LONGEST_IDLENESS_US;
        if had_full_house(worker, since_us) {
            return Ok(());
        }
        let mut children = worker.children.values().filter(|it| worker.audit.takes_any(it.id));
        let Some(idle) = children.find(|it| it.is_idle_since(since_us)) else {
            return Ok(());
        };
        let idle = idle.id;
        if let Some(held) = worker.audit.runnable_since(since_us, self.now(worker.owner).wall_ms - 1_000) {
            return Err(format!("no_idleness: {held:?} waits while {idle:?} is idle"));
        }
        let lane_us = self.mono_us.saturating_sub(LONGEST_LANE_US);
        if let Some(index) = self.neglected_in_lane(worker, lane_us)
            && worker.children.values().any(|it| it.is_idle_since(lane_us) && worker.audit.takes_any(it.id))
            && !had_full_house(worker, lane_us)
            && worker.audit.has_credit_since(lane_us)
        {
            return Err(format!(
                "no_idleness: message {index} waits in a lane for a permit that is there, while {idle:?} is idle"
            ));
        }
        let had_room = |message: &Message| worker.audit.had_room_since(message.letter.queue, since_us);
        let waits =
            |message: &Message| message.place == Place::Queued && message.queued_us <= since_us && had_room(message);
        let has_credit = worker.audit.has_credit_since(since_us);
        match self.broker.messages.iter().position(waits) {
            Some(index) if has_credit => {
                Err(format!("no_idle_credit: message {index} is queued while {idle:?} is idle"))
            }
            _ => Ok(()),
        }
    }

    /// A message in a lane that somebody with a permit should have drawn before `since_us`.
    fn neglected_in_lane(&self, worker: &Worker, since_us: u64) -> Option<usize> {
        let is_neglected = |index: usize| {
            let message = &self.broker.messages[index];
            let Place::Laned(laned_us, scope) = message.place else { return false };
            let is_due = match scope {
                Scope::Shared => self.broker.lane_due_us(index) <= since_us,
                Scope::Worker => {
                    message.letter.task.is_some_and(|it| worker.audit.is_permit_overdue(it, laned_us, since_us))
                }
            };
            let is_watched = message.letter.task.is_some_and(|task| worker.audit.has_lanes(task));
            let had_room = worker.audit.had_room_since(message.letter.queue, since_us);
            is_watched && is_due && had_room && laned_us <= since_us
        };
        (0..self.broker.messages.len()).find(|&index| is_neglected(index))
    }

    /// Promise 6, towards other nodes: nothing waits here for long while all children are at long tasks.
    fn check_hoarding(&self, worker: &Worker) -> Result<(), String> {
        let since_us = self.mono_us - LONGEST_HOARDING_US;
        let mut children = worker.children.values().filter(|child| !worker.audit.is_cell(child.id));
        let is_stuck = children.all(|child| child.is_stuck_since(since_us));
        let wall_ms = self.now(worker.owner).wall_ms - (LONGEST_HOARDING_US / 1_000) as i64;
        match worker.audit.returnable_since(since_us, wall_ms) {
            Some(held) if is_stuck => {
                Err(format!("no_hoarding: {held:?} is kept from others while all children are stuck"))
            }
            _ => Ok(()),
        }
    }

    /// Promise 6, on this node: nothing lies long behind a running task while another child is idle.
    pub(super) fn check_neglect(&self, owner: Owner) -> Result<(), String> {
        let Some(worker) = self.workers.get(&owner).filter(|it| it.audit.is_at_work()) else {
            return Ok(());
        };
        if had_full_house(worker, self.mono_us.saturating_sub(LONGEST_NEGLECT_US)) {
            return Ok(());
        }
        let is_idle = |child: &&Child| child.is_idle_since(self.mono_us) && worker.audit.takes_any(child.id);
        let Some(idle) = worker.children.values().find(is_idle) else {
            return Ok(());
        };
        for child in worker.children.values().filter(|child| child.is_alive) {
            let since_us = child.deaf_since_us().unwrap_or(self.mono_us);
            let unread = child.frames.iter().flat_map(|frame| &frame.handles).filter(|_| child.slots > 1);
            let longest_us = LONGEST_NEGLECT_US + worker.audit.bytes(unread) / READ_BYTES_PER_US;
            if !child.frames.is_empty() && self.mono_us - since_us > longest_us {
                return Err(format!(
                    "no_neglect: {} tasks lie behind a long one of {:?} while {:?} is idle",
                    child.frames.len(),
                    child.id,
                    idle.id
                ));
            }
        }
        Ok(())
    }
}

/// Whether as many children have tasks as may: then others wait as spares, with nothing to do. Never where there are no
/// spares.
pub(super) fn has_full_house(worker: &Worker) -> bool {
    if !worker.audit.seats().has_spares() {
        return false;
    }
    worker.audit.busy_children().len() >= worker.audit.seats().most()
}

/// Whether that is so now, or was at some time since `since_us`.
fn had_full_house(worker: &Worker, since_us: u64) -> bool {
    has_full_house(worker) || worker.full_house_us.is_some_and(|full_us| full_us >= since_us)
}
