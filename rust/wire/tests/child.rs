//! The frames between a worker and its children come back as they were written.

use fastworker_wire::child::{
    EventFrame, FromChild, InterruptKind, NO_MEMBER, OutcomeFrame, OutcomeKind, PartFrame, Successor, TaskFrame,
    ToChild, VERSION,
};

fn outcome() -> OutcomeFrame<'static> {
    OutcomeFrame {
        number: 7,
        member: 99,
        kind: OutcomeKind::Retry,
        started_us: 1 << 41,
        runtime_us: 1 << 40,
        cpu_us: Some(1 << 39),
        status: "RETRY",
        doc: Some(b"{}"),
        reason: "",
        shown: "1",
        traceback: "",
        successors: vec![Successor { queue: "q\u{e9}", priority: 3, message: b"{}" }],
        parts: vec![PartFrame {
            task_id: "t",
            group: "g",
            index: Some(-1),
            bears: Some(7),
            doc: b"[1]",
            record: b"{}",
        }],
    }
}

#[test]
fn frames_from_a_child_survive_a_round_trip() {
    let message = Successor { queue: "q", priority: 9, message: b"{\"a\": 1}" };
    for frame in [
        FromChild::Ready { version: VERSION, pid: 42 },
        FromChild::Poke,
        FromChild::Awake,
        FromChild::Outcome(outcome()),
        FromChild::Outcome(OutcomeFrame { parts: Vec::new(), cpu_us: None, ..outcome() }),
        FromChild::Outcome(OutcomeFrame {
            parts: vec![PartFrame { task_id: "", group: "g", index: None, bears: None, doc: b"", record: b"" }],
            ..outcome()
        }),
        FromChild::Store { number: 1, member: NO_MEMBER, status: "STARTED", doc: b"{}" },
        FromChild::BatchEnd { number: 2, runtime_us: 1 << 50 },
        FromChild::Publish { number: 1, message },
        FromChild::Event(EventFrame {
            routing_key: "task.custom",
            content_type: "application/json",
            content_encoding: "utf-8",
            headers: b"{}",
            body: b"{}",
        }),
    ] {
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        assert_eq!(FromChild::read(&bytes), Ok(frame));
    }
}

#[test]
fn frames_to_a_child_survive_a_round_trip() {
    let task = TaskFrame {
        number: u32::MAX,
        flush_first: true,
        is_early_acked: false,
        is_redelivered: true,
        is_watched: true,
        attempt: 2,
        ignore_result: Some(true),
        queue: "celery",
        task: "proj.add",
        id: "id",
        root_id: "root",
        parent_id: "",
        group: "g",
        content_type: "application/json",
        content_encoding: "utf-8",
        compression: "",
        headers: b"{}",
        properties: b"{}",
        body: b"[[2, 2], {}, {}]",
    };
    let interrupts = [InterruptKind::SoftLimit, InterruptKind::HardLimit, InterruptKind::Terminate]
        .map(|kind| ToChild::Interrupt { number: u32::MAX, kind });
    let batch = ToChild::Batch { number: 3, count: 100 };
    let others = [ToChild::Stop, ToChild::Locate { number: 7 }, batch, ToChild::Task(task)];
    for frame in others.into_iter().chain(interrupts) {
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        assert_eq!(ToChild::read(&bytes), Ok(frame));
    }
}

#[test]
fn a_frame_cut_anywhere_is_refused_with_the_field_it_was_cut_in() {
    let mut bytes = Vec::new();
    FromChild::Outcome(outcome()).write(&mut bytes);
    for len in 0..bytes.len() {
        let error = FromChild::read(&bytes[..len]).expect_err("a cut frame");
        assert!(error.to_string().contains("frame ends"), "{error}");
    }
}
