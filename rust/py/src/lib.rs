//! `fastworker._core`: the only crate that knows Python. What crosses is listed here; `_core.pyi` documents it.

mod call;
mod child;
mod clock;
mod connection;
mod control;
mod drain;
mod errors;
mod fork;
mod histogram;
mod ids;
mod join;
mod json;
mod memory;
mod pacer;
mod parked;
mod plan;
mod publisher;
mod results;
mod worker;

use pyo3::prelude::*;

#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    json::register(module)?;
    fork::register(module)?;
    module.add_function(wrap_pyfunction!(fork::adopt_orphans, module)?)?;
    module.add_function(wrap_pyfunction!(ids::new_id, module)?)?;
    module.add_function(wrap_pyfunction!(ids::stream_ids, module)?)?;
    module.add_class::<publisher::Publisher>()?;
    module.add_class::<control::ControlClient>()?;
    module.add_class::<drain::Drain>()?;
    module.add_class::<plan::MessagePlan>()?;
    module.add_function(wrap_pyfunction!(plan::write_envelope, module)?)?;
    module.add_class::<results::ResultStore>()?;
    module.add_function(wrap_pyfunction!(memory::clear_memory, module)?)?;
    module.add_function(wrap_pyfunction!(memory::memory_messages, module)?)?;
    module.add_function(wrap_pyfunction!(clock::advance_clock, module)?)?;
    module.add_function(wrap_pyfunction!(clock::reset_clock, module)?)?;
    module.add_function(wrap_pyfunction!(clock::clock_ahead_us, module)?)?;
    module.add_class::<clock::LamportClock>()?;
    module.add_class::<clock::NodePulse>()?;
    module.add_class::<call::Call>()?;
    module.add_class::<call::Batch>()?;
    module.add_class::<child::ChildLink>()?;
    module.add_class::<join::Join>()?;
    module.add_class::<join::Lost>()?;
    module.add_class::<join::Member>()?;
    module.add_class::<worker::Worker>()?;
    module.add_class::<histogram::Histogram>()?;
    module.add_class::<pacer::Pacer>()?;
    Ok(())
}
