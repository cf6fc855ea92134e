//! What the Python side makes of a workflow: messages, what follows from an end, and which members of chords it counts.
//!
//! The rules are those of `canvas/`, `child/members.py`, `child/successors.py` and `worker/chords.py`, for tasks that have
//! one error callback each. Contents are kept in a book, and messages and records hold their number in it, since no broker
//! looks into either.

use std::collections::HashMap;

use fastworker_broker::Publish;

use crate::held::MemberPart;

use super::flow::{Deed, Flow};

/// The one queue.
pub(super) const QUEUE: &str = "work";

/// Signatures, each of which runs with the result of the one before.
pub(super) type Chain = Vec<Sig>;

/// A call that is not published yet.
#[derive(Clone, Debug)]
pub(super) struct Sig {
    /// Of the task; of a chord without meaning.
    pub(super) id: String,
    pub(super) what: What,
    /// Where it counts.
    pub(super) seat: Option<Seat>,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Task(Deed),
    Chord { group: String, header: Vec<Chain>, body: Chain },
}

/// A place in a chord's header.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) group: String,
    pub(super) index: i64,
    /// The body's number in the book.
    pub(super) record: usize,
}

/// A message: a task, what comes after it, and what it is given.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) id: String,
    pub(super) deed: Deed,
    pub(super) seat: Option<Seat>,
    pub(super) rest: Chain,
    pub(super) retries: u32,
    /// The members whose results it got, if it is a chord's body.
    pub(super) given: Vec<String>,
}

/// Everything that was ever written.
#[derive(Default)]
pub(super) struct Book {
    letters: Vec<Letter>,
    bodies: Vec<Chain>,
    names: usize,
}

/// What has to be done because something ended, in this order.
#[derive(Default)]
pub(super) struct Effects {
    /// The message, or the run of a chord, that it is all because of.
    pub(super) cause: String,
    /// Chords that begin, and the sizes of their headers. At once, wherever that is done.
    pub(super) begins: Vec<(String, u64)>,
    pub(super) messages: Vec<Publish>,
    /// Tasks that have failed.
    pub(super) states: Vec<String>,
    /// What it means for chords.
    pub(super) parts: Vec<MemberPart>,
}

impl Effects {
    pub(super) fn of(cause: &str) -> Effects {
        Effects { cause: cause.to_owned(), ..Effects::default() }
    }

    /// How a member ended, for those who count.
    pub(super) fn count(&mut self, id: &str, seat: Option<&Seat>, is_success: bool) {
        let Some(seat) = seat else { return };
        let state = if is_success { "SUCCESS" } else { "FAILURE" };
        self.parts.push(MemberPart {
            task_id: id.to_owned(),
            group_id: seat.group.clone(),
            index: Some(seat.index),
            bears: None,
            doc: format!("[1, \"{id}\", \"{state}\", null]").into_bytes(),
            record: format!("{} {}", seat.record, self.cause).into_bytes(),
        });
    }
}

impl Book {
    /// The signatures of a workflow, under names that begin with `stem`.
    pub(super) fn signatures(&mut self, flow: &Flow, stem: &str) -> Chain {
        match flow {
            Flow::Task(deed) => vec![Sig { id: self.name(stem), what: What::Task(deed.clone()), seat: None }],
            Flow::Chain(parts) => parts.iter().flat_map(|part| self.signatures(part, stem)).collect(),
            Flow::Chord(header, body) => {
                let id = self.name(stem);
                let header = header.iter().map(|member| self.signatures(member, stem)).collect();
                let body = self.signatures(body, stem);
                vec![Sig { what: What::Chord { group: format!("{id}-group"), header, body }, id, seat: None }]
            }
        }
    }

    /// A name that no other has.
    pub(super) fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}.{}", self.names)
    }

    pub(super) fn letter(&self, number: usize) -> Letter {
        self.letters[number].clone()
    }

    pub(super) fn body(&self, record: usize) -> Chain {
        self.bodies[record].clone()
    }

    /// The message of a letter.
    pub(super) fn write(&mut self, letter: Letter) -> Publish {
        self.letters.push(letter);
        let message = format!("{{\"letter\": {}}}", self.letters.len() - 1).into();
        Publish { queue: QUEUE.to_owned(), priority: 0, message }
    }

    /// Publishes a chain; its first task is given the results of these members.
    pub(super) fn publish(&mut self, mut chain: Chain, given: &[String], effects: &mut Effects) {
        if chain.is_empty() {
            return;
        }
        let rest = chain.split_off(1);
        let Some(first) = chain.pop() else { return };
        match first.what {
            What::Task(deed) => {
                let letter = Letter { id: first.id, deed, seat: first.seat, rest, retries: 0, given: given.to_vec() };
                effects.messages.push(self.write(letter));
            }
            What::Chord { group, header, mut body } => {
                body.extend(rest);
                if header.is_empty() {
                    return self.publish(body, &[], effects);
                }
                effects.begins.push((group.clone(), header.len() as u64));
                self.bodies.push(body);
                let record = self.bodies.len() - 1;
                for (index, mut member) in (0..).zip(header) {
                    take_seat(&mut member, &Seat { group: group.clone(), index, record });
                    self.publish(member, given, effects);
                }
            }
        }
    }

    /// A task ended without success, and will not run again.
    pub(super) fn failed(&mut self, letter: &Letter, effects: &mut Effects) {
        effects.states.push(letter.id.clone());
        self.call_errback(&letter.id, effects);
        effects.count(&letter.id, letter.seat.as_ref(), false);
        for step in &letter.rest {
            skipped(step, effects);
        }
    }

    /// A chord's body will not run, since a member failed.
    pub(super) fn fail_body(&mut self, body: &[Sig], effects: &mut Effects) {
        let Some((first, rest)) = body.split_first() else { return };
        match &first.what {
            What::Task(_) => {
                effects.states.push(first.id.clone());
                self.call_errback(&first.id, effects);
                effects.count(&first.id, first.seat.as_ref(), false);
            }
            What::Chord { body, .. } => self.fail_body(body, effects),
        }
        for step in rest {
            skipped(step, effects);
        }
    }

    fn call_errback(&mut self, id: &str, effects: &mut Effects) {
        let id = errback_of(id);
        let letter = Letter { id, deed: Deed::Succeed, seat: None, rest: Vec::new(), retries: 0, given: Vec::new() };
        effects.messages.push(self.write(letter));
    }
}

/// The error callback of a task.
pub(super) fn errback_of(id: &str) -> String {
    format!("{id}-errback")
}

/// The number of the letter in a message.
pub(super) fn number_of(message: &[u8]) -> usize {
    let text = std::str::from_utf8(message).expect("we wrote it");
    let digits = text.trim_start_matches("{\"letter\": ").trim_end_matches('}');
    digits.parse().expect("we wrote it")
}

/// A step that will not run: its state, and what it means for chords.
fn skipped(step: &Sig, effects: &mut Effects) {
    match &step.what {
        What::Task(_) => {
            effects.states.push(step.id.clone());
            effects.count(&step.id, step.seat.as_ref(), false);
        }
        What::Chord { body, .. } => body.iter().for_each(|step| skipped(step, effects)),
    }
}

/// Task and success of a part.
pub(super) fn read_part(doc: &[u8]) -> (String, bool) {
    let text = std::str::from_utf8(doc).expect("we wrote it");
    let mut quoted = text.split('"').skip(1).step_by(2).map(str::to_owned);
    let id = quoted.next().expect("we wrote it");
    (id, quoted.next().as_deref() == Some("SUCCESS"))
}

/// What is waited for at the end of a chain counts in its name.
pub(super) fn take_seat(chain: &mut [Sig], seat: &Seat) {
    let Some(last) = chain.last_mut() else { return };
    match &mut last.what {
        What::Task(_) => last.seat = Some(seat.clone()),
        What::Chord { body, .. } => take_seat(body, seat),
    }
}

/// What is waited for at the end of a chain is known under this name.
pub(super) fn take_name(chain: &mut [Sig], id: &str) {
    let Some(last) = chain.last_mut() else { return };
    match &mut last.what {
        What::Task(_) => last.id = id.to_owned(),
        What::Chord { body, .. } => take_name(body, id),
    }
}

/// What is waited for at the end of a chain.
pub(super) fn last_of(chain: &[Sig]) -> &str {
    let last = chain.last().expect("no workflow is empty");
    match &last.what {
        What::Task(_) => &last.id,
        What::Chord { body, .. } => last_of(body),
    }
}

/// The members that the header of each chord has at first, by group.
pub(super) fn headers(chain: &[Sig], found: &mut HashMap<String, Vec<String>>) {
    for step in chain {
        let What::Chord { group, header, body } = &step.what else { continue };
        found.insert(group.clone(), header.iter().map(|member| last_of(member).to_owned()).collect());
        header.iter().for_each(|member| headers(member, found));
        headers(body, found);
    }
}

/// All tasks of a workflow.
pub(super) fn names(chain: &[Sig], found: &mut Vec<String>) {
    for step in chain {
        match &step.what {
            What::Task(_) => found.push(step.id.clone()),
            What::Chord { header, body, .. } => {
                header.iter().for_each(|member| names(member, found));
                names(body, found);
            }
        }
    }
}
