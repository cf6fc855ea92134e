//! `MessagePlan`: station 1, publish, for a task without anything unusual. All that stays the same between two calls
//! is serialised once; a call encodes its arguments, draws an id and sends.

use bytes::Bytes;
use fastworker_broker::{COPIED, Publish};
use fastworker_wire::envelope::{self, EnvelopeParts};
use fastworker_wire::json::{write_int, write_text};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyString, PyTuple};

use crate::child::ChildLink;
use crate::ids::{parse, random_id, stream_id, text};
use crate::json;
use crate::publisher::Publisher;

/// Celery cuts `argsrepr` at 1024 characters; below this many bytes of JSON, Python's own repr is surely shorter.
const SHORT_ARGS_BYTES: usize = 512;
/// Messages sent to the broker in one go by `send_many`.
const BATCH: usize = 256;
const NO_EMBED: &[u8] = br#", {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]"#;

/// Queue, priority, message: what `Publisher.publish` takes.
type PyEnvelope<'a, 'py> = (&'a str, u8, Bound<'py, PyBytes>);

enum Link {
    Publisher(Py<Publisher>),
    Child(Py<ChildLink>),
}

#[pyclass(frozen, module = "fastworker._core")]
pub(crate) struct MessagePlan {
    link: Link,
    queue: String,
    priority: u8,
    reply_to: String,
    /// Headers up to the id's value: `{"lang": "py", "task": "…", "id": `.
    before_id: Vec<u8>,
    /// From after the id to the group's value.
    after_id: Vec<u8>,
    /// From after the group's index to the root id's value.
    after_index: Vec<u8>,
    /// From after `kwargsrepr`'s value to the end.
    after_reprs: Vec<u8>,
    saferepr: Py<PyAny>,
}

/// A number as it was given: 9 is not 9.0 to whoever reads it.
fn write_seconds(py: Python<'_>, seconds: Option<&Bound<'_, PyAny>>, out: &mut Vec<u8>) -> PyResult<()> {
    match seconds {
        Some(seconds) => json::encode(py, seconds, out),
        None => {
            out.extend_from_slice(b"null");
            Ok(())
        }
    }
}

fn write_optional(value: Option<&str>, out: &mut Vec<u8>) {
    match value {
        Some(value) => write_text(value, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// True when Python's repr of what encodes to `encoded` is what Celery's `saferepr` writes: short, not deep, and without
/// text that Python would escape or quote otherwise.
fn is_plain(encoded: &[u8]) -> bool {
    encoded.len() <= SHORT_ARGS_BYTES
        && encoded.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() <= 3
        && !encoded.iter().any(|byte| matches!(byte, b'\\' | b'\''))
}

impl MessagePlan {
    fn write_repr(&self, py: Python<'_>, value: &Bound<'_, PyAny>, encoded: &[u8], out: &mut Vec<u8>) -> PyResult<()> {
        let repr = if is_plain(encoded) {
            value.repr()?
        } else {
            self.saferepr.bind(py).call1((value,))?.cast_into::<PyString>()?
        };
        match repr.to_str() {
            Ok(text) => write_text(text, out),
            Err(_lone_surrogate) => json::encode(py, repr.as_any(), out)?,
        }
        Ok(())
    }

    fn envelope(&self, py: Python<'_>, call: &CallParts<'_, '_>) -> PyResult<([u8; 16], Bytes)> {
        let id = random_id()?;
        Ok((id, self.envelope_of(py, &text(&id), call)?.into()))
    }

    fn envelope_of(&self, py: Python<'_>, id_text: &str, call: &CallParts<'_, '_>) -> PyResult<Vec<u8>> {
        let mut body = Vec::with_capacity(256);
        body.push(b'[');
        json::encode::encode_named(call.args, "args", &mut body)?;
        let args_end = body.len();
        body.extend_from_slice(b", ");
        json::encode::encode_named(call.kwargs, "kwargs", &mut body)?;
        let kwargs_end = body.len();
        match call.embed {
            None => body.extend_from_slice(NO_EMBED),
            Some(embed) => {
                body.extend_from_slice(b", ");
                body.extend_from_slice(embed);
                body.push(b']');
            }
        }

        let mut headers = Vec::with_capacity(768);
        headers.extend_from_slice(&self.before_id);
        write_text(id_text, &mut headers);
        headers.extend_from_slice(&self.after_id);
        write_optional(call.group_id, &mut headers);
        headers.extend_from_slice(br#", "group_index": "#);
        match call.group_index {
            Some(index) => write_int(index, &mut headers),
            None => headers.extend_from_slice(b"null"),
        }
        headers.extend_from_slice(&self.after_index);
        write_text(call.root_id.unwrap_or(id_text), &mut headers);
        headers.extend_from_slice(br#", "parent_id": "#);
        write_optional(call.parent_id, &mut headers);
        headers.extend_from_slice(br#", "argsrepr": "#);
        self.write_repr(py, call.args, &body[1..args_end], &mut headers)?;
        headers.extend_from_slice(br#", "kwargsrepr": "#);
        self.write_repr(py, call.kwargs, &body[args_end + 2..kwargs_end], &mut headers)?;
        headers.extend_from_slice(&self.after_reprs);

        let mut message = Vec::with_capacity(headers.len() + body.len() * 4 / 3 + 512);
        let parts = EnvelopeParts {
            body: &body,
            content_type: "application/json",
            content_encoding: "utf-8",
            headers_json: &headers,
            correlation_id: id_text,
            reply_to: Some(&self.reply_to),
            expiration_ms: None,
            exchange: "",
            routing_key: &self.queue,
            priority: self.priority,
            delivery_tag: &text(&random_id()?),
            is_transient: false,
            more: &[],
        };
        envelope::write(&parts, &mut message);
        Ok(message)
    }

    fn publish(&self, py: Python<'_>, messages: Vec<Bytes>, ids: &[[u8; 16]]) -> PyResult<()> {
        let batch: Vec<Publish> = messages
            .into_iter()
            .map(|message| Publish { queue: self.queue.clone(), priority: self.priority, message })
            .collect();
        match &self.link {
            Link::Publisher(publisher) => publisher.get().publish_all(py, &batch),
            Link::Child(link) => link.get().publish_all(py, &batch, ids),
        }
    }
}

struct CallParts<'a, 'py> {
    args: &'a Bound<'py, PyAny>,
    kwargs: &'a Bound<'py, PyAny>,
    root_id: Option<&'a str>,
    parent_id: Option<&'a str>,
    group_id: Option<&'a str>,
    group_index: Option<i64>,
    /// The third element of the body as JSON; `None`: nothing is embedded.
    embed: Option<&'a [u8]>,
}

impl<'a, 'py> CallParts<'a, 'py> {
    fn new(
        args: &'a Bound<'py, PyAny>,
        kwargs: &'a Bound<'py, PyAny>,
        root_id: Option<&'a str>,
        parent_id: Option<&'a str>,
    ) -> Self {
        CallParts { args, kwargs, root_id, parent_id, group_id: None, group_index: None, embed: None }
    }
}

#[pymethods]
impl MessagePlan {
    #[new]
    #[pyo3(signature = (link, *, task, queue, priority, origin, reply_to, ignore_result, soft_time_limit, time_limit, saferepr))]
    #[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
    fn new(
        link: &Bound<'_, PyAny>,
        task: &str,
        queue: String,
        priority: Option<u8>,
        origin: &str,
        reply_to: String,
        ignore_result: Option<bool>,
        soft_time_limit: Option<&Bound<'_, PyAny>>,
        time_limit: Option<&Bound<'_, PyAny>>,
        saferepr: Py<PyAny>,
    ) -> PyResult<MessagePlan> {
        let py = link.py();
        let link = if let Ok(publisher) = link.cast::<Publisher>() {
            Link::Publisher(publisher.clone().unbind())
        } else if let Ok(child) = link.cast::<ChildLink>() {
            Link::Child(child.clone().unbind())
        } else {
            return Err(PyTypeError::new_err("link must be a Publisher or a ChildLink"));
        };
        let mut before_id = br#"{"lang": "py", "task": "#.to_vec();
        write_text(task, &mut before_id);
        before_id.extend_from_slice(br#", "id": "#);
        let after_id = br#", "shadow": null, "eta": null, "expires": null, "group": "#.to_vec();
        let mut after_index = br#", "retries": 0, "timelimit": ["#.to_vec();
        write_seconds(py, time_limit, &mut after_index)?;
        after_index.extend_from_slice(b", ");
        write_seconds(py, soft_time_limit, &mut after_index)?;
        after_index.extend_from_slice(br#"], "root_id": "#);
        let mut after_reprs = br#", "origin": "#.to_vec();
        write_text(origin, &mut after_reprs);
        after_reprs.extend_from_slice(br#", "ignore_result": "#);
        after_reprs.extend_from_slice(match ignore_result {
            None => b"null",
            Some(true) => b"true",
            Some(false) => b"false",
        });
        after_reprs.extend_from_slice(br#", "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}}"#);
        Ok(MessagePlan {
            link,
            queue,
            priority: priority.unwrap_or(0),
            reply_to,
            before_id,
            after_id,
            after_index,
            after_reprs,
            saferepr,
        })
    }

    fn send(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyAny>,
        kwargs: &Bound<'_, PyAny>,
        root_id: Option<&str>,
        parent_id: Option<&str>,
    ) -> PyResult<String> {
        let (id, message) = self.envelope(py, &CallParts::new(args, kwargs, root_id, parent_id))?;
        self.publish(py, vec![message], &[id])?;
        Ok(text(&id))
    }

    #[allow(clippy::too_many_arguments, reason = "a member of a group or a stream, called once for each")]
    fn member<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyAny>,
        kwargs: &Bound<'py, PyAny>,
        task_id: Option<String>,
        root_id: Option<&str>,
        parent_id: Option<&str>,
        group_id: Option<&str>,
        group_index: Option<i64>,
        embed: Option<&[u8]>,
    ) -> PyResult<(String, PyEnvelope<'_, 'py>)> {
        let id = match task_id {
            Some(id) => id,
            None => text(&random_id()?),
        };
        let call = CallParts { group_id, group_index, embed, ..CallParts::new(args, kwargs, root_id, parent_id) };
        let message = self.envelope_of(py, &id, &call)?;
        Ok((id, (&self.queue, self.priority, PyBytes::new(py, &message))))
    }

    fn send_many(
        &self,
        py: Python<'_>,
        calls: &Bound<'_, PyAny>,
        root_id: Option<&str>,
        parent_id: Option<&str>,
        seed: &str,
        start: u64,
    ) -> PyResult<u64> {
        let seed = parse(seed)?;
        let kwargs = PyDict::new(py).into_any();
        let mut messages = Vec::with_capacity(BATCH);
        let mut position = start;
        for args in PyIterator::from_object(calls)? {
            let args = args?;
            if !args.is_instance_of::<PyTuple>() {
                let kind = args.get_type().name()?;
                return Err(PyTypeError::new_err(format!("each call must be a tuple of arguments, not {kind}")));
            }
            let call = CallParts::new(&args, &kwargs, root_id, parent_id);
            let id = text(&stream_id(&seed, position));
            messages.push(self.envelope_of(py, &id, &call)?.into());
            position += 1;
            if messages.len() == BATCH {
                self.publish(py, std::mem::replace(&mut messages, Vec::with_capacity(BATCH)), &[])?;
            }
        }
        self.publish(py, messages, &[])?;
        Ok(position - start)
    }
}

/// Builds kombu's envelope from headers and a serialised body.
#[pyfunction]
#[pyo3(signature = (*, headers, correlation_id, reply_to, priority, queue, expiration_ms, content_type, content_encoding, body, announced_on=None, is_transient=false))]
#[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
pub(crate) fn write_envelope<'py>(
    py: Python<'py>,
    headers: &[u8],
    correlation_id: &str,
    reply_to: Option<&str>,
    priority: u8,
    queue: &str,
    expiration_ms: Option<i64>,
    content_type: &str,
    content_encoding: &str,
    body: &[u8],
    announced_on: Option<&str>,
    is_transient: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut message = Vec::new();
    let mark = if announced_on.is_some() { COPIED } else { "" };
    let parts = EnvelopeParts {
        body,
        content_type,
        content_encoding,
        headers_json: headers,
        correlation_id,
        reply_to,
        expiration_ms,
        exchange: announced_on.unwrap_or(""),
        routing_key: queue,
        priority,
        delivery_tag: &format!("{mark}{}", text(&random_id()?)),
        is_transient,
        more: &[],
    };
    envelope::write(&parts, &mut message);
    Ok(PyBytes::new(py, &message))
}
