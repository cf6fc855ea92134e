//! What tests may do to the rooms of `memory://`.

use pyo3::prelude::*;

#[pyfunction]
pub(crate) fn clear_memory(py: Python<'_>, name: &str) {
    py.detach(|| fastworker_broker::clear_memory(name));
}
