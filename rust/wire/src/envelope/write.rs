//! Writing an envelope, byte for byte as kombu does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::json::{write_int, write_text};

/// What an envelope is made of. The headers are JSON already; the rest is plain.
#[derive(Clone, Copy, Debug)]
pub struct EnvelopeParts<'a> {
    /// The serialised (and perhaps compressed) body; written as base64.
    pub body: &'a [u8],
    /// How it is serialised: `application/json`.
    pub content_type: &'a str,
    /// `utf-8` or `binary`.
    pub content_encoding: &'a str,
    /// The headers: one JSON object, copied as it is.
    pub headers_json: &'a [u8],
    /// The task id.
    pub correlation_id: &'a str,
    /// The client's reply queue; `None` leaves the key out.
    pub reply_to: Option<&'a str>,
    /// Milliseconds until the message is worthless, from `expires`; written as a string of digits. `None` leaves the
    /// key out; a negative number is written as 0, as in kombu.
    pub expiration_ms: Option<i64>,
    /// Where it is published to; empty for the default exchange.
    pub exchange: &'a str,
    /// On the default exchange, the queue's name.
    pub routing_key: &'a str,
    /// 0..=9, 0 the most urgent.
    pub priority: u8,
    /// A fresh UUID for each publish; kombu's consumers need one.
    pub delivery_tag: &'a str,
    /// AMQP's `delivery_mode` 1: RabbitMQ need not store it on disk; else 2.
    pub is_transient: bool,
    /// More properties, such as `app_id`; they come last.
    pub more: &'a [(&'a str, &'a str)],
}

/// Appends the envelope to `out`.
///
/// Kombu reads it whatever the order of its keys; the order is Celery's own, so that goldens can be compared.
pub fn write(parts: &EnvelopeParts<'_>, out: &mut Vec<u8>) {
    const FIXED_LEN: usize = 400;
    out.reserve(FIXED_LEN + parts.headers_json.len() + parts.body.len().div_ceil(3) * 4);
    out.extend_from_slice(br#"{"body": ""#);
    write_base64(parts.body, out);
    out.extend_from_slice(br#"", "content-encoding": "#);
    write_text(parts.content_encoding, out);
    out.extend_from_slice(br#", "content-type": "#);
    write_text(parts.content_type, out);
    out.extend_from_slice(br#", "headers": "#);
    out.extend_from_slice(parts.headers_json);
    out.extend_from_slice(br#", "properties": {"correlation_id": "#);
    write_text(parts.correlation_id, out);
    if let Some(reply_to) = parts.reply_to {
        out.extend_from_slice(br#", "reply_to": "#);
        write_text(reply_to, out);
    }
    out.extend_from_slice(if parts.is_transient { br#", "delivery_mode": 1"# } else { br#", "delivery_mode": 2"# });
    if let Some(expiration_ms) = parts.expiration_ms {
        out.extend_from_slice(br#", "expiration": ""#);
        write_int(expiration_ms.max(0), out);
        out.push(b'"');
    }
    out.extend_from_slice(br#", "delivery_info": {"exchange": "#);
    write_text(parts.exchange, out);
    out.extend_from_slice(br#", "routing_key": "#);
    write_text(parts.routing_key, out);
    out.extend_from_slice(br#"}, "priority": "#);
    write_int(parts.priority.into(), out);
    out.extend_from_slice(br#", "body_encoding": "base64", "delivery_tag": "#);
    write_text(parts.delivery_tag, out);
    for (name, text) in parts.more {
        out.extend_from_slice(b", ");
        write_text(name, out);
        out.extend_from_slice(b": ");
        write_text(text, out);
    }
    out.extend_from_slice(b"}}");
}

/// Encodes in place, so that a body of 100 MB is not copied once more.
pub(crate) fn write_base64(body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + body.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(body, &mut out[start..]);
    written.expect("four digits for every three bytes begun");
}
