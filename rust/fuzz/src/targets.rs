//! The targets. A new parser is one more entry of [`TARGETS`].

use std::os::unix::fs::FileExt;

use fastworker_broker::{RedisOptions, RedisResults, SqliteOptions};
use fastworker_link::Page;
use fastworker_wire::child::{FromChild, ToChild};
use fastworker_wire::envelope::{mark_redelivered, parse, parse_v1, task_and_id, without_eta};
use fastworker_wire::json::Scanner;
use fastworker_wire::time::{iso_utc, parse_iso_ms};
use fastworker_wire::{Error, result_doc};

/// One parser and what must hold of it.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
}

/// All there are.
pub const TARGETS: &[Target] = &[
    Target { name: "envelope", run: envelope },
    Target { name: "body_v1", run: body_v1 },
    Target { name: "json", run: json },
    Target { name: "result_doc", run: result },
    Target { name: "time", run: time },
    Target { name: "to_child", run: to_child },
    Target { name: "from_child", run: from_child },
    Target { name: "ring", run: ring },
    Target { name: "url", run: url },
];

/// Any bytes are an envelope or a named error; one that is read can be marked as redelivered, and then reads the same
/// but for that, and can be made due, whatever its eta; what cannot be read still gives its task and id, or nothing.
fn envelope(bytes: &[u8]) {
    let (task, id) = task_and_id(bytes);
    let Ok(read) = parse(bytes) else { return };
    assert!(task.is_none() || read.task.is_none() || task.as_deref() == read.task.as_deref(), "{task:?}: {read:?}");
    assert!(id.is_none() || read.id.is_none() || id.as_deref() == read.id.as_deref(), "{id:?}: {read:?}");
    let marked = mark_redelivered(bytes).expect("what was read can be marked");
    let again = parse(&marked).expect("what was marked can be read");
    assert!(again.is_redelivered);
    assert_eq!((&again.task, &again.id, &again.eta), (&read.task, &read.id, &read.eta));
    assert_eq!(again.body, read.body);
    let twice = mark_redelivered(&marked).expect("what was marked can be marked");
    assert!(parse(&twice).is_ok_and(|twice| twice.is_redelivered));
    if read.task.is_some() {
        let due = without_eta(bytes).expect("what was read can be made due");
        let again = parse(&due).expect("what was made due can be read");
        assert_eq!((&again.eta, &again.task, &again.id, &again.body), (&None, &read.task, &read.id, &read.body));
    }
}

/// A protocol-1 body that is read has a task, and is JSON throughout.
fn body_v1(bytes: &[u8]) {
    if parse_v1(bytes).is_ok() {
        let mut scanner = Scanner::new(bytes);
        assert!(scanner.value().is_ok() && scanner.end().is_ok(), "a body that is not JSON was read");
    }
}

/// What a strict reader of JSON takes, ours takes, unless it is nested too deep.
fn json(bytes: &[u8]) {
    let mut scanner = Scanner::new(bytes);
    let read = scanner.value().and_then(|value| scanner.end().map(|()| value));
    match (serde_json::from_slice::<serde::de::IgnoredAny>(bytes), &read) {
        (Ok(_), Err(error)) => assert!(matches!(error, Error::TooDeep { .. }), "strict JSON was refused: {error}"),
        (_, Ok(value)) => {
            // The value is a part of the text, and reads as itself.
            let mut again = Scanner::new(value);
            assert_eq!(again.value().as_deref(), Ok(*value));
        }
        (Err(_), Err(_)) => {}
    }
    let mut text = Scanner::new(bytes);
    if let Ok(raw) = text.text() {
        assert_eq!(raw.text().is_empty(), raw.bytes().is_empty());
    }
}

/// A result document that we write around any JSON is JSON again.
fn result(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let context =
        result_doc::ResultContext { task_id: &text, date_done: "2026-01-01T00:00:00+00:00", ..Default::default() };
    let arguments = [result_doc::ExceptionArg::Text(&text)];
    let exception = result_doc::Exception { exc_type: &text, exc_message: &arguments, exc_module: "m" };
    let mut doc = Vec::new();
    result_doc::failure(&exception, Some(&text), &context, &mut doc);
    let read: serde_json::Value = serde_json::from_slice(&doc).expect("a document of ours is strict JSON");
    assert_eq!(read["task_id"], *text);
    assert_eq!(read["traceback"], *text);
    assert_eq!(read["result"]["exc_type"], *text);
}

/// A time that is written is read as the same.
fn time(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for offset_s in [0, 3_600, -43_200] {
        let Some(ms) = parse_iso_ms(&text, offset_s) else { continue };
        let written = iso_utc(ms * 1_000);
        // An offset may lead out of the years 1 to 9999, which are all that ISO-8601 texts of Python's have.
        if written.as_bytes()[4] == b'-' && !written.starts_with("0000") {
            assert_eq!(parse_iso_ms(&written, 0), Some(ms), "{text:?} was written as {written:?}");
        }
    }
}

/// A frame that is read, and is written again, reads the same.
fn to_child(bytes: &[u8]) {
    if let Ok(frame) = ToChild::read(bytes) {
        let mut written = Vec::new();
        frame.write(&mut written);
        assert_eq!(ToChild::read(&written), Ok(frame));
    }
}

/// Likewise.
fn from_child(bytes: &[u8]) {
    if let Ok(frame) = FromChild::read(bytes) {
        let mut written = Vec::new();
        frame.write(&mut written);
        assert_eq!(FromChild::read(&written), Ok(frame));
    }
}

/// Whatever a child writes to its ring and its counter, the worker reads records from inside it, or says that it is
/// nonsense; and the ring is of use afterwards.
fn ring(bytes: &[u8]) {
    const HEAD_AT: u64 = 192;
    const RING_AT: u64 = 4096;
    const RING_BYTES: usize = 256;
    let Some((head, record)) = bytes.split_first_chunk::<8>() else { return };
    let (page, fd) = Page::create(RING_BYTES, 1).expect("a page can be made");
    let file = std::fs::File::from(fd);
    file.write_all_at(&record[..record.len().min(RING_BYTES)], RING_AT).expect("the page can be written");
    // Half of the counters are plausible ones.
    let head = u64::from_le_bytes(*head);
    let head = if head % 2 == 0 { head % (2 * RING_BYTES as u64) } else { head };
    file.write_all_at(&head.to_le_bytes(), HEAD_AT).expect("the page can be written");
    let mut buffer = Vec::new();
    let mut read = 0;
    let drained = page.drain(&mut buffer, |record| read += record.len());
    assert!(read <= RING_BYTES, "{read} bytes were read from a ring of {RING_BYTES}: {drained:?}");
    assert_eq!(page.waiting(), 0);
    assert!(page.push(b"again"), "the ring is of no use any more: {drained:?}");
    assert_eq!(page.drain(&mut buffer, |record| assert_eq!(record, b"again")), Ok(1));
}

/// Any text is a URL or a named error, which does not give away a password.
fn url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (url, options) = text.split_once('\n').unwrap_or((&text, ""));
    let options: Vec<(String, String)> =
        options.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
    let _read = RedisOptions::parse(url, &options);
    let _read = RedisResults::parse(url, &options);
    let _read = SqliteOptions::parse(url, &options);
    if let Some((password, host)) = url.strip_prefix("redis://:").and_then(|rest| rest.split_once('@'))
        && password.len() >= 6
        && !host.contains(password)
        && !password.contains(['/', '?', '#', '%'])
        && let Err(error) = RedisOptions::parse(url, &[])
    {
        assert!(!error.to_string().contains(password), "the password is in {error}");
    }
}
