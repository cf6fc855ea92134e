//! What nobody wants any more: taken out of wherever it waits, and, if so asked, ended while it runs.
//!
//! A delivery that has not started is ended where it is. One that lies at a child is recalled; whether it had started
//! is known when the recall is answered. One that runs is let finish, or terminated: when the page was just read and
//! says that it runs, the child is frozen by a recall and sent the signal, which therefore hits this task or none. The
//! child ends with its task, by the signal or else by SIGKILL, so that no signal that comes late meets another task.

use crate::action::{Action, Ending};
use crate::child::{Phase, Terminating};
use crate::engine::Engine;
use crate::event::{Handle, Now, Number};
use crate::recall::recall;
use crate::requests::{Place, Revoke};

/// A process that was sent the signal of a revoke has so long to end before it is killed, in microseconds: enough for
/// a handler of the task's own to clean up.
pub(crate) const GRACE_US: u64 = 5_000_000;

impl Engine {
    /// Somebody revoked deliveries that we hold.
    pub(crate) fn revoked(&mut self, handles: &[Handle], terminate: Option<i32>, actions: &mut Vec<Action>) {
        let revoke = terminate.map_or(Revoke::Skip, Revoke::Terminate);
        for &handle in handles {
            let Some(held) = self.requests.get_mut(handle) else {
                self.counters.odd += 1;
                continue;
            };
            // Once asked for, a termination is not taken back by a milder revoke.
            held.revoke = Some(match (held.revoke, revoke) {
                (Some(Revoke::Terminate(signal)), Revoke::Skip) => Revoke::Terminate(signal),
                _ => revoke,
            });
            match held.place {
                Place::Timer
                | Place::Limited
                | Place::Standing
                | Place::Gathering
                | Place::Ready
                | Place::Suspect
                | Place::EarlyLine
                | Place::Aside => self.take_out(handle),
                Place::Child(id) => {
                    let index = self.fleet.find(id).expect("a child that has a delivery is in the fleet");
                    let child = self.fleet.at(index);
                    child.has_revoked |= terminate.is_some();
                    recall(child, actions);
                    self.fleet.refresh(index);
                    continue;
                }
                // The broker's answer finds it revoked.
                Place::Recording | Place::Acking | Place::Asking => continue,
                // It leaves already; if it comes back, whoever gets it knows.
                Place::Ending => continue,
            }
            self.end_revoked(handle, None, actions);
        }
    }

    /// Ends a delivery that is in no list any more as revoked.
    pub(crate) fn end_revoked(&mut self, handle: Handle, terminated: Option<i32>, actions: &mut Vec<Action>) {
        let acked_early = self.requests.of(handle).is_acked;
        self.end(handle, Ending::Revoked { terminated, acked_early }, actions);
    }

    /// Sends its signal to the running task of a child whose page was just read, if it is to be terminated.
    pub(crate) fn terminate_what_runs(&mut self, now: Now, index: usize, actions: &mut Vec<Action>) {
        let child = self.fleet.at(index);
        if !child.has_revoked || child.terminating.is_some() || child.phase != Phase::Ready {
            return;
        }
        let running = child.running.map(|running| running.number);
        let handles: Vec<Handle> = running.map(|number| child.handles(number).collect()).unwrap_or_default();
        let signal = handles.into_iter().find_map(|handle| match self.requests.of(handle).revoke {
            Some(Revoke::Terminate(signal)) => Some(signal),
            _ => None,
        });
        let child = self.fleet.at(index);
        if let Some((number, signal)) = running.zip(signal) {
            recall(child, actions);
            child.terminating = Some(Terminating { number, signal, kill_at_us: now.mono_us + GRACE_US });
            actions.push(Action::Terminate { child: child.id, number, signal });
            self.fleet.refresh(index);
            return;
        }
        let handles: Vec<Handle> = child.open_tasks().map(|(_, handle)| handle).collect();
        let is_wanted = |handle| matches!(self.requests.of(handle).revoke, Some(Revoke::Terminate(_)));
        self.fleet.at(index).has_revoked = handles.into_iter().any(is_wanted);
    }

    /// Kills a child that did not end by the signal that was sent to its task.
    pub(crate) fn kill_if_it_outlives_its_signal(&mut self, now: Now, index: usize, actions: &mut Vec<Action>) {
        let child = self.fleet.at(index);
        let is_over = child.terminating.is_some_and(|it| it.kill_at_us <= now.mono_us);
        if is_over && child.phase == Phase::Ready {
            child.phase = Phase::Killed;
            actions.push(Action::Kill { child: child.id });
            self.fleet.refresh(index);
        }
    }

    /// A terminated task reported its end all the same: its signal may still come, and must meet no other task.
    pub(crate) fn end_with_its_task(&mut self, index: usize, number: Number, actions: &mut Vec<Action>) {
        let child = self.fleet.at(index);
        if child.terminating.is_some_and(|it| it.number == number) && child.phase == Phase::Ready {
            child.phase = Phase::Killed;
            actions.push(Action::Kill { child: child.id });
        }
    }
}
