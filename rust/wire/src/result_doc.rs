//! Celery's result document, for the endings that the supervisor writes itself.
//!
//! A child encodes what its task returned or raised; the supervisor speaks for tasks that cannot: revoked, expired,
//! over their time limit, or lost with their process. The keys stand in Celery's order, `task_id` last. Source:
//! celery-contract 6.2 and 6.3; `celery/backends/base.py`, `_get_result_meta`.

use crate::json::{write_float, write_int, write_text};

/// What every document says beside its state.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResultContext<'a> {
    /// The task's id.
    pub task_id: &'a str,
    /// When it ended: [`crate::time::iso_utc`]. Ignored for STARTED, which has not ended.
    pub date_done: &'a str,
    /// The tasks published from inside it, as JSON (result tuples); `None` writes `[]`.
    pub children_json: Option<&'a [u8]>,
    /// Written only when set.
    pub group_id: Option<&'a str>,
    /// Written only when set.
    pub parent_id: Option<&'a str>,
    /// For `result_extended`: the members `"name": …, "args": …, "queue": …` as JSON without the braces; empty
    /// otherwise.
    pub extended_json: &'a [u8],
}

/// An exception that the supervisor states on a task's behalf.
#[derive(Clone, Copy, Debug)]
pub struct Exception<'a> {
    /// The class's qualified name: `WorkerLostError`.
    pub exc_type: &'a str,
    /// The constructor's arguments.
    pub exc_message: &'a [ExceptionArg<'a>],
    /// The class's module, as Celery names it: `billiard.exceptions`. Clients look it up there.
    pub exc_module: &'a str,
}

/// One argument of an exception.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExceptionArg<'a> {
    /// Text.
    Text(&'a str),
    /// A number, as in `TimeLimitExceeded(3)`; whole numbers are written without a fraction.
    Number(f64),
}

/// SUCCESS, with a result that is JSON already.
pub fn success(result_json: &[u8], context: &ResultContext<'_>, out: &mut Vec<u8>) {
    document("SUCCESS", None, context, out, |out| {
        out.extend_from_slice(result_json);
    });
}

/// FAILURE. `traceback` is the text that a client appends to its own; `None` writes null.
pub fn failure(exception: &Exception<'_>, traceback: Option<&str>, context: &ResultContext<'_>, out: &mut Vec<u8>) {
    document("FAILURE", traceback, context, out, |out| write_exception(exception, out));
}

/// REVOKED; `reason` is `revoked`, `expired` or `terminated`.
pub fn revoked(reason: &str, context: &ResultContext<'_>, out: &mut Vec<u8>) {
    let exception = Exception {
        exc_type: "TaskRevokedError",
        exc_message: &[ExceptionArg::Text(reason)],
        exc_module: "celery.exceptions",
    };
    document("REVOKED", None, context, out, |out| write_exception(&exception, out));
}

/// STARTED, for `task_track_started`: the child's pid and the node's name.
pub fn started(pid: u32, hostname: &str, context: &ResultContext<'_>, out: &mut Vec<u8>) {
    document("STARTED", None, context, out, |out| {
        out.extend_from_slice(br#"{"pid": "#);
        write_int(pid.into(), out);
        out.extend_from_slice(br#", "hostname": "#);
        write_text(hostname, out);
        out.push(b'}');
    });
}

fn document(
    status: &str,
    traceback: Option<&str>,
    context: &ResultContext<'_>,
    out: &mut Vec<u8>,
    write_result: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(br#"{"status": "#);
    write_text(status, out);
    out.extend_from_slice(br#", "result": "#);
    write_result(out);
    out.extend_from_slice(br#", "traceback": "#);
    write_text_or_null(traceback, out);
    out.extend_from_slice(br#", "children": "#);
    out.extend_from_slice(context.children_json.unwrap_or(b"[]"));
    out.extend_from_slice(br#", "date_done": "#);
    write_text_or_null((status != "STARTED").then_some(context.date_done), out);
    for (key, value) in [("group_id", context.group_id), ("parent_id", context.parent_id)] {
        if let Some(value) = value {
            out.extend_from_slice(b", ");
            write_text(key, out);
            out.extend_from_slice(b": ");
            write_text(value, out);
        }
    }
    if !context.extended_json.is_empty() {
        out.extend_from_slice(b", ");
        out.extend_from_slice(context.extended_json);
    }
    out.extend_from_slice(br#", "task_id": "#);
    write_text(context.task_id, out);
    out.push(b'}');
}

fn write_exception(exception: &Exception<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"exc_type": "#);
    write_text(exception.exc_type, out);
    out.extend_from_slice(br#", "exc_message": ["#);
    for (index, arg) in exception.exc_message.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        match arg {
            ExceptionArg::Text(text) => write_text(text, out),
            ExceptionArg::Number(number) => write_number(*number, out),
        }
    }
    out.extend_from_slice(br#"], "exc_module": "#);
    write_text(exception.exc_module, out);
    out.push(b'}');
}

/// A limit of `3` seconds was given as an int by nearly every caller, and reads back as one.
fn write_number(number: f64, out: &mut Vec<u8>) {
    /// Up to here every whole float is an exact i64.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= MAX_EXACT {
        write_int(number as i64, out);
    } else {
        write_float(number, out);
    }
}

fn write_text_or_null(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => write_text(text, out),
        None => out.extend_from_slice(b"null"),
    }
}
