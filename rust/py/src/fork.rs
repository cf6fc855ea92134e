//! What has to happen around a fork: what a process has for itself must be known not to be its child's, and no database
//! handle may cross it.
//!
//! SQLite's locks belong to the process that took them, and a child that closes an inherited file drops its parent's.
//! So idle connections are closed before a fork and opened again at their next use, on both sides.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

static FORKS: AtomicU32 = AtomicU32::new(0);

/// Another number than a process's forebears have or had, as a pid is, but known without a system call. Whoever forks
/// past libc has to leave Python alone in the child, as CPython says, too.
pub(crate) fn generation() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

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

/// Has libc count its forks, and Python call the others for every fork that it knows of.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // SAFETY: the handler touches nothing but an atomic, which is allowed in a forked child.
    let refused = unsafe { libc::pthread_atfork(None, None, Some(count_fork)) };
    if refused != 0 {
        return Err(std::io::Error::from_raw_os_error(refused).into());
    }
    let py = module.py();
    let hooks = PyDict::new(py);
    hooks.set_item("before", wrap_pyfunction!(before_fork, module)?)?;
    let after = wrap_pyfunction!(after_fork, module)?;
    hooks.set_item("after_in_parent", &after)?;
    hooks.set_item("after_in_child", &after)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
    Ok(())
}
