//! Events: what workers and clients tell monitors, as `celery.events` writes them.
//!
//! An event is an object with at least `hostname`, `utcoffset` (hours west of UTC), `pid`, `clock` (Lamport's),
//! `timestamp` (Unix time, seconds) and `type`. A message has one of them, or a list; its routing key is the type with
//! dots for dashes, or `task.multi` for a list. Source: celery-contract 7; `celery/events/dispatcher.py`.

use crate::envelope::write_base64;
use crate::json::{write_float, write_int, write_text};

/// What all events of one sender begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventHead(Vec<u8>);

impl EventHead {
    /// `hostname`: the node's name. `utcoffset_h`: hours west of UTC.
    pub fn new(hostname: &str, utcoffset_h: f64, pid: u32) -> EventHead {
        let mut head = Vec::with_capacity(80 + hostname.len());
        head.extend_from_slice(br#"{"hostname": "#);
        write_text(hostname, &mut head);
        head.extend_from_slice(br#", "utcoffset": "#);
        write_float(utcoffset_h, &mut head);
        head.extend_from_slice(br#", "pid": "#);
        write_int(pid.into(), &mut head);
        head.extend_from_slice(br#", "clock": "#);
        EventHead(head)
    }
}

/// One event on its way to `out`; [`EventWriter::end`] completes it.
pub struct EventWriter<'o>(&'o mut Vec<u8>);

impl<'o> EventWriter<'o> {
    /// Begins an event. `timestamp_us`: Unix time, microseconds. `kind`: such as `task-started`.
    pub fn begin(out: &'o mut Vec<u8>, head: &EventHead, clock: u64, timestamp_us: i64, kind: &str) -> EventWriter<'o> {
        out.extend_from_slice(&head.0);
        write_int(clock as i64, out);
        out.extend_from_slice(br#", "timestamp": "#);
        write_seconds(timestamp_us, out);
        out.extend_from_slice(br#", "type": "#);
        write_text(kind, out);
        EventWriter(out)
    }

    /// Fields of an event that somebody else begins and ends: [`EventWriter::fields`] takes what is written.
    pub fn of_fields(out: &'o mut Vec<u8>) -> EventWriter<'o> {
        EventWriter(out)
    }

    /// A field whose value is JSON already.
    pub fn json(&mut self, name: &str, json: &[u8]) -> &mut Self {
        self.name(name).extend_from_slice(json);
        self
    }

    /// A text.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Self {
        write_text(text, self.name(name));
        self
    }

    /// A text, or null.
    pub fn text_or_null(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.json(name, b"null"),
        }
    }

    /// A whole number.
    pub fn int(&mut self, name: &str, number: i64) -> &mut Self {
        write_int(number, self.name(name));
        self
    }

    /// A float.
    pub fn float(&mut self, name: &str, number: f64) -> &mut Self {
        write_float(number, self.name(name));
        self
    }

    /// True or false.
    pub fn flag(&mut self, name: &str, is: bool) -> &mut Self {
        self.json(name, if is { b"true" } else { b"false" })
    }

    /// Fields that are written already, each with a comma before it.
    pub fn fields(&mut self, json: &[u8]) {
        self.0.extend_from_slice(json);
    }

    /// Nothing follows.
    pub fn end(&mut self) {
        self.0.push(b'}');
    }

    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.0.extend_from_slice(b", \"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\": ");
        self.0
    }
}

/// Microseconds as seconds with a fraction of six digits, which reads back as the same float.
fn write_seconds(us: i64, out: &mut Vec<u8>) {
    let us = us.max(0);
    write_int(us / 1_000_000, out);
    let mut fraction = us % 1_000_000;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit += (fraction % 10) as u8;
        fraction /= 10;
    }
    out.push(b'.');
    out.extend_from_slice(&digits);
}

/// What kombu's envelope of an event says, for brokers that keep envelopes.
#[derive(Clone, Copy, Debug)]
pub struct EventEnvelope<'a> {
    /// Such as `celeryev`.
    pub exchange: &'a str,
    /// Such as `task.multi`.
    pub routing_key: &'a str,
    /// How the body is serialised: `application/json`.
    pub content_type: &'a str,
    /// `utf-8` or `binary`.
    pub content_encoding: &'a str,
    /// One JSON object.
    pub headers_json: &'a [u8],
    /// The serialised event, or list of events.
    pub body: &'a [u8],
    /// kombu's consumers need one.
    pub delivery_tag: &'a str,
}

/// Appends the envelope to `out`: transient (`delivery_mode` 1).
pub fn write_event_envelope(parts: &EventEnvelope<'_>, out: &mut Vec<u8>) {
    out.reserve(360 + parts.headers_json.len() + parts.body.len().div_ceil(3) * 4);
    out.extend_from_slice(br#"{"body": ""#);
    write_base64(parts.body, out);
    out.extend_from_slice(br#"", "content-encoding": "#);
    write_text(parts.content_encoding, out);
    out.extend_from_slice(br#", "content-type": "#);
    write_text(parts.content_type, out);
    out.extend_from_slice(br#", "headers": "#);
    out.extend_from_slice(parts.headers_json);
    out.extend_from_slice(br#", "properties": {"delivery_mode": 1, "delivery_info": {"exchange": "#);
    write_text(parts.exchange, out);
    out.extend_from_slice(br#", "routing_key": "#);
    write_text(parts.routing_key, out);
    out.extend_from_slice(br#"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "#);
    write_text(parts.delivery_tag, out);
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_celerys() {
        let mut out = Vec::new();
        let head = EventHead::new("celery@h\u{e9}", -1.0, 7);
        let mut event = EventWriter::begin(&mut out, &head, 42, 1_700_000_000_000_120, "task-received");
        event.text("uuid", "a\"b").json("args", b"\"()\"").text_or_null("eta", None).int("retries", 2);
        event.flag("terminated", true).float("runtime", 0.25).end();
        let text = String::from_utf8(out).expect("text");
        assert_eq!(
            text,
            "{\"hostname\": \"celery@h\\u00e9\", \"utcoffset\": -1.0, \"pid\": 7, \"clock\": 42, \
             \"timestamp\": 1700000000.000120, \"type\": \"task-received\", \"uuid\": \"a\\\"b\", \"args\": \"()\", \
             \"eta\": null, \"retries\": 2, \"terminated\": true, \"runtime\": 0.25}"
        );
    }

    #[test]
    fn an_envelope_of_an_event_is_kombus() {
        let parts = EventEnvelope {
            exchange: "celeryev",
            routing_key: "task.multi",
            content_type: "application/json",
            content_encoding: "utf-8",
            headers_json: br#"{"hostname": "w"}"#,
            body: b"[]",
            delivery_tag: "t",
        };
        let mut out = Vec::new();
        write_event_envelope(&parts, &mut out);
        let parsed = crate::envelope::parse(&out).expect("an envelope");
        assert_eq!((&*parsed.body, parsed.headers_json), (&b"[]"[..], &br#"{"hostname": "w"}"#[..]));
        assert!(String::from_utf8_lossy(parsed.properties_json).starts_with("{\"delivery_mode\": 1,"));
    }
}
