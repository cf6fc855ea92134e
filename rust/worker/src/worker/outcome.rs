//! Station 8, outcome: takes what a child reported, from its ring or its socket; tells the engine, and keeps the bytes.

use fastworker_broker::{EventMessage, Publish};
use fastworker_engine::{ChildId, Event, Outcome};
use fastworker_wire::child::{
    EventFrame, FromChild, NO_MEMBER, OutcomeFrame, OutcomeKind, PartFrame, Successor, VERSION,
};

use crate::clock;
use crate::held::{MemberPart, Reported};
use crate::report::Level;
use crate::settle;

use super::Worker;

impl Worker {
    pub(super) fn drain_ring(&mut self, child: ChildId) {
        let Some(known) = self.children.get(&child) else { return };
        if known.page.waiting() == 0 {
            return;
        }
        let mut buffer = std::mem::take(&mut self.ring_buffer);
        let mut frames = Vec::new();
        let drained = known.page.drain(&mut buffer, |frame| frames.push(frame.to_vec()));
        self.ring_buffer = buffer;
        if let Err(nonsense) = drained {
            let pid = known.pid.unwrap_or_default();
            self.reporter.log(Level::Critical, format!("child process {pid} wrote {nonsense}: killing it"));
            self.kill(child);
        }
        if !frames.is_empty() {
            self.measure(child);
        }
        for frame in frames {
            self.frame(child, &frame);
        }
    }

    pub(super) fn frame(&mut self, child: ChildId, bytes: &[u8]) {
        match FromChild::read(bytes) {
            Ok(FromChild::Poke) => {}
            Ok(FromChild::Awake) => self.feed(Event::Awake { child }),
            Ok(FromChild::Ready { version, .. }) if version == VERSION => self.child_ready(child),
            Ok(FromChild::Ready { version, .. }) => {
                let text = format!("a child speaks version {version}, this worker {VERSION}: restart the worker");
                self.reporter.log(Level::Critical, text);
                self.kill(child);
            }
            Ok(FromChild::Outcome(outcome)) => self.outcome(child, &outcome),
            Ok(FromChild::BatchEnd { number, runtime_us }) => {
                let open = self.children.get(&child).map(|known| known.handles_of(number).collect());
                self.end_batch(child, number, open.unwrap_or_default());
                if self.children.get_mut(&child).is_some_and(|known| known.take_batch(number)) {
                    self.feed(Event::BatchEnded { child, number, runtime_us });
                }
            }
            Ok(FromChild::Store { number, member, status, doc }) => {
                let handle = self.children.get(&child).and_then(|known| known.handle_of(number, member));
                if let Some(held) = handle.and_then(|handle| self.held.get_mut(handle)) {
                    held.has_states = true;
                    self.settling.push((settle::intermediate(held, status, doc, self.policy.lifetimes), None));
                }
            }
            Ok(FromChild::Event(event)) => self.events.push(own_event(&event)),
            Ok(FromChild::Publish { number, message }) => self.publish(child, number, &message),
            Err(malformed) => {
                self.reporter.log(Level::Critical, format!("a child sent nonsense: {malformed}: killing it"));
                self.kill(child);
            }
        }
    }

    pub(super) fn outcome(&mut self, child: ChildId, outcome: &OutcomeFrame<'_>) {
        let known = self.children.get_mut(&child);
        let Some(handle) = known.and_then(|known| known.take(outcome.number, outcome.member)) else { return };
        if outcome.member != NO_MEMBER {
            self.end_member(child, outcome.number, handle);
        }
        self.tell_started(handle, clock::wall_us().saturating_sub_unsigned(outcome.runtime_us));
        let Some(held) = self.held.get_mut(handle) else { return };
        if outcome.kind == OutcomeKind::Poison {
            let text = format!("task {}[{}] moved to the dead letters: {}", held.task, held.id, outcome.reason);
            self.reporter.log(Level::Error, text);
        }
        self.sketches.ran(&held.came, outcome.started_us, outcome.runtime_us, outcome.cpu_us);
        if self.recorder.is_some() {
            held.moments.ended(outcome);
        }
        held.parts = outcome.parts.iter().map(part).collect();
        held.reported = Some(Reported {
            kind: outcome.kind,
            status: outcome.status.to_owned(),
            doc: outcome.doc.map(<[u8]>::to_vec),
            reason: outcome.reason.to_owned(),
            runtime_us: outcome.runtime_us,
            shown: outcome.shown.to_owned(),
            traceback: outcome.traceback.to_owned(),
            successors: outcome.successors.iter().map(own).collect(),
        });
        let kind = match outcome.kind {
            OutcomeKind::Success => Outcome::Success,
            OutcomeKind::Failure => Outcome::Failure,
            OutcomeKind::Retry => Outcome::Retry,
            OutcomeKind::Ignore => Outcome::Ignore,
            OutcomeKind::Reject => Outcome::Reject { requeue: false },
            OutcomeKind::Requeue => Outcome::Reject { requeue: true },
            OutcomeKind::Poison => Outcome::Poison,
            OutcomeKind::TimeLimit => Outcome::TimeLimit,
            OutcomeKind::Terminated => Outcome::Terminated,
        };
        let (number, runtime_us) = (outcome.number, outcome.runtime_us);
        self.feed(match outcome.member {
            NO_MEMBER => Event::Ended { child, number, outcome: kind, runtime_us },
            _ => Event::MemberEnded { child, number, handle, outcome: kind },
        });
    }

    pub(super) fn look_at_rings(&mut self) {
        let waiting: Vec<ChildId> =
            self.children.values().filter(|child| child.page.waiting() > 0).map(|child| child.id).collect();
        for child in waiting {
            self.drain_ring(child);
        }
    }
}

/// A message that a child has written, to be published.
pub(super) fn own(successor: &Successor<'_>) -> Publish {
    Publish {
        queue: successor.queue.to_owned(),
        priority: successor.priority,
        message: successor.message.to_vec().into(),
    }
}

fn own_event(event: &EventFrame<'_>) -> EventMessage {
    EventMessage {
        routing_key: event.routing_key.to_owned().into(),
        content_type: event.content_type.to_owned().into(),
        content_encoding: event.content_encoding.to_owned().into(),
        headers_json: event.headers.to_vec().into(),
        body: event.body.to_vec().into(),
    }
}

fn part(frame: &PartFrame<'_>) -> MemberPart {
    MemberPart {
        task_id: frame.task_id.to_owned(),
        group_id: frame.group.to_owned(),
        index: frame.index,
        bears: frame.bears,
        doc: frame.doc.to_vec(),
        record: frame.record.to_vec(),
    }
}
