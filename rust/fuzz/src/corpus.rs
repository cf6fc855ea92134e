//! What the fuzzers start from: messages that real Celery wrote, and one of each thing of our own.

use std::path::Path;

use fastworker_wire::child::{
    EventFrame, FromChild, InterruptKind, NO_MEMBER, OutcomeFrame, OutcomeKind, PartFrame, Successor, TaskFrame,
    ToChild,
};

use crate::Target;

/// The bytes of a column of a table: a row a line, cells between tabs, bytes in hexadecimal.
fn column(path: &str, column: usize) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let cells = text.split_terminator('\n').filter_map(|line| line.split('\t').nth(column));
    cells.map(unhex).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("tables hold hexadecimal digits") as u8;
    digits.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Every message that real Celery wrote: of both protocols, all serializers and compressions, and canvases.
pub fn golden() -> Vec<Vec<u8>> {
    let mut messages = column("../wire/tests/golden/envelopes.tsv", 1);
    messages.extend(column("corpus/celery.tsv", 1));
    messages
}

/// Where a target starts.
pub fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let texts = |list: &[&str]| list.iter().map(|text| text.as_bytes().to_vec()).collect();
    match target.name {
        "envelope" => golden(),
        "body_v1" => column("corpus/celery.tsv", 2),
        "json" => {
            let mut all = column("../wire/tests/golden/scanner.tsv", 0);
            all.extend(golden());
            all
        }
        "result_doc" => column("../wire/tests/golden/results.tsv", 1),
        "time" => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/golden/times.tsv");
            let text = std::fs::read_to_string(path).expect("the table of times is there");
            text.lines().filter_map(|line| line.split('\t').next()).map(|cell| cell.as_bytes().to_vec()).collect()
        }
        "to_child" => {
            let headers = br#"{"id": "a", "lang": "py"}"#;
            let task = TaskFrame {
                number: 7,
                flush_first: true,
                is_early_acked: false,
                is_redelivered: true,
                attempt: 2,
                ignore_result: Some(true),
                is_watched: true,
                queue: "celery",
                task: "proj.add",
                id: "id",
                root_id: "root",
                parent_id: "",
                group: "g",
                content_type: "application/json",
                content_encoding: "utf-8",
                compression: "",
                headers,
                properties: b"{}",
                body: b"[[2, 2], {}, {}]",
            };
            let interrupt = ToChild::Interrupt { number: 7, kind: InterruptKind::HardLimit };
            [ToChild::Stop, ToChild::Task(task), interrupt, ToChild::Locate { number: 7 }]
                .iter()
                .map(|frame| written(|out| frame.write(out)))
                .collect()
        }
        "from_child" => {
            let message = Successor { queue: "q", priority: 9, message: b"{\"a\": 1}" };
            let outcome = OutcomeFrame {
                member: NO_MEMBER,
                number: 7,
                kind: OutcomeKind::Retry,
                started_us: 1 << 41,
                runtime_us: 1 << 40,
                cpu_us: Some(1 << 39),
                status: "RETRY",
                doc: Some(b"{}"),
                reason: "because",
                shown: "ValueError(1)",
                traceback: "Traceback",
                successors: vec![message.clone(), message.clone()],
                parts: vec![PartFrame {
                    task_id: "t",
                    group: "g",
                    index: Some(3),
                    bears: None,
                    doc: b"[1]",
                    record: b"{}",
                }],
            };
            let frames = [
                FromChild::Ready { version: 1, pid: 42 },
                FromChild::Poke,
                FromChild::Awake,
                FromChild::Outcome(outcome),
                FromChild::BatchEnd { number: 1, runtime_us: 1 },
                FromChild::Store { number: 1, member: 0, status: "STARTED", doc: b"{}" },
                FromChild::Publish { number: 1, message },
                FromChild::Event(EventFrame {
                    routing_key: "task.custom",
                    content_type: "application/json",
                    content_encoding: "utf-8",
                    headers: b"{}",
                    body: b"{}",
                }),
            ];
            frames.iter().map(|frame| written(|out| frame.write(out))).collect()
        }
        "ring" => {
            let record =
                |head: u64, len: u32, bytes: &[u8]| [&head.to_le_bytes(), &len.to_le_bytes()[..], bytes].concat();
            vec![
                record(16, 8, b"12345678"),
                record(24, 3, b"abc\0\0\0\0\0"),
                record(8, 0, b""),
                record(256, 252, &[7; 252]),
            ]
        }
        "url" => texts(&[
            "redis://127.0.0.1:6379/0\nvisibility_timeout=3600&global_keyprefix=a",
            "rediss://user:secret-word@host:6380/5?ssl_cert_reqs=CERT_REQUIRED",
            "redis://:secret-word@[::1]:6379/x",
            "redis+socket:///var/run/redis.sock?virtual_host=3",
            "sentinel://a:26379;sentinel://b:26379/1\nmaster_name=m",
            "sqlite:////var/lib/queue.db\nsynchronous=full",
            "sqlite:///relative.db?timeout=5",
            "",
        ]),
        other => unreachable!("target {other} has no corpus"),
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}
