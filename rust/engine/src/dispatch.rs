//! Station 5, dispatch: what is ready goes to children that have room, in batches that fit their windows.
//!
//! Idle children come first and share evenly with the rest, so that a few deliveries spread out instead of filling
//! one child. Order is strict: when the next delivery must have a child for itself (slow or unknown type, or a
//! redelivery), a child that is not idle gets nothing, and the first one to become idle takes it.
//!
//! A child with several slots gets as many as are free, of any type, and nothing ahead of need: there, what follows is
//! sent while others run. Redeliveries do not come this way there (`suspects.rs`).
//!
//! A batch (`gather`) is one number, and takes one slot. With one slot it has the child for itself.

use crate::action::{Action, Ending};
use crate::admit::is_expired;
use crate::child::{Child, Want};
use crate::engine::{Engine, Phase};
use crate::event::{Handle, Now, Number};
use crate::limits::Limits;
use crate::recall::MOST_PATIENCE_US;
use crate::requests::Place;
use crate::window::{LONGEST_WINDOW_US, WINDOW_US};
use crate::work::Batch;

/// A child is refilled before less than this is left behind its foremost task, if anything is ready: two or three
/// process switches.
const LEAST_BACKLOG_US: u64 = 150;

/// What the next delivery needs before it can go to the child that is looked at.
enum Step {
    /// Its time is over.
    Expire,
    /// An idle child.
    WaitForIdle,
    /// Less work at this child.
    WaitForRoom,
    /// The broker.
    SetAside,
    /// A place among the early-acknowledged.
    QueueEarly,
    /// Its attempt counted; the child waits for it.
    Record,
    /// To wait for others of its kind: some have gone since it was to lead them, or they cannot be acknowledged now.
    GatherAgain,
    /// Its early acknowledgement confirmed. Slow ones have the child wait for them.
    Acknowledge { is_exclusive: bool },
    /// Nothing: it goes.
    Assign { is_exclusive: bool, cost_us: u32 },
}

impl Engine {
    /// Gives out what can be given out.
    pub(crate) fn dispatch(&mut self, now: Now, actions: &mut Vec<Action>) {
        let may_start = match self.phase {
            Phase::Running => self.is_lease_safe,
            // Only what was acknowledged early is still ready, and that needs no lease.
            Phase::Warm => true,
            Phase::Cold | Phase::Finished => false,
        };
        let waited_since_us = self.early.stop_waiting();
        if self.fleet.wanting() == 0 || !may_start {
            return;
        }
        self.admit_from_early_line(now, waited_since_us);
        if self.ready.is_empty() {
            return;
        }
        let children = self.fleet.children().len();
        // With one slot those that want nothing now have a share in what is sent ahead a moment later.
        let sharers = if self.config.slots > 1 { self.fleet.wanting() } else { self.fleet.ready() };
        let share = self.ready.len().div_ceil(sharers.max(1) as usize);
        self.turn = self.turn.wrapping_add(1);
        for want in [Want::Anything, Want::More] {
            for offset in 0..children {
                let index = self.turn.wrapping_add(offset) % children;
                // The second half only saves a walk over the rest of a large pool.
                if self.ready.is_empty() || self.fleet.wanting() == 0 {
                    return;
                }
                if self.fleet.at(index).want == want {
                    self.fill(index, share, now, actions);
                }
            }
        }
    }

    /// Fills one child up to its window, with `share` deliveries at most.
    fn fill(&mut self, index: usize, share: usize, now: Now, actions: &mut Vec<Action>) {
        let child = self.fleet.at(index);
        if child.slots == 1 && !child.is_idle() && now.mono_us.saturating_sub(child.busy_since_us) >= MOST_PATIENCE_US {
            // Its foremost task turned out to be slow: nothing more is put behind it.
            child.is_exclusive = true;
            self.fleet.refresh(index);
            return;
        }
        let mut window = Sent::to(child, false);
        let mut given = 0;
        while given < share && self.fleet.at(index).allowance > 0 {
            let Some(handle) = self.ready.peek() else {
                break;
            };
            let step = self.next_step(index, handle, now);
            if matches!(step, Step::WaitForIdle | Step::WaitForRoom) {
                break;
            }
            self.ready.pop();
            match step {
                Step::WaitForIdle | Step::WaitForRoom => unreachable!("left the loop above"),
                Step::Expire => self.end(handle, Ending::Expired, actions),
                Step::SetAside => {
                    self.requests.of(handle).place = Place::Aside;
                    self.aside.push_back(handle);
                }
                Step::QueueEarly => self.wait_for_place(handle),
                Step::GatherAgain => self.gather_again(handle),
                Step::Record => {
                    self.fleet.at(index).reserved_for = Some(handle);
                    self.record_attempt(handle, actions);
                    break;
                }
                Step::Acknowledge { is_exclusive } => {
                    let members = self.take_batch(handle, now, actions);
                    self.acknowledge_batch(&members, actions);
                    if is_exclusive {
                        self.fleet.at(index).reserved_for = Some(handle);
                        break;
                    }
                }
                Step::Assign { is_exclusive, cost_us } => {
                    given += 1;
                    if let Some(task) = self.batch_task(handle) {
                        window.send(self.fleet.at(index), actions);
                        let members = self.take_batch(handle, now, actions);
                        self.assign_batch(index, task, members, cost_us, now, actions);
                        window.first = self.fleet.at(index).next_number();
                    } else {
                        self.assign(index, handle, cost_us, now);
                        window.handles.push(handle);
                    }
                    if is_exclusive {
                        self.fleet.at(index).is_exclusive = true;
                        window.flush_first = true;
                        break;
                    }
                }
            }
        }
        let child = self.fleet.at(index);
        if given > 0 {
            child.set_refill(LEAST_BACKLOG_US);
        }
        window.send(child, actions);
        self.fleet.refresh(index);
    }

    /// What stands between the next delivery and this child.
    fn next_step(&mut self, index: usize, handle: Handle, now: Now) -> Step {
        let held = self.requests.of(handle);
        let child = self.fleet.at(index);
        let task = held.request.task.map_or(0, |task| task as usize);
        if !held.is_acked && is_expired(&held.request, now) {
            return Step::Expire;
        }
        let is_batch = self.config.tasks[task].batch.is_some();
        let is_exclusive = child.slots == 1 && (held.runs_alone || is_batch || self.windows[task].is_slow());
        if is_exclusive && !child.is_idle() {
            return Step::WaitForIdle;
        }
        if child.slots == 1 && held.runs_alone && !held.is_recorded && !held.is_acked {
            return if self.is_broker_up { Step::Record } else { Step::SetAside };
        }
        if is_batch && !self.is_ripe(handle, now) {
            return Step::GatherAgain;
        }
        let held = self.requests.of(handle);
        if !held.is_acked && !self.config.tasks[task].acks_late {
            return if self.is_broker_up && self.early.has_room() {
                Step::Acknowledge { is_exclusive }
            } else if self.gathers(handle).is_some() {
                Step::GatherAgain
            } else {
                Step::QueueEarly
            };
        }
        let cost_us = self.windows[task].cost_us();
        let window_us = self.prefetch.part_of_age_us(now.mono_us).clamp(WINDOW_US, LONGEST_WINDOW_US);
        let held = self.requests.of(handle);
        let child = self.fleet.at(index);
        let bytes = child.backlog_bytes() + u64::from(held.request.size);
        let is_full = if child.slots > 1 {
            child.free_slots() == 0
        } else {
            child.open() >= self.windows[task].most(self.config.window_max)
                || child.backlog_us() + u64::from(cost_us) > window_us
                || bytes > u64::from(self.config.window_bytes)
        };
        if is_full && !child.is_idle() {
            return Step::WaitForRoom;
        }
        Step::Assign { is_exclusive, cost_us }
    }

    /// Writes a delivery into a child's ledger.
    pub(crate) fn assign(&mut self, index: usize, handle: Handle, cost_us: u32, now: Now) {
        let id = self.fleet.at(index).id;
        self.go_to_child(handle, id);
        let held = self.requests.of(handle);
        let child = self.fleet.at(index);
        let limits = Limits::of(&held.request, &self.config);
        held.limits = limits;
        if held.is_acked {
            self.early.assigned();
        }
        let number = child.next_number();
        child.assign(handle, cost_us, held.request.size, now.mono_us);
        child.watch_limits(number, &limits, self.config.stacks_after_us, now.mono_us);
    }

    /// Writes a batch into a child's ledger, and sends it.
    pub(crate) fn assign_batch(
        &mut self,
        index: usize,
        task: usize,
        members: Vec<Handle>,
        cost_us: u32,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let id = self.fleet.at(index).id;
        let limits = Limits::of(&self.requests.of(members[0]).request, &self.config);
        let mut bytes: u32 = 0;
        for &handle in &members {
            self.go_to_child(handle, id);
            let held = self.requests.of(handle);
            held.limits = limits;
            bytes = bytes.saturating_add(held.request.size);
            if held.is_acked {
                self.early.assigned();
            }
        }
        let child = self.fleet.at(index);
        let number = child.next_number();
        let batch = Batch { task, size: members.len() as u32, open: members.iter().copied().collect(), limits };
        child.assign_batch(batch, cost_us, bytes, now.mono_us);
        child.watch_limits(number, &limits, self.config.stacks_after_us, now.mono_us);
        actions.push(Action::DispatchBatch { child: id, number, handles: members });
    }
}

/// Tasks for a child that have not been sent yet.
pub(crate) struct Sent {
    /// Number of the first one.
    pub(crate) first: Number,
    /// In order.
    pub(crate) handles: Vec<Handle>,
    flush_first: bool,
}

impl Sent {
    /// Nothing yet.
    pub(crate) fn to(child: &Child, flush_first: bool) -> Sent {
        Sent { first: child.next_number(), handles: Vec::new(), flush_first }
    }

    /// Sends them.
    pub(crate) fn send(&mut self, child: &Child, actions: &mut Vec<Action>) {
        if !self.handles.is_empty() {
            let handles = std::mem::take(&mut self.handles);
            let (child, first, flush_first) = (child.id, self.first, self.flush_first);
            actions.push(Action::Dispatch { child, first, handles, flush_first });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ChildId, Event};
    use crate::requests::Held;
    use crate::testing;

    /// A shutdown empties the lists too, so that nothing seen from outside shows this.
    #[test]
    fn nothing_is_given_out_in_a_cold_shutdown_whatever_is_ready() {
        let mut engine = Engine::new(testing::config());
        let now = testing::at(0, 0);
        engine.handle(now, Event::Tick, &mut Vec::new());
        engine.handle(now, Event::ChildReady { child: ChildId(0) }, &mut Vec::new());
        engine.requests.insert(Held::new(testing::request(1), Place::Ready, 0));
        engine.ready.push_back(0, 0, Handle(1));
        for (phase, starts) in [(Phase::Cold, false), (Phase::Finished, false), (Phase::Running, true)] {
            engine.phase = phase;
            let mut actions = Vec::new();
            engine.dispatch(now, &mut actions);
            assert_eq!(!actions.is_empty(), starts, "{phase:?}");
        }
    }
}
