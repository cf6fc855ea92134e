//! The clocks of the Rust half, which tests may move ahead.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

#[pyfunction]
pub(crate) fn advance_clock(seconds: f64) -> PyResult<()> {
    let by = Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err(format!("the clock cannot be moved by {seconds} s: it only goes ahead")))?;
    fastworker_worker::advance(by);
    Ok(())
}

#[pyfunction]
pub(crate) fn reset_clock() {
    fastworker_worker::reset();
}

#[pyfunction]
pub(crate) fn clock_ahead_us() -> u64 {
    fastworker_worker::ahead_us()
}
