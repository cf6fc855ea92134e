//! Events: kombu's fanout is PUBLISH, to a channel with the routing key in its name.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use redis::{Msg, Pipeline, RedisResult, Value};

use super::broker::RedisBroker;
use super::client::RedisClient;
use super::failure::int;
use super::resp;
use crate::{Error, EventClient, EventMessage, EventQueue};

const LISTEN: &str = "listen to events";
/// A read sleeps at least so long: a socket takes no time-out of zero.
const SHORTEST_READ: Duration = Duration::from_millis(1);

/// What is known of who listens.
#[derive(Default)]
pub(super) struct Audience {
    /// The server does not tell us its role (a proxy, rights): it is not asked again.
    is_role_secret: Cell<bool>,
}

impl RedisBroker {
    /// PUBLISH answers with how many have got the message, of those who listen at this server. Replicas get it too and count
    /// theirs by themselves, so that nobody can be told to have missed it while there are any. (In a cluster the other nodes
    /// would be the same; what this driver does beside it works on no cluster.)
    pub(super) async fn send_events(&self, exchange: &str, batch: &[EventMessage]) -> Result<Vec<bool>, Error> {
        let mut pipeline = Pipeline::with_capacity(batch.len() + 1);
        for event in batch {
            let channel = self.keys.keyed_channel(self.db, exchange, &event.routing_key);
            pipeline.cmd("PUBLISH").arg(channel).arg(event.envelope(exchange));
        }
        let asks_role = !self.audience.is_role_secret.get();
        if asks_role {
            pipeline.cmd("ROLE");
        }
        let mut values = self.work.run("publish events", &pipeline).await?;
        let role = if asks_role { values.pop() } else { None };
        let values = self.work.call("publish events").values(values)?;
        if let Some(Value::ServerError(_)) = role {
            self.audience.is_role_secret.set(true);
        }
        let is_alone = role.is_some_and(|role| is_master_without_replicas(&role));
        Ok(values.iter().map(|count| !is_alone || int(count) != Some(0)).collect())
    }
}

/// By the answer to ROLE: `master`, an offset, replicas.
fn is_master_without_replicas(role: &Value) -> bool {
    let Value::Array(parts) = role else { return false };
    let [Value::BulkString(name), _, Value::Array(replicas)] = &parts[..] else { return false };
    name == b"master" && replicas.is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_master_without_replicas_counts_all_who_listen() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let role = |name: &str, last| Value::Array(vec![text(name), Value::Int(7), last]);
        assert!(is_master_without_replicas(&role("master", Value::Array(Vec::new()))));
        let replica = Value::Array(vec![text("127.0.0.1"), text("6380"), text("7")]);
        assert!(!is_master_without_replicas(&role("master", Value::Array(vec![replica]))));
        assert!(!is_master_without_replicas(&role("slave", Value::Array(Vec::new()))));
        assert!(!is_master_without_replicas(&Value::Nil));
    }
}
