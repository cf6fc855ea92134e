//! Result documents against those that a real Celery 5.7 worker stored (`golden/capture.py`).
#![allow(missing_docs)]

mod support;

use fastworker_wire::json::Scanner;
use fastworker_wire::result_doc::{Exception, ExceptionArg, ResultContext, failure, revoked, started, success};
use support::{show, table, unhex};

/// The top-level members that change with every recording.
#[derive(Default)]
struct Varying {
    task_id: String,
    date_done: String,
    group_id: Option<String>,
    parent_id: Option<String>,
    pid: u32,
    traceback: Option<String>,
}

fn varying(doc: &[u8]) -> Varying {
    let mut found = Varying::default();
    let text = |raw: &[u8]| Scanner::new(raw).text().ok().map(|text| text.text().into_owned());
    Scanner::new(doc)
        .object(|key, scanner| {
            let raw = scanner.value()?;
            match &*key.text() {
                "task_id" => found.task_id = text(raw).unwrap(),
                "date_done" => found.date_done = text(raw).unwrap_or_default(),
                "group_id" => found.group_id = text(raw),
                "parent_id" => found.parent_id = text(raw),
                "traceback" => found.traceback = text(raw),
                "result" => {
                    let digits = show(raw).split([' ', ',']).nth(1).and_then(|word| word.parse().ok());
                    found.pid = digits.unwrap_or_default();
                }
                _ => {}
            }
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn documents_have_celerys_bytes() {
    for row in table("results.tsv") {
        let (name, golden) = (row[0].as_str(), unhex(&row[1]));
        let varying = varying(&golden);
        let context = ResultContext {
            task_id: &varying.task_id,
            date_done: &varying.date_done,
            children_json: None,
            group_id: varying.group_id.as_deref(),
            parent_id: varying.parent_id.as_deref(),
            extended_json: b"",
        };
        let lost = [ExceptionArg::Text("Worker exited prematurely: exitcode 9 Job: 5.")];
        let raised = |exc_type, exc_message, exc_module| Exception { exc_type, exc_message, exc_module };
        let mut out = Vec::new();
        match name {
            "success" | "member" | "child" => success(b"3", &context, &mut out),
            "chord_body" => success(b"[3]", &context, &mut out),
            "expired" => revoked("expired", &context, &mut out),
            "die" => failure(&raised("WorkerLostError", &lost, "billiard.exceptions"), None, &context, &mut out),
            "hang" => {
                let limit = [ExceptionArg::Number(1.0)];
                failure(&raised("TimeLimitExceeded", &limit, "billiard.exceptions"), None, &context, &mut out);
            }
            "failure" => {
                let args = [ExceptionArg::Text("x é"), ExceptionArg::Number(42.0)];
                let traceback = varying.traceback.as_deref();
                failure(&raised("ValueError", &args, "builtins"), traceback, &context, &mut out);
            }
            _ if name.ends_with("_started") => started(varying.pid, "w1@golden", &context, &mut out),
            _ => panic!("no case for {name}"),
        }
        assert_eq!(show(&out), show(&golden), "{name}");
    }
}

#[test]
fn extended_members_and_children_stand_where_celery_puts_them() {
    let context = ResultContext {
        task_id: "ext-1",
        date_done: "2026-11-22T23:31:27+00:00",
        children_json: Some(br#"[[["c", null], null]]"#),
        extended_json: br#""name": "proj.add", "queue": "celery""#,
        ..ResultContext::default()
    };
    let mut out = Vec::new();
    success(b"2", &context, &mut out);
    let expected = concat!(
        r#"{"status": "SUCCESS", "result": 2, "traceback": null, "children": [[["c", null], null]], "#,
        r#""date_done": "2026-11-22T23:31:27+00:00", "name": "proj.add", "queue": "celery", "task_id": "ext-1"}"#
    );
    assert_eq!(show(&out), expected);
}
