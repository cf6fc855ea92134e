//! `Call`: one task as its child got it. Python reads of it what it needs; most calls only give up their arguments.

use fastworker_wire::child::{NO_MEMBER, TaskFrame, ToChild};
use fastworker_worker::mono_us;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::json;

/// Arguments, keyword arguments, and what is embedded in the body, if anything is.
type Decoded<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Option<Bound<'py, PyAny>>);

/// One task to run.
#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct Call {
    #[pyo3(get)]
    pub(crate) number: u32,
    pub(crate) is_early_acked: bool,
    #[pyo3(get)]
    is_redelivered: bool,
    #[pyo3(get)]
    attempt: u32,
    #[pyo3(get)]
    ignore_result: Option<bool>,
    #[pyo3(get)]
    pub(crate) is_watched: bool,
    #[pyo3(get)]
    queue: String,
    #[pyo3(get)]
    task: String,
    #[pyo3(get)]
    pub(crate) id: String,
    #[pyo3(get)]
    root_id: String,
    #[pyo3(get)]
    pub(crate) parent_id: Option<String>,
    #[pyo3(get)]
    pub(crate) group: Option<String>,
    #[pyo3(get)]
    content_type: String,
    #[pyo3(get)]
    content_encoding: String,
    #[pyo3(get)]
    compression: Option<String>,
    headers: Vec<u8>,
    properties: Vec<u8>,
    body: Vec<u8>,
    /// When this process took it, monotonic microseconds.
    pub(crate) started_us: u64,
    /// The processor time of what runs it when it began, microseconds; `None`: that is not measured.
    pub(crate) cpu_began_us: Option<u64>,
    /// The slot that it has in its child.
    pub(crate) slot: usize,
    /// Its place in its batch; `NO_MEMBER` for one that is in none.
    pub(crate) member: u32,
}

/// Calls of a batch task, for one function call.
#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct Batch {
    #[pyo3(get)]
    pub(crate) number: u32,
    #[pyo3(get)]
    task: String,
    #[pyo3(get)]
    id: String,
    calls: Vec<Py<Call>>,
    pub(crate) started_us: u64,
    pub(crate) slot: usize,
}

impl Batch {
    pub(crate) fn new(py: Python<'_>, calls: Vec<Call>) -> PyResult<Batch> {
        let first = calls.first().ok_or_else(|| PyValueError::new_err("from the worker: an empty batch"))?;
        let (number, task, id) = (first.number, first.task.clone(), first.id.clone());
        let (started_us, slot) = (first.started_us, first.slot);
        let calls = calls.into_iter().map(|call| Py::new(py, call)).collect::<PyResult<_>>()?;
        Ok(Batch { number, task, id, calls, started_us, slot })
    }
}

#[pymethods]
impl Batch {
    #[getter]
    fn calls<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, &self.calls)
    }

    #[getter]
    fn runtime_s(&self) -> f64 {
        mono_us().saturating_sub(self.started_us) as f64 / 1e6
    }
}

impl Call {
    /// The call in a frame that this process wrote itself.
    pub(crate) fn of_frame(frame: &[u8]) -> Call {
        match ToChild::read(frame) {
            Ok(ToChild::Task(task)) => Call::new(&task, 0, 0),
            other => unreachable!("a held frame is a task's, not {other:?}"),
        }
    }

    pub(crate) fn new(task: &TaskFrame<'_>, started_us: u64, slot: usize) -> Call {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Call {
            number: task.number,
            is_early_acked: task.is_early_acked,
            is_redelivered: task.is_redelivered,
            attempt: task.attempt,
            ignore_result: task.ignore_result,
            is_watched: task.is_watched,
            queue: task.queue.to_owned(),
            task: task.task.to_owned(),
            id: task.id.to_owned(),
            root_id: task.root_id.to_owned(),
            parent_id: some(task.parent_id),
            group: some(task.group),
            content_type: task.content_type.to_owned(),
            content_encoding: task.content_encoding.to_owned(),
            compression: some(task.compression),
            headers: task.headers.to_vec(),
            properties: task.properties.to_vec(),
            body: task.body.to_vec(),
            started_us,
            cpu_began_us: None,
            slot,
            member: NO_MEMBER,
        }
    }

    /// The call at a place of a batch.
    pub(crate) fn of_batch(task: &TaskFrame<'_>, started_us: u64, slot: usize, member: u32) -> Call {
        Call { member, ..Call::new(task, started_us, slot) }
    }
}

#[pymethods]
impl Call {
    #[getter]
    fn is_early_acked(&self) -> bool {
        self.is_early_acked
    }

    #[getter]
    fn runtime_s(&self) -> f64 {
        mono_us().saturating_sub(self.started_us) as f64 / 1e6
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.body)
    }

    #[getter(headers)]
    fn py_headers<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.headers)
    }

    #[getter]
    fn properties<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.properties)
    }

    fn decode<'py>(&self, py: Python<'py>) -> PyResult<Decoded<'py>> {
        if self.content_type != "application/json" || self.compression.is_some() {
            return Err(PyValueError::new_err(format!("the body is {}, not plain JSON", self.content_type)));
        }
        let decoded = json::decode(py, &self.body)?;
        let wrong = || PyValueError::new_err("the body is JSON, but not [args, kwargs, embed]");
        let parts = decoded.cast::<PyList>().map_err(|_| wrong())?;
        if parts.len() != 3 {
            return Err(wrong());
        }
        let (args, kwargs, embed) = (parts.get_item(0)?, parts.get_item(1)?, parts.get_item(2)?);
        if !args.is_instance_of::<PyList>() || !kwargs.is_instance_of::<PyDict>() {
            return Err(wrong());
        }
        let is_empty = embed.cast::<PyDict>().is_ok_and(|embed| embed.values().iter().all(|value| value.is_none()));
        Ok((args, kwargs, (!is_empty && !embed.is_none()).then_some(embed)))
    }
}
