//! What a client process does: publish, look, steer.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::blocking::Blocking;
use super::failure::missing;
use super::letters;
use super::message::{Incoming, Outgoing};
use super::options::AmqpOptions;
use super::steps::{Life, Step, arguments, number};
use super::wire::{Fault, Received};
use crate::{
    Binding, Cancel, Cancelled, Client, Control, DeadLetter, Error, FanoutClient, Mark, Parked, ParkedClient,
    ParkedPage, Publish, ResultsAt, RevokeTerms,
};

/// Nobody looks into what waits for its time.
const PARKED: &str = "RabbitMQ does not let anybody look into the queues in which messages wait for their time; revoke \
                      a task by its id, and it ends when its time has come";
/// There is no place for it.
const PAUSE: &str = "RabbitMQ keeps no pauses; stop the consuming instead: fastworker control cancel_consumer QUEUE, and \
                     add_consumer QUEUE to go on";

/// A blocking connection to RabbitMQ, opened at the first call.
pub struct AmqpClient(pub(super) Blocking);

impl AmqpClient {
    /// Nothing is opened yet.
    pub fn new(options: AmqpOptions) -> AmqpClient {
        AmqpClient(Blocking::new(options))
    }

    fn refuse<T>(&self, what: &'static str, why: &str) -> Result<T, Error> {
        Err(missing(what, &self.0.options.masked, why))
    }
}

impl Client for AmqpClient {
    fn publish(&mut self, batch: &[Publish]) -> Result<(), Error> {
        let keeps = self.0.options.keeps_expiration;
        let messages: Vec<(&str, Outgoing)> =
            batch.iter().map(|one| (one.queue.as_str(), Outgoing::published(&one.message, keeps))).collect();
        let topology = self.0.options.topology.clone();
        self.0.with("publish", |open| {
            let lost = open.publish("", &messages)?;
            if lost.is_empty() {
                return Ok(());
            }
            // Queues that nobody has declared yet.
            let again: Vec<(&str, Outgoing)> = lost.iter().map(|place| messages[*place].clone()).collect();
            let queues: BTreeSet<&str> = again.iter().map(|(queue, _)| *queue).collect();
            for queue in queues {
                open.declared.forget_queue(queue);
                open.declare(&topology.steps(queue))?;
            }
            match open.publish("", &again)?.first() {
                None => Ok(()),
                Some(place) => {
                    Err(Fault::Replied(312, format!("no queue {:?}, though it was declared", again[*place].0)))
                }
            }
        })
    }

    fn depth(&mut self, queue: &str) -> Result<u64, Error> {
        self.0.with("depth", |open| open.depth(queue))
    }

    fn purge(&mut self, queue: &str) -> Result<u64, Error> {
        self.0.with("purge", |open| open.purge(queue))
    }

    fn unlane(&mut self, _queue: &str) -> Result<u64, Error> {
        // What is in lanes goes back by itself, a minute after the last worker has drawn from them.
        Ok(0)
    }

    fn unpark(&mut self) -> Result<u64, Error> {
        self.refuse("unpark", PARKED)
    }

    fn dead_letters(&mut self, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.0.with("dead letters", |open| letters::newest(open, limit))
    }

    fn dead_letter(&mut self, id: &str) -> Result<Option<DeadLetter>, Error> {
        self.0.with("dead letter", |open| letters::find(open, id))
    }

    fn retry_dead_letter(&mut self, id: &str) -> Result<bool, Error> {
        let topology = self.0.options.topology.clone();
        self.0.with("retry of a dead letter", |open| letters::retry(open, &topology, id))
    }

    fn purge_dead_letters(&mut self, id: Option<&str>) -> Result<u64, Error> {
        self.0.with("purge of dead letters", |open| letters::purge(open, id))
    }
}

impl ParkedClient for AmqpClient {
    fn parked_count(&mut self) -> Result<u64, Error> {
        self.refuse("count of parked messages", PARKED)
    }

    fn parked_page(&mut self, _after: Option<&str>, _limit: usize) -> Result<ParkedPage, Error> {
        self.refuse("list of parked messages", PARKED)
    }

    /// None that could be acted on.
    fn parked_of(&mut self, _ids: &[&str]) -> Result<Vec<Parked>, Error> {
        Ok(Vec::new())
    }

    fn release_parked(&mut self, _handles: &[&str]) -> Result<Vec<bool>, Error> {
        self.refuse("release of parked messages", PARKED)
    }

    fn hasten_parked(&mut self, handles: &[&str]) -> Result<Vec<bool>, Error> {
        Ok(vec![false; handles.len()])
    }

    fn cancel_parked(&mut self, cancels: &[Cancel], _results: Option<ResultsAt<'_>>) -> Result<Vec<Cancelled>, Error> {
        Ok(vec![Cancelled::NotParked; cancels.len()])
    }
}

impl FanoutClient for AmqpClient {
    /// The server itself puts a copy into every queue.
    fn copies(&mut self, _exchange: &str, _within: Duration) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    fn announce(&mut self, exchange: &str, routing_key: &str, message: &[u8]) -> Result<(), Error> {
        let declared = fanout(exchange, true);
        let messages = [(routing_key, Outgoing::of(message))];
        self.0.with("publish to a fanout exchange", |open| {
            open.declare(std::slice::from_ref(&declared))?;
            open.publish(exchange, &messages).map(drop)
        })
    }
}

/// A fanout exchange. Those of remote control do not outlive the server, as in kombu.
pub(super) fn fanout(exchange: &str, is_durable: bool) -> Step {
    Step::Exchange { name: exchange.to_owned(), kind: "fanout".to_owned(), is_durable, is_auto_delete: false }
}

/// The queue for replies to one asker. Source: celery-contract 5.1.
fn mailbox_steps(exchange: &str, mailbox: &str) -> [Step; 3] {
    let queue = mailbox_queue(exchange, mailbox);
    let name = exchange.to_owned();
    [
        replies(exchange),
        Step::Queue {
            name: queue.clone(),
            life: Life::Exclusive,
            arguments: arguments([("x-expires", number(10_000)), ("x-message-ttl", number(300_000))]),
        },
        Step::Bind { queue, exchange: name, key: mailbox.to_owned() },
    ]
}

fn replies(exchange: &str) -> Step {
    Step::Exchange { name: exchange.to_owned(), kind: "direct".to_owned(), is_durable: false, is_auto_delete: false }
}

fn mailbox_queue(exchange: &str, mailbox: &str) -> String {
    format!("{mailbox}.{exchange}")
}

impl Control for AmqpClient {
    fn broadcast(&mut self, exchange: &str, message: &[u8]) -> Result<(), Error> {
        let declared = fanout(exchange, false);
        let messages = [("", Outgoing::of(message))];
        self.0.with("broadcast", |open| {
            open.declare(std::slice::from_ref(&declared))?;
            // Nobody may be listening.
            open.publish(exchange, &messages).map(drop)
        })
    }

    fn open_mailbox(&mut self, exchange: &str, mailbox: &str) -> Result<(), Error> {
        let steps = mailbox_steps(exchange, mailbox);
        let queue = mailbox_queue(exchange, mailbox);
        self.0.with("open a mailbox", |open| {
            open.declare(&steps)?;
            open.consume(&queue)
        })
    }

    fn take_reply(&mut self, exchange: &str, mailbox: &str, timeout: Duration) -> Result<Option<Bytes>, Error> {
        let queue = mailbox_queue(exchange, mailbox);
        let received = self.0.with("wait for a reply", |open| open.next(&queue, timeout))?;
        Ok(received.map(|received| Bytes::from(read(received).message)))
    }

    fn close_mailbox(&mut self, exchange: &str, mailbox: &str) -> Result<(), Error> {
        let queue = mailbox_queue(exchange, mailbox);
        self.0.with("close a mailbox", |open| {
            open.forget(&queue, &mailbox_steps(exchange, mailbox));
            open.delete(&queue)
        })
    }

    fn reply(&mut self, exchange: &str, mailbox: &str, message: &[u8]) -> Result<bool, Error> {
        let declared = replies(exchange);
        let messages = [(mailbox, Outgoing::of(message))];
        self.0.with("reply", |open| {
            open.declare(std::slice::from_ref(&declared))?;
            Ok(open.publish(exchange, &messages)?.is_empty())
        })
    }

    /// Workers that listen hear of it by the broadcast; there is no place where later ones could look.
    fn mark_revoked(&mut self, _marks: &[Mark], _terminate: Option<i32>, _terms: RevokeTerms) -> Result<(), Error> {
        Ok(())
    }

    fn pause_queue(&mut self, _queue: &str) -> Result<bool, Error> {
        self.refuse("pause", PAUSE)
    }

    fn resume_queue(&mut self, _queue: &str) -> Result<bool, Error> {
        self.refuse("resume", PAUSE)
    }

    /// Workers bind their queues when they declare them.
    fn bind(&mut self, _exchange: &str, _binding: &Binding) -> Result<(), Error> {
        Ok(())
    }

    /// AMQP does not tell.
    fn bindings(&mut self, _exchange: &str) -> Result<Vec<Binding>, Error> {
        Ok(Vec::new())
    }

    fn paused_queues(&mut self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}

/// What came, as an envelope.
pub(super) fn read(received: Received) -> Incoming {
    Incoming::of(&received.properties, &received.exchange, &received.routing_key, received.body, received.tag)
}
