//! What a client asks the server for, each call with its answer.

use std::time::{Duration, Instant};

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::protocol::{AMQPClass, basic, exchange, queue};
use lapin::types::FieldTable;

use super::message::{Outgoing, short};
use super::returns::places;
use super::steps::Step;
use super::wire::{CHANNEL, Fault, Open, Received};

/// Class of messages with a body.
const BASIC: u16 = 60;

impl Open {
    /// Publishes all and waits until every one is confirmed. Returns the places of those that reach no queue.
    pub(super) fn publish(&mut self, exchange: &str, batch: &[(&str, Outgoing)]) -> Result<Vec<usize>, Fault> {
        self.returned.clear();
        for (routing_key, outgoing) in batch {
            self.published += 1;
            self.unconfirmed.insert(self.published);
            let publish = basic::Publish {
                exchange: short(exchange),
                routing_key: short(routing_key),
                mandatory: outgoing.is_mandatory,
                immediate: false,
            };
            self.method(CHANNEL, AMQPClass::Basic(basic::AMQPMethod::Publish(publish)));
            let (properties, body_size) = (outgoing.properties.clone(), outgoing.body.len() as u64);
            self.put(&AMQPFrame::Header(CHANNEL, AMQPContentHeader { class_id: BASIC, body_size, properties }));
            for chunk in outgoing.body.chunks(self.frame_max - 8) {
                self.put(&AMQPFrame::Body(CHANNEL, chunk.to_vec()));
            }
            if self.out.len() > 1 << 20 {
                self.send()?;
            }
        }
        self.send()?;
        while !self.unconfirmed.is_empty() {
            let before = self.unconfirmed.len();
            self.read_frame()?;
            if self.unconfirmed.len() < before {
                // A large batch may take longer than one answer.
                self.deadline = Instant::now() + self.patience;
            }
        }
        if !self.refused.is_empty() {
            self.refused.clear();
            return Err(Fault::Replied(
                311,
                "the server did not take a message: a queue is full, or a disk".to_owned(),
            ));
        }
        let addresses = batch.iter().map(|(routing_key, outgoing)| (exchange, *routing_key, outgoing));
        Ok(places(addresses, std::mem::take(&mut self.returned)))
    }

    /// Carries out declarations; what this connection has done already is left out.
    pub(super) fn declare(&mut self, steps: &[Step]) -> Result<(), Fault> {
        for step in steps {
            if self.declared.has(step) {
                continue;
            }
            let (method, is_ok): (AMQPClass, fn(&AMQPClass) -> bool) = match step {
                Step::Exchange { name, kind, is_durable, is_auto_delete } => (
                    AMQPClass::Exchange(exchange::AMQPMethod::Declare(exchange::Declare {
                        exchange: short(name),
                        kind: short(kind),
                        passive: false,
                        durable: *is_durable,
                        auto_delete: *is_auto_delete,
                        internal: false,
                        nowait: false,
                        arguments: FieldTable::default(),
                    })),
                    |reply| matches!(reply, AMQPClass::Exchange(exchange::AMQPMethod::DeclareOk(_))),
                ),
                Step::Queue { name, life, arguments } => {
                    let (durable, exclusive, auto_delete) = life.flags();
                    (
                        AMQPClass::Queue(queue::AMQPMethod::Declare(queue::Declare {
                            queue: short(name),
                            passive: false,
                            durable,
                            exclusive,
                            auto_delete,
                            nowait: false,
                            arguments: arguments.clone(),
                        })),
                        |reply| matches!(reply, AMQPClass::Queue(queue::AMQPMethod::DeclareOk(_))),
                    )
                }
                Step::Bind { queue, exchange, key } => (
                    AMQPClass::Queue(queue::AMQPMethod::Bind(queue::Bind {
                        queue: short(queue),
                        exchange: short(exchange),
                        routing_key: short(key),
                        nowait: false,
                        arguments: FieldTable::default(),
                    })),
                    |reply| matches!(reply, AMQPClass::Queue(queue::AMQPMethod::BindOk(_))),
                ),
                Step::BindExchange { destination, source, key } => (
                    AMQPClass::Exchange(exchange::AMQPMethod::Bind(exchange::Bind {
                        destination: short(destination),
                        source: short(source),
                        routing_key: short(key),
                        nowait: false,
                        arguments: FieldTable::default(),
                    })),
                    |reply| matches!(reply, AMQPClass::Exchange(exchange::AMQPMethod::BindOk(_))),
                ),
            };
            // Each has its time: there may be many.
            self.deadline = Instant::now() + self.patience;
            self.call(method, |reply| is_ok(&reply).then_some(()))?;
            self.declared.remember([step.clone()]);
        }
        Ok(())
    }

    /// How many messages wait in a queue; 0 where there is none of this name.
    pub(super) fn depth(&mut self, name: &str) -> Result<u64, Fault> {
        let declare = queue::Declare {
            queue: short(name),
            passive: true,
            durable: false,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        let counted = self.call(AMQPClass::Queue(queue::AMQPMethod::Declare(declare)), |reply| match reply {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok)) => Some(u64::from(ok.message_count)),
            _ => None,
        });
        self.or_none(counted)
    }

    /// Removes what waits in a queue; how many that were.
    pub(super) fn purge(&mut self, name: &str) -> Result<u64, Fault> {
        let purge = queue::Purge { queue: short(name), nowait: false };
        let purged = self.call(AMQPClass::Queue(queue::AMQPMethod::Purge(purge)), |reply| match reply {
            AMQPClass::Queue(queue::AMQPMethod::PurgeOk(ok)) => Some(u64::from(ok.message_count)),
            _ => None,
        });
        self.or_none(purged)
    }

    /// A queue that is not there holds nothing. The server has closed the channel by that.
    fn or_none(&mut self, counted: Result<u64, Fault>) -> Result<u64, Fault> {
        match counted {
            Err(Fault::Replied(404, _)) => {
                self.is_over = true;
                Ok(0)
            }
            counted => counted,
        }
    }

    /// Removes a queue with what is in it.
    pub(super) fn delete(&mut self, name: &str) -> Result<(), Fault> {
        let delete = queue::Delete { queue: short(name), if_unused: false, if_empty: false, nowait: false };
        self.call(AMQPClass::Queue(queue::AMQPMethod::Delete(delete)), |reply| {
            matches!(reply, AMQPClass::Queue(queue::AMQPMethod::DeleteOk(_))).then_some(())
        })
    }

    /// The next message of a queue, which is to be acknowledged or given back.
    pub(super) fn get(&mut self, name: &str) -> Result<Option<Received>, Fault> {
        let get = basic::Get { queue: short(name), no_ack: false };
        let ok = self.call(AMQPClass::Basic(basic::AMQPMethod::Get(get)), |reply| match reply {
            AMQPClass::Basic(basic::AMQPMethod::GetOk(ok)) => Some(Some(ok)),
            AMQPClass::Basic(basic::AMQPMethod::GetEmpty(_)) => Some(None),
            _ => None,
        })?;
        let Some(ok) = ok else { return Ok(None) };
        let (properties, body) = self.content()?;
        Ok(Some(Received {
            tag: ok.delivery_tag,
            exchange: ok.exchange.to_string(),
            routing_key: ok.routing_key.to_string(),
            properties,
            body,
        }))
    }

    /// Ends what `get` brought: true acknowledges it, false gives it back.
    pub(super) fn end(&mut self, tag: u64, is_done: bool) -> Result<(), Fault> {
        let method = if is_done {
            basic::AMQPMethod::Ack(basic::Ack { delivery_tag: tag, multiple: false })
        } else {
            basic::AMQPMethod::Nack(basic::Nack { delivery_tag: tag, multiple: false, requeue: true })
        };
        self.method(CHANNEL, AMQPClass::Basic(method));
        self.send()
    }

    /// Waits until the server has done all that was asked for so far.
    pub(super) fn sync(&mut self) -> Result<(), Fault> {
        let qos = basic::Qos { prefetch_count: 0, global: false };
        self.call(AMQPClass::Basic(basic::AMQPMethod::Qos(qos)), |reply| {
            matches!(reply, AMQPClass::Basic(basic::AMQPMethod::QosOk(_))).then_some(())
        })
    }

    /// Has the messages of a queue sent to us, acknowledged by that.
    pub(super) fn consume(&mut self, name: &str) -> Result<(), Fault> {
        let consume = basic::Consume {
            queue: short(name),
            consumer_tag: short(name),
            no_local: false,
            no_ack: true,
            exclusive: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        self.delivered.entry(name.to_owned()).or_default();
        self.call(AMQPClass::Basic(basic::AMQPMethod::Consume(consume)), |reply| {
            matches!(reply, AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(_))).then_some(())
        })
    }

    /// The next message for a consumer, or `None` when `timeout` is over.
    pub(super) fn next(&mut self, consumer: &str, timeout: Duration) -> Result<Option<Received>, Fault> {
        let far = Duration::from_secs(365 * 86_400);
        self.deadline = Instant::now() + timeout.min(far);
        loop {
            let Some(mine) = self.delivered.get_mut(consumer) else {
                return Err(Fault::Gone("the connection was lost, and the mailbox with it".to_owned()));
            };
            if let Some(received) = mine.pop_front() {
                return Ok(Some(received));
            }
            match self.read_frame() {
                Ok(()) => {}
                Err(Fault::Late | Fault::Blocked(_)) => return Ok(None),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Whether this connection has such a consumer.
    pub(super) fn consumes(&self, consumer: &str) -> bool {
        self.delivered.contains_key(consumer)
    }

    /// What has come for a consumer.
    pub(super) fn received(&mut self, consumer: &str) -> impl Iterator<Item = Received> + use<> {
        self.delivered.get_mut(consumer).map(std::mem::take).unwrap_or_default().into_iter()
    }

    /// Forgets a consumer, and that its queue was declared.
    pub(super) fn forget(&mut self, consumer: &str, steps: &[Step]) {
        self.delivered.remove(consumer);
        for step in steps.iter().filter(|step| matches!(step, Step::Queue { .. })) {
            self.declared.forget_queue(step.subject());
        }
    }
}
