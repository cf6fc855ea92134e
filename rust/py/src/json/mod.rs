//! kombu's JSON between Python values and bytes.
//!
//! Task arguments and results cross the wire in the JSON of `kombu.utils.json`: Python's own `json` with an object form
//! for what JSON lacks (`{"__type__": "datetime", "__value__": "…"}`). This codec writes the same bytes and reads the
//! same values, with kombu as the oracle in its tests. It is written here, because the fast JSON libraries differ
//! silently where it hurts: a UUID arrives as text, NaN as null, 2**70 as a float.

mod decode;
/// Also `encode_named`, for values whose place in a call is known.
pub(crate) mod encode;
mod fault;
mod form;
mod keys;
mod number;
mod recursion;
mod registry;
mod text;

pub(crate) use decode::decode;
pub(crate) use encode::encode;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};

/// Adds `dumps`, `loads` and `register_type` to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(dumps, module)?)?;
    module.add_function(wrap_pyfunction!(loads, module)?)?;
    module.add_function(wrap_pyfunction!(register_type, module)?)
}

/// Encode as kombu's JSON: `__type__` forms for datetime, UUID, Decimal and bytes; exact integers; NaN.
#[pyfunction]
fn dumps<'py>(obj: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    /// A usual body fits without growing.
    const USUAL_LEN: usize = 256;
    let mut out = Vec::with_capacity(USUAL_LEN);
    encode(obj.py(), obj, &mut out)?;
    Ok(PyBytes::new(obj.py(), &out))
}

/// Decode kombu's JSON.
#[pyfunction]
fn loads<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    if let Ok(bytes) = data.cast::<PyBytes>() {
        decode(py, bytes.as_bytes())
    } else if let Ok(text) = data.cast::<PyString>() {
        match text.to_str() {
            Ok(text) => decode::decode_text(py, text.as_bytes()),
            // Only a lone surrogate is not UTF-8; Python's reader passes it on.
            Err(_) => decode::decode_text(py, &text::to_wtf8(text)?),
        }
    } else if data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>() {
        let bytes = py.get_type::<PyBytes>().call1((data,))?;
        decode(py, bytes.cast::<PyBytes>()?.as_bytes())
    } else {
        let kind = data.get_type().name()?;
        Err(PyTypeError::new_err(format!("the JSON object must be str, bytes or bytearray, not {kind}")))
    }
}

/// Teach the codec a type, as `kombu.utils.json.register_type` does. `marker=None` writes no envelope.
#[pyfunction]
fn register_type(
    cls: &Bound<'_, PyAny>,
    marker: Option<String>,
    encoder: &Bound<'_, PyAny>,
    decoder: &Bound<'_, PyAny>,
) -> PyResult<()> {
    registry::register(cls, marker, encoder, decoder)
}
