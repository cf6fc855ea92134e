//! Parked messages as Python sees them; methods of `Publisher`.

use bytes::Bytes;
use fastworker_broker::{Cancel, Cancelled, Parked, ResultDoc};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// `(handle, document seen, (task id, document, ttl) to store)`.
pub(crate) type CancelTuple = (String, Option<Vec<u8>>, Option<(String, Vec<u8>, Option<u64>)>);

pub(crate) fn cancel_of((handle, seen, result): CancelTuple) -> Cancel {
    let result = result.map(|(task_id, doc, ttl_s)| ResultDoc {
        task_id,
        doc: doc.into(),
        is_success: false,
        ttl_s,
        reply: None,
    });
    Cancel { handle, seen: seen.map(Bytes::from), result }
}

pub(crate) fn word_of(cancelled: Cancelled) -> &'static str {
    match cancelled {
        Cancelled::Removed => "removed",
        Cancelled::NotParked => "not parked",
        Cancelled::ResultChanged => "result changed",
    }
}

pub(crate) fn dicts<'py>(py: Python<'py>, messages: &[Parked]) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let dict = |parked: &Parked| {
        let dict = PyDict::new(py);
        dict.set_item("handle", &parked.handle)?;
        dict.set_item("id", &parked.id)?;
        dict.set_item("task", &parked.task)?;
        dict.set_item("queue", &parked.queue)?;
        dict.set_item("due_ms", parked.due_ms)?;
        dict.set_item("priority", parked.priority)?;
        dict.set_item("is_member", parked.is_member)?;
        dict.set_item("ignores_result", parked.ignores_result)?;
        Ok(dict)
    };
    messages.iter().map(dict).collect()
}
