//! Saying "handed out before" in the two places where kombu says it.

use super::splice::{apply, set};
use crate::Error;

/// Sets `headers.redelivered` and `properties.delivery_info.redelivered` to true, as kombu's Redis transport does when
/// it restores a message. Every other byte stays as it was, and marking twice changes nothing more.
///
/// Where kombu gives up because an object is missing, it is added, so that a reader of either place sees the mark.
///
/// # Errors
/// [`Error::Json`], [`Error::TooDeep`] when it is not a JSON object; [`Error::Field`] when one of the three objects is
/// something else.
pub fn mark_redelivered(message: &[u8]) -> Result<Vec<u8>, Error> {
    let mut edits = Vec::with_capacity(2);
    set(message, 0, &["headers", "redelivered"], "true", &mut edits)?;
    let path = ["properties", "delivery_info", "redelivered"];
    set(message, 0, &path, "true", &mut edits)?;
    Ok(apply(message, edits))
}
