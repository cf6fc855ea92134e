//! What `task-received` says of a message.

use fastworker_wire::envelope::Envelope;
use fastworker_wire::event::EventWriter;
use fastworker_wire::json::{write_int, write_text};

/// The fields after the task's id, in their order.
const FIELDS: [&str; 8] = ["name", "args", "kwargs", "root_id", "parent_id", "retries", "eta", "expires"];

/// What the message says beside its envelope's own fields, or in their place.
pub(crate) struct Shown<'a> {
    /// The task's id.
    pub(crate) id: &'a str,
    /// The registered name.
    pub(crate) task: &'a str,
    /// Not before.
    pub(crate) eta: Option<&'a str>,
    /// Not after.
    pub(crate) expires: Option<&'a str>,
    /// Tries that went before.
    pub(crate) retries: u32,
    /// How arguments are shown, and keyword arguments, where no header says it.
    pub(crate) arguments: (&'a str, &'a str),
}

/// Notes the values of [`FIELDS`]: a line of JSON for each, which has no other line breaks. An empty one stands for the
/// task's own id, which most tasks have for their root.
pub(crate) fn note_received(envelope: &Envelope<'_>, shown: &Shown<'_>, out: &mut Vec<u8>) {
    let name = envelope.shadow.as_deref().filter(|shadow| !shadow.is_empty()).unwrap_or(shown.task);
    write_text(name, out);
    out.push(b'\n');
    json_or(out, envelope.argsrepr_json, shown.arguments.0);
    out.push(b'\n');
    json_or(out, envelope.kwargsrepr_json, shown.arguments.1);
    out.push(b'\n');
    if envelope.root_id.as_deref() != Some(shown.id) {
        text(out, envelope.root_id.as_deref());
    }
    out.push(b'\n');
    text(out, envelope.parent_id.as_deref());
    out.push(b'\n');
    write_int(shown.retries.into(), out);
    out.push(b'\n');
    text(out, shown.eta);
    out.push(b'\n');
    text(out, shown.expires);
}

/// Writes what was noted. `id`: the task's, as JSON.
pub(super) fn write_received(id: &[u8], noted: &[u8], event: &mut EventWriter<'_>) {
    for (name, value) in FIELDS.into_iter().zip(noted.split(|byte| *byte == b'\n')) {
        event.json(name, if value.is_empty() { id } else { value });
    }
}

fn text(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => write_text(value, out),
        None => out.extend_from_slice(b"null"),
    }
}

fn json_or(out: &mut Vec<u8>, json: Option<&[u8]>, otherwise: &str) {
    match json {
        Some(json) => out.extend_from_slice(json),
        None => write_text(otherwise, out),
    }
}
