//! What tests may do to the rooms of `memory://`.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::broker_error;

#[pyfunction]
pub(crate) fn clear_memory(py: Python<'_>, name: &str) {
    py.detach(|| fastworker_broker::clear_memory(name));
}

#[pyfunction]
pub(crate) fn memory_messages<'py>(py: Python<'py>, url: &str) -> PyResult<Vec<(String, u8, Bound<'py, PyBytes>)>> {
    let waiting = py.detach(|| fastworker_broker::memory_messages(url)).map_err(|error| broker_error(py, &error))?;
    Ok(waiting.into_iter().map(|one| (one.queue, one.priority, PyBytes::new(py, &one.message))).collect())
}
