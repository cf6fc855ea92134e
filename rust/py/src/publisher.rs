//! `Publisher`: a client's blocking connection to a broker.

use std::collections::HashMap;

use bytes::Bytes;
use fastworker_broker::{AWAY, Client, DeadLetter, Publish, ResultsAt};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::connection::Connection;
use crate::parked::{CancelTuple, cancel_of, dicts, word_of};

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

    fn bindings(&self, py: Python<'_>, exchange: &str) -> PyResult<Vec<(String, String, String)>> {
        let bindings = self.connection.run(py, |client| client.bindings(exchange))?;
        Ok(bindings.into_iter().map(|one| (one.routing_key, one.pattern, one.queue)).collect())
    }

    fn copies(&self, py: Python<'_>, exchange: &str) -> PyResult<Vec<String>> {
        self.connection.run(py, |client| client.copies(exchange, AWAY))
    }

    fn announce(&self, py: Python<'_>, exchange: &str, routing_key: &str, message: &[u8]) -> PyResult<()> {
        self.connection.run(py, |client| client.announce(exchange, routing_key, message))
    }

    fn depth(&self, py: Python<'_>, queue: &str) -> PyResult<u64> {
        self.connection.run(py, |client| client.depth(queue))
    }

    fn holds(&self, py: Python<'_>, task_id: &str, queues: Vec<String>) -> PyResult<bool> {
        let queues: Vec<&str> = queues.iter().map(String::as_str).collect();
        self.connection.run(py, |client| client.holds(task_id, &queues))
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

    fn parked_count(&self, py: Python<'_>) -> PyResult<u64> {
        self.connection.run(py, |client| client.parked_count())
    }

    fn parked_page<'py>(
        &self,
        py: Python<'py>,
        after: Option<&str>,
        limit: usize,
    ) -> PyResult<(Vec<Bound<'py, PyDict>>, Option<String>)> {
        let page = self.connection.run(py, |client| client.parked_page(after, limit))?;
        Ok((dicts(py, &page.messages)?, page.next))
    }

    fn parked_of<'py>(&self, py: Python<'py>, task_ids: Vec<String>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let ids: Vec<&str> = task_ids.iter().map(String::as_str).collect();
        dicts(py, &self.connection.run(py, |client| client.parked_of(&ids))?)
    }

    fn release_parked(&self, py: Python<'_>, handles: Vec<String>) -> PyResult<Vec<bool>> {
        let handles: Vec<&str> = handles.iter().map(String::as_str).collect();
        self.connection.run(py, |client| client.release_parked(&handles))
    }

    fn hasten_parked(&self, py: Python<'_>, handles: Vec<String>) -> PyResult<Vec<bool>> {
        let handles: Vec<&str> = handles.iter().map(String::as_str).collect();
        self.connection.run(py, |client| client.hasten_parked(&handles))
    }

    #[pyo3(signature = (cancels, result_url, result_options))]
    fn cancel_parked(
        &self,
        py: Python<'_>,
        cancels: Vec<CancelTuple>,
        result_url: Option<&str>,
        result_options: HashMap<String, String>,
    ) -> PyResult<Vec<&'static str>> {
        let cancels: Vec<_> = cancels.into_iter().map(cancel_of).collect();
        let options: Vec<(String, String)> = result_options.into_iter().collect();
        let results = result_url.map(|url| ResultsAt { url, options: &options });
        let answers = self.connection.run(py, |client| client.cancel_parked(&cancels, results))?;
        Ok(answers.into_iter().map(word_of).collect())
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
