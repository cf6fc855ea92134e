//! The types that JSON lacks: kombu's own, and those that users register.
//!
//! Kombu keeps one dict from class to encoder and asks `isinstance` in the order of registration (datetime before date,
//! which it is a subclass of), and one dict from marker to decoder. Registering again replaces the encoder and keeps
//! the place. The same here, with the built-in entries made at first need: importing `uuid` and `decimal` at start would
//! cost more than everything else in the module.

use std::sync::{Arc, PoisonError, RwLock};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

/// A class and how its instances are written.
pub(super) struct Encoder {
    pub(super) class: Py<PyAny>,
    /// `None` writes no envelope.
    pub(super) marker: Option<Arc<str>>,
    pub(super) encode: Encode,
}

/// What makes the `__value__` of an object.
pub(super) enum Encode {
    /// A function of the object.
    Call(Py<PyAny>),
    /// `obj.isoformat()`
    Isoformat,
    /// `{"hex": obj.hex}`
    Hex,
}

/// What makes an object of a `__value__`.
pub(super) enum Decode {
    /// A function of the value.
    Call(Py<PyAny>),
    /// Text to its UTF-8 bytes.
    Utf8,
    /// The date of `datetime.fromisoformat`, which the first argument is.
    Date(Py<PyAny>),
    /// `uuid.UUID(**value)`.
    Keywords(Py<PyAny>),
    /// `base64.b64decode` of text.
    Base64(Py<PyAny>),
}

/// Both tables as they are at one moment.
#[derive(Clone)]
pub(super) struct Tables {
    /// In the order of registration.
    pub(super) encoders: Arc<Vec<Arc<Encoder>>>,
    /// By marker; as few as they are, a walk is as quick as a hash.
    pub(super) decoders: Arc<Vec<(Arc<str>, Arc<Decode>)>>,
}

/// Read by copying the two pointers out, so that no Python code ever runs while the lock is held.
static TABLES: PyOnceLock<RwLock<Tables>> = PyOnceLock::new();

/// Adds a type, or replaces its encoder and its marker's decoder.
pub(super) fn register(
    class: &Bound<'_, PyAny>,
    marker: Option<String>,
    encoder: &Bound<'_, PyAny>,
    decoder: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let marker: Option<Arc<str>> = marker.map(Into::into);
    let decode = Decode::Call(decoder.clone().unbind());
    let entry = Encoder {
        class: class.clone().unbind(),
        marker: marker.clone(),
        encode: Encode::Call(encoder.clone().unbind()),
    };
    let tables = TABLES.get_or_try_init(class.py(), || builtin(class.py()).map(RwLock::new))?;
    // The replaced tables are dropped behind the lock: a dropped object may run Python code.
    let _replaced = {
        let mut tables = tables.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = tables.clone();
        let encoders = Arc::make_mut(&mut tables.encoders);
        match encoders.iter_mut().find(|known| known.class.is(class)) {
            Some(known) => *known = Arc::new(entry),
            None => encoders.push(Arc::new(entry)),
        }
        if let Some(marker) = marker {
            let decoders = Arc::make_mut(&mut tables.decoders);
            decoders.retain(|(known, _)| *known != marker);
            decoders.push((marker, Arc::new(decode)));
        }
        replaced
    };
    Ok(())
}

/// The tables as they are now.
pub(super) fn tables(py: Python<'_>) -> PyResult<Tables> {
    let tables = TABLES.get_or_try_init(py, || builtin(py).map(RwLock::new))?;
    Ok(tables.read().unwrap_or_else(PoisonError::into_inner).clone())
}

/// Kombu's `_register_default_types`, and its two forms of bytes.
fn builtin(py: Python<'_>) -> PyResult<Tables> {
    let times = py.import("datetime")?;
    let (datetime, date, time) = (times.getattr("datetime")?, times.getattr("date")?, times.getattr("time")?);
    let decimal = py.import("decimal")?.getattr("Decimal")?;
    let uuid = py.import("uuid")?.getattr("UUID")?;
    let str_type = py.get_type::<PyString>().into_any();
    let call = |function: Bound<'_, PyAny>| Encode::Call(function.unbind());
    let encoders = [
        (&datetime, "datetime", call(datetime.getattr("isoformat")?)),
        (&date, "date", Encode::Isoformat),
        (&time, "time", Encode::Isoformat),
        (&decimal, "decimal", call(str_type)),
        (&uuid, "uuid", Encode::Hex),
    ];
    let encoders = encoders.into_iter().map(|(class, marker, encode)| {
        Arc::new(Encoder { class: class.clone().unbind(), marker: Some(marker.into()), encode })
    });
    let from_iso = |class: &Bound<'_, PyAny>| class.getattr("fromisoformat").map(Bound::unbind);
    let base64 = py.import("base64")?.getattr("b64decode")?;
    let decoders = [
        ("bytes", Decode::Utf8),
        ("base64", Decode::Base64(base64.unbind())),
        ("datetime", Decode::Call(from_iso(&datetime)?)),
        ("date", Decode::Date(from_iso(&datetime)?)),
        ("time", Decode::Call(from_iso(&time)?)),
        ("decimal", Decode::Call(decimal.clone().unbind())),
        ("uuid", Decode::Keywords(uuid.clone().unbind())),
    ];
    let decoders = decoders.into_iter().map(|(marker, decode)| (marker.into(), Arc::new(decode)));
    Ok(Tables { encoders: Arc::new(encoders.collect()), decoders: Arc::new(decoders.collect()) })
}
