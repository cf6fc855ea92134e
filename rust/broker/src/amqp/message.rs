//! A task message, as our envelope and as AMQP has it. The body is the same bytes in both; headers and properties change
//! their form.
//!
//! The priority is AMQP's in both: the highest is the most urgent. `expiration` is left out of copies that a worker makes:
//! one that is parked or held would leave before its time. Publishing leaves it out too unless an option says otherwise
//! (`options.rs`): the server throws an expired message away without a trace, where a worker that reads the header `expires`
//! tells.

use fastworker_wire::envelope::{self, EnvelopeParts};
use fastworker_wire::json::Scanner;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::table;

/// Of a body that is no envelope of ours, and is carried as it is.
const RAW: &str = "application/x-fastworker-raw";
/// How often a message was started, as far as that was written down. A header of ours.
const ATTEMPTS: &str = "x-fastworker-attempts";
/// Names a copy in a worker's own queue (`held.rs`). A header of ours.
pub(super) const HELD: &str = "x-fastworker-held";
/// How often a quorum queue has given a message back.
const DELIVERY_COUNT: &str = "x-delivery-count";
const PERSISTENT: u8 = 2;
const TRANSIENT: u8 = 1;

/// A message on its way to the server.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
    /// It has to reach a queue.
    pub(super) is_mandatory: bool,
}

impl Outgoing {
    /// From an envelope. What is none is carried as it is.
    pub(super) fn of(message: &[u8]) -> Outgoing {
        envelope_to_amqp(message).map_or_else(|| Outgoing::raw(message), |(outgoing, _)| outgoing)
    }

    /// The same of one that somebody publishes. `keeps_expiration`: the server may throw it away once it has expired.
    pub(super) fn published(message: &[u8], keeps_expiration: bool) -> Outgoing {
        match envelope_to_amqp(message) {
            Some((mut outgoing, Some(expiration))) if keeps_expiration => {
                outgoing.properties = outgoing.properties.with_expiration(expiration);
                outgoing
            }
            Some((outgoing, _)) => outgoing,
            None => Outgoing::raw(message),
        }
    }

    fn raw(message: &[u8]) -> Outgoing {
        let properties = BasicProperties::default().with_content_type(RAW.into()).with_delivery_mode(PERSISTENT);
        Outgoing { properties, body: message.to_vec(), is_mandatory: true }
    }

    /// With one header more.
    pub(super) fn with_header(mut self, name: &str, value: AMQPValue) -> Outgoing {
        let mut headers = self.properties.headers().clone().unwrap_or_default();
        headers.insert(name.into(), value);
        self.properties = self.properties.with_headers(headers);
        self
    }

    /// Marked as handed out before, where kombu's Redis transport marks it too.
    pub(super) fn redelivered(self) -> Outgoing {
        self.with_header("redelivered", AMQPValue::Boolean(true))
    }

    /// With so many attempts written down.
    pub(super) fn with_attempts(self, attempts: u32) -> Outgoing {
        if attempts == 0 { self } else { self.with_header(ATTEMPTS, AMQPValue::LongLongInt(attempts.into())) }
    }
}

/// The message, and its `expiration`.
fn envelope_to_amqp(message: &[u8]) -> Option<(Outgoing, Option<ShortString>)> {
    let parsed = envelope::parse(message).ok()?;
    let mut headers = table::from_json(parsed.headers_json).ok()?;
    if headers.inner().keys().any(|name| is_of_dead_lettering(name.as_str())) {
        let kept = headers.inner().iter().filter(|(name, _)| !is_of_dead_lettering(name.as_str()));
        headers = FieldTable::from(
            kept.map(|(name, value)| (name.clone(), value.clone())).collect::<std::collections::BTreeMap<_, _>>(),
        );
    }
    let found = Properties::read(parsed.properties_json);
    let mut properties = BasicProperties::default()
        .with_content_type(short(&parsed.content_type))
        .with_content_encoding(short(&parsed.content_encoding))
        .with_headers(headers)
        .with_delivery_mode(found.delivery_mode)
        .with_priority(found.priority);
    if let Some(id) = parsed.correlation_id.as_deref().filter(|id| !id.is_empty()) {
        properties = properties.with_correlation_id(short(id));
    }
    if let Some(reply_to) = parsed.reply_to.as_deref().filter(|reply_to| !reply_to.is_empty()) {
        properties = properties.with_reply_to(short(reply_to));
    }
    for (more, text) in found.more {
        properties = (more.with)(properties, short(&text));
    }
    Some((Outgoing { properties, body: parsed.body.into_owned(), is_mandatory: true }, found.expiration))
}

/// A property that we have no use for, and tasks may have.
struct More {
    name: &'static str,
    of: fn(&BasicProperties) -> &Option<ShortString>,
    with: fn(BasicProperties, ShortString) -> BasicProperties,
}

/// Not `user_id`: the server refuses a message with another's name, and a worker publishes copies of everybody's.
const MORE: [More; 3] = [
    More { name: "app_id", of: BasicProperties::app_id, with: BasicProperties::with_app_id },
    More { name: "message_id", of: BasicProperties::message_id, with: BasicProperties::with_message_id },
    More { name: "type", of: BasicProperties::kind, with: BasicProperties::with_type },
];

/// What the envelope says beyond what `envelope::parse` reads.
struct Properties {
    priority: u8,
    delivery_mode: u8,
    /// Milliseconds.
    expiration: Option<ShortString>,
    more: Vec<(&'static More, String)>,
}

impl Properties {
    fn read(json: &[u8]) -> Properties {
        let mut found = Properties { priority: 0, delivery_mode: PERSISTENT, expiration: None, more: Vec::new() };
        let mut scanner = Scanner::new(json);
        // It was walked once already, so that it is JSON.
        let _walked = scanner.object(|key, scanner| {
            let key = key.text();
            let raw = scanner.value()?;
            let number = || std::str::from_utf8(raw).ok().and_then(|digits| digits.parse::<u8>().ok());
            match &*key {
                "priority" => found.priority = number().unwrap_or(0),
                "expiration" => {
                    let text = String::from_utf8_lossy(raw);
                    let digits = text.trim_matches('"');
                    found.expiration = digits.parse::<u64>().ok().map(|_ms| short(digits));
                }
                "delivery_mode" => {
                    found.delivery_mode = number().filter(|mode| *mode == TRANSIENT).unwrap_or(PERSISTENT)
                }
                name => {
                    if let Some(more) = MORE.iter().find(|more| more.name == name)
                        && let Ok(text) = Scanner::new(raw).text()
                    {
                        found.more.push((more, text.text().into_owned()));
                    }
                }
            }
            Ok(())
        });
        found
    }
}

/// A message as it came, read.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The envelope.
    pub(super) message: Vec<u8>,
    /// AMQP's: the highest is the most urgent.
    pub(super) priority: u8,
    /// How often it was started, as far as that was written down.
    pub(super) attempts: u32,
    /// How often a quorum queue has given it back.
    pub(super) returns: u32,
}

impl Incoming {
    /// `tag` becomes the envelope's `delivery_tag`, which kombu's readers need.
    pub(super) fn of(
        properties: &BasicProperties,
        exchange: &str,
        routing_key: &str,
        body: Vec<u8>,
        tag: u64,
    ) -> Incoming {
        let empty = FieldTable::default();
        let headers = properties.headers().as_ref().unwrap_or(&empty);
        let count = |name: &str| {
            let value = headers.inner().get(name).and_then(table::integer);
            value.and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
        };
        let (attempts, returns) = (count(ATTEMPTS), count(DELIVERY_COUNT));
        let priority = properties.priority().unwrap_or(0);
        let content_type = text(properties.content_type());
        if content_type == Some(RAW) {
            return Incoming { message: body, priority, attempts, returns };
        }
        let mut headers_json = Vec::with_capacity(1024);
        table::write_json(headers, |name| matches!(name, ATTEMPTS | DELIVERY_COUNT | HELD), &mut headers_json);
        let more: Vec<(&str, &str)> =
            MORE.iter().filter_map(|more| text((more.of)(properties)).map(|text| (more.name, text))).collect();
        let mut message = Vec::new();
        let parts = EnvelopeParts {
            body: &body,
            content_type: content_type.unwrap_or("application/data"),
            content_encoding: text(properties.content_encoding()).unwrap_or("utf-8"),
            headers_json: &headers_json,
            correlation_id: text(properties.correlation_id()).unwrap_or_default(),
            reply_to: text(properties.reply_to()),
            expiration_ms: text(properties.expiration()).and_then(|ms| ms.parse().ok()),
            exchange,
            routing_key,
            priority,
            delivery_tag: &tag.to_string(),
            is_transient: *properties.delivery_mode() == Some(TRANSIENT),
            more: &more,
        };
        envelope::write(&parts, &mut message);
        Incoming { message, priority, attempts, returns }
    }
}

/// Written by the server when it dead-letters. A message that is published anew must not bear them: the server would take
/// it for one that goes round in circles.
fn is_of_dead_lettering(name: &str) -> bool {
    matches!(name, "x-death" | DELIVERY_COUNT)
        || name.starts_with("x-first-death-")
        || name.starts_with("x-last-death-")
}

fn text(property: &Option<ShortString>) -> Option<&str> {
    property.as_ref().map(ShortString::as_str)
}

/// AMQP's short strings end at 255 bytes.
pub(super) fn short(text: &str) -> ShortString {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"body": "W10=", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"id": "7", "task": "t", "x-death": [], "x-last-death-queue": "q"}, "properties": {"correlation_id": "7", "reply_to": "r", "delivery_mode": 1, "expiration": "5", "delivery_info": {"exchange": "", "routing_key": "q"}, "priority": 12, "body_encoding": "base64", "delivery_tag": "x"}}"#;

    fn back(outgoing: &Outgoing) -> Incoming {
        Incoming::of(&outgoing.properties, "", "q", outgoing.body.clone(), 1)
    }

    #[test]
    fn an_envelope_comes_back_with_its_meaning() {
        let outgoing = Outgoing::of(MESSAGE.as_bytes());
        assert_eq!((outgoing.body.as_slice(), outgoing.properties.delivery_mode()), (&b"[]"[..], &Some(1)));
        assert_eq!((outgoing.properties.priority(), outgoing.properties.expiration()), (&Some(12), &None));
        assert_eq!(outgoing.properties.message_id(), &None);
        let incoming = back(&outgoing);
        let parsed = envelope::parse(&incoming.message).expect("an envelope");
        assert_eq!((parsed.id.as_deref(), parsed.reply_to.as_deref()), (Some("7"), Some("r")));
        assert_eq!((&*parsed.body, parsed.headers_json), (&b"[]"[..], &br#"{"id": "7", "task": "t"}"#[..]));
        assert_eq!((incoming.priority, incoming.attempts, parsed.is_redelivered), (12, 0, false));
        assert_eq!(Outgoing::of(&incoming.message).properties.delivery_mode(), &Some(TRANSIENT));
    }

    #[test]
    fn properties_that_only_a_task_may_want_come_and_go() {
        let said = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_app_id("shop \"7\"".into())
            .with_message_id("m".into())
            .with_type("t".into())
            .with_user_id("guest".into());
        let incoming = Incoming::of(&said, "", "q", b"[]".to_vec(), 1);
        let again = Outgoing::of(&incoming.message).properties;
        assert_eq!((again.app_id(), again.message_id(), again.kind()), (said.app_id(), said.message_id(), said.kind()));
        assert_eq!(again.user_id(), &None, "the server would refuse it from anybody else");
    }

    #[test]
    fn an_expiration_is_kept_by_who_says_so_and_by_no_copy() {
        let of = |keeps| Outgoing::published(MESSAGE.as_bytes(), keeps).properties.expiration().clone();
        assert_eq!((of(true), of(false)), (Some("5".into()), None));
        let came = back(&Outgoing::published(MESSAGE.as_bytes(), true));
        let copy = Outgoing::of(&came.message);
        assert_eq!((copy.properties.expiration(), copy.properties.delivery_mode()), (&None, &Some(1)));
    }

    #[test]
    fn attempts_travel_beside_the_users_headers() {
        let incoming = back(&Outgoing::of(MESSAGE.as_bytes()).with_attempts(3).redelivered());
        let parsed = envelope::parse(&incoming.message).expect("an envelope");
        assert_eq!((incoming.attempts, parsed.is_redelivered), (3, true));
        assert!(!String::from_utf8_lossy(parsed.headers_json).contains("fastworker"));
    }

    #[test]
    fn what_is_no_envelope_is_carried_as_it_is() {
        for raw in [&b"not JSON"[..], b"{\"headers\": []}", b"\xff"] {
            assert_eq!(back(&Outgoing::of(raw)).message, raw);
        }
    }
}
