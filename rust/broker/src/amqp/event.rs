//! Events: a topic exchange, messages that are neither kept nor confirmed, on a channel of their own.

use std::time::Duration;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::FieldTable;

use super::client::{AmqpClient, read};
use super::message::{Outgoing, short};
use super::session::Session;
use super::steps::{Life, Step, number};
use super::table;
use crate::{Error, EventClient, EventMessage, EventQueue};

const WHAT: &str = "publish events";
/// `delivery_mode` of a message that need not be on disk.
const TRANSIENT: u8 = 1;

/// How the exchange is declared. Source: celery-contract 5.1; `celery/events/event.py`.
pub(super) fn declared(exchange: &str) -> Step {
    Step::Exchange { name: exchange.to_owned(), kind: "topic".to_owned(), is_durable: true, is_auto_delete: false }
}

/// As AMQP has it.
pub(super) fn properties(event: &EventMessage) -> BasicProperties {
    BasicProperties::default()
        .with_content_type(short(&event.content_type))
        .with_content_encoding(short(&event.content_encoding))
        // The sender's own: it writes what AMQP has a form for.
        .with_headers(table::from_json(&event.headers_json).unwrap_or_default())
        .with_delivery_mode(TRANSIENT)
        .with_priority(0)
}

impl Session {
    pub(super) async fn send_events(&self, exchange: &str, batch: &[EventMessage]) -> Result<(), Error> {
        if self.is_blocked() {
            let cause = "the server blocks publishers (memory or disk)".to_owned();
            return Err(Error::Connection { what: WHAT, whom: self.owner.options.masked.clone(), cause });
        }
        self.declare(&[declared(exchange)]).await?;
        let channel = self.telling.get_or_try_init(|| self.publishing_channel()).await?;
        for event in batch {
            let options = BasicPublishOptions::default();
            let sent = channel.basic_publish(
                short(exchange),
                short(&event.routing_key),
                options,
                &event.body,
                properties(event),
            );
            // Not confirmed: what it resolves to says nothing.
            drop(self.within(WHAT, sent).await?);
        }
        Ok(())
    }
}

impl EventQueue {
    /// How it is declared. Source: celery-contract 5.1, the row of `celeryev`.
    fn steps(&self) -> [Step; 3] {
        let mut arguments = FieldTable::default();
        for (name, ms) in [("x-message-ttl", self.ttl_ms), ("x-expires", self.expires_ms)] {
            if let Some(ms) = ms {
                arguments.insert(name.into(), number(ms));
            }
        }
        let life = match self.is_exclusive {
            true => Life::Exclusive,
            false => Life::Own { is_durable: self.is_durable, is_auto_delete: !self.is_durable },
        };
        let (queue, exchange) = (self.name.clone(), self.exchange.clone());
        [
            declared(&exchange),
            Step::Queue { name: queue.clone(), life, arguments },
            Step::Bind { queue, exchange, key: self.routing_key.clone() },
        ]
    }
}

impl EventClient for AmqpClient {
    fn send_event(&mut self, exchange: &str, event: &EventMessage) -> Result<(), Error> {
        let outgoing = Outgoing { properties: properties(event), body: event.body.to_vec() };
        let messages = [(&*event.routing_key, outgoing)];
        self.0.with("publish an event", |open| {
            open.declare(&[declared(exchange)])?;
            // Nobody may be listening.
            open.publish(exchange, &messages).map(drop)
        })
    }

    fn listen_to_events(&mut self, queue: &EventQueue) -> Result<(), Error> {
        let steps = queue.steps();
        self.0.with("listen to events", |open| {
            open.forget(&queue.name, &steps);
            open.declare(&steps)?;
            open.consume(&queue.name)
        })
    }

    fn next_event(&mut self, queue: &EventQueue, timeout: Duration) -> Result<Option<Bytes>, Error> {
        let received = self.0.with("listen to events", |open| open.next(&queue.name, timeout))?;
        Ok(received.map(|received| Bytes::from(read(received).message)))
    }
}
