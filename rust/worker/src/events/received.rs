//! What `task-received` says of a message.

use fastworker_wire::envelope::Envelope;
use fastworker_wire::json::{write_int, write_text};

/// What the message says beside its envelope's own fields, or in their place.
pub(crate) struct Shown<'a> {
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

/// The fields after the id, each with a comma before it.
pub(crate) fn received_fields(envelope: &Envelope<'_>, shown: &Shown<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let name = envelope.shadow.as_deref().filter(|shadow| !shadow.is_empty()).unwrap_or(shown.task);
    text(&mut out, "name", Some(name));
    json_or(&mut out, "args", envelope.argsrepr_json, shown.arguments.0);
    json_or(&mut out, "kwargs", envelope.kwargsrepr_json, shown.arguments.1);
    text(&mut out, "root_id", envelope.root_id.as_deref());
    text(&mut out, "parent_id", envelope.parent_id.as_deref());
    name_of(&mut out, "retries");
    write_int(shown.retries.into(), &mut out);
    text(&mut out, "eta", shown.eta);
    text(&mut out, "expires", shown.expires);
    out
}

fn name_of(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b", \"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\": ");
}

fn text(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    name_of(out, name);
    match value {
        Some(value) => write_text(value, out),
        None => out.extend_from_slice(b"null"),
    }
}

fn json_or(out: &mut Vec<u8>, name: &str, json: Option<&[u8]>, otherwise: &str) {
    name_of(out, name);
    match json {
        Some(json) => out.extend_from_slice(json),
        None => write_text(otherwise, out),
    }
}
