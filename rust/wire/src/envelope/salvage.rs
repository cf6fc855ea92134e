//! What can still be said of a message that cannot be read: enough for a person to find its sender.

use memchr::memmem;

use super::{parse, parse_v1};
use crate::json::Scanner;

/// The task name and the task id of a message, as far as they can be found; for dead letters and log lines.
///
/// A readable message answers exactly, protocol 1 included. In a broken one, the first `"task": "…"` and `"id": "…"`
/// are taken, which is where Celery writes them unless a user's own header comes before.
pub fn task_and_id(message: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(envelope) = parse(message) else {
        return (first_text(message, b"\"task\""), first_text(message, b"\"id\""));
    };
    let id = envelope.id.or(envelope.correlation_id);
    if envelope.task.is_some() {
        return (envelope.task.map(Into::into), id.map(Into::into));
    }
    match parse_v1(&envelope.body) {
        Ok(body) => (Some(body.task.into_owned()), body.id.or(id).map(Into::into)),
        Err(_) => (None, id.map(Into::into)),
    }
}

/// The text that follows the first such key which is followed by text.
fn first_text(message: &[u8], key: &[u8]) -> Option<String> {
    memmem::find_iter(message, key).find_map(|start| {
        let mut scanner = Scanner::at(message, start + key.len());
        if scanner.peek() != Some(b':') {
            return None;
        }
        let mut value = Scanner::at(message, scanner.offset() + 1);
        Some(value.text().ok()?.text().into_owned())
    })
}
