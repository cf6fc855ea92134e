//! `ResultStore`: a client's blocking connection to a result store.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use fastworker_broker::{Error, ResultClient, ResultDoc};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::broker_error;

/// A wait is cut into pieces of this length, so that Ctrl-C is noticed in between.
const SLICE: Duration = Duration::from_millis(500);

#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct ResultStore {
    url: String,
    options: Vec<(String, String)>,
    client: Mutex<Option<Box<dyn ResultClient>>>,
}

fn open(url: &str, options: &[(String, String)]) -> Result<Box<dyn ResultClient>, Error> {
    fastworker_broker::result_client(url, options)
}

impl ResultStore {
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&mut dyn ResultClient) -> Result<T, Error> + Send,
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
}

fn bytes<'py>(py: Python<'py>, doc: Option<Bytes>) -> Option<Bound<'py, PyBytes>> {
    doc.map(|doc| PyBytes::new(py, &doc))
}

#[pymethods]
impl ResultStore {
    #[new]
    fn new(py: Python<'_>, url: &str, options: HashMap<String, String>) -> PyResult<ResultStore> {
        let options: Vec<(String, String)> = options.into_iter().collect();
        let client = open(url, &options).map_err(|error| broker_error(py, &error))?;
        Ok(ResultStore { url: url.to_owned(), options, client: Mutex::new(Some(client)) })
    }

    fn get<'py>(&self, py: Python<'py>, task_id: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(bytes(py, self.run(py, |client| client.get(task_id))?))
    }

    fn get_many<'py>(&self, py: Python<'py>, task_ids: Vec<String>) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
        let ids: Vec<&str> = task_ids.iter().map(String::as_str).collect();
        Ok(self.run(py, |client| client.get_many(&ids))?.into_iter().map(|doc| bytes(py, doc)).collect())
    }

    fn wait<'py>(
        &self,
        py: Python<'py>,
        task_id: &str,
        seen: Option<&[u8]>,
        timeout_s: f64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut left = Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::MAX);
        loop {
            let slice = left.min(SLICE);
            if let Some(doc) = self.run(py, |client| client.wait(task_id, seen, slice))? {
                return Ok(bytes(py, Some(doc)));
            }
            py.check_signals()?;
            left = left.saturating_sub(slice);
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    #[pyo3(signature = (task_id, doc, is_success, ttl_s))]
    fn store(
        &self,
        py: Python<'_>,
        task_id: String,
        doc: Vec<u8>,
        is_success: bool,
        ttl_s: Option<u64>,
    ) -> PyResult<()> {
        let batch = [ResultDoc { task_id, doc: Bytes::from(doc), is_success, ttl_s }];
        self.run(py, |client| client.store(&batch))
    }

    fn forget(&self, py: Python<'_>, task_ids: Vec<String>) -> PyResult<()> {
        let ids: Vec<&str> = task_ids.iter().map(String::as_str).collect();
        self.run(py, |client| client.forget(&ids))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| *self.client.lock().expect("no client operation panics") = None);
    }
}
