//! kombu's JSON envelope: one task message, as it lies in a Redis list, in our SQLite queue and in the dead letters.
//!
//! ```text
//! {"body": "<base64>", "content-encoding": "utf-8", "content-type": "application/json",
//!  "headers": {"task": "proj.add", "id": "…", "eta": null, …},
//!  "properties": {"correlation_id": "…", "reply_to": "…", "delivery_mode": 2, "delivery_info": {…},
//!                 "priority": 0, "body_encoding": "base64", "delivery_tag": "…"}}
//! ```
//!
//! [`parse`] reads the headers and leaves the body opaque; [`write`] makes one; [`mark_redelivered`] changes the two
//! places that say "handed out before", [`without_eta`] the one that says "not before", and no other byte;
//! [`parse_v1`] reads the old protocol, whose facts are in the body; [`task_and_id`] saves what can be saved of a broken
//! one. Source: celery-contract 1, 2 and 4.2; kombu's `transport/virtual/base.py` and `transport/redis.py`.

mod eta;
mod field;
mod protocol_v1;
mod read;
mod redelivered;
mod salvage;
mod splice;
mod write;

use std::borrow::Cow;

pub(crate) use eta::replace_body;
pub use eta::without_eta;
pub use protocol_v1::{TaskV1, parse_v1};
pub use read::parse;
pub use redelivered::mark_redelivered;
pub use salvage::task_and_id;
pub(crate) use write::write_base64;
pub use write::{EnvelopeParts, write};

/// What a message says of itself, borrowed from its bytes wherever no escape had to be resolved.
///
/// Text fields are `None` when the key is missing or null. A number where Celery writes text (a user's `task_id=5`) is
/// taken as its digits, since Celery's own worker runs such a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<'a> {
    /// The body's bytes: decoded from base64 if it was, otherwise the unescaped text. Still compressed if
    /// `compression` says so, and serialised as `content_type` says.
    pub body: Cow<'a, [u8]>,
    /// How the body is serialised, as a mime type; kombu's default `application/data` when missing.
    pub content_type: Cow<'a, str>,
    /// `utf-8` or `binary`; `utf-8` when missing.
    pub content_encoding: Cow<'a, str>,
    /// The `headers` object exactly as written; `{}` when missing or null.
    pub headers_json: &'a [u8],
    /// The `properties` object exactly as written; `{}` when missing or null.
    pub properties_json: &'a [u8],
    /// The registered task name. `None` is protocol 1: try [`parse_v1`] on the body.
    pub task: Option<Cow<'a, str>>,
    /// The task id.
    pub id: Option<Cow<'a, str>>,
    /// The id of the workflow's first task.
    pub root_id: Option<Cow<'a, str>>,
    /// The id of the task that published this one.
    pub parent_id: Option<Cow<'a, str>>,
    /// The id of the group that it is a member of.
    pub group: Option<Cow<'a, str>>,
    /// Not before: ISO-8601 text for [`crate::time::parse_iso_ms`].
    pub eta: Option<Cow<'a, str>>,
    /// Not after: ISO-8601 text.
    pub expires: Option<Cow<'a, str>>,
    /// What a rate limit of all workers counts this message by; a header of ours, which Celery passes over.
    pub rate_limit_key: Option<Cow<'a, str>>,
    /// How to show the arguments: a JSON string as written; `None` when missing or no string.
    pub argsrepr_json: Option<&'a [u8]>,
    /// The same of the keyword arguments.
    pub kwargsrepr_json: Option<&'a [u8]>,
    /// A name to show in place of `task`.
    pub shadow: Option<Cow<'a, str>>,
    /// The mime type of the body's compression.
    pub compression: Option<Cow<'a, str>>,
    /// The task id again, as a message property.
    pub correlation_id: Option<Cow<'a, str>>,
    /// Where `rpc://` results go.
    pub reply_to: Option<Cow<'a, str>>,
    /// The publisher's own tag; kombu's consumers need one.
    pub delivery_tag: Option<Cow<'a, str>>,
    /// How many tries went before; 0 when missing.
    pub retries: u32,
    /// (hard, soft) in seconds. `None`, and 0 too, leave it to the task's own limit, as in Celery.
    pub timelimit: (Option<f64>, Option<f64>),
    /// Overrides the task's own setting when given.
    pub ignore_result: Option<bool>,
    /// 0..=9, 0 the most urgent. What is outside is clamped and what is no number counts as 0, as in kombu.
    pub priority: u8,
    /// When a bench meant to publish it, Unix time in microseconds; a header of ours, `fw-intended`.
    pub intended_us: Option<i64>,
    /// Which of a bench's messages it is; a header of ours, `fw-number`.
    pub number: Option<u32>,
    /// `headers.redelivered` or `properties.delivery_info.redelivered` is true.
    pub is_redelivered: bool,
}
