//! `ControlClient`: a client's blocking connection for remote control. Not the `Publisher`'s: waiting for replies
//! occupies a connection, and nobody's publish is to wait behind it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fastworker_broker::{Binding, Client, Mark, RevokeTerms};
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
