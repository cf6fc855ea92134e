//! `ControlClient`: a client's blocking connection for remote control. Not the `Publisher`'s: waiting for replies
//! occupies a connection, and nobody's publish is to wait behind it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fastworker_broker::{Binding, Client, EventMessage, EventQueue, Mark, RevokeTerms};
use fastworker_wire::canonical;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::connection::Connection;

/// A wait is cut into pieces of this length, so that Ctrl-C is noticed in between.
const SLICE: Duration = Duration::from_millis(500);

#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct ControlClient {
    connection: Connection<dyn Client>,
}

/// Ids, and stamps as pairs of name and JSON value, in the one spelling of each value.
pub(crate) fn marks(ids: Vec<String>, stamps: Vec<(String, String)>) -> Vec<Mark> {
    let stamps = stamps.into_iter().map(|(name, value)| Mark::Stamp { name, value: canonical(value.as_bytes()) });
    ids.into_iter().map(Mark::Id).chain(stamps).collect()
}

/// Routing key, content type and encoding, headers (JSON) and body.
type EventTuple = (String, String, String, Vec<u8>, Vec<u8>);

/// `fastworker.events.receiver.EventQueue`, field by field.
#[derive(FromPyObject)]
struct EventQueueSettings {
    exchange: String,
    routing_key: String,
    name: String,
    ttl_ms: Option<i64>,
    expires_ms: Option<i64>,
    is_exclusive: bool,
    is_durable: bool,
}

impl From<EventQueueSettings> for EventQueue {
    fn from(settings: EventQueueSettings) -> EventQueue {
        EventQueue {
            exchange: settings.exchange,
            routing_key: settings.routing_key,
            name: settings.name,
            ttl_ms: settings.ttl_ms,
            expires_ms: settings.expires_ms,
            is_exclusive: settings.is_exclusive,
            is_durable: settings.is_durable,
        }
    }
}

#[pymethods]
impl ControlClient {
    #[new]
    fn new(py: Python<'_>, url: &str, options: HashMap<String, String>) -> PyResult<ControlClient> {
        Ok(ControlClient { connection: Connection::new(py, url, options, fastworker_broker::client)? })
    }

    fn broadcast(&self, py: Python<'_>, exchange: &str, message: &[u8]) -> PyResult<()> {
        self.connection.run(py, |client| client.broadcast(exchange, message))
    }

    fn open_mailbox(&self, py: Python<'_>, exchange: &str, mailbox: &str) -> PyResult<()> {
        self.connection.run(py, |client| client.open_mailbox(exchange, mailbox))
    }

    fn take_reply<'py>(
        &self,
        py: Python<'py>,
        exchange: &str,
        mailbox: &str,
        timeout_s: f64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        // A year is as long as for ever, and can be added to an instant.
        let timeout = Duration::try_from_secs_f64(timeout_s.clamp(0.0, 31e6)).unwrap_or(Duration::ZERO);
        let end = Instant::now() + timeout;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let slice = left.min(SLICE);
            let reply = self.connection.run(py, |client| client.take_reply(exchange, mailbox, slice))?;
            if let Some(reply) = reply {
                return Ok(Some(PyBytes::new(py, &reply)));
            }
            py.check_signals()?;
            if left <= SLICE {
                return Ok(None);
            }
        }
    }

    fn close_mailbox(&self, py: Python<'_>, exchange: &str, mailbox: &str) -> PyResult<()> {
        self.connection.run(py, |client| client.close_mailbox(exchange, mailbox))
    }

    fn reply(&self, py: Python<'_>, exchange: &str, mailbox: &str, message: &[u8]) -> PyResult<bool> {
        self.connection.run(py, |client| client.reply(exchange, mailbox, message))
    }

    fn send_event(&self, py: Python<'_>, exchange: &str, event: EventTuple) -> PyResult<()> {
        let (routing_key, content_type, content_encoding, headers, body) = event;
        let event = EventMessage {
            routing_key: routing_key.into(),
            content_type: content_type.into(),
            content_encoding: content_encoding.into(),
            headers_json: headers.into(),
            body: body.into(),
        };
        self.connection.run(py, |client| client.send_event(exchange, &event))
    }

    fn listen_to_events(&self, py: Python<'_>, queue: EventQueueSettings) -> PyResult<()> {
        let queue = EventQueue::from(queue);
        self.connection.run(py, |client| client.listen_to_events(&queue))
    }

    fn next_event<'py>(
        &self,
        py: Python<'py>,
        queue: EventQueueSettings,
        timeout_s: f64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let queue = EventQueue::from(queue);
        let slice = Duration::try_from_secs_f64(timeout_s.max(0.0)).unwrap_or(SLICE).min(SLICE);
        let message = self.connection.run(py, |client| client.next_event(&queue, slice))?;
        py.check_signals()?;
        Ok(message.map(|message| PyBytes::new(py, &message)))
    }

    fn mark_revoked(
        &self,
        py: Python<'_>,
        ids: Vec<String>,
        stamps: Vec<(String, String)>,
        terminate: Option<i32>,
        keep_s: f64,
        most: u32,
    ) -> PyResult<()> {
        let marks = marks(ids, stamps);
        let keep = Duration::try_from_secs_f64(keep_s).unwrap_or(Duration::MAX);
        self.connection.run(py, |client| client.mark_revoked(&marks, terminate, RevokeTerms { keep, most }))
    }

    fn pause_queue(&self, py: Python<'_>, queue: &str) -> PyResult<bool> {
        self.connection.run(py, |client| client.pause_queue(queue))
    }

    fn resume_queue(&self, py: Python<'_>, queue: &str) -> PyResult<bool> {
        self.connection.run(py, |client| client.resume_queue(queue))
    }

    fn bind(
        &self,
        py: Python<'_>,
        exchange: &str,
        routing_key: String,
        pattern: String,
        queue: String,
    ) -> PyResult<()> {
        self.connection.run(py, |client| client.bind(exchange, &Binding { routing_key, pattern, queue }))
    }

    fn paused_queues(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.connection.run(py, |client| client.paused_queues())
    }

    fn close(&self, py: Python<'_>) {
        self.connection.close(py);
    }
}
