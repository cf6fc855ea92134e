//! Every Rust error becomes one of `fastworker.errors`' exceptions here, variant by variant.

use fastworker_broker::Error;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// The exception class of this name in `fastworker.errors`, called with `text`.
pub(crate) fn raise(py: Python<'_>, class: &str, text: String) -> PyErr {
    let made = (|| {
        let class = py.import("fastworker.errors")?.getattr(class)?.cast_into::<PyType>()?;
        Ok(PyErr::from_type(class, text))
    })();
    match made {
        Ok(error) | Err(error) => error,
    }
}

/// A failed broker or store operation.
pub(crate) fn broker_error(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error {
        Error::Url(_) => "ImproperlyConfigured",
        Error::Connection { .. } | Error::Refused { .. } | Error::Format { .. } => "OperationalError",
    };
    raise(py, class, error.to_string())
}
