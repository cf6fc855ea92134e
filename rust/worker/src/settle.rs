//! Station 9: settle. Takes how a delivery ended; gives the one step that the broker carries out: the message's end,
//! the stored result and the published successors, together.

use fastworker_broker::{Member, Part, Publish, ResultDoc, Settlement, Tag, Verdict};
use fastworker_engine::Ending;
use fastworker_wire::child::OutcomeKind;
use fastworker_wire::result_doc::{self, Exception, ExceptionArg, ResultContext};
use fastworker_wire::time::iso_utc;

use crate::held::{Held, MemberPart};

/// How long results are kept, in seconds; `None` for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) result_s: Option<u64>,
    pub(crate) failure_s: Option<u64>,
    /// An unfinished chord, after its last part.
    pub(crate) chord_s: Option<u64>,
}

impl Lifetimes {
    pub(crate) fn of(self, status: &str) -> Option<u64> {
        if status == "FAILURE" { self.failure_s } else { self.result_s }
    }
}

/// What the worker's settings say of endings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) lifetimes: Lifetimes,
    /// Messages of unknown tasks are thrown away, as Celery does, instead of put into the dead letters.
    pub(crate) discards_unknown: bool,
}

/// The settlements that `ending` means for `held`; its own is the last. `wall_us`: Unix time in microseconds, for
/// `date_done`.
pub(crate) fn settlements(held: &mut Held, ending: &Ending, policy: Policy, wall_us: i64) -> Vec<Settlement> {
    let lifetimes = policy.lifetimes;
    let mut writer = Writer { held, lifetimes, wall_us };
    let (verdict, result, successors) = match ending {
        Ending::EarlyAck => (Verdict::EarlyAck, None, Vec::new()),
        Ending::Return => (Verdict::Return { is_redelivery: false }, None, Vec::new()),
        Ending::Redeliver => (Verdict::Return { is_redelivery: true }, None, Vec::new()),
        Ending::Requeue => (Verdict::Requeue, None, Vec::new()),
        Ending::Park { until_ms } => (Verdict::Park { due_ms: *until_ms }, None, Vec::new()),
        Ending::Lane => (Verdict::Lane { task: writer.held.task.clone() }, None, Vec::new()),
        Ending::Expired => {
            let verdict = ack(writer.held.is_early_acked);
            (verdict, writer.revoked("expired"), Vec::new())
        }
        Ending::Revoked { terminated, acked_early } => {
            let reason = if terminated.is_some() { "terminated" } else { "revoked" };
            (ack(*acked_early), writer.revoked(reason), Vec::new())
        }
        Ending::Unknown => writer.unknown(policy.discards_unknown),
        Ending::WorkerLost { attempts, acked_early } => writer.worker_lost(*attempts, *acked_early),
        Ending::TimeLimit { limit_ms, acked_early } => writer.time_limit(*limit_ms, *acked_early),
        Ending::AsReported { acked_early } => writer.as_reported(*acked_early),
    };
    let parts = if is_end(ending) { std::mem::take(&mut held.parts) } else { Vec::new() };
    let mut settlements = members(parts, lifetimes);
    let member = settlements.pop().and_then(|last| last.member);
    settlements.push(Settlement {
        tag: held.tag,
        message_id: (!held.id.is_empty()).then(|| held.id.clone()),
        has_attempts: held.has_attempts,
        verdict,
        result,
        successors,
        member,
    });
    settlements
}

/// Settlements that count members of chords and do nothing else. They may be repeated.
pub(crate) fn members(parts: Vec<MemberPart>, lifetimes: Lifetimes) -> Vec<Settlement> {
    let settlement = |part: MemberPart| Settlement {
        tag: Tag(0),
        message_id: None,
        has_attempts: false,
        verdict: Verdict::Acked,
        result: None,
        successors: Vec::new(),
        member: Some(Box::new(Member::Part(Part {
            group_id: part.group_id,
            task_id: part.task_id,
            index: part.index,
            bears: part.bears,
            doc: part.doc.into(),
            record: part.record.into(),
            ttl_s: lifetimes.chord_s,
        }))),
    };
    parts.into_iter().map(settlement).collect()
}

/// The task does not run again: a member of a chord counts.
fn is_end(ending: &Ending) -> bool {
    match ending {
        Ending::EarlyAck
        | Ending::Return
        | Ending::Redeliver
        | Ending::Requeue
        | Ending::Park { .. }
        | Ending::Lane => false,
        Ending::Expired
        | Ending::Revoked { .. }
        | Ending::Unknown
        | Ending::WorkerLost { .. }
        | Ending::TimeLimit { .. }
        | Ending::AsReported { .. } => true,
    }
}

/// What a task's error says when the broker refused what it published.
pub(crate) fn text_of_refusal(refusal: &str) -> String {
    format!("a message that the task published was refused: {refusal}")
}

/// An intermediate state of a task that goes on.
pub(crate) fn intermediate(held: &Held, status: &str, doc: &[u8], lifetimes: Lifetimes) -> Settlement {
    Settlement {
        tag: held.tag,
        message_id: Some(held.id.clone()),
        has_attempts: false,
        verdict: if held.is_early_acked { Verdict::Acked } else { Verdict::Keep },
        result: Some(ResultDoc {
            task_id: held.id.clone(),
            doc: doc.to_vec().into(),
            is_success: status == "SUCCESS",
            ttl_s: lifetimes.of(status),
            reply: held.reply.clone(),
        }),
        successors: Vec::new(),
        member: None,
    }
}

/// What the error of a task says whose process died: Celery's words, and how often.
pub(crate) fn text_of_death(held: &Held, attempts: u32) -> String {
    let death = held.death.as_deref().unwrap_or("unknown exit status");
    let times = if attempts > 1 { format!(" It died {attempts} times of it.") } else { String::new() };
    format!("Worker exited prematurely: {death} Job: {}.{times}", held.id)
}

fn ack(is_early_acked: bool) -> Verdict {
    if is_early_acked { Verdict::Acked } else { Verdict::Ack }
}

type Parts = (Verdict, Option<ResultDoc>, Vec<Publish>);

struct Writer<'h> {
    held: &'h mut Held,
    lifetimes: Lifetimes,
    wall_us: i64,
}

impl Writer<'_> {
    fn doc(&self, status: &str, write: impl FnOnce(&ResultContext<'_>, &mut Vec<u8>)) -> Option<ResultDoc> {
        if self.held.ignores_result || self.held.id.is_empty() {
            return None;
        }
        let date_done = iso_utc(self.wall_us);
        let context = ResultContext {
            task_id: &self.held.id,
            date_done: &date_done,
            group_id: self.held.group.as_deref(),
            ..ResultContext::default()
        };
        let mut doc = Vec::new();
        write(&context, &mut doc);
        Some(ResultDoc {
            task_id: self.held.id.clone(),
            doc: doc.into(),
            is_success: status == "SUCCESS",
            ttl_s: self.lifetimes.of(status),
            reply: self.held.reply.clone(),
        })
    }

    fn failure(&self, exc_type: &str, exc_module: &str, message: &[ExceptionArg<'_>]) -> Option<ResultDoc> {
        let exception = Exception { exc_type, exc_message: message, exc_module };
        self.doc("FAILURE", |context, out| result_doc::failure(&exception, None, context, out))
    }

    fn revoked(&self, reason: &str) -> Option<ResultDoc> {
        self.doc("REVOKED", |context, out| result_doc::revoked(reason, context, out))
    }

    fn unknown(&self, discards: bool) -> Parts {
        let task = &self.held.task;
        let detail = format!(
            "task {task:?} is not registered in this worker: import the module that defines it (include=, imports, \
             autodiscover_tasks), then `dead retry`"
        );
        let result = self.failure("NotRegistered", "celery.exceptions", &[ExceptionArg::Text(task)]);
        let verdict =
            if discards { Verdict::Ack } else { Verdict::DeadLetter { reason: "unknown task".into(), detail } };
        (verdict, result, Vec::new())
    }

    fn worker_lost(&mut self, attempts: u32, is_early_acked: bool) -> Parts {
        if let Some(again) = self.held.again.take() {
            let result = again.doc.map(|doc| ResultDoc {
                task_id: self.held.id.clone(),
                doc: doc.into(),
                is_success: false,
                ttl_s: self.lifetimes.of("RETRY"),
                reply: self.held.reply.clone(),
            });
            return (ack(is_early_acked), result, again.messages);
        }
        let text = text_of_death(self.held, attempts);
        let result = self.failure("WorkerLostError", "billiard.exceptions", &[ExceptionArg::Text(&text)]);
        let verdict = if is_early_acked {
            Verdict::Acked
        } else if self.held.gives_up_when_lost {
            Verdict::Ack
        } else {
            let detail = format!("{text}; task_max_deliveries allows no further delivery");
            Verdict::DeadLetter { reason: "worker lost".into(), detail }
        };
        (verdict, result, Vec::new())
    }

    fn time_limit(&self, limit_ms: u64, is_early_acked: bool) -> Parts {
        let seconds = ExceptionArg::Number(limit_ms as f64 / 1000.0);
        let result = self.failure("TimeLimitExceeded", "billiard.exceptions", &[seconds]);
        let verdict = if is_early_acked || self.held.acks_on_timeout {
            ack(is_early_acked)
        } else {
            let detail = format!(
                "killed by its time limit of {} s each time; task_max_deliveries allows no further delivery",
                limit_ms as f64 / 1000.0
            );
            Verdict::DeadLetter { reason: "time limit".into(), detail }
        };
        (verdict, result, Vec::new())
    }

    fn as_reported(&mut self, is_early_acked: bool) -> Parts {
        let reported = self.held.reported.take().expect("the engine settles as reported only what was reported");
        if let Some(refusal) = self.held.refused.take() {
            let text = text_of_refusal(&refusal);
            let result = self.failure("OperationalError", "kombu.exceptions", &[ExceptionArg::Text(&text)]);
            return (ack(is_early_acked), result, Vec::new());
        }
        let result = reported.doc.map(|doc| ResultDoc {
            task_id: self.held.id.clone(),
            doc: doc.into(),
            is_success: reported.status == "SUCCESS",
            ttl_s: self.lifetimes.of(&reported.status),
            reply: self.held.reply.clone(),
        });
        let dead = |reason: &str| match is_early_acked {
            true => Verdict::Acked,
            false => Verdict::DeadLetter { reason: reason.to_owned(), detail: reported.reason.clone() },
        };
        let verdict = match reported.kind {
            OutcomeKind::Success | OutcomeKind::Failure | OutcomeKind::Retry | OutcomeKind::Ignore => {
                ack(is_early_acked)
            }
            OutcomeKind::Requeue if is_early_acked => Verdict::Acked,
            OutcomeKind::Requeue => Verdict::Requeue,
            OutcomeKind::Reject => dead("rejected"),
            OutcomeKind::Poison => dead("cannot be run"),
            OutcomeKind::TimeLimit | OutcomeKind::Terminated => {
                unreachable!("the engine gives these an ending of their own")
            }
        };
        (verdict, result, reported.successors)
    }
}
