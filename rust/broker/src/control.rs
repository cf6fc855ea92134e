//! Remote control through the broker: broadcasts to every worker, replies to who asked, and what must outlive both.
//!
//! A broadcast reaches the workers that listen at that moment and no other, as in kombu's pidbox. What has to hold for
//! workers that start later (that a task was revoked) is written down beside it, and read by a worker before it
//! fetches anything and whenever it may have missed a broadcast ([`Heard::Gap`]).
//!
//! What the messages say is not known here: they are kombu's envelopes, written and read in Python.

use std::time::Duration;

use bytes::Bytes;

use crate::Error;

/// What a worker hears on the control exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A broadcast: the envelope as it was sent.
    Message(Bytes),
    /// From here on broadcasts are heard; earlier ones may have been missed.
    Gap,
}

/// What was revoked: one task, or all that carry a stamp.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mark {
    /// The task of this id.
    Id(String),
    /// Every task whose stamp `name` is, or contains, `value`.
    Stamp {
        /// The stamp's name.
        name: String,
        /// Its value, as JSON.
        value: String,
    },
}

impl Mark {
    /// As it is kept: `id:<id>`, or `stamp:<bytes of the name>:<name><value>`.
    pub fn to_text(&self) -> String {
        match self {
            Mark::Id(id) => format!("id:{id}"),
            Mark::Stamp { name, value } => format!("stamp:{}:{name}{value}", name.len()),
        }
    }

    /// The mark that `text` was made from; `None` for what another version may have written.
    pub fn from_text(text: &str) -> Option<Mark> {
        if let Some(id) = text.strip_prefix("id:") {
            return Some(Mark::Id(id.to_owned()));
        }
        let (len, rest) = text.strip_prefix("stamp:")?.split_once(':')?;
        let (name, value) = rest.split_at_checked(len.parse().ok()?)?;
        Some(Mark::Stamp { name: name.to_owned(), value: value.to_owned() })
    }
}

/// One revoke, as the broker remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What was revoked.
    pub mark: Mark,
    /// How long ago.
    pub age: Duration,
    /// The number of the signal that ends what runs of it; `None`: what runs may finish. Unknown, and `None`, where an
    /// older version wrote it down.
    pub terminate: Option<i32>,
}

/// One queue that an exchange leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// As it was declared; words and wildcards for a topic.
    pub routing_key: String,
    /// The same as a regular expression, for a topic; else empty.
    pub pattern: String,
    /// The queue.
    pub queue: String,
}

/// How long revokes are remembered, and how many; beyond either the oldest go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokeTerms {
    /// Celery's default: 3 hours.
    pub keep: Duration,
    /// Celery's default: 50 000.
    pub most: u32,
}

/// The blocking side of remote control; part of every [`Client`](crate::Client).
pub trait Control: Send {
    /// Sends an envelope to every worker that listens on `exchange`, such as `celery.pidbox`.
    fn broadcast(&mut self, exchange: &str, message: &[u8]) -> Result<(), Error>;

    /// Makes a place for replies to `mailbox` (a unique name) on `exchange`, such as `reply.celery.pidbox`.
    fn open_mailbox(&mut self, exchange: &str, mailbox: &str) -> Result<(), Error>;

    /// The next reply, or `None` when `timeout` is over.
    fn take_reply(&mut self, exchange: &str, mailbox: &str, timeout: Duration) -> Result<Option<Bytes>, Error>;

    /// Removes the place with what is in it.
    fn close_mailbox(&mut self, exchange: &str, mailbox: &str) -> Result<(), Error>;

    /// Puts an envelope into a mailbox. False: its owner has closed it, so nobody waits for the reply.
    fn reply(&mut self, exchange: &str, mailbox: &str, message: &[u8]) -> Result<bool, Error>;

    /// Writes down what was revoked, for every worker that does not listen now. Again: its time begins anew. `terminate`:
    /// the number of the signal that ends what runs of it. Once asked for, that is not taken back by a milder revoke.
    fn mark_revoked(&mut self, marks: &[Mark], terminate: Option<i32>, terms: RevokeTerms) -> Result<(), Error>;

    /// From now on no worker of ours fetches from this queue, until it is resumed. What is published waits in it.
    /// False: it was paused already.
    fn pause_queue(&mut self, queue: &str) -> Result<bool, Error>;

    /// Ends a pause; wakes the workers that watch the queue. False: it was not paused.
    fn resume_queue(&mut self, queue: &str) -> Result<bool, Error>;

    /// Declares that an exchange leads to a queue, for other programs that publish by the exchange. Nothing happens
    /// where no other program does.
    fn bind(&mut self, exchange: &str, binding: &Binding) -> Result<(), Error>;

    /// The queues that an exchange leads to, as anybody has declared them.
    fn bindings(&mut self, exchange: &str) -> Result<Vec<Binding>, Error>;

    /// The paused queues, in order of their names.
    fn paused_queues(&mut self) -> Result<Vec<String>, Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_were_written() {
        for mark in [
            Mark::Id("a:b".into()),
            Mark::Id(String::new()),
            Mark::Stamp { name: "größe:".into(), value: "[1]".into() },
            Mark::Stamp { name: String::new(), value: String::new() },
        ] {
            assert_eq!(Mark::from_text(&mark.to_text()), Some(mark));
        }
        for text in ["", "id", "stamp:9:short", "stamp:x:y", "later:thing"] {
            assert_eq!(Mark::from_text(text), None, "{text}");
        }
    }
}
