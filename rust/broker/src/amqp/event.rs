//! Events: a topic exchange, messages that are not kept, on a channel of their own. Their confirmations say whether anybody
//! listens: one that no queue is bound to comes back before it is confirmed.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use lapin::options::BasicPublishOptions;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Confirmation};

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
    pub(super) async fn send_events(&self, exchange: &str, batch: &[EventMessage]) -> Result<Vec<bool>, Error> {
        if self.is_blocked() {
            let cause = "the server blocks publishers (memory or disk)".to_owned();
            return Err(Error::Connection { what: WHAT, whom: self.owner.options.masked.clone(), cause });
        }
        self.declare(&[declared(exchange)]).await?;
        let channel = self.telling.get_or_try_init(|| self.confirming_channel()).await?;
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let publishing = async {
            let sent = batch.iter().map(|event| {
                channel.basic_publish(
                    short(exchange),
                    short(&event.routing_key),
                    options,
                    &event.body,
                    properties(event),
                )
            });
            try_join_all(try_join_all(sent).await?).await
        };
        let confirmed = self.unless_blocked(WHAT, publishing).await?;
        // The library hands out what came back with whichever confirmation is the next.
        let back: Vec<_> = confirmed.into_iter().filter_map(Confirmation::take_message).collect();
        let is_back = |key: &str| back.iter().any(|message| message.delivery.routing_key.as_str() == key);
        Ok(batch.iter().map(|event| !is_back(&event.routing_key)).collect())
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
        let outgoing = Outgoing { properties: properties(event), body: event.body.to_vec(), is_mandatory: false };
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
