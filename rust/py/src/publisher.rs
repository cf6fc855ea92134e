//! `Publisher`: a client's blocking connection to a broker.

use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;
use fastworker_broker::{Client, DeadLetter, Error, Publish};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors::broker_error;

#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct Publisher {
    url: String,
    options: Vec<(String, String)>,
    client: Mutex<Option<Box<dyn Client>>>,
}

fn open(url: &str, options: &[(String, String)]) -> Result<Box<dyn Client>, Error> {
    fastworker_broker::client(url, options)
}

impl Publisher {
    /// Runs one blocking operation without the interpreter.
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&mut dyn Client) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| {
            let mut client = self.client.lock().expect("no client operation panics");
            if client.is_none() {
                *client = Some(open(&self.url, &self.options)?);
            }
            operation(client.as_mut().expect("opened above").as_mut())
        });
        done.map_err(|error| broker_error(py, &error))
    }

    pub(crate) fn publish_all(&self, py: Python<'_>, batch: &[Publish]) -> PyResult<()> {
        self.run(py, |client| client.publish(batch))
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
        let options: Vec<(String, String)> = options.into_iter().collect();
        let client = open(url, &options).map_err(|error| broker_error(py, &error))?;
        Ok(Publisher { url: url.to_owned(), options, client: Mutex::new(Some(client)) })
    }

    fn publish(&self, py: Python<'_>, messages: Vec<(String, u8, Vec<u8>)>) -> PyResult<()> {
        self.publish_all(py, &batch_of(messages))
    }

    fn depth(&self, py: Python<'_>, queue: &str) -> PyResult<u64> {
        self.run(py, |client| client.depth(queue))
    }

    fn purge(&self, py: Python<'_>, queue: &str) -> PyResult<u64> {
        self.run(py, |client| client.purge(queue))
    }

    fn dead_letters<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Vec<Bound<'py, PyDict>>> {
        self.run(py, |client| client.dead_letters(limit))?.iter().map(|letter| dead_letter(py, letter)).collect()
    }

    fn dead_letter<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.run(py, |client| client.dead_letter(id))?.map(|letter| dead_letter(py, &letter)).transpose()
    }

    fn retry_dead_letter(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        self.run(py, |client| client.retry_dead_letter(id))
    }

    #[pyo3(signature = (id=None))]
    fn purge_dead_letters(&self, py: Python<'_>, id: Option<&str>) -> PyResult<u64> {
        self.run(py, |client| client.purge_dead_letters(id))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| *self.client.lock().expect("no client operation panics") = None);
    }
}
