//! `Publisher`: a client's blocking connection to a broker.

use std::collections::HashMap;

use bytes::Bytes;
use fastworker_broker::{Client, DeadLetter, Publish};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::connection::Connection;

#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct Publisher {
    connection: Connection<dyn Client>,
}

impl Publisher {
    pub(crate) fn publish_all(&self, py: Python<'_>, batch: &[Publish]) -> PyResult<()> {
        self.connection.run(py, |client| client.publish(batch))
    }
}

/// `(queue, priority, envelope)` triples as the broker takes them.
pub(crate) fn batch_of(messages: Vec<(String, u8, Vec<u8>)>) -> Vec<Publish> {
    messages
        .into_iter()
        .map(|(queue, priority, message)| Publish { queue, priority, message: Bytes::from(message) })
        .collect()
}

fn dead_letter<'py>(py: Python<'py>, letter: &DeadLetter) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("id", &letter.id)?;
    dict.set_item("queue", &letter.queue)?;
    dict.set_item("task", &letter.task)?;
    dict.set_item("reason", &letter.reason)?;
    dict.set_item("detail", &letter.detail)?;
    dict.set_item("died_ms", letter.died_ms)?;
    dict.set_item("priority", letter.priority)?;
    dict.set_item("message", PyBytes::new(py, &letter.message))?;
    Ok(dict)
}

#[pymethods]
impl Publisher {
    #[new]
    fn new(py: Python<'_>, url: &str, options: HashMap<String, String>) -> PyResult<Publisher> {
        Ok(Publisher { connection: Connection::new(py, url, options, fastworker_broker::client)? })
    }

    fn publish(&self, py: Python<'_>, messages: Vec<(String, u8, Vec<u8>)>) -> PyResult<()> {
        self.publish_all(py, &batch_of(messages))
    }

    fn depth(&self, py: Python<'_>, queue: &str) -> PyResult<u64> {
        self.connection.run(py, |client| client.depth(queue))
    }

    fn purge(&self, py: Python<'_>, queue: &str) -> PyResult<u64> {
        self.connection.run(py, |client| client.purge(queue))
    }

    fn unlane(&self, py: Python<'_>, queue: &str) -> PyResult<u64> {
        self.connection.run(py, |client| client.unlane(queue))
    }

    fn unpark(&self, py: Python<'_>) -> PyResult<u64> {
        self.connection.run(py, |client| client.unpark())
    }

    fn dead_letters<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<Bound<'py, PyDict>>> {
        self.connection
            .run(py, |client| client.dead_letters(limit))?
            .iter()
            .map(|letter| dead_letter(py, letter))
            .collect()
    }

    fn dead_letter<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.connection.run(py, |client| client.dead_letter(id))?.map(|letter| dead_letter(py, &letter)).transpose()
    }

    fn retry_dead_letter(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        self.connection.run(py, |client| client.retry_dead_letter(id))
    }

    #[pyo3(signature = (id=None))]
    fn purge_dead_letters(&self, py: Python<'_>, id: Option<&str>) -> PyResult<u64> {
        self.connection.run(py, |client| client.purge_dead_letters(id))
    }

    fn close(&self, py: Python<'_>) {
        self.connection.close(py);
    }
}
