//! A field of `unacked`: kombu's `[envelope, "exchange", "routing key"]`.
//!
//! Ours are written by string concatenation in `fetch.lua`, with the default exchange and the queue's own name, so that
//! kombu restores them to exactly the queue they came from. The envelope inside is never parsed here: an entry is taken
//! apart from its end.

use fastworker_wire::json::{Scanner, write_text};

/// What follows the envelope in an entry of ours.
pub(super) fn tail(queue: &str) -> String {
    let mut tail = b", \"\", ".to_vec();
    write_text(queue, &mut tail);
    tail.push(b']');
    String::from_utf8(tail).expect("write_text writes ASCII")
}

/// An entry taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) message: &'a [u8],
    pub(super) exchange: String,
    pub(super) routing_key: String,
}

/// Takes an entry of ours or of kombu's apart. `None` when it has another form.
pub(super) fn split(entry: &[u8]) -> Option<Entry<'_>> {
    let inside = entry.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?;
    let (rest, routing_key) = last_text(inside)?;
    let (message, exchange) = last_text(rest)?;
    Some(Entry { message: message.trim_ascii(), exchange, routing_key })
}

/// The JSON string at the end, and what stands before the comma in front of it.
fn last_text(bytes: &[u8]) -> Option<(&[u8], String)> {
    let bytes = bytes.trim_ascii_end();
    let inner = bytes.strip_suffix(b"\"")?;
    let open = (0..inner.len()).rev().find(|&at| {
        let backslashes = inner[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        inner[at] == b'"' && backslashes % 2 == 0
    })?;
    let text = Scanner::at(bytes, open).text().ok()?.text().into_owned();
    Some((bytes[..open].trim_ascii_end().strip_suffix(b",")?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_ours_is_taken_apart() {
        for queue in ["celery", "größe \"x\"\\", ", \"\", \"q\"]"] {
            let entry = format!("[{{\"a\": \"]\"}}{}", tail(queue));
            let found = split(entry.as_bytes()).unwrap();
            assert_eq!(found.message, b"{\"a\": \"]\"}");
            assert_eq!((found.exchange.as_str(), found.routing_key.as_str()), ("", queue));
        }
    }

    #[test]
    fn an_entry_of_kombus_is_taken_apart() {
        let found = split(br#"[{"body": "x"}, "topic", "a.b"]"#).unwrap();
        assert_eq!((found.exchange.as_str(), found.routing_key.as_str()), ("topic", "a.b"));
    }

    #[test]
    fn another_form_is_none() {
        for entry in ["", "[]", "{}", "[1, 2]", r#"[{}, null, "q"]"#, r#"["x"]"#] {
            assert_eq!(split(entry.as_bytes()), None, "{entry}");
        }
    }
}
