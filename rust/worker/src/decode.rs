//! Station 3: decode. Takes a `Delivery`; gives what the engine decides on and the frame that a child will read, or
//! a poison verdict with the reason. Reads headers only: the body stays bytes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use fastworker_broker::{Delivery, ReplyTo};
use fastworker_engine::{Handle, Request, Scope};
use fastworker_wire::child::{TaskFrame, ToChild};
use fastworker_wire::envelope::{self, Envelope};
use fastworker_wire::time::parse_iso_ms;

use crate::config::{RegisteredTask, WorkerConfig};
use crate::events::{Shown, note_received};
use crate::held::Held;
use crate::record::{Mark, Moments};
use crate::sketch::Came;

const NUMBER_AT: usize = 1;
const FLAGS_AT: usize = 5;
const ATTEMPT_AT: usize = 6;

/// Why a message can never run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Poison {
    pub(crate) id: Option<String>,
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
}

/// What decoding needs to know of the worker.
pub(crate) struct Decoder {
    tasks: HashMap<String, u32>,
    registered: Vec<RegisteredTask>,
    queues: Vec<String>,
    naive_offset_s: i32,
    /// A higher number is more urgent, as in AMQP; for the engine 0 is the most urgent.
    is_higher_first: bool,
    /// Results are messages to who asked.
    has_replies: bool,
    /// Keyed at random, so that nobody can choose keys that collide.
    hasher: RandomState,
}

impl Decoder {
    pub(crate) fn new(config: &WorkerConfig) -> Decoder {
        let tasks = config.tasks.iter().zip(0u32..).map(|(task, index)| (task.name.clone(), index)).collect();
        Decoder {
            tasks,
            registered: config.tasks.clone(),
            queues: config.queues.clone(),
            naive_offset_s: config.naive_offset_s,
            is_higher_first: fastworker_broker::is_higher_first(&config.broker_url),
            has_replies: config.result_url.as_deref().is_some_and(|url| url.starts_with("rpc")),
            hasher: RandomState::new(),
        }
    }

    /// One more queue, at the end.
    pub(crate) fn add_queue(&mut self, name: String) {
        self.queues.push(name);
    }

    /// The delivery as the worker holds it, as the engine sees it, and what a bench has marked it with;
    /// `request.handle` is filled in by the caller. `noted`: where to note what `task-received` says, if that is told of it.
    pub(crate) fn decode(
        &self,
        delivery: &Delivery,
        noted: Option<&mut Vec<u8>>,
    ) -> Result<(Held, Request, Mark), Poison> {
        let envelope = envelope::parse(&delivery.message).map_err(|error| Poison {
            id: envelope::task_and_id(&delivery.message).1,
            reason: "not a task message",
            detail: error.to_string(),
        })?;
        let facts = Facts::of(&envelope)?;
        let moment = |field: &'static str, text: Option<&str>| match text {
            None => Ok(None),
            Some(text) => match parse_iso_ms(text, self.naive_offset_s) {
                Some(ms) => Ok(Some(ms)),
                None => Err(Poison {
                    id: Some(facts.id.clone()),
                    reason: "invalid task",
                    detail: format!("header {field} is {text:?}: expected an ISO 8601 time"),
                }),
            },
        };
        let index = self.tasks.get(&facts.task).copied();
        let registered = index.map(|index| &self.registered[index as usize]);
        let is_shared = registered.is_some_and(|task| task.options.rate_scope == Scope::Shared);
        let rate_limit_key = envelope.rate_limit_key.as_deref().filter(|key| is_shared && !key.is_empty());
        let request = Request {
            handle: Handle(0),
            task: index,
            queue: delivery.queue,
            priority: if self.is_higher_first { 9 - envelope.priority } else { envelope.priority },
            is_redelivered: delivery.is_redelivered || envelope.is_redelivered,
            eta_ms: moment("eta", facts.eta.as_deref())?,
            expires_ms: moment("expires", facts.expires.as_deref())?,
            key: rate_limit_key.map_or(0, |key| self.hasher.hash_one(key)),
            is_drawn: false,
            soft_limit_s: facts.timelimit.1,
            hard_limit_s: facts.timelimit.0,
            size: u32::try_from(envelope.body.len() + envelope.headers_json.len() + envelope.properties_json.len())
                .unwrap_or(u32::MAX),
            is_revoked: false,
        };
        let frame = self.frame(&envelope, &facts, delivery.queue, request.is_redelivered);
        let ignores = envelope.ignore_result.unwrap_or(registered.is_some_and(|task| task.ignore_result));
        let options = registered.map(|task| &task.options);
        let sends_events = registered.is_none_or(|task| task.sends_events);
        if let Some(noted) = noted.filter(|_| registered.is_some() && sends_events) {
            note_received(&envelope, &facts.shown(), noted);
        }
        let reply = envelope.reply_to.as_deref().filter(|queue| self.has_replies && !queue.is_empty());
        let reply = reply.map(|queue| {
            let correlation_id = envelope.correlation_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(&facts.id);
            Box::new(ReplyTo { queue: queue.to_owned(), correlation_id: correlation_id.to_owned() })
        });
        let held = Held {
            tag: delivery.tag,
            reply,
            ignores_result: ignores && !registered.is_some_and(|task| task.stores_errors),
            id: facts.id,
            task: facts.task,
            rate_limit_key: rate_limit_key.map(Box::from),
            acks_on_timeout: options.is_none_or(|options| options.acks_on_timeout),
            gives_up_when_lost: options.is_some_and(|options| !options.runs_again_when_lost),
            frame,
            death: None,
            has_attempts: false,
            attempt: 1,
            is_early_acked: false,
            has_states: false,
            unconfirmed: 0,
            told_as: None,
            group: (!facts.group.is_empty()).then(|| Box::from(facts.group)),
            parts: Vec::new(),
            refused: None,
            again: None,
            reported: None,
            fate: None,
            sends_events,
            is_told_started: false,
            end: None,
            came: Came::UNKNOWN,
            moments: Moments::default(),
            ending: None,
        };
        // A retry has its first try's headers, and waited for something else.
        let mark = Mark { intended_us: envelope.intended_us.filter(|_| facts.retries == 0), number: envelope.number };
        Ok((held, request, mark))
    }

    fn frame(&self, envelope: &Envelope<'_>, facts: &Facts, queue: u16, is_redelivered: bool) -> Vec<u8> {
        let mut frame = Vec::with_capacity(
            256 + envelope.body.len() + envelope.headers_json.len() + envelope.properties_json.len(),
        );
        ToChild::Task(TaskFrame {
            number: 0,
            flush_first: false,
            is_early_acked: false,
            is_redelivered,
            is_watched: false,
            attempt: 1,
            ignore_result: envelope.ignore_result,
            queue: self.queues.get(usize::from(queue)).map_or("", String::as_str),
            task: &facts.task,
            id: &facts.id,
            root_id: envelope.root_id.as_deref().unwrap_or(&facts.id),
            parent_id: envelope.parent_id.as_deref().unwrap_or_default(),
            group: &facts.group,
            content_type: &envelope.content_type,
            content_encoding: &envelope.content_encoding,
            compression: envelope.compression.as_deref().unwrap_or_default(),
            headers: facts.headers.as_deref().unwrap_or(envelope.headers_json),
            properties: envelope.properties_json,
            body: &envelope.body,
        })
        .write(&mut frame);
        frame
    }
}

/// Most bytes of arguments that events show; Celery's bound for what clients write.
const MOST_SHOWN: usize = 1024;

/// In front of the name of a task whose message only workers of ours understand: others fail it by its name.
const EXCLUSIVE: &str = "fastworker:";

/// What decides, from the headers or, for protocol 1, from the body.
struct Facts {
    task: String,
    id: String,
    eta: Option<String>,
    expires: Option<String>,
    timelimit: (Option<f64>, Option<f64>),
    retries: u32,
    /// How protocol 1 shows the arguments, and the keyword arguments.
    arguments: (String, String),
    /// Empty: it is in none.
    group: String,
    /// In the place of the message's own, which say nothing in protocol 1.
    headers: Option<Vec<u8>>,
}

impl Facts {
    fn of(envelope: &Envelope<'_>) -> Result<Facts, Poison> {
        let invalid = |detail: String| Poison {
            id: envelope.id.as_deref().or(envelope.correlation_id.as_deref()).map(str::to_owned),
            reason: "not a task message",
            detail,
        };
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        if let Some(task) = &envelope.task {
            let id = envelope.id.as_deref().filter(|id| !id.is_empty());
            let id = id.ok_or_else(|| invalid(format!("header task is {task:?}, but there is no header id")))?;
            return Ok(Facts {
                task: task.strip_prefix(EXCLUSIVE).unwrap_or(task).to_owned(),
                id: id.to_owned(),
                eta: owned(&envelope.eta),
                expires: owned(&envelope.expires),
                timelimit: envelope.timelimit,
                retries: envelope.retries,
                arguments: Default::default(),
                group: owned(&envelope.group).unwrap_or_default(),
                headers: None,
            });
        }
        let v1 = envelope::parse_v1(&envelope.body)
            .map_err(|error| invalid(format!("no header task, and the body is not a protocol 1 task: {error}")))?;
        let utc = |time: &Option<std::borrow::Cow<'_, str>>| {
            owned(time).map(|text| if v1.is_utc && !has_offset(&text) { text + "+00:00" } else { text })
        };
        Ok(Facts {
            task: v1.task.clone().into_owned(),
            id: owned(&v1.id).ok_or_else(|| invalid("a protocol 1 task without id".to_owned()))?,
            eta: utc(&v1.eta),
            expires: utc(&v1.expires),
            timelimit: v1.timelimit,
            retries: v1.retries,
            arguments: (shown(v1.args_json), shown(v1.kwargs_json)),
            group: owned(&v1.group).unwrap_or_default(),
            headers: Some(v1.headers_with(envelope.headers_json)),
        })
    }
}

impl Facts {
    fn shown(&self) -> Shown<'_> {
        Shown {
            id: &self.id,
            task: &self.task,
            eta: self.eta.as_deref(),
            expires: self.expires.as_deref(),
            retries: self.retries,
            arguments: (&self.arguments.0, &self.arguments.1),
        }
    }
}

/// Arguments in a body of protocol 1, as events show them.
fn shown(json: &[u8]) -> String {
    String::from_utf8_lossy(&json[..json.len().min(MOST_SHOWN)]).into_owned()
}

fn has_offset(time: &str) -> bool {
    time.ends_with('Z') || time.get(10..).is_some_and(|rest| rest.contains(['+', '-']))
}

/// What is known of a task only at dispatch; as in its frame.
#[derive(Clone, Copy)]
pub(crate) struct Flags {
    pub(crate) flush_first: bool,
    pub(crate) is_early_acked: bool,
    pub(crate) is_watched: bool,
}

/// Writes it into a task frame.
pub(crate) fn patch(frame: &mut [u8], number: u32, flags: Flags, attempt: u32) {
    frame[NUMBER_AT..NUMBER_AT + 4].copy_from_slice(&number.to_le_bytes());
    let Flags { flush_first, is_early_acked, is_watched } = flags;
    let bits = u8::from(flush_first) | u8::from(is_early_acked) << 1 | u8::from(is_watched) << 5;
    frame[FLAGS_AT] = frame[FLAGS_AT] & !0b10_0011 | bits;
    frame[ATTEMPT_AT..ATTEMPT_AT + 4].copy_from_slice(&attempt.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_at_dispatch_is_patched_into_the_frame() {
        let mut frame = Vec::new();
        let mut task = TaskFrame {
            number: 0,
            flush_first: false,
            is_early_acked: false,
            is_redelivered: false,
            is_watched: false,
            attempt: 1,
            ignore_result: Some(true),
            queue: "q",
            task: "t",
            id: "i",
            root_id: "i",
            parent_id: "",
            group: "",
            content_type: "application/json",
            content_encoding: "utf-8",
            compression: "",
            headers: b"{}",
            properties: b"{}",
            body: b"[]",
        };
        ToChild::Task(task.clone()).write(&mut frame);
        patch(&mut frame, 77, Flags { flush_first: true, is_early_acked: true, is_watched: true }, 3);
        (task.number, task.flush_first, task.is_early_acked, task.attempt) = (77, true, true, 3);
        task.is_watched = true;
        assert_eq!(ToChild::read(&frame), Ok(ToChild::Task(task)));
    }
}
