//! Broadcasts of remote control: a queue of the connection's own on a fanout exchange.

use std::sync::Arc;

use futures_util::StreamExt as _;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};

use super::client::fanout;
use super::message::{Incoming, short};
use super::session::Session;
use super::steps::{Life, Step, arguments, number};
use crate::{Error, Heard};

/// What hears on one exchange.
pub(super) struct Ear {
    session: u64,
    exchange: String,
    consumer: Consumer,
    _channel: Channel,
}

impl Ear {
    /// From now on broadcasts are heard.
    pub(super) async fn open(session: &Arc<Session>, exchange: &str) -> Result<Ear, Error> {
        let queue = format!("fastworker.{}.{}.{exchange}", session.owner.incarnation, session.number);
        session
            .declare(&[
                fanout(exchange, false),
                // Source: celery-contract 5.1, the row of the pidbox.
                Step::Queue {
                    name: queue.clone(),
                    life: Life::Exclusive,
                    arguments: arguments([("x-expires", number(10_000)), ("x-message-ttl", number(300_000))]),
                },
                Step::Bind { queue: queue.clone(), exchange: exchange.to_owned(), key: String::new() },
            ])
            .await?;
        let channel = session.channel().await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consume = channel.basic_consume(short(&queue), short(&queue), options, FieldTable::default());
        let consumer = session.within("listen", consume).await?;
        Ok(Ear { session: session.number, exchange: exchange.to_owned(), consumer, _channel: channel })
    }

    /// Whether it hears on this exchange, by this session.
    pub(super) fn is_of(&self, session: &Session, exchange: &str) -> bool {
        self.session == session.number && self.exchange == exchange
    }

    /// The next broadcast; `None`: nothing is heard any more. A dropped future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        let delivery = self.consumer.next().await?.ok()?;
        let (exchange, key) = (delivery.exchange.as_str(), delivery.routing_key.as_str());
        let incoming = Incoming::of(&delivery.properties, exchange, key, delivery.data, delivery.delivery_tag);
        Some(Heard::Message(incoming.message.into()))
    }
}
