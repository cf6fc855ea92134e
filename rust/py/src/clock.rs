//! The clocks of the Rust half, which tests may move ahead; and the logical clock of a node.

use std::time::Duration;

use fastworker_worker::Pulse;
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

/// A logical clock, whose number the I/O threads of a worker go on with too.
#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct LamportClock(fastworker_worker::LamportClock);

#[pymethods]
impl LamportClock {
    #[new]
    #[pyo3(signature = (initial_value=0))]
    fn new(initial_value: u64) -> LamportClock {
        LamportClock(fastworker_worker::LamportClock::new(initial_value))
    }

    #[getter]
    fn value(&self) -> u64 {
        self.0.value()
    }

    fn forward(&self) -> u64 {
        self.0.forward()
    }

    fn adjust(&self, other: u64) -> u64 {
        self.0.adjust(other)
    }
}

/// What the lanes of a node share.
#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct NodePulse(pub(crate) Pulse);

#[pymethods]
impl NodePulse {
    #[new]
    fn new(clock: &LamportClock) -> NodePulse {
        NodePulse(Pulse::new(clock.0.clone()))
    }
}
