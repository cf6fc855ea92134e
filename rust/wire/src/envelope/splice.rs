//! Changing single values of an envelope in place.
//!
//! The message is spliced rather than rebuilt: a rebuilt one would lose what our own model of an envelope leaves out.

use std::ops::Range;

use crate::Error;
use crate::json::Scanner;

/// New text for a range of the message; an empty range inserts.
pub(super) struct Edit {
    replaced: Range<usize>,
    text: String,
}

/// The message with all edits; every other byte stays as it was.
pub(super) fn apply(message: &[u8], mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|edit| edit.replaced.start);
    let longer: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut changed = Vec::with_capacity(message.len() + longer);
    let mut copied = 0;
    for edit in edits {
        changed.extend_from_slice(&message[copied..edit.replaced.start]);
        changed.extend_from_slice(edit.text.as_bytes());
        copied = edit.replaced.end;
    }
    changed.extend_from_slice(&message[copied..]);
    changed
}

/// Walks `path` from the object that begins at `start` and notes what has to change for it to lead to `value`, which is
/// JSON. An object that is missing on the way is added.
///
/// # Errors
/// [`Error::Json`], [`Error::TooDeep`] when there is no JSON object at `start`; [`Error::Field`] when something on the
/// way is neither an object nor null.
pub(super) fn set(
    message: &[u8],
    start: usize,
    path: &[&'static str],
    value: &str,
    edits: &mut Vec<Edit>,
) -> Result<(), Error> {
    let (key, below) = path.split_first().expect("a path has at least one key");
    let found = find_last(message, start, key)?;
    let (replaced, text) = match found {
        Found::Value(range) if below.is_empty() => (range, value.to_owned()),
        Found::Value(range) if message[range.start] == b'{' => {
            return set(message, range.start, below, value, edits);
        }
        Found::Value(range) if &message[range.clone()] == b"null" => (range, nested(below, value)),
        Found::Value(range) => {
            return Err(Error::Field { field: key, offset: range.start, expected: "an object or null" });
        }
        Found::End { offset, is_empty } => {
            let comma = if is_empty { "" } else { ", " };
            (offset..offset, format!("{comma}\"{key}\": {}", nested(below, value)))
        }
    };
    // Two edits can meet at one place: both objects missing from the same parent that was empty.
    match edits.last_mut() {
        Some(last) if last.replaced.is_empty() && last.replaced == replaced => {
            let comma = if text.starts_with(',') { "" } else { ", " };
            last.text = format!("{}{comma}{text}", last.text);
        }
        _ => edits.push(Edit { replaced, text }),
    }
    Ok(())
}

/// The value, wrapped in an object for each key that is still to come.
fn nested(path: &[&str], value: &str) -> String {
    path.iter().rev().fold(value.to_owned(), |inner, key| format!("{{\"{key}\": {inner}}}"))
}

enum Found {
    /// Where the value of the last such key lies.
    Value(Range<usize>),
    /// There is none; a new member goes before the closing brace, behind the last value.
    End { offset: usize, is_empty: bool },
}

fn find_last(message: &[u8], start: usize, key: &str) -> Result<Found, Error> {
    let mut scanner = Scanner::at(message, start);
    let mut last_value = None;
    let mut behind_last = None;
    scanner.object(|found, scanner| {
        scanner.peek();
        let value_start = scanner.offset();
        scanner.value()?;
        behind_last = Some(scanner.offset());
        if *found.bytes() == *key.as_bytes() {
            last_value = Some(value_start..scanner.offset());
        }
        Ok(())
    })?;
    if start == 0 {
        scanner.end()?;
    }
    Ok(match last_value {
        Some(range) => Found::Value(range),
        None => Found::End { offset: behind_last.unwrap_or(scanner.offset() - 1), is_empty: behind_last.is_none() },
    })
}
