//! Python's numbers and JSON's.

use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyString};
use pyo3::{PyTypeInfo, ffi, intern};

/// Appends all digits of an int. A subclass is written as the int that it is, whatever its `__repr__` says.
///
/// # Errors
/// `ValueError`: more digits than `sys.set_int_max_str_digits` allows, as in `json`.
#[inline]
pub(super) fn write_int(number: &Bound<'_, PyInt>, out: &mut Vec<u8>) -> PyResult<()> {
    let mut overflow = 0;
    // SAFETY: `number` is an int (or of a subclass), for which this cannot fail and runs no Python code.
    let small = unsafe { ffi::PyLong_AsLongLongAndOverflow(number.as_ptr(), &mut overflow) };
    if overflow == 0 {
        fastworker_wire::json::write_int(small, out);
        return Ok(());
    }
    let repr = number.py().get_type::<PyInt>().getattr(intern!(number.py(), "__repr__"))?;
    let digits = repr.call1((number,))?;
    out.extend_from_slice(digits.cast::<PyString>()?.to_str()?.as_bytes());
    Ok(())
}

/// Appends a float as `float.__repr__` shows it, of a subclass too; what is not finite by the names of Python's `json`.
#[inline]
pub(super) fn write_float(number: &Bound<'_, PyFloat>, out: &mut Vec<u8>) {
    fastworker_wire::json::write_float(number.value(), out);
}

/// An int of any size, or the float nearest to the digits. `raw` is a number as the scanner takes it.
pub(super) fn read<'py>(py: Python<'py>, raw: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    match raw {
        b"NaN" => return Ok(PyFloat::new(py, f64::NAN).into_any()),
        b"Infinity" => return Ok(PyFloat::new(py, f64::INFINITY).into_any()),
        b"-Infinity" => return Ok(PyFloat::new(py, f64::NEG_INFINITY).into_any()),
        _ => {}
    }
    let digits = std::str::from_utf8(raw).expect("the scanner takes ASCII for a number");
    if raw.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        let number: f64 = digits.parse().expect("JSON's floats are a part of Rust's");
        return Ok(PyFloat::new(py, number).into_any());
    }
    match digits.parse::<i64>() {
        Ok(number) => Ok(number.into_pyobject(py)?.into_any()),
        // Python's own limit on the number of digits applies here, as it does in `json`.
        Err(_) => PyInt::type_object(py).call1((digits,)),
    }
}
