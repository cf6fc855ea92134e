//! The object forms of what JSON lacks: `{"__type__": …, "__value__": …}` and what stands in its place.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::registry::{Decode, Encode, tables};

/// How a value that is no JSON type is written.
pub(super) enum Form<'py> {
    /// As this value, in its place.
    Plain(Bound<'py, PyAny>),
    /// As `{"__type__": marker, "__value__": value}`.
    Typed(Arc<str>, Bound<'py, PyAny>),
    /// Not at all.
    None,
}

/// How `obj` is written. The order is kombu's: `__json__`, Django's lazy text, the registered types, bytes.
///
/// # Errors
/// Whatever the object's `__json__` or the registered encoder raises.
pub(super) fn form<'py>(obj: &Bound<'py, PyAny>) -> PyResult<Form<'py>> {
    let py = obj.py();
    if let Some(reducer) = obj.getattr_opt(intern!(py, "__json__"))? {
        return reducer.call0().map(Form::Plain);
    }
    if is_lazy_text(obj)? {
        return obj.str().map(|text| Form::Plain(text.into_any()));
    }
    for encoder in tables(py)?.encoders.iter() {
        if obj.is_instance(encoder.class.bind(py))? {
            let value = match &encoder.encode {
                Encode::Call(encode) => encode.bind(py).call1((obj,))?,
                Encode::Isoformat => obj.call_method0(intern!(py, "isoformat"))?,
                Encode::Hex => {
                    let fields = PyDict::new(py);
                    fields.set_item(intern!(py, "hex"), obj.getattr(intern!(py, "hex"))?)?;
                    fields.into_any()
                }
            };
            return Ok(match &encoder.marker {
                Some(marker) => Form::Typed(marker.clone(), value),
                None => Form::Plain(value),
            });
        }
    }
    let Ok(bytes) = obj.cast::<PyBytes>() else {
        return Ok(Form::None);
    };
    Ok(match std::str::from_utf8(bytes.as_bytes()) {
        Ok(text) => Form::Typed("bytes".into(), PyString::new(py, text).into_any()),
        Err(_) => Form::Typed("base64".into(), to_base64(bytes).into_any()),
    })
}

/// The value that `{"__type__": kind, "__value__": value}` stands for.
///
/// # Errors
/// `ValueError` when nobody registered that type, as in kombu: the message cannot be understood. Whatever the type's
/// decoder raises.
pub(super) fn restore<'py>(kind: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = kind.py();
    kind.hash()?;
    let name = kind.cast::<PyString>().ok().and_then(|name| name.to_str().ok());
    let tables = tables(py)?;
    let known = tables.decoders.iter().find(|(marker, _)| Some(&**marker) == name);
    let Some((_, decode)) = known else {
        let text = format!("Unsupported type {}: no decoder is registered for this __type__", kind.repr()?);
        return Err(PyValueError::new_err(text));
    };
    let utf8 = || value.call_method1(intern!(py, "encode"), (intern!(py, "utf-8"),));
    match &**decode {
        Decode::Call(decode) => decode.bind(py).call1((value,)),
        Decode::Utf8 => utf8(),
        Decode::Base64(decode) => decode.bind(py).call1((utf8()?,)),
        Decode::Date(decode) => decode.bind(py).call1((value,))?.call_method0(intern!(py, "date")),
        Decode::Keywords(class) => {
            let fields = PyDict::new(py);
            fields.update(value.cast()?)?;
            class.bind(py).call((), Some(&fields))
        }
    }
}

/// Whether it is one of Django's lazy strings. Nobody can hold one before Django's module is imported, so nothing is
/// imported to find out.
fn is_lazy_text(obj: &Bound<'_, PyAny>) -> PyResult<bool> {
    static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let py = obj.py();
    let modules = MODULES.get_or_try_init(py, || {
        let modules = py.import("sys")?.getattr("modules")?;
        Ok::<_, PyErr>(modules.cast_into::<PyDict>()?.unbind())
    })?;
    let module = modules.bind(py).get_item(intern!(py, "django.utils.functional"))?;
    match module.map(|module| module.getattr_opt(intern!(py, "Promise"))).transpose()?.flatten() {
        Some(promise) => obj.is_instance(&promise),
        None => Ok(false),
    }
}

fn to_base64<'py>(bytes: &Bound<'py, PyBytes>) -> Bound<'py, PyString> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes.as_bytes());
    PyString::new(bytes.py(), &text)
}
