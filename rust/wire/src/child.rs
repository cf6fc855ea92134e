//! The frames between a worker and its children.
//!
//! On the socket a frame is a little-endian `u32` length and that many bytes; in the shared ring the ring keeps the
//! length. The first byte says which frame it is. Integers are little-endian; texts and bytes carry a `u32` length.
//! Both ends are always the same build (the worker starts its children from its own package), and `READY` carries
//! [`VERSION`] so that a mixed installation is refused instead of misread.
//!
//! Frames of one task keep their order: once one of them has gone over the socket (too large for the ring), so do the
//! later ones of that task. So a task's `Publish` frames always precede its `Outcome`.

use crate::frame::{Reader, Writer};

pub use crate::frame::Malformed;

/// Layout version of everything below.
pub const VERSION: u32 = 9;

/// Longest frame that is accepted from a child or by one: 2 GiB less the header, the bound of a `u32` with its sign.
pub const MAX_FRAME_BYTES: usize = i32::MAX as usize;

const TASK: u8 = 1;
const STOP: u8 = 2;
const INTERRUPT: u8 = 3;
const LOCATE: u8 = 4;
const BATCH: u8 = 5;
const READY: u8 = 16;
const POKE: u8 = 17;
const OUTCOME: u8 = 18;
const STORE: u8 = 19;
const PUBLISH: u8 = 20;
const AWAKE: u8 = 21;
const BATCH_END: u8 = 22;
const EVENT: u8 = 23;

/// In place of a processor time.
const NOT_MEASURED: u64 = u64::MAX;

/// One task to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFrame<'a> {
    /// Its number in the child; claimed on the shared page before it runs.
    pub number: u32,
    /// Write out and signal what was reported before, then start: this one may take long.
    pub flush_first: bool,
    /// The message was acknowledged before this run.
    pub is_early_acked: bool,
    /// The broker delivered it before; brokers that cannot write so into the message say it here.
    pub is_redelivered: bool,
    /// Started attempts, this one included.
    pub attempt: u32,
    /// The message's `ignore_result` header.
    pub ignore_result: Option<bool>,
    /// Events tell of it: its outcome says how to show what came of it.
    pub is_watched: bool,
    /// The queue that it came from.
    pub queue: &'a str,
    /// Registered name; empty for a protocol 1 message, whose body holds it.
    pub task: &'a str,
    /// Task id; empty likewise.
    pub id: &'a str,
    /// Id of the workflow's root; its own when it has none.
    pub root_id: &'a str,
    /// Id of the publishing task; empty for none.
    pub parent_id: &'a str,
    /// Id of the group that it is a member of; empty for none.
    pub group: &'a str,
    /// Mime type of the body.
    pub content_type: &'a str,
    /// Its encoding.
    pub content_encoding: &'a str,
    /// Mime type of the compression; empty for none.
    pub compression: &'a str,
    /// The message headers, JSON.
    pub headers: &'a [u8],
    /// The message properties, JSON.
    pub properties: &'a [u8],
    /// The body without its base64, still compressed and serialised.
    pub body: &'a [u8],
}

/// Why a task that runs beside others is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum InterruptKind {
    /// Its soft time limit is over: raise SoftTimeLimitExceeded in it.
    SoftLimit = 0,
    /// Its hard time limit is over: end it, and report [`OutcomeKind::TimeLimit`].
    HardLimit = 1,
    /// It was revoked: end it, and report [`OutcomeKind::Terminated`].
    Terminate = 2,
}

impl InterruptKind {
    fn from_u8(value: u8) -> Option<InterruptKind> {
        use InterruptKind::*;
        [SoftLimit, HardLimit, Terminate].into_iter().find(|kind| *kind as u8 == value)
    }
}

/// What a worker sends to a child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "read and written on the stack, one at a time: a box would cost each task"
)]
pub enum ToChild<'a> {
    /// Run this.
    Task(TaskFrame<'a>),
    /// Run the tasks of so many frames that follow, which have the same number, by one function call.
    Batch {
        /// Their number.
        number: u32,
        /// How many; at least 1.
        count: u32,
    },
    /// Interrupt a task, if it still runs. For children with several slots; one with a single slot gets a signal.
    Interrupt {
        /// Which task.
        number: u32,
        /// Why.
        kind: InterruptKind,
    },
    /// Say in the log where a task is, if it still runs. For children with several slots.
    Locate {
        /// Which task.
        number: u32,
    },
    /// Finish: nothing follows.
    Stop,
}

impl ToChild<'_> {
    /// Appends the frame without a length.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut w = Writer(out);
        match self {
            ToChild::Stop => w.u8(STOP),
            ToChild::Batch { number, count } => {
                w.u8(BATCH);
                w.u32(*number);
                w.u32(*count);
            }
            ToChild::Interrupt { number, kind } => {
                w.u8(INTERRUPT);
                w.u32(*number);
                w.u8(*kind as u8);
            }
            ToChild::Locate { number } => {
                w.u8(LOCATE);
                w.u32(*number);
            }
            ToChild::Task(task) => {
                w.u8(TASK);
                w.u32(task.number);
                w.u8(u8::from(task.flush_first)
                    | u8::from(task.is_early_acked) << 1
                    | u8::from(task.ignore_result.is_some()) << 2
                    | u8::from(task.ignore_result == Some(true)) << 3
                    | u8::from(task.is_redelivered) << 4
                    | u8::from(task.is_watched) << 5);
                w.u32(task.attempt);
                for text in [
                    task.queue,
                    task.task,
                    task.id,
                    task.root_id,
                    task.parent_id,
                    task.group,
                    task.content_type,
                    task.content_encoding,
                    task.compression,
                ] {
                    w.bytes(text.as_bytes());
                }
                w.bytes(task.headers);
                w.bytes(task.properties);
                w.bytes(task.body);
            }
        }
    }

    /// Reads one frame.
    pub fn read(frame: &[u8]) -> Result<ToChild<'_>, Malformed> {
        let mut r = Reader::new(frame);
        match r.u8("frame type")? {
            STOP => Ok(ToChild::Stop),
            BATCH => Ok(ToChild::Batch { number: r.u32("task number")?, count: r.u32("batch size")? }),
            INTERRUPT => {
                let number = r.u32("task number")?;
                let kind = r.u8("interrupt kind")?;
                let kind = InterruptKind::from_u8(kind).ok_or_else(|| r.unknown("interrupt kind", kind))?;
                Ok(ToChild::Interrupt { number, kind })
            }
            LOCATE => Ok(ToChild::Locate { number: r.u32("task number")? }),
            TASK => {
                let number = r.u32("task number")?;
                let flags = r.u8("task flags")?;
                Ok(ToChild::Task(TaskFrame {
                    number,
                    flush_first: flags & 1 != 0,
                    is_early_acked: flags & 2 != 0,
                    is_redelivered: flags & 16 != 0,
                    is_watched: flags & 32 != 0,
                    ignore_result: (flags & 4 != 0).then_some(flags & 8 != 0),
                    attempt: r.u32("attempt")?,
                    queue: r.text("queue")?,
                    task: r.text("task name")?,
                    id: r.text("task id")?,
                    root_id: r.text("root id")?,
                    parent_id: r.text("parent id")?,
                    group: r.text("group")?,
                    content_type: r.text("content type")?,
                    content_encoding: r.text("content encoding")?,
                    compression: r.text("compression")?,
                    headers: r.bytes("headers")?,
                    properties: r.bytes("properties")?,
                    body: r.bytes("body")?,
                }))
            }
            other => Err(r.unknown("frame to a child", other)),
        }
    }
}

/// The place in its batch of a task that is in none.
pub const NO_MEMBER: u32 = u32::MAX;

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OutcomeKind {
    /// Returned.
    Success = 0,
    /// Raised.
    Failure = 1,
    /// A successor carries the next try.
    Retry = 2,
    /// `raise Ignore`.
    Ignore = 3,
    /// `raise Reject(requeue=False)`.
    Reject = 4,
    /// `raise Reject(requeue=True)`.
    Requeue = 5,
    /// Could not be run at all: body not decodable, unknown task.
    Poison = 6,
    /// Ended because its hard time limit was over; the worker writes the result.
    TimeLimit = 7,
    /// Ended because it was revoked; the worker writes the result.
    Terminated = 8,
}

impl OutcomeKind {
    fn from_u8(value: u8) -> Option<OutcomeKind> {
        use OutcomeKind::*;
        [Success, Failure, Retry, Ignore, Reject, Requeue, Poison, TimeLimit, Terminated]
            .into_iter()
            .find(|kind| *kind as u8 == value)
    }
}

/// A message that a task publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor<'a> {
    /// Queue name.
    pub queue: &'a str,
    /// 0..=9, 0 the most urgent.
    pub priority: u8,
    /// The envelope.
    pub message: &'a [u8],
}

/// How a member of a chord's header ended, for those who count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartFrame<'a> {
    /// The member: the task, or a later step of its chain that will not run.
    pub task_id: &'a str,
    /// The chord.
    pub group: &'a str,
    /// Place in the header.
    pub index: Option<i64>,
    /// Of a failure: how many its chord bears before it ends at once; `None`: it waits for all members.
    pub bears: Option<u64>,
    /// Celery's `[1, task id, state, result]`, encoded.
    pub doc: &'a [u8],
    /// What the join needs beside the parts.
    pub record: &'a [u8],
}

/// The end of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeFrame<'a> {
    /// Which task.
    pub number: u32,
    /// Which one of its batch, from 0; [`NO_MEMBER`] for a task that is in none. A member's end is not the number's.
    pub member: u32,
    /// How it ended.
    pub kind: OutcomeKind,
    /// When it was started: microseconds of the system's monotonic clock.
    pub started_us: u64,
    /// Microseconds inside the task function.
    pub runtime_us: u64,
    /// Microseconds of processor time meanwhile, where the child measured that.
    pub cpu_us: Option<u64>,
    /// Celery's state for `doc`; empty without one.
    pub status: &'a str,
    /// The result document, when one is to be stored.
    pub doc: Option<&'a [u8]>,
    /// One line for the dead letter.
    pub reason: &'a str,
    /// Of a watched task: its result or its error, as events show it.
    pub shown: &'a str,
    /// Of a watched task that raised: the traceback.
    pub traceback: &'a str,
    /// Published in the same step as the acknowledgement.
    pub successors: Vec<Successor<'a>>,
    /// What it means for chords.
    pub parts: Vec<PartFrame<'a>>,
}

/// An event of a task's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFrame<'a> {
    /// Such as `task.progress`.
    pub routing_key: &'a str,
    /// Mime type of the body.
    pub content_type: &'a str,
    /// Its encoding.
    pub content_encoding: &'a str,
    /// JSON.
    pub headers: &'a [u8],
    /// Serialised.
    pub body: &'a [u8],
}

/// What a child sends to its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "read and written on the stack, one at a time: a box would cost each task"
)]
pub enum FromChild<'a> {
    /// Connected and waiting. Socket only.
    Ready {
        /// [`VERSION`] of the child.
        version: u32,
        /// Its process id.
        pid: u32,
    },
    /// Something waits in the ring. Socket only.
    Poke,
    /// It has come to frames of tasks that were recalled meanwhile: it reads again. Socket only, and only from children
    /// with several slots.
    Awake,
    /// A task ended.
    Outcome(OutcomeFrame<'a>),
    /// An intermediate state of the running task.
    Store {
        /// Which task.
        number: u32,
        /// Which one of its batch, as in an outcome.
        member: u32,
        /// Celery's state.
        status: &'a str,
        /// The document.
        doc: &'a [u8],
    },
    /// The function that got a batch has returned; the outcomes of all its members precede this.
    BatchEnd {
        /// Which batch.
        number: u32,
        /// Microseconds inside the task function.
        runtime_us: u64,
    },
    /// The running task publishes; of a batch, on behalf of all members that have not ended.
    Publish {
        /// Which task.
        number: u32,
        /// What.
        message: Successor<'a>,
    },
    /// A task sends an event. It may be lost; socket only.
    Event(EventFrame<'a>),
}

fn write_successor(w: &mut Writer<'_>, successor: &Successor<'_>) {
    w.bytes(successor.queue.as_bytes());
    w.u8(successor.priority);
    w.bytes(successor.message);
}

fn read_successor<'a>(r: &mut Reader<'a>) -> Result<Successor<'a>, Malformed> {
    Ok(Successor { queue: r.text("queue")?, priority: r.u8("priority")?, message: r.bytes("message")? })
}

fn write_part(w: &mut Writer<'_>, part: &PartFrame<'_>) {
    w.bytes(part.task_id.as_bytes());
    w.bytes(part.group.as_bytes());
    w.u8(u8::from(part.index.is_some()));
    w.u64(part.index.unwrap_or_default() as u64);
    w.u8(u8::from(part.bears.is_some()));
    w.u64(part.bears.unwrap_or_default());
    w.bytes(part.doc);
    w.bytes(part.record);
}

fn read_part<'a>(r: &mut Reader<'a>) -> Result<PartFrame<'a>, Malformed> {
    let (task_id, group) = (r.text("member")?, r.text("group")?);
    let has_index = r.u8("has group index")? != 0;
    let index = r.u64("group index")? as i64;
    let index = has_index.then_some(index);
    let has_bound = r.u8("bears failures")? != 0;
    let bears = r.u64("failures borne")?;
    let bears = has_bound.then_some(bears);
    Ok(PartFrame { task_id, group, index, bears, doc: r.bytes("part")?, record: r.bytes("record of a join")? })
}

impl FromChild<'_> {
    /// Appends the frame without a length.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut w = Writer(out);
        match self {
            FromChild::Ready { version, pid } => {
                w.u8(READY);
                w.u32(*version);
                w.u32(*pid);
            }
            FromChild::Poke => w.u8(POKE),
            FromChild::Awake => w.u8(AWAKE),
            FromChild::Outcome(outcome) => {
                w.u8(OUTCOME);
                w.u32(outcome.number);
                w.u32(outcome.member);
                w.u8(outcome.kind as u8);
                w.u64(outcome.started_us);
                w.u64(outcome.runtime_us);
                w.u64(outcome.cpu_us.unwrap_or(NOT_MEASURED));
                w.bytes(outcome.status.as_bytes());
                w.u8(u8::from(outcome.doc.is_some()));
                w.bytes(outcome.doc.unwrap_or_default());
                w.bytes(outcome.reason.as_bytes());
                w.bytes(outcome.shown.as_bytes());
                w.bytes(outcome.traceback.as_bytes());
                w.u32(outcome.successors.len() as u32);
                for successor in &outcome.successors {
                    write_successor(&mut w, successor);
                }
                w.u32(outcome.parts.len() as u32);
                for part in &outcome.parts {
                    write_part(&mut w, part);
                }
            }
            FromChild::BatchEnd { number, runtime_us } => {
                w.u8(BATCH_END);
                w.u32(*number);
                w.u64(*runtime_us);
            }
            FromChild::Store { number, member, status, doc } => {
                w.u8(STORE);
                w.u32(*number);
                w.u32(*member);
                w.bytes(status.as_bytes());
                w.bytes(doc);
            }
            FromChild::Event(event) => {
                w.u8(EVENT);
                w.bytes(event.routing_key.as_bytes());
                w.bytes(event.content_type.as_bytes());
                w.bytes(event.content_encoding.as_bytes());
                w.bytes(event.headers);
                w.bytes(event.body);
            }
            FromChild::Publish { number, message } => {
                w.u8(PUBLISH);
                w.u32(*number);
                write_successor(&mut w, message);
            }
        }
    }

    /// Reads one frame.
    pub fn read(frame: &[u8]) -> Result<FromChild<'_>, Malformed> {
        let mut r = Reader::new(frame);
        match r.u8("frame type")? {
            READY => Ok(FromChild::Ready { version: r.u32("version")?, pid: r.u32("pid")? }),
            POKE => Ok(FromChild::Poke),
            AWAKE => Ok(FromChild::Awake),
            OUTCOME => {
                let number = r.u32("task number")?;
                let member = r.u32("batch member")?;
                let kind = r.u8("outcome kind")?;
                let kind = OutcomeKind::from_u8(kind).ok_or_else(|| r.unknown("outcome kind", kind))?;
                let (started_us, runtime_us) = (r.u64("start")?, r.u64("runtime")?);
                let cpu_us = Some(r.u64("processor time")?).filter(|time_us| *time_us != NOT_MEASURED);
                let status = r.text("status")?;
                let has_doc = r.u8("has doc")? != 0;
                let doc = r.bytes("doc")?;
                let reason = r.text("reason")?;
                let (shown, traceback) = (r.text("shown")?, r.text("traceback")?);
                let count = r.u32("successor count")?;
                let mut successors = Vec::new();
                for _ in 0..count {
                    successors.push(read_successor(&mut r)?);
                }
                let doc = has_doc.then_some(doc);
                let count = r.u32("part count")?;
                let mut parts = Vec::new();
                for _ in 0..count {
                    parts.push(read_part(&mut r)?);
                }
                Ok(FromChild::Outcome(OutcomeFrame {
                    number,
                    member,
                    kind,
                    started_us,
                    runtime_us,
                    cpu_us,
                    status,
                    doc,
                    reason,
                    shown,
                    traceback,
                    successors,
                    parts,
                }))
            }
            BATCH_END => Ok(FromChild::BatchEnd { number: r.u32("task number")?, runtime_us: r.u64("runtime")? }),
            STORE => Ok(FromChild::Store {
                number: r.u32("task number")?,
                member: r.u32("batch member")?,
                status: r.text("status")?,
                doc: r.bytes("doc")?,
            }),
            PUBLISH => Ok(FromChild::Publish { number: r.u32("task number")?, message: read_successor(&mut r)? }),
            EVENT => Ok(FromChild::Event(EventFrame {
                routing_key: r.text("routing key")?,
                content_type: r.text("content type")?,
                content_encoding: r.text("content encoding")?,
                headers: r.bytes("headers")?,
                body: r.bytes("body")?,
            })),
            other => Err(r.unknown("frame from a child", other)),
        }
    }
}
