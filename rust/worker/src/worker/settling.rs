//! Station 9, settle, as the loop sees it: what waits to be settled, and what was.

use fastworker_broker::{Broker as _, Settlement};
use fastworker_engine::{Ending, Event, Handle};
use fastworker_wire::child::OutcomeKind;

use crate::events::end_of;
use crate::fact::Settling;
use crate::held::{Again, Held, MemberPart};
use crate::report::{Fate, Level, Report};
use crate::{clock, settle};

use super::Worker;

impl Worker {
    pub(super) fn settle(&mut self, handle: Handle, ending: Ending) {
        let Some(held) = self.held.get_mut(handle) else { return };
        held.ending = Some(ending);
        self.settle_if_confirmed(handle);
    }

    pub(super) fn settle_if_confirmed(&mut self, handle: Handle) {
        let Some(held) = self.held.get_mut(handle) else { return };
        if held.unconfirmed > 0 {
            return;
        }
        let Some(ending) = held.ending.take() else { return };
        if held.told_as.is_none()
            && let Some(fate) = fate_to_tell(held, &ending)
        {
            held.ending = Some(ending);
            self.tell_failure(handle, fate);
            return;
        }
        if let Ending::Unknown = ending {
            let fate = if self.policy.discards_unknown { "thrown away" } else { "moved to the dead letters" };
            let text = format!("message {} {fate}: unknown task {:?}", held.id, held.task);
            self.reporter.log(Level::Error, text);
        }
        if let Ending::WorkerLost { attempts, .. } = ending {
            let death = held.death.as_deref().unwrap_or("unknown exit status");
            let (task, id) = (&held.task, &held.id);
            let text = match held.again {
                Some(_) => format!("task {task}[{id}] is retried: its process died: {death}"),
                None => format!("task {task}[{id}] failed: its process died {attempts} time(s): {death}"),
            };
            self.reporter.log(Level::Error, text);
        }
        let is_final = ending != Ending::EarlyAck;
        match ending {
            Ending::Return | Ending::Park { .. } => self.sketches.went_back(&mut held.came),
            Ending::TimeLimit { limit_ms, .. } => self.sketches.was_ended(&held.came, limit_ms * 1000),
            _ => {}
        }
        if self.recorder.is_some() {
            held.moments.settling(&ending);
        }
        held.fate = fate_of(held, &ending).filter(|fate| match fate {
            Fate::Expired => self.config.reports.expired,
            Fate::Unknown => self.config.reports.unknown,
            Fate::Revoked { .. } => true,
            // Told already.
            Fate::WorkerLost { .. } | Fate::TimeLimit { .. } => false,
            // Of a member of a group only, for those who count.
            Fate::Refused { .. } | Fate::CannotRun { .. } => false,
        });
        if self.events.has_tasks() && held.sends_events {
            match end_of(held, &ending, self.is_cold) {
                // Who gets it next may say so before the broker's answer is here.
                Some(end) if end.comes_again() => end.tell(&held.id, clock::wall_us(), &mut self.events),
                end => held.end = end,
            }
        }
        held.is_early_acked |= !is_final;
        let has_states = held.has_states;
        let mut settlements = settle::settlements(held, &ending, self.policy, clock::wall_us());
        let own = settlements.pop().map(|own| (own, Some(Settling { handle, is_final })));
        let replies = |one: &Settlement| one.result.as_ref().is_some_and(|result| result.reply.is_some());
        let publishes = |one: &Settlement| !one.successors.is_empty() || one.member.is_some() || replies(one);
        let follows = settlements.iter().chain(own.as_ref().map(|(own, _)| own)).any(publishes);
        // Not before states of its own that are being stored.
        let is_free = !has_states || !self.is_settling && self.settling.is_empty();
        let road = if follows && is_free && self.io.broker.may_block_publishers() {
            &mut self.following
        } else {
            &mut self.settling
        };
        road.extend(settlements.into_iter().map(|member| (member, None)).chain(own));
    }

    /// What follows from a failure comes before its end is settled: a worker that dies in between repeats it, and drops
    /// nothing.
    pub(super) fn tell_failure(&mut self, handle: Handle, fate: Fate) {
        let Some(held) = self.held.get_mut(handle) else { return };
        self.tellings += 1;
        let number = self.tellings;
        held.told_as = Some(number);
        held.unconfirmed += 1;
        self.untold += 1;
        let is_member = held.group.is_some();
        // Those that a child reported are of an end that did not come about.
        held.parts.clear();
        self.reporter.send(Report::Failed { fate, call: held.frame.clone(), handle, number, is_member });
    }

    /// The main thread has found a chord's member in what it was told of.
    pub(super) fn count(&mut self, handle: Handle, number: u64, part: MemberPart) {
        if let Some(held) = self.held.get_mut(handle).filter(|held| held.told_as == Some(number)) {
            held.parts.push(part);
        }
    }

    /// The main thread has a task whose process died run once more.
    pub(super) fn run_again(&mut self, handle: Handle, number: u64, again: Again) {
        if let Some(held) = self.held.get_mut(handle).filter(|held| held.told_as == Some(number)) {
            held.again = Some(again);
        }
    }

    /// The main thread has called handlers and errbacks.
    pub(super) fn told(&mut self, failures: Vec<(Handle, u64)>) {
        for (handle, number) in failures {
            self.untold -= 1;
            // The lease may have been lost meanwhile, and the handle be another's.
            if let Some(held) = self.held.get_mut(handle).filter(|held| held.told_as == Some(number)) {
                held.unconfirmed -= 1;
                self.settle_if_confirmed(handle);
            }
        }
    }

    pub(super) fn settled(&mut self, batch: Vec<Option<Settling>>, lost: &[usize]) {
        self.answered_us = clock::mono_us();
        let settled_us = self.answered_us;
        let settled_wall_us = clock::wall_us();
        for (index, settling) in batch.into_iter().enumerate() {
            let Some(Settling { handle, is_final }) = settling else { continue };
            if lost.contains(&index) {
                self.lease_lost(handle);
                continue;
            }
            if is_final && let Some(held) = self.held.remove(handle) {
                if let Some(recorder) = &mut self.recorder {
                    recorder.settled(&held.moments, settled_us);
                }
                if let Some(end) = held.end {
                    end.tell(&held.id, settled_wall_us, &mut self.events);
                }
                if let Some(fate) = held.fate {
                    self.reporter.send(Report::Ended { fate, call: held.frame });
                }
            }
            self.feed(Event::Settled { handle });
        }
    }

    /// The broker did not know a lease of ours any more.
    pub(super) fn lease_lost(&mut self, handle: Handle) {
        self.forget_lost(handle);
        self.feed(Event::LeaseLost { handle });
    }

    /// The engine is told otherwise.
    pub(super) fn forget_lost(&mut self, handle: Handle) {
        let mut held = self.held.remove(handle);
        if let Some(held) = &mut held {
            // Whoever has it now counts it.
            self.sketches.went_back(&mut held.came);
        }
        let (task, id) = held.map(|held| (held.task, held.id)).unwrap_or_default();
        let text = format!("the lease of task {task}[{id}] was lost: another worker has it");
        self.reporter.log(Level::Warning, text);
    }
}

/// What the main thread has to see to before this is settled. The members of a group may be a chord's, which counts every
/// end: a child says so itself where it can.
fn fate_to_tell(held: &Held, ending: &Ending) -> Option<Fate> {
    match fate_of(held, ending)? {
        fate @ (Fate::WorkerLost { .. } | Fate::TimeLimit { .. }) => Some(fate),
        fate => held.group.is_some().then_some(fate),
    }
}

/// What the main thread may want to know of an ending that no child reported.
fn fate_of(held: &Held, ending: &Ending) -> Option<Fate> {
    match *ending {
        Ending::Expired => Some(Fate::Expired),
        Ending::Revoked { terminated, .. } => Some(Fate::Revoked { signal: terminated }),
        Ending::Unknown => Some(Fate::Unknown),
        Ending::WorkerLost { attempts, .. } => Some(Fate::WorkerLost { text: settle::text_of_death(held, attempts) }),
        Ending::TimeLimit { limit_ms, .. } => Some(Fate::TimeLimit { limit_ms }),
        Ending::AsReported { .. } => match (&held.refused, &held.reported) {
            (Some(refusal), _) => Some(Fate::Refused { text: settle::text_of_refusal(refusal) }),
            (None, Some(reported)) if reported.kind == OutcomeKind::Poison => {
                Some(Fate::CannotRun { reason: reported.reason.clone() })
            }
            _ => None,
        },
        Ending::EarlyAck
        | Ending::Return
        | Ending::Redeliver
        | Ending::Requeue
        | Ending::Park { .. }
        | Ending::Lane => None,
    }
}
