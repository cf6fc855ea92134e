//! Parts of a chord: Celery's `[1, task id, state, result]`, one for each member that ended.
//!
//! A chord may have a hundred thousand of them. Where all of them are JSON and none failed, the list of their results is
//! put together as text, and put into the body's message in the place of a text that stands for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;
use crate::envelope::{self, replace_body};
use crate::json::{Scanner, write_text};

/// The list of all results as JSON; `None` when one of the parts is not JSON or tells of anything but a SUCCESS.
pub fn results(parts: &[impl AsRef<[u8]>]) -> Option<Vec<u8>> {
    let mut list = vec![b'['];
    for part in parts {
        if list.len() > 1 {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(success(part.as_ref())?);
    }
    list.push(b']');
    Some(list)
}

fn success(part: &[u8]) -> Option<&[u8]> {
    let mut scanner = Scanner::new(part);
    let mut fields = [&b""[..]; 4];
    let mut count = 0;
    let read = scanner.array(|scanner| {
        scanner.peek();
        let value = scanner.value()?;
        if let Some(field) = fields.get_mut(count) {
            *field = value;
        }
        count += 1;
        Ok(())
    });
    read.and_then(|()| scanner.end()).ok()?;
    (count == 4 && fields[2] == br#""SUCCESS""#).then_some(fields[3])
}

/// A message whose JSON body has `value`, which is JSON, wherever it had the text `stands_for`; `None`: it has that
/// nowhere.
///
/// # Errors
/// As [`envelope::parse`].
pub fn put_in_place_of(stands_for: &str, value: &[u8], message: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut needle = Vec::new();
    write_text(stands_for, &mut needle);
    let envelope = envelope::parse(message)?;
    let mut rest = &envelope.body[..];
    let mut body = Vec::with_capacity(rest.len() + value.len());
    while let Some(at) = rest.windows(needle.len()).position(|window| window == needle) {
        body.extend_from_slice(&rest[..at]);
        body.extend_from_slice(value);
        rest = &rest[at + needle.len()..];
    }
    if body.is_empty() {
        return Ok(None);
    }
    body.extend_from_slice(rest);
    replace_body(message, &STANDARD.encode(body)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_cut_out_as_they_are_written() {
        let parts = [&b"[1, \"a\", \"SUCCESS\", {\"k\": [1,2]}]"[..], b"[1,\"b\",\"SUCCESS\",NaN]"];
        assert_eq!(results(&parts).as_deref(), Some(&b"[{\"k\": [1,2]}, NaN]"[..]));
        assert_eq!(results(&[] as &[&[u8]]).as_deref(), Some(&b"[]"[..]));
        for other in [&b"[1, \"a\", \"FAILURE\", 1]"[..], b"\x80\x04", b"[1, \"a\", \"SUCCESS\"]", b"[1, 2, 3, 4] 5"] {
            assert_eq!(results(&[parts[0], other]), None);
        }
    }

    #[test]
    fn a_value_takes_the_place_of_a_text_in_a_body() {
        let body = STANDARD.encode("[[\"<3 results>\", {\"x\": \"<3 results>\"}], {}, {}]");
        let message =
            format!("{{\"body\": \"{body}\", \"properties\": {{\"body_encoding\": \"base64\", \"n\": 1.50}}}}");
        let changed = put_in_place_of("<3 results>", b"[1, 2, 3]", message.as_bytes()).unwrap().unwrap();
        let read = envelope::parse(&changed).unwrap();
        assert_eq!(&read.body[..], b"[[[1, 2, 3], {\"x\": [1, 2, 3]}], {}, {}]");
        assert!(changed.ends_with(b"\"n\": 1.50}}"), "every other byte stays");
        assert_eq!(put_in_place_of("<4 results>", b"[]", message.as_bytes()).unwrap(), None);
    }
}
