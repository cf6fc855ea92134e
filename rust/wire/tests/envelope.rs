//! Envelopes against what real Celery 5.7 wrote and kombu read (`golden/capture.py`).
#![allow(missing_docs)]

mod support;

use std::collections::HashMap;

use fastworker_wire::Error;
use fastworker_wire::envelope::{EnvelopeParts, mark_redelivered, parse, parse_v1, task_and_id, without_eta, write};
use support::{show, table, unhex};

fn golden(name: &str) -> Vec<u8> {
    let row = table("envelopes.tsv").into_iter().find(|row| row[0] == name);
    unhex(&row.unwrap_or_else(|| panic!("no golden envelope {name}"))[1])
}

fn python(text: Option<&str>) -> String {
    text.unwrap_or("None").to_owned()
}

fn python_seconds(seconds: Option<f64>) -> String {
    seconds.map_or("None".to_owned(), |seconds| seconds.to_string())
}

#[test]
fn every_field_is_read_as_kombu_reads_it() {
    for row in table("envelopes.tsv") {
        let message = unhex(&row[1]);
        let envelope = parse(&message).unwrap();
        let ignore_result = match envelope.ignore_result {
            Some(true) => "True",
            Some(false) => "False",
            None => "None",
        };
        let (hard, soft) = envelope.timelimit;
        let read = HashMap::from([
            ("task", python(envelope.task.as_deref())),
            ("id", python(envelope.id.as_deref())),
            ("root_id", python(envelope.root_id.as_deref())),
            ("parent_id", python(envelope.parent_id.as_deref())),
            ("group", python(envelope.group.as_deref())),
            ("eta", python(envelope.eta.as_deref())),
            ("expires", python(envelope.expires.as_deref())),
            ("shadow", python(envelope.shadow.as_deref())),
            ("compression", python(envelope.compression.as_deref())),
            ("correlation_id", python(envelope.correlation_id.as_deref())),
            ("reply_to", python(envelope.reply_to.as_deref())),
            ("delivery_tag", python(envelope.delivery_tag.as_deref())),
            ("priority", envelope.priority.to_string()),
            ("retries", envelope.retries.to_string()),
            ("timelimit", format!("[{}, {}]", python_seconds(hard), python_seconds(soft))),
            ("ignore_result", ignore_result.to_owned()),
            ("content_type", envelope.content_type.to_string()),
            ("content_encoding", envelope.content_encoding.to_string()),
            ("body", envelope.body.iter().map(|byte| format!("{byte:02x}")).collect()),
        ]);
        for cell in &row[2..] {
            let (field, value) = cell.split_once('=').unwrap();
            assert_eq!(read[field], value, "{field} of {}", row[0]);
        }
        assert_eq!(envelope.is_redelivered, row[0] == "redelivered", "{}", row[0]);
    }
}

#[test]
fn marks_of_a_bench_are_numbers_quoted_or_not() {
    let marks = |headers: &str| {
        let message = format!("{{\"headers\": {{{headers}}}}}");
        let envelope = parse(message.as_bytes()).unwrap();
        (envelope.intended_us, envelope.number)
    };
    let both = r#""fw-intended":1764192000000001, "argsrepr": "(\"fw-number\": 7)", "fw-number": "0000000042""#;
    assert_eq!(marks(both), (Some(1_764_192_000_000_001), Some(42)));
    for other in ["", r#""fw-intended": null, "fw-number": "x""#, r#""fw-intended": 99999999999999999999"#] {
        assert_eq!(marks(other), (None, None), "{other}");
    }
}

#[test]
fn an_envelope_written_again_has_celerys_bytes() {
    for row in table("envelopes.tsv") {
        if ["redelivered", "body_as_is"].contains(&row[0].as_str()) {
            continue;
        }
        let message = unhex(&row[1]);
        let envelope = parse(&message).unwrap();
        let parts = EnvelopeParts {
            body: &envelope.body,
            content_type: &envelope.content_type,
            content_encoding: &envelope.content_encoding,
            headers_json: envelope.headers_json,
            correlation_id: envelope.correlation_id.as_deref().unwrap(),
            reply_to: envelope.reply_to.as_deref(),
            expiration_ms: show(&message).contains("expiration").then_some(3_600_000),
            exchange: "",
            routing_key: "celery",
            priority: envelope.priority,
            delivery_tag: envelope.delivery_tag.as_deref().unwrap(),
            is_transient: false,
            more: &[],
        };
        let mut written = Vec::new();
        write(&parts, &mut written);
        assert_eq!(show(&written), show(&message), "{}", row[0]);
    }
}

#[test]
fn redelivery_is_marked_as_kombu_marks_it_and_only_once() {
    for row in table("redelivered.tsv") {
        let marked = mark_redelivered(&unhex(&row[1])).unwrap();
        assert_eq!(show(&marked), show(&unhex(&row[2])), "{}", row[0]);
        assert_eq!(mark_redelivered(&marked).unwrap(), marked);
        assert!(parse(&marked).unwrap().is_redelivered);
    }
}

#[test]
fn redelivery_mark_creates_what_is_missing() {
    for (message, marked) in [
        ("{}", r#"{"headers": {"redelivered": true}, "properties": {"delivery_info": {"redelivered": true}}}"#),
        (
            r#" {"headers":null,"properties":{}} "#,
            r#" {"headers":{"redelivered": true},"properties":{"delivery_info": {"redelivered": true}}} "#,
        ),
        (
            r#"{"properties":{"delivery_info":{"redelivered":false,"a":[]}},"x":1}"#,
            concat!(
                r#"{"properties":{"delivery_info":{"redelivered":true,"a":[]}},"x":1"#,
                r#", "headers": {"redelivered": true}}"#
            ),
        ),
    ] {
        assert_eq!(show(&mark_redelivered(message.as_bytes()).unwrap()), marked);
    }
    assert!(matches!(mark_redelivered(b"[]"), Err(Error::Json { offset: 0, .. })));
    assert!(matches!(mark_redelivered(br#"{"headers": 1}"#), Err(Error::Field { offset: 12, .. })));
}

#[test]
fn a_message_is_made_due_and_nothing_else_is_changed() {
    let timed = golden("eta_expires");
    let envelope = parse(&timed).unwrap();
    let eta = format!("\"eta\": \"{}\"", envelope.eta.as_deref().unwrap());
    assert_eq!(show(&without_eta(&timed).unwrap()), show(&timed).replace(&eta, "\"eta\": null"));
    let plain = golden("plain");
    assert_eq!(without_eta(&plain).unwrap(), plain);
}

#[test]
fn a_message_of_the_old_protocol_is_made_due_in_its_body() {
    let body = r#"{"task": "t", "id": "1", "eta": "2030-01-01T00:00:00", "args": ["\u00e9", 1e400], "kwargs": {}}"#;
    let due = body.replace("\"2030-01-01T00:00:00\"", "null");
    let as_text = body.replace('\\', "\\\\").replace('"', "\\\"");
    let plain = format!(r#"{{"body": "{as_text}", "properties": {{"x": 1}}, "y": [2]}}"#).into_bytes();
    for message in [without_eta(&plain).unwrap(), golden("protocol_1"), plain] {
        let made = without_eta(&message).unwrap();
        let envelope = parse(&made).unwrap();
        let read = parse_v1(&envelope.body).unwrap();
        assert_eq!((read.eta, read.task.is_empty()), (None, false));
        assert_eq!(without_eta(&made).unwrap(), made);
        if read.id.as_deref() == Some("1") {
            assert_eq!(show(&envelope.body), due);
            assert!(show(&made).ends_with(r#""y": [2]}"#) && show(&made).contains(r#""x": 1"#), "{}", show(&made));
        }
    }
    assert!(without_eta(br#"{"body": "W10=", "properties": {"body_encoding": "base64"}}"#).is_err());
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let message = br#"{"headers": {"id": "a", "id": "b", "eta": "x"}, "properties": {"priority": 3},
        "headers": {"task": "t", "redelivered": true, "redelivered": false}, "properties": {}}"#;
    let envelope = parse(message).unwrap();
    assert_eq!((envelope.id, envelope.eta, envelope.priority), (None, None, 0));
    assert_eq!(envelope.task.as_deref(), Some("t"));
    assert!(!envelope.is_redelivered);
    assert_eq!(envelope.properties_json, b"{}");
}

#[test]
fn escaped_keys_and_surrogates_are_understood() {
    let message = br#"{"headers": {"\u0069d": "\ud83d\ude00", "task": "\udc80", "shadow": "a\/b\n"}}"#;
    let envelope = parse(message).unwrap();
    assert_eq!(envelope.id.as_deref(), Some("\u{1F600}"));
    assert_eq!(envelope.task.as_deref(), Some("\u{FFFD}"));
    assert_eq!(envelope.shadow.as_deref(), Some("a/b\n"));
}

#[test]
fn loose_values_mean_what_they_mean_to_celery() {
    let message = br#"{"body": "QQ==\r\n", "content-type": null, "headers": {"task": "t", "id": 5, "eta": "",
        "retries": null, "timelimit": [0, 1e1], "ignore_result": null, "x": NaN, "y": [-Infinity]},
        "properties": {"priority": "12", "body_encoding": "base64", "delivery_info": {"redelivered": true}}}"#;
    let envelope = parse(message).unwrap();
    assert_eq!(&*envelope.body, b"A");
    assert_eq!(envelope.content_type, "application/data");
    assert_eq!(envelope.id.as_deref(), Some("5"));
    assert_eq!((envelope.eta, envelope.retries, envelope.priority), (None, 0, 9));
    assert_eq!(envelope.timelimit, (None, Some(10.0)));
    assert!(envelope.is_redelivered);
}

#[test]
fn what_celery_never_writes_is_refused_by_name_and_place() {
    let field = |message: &str| match parse(message.as_bytes()) {
        Err(Error::Field { field, offset, .. }) => (field, offset),
        other => panic!("{other:?}"),
    };
    assert_eq!(field(r#"{"headers": {"task": []}}"#), ("headers.task", 21));
    assert_eq!(field(r#"{"headers": {"retries": -1}}"#), ("headers.retries", 24));
    assert_eq!(field(r#"{"headers": {"timelimit": [1]}}"#), ("headers.timelimit", 26));
    assert_eq!(field(r#"{"headers": {"timelimit": [NaN, 1]}}"#), ("headers.timelimit", 27));
    assert_eq!(field(r#"{"headers": {"ignore_result": "x"}}"#), ("headers.ignore_result", 30));
    assert_eq!(field(r#"{"body": {}}"#), ("body", 9));
    let not_base64 = br#"{"body": "QQ", "properties": {"body_encoding": "base64"}}"#;
    assert_eq!(parse(not_base64), Err(Error::Base64 { offset: 10 }));
    assert!(matches!(parse(b"{\"headers\": {}"), Err(Error::Json { offset: 14, .. })));
    assert!(matches!(parse(b"{} x"), Err(Error::Json { offset: 3, .. })));
    let deep = format!("{{\"x\": {}", "[".repeat(100_000));
    assert!(matches!(parse(deep.as_bytes()), Err(Error::TooDeep { offset: 518, limit: 512 })));
}

#[test]
fn protocol_1_is_read_from_the_body() {
    let message = golden("protocol_1");
    let envelope = parse(&message).unwrap();
    assert_eq!(envelope.task, None);
    let task = parse_v1(&envelope.body).unwrap();
    assert_eq!((task.task.as_ref(), task.id.as_deref()), ("proj.add", Some("v1")));
    assert!(task.is_utc && task.eta.is_some() && task.expires.is_none());
    assert_eq!((task.retries, task.timelimit, task.group), (0, (None, None), None));

    let body = br#"{"task": "t", "group": "g", "taskset": "s", "utc": false, "timelimit": [3, null], "retries": 2}"#;
    let task = parse_v1(body).unwrap();
    assert_eq!((task.group.as_deref(), task.is_utc, task.retries), (Some("s"), false, 2));
    assert_eq!(task.timelimit, (Some(3.0), None));
    assert_eq!(
        String::from_utf8(task.headers_with(b"{}")).unwrap(),
        r#"{"task": "t", "group": "s", "retries": 2, "timelimit": [3.0, null]}"#
    );
    let member = parse_v1(br#"{"task": "t", "id": "i", "group": "g", "group_index": 0}"#).unwrap();
    assert_eq!(
        String::from_utf8(member.headers_with(br#" { "retries": 1, "x": [] } "#)).unwrap(),
        r#"{"task": "t", "id": "i", "group": "g", "group_index": 0, "retries": 0, "timelimit": [null, null], "retries": 1, "x": [] }"#
    );
    assert!(matches!(parse_v1(b"[[], {}, {}]"), Err(Error::Json { offset: 0, .. })));
    assert!(matches!(parse_v1(b"{}"), Err(Error::Field { field: "body.task", .. })));
}

#[test]
fn a_broken_message_still_tells_its_task_and_id() {
    let found = |message: &[u8]| {
        let (task, id) = task_and_id(message);
        (task.unwrap_or_default(), id.unwrap_or_default())
    };
    let message = golden("reply_to");
    let expected = ("proj.add".to_owned(), "t-1".to_owned());
    assert_eq!(found(&message), expected);
    assert_eq!(found(&message[..message.len() / 2]), expected);
    assert_eq!(found(&golden("protocol_1")), ("proj.add".to_owned(), "v1".to_owned()));
    assert_eq!(found(b"not a message"), Default::default());
    assert_eq!(found(br#"{"task": 1, "task" "x", "id": "#), Default::default());
    assert_eq!(found(b"\x00\xff\"task\":"), Default::default());
}
