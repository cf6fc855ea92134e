//! Taking a batch of messages into the lease, and finding them again when the answer was lost.
//!
//! A fetch is numbered, and its tags follow from the number. When its reply does not come (connection cut, future
//! dropped, script failed half-way), the number is kept. The next fetch first raises the *fence*, a number in our
//! heartbeat key below which the script refuses to run, then reads exactly the tags that the lost one would have
//! written. The order matters: after the fence a late copy of the command cannot take anything any more.

use redis::{Cmd, Pipeline, Value};

use super::broker::RedisBroker;
use super::entry;
use super::lease::{FETCH_MAX, Lease, tag};
use super::queues::Queues;
use super::script::FETCH;
use crate::order::QueueOrder;
use crate::{Delivery, Error, Portion};

/// A fetch that may have taken up to `max` messages that nobody heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LostFetch {
    pub(super) number: u64,
    pub(super) max: usize,
}

/// Remembers a fetch as lost when it is dropped before its reply was read: by an error, or by the caller giving up.
pub(super) struct Outstanding<'a> {
    pub(super) broker: &'a RedisBroker,
    pub(super) fetch: LostFetch,
    pub(super) is_answered: bool,
}

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.broker.lost_fetches.borrow_mut().push(self.fetch);
        }
    }
}

impl RedisBroker {
    /// At most [`FETCH_MAX`] at a time; when more were asked for and more wait, `wait` returns at once.
    pub(super) async fn fetch_up_to(&self, max: usize, portions: &[Portion]) -> Result<Vec<Delivery>, Error> {
        if max == 0 || self.watching.now().is_empty() {
            return Ok(Vec::new());
        }
        let found = self.read_back_lost().await?;
        if !found.is_empty() {
            return Ok(found);
        }
        loop {
            let (deliveries, buried) = self.fetch_once(max.min(FETCH_MAX), portions).await?;
            // All that came was no JSON: what lies behind it may be.
            if !deliveries.is_empty() || buried == 0 {
                return Ok(deliveries);
            }
        }
    }

    async fn fetch_once(&self, max: usize, portions: &[Portion]) -> Result<(Vec<Delivery>, usize), Error> {
        let queues = self.watching.now();
        let number = self.next_fetch.get();
        self.next_fetch.set(number + 1);
        let mut outstanding = Outstanding { broker: self, fetch: LostFetch { number, max }, is_answered: false };
        self.wake.fetching();
        let reply =
            self.fetching.script("fetch", &FETCH, |command| self.fill(command, &queues, number, max, portions)).await?;
        let (deliveries, buried, has_more) = match reply {
            // Fenced off: it took nothing.
            Value::Nil => (Vec::new(), 0, true),
            reply => self.read_reply(&queues, number, reply)?,
        };
        outstanding.is_answered = true;
        self.wake.fetched(has_more);
        Ok((deliveries, buried))
    }

    /// Keys and arguments as `fetch.lua` lists them.
    fn fill(&self, command: &mut Cmd, queues: &Queues, number: u64, max: usize, portions: &[Portion]) {
        let keys = &self.keys;
        command.arg(7 + queues.lists.len());
        command.arg(&keys.unacked).arg(&keys.unacked_index);
        command.arg(keys.owner(&self.held.incarnation)).arg(&keys.owners);
        command.arg(&keys.dead).arg(&keys.dead_index).arg(&keys.paused);
        command.arg(&queues.lists);
        command.arg(max).arg(self.held.prefix(number)).arg(number).arg(&self.held.incarnation);
        command.arg(self.terms.life.as_millis() as u64).arg(order(self.order, queues, number)).arg(queues.len());
        for queue in &queues.all {
            command.arg(&queue.tail);
        }
        for queue in &queues.all {
            command.arg(&queue.name);
        }
        for step in keys.steps() {
            command.arg(*step);
        }
        for portion in portions {
            command.arg(portion.room);
        }
        for portion in portions {
            command.arg(portion.share);
        }
    }

    /// Deliveries, how many went to the dead letters, and whether anything was left.
    fn read_reply(&self, queues: &Queues, number: u64, reply: Value) -> Result<(Vec<Delivery>, usize, bool), Error> {
        let call = self.fetching.call("fetch");
        let Value::Array(parts) = reply else { return Err(call.unexpected(&reply)) };
        let mut parts = parts.into_iter();
        let has_more = match parts.next() {
            Some(Value::Array(lengths)) => lengths.iter().any(|length| *length != Value::Int(0)),
            other => return Err(call.unexpected(&other.unwrap_or(Value::Nil))),
        };
        let (mut deliveries, mut place, mut buried) = (Vec::new(), 0, 0);
        while let (Some(list), Some(items)) = (parts.next(), parts.next()) {
            let (Value::Int(list), Value::Array(items)) = (list, items) else {
                return Err(call.unexpected(&Value::Nil));
            };
            let (queue, step) = (list as usize % queues.len(), list as usize / queues.len());
            deliveries.reserve(items.len());
            for item in items {
                place += 1;
                match item {
                    Value::BulkString(message) => {
                        let lease = Lease { queue: queue as u16, step: self.keys.steps()[step] };
                        deliveries.push(self.deliver(number, place, lease, message));
                    }
                    _ => {
                        buried += 1;
                        let id = format!("not-json:{}:{number}:{place}", self.held.incarnation);
                        tracing::error!(id, queue = queues.all[queue].name, "not JSON: moved to the dead letters");
                    }
                }
            }
        }
        Ok((deliveries, buried, has_more))
    }

    pub(super) fn deliver(&self, number: u64, place: usize, lease: Lease, message: Vec<u8>) -> Delivery {
        let tag = tag(number, place);
        self.held.insert(tag, lease);
        // Kombu's marks are in the envelope itself.
        Delivery { tag, queue: lease.queue, message: message.into(), is_redelivered: false }
    }

    /// What the lost fetches took, if anything. They are forgotten once the answer is here.
    pub(super) async fn read_back_lost(&self) -> Result<Vec<Delivery>, Error> {
        let lost = self.lost_fetches.borrow().clone();
        if lost.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::new();
        let owner = self.keys.owner(&self.held.incarnation);
        let life_ms = self.terms.life.as_millis() as u64;
        pipeline.cmd("SET").arg(owner).arg(self.next_fetch.get()).arg("PX").arg(life_ms);
        let mut asked = Vec::new();
        for fetch in &lost {
            let command = pipeline.cmd("HMGET").arg(&self.keys.unacked);
            for place in 1..=fetch.max {
                for step in self.keys.steps() {
                    command.arg(self.held.name(tag(fetch.number, place), *step));
                    asked.push((fetch.number, place, *step));
                }
            }
        }
        let values = self.work.run("fetch", &pipeline).await?;
        let values = self.work.call("fetch").values(values)?;
        let entries = values.into_iter().skip(1).flat_map(|value| match value {
            Value::Array(entries) => entries,
            _ => Vec::new(),
        });

        let mut deliveries = Vec::new();
        for ((number, place, step), found) in asked.into_iter().zip(entries) {
            let Value::BulkString(found) = found else { continue };
            if let Some((queue, message)) = self.own_entry(&found) {
                deliveries.push(self.deliver(number, place, Lease { queue, step }, message));
            }
        }
        self.lost_fetches.borrow_mut().retain(|fetch| !lost.contains(fetch));
        Ok(deliveries)
    }

    /// Queue and message of an entry that our own fetch wrote.
    fn own_entry(&self, found: &[u8]) -> Option<(u16, Vec<u8>)> {
        let split = entry::split(found)?;
        let queue = self.watching.now().all.iter().position(|queue| queue.name == split.routing_key)?;
        Some((queue as u16, split.message.to_vec()))
    }
}

/// As the fetch script takes it: whose turn it is, or all indices in their order, with a comma after each.
fn order(order: QueueOrder, queues: &Queues, fetch: u64) -> String {
    if !order.is_strict() {
        return (fetch % queues.len() as u64).to_string();
    }
    let names: Vec<&str> = queues.all.iter().map(|queue| queue.name.as_str()).collect();
    order.of(&names, 0).iter().map(|index| format!("{index},")).collect()
}
