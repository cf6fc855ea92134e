//! A child that died: what it ran is run again, apart from others and a bounded number of times; what it had not started
//! goes on as if nothing had happened; and the child is replaced.

use crate::action::{Action, Ending};
use crate::child::Child;
use crate::engine::{Engine, Phase};
use crate::event::{ChildId, Handle, Now, Number, Outcome};
use crate::interrupts::Told;
use crate::requests::Revoke;
use crate::work::Batch;

/// Why a task stopped running without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// Its process died, perhaps of it.
    Unknown,
    /// Its hard limit was over, and it was ended for that.
    TimeLimit { limit_ms: u64 },
    /// It was revoked, and ended for that.
    Terminated { signal: i32 },
    /// Its process was killed for another task: the attempt does not count, and casts no suspicion on it.
    Neighbour,
}

impl Engine {
    /// The process is gone; all its outcomes have been reported before.
    pub(crate) fn child_exited(
        &mut self,
        now: Now,
        id: ChildId,
        next: Number,
        by_itself: bool,
        actions: &mut Vec<Action>,
    ) {
        let Some(index) = self.fleet.find(id) else {
            self.counters.odd += 1;
            return;
        };
        let mut child = self.fleet.remove(index, now.mono_us);
        // One of its tasks was quicker than the kill.
        child.is_killed_for_one &= !by_itself;
        self.counters.exited += 1;
        let remains: Vec<_> = child.remains(next).collect();
        for (number, handle, is_started) in remains.into_iter().rev() {
            if is_started {
                self.died_running(&child, number, handle, actions);
            } else {
                self.put_back(handle, actions);
            }
        }
        if self.phase == Phase::Running && !self.is_elastic() {
            // An elastic pool looks first whether one that was to leave may stay.
            self.spawn_missing(now, actions);
        }
    }

    /// A delivery whose process died while it ran.
    fn died_running(&mut self, child: &Child, number: Number, handle: Handle, actions: &mut Vec<Action>) {
        let told = child.told(number);
        // Of a batch only those are meant that were revoked; the others die for their sake.
        let is_meant = matches!(self.requests.of(handle).revoke, Some(Revoke::Terminate(_)));
        let cause = if let Some(it) = child.terminating.filter(|it| it.number == number) {
            if is_meant { Cause::Terminated { signal: it.signal } } else { Cause::Neighbour }
        } else if let Some((_, limit_ms)) = child.over_limit.filter(|&(killed, _)| killed == number) {
            Cause::TimeLimit { limit_ms }
        } else if let Some(Told::HardLimit(limit_ms)) = told {
            Cause::TimeLimit { limit_ms }
        } else if let Some(Told::Terminate(signal)) = told {
            if is_meant { Cause::Terminated { signal } } else { Cause::Neighbour }
        } else if child.is_killed_for_one {
            Cause::Neighbour
        } else {
            Cause::Unknown
        };
        self.stopped_running(handle, cause, actions);
    }

    /// A task that reported that it was ended because it was told to.
    pub(crate) fn ended_as_told(
        &mut self,
        handle: Handle,
        outcome: Outcome,
        is_member: bool,
        actions: &mut Vec<Action>,
    ) {
        let held = self.requests.of(handle);
        let limit_ms = held.limits.hard_us.map(|limit_us| limit_us / 1_000);
        let cause = match (outcome, limit_ms, held.revoke) {
            (Outcome::TimeLimit, Some(limit_ms), _) => Cause::TimeLimit { limit_ms },
            (Outcome::Terminated, _, Some(Revoke::Terminate(signal))) => Cause::Terminated { signal },
            (Outcome::Terminated, ..) if is_member => Cause::Neighbour,
            _ => {
                // Nobody told it to.
                self.counters.odd += 1;
                Cause::Unknown
            }
        };
        self.stopped_running(handle, cause, actions);
    }

    /// A batch whose end was reported without those of its members.
    pub(crate) fn batch_broke(&mut self, batch: &Batch, actions: &mut Vec<Action>) {
        for &handle in batch.open.iter().rev() {
            self.stopped_running(handle, Cause::Unknown, actions);
        }
    }

    /// A delivery that was started, and stopped without an outcome of its own.
    fn stopped_running(&mut self, handle: Handle, cause: Cause, actions: &mut Vec<Action>) {
        let most = self.config.max_deliveries;
        let phase = self.phase;
        let held = self.requests.of(handle);
        let gives_back = self.queues.gives_back(held.request.queue);
        let task = held.request.task.and_then(|task| self.config.tasks.get(task as usize));
        let (ends_on_timeout, runs_again) =
            task.map_or((true, true), |task| (task.acks_on_timeout, task.runs_again_when_lost));
        held.was_started = true;
        if cause != Cause::Neighbour {
            held.attempts = held.attempts.max(1);
            held.is_recorded = false;
            held.runs_alone = true;
        }
        let (attempts, acked_early) = (held.attempts, held.is_acked);
        let revoke = held.revoke;
        let has_attempts_left = most == 0 || attempts < most;
        let is_ours = !acked_early && !held.is_lost;
        match cause {
            Cause::TimeLimit { limit_ms } if ends_on_timeout || !is_ours || !has_attempts_left => {
                return self.end(handle, Ending::TimeLimit { limit_ms, acked_early }, actions);
            }
            Cause::Terminated { signal } => return self.end_revoked(handle, Some(signal), actions),
            Cause::TimeLimit { .. } | Cause::Neighbour | Cause::Unknown => {}
        }
        let is_excused = cause == Cause::Neighbour;
        if acked_early {
            self.lose(handle, actions);
        } else if revoke.is_some() {
            // It died by itself, and nobody wants it run again.
            self.end_revoked(handle, None, actions);
        } else if held.is_lost || phase == Phase::Cold {
            // We killed it ourselves, or it is no longer ours: nobody's fault, so nothing is counted.
            self.end(handle, Ending::Redeliver, actions);
        } else if !is_excused && (!has_attempts_left || (cause == Cause::Unknown && !runs_again)) {
            self.lose(handle, actions);
        } else if phase == Phase::Running && !gives_back {
            self.make_ready_first(handle);
        } else {
            self.end(handle, Ending::Redeliver, actions);
        }
    }

    /// Ends a delivery that cannot be run again as lost with its worker.
    pub(crate) fn lose(&mut self, handle: Handle, actions: &mut Vec<Action>) {
        let held = self.requests.of(handle);
        let ending = Ending::WorkerLost { attempts: held.started_attempts(), acked_early: held.is_acked };
        self.end(handle, ending, actions);
    }
}
