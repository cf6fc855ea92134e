//! Saying "handed out before" in the two places where kombu says it.

use std::ops::Range;

use crate::Error;
use crate::json::Scanner;

/// Sets `headers.redelivered` and `properties.delivery_info.redelivered` to true, as kombu's Redis transport does when
/// it restores a message. Every other byte stays as it was, and marking twice changes nothing more.
///
/// The message is spliced rather than rebuilt: a rebuilt one would lose what our own model of an envelope leaves out.
/// Where kombu gives up because an object is missing, it is added, so that a reader of either place sees the mark.
///
/// # Errors
/// [`Error::Json`], [`Error::TooDeep`] when it is not a JSON object; [`Error::Field`] when one of the three objects is
/// something else.
pub fn mark_redelivered(message: &[u8]) -> Result<Vec<u8>, Error> {
    let mut edits = Vec::with_capacity(2);
    set(message, 0, &["headers", "redelivered"], &mut edits)?;
    let path = ["properties", "delivery_info", "redelivered"];
    set(message, 0, &path, &mut edits)?;
    edits.sort_by_key(|edit: &Edit| edit.replaced.start);

    let mut marked = Vec::with_capacity(message.len() + 96);
    let mut copied = 0;
    for edit in edits {
        marked.extend_from_slice(&message[copied..edit.replaced.start]);
        marked.extend_from_slice(edit.text.as_bytes());
        copied = edit.replaced.end;
    }
    marked.extend_from_slice(&message[copied..]);
    Ok(marked)
}

/// New text for a range of the message; an empty range inserts.
struct Edit {
    replaced: Range<usize>,
    text: String,
}

/// Walks `path` from the object that begins at `start` and notes what has to change.
fn set(message: &[u8], start: usize, path: &[&'static str], edits: &mut Vec<Edit>) -> Result<(), Error> {
    let (key, below) = path.split_first().expect("a path has at least one key");
    let found = find_last(message, start, key)?;
    let (replaced, text) = match found {
        Found::Value(range) if below.is_empty() => (range, "true".to_owned()),
        Found::Value(range) if message[range.start] == b'{' => {
            return set(message, range.start, below, edits);
        }
        Found::Value(range) if &message[range.clone()] == b"null" => (range, nested(below)),
        Found::Value(range) => {
            return Err(Error::Field { field: key, offset: range.start, expected: "an object or null" });
        }
        Found::End { offset, is_empty } => {
            let comma = if is_empty { "" } else { ", " };
            (offset..offset, format!("{comma}\"{key}\": {}", nested(below)))
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

/// `true`, wrapped in an object for each key that is still to come.
fn nested(path: &[&str]) -> String {
    path.iter().rev().fold("true".to_owned(), |inner, key| format!("{{\"{key}\": {inner}}}"))
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
