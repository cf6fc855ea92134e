//! What is parked until it is due: to look at, to take out, to let go early. Part of every [`Client`](crate::Client).
//!
//! There may be millions, so every call has bounded work: pages are walked with a cursor, and what is to be done is
//! done to so many handles as one page has. A handle names one parked message; once that is released, by time or by
//! somebody else, the handle names nothing, and to act on it does nothing.

use std::time::Duration;

use bytes::Bytes;
use fastworker_wire::envelope;
use memchr::memmem;

use crate::connect::{Kind, Options, result_client};
use crate::{Error, ResultDoc};

/// No call looks at, or acts on, more than this.
pub const PARKED_AT_ONCE: usize = 1000;

/// One parked message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Names it in other calls, also as the place behind which a page begins; text without a meaning to others.
    pub handle: String,
    /// The task id; empty for a message that has none.
    pub id: String,
    /// The task's name, when it can be read.
    pub task: Option<String>,
    /// The queue that it goes back to.
    pub queue: String,
    /// When it is due, Unix time in milliseconds.
    pub due_ms: i64,
    /// 0..=9, 0 is the most urgent.
    pub priority: u8,
    /// What the message says of its result: to be ignored, or not; `None` leaves it to the task.
    pub ignores_result: Option<bool>,
    /// It belongs to a group, of which a chord may wait for every member.
    pub is_member: bool,
}

impl Parked {
    /// From the message itself, where it is kept, and until when.
    pub(crate) fn read(handle: String, queue: String, due_ms: i64, message: &[u8]) -> Parked {
        let read = envelope::parse(message).ok();
        let (priority, ignores_result) = read.as_ref().map_or((0, None), |read| (read.priority, read.ignore_result));
        let is_member = read.as_ref().is_some_and(|read| read.group.as_ref().is_some_and(|group| !group.is_empty()));
        let (task, id) = match read {
            Some(read) if read.task.is_some() && read.id.is_some() => {
                (read.task.map(Into::into), read.id.map(Into::into))
            }
            _ => envelope::task_and_id(message),
        };
        Parked { handle, id: id.unwrap_or_default(), task, queue, due_ms, priority, ignores_result, is_member }
    }
}

/// Whether a message is one of this task. Most are not, and need not be read for that.
pub(crate) fn is_of(message: &[u8], task_id: &str) -> bool {
    if memmem::find(message, task_id.as_bytes()).is_none() {
        return false;
    }
    // The id may stand there as that of its parent, its root or its group.
    let read = envelope::parse(message).ok().and_then(|read| read.id.map(Into::into));
    read.or_else(|| envelope::task_and_id(message).1).is_some_and(|id: String| id == task_id)
}

/// Parked messages in the order in which they are due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedPage {
    /// Fewer than were asked for do not mean that these are the last.
    pub messages: Vec<Parked>,
    /// Where the next page begins, if there may be one. Stays good whatever is parked or released meanwhile: nothing
    /// that stays parked is left out or comes twice.
    pub next: Option<String>,
}

/// A parked message to be taken out.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// Which.
    pub handle: String,
    /// The stored document when it was looked at; `None`: there was none.
    pub seen: Option<Bytes>,
    /// Stored in its place in the same step. `None` stores nothing.
    pub result: Option<ResultDoc>,
}

/// What became of a [`Cancel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It is gone, and the result is stored.
    Removed,
    /// It is not parked, or not any more; nothing was done.
    NotParked,
    /// Another document is stored than the one that was seen; nothing was done. Look again.
    ResultChanged,
}

/// Where results are, as in [`connect`](crate::connect).
#[derive(Clone, Copy, Debug)]
pub struct ResultsAt<'a> {
    /// The result store's URL.
    pub url: &'a str,
    /// Its options.
    pub options: &'a Options,
}

impl ResultsAt<'_> {
    pub(crate) fn is(&self, kind: Kind) -> bool {
        Kind::of(self.url).is_ok_and(|found| found == kind)
    }
}

/// The blocking side of parked messages. Every method takes [`PARKED_AT_ONCE`] items at most, and looks no further.
pub trait ParkedClient: Send {
    /// How many messages are parked.
    fn parked_count(&mut self) -> Result<u64, Error>;

    /// The next `limit` of them behind `after`, a handle or the `next` of an earlier page; `None` begins with the one
    /// that is due first.
    fn parked_page(&mut self, after: Option<&str>, limit: usize) -> Result<ParkedPage, Error>;

    /// Those with these task ids. A task that was published twice may be parked twice.
    fn parked_of(&mut self, ids: &[&str]) -> Result<Vec<Parked>, Error>;

    /// Puts messages to the front of their queues, each in one step, without their eta: who fetches them runs them.
    /// False for what is not parked.
    fn release_parked(&mut self, handles: &[&str]) -> Result<Vec<bool>, Error>;

    /// Has messages be due within `HASTENED`, with their eta as it is: for a worker to end what was revoked, and to park
    /// again what it knows nothing of. False for what is not parked.
    fn hasten_parked(&mut self, handles: &[&str]) -> Result<Vec<bool>, Error>;

    /// Takes messages out, each in one step with the storing of its result where both are on one server. Where they are
    /// not, results are stored first: a fault in between leaves a message that can be cancelled again.
    fn cancel_parked(&mut self, cancels: &[Cancel], results: Option<ResultsAt<'_>>) -> Result<Vec<Cancelled>, Error>;
}

/// Stores the results of those that stand where the broker does not reach. Returns an answer for each, and the places
/// of those that are to be removed now, whose answer is still to come.
pub(crate) fn store_first(
    cancels: &[Cancel],
    stands: &[bool],
    at: ResultsAt<'_>,
) -> Result<(Vec<Cancelled>, Vec<usize>), Error> {
    let mut store = result_client(at.url, at.options)?;
    let (mut answers, mut places) = (Vec::with_capacity(cancels.len()), Vec::new());
    for (place, (cancel, stands)) in cancels.iter().zip(stands).enumerate() {
        let is_stored = match &cancel.result {
            Some(result) if *stands => store.replace(cancel.seen.as_deref(), result)?,
            _ => true,
        };
        answers.push(if is_stored { Cancelled::NotParked } else { Cancelled::ResultChanged });
        if *stands && is_stored {
            places.push(place);
        }
    }
    Ok((answers, places))
}

/// A message is parked for a moment only if it was revoked on its way: so short a time ago, at most. What was revoked
/// earlier was known to the worker that parks it, which had a reason not to end it.
pub(crate) const REVOKED_LATELY: Duration = Duration::from_secs(600);

/// What is revoked while it is parked comes back so soon, if a worker has to end it.
pub const HASTENED: Duration = Duration::from_millis(1_000);

/// The two numbers of a handle, or cursor, that has no more in it; `None` for text that was not made so.
pub(crate) fn two_numbers<N: std::str::FromStr>(text: &str) -> Option<(i64, N)> {
    let (due_ms, other) = text.split_once(':')?;
    Some((due_ms.parse().ok()?, other.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_of_a_message_is_told() {
        let message = br#"{"headers": {"task": "t", "id": "7", "ignore_result": true}, "properties": {"priority": 3}}"#;
        let parked = Parked::read("h".into(), "q".into(), 5, message);
        assert_eq!((parked.id.as_str(), parked.task.as_deref(), parked.priority), ("7", Some("t"), 3));
        assert_eq!(parked.ignores_result, Some(true));
        let broken = Parked::read("h".into(), "q".into(), 5, br#"{"headers": {"task": "t", "id""#);
        assert_eq!((broken.id.as_str(), broken.task.as_deref()), ("", Some("t")));
    }
}
