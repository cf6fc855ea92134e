//! Events on their way to whoever listens: nobody keeps them.
//!
//! They go to an exchange of their own, `celeryev`: a topic on AMQP, a fanout with the routing key in the channel's name
//! on Redis, as kombu has it.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use fastworker_wire::event::{EventEnvelope, write_event_envelope};

use crate::Error;

/// One message with an event, or a list of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventMessage {
    /// The event's type with dots for dashes; `task.multi` for a list.
    pub routing_key: Cow<'static, str>,
    /// How the body is serialised: `application/json`.
    pub content_type: Cow<'static, str>,
    /// `utf-8` or `binary`.
    pub content_encoding: Cow<'static, str>,
    /// One JSON object: `{"hostname": …}`.
    pub headers_json: Bytes,
    /// The serialised event, or list.
    pub body: Bytes,
}

impl EventMessage {
    /// kombu's envelope.
    pub(crate) fn envelope(&self, exchange: &str) -> Vec<u8> {
        let tag = format!("{:016x}", getrandom::u64().unwrap_or_default());
        let parts = EventEnvelope {
            exchange,
            routing_key: &self.routing_key,
            content_type: &self.content_type,
            content_encoding: &self.content_encoding,
            headers_json: &self.headers_json,
            body: &self.body,
            delivery_tag: &tag,
        };
        let mut envelope = Vec::new();
        write_event_envelope(&parts, &mut envelope);
        envelope
    }
}

/// How somebody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQueue {
    /// Such as `celeryev`.
    pub exchange: String,
    /// Which events: words and wildcards; `#` for all.
    pub routing_key: String,
    /// The listener's own queue, where there are queues: a unique name.
    pub name: String,
    /// How long an event may wait in it, in milliseconds; `None`: for ever.
    pub ttl_ms: Option<i64>,
    /// How long it lives when nobody uses it, in milliseconds; `None`: for ever.
    pub expires_ms: Option<i64>,
    /// It belongs to the connection alone.
    pub is_exclusive: bool,
    /// It outlives a restart of the server.
    pub is_durable: bool,
}

/// The blocking side of events; part of every [`Client`](crate::Client).
pub trait EventClient {
    /// Sends one to whoever listens. Nothing happens where nobody can.
    fn send_event(&mut self, exchange: &str, event: &EventMessage) -> Result<(), Error>;

    /// From now on what matches is heard.
    fn listen_to_events(&mut self, queue: &EventQueue) -> Result<(), Error>;

    /// The next message, as kombu's envelope; `None` when `timeout` is over. After an error nothing is heard until
    /// somebody listens again.
    fn next_event(&mut self, queue: &EventQueue, timeout: Duration) -> Result<Option<Bytes>, Error>;
}

/// The error of a broker that has no events.
pub(crate) fn nobody_listens(kind: &str) -> Error {
    Error::Refused {
        what: "listen to events",
        whom: format!("{kind}://"),
        cause: "events are not sent through this broker; watch workers with `fastworker inspect`, or use Redis or \
                RabbitMQ"
            .to_owned(),
    }
}
