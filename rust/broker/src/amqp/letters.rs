//! Dead letters: one durable queue, each message as it was, with headers that say why it is there.
//!
//! A queue cannot be searched. To look, all of it is taken, up to a bound, and given back; what somebody else looks at in
//! that moment is not seen.

use lapin::types::{AMQPValue, FieldTable};

use super::client::read;
use super::message::Outgoing;
use super::steps::{Life, Step, long};
use super::table;
use super::topology::Topology;
use super::wire::{Fault, Open, Received};
use crate::DeadLetter;
use crate::burial::Burial;
use crate::clock::now_ms;

/// Where they lie.
pub(super) const QUEUE: &str = "fastworker.dead";
const ID: &str = "x-fastworker-letter";
const FROM: &str = "x-fastworker-queue";
const REASON: &str = "x-fastworker-reason";
const DETAIL: &str = "x-fastworker-detail";
const DIED_MS: &str = "x-fastworker-died-ms";
/// Most that are looked through.
const MOST: usize = 10_000;

/// How the queue is declared.
pub(super) fn declared() -> Step {
    Step::Queue { name: QUEUE.to_owned(), life: Life::Durable, arguments: FieldTable::default() }
}

/// A message on its way there.
pub(super) fn letter(message: Outgoing, queue: &str, burial: &Burial) -> Outgoing {
    message
        .with_header(ID, long(&burial.letter))
        .with_header(FROM, long(queue))
        .with_header(REASON, long(&burial.reason))
        .with_header(DETAIL, long(&burial.detail))
        .with_header(DIED_MS, AMQPValue::LongLongInt(now_ms()))
}

/// The newest, newest first.
pub(super) fn newest(open: &mut Open, limit: usize) -> Result<Vec<DeadLetter>, Fault> {
    let all = taken(open)?;
    let letters = all.iter().rev().take(limit).map(|(_, letter)| letter.clone()).collect();
    give_back(open, &all)?;
    Ok(letters)
}

/// One by its id, or by a beginning that no other one has.
pub(super) fn find(open: &mut Open, id: &str) -> Result<Option<DeadLetter>, Fault> {
    let all = taken(open)?;
    let found = chosen(&all, id).map(|(_, letter)| letter.clone());
    give_back(open, &all)?;
    Ok(found)
}

/// Publishes one to its queue again, then removes it. False: there is none.
pub(super) fn retry(open: &mut Open, topology: &Topology, id: &str) -> Result<bool, Fault> {
    let all = taken(open)?;
    let Some((tag, letter)) = chosen(&all, id).cloned() else {
        give_back(open, &all)?;
        return Ok(false);
    };
    open.declare(&topology.steps(&letter.queue))?;
    open.publish("", &[(letter.queue.as_str(), Outgoing::of(&letter.message))])?;
    open.end(tag, true)?;
    give_back(open, &without(&all, &[tag]))?;
    Ok(true)
}

/// Removes the one with this id, or all.
pub(super) fn purge(open: &mut Open, id: Option<&str>) -> Result<u64, Fault> {
    let Some(id) = id else { return open.purge(QUEUE) };
    let all = taken(open)?;
    let tags: Vec<u64> = all.iter().filter(|(_, letter)| letter.id == id).map(|(tag, _)| *tag).collect();
    for tag in &tags {
        open.end(*tag, true)?;
    }
    give_back(open, &without(&all, &tags))?;
    Ok(tags.len() as u64)
}

fn taken(open: &mut Open) -> Result<Vec<(u64, DeadLetter)>, Fault> {
    open.declare(&[declared()])?;
    let mut all = Vec::new();
    while all.len() < MOST
        && let Some(received) = open.get(QUEUE)?
    {
        all.push((received.tag, opened(received)));
    }
    Ok(all)
}

/// In the order in which they came, and once the server has done it.
fn give_back(open: &mut Open, all: &[(u64, DeadLetter)]) -> Result<(), Fault> {
    for (tag, _) in all {
        open.end(*tag, false)?;
    }
    open.sync()
}

fn without(all: &[(u64, DeadLetter)], tags: &[u64]) -> Vec<(u64, DeadLetter)> {
    all.iter().filter(|(tag, _)| !tags.contains(tag)).cloned().collect()
}

fn chosen<'a>(all: &'a [(u64, DeadLetter)], id: &str) -> Option<&'a (u64, DeadLetter)> {
    if let Some(exact) = all.iter().rev().find(|(_, letter)| letter.id == id) {
        return Some(exact);
    }
    let mut begins = all.iter().filter(|(_, letter)| letter.id.starts_with(id));
    let first = begins.next()?;
    begins.next().is_none().then_some(first)
}

/// The message without the headers that say why it is here.
fn opened(mut received: Received) -> DeadLetter {
    let headers = received.properties.headers().clone().unwrap_or_default();
    let text = |name: &str| headers.inner().get(name).and_then(table::text).unwrap_or_default();
    let died_ms = headers.inner().get(DIED_MS).and_then(table::integer).unwrap_or_default();
    let (id, queue, reason, detail) = (text(ID), text(FROM), text(REASON), text(DETAIL));
    let ours = [ID, FROM, REASON, DETAIL, DIED_MS];
    let kept = headers.inner().iter().filter(|(name, _)| !ours.contains(&name.as_str()));
    let kept: std::collections::BTreeMap<_, _> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    received.properties = received.properties.with_headers(FieldTable::from(kept));
    received.routing_key.clone_from(&queue);
    let incoming = read(received);
    let task = fastworker_wire::envelope::task_and_id(&incoming.message).0;
    let message = incoming.message.into();
    DeadLetter { id, queue, task, reason, detail, died_ms, priority: incoming.priority, message }
}
