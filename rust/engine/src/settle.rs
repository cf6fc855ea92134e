//! Station 9, settle: what an outcome means for the message, and the one place where deliveries end.

use crate::action::{Action, Ending};
use crate::engine::Engine;
use crate::event::{ChildId, Handle, Now, Number, Outcome};
use crate::requests::{Held, Place};

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
        let Some(handle) = self.fleet.at(index).close(number, now.mono_us) else {
            self.counters.late += 1;
            return;
        };
        self.end_with_its_task(index, number, actions);
        self.fleet.refresh(index);
        self.counters.processed += 1;
        let held = self.requests.of(handle);
        let ending = ending_for(outcome, held);
        if outcome != Outcome::Poison
            && let Some(task) = held.request.task
        {
            self.windows[task as usize].observe(runtime_us);
            self.prefetch.observe_run(runtime_us);
        }
        match ending {
            Some(ending) => self.end(handle, ending, actions),
            None => self.ended_as_told(handle, outcome, actions),
        }
    }

    /// Ends a delivery that is in no list any more. The handle is forgotten when the driver answers.
    pub(crate) fn end(&mut self, handle: Handle, ending: Ending, actions: &mut Vec<Action>) {
        let held = self.requests.of(handle);
        if held.is_acked {
            self.early.leave(matches!(held.place, Place::Child(_)));
        }
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
                if is_revoked {
                    self.end_revoked(handle, None, actions);
                } else if self.phase == crate::engine::Phase::Cold {
                    self.lose(handle, actions);
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
            | Place::Ready
            | Place::Suspect
            | Place::EarlyLine
            | Place::Aside => self.take_out(handle),
            Place::Recording => self.release_child_of(handle),
            Place::Acking => {
                self.release_child_of(handle);
                self.early.leave(false);
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
