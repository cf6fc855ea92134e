//! Station 9, settle: what an outcome means for the message, and the one place where deliveries end.

use crate::action::{Action, Ending};
use crate::engine::Engine;
use crate::event::{ChildId, Handle, Now, Number, Outcome};
use crate::requests::{Held, Place};
use crate::work::Work;

impl Engine {
    /// A child reported the end of a task.
    pub(crate) fn ended(
        &mut self,
        now: Now,
        child: ChildId,
        number: Number,
        outcome: Outcome,
        runtime_us: u64,
        actions: &mut Vec<Action>,
    ) {
        let Some(index) = self.fleet.find(child) else {
            self.counters.late += 1;
            return;
        };
        let handle = match self.fleet.at(index).close(number, now.mono_us) {
            Some(Work::One(handle)) => handle,
            Some(Work::Batch(batch)) => {
                self.counters.odd += 1;
                self.fleet.refresh(index);
                return self.batch_broke(&batch, actions);
            }
            None => {
                self.counters.late += 1;
                return;
            }
        };
        self.end_with_its_task(index, number, actions);
        self.fleet.refresh(index);
        if outcome != Outcome::Poison
            && let Some(task) = self.requests.of(handle).request.task
        {
            self.windows[task as usize].observe(runtime_us);
            self.prefetch.observe_run(runtime_us);
        }
        self.take_outcome(handle, outcome, false, actions);
    }

    /// A child reported the end of one call of a batch; the function goes on.
    pub(crate) fn member_ended(
        &mut self,
        child: ChildId,
        number: Number,
        handle: Handle,
        outcome: Outcome,
        actions: &mut Vec<Action>,
    ) {
        let index = self.fleet.find(child);
        if index.is_some_and(|index| self.fleet.at(index).close_member(number, handle)) {
            self.take_outcome(handle, outcome, true, actions);
        } else {
            self.counters.late += 1;
        }
    }

    /// The function that had a batch has returned, and the ends of its members were reported before.
    pub(crate) fn batch_ended(
        &mut self,
        now: Now,
        child: ChildId,
        number: Number,
        runtime_us: u64,
        actions: &mut Vec<Action>,
    ) {
        let Some(index) = self.fleet.find(child) else {
            self.counters.late += 1;
            return;
        };
        let Some(Work::Batch(batch)) = self.fleet.at(index).close(number, now.mono_us) else {
            self.counters.late += 1;
            return;
        };
        self.end_with_its_task(index, number, actions);
        self.fleet.refresh(index);
        // Each of them took its part of the time.
        let each_us = runtime_us / u64::from(batch.size.max(1));
        for _ in 0..batch.size {
            self.windows[batch.task].observe(each_us);
            self.prefetch.observe_run(each_us);
        }
        if !batch.open.is_empty() {
            self.counters.odd += 1;
            self.batch_broke(&batch, actions);
        }
    }

    fn take_outcome(&mut self, handle: Handle, outcome: Outcome, is_member: bool, actions: &mut Vec<Action>) {
        self.counters.processed += 1;
        match ending_for(outcome, self.requests.of(handle)) {
            Some(ending) => self.end(handle, ending, actions),
            None => self.ended_as_told(handle, outcome, is_member, actions),
        }
    }

    /// Ends a delivery that is in no list any more. The handle is forgotten when the driver answers.
    pub(crate) fn end(&mut self, handle: Handle, ending: Ending, actions: &mut Vec<Action>) {
        let held = self.requests.of(handle);
        let leaves = held.is_acked.then_some(matches!(held.place, Place::Child(_)));
        if let Some(was_at_child) = leaves {
            self.early.leave(was_at_child, self.early_weight(handle));
        }
        self.leave_child(handle);
        let held = self.requests.of(handle);
        held.place = Place::Ending;
        let (had_place, queue) = (std::mem::take(&mut held.has_place), held.request.queue);
        self.counters.count(&ending);
        actions.push(Action::Settle { handle, ending });
        if had_place {
            self.free_place(queue);
        }
    }

    /// Ends a delivery that is not to run here now: another worker shall have it, or nobody can any more.
    pub(crate) fn hand_back(&mut self, handle: Handle, actions: &mut Vec<Action>) {
        let held = self.requests.of(handle);
        if held.is_acked {
            self.lose(handle, actions);
        } else if held.was_started {
            self.end(handle, Ending::Redeliver, actions);
        } else {
            self.end(handle, Ending::Return, actions);
        }
    }

    /// A settlement was carried out.
    pub(crate) fn settled(&mut self, handle: Handle, actions: &mut Vec<Action>) {
        match self.requests.get_mut(handle) {
            Some(held) if held.place == Place::Ending => self.requests.remove(handle),
            Some(held) if held.place == Place::Acking => {
                held.is_acked = true;
                let is_revoked = held.revoke.is_some();
                self.release_child_of(handle);
                self.acknowledgement_answered(handle);
                if is_revoked {
                    self.end_revoked(handle, None, actions);
                } else if self.phase == crate::engine::Phase::Cold {
                    self.lose(handle, actions);
                } else if self.gathers(handle).is_some() {
                    self.line_up(handle, false);
                } else {
                    self.make_ready_first(handle);
                }
            }
            _ => self.counters.odd += 1,
        }
    }

    /// The delivery runs elsewhere: forgotten, or, while a child has it, left to end there.
    pub(crate) fn lease_lost(&mut self, handle: Handle) {
        let Some(held) = self.requests.get_mut(handle).filter(|held| !held.is_acked || held.place == Place::Ending)
        else {
            self.counters.odd += 1;
            return;
        };
        self.counters.lost += 1;
        match held.place {
            Place::Child(_) => {
                held.is_lost = true;
                return;
            }
            // Asked about: as with `Recording`, the answer decides; it is odd then.
            Place::Ending | Place::Asking => {}
            Place::Timer
            | Place::Limited
            | Place::Standing
            | Place::Gathering
            | Place::Ready
            | Place::Suspect
            | Place::EarlyLine
            | Place::Aside => self.take_out(handle),
            Place::Recording => self.release_child_of(handle),
            Place::Acking => {
                self.release_child_of(handle);
                self.acknowledgement_answered(handle);
                self.early.leave(false, self.early_weight(handle));
            }
        }
        let held = self.requests.of(handle);
        let (had_place, queue) = (held.has_place, held.request.queue);
        self.requests.remove(handle);
        if had_place {
            self.free_place(queue);
        }
    }
}

/// What becomes of the message. The driver holds the outcome's bytes and knows the task's policy on failures; only
/// where the message goes back to its queue does it matter to us. `None`: it was ended because we said so.
fn ending_for(outcome: Outcome, held: &Held) -> Option<Ending> {
    match outcome {
        Outcome::TimeLimit | Outcome::Terminated => None,
        Outcome::Reject { requeue: true } if !held.is_acked => Some(Ending::Requeue),
        Outcome::Success
        | Outcome::Failure
        | Outcome::Retry
        | Outcome::Ignore
        | Outcome::Reject { .. }
        | Outcome::Poison => Some(Ending::AsReported { acked_early: held.is_acked }),
    }
}
