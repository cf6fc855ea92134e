//! Making a message due; writing its body anew.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::splice::{apply, set};
use super::{parse, parse_v1};
use crate::Error;

/// The message with no eta, so that whoever fetches it runs it at once. Every other byte stays as it was; in a message
/// of protocol 1, whose eta is in its body, the body is written anew as base64.
///
/// # Errors
/// As [`parse`] and [`parse_v1`].
pub fn without_eta(message: &[u8]) -> Result<Vec<u8>, Error> {
    let envelope = parse(message)?;
    let mut edits = Vec::with_capacity(2);
    if envelope.task.is_some() {
        if envelope.eta.is_some() {
            set(message, 0, &["headers", "eta"], "null", &mut edits)?;
        }
    } else if parse_v1(&envelope.body)?.eta.is_some() {
        let mut in_body = Vec::with_capacity(1);
        set(&envelope.body, 0, &["eta"], "null", &mut in_body)?;
        return replace_body(message, &STANDARD.encode(apply(&envelope.body, in_body)));
    }
    Ok(apply(message, edits))
}

/// The message with another body, given as base64. Every other byte stays as it was.
pub(crate) fn replace_body(message: &[u8], base64: &str) -> Result<Vec<u8>, Error> {
    let mut edits = Vec::with_capacity(2);
    set(message, 0, &["body"], &format!("\"{base64}\""), &mut edits)?;
    set(message, 0, &["properties", "body_encoding"], "\"base64\"", &mut edits)?;
    Ok(apply(message, edits))
}
