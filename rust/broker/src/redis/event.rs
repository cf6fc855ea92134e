//! Events: kombu's fanout is PUBLISH, to a channel with the routing key in its name.

use std::time::Duration;

use bytes::Bytes;
use redis::{Msg, Pipeline, RedisResult};

use super::broker::RedisBroker;
use super::client::RedisClient;
use super::resp;
use crate::{Error, EventClient, EventMessage, EventQueue};

const LISTEN: &str = "listen to events";
/// A read sleeps at least so long: a socket takes no time-out of zero.
const SHORTEST_READ: Duration = Duration::from_millis(1);

impl RedisBroker {
    pub(super) async fn send_events(&self, exchange: &str, batch: &[EventMessage]) -> Result<(), Error> {
        let mut pipeline = Pipeline::with_capacity(batch.len());
        for event in batch {
            let channel = self.keys.keyed_channel(self.db, exchange, &event.routing_key);
            pipeline.cmd("PUBLISH").arg(channel).arg(event.envelope(exchange));
        }
        let values = self.work.run("publish events", &pipeline).await?;
        self.work.call("publish events").values(values).map(drop)
    }
}

impl RedisClient {
    /// The channels of what matches.
    fn event_pattern(&self, queue: &EventQueue) -> String {
        self.keys.keyed_channel(self.db, &queue.exchange, &queue.routing_key.replace('#', "*"))
    }

    fn read_event(&mut self, timeout: Duration) -> RedisResult<Msg> {
        let connection = self.listening.connection()?;
        let mut messages = connection.as_pubsub();
        let message = messages.set_read_timeout(Some(timeout.max(SHORTEST_READ))).and_then(|()| messages.get_message());
        // Dropping it would unsubscribe, with a round trip; it owns nothing else.
        std::mem::forget(messages);
        self.listening.reset_timeouts()?;
        message
    }

    fn lost_ear(&self) -> Error {
        self.listening.call(LISTEN).lost("the connection was lost, and what was sent meanwhile is missed".to_owned())
    }
}

impl EventClient for RedisClient {
    fn send_event(&mut self, exchange: &str, event: &EventMessage) -> Result<(), Error> {
        let channel = self.keys.keyed_channel(self.db, exchange, &event.routing_key);
        self.command("publish an event", &[b"PUBLISH", channel.as_bytes(), &event.envelope(exchange)]).map(drop)
    }

    fn listen_to_events(&mut self, queue: &EventQueue) -> Result<(), Error> {
        let pattern = self.event_pattern(queue);
        self.listening.close();
        resp::words(&mut self.listening.out, &[b"PSUBSCRIBE", pattern.as_bytes()]);
        let replies = self.listening.exchange(LISTEN, 1)?;
        self.listening.call(LISTEN).values(replies)?;
        Ok(())
    }

    fn next_event(&mut self, _queue: &EventQueue, timeout: Duration) -> Result<Option<Bytes>, Error> {
        if !self.listening.is_open() {
            return Err(self.lost_ear());
        }
        match self.read_event(timeout) {
            Ok(message) => Ok(Some(Bytes::copy_from_slice(message.get_payload_bytes()))),
            Err(error) if error.is_timeout() => Ok(None),
            Err(error) => {
                self.listening.close();
                Err(self.listening.call(LISTEN).failed(&error))
            }
        }
    }
}
