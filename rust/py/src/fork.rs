//! What has to happen around a fork: no database handle may cross it.
//!
//! SQLite's locks belong to the process that took them, and a child that closes an inherited file drops its parent's.
//! So idle connections are closed before a fork and opened again at their next use, on both sides.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

#[pyfunction]
fn before_fork() {
    fastworker_broker::before_fork();
}

#[pyfunction]
fn after_fork() {
    fastworker_broker::after_fork();
}

/// Orphans of what the children of this process start become children of this process, which has to bury them.
#[pyfunction]
pub(crate) fn adopt_orphans() -> PyResult<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| PyOSError::new_err(format!("cannot become the reaper of orphaned processes: {error}")))
}

/// Has Python call both for every fork that it knows of.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let hooks = PyDict::new(py);
    hooks.set_item("before", wrap_pyfunction!(before_fork, module)?)?;
    let after = wrap_pyfunction!(after_fork, module)?;
    hooks.set_item("after_in_parent", &after)?;
    hooks.set_item("after_in_child", &after)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
    Ok(())
}
