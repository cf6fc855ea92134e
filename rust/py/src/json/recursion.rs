//! A bound on nesting, so that deep or circular values end in an exception and never in a crash.

use pyo3::exceptions::PyRecursionError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Above what Python's default limit (1,000) allows. A level takes some 400 bytes of stack, and five times that without
/// optimisation, so that 8 MB, the usual stack of a thread, hold it in either build. Only whoever raised
/// `sys.setrecursionlimit` meets it.
const MAX_DEPTH: usize = 1_500;

/// One level of nesting, counted against Python's own recursion limit as `json` does. Dropping it leaves the level.
pub(super) struct Level<'py>(Python<'py>);

impl<'py> Level<'py> {
    /// Enters the level below `depth` others.
    ///
    /// # Errors
    /// `RecursionError`: Python's limit, or ours, is reached.
    #[inline]
    pub(super) fn enter(py: Python<'py>, depth: usize) -> PyResult<Self> {
        if depth > MAX_DEPTH {
            let text = format!("JSON value nested deeper than {MAX_DEPTH} levels");
            return Err(PyRecursionError::new_err(text));
        }
        // SAFETY: attached (`py`), and the text lives for ever. Each success is paired with the leave in `drop`.
        if unsafe { ffi::Py_EnterRecursiveCall(c" in a JSON value".as_ptr()) } != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(Self(py))
    }
}

impl Drop for Level<'_> {
    #[inline]
    fn drop(&mut self) {
        let _attached = self.0;
        // SAFETY: attached, and entered once in `enter`.
        unsafe { ffi::Py_LeaveRecursiveCall() };
    }
}
