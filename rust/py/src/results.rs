//! `ResultStore`: a client's blocking connection to a result store.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use fastworker_broker::{ResultClient, ResultDoc};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::connection::Connection;

/// A wait is cut into pieces of this length, so that Ctrl-C is noticed in between.
const SLICE: Duration = Duration::from_millis(500);

#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct ResultStore {
    connection: Connection<dyn ResultClient>,
}

fn bytes<'py>(py: Python<'py>, doc: Option<Bytes>) -> Option<Bound<'py, PyBytes>> {
    doc.map(|doc| PyBytes::new(py, &doc))
}

#[pymethods]
impl ResultStore {
    #[new]
    fn new(py: Python<'_>, url: &str, options: HashMap<String, String>) -> PyResult<ResultStore> {
        Ok(ResultStore { connection: Connection::new(py, url, options, fastworker_broker::result_client)? })
    }

    fn prepare(&self, py: Python<'_>) -> PyResult<()> {
        self.connection.run(py, |client| client.prepare())
    }

    fn get<'py>(&self, py: Python<'py>, task_id: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(bytes(py, self.connection.run(py, |client| client.get(task_id))?))
    }

    fn get_many<'py>(&self, py: Python<'py>, task_ids: Vec<String>) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
        let ids: Vec<&str> = task_ids.iter().map(String::as_str).collect();
        Ok(self.connection.run(py, |client| client.get_many(&ids))?.into_iter().map(|doc| bytes(py, doc)).collect())
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
            if let Some(doc) = self.connection.run(py, |client| client.wait(task_id, seen, slice))? {
                return Ok(bytes(py, Some(doc)));
            }
            py.check_signals()?;
            left = left.saturating_sub(slice);
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    fn watch(&self, py: Python<'_>, task_ids: Vec<String>) -> PyResult<()> {
        let ids: Vec<&str> = task_ids.iter().map(String::as_str).collect();
        self.connection.run(py, |client| {
            client.watch(&ids);
            Ok(())
        })
    }

    fn unwatch(&self, py: Python<'_>, task_ids: Vec<String>) -> PyResult<()> {
        let ids: Vec<&str> = task_ids.iter().map(String::as_str).collect();
        self.connection.run(py, |client| {
            client.unwatch(&ids);
            Ok(())
        })
    }

    fn news<'py>(&self, py: Python<'py>, timeout_s: f64) -> PyResult<Vec<(String, Bound<'py, PyBytes>)>> {
        let timeout = Duration::try_from_secs_f64(timeout_s).unwrap_or(SLICE).min(SLICE);
        let news = self.connection.run(py, |client| client.news(timeout))?;
        Ok(news.into_iter().map(|(task_id, doc)| (task_id, PyBytes::new(py, &doc))).collect())
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
        let batch = [ResultDoc { task_id, doc: Bytes::from(doc), is_success, ttl_s, reply: None }];
        self.connection.run(py, |client| client.store(&batch))
    }

    #[pyo3(signature = (task_id, seen, doc, is_success, ttl_s))]
    fn replace(
        &self,
        py: Python<'_>,
        task_id: String,
        seen: Option<&[u8]>,
        doc: Vec<u8>,
        is_success: bool,
        ttl_s: Option<u64>,
    ) -> PyResult<bool> {
        let doc = ResultDoc { task_id, doc: Bytes::from(doc), is_success, ttl_s, reply: None };
        self.connection.run(py, |client| client.replace(seen, &doc))
    }

    fn forget(&self, py: Python<'_>, task_ids: Vec<String>) -> PyResult<()> {
        let ids: Vec<&str> = task_ids.iter().map(String::as_str).collect();
        self.connection.run(py, |client| client.forget(&ids))
    }

    #[pyo3(signature = (group_id, size, ttl_s, run))]
    fn begin_chord(
        &self,
        py: Python<'_>,
        group_id: &str,
        size: Option<u64>,
        ttl_s: Option<u64>,
        run: Option<&str>,
    ) -> PyResult<()> {
        self.connection.run(py, |client| client.begin_chord(group_id, size, ttl_s, run))
    }

    #[pyo3(signature = (group_id, size, ttl_s))]
    fn set_chord_size(&self, py: Python<'_>, group_id: &str, size: u64, ttl_s: Option<u64>) -> PyResult<()> {
        self.connection.run(py, |client| client.set_chord_size(group_id, size, ttl_s))
    }

    #[pyo3(signature = (group_id, ttl_s, member))]
    fn add_to_chord(&self, py: Python<'_>, group_id: &str, ttl_s: Option<u64>, member: Option<&str>) -> PyResult<()> {
        self.connection.run(py, |client| client.add_to_chord(group_id, ttl_s, member))
    }

    #[pyo3(signature = (group_id, doc, ttl_s))]
    fn save_group(&self, py: Python<'_>, group_id: &str, doc: &[u8], ttl_s: Option<u64>) -> PyResult<()> {
        self.connection.run(py, |client| client.save_group(group_id, doc, ttl_s))
    }

    fn group<'py>(&self, py: Python<'py>, group_id: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(bytes(py, self.connection.run(py, |client| client.group(group_id))?))
    }

    fn delete_group(&self, py: Python<'_>, group_id: &str) -> PyResult<()> {
        self.connection.run(py, |client| client.delete_group(group_id))
    }

    #[pyo3(signature = (name, docs, ttl_s))]
    fn keep(&self, py: Python<'_>, name: &str, docs: Vec<Vec<u8>>, ttl_s: Option<u64>) -> PyResult<()> {
        let docs: Vec<&[u8]> = docs.iter().map(Vec::as_slice).collect();
        self.connection.run(py, |client| client.keep(name, &docs, ttl_s))
    }

    #[pyo3(signature = (name, first, count, ttl_s))]
    fn kept<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        first: u64,
        count: u64,
        ttl_s: Option<u64>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let docs = self.connection.run(py, |client| client.kept(name, first, count, ttl_s))?;
        Ok(docs.iter().map(|doc| PyBytes::new(py, doc)).collect())
    }

    fn close(&self, py: Python<'_>) {
        self.connection.close(py);
    }
}
