//! The blocking side: what a client process (`.delay()`, `.get()`, the CLI) needs.
//!
//! No runtime and no thread: these values live in other people's web servers. A value is stamped with the pid that
//! opened it; after a fork it forgets (does not close) the inherited connection and opens its own. All calls are
//! bounded by the deadline given at construction, and reconnect once by themselves when an idle connection turns out
//! to be dead before anything was sent.

use std::time::Duration;

use bytes::Bytes;

use crate::{ChordClient, Control, Error, EventClient, FanoutClient, ParkedClient, Publish, ResultDoc};

/// A message that could not be run, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message id, or one made up for a message that has none.
    pub id: String,
    /// The queue it came from.
    pub queue: String,
    /// The task's name, when it could be read.
    pub task: Option<String>,
    /// A short fixed phrase (`unknown task`, `not JSON`, `worker lost`).
    pub reason: String,
    /// One line for a person.
    pub detail: String,
    /// When it died, Unix time in milliseconds.
    pub died_ms: i64,
    /// Priority to publish it with again.
    pub priority: u8,
    /// The message as it stood in the queue.
    pub message: Bytes,
}

/// A blocking connection to a broker.
pub trait Client: Control + EventClient + ParkedClient + FanoutClient {
    /// Publishes all; returns when the server has confirmed every one.
    fn publish(&mut self, batch: &[Publish]) -> Result<(), Error>;
    /// Messages waiting in `queue`, over all priorities, those in its lanes included. Parked and leased ones are not
    /// counted.
    fn depth(&mut self, queue: &str) -> Result<u64, Error>;
    /// Whether a message of this task is in the broker: waiting in one of `queues` or its lanes, leased, parked, or among
    /// the dead letters. Reads through what waits and what is leased, since nothing of that is found by its task's id;
    /// nobody else is kept waiting meanwhile. A message that goes back to its queue just then may be missed. A broker
    /// whose queues cannot be looked through refuses.
    fn holds(&mut self, _task_id: &str, _queues: &[&str]) -> Result<bool, Error> {
        Err(Error::Refused {
            what: "search for a message",
            whom: "the broker".to_owned(),
            cause: "its queues cannot be looked through".to_owned(),
        })
    }
    /// Removes all waiting messages of `queue`, those in its lanes included; returns how many.
    fn purge(&mut self, queue: &str) -> Result<u64, Error>;
    /// Puts everything in the lanes of `queue` back to the front of the queue; returns how many.
    fn unlane(&mut self, queue: &str) -> Result<u64, Error>;
    /// Puts all parked messages, of every queue, back to the front of their queues; returns how many. Workers of ours
    /// park those again that are due much later.
    fn unpark(&mut self) -> Result<u64, Error>;
    /// The newest `limit` dead letters, newest first.
    fn dead_letters(&mut self, limit: usize) -> Result<Vec<DeadLetter>, Error>;
    /// One dead letter by id, or by a prefix of the id that is unique.
    fn dead_letter(&mut self, id: &str) -> Result<Option<DeadLetter>, Error>;
    /// Publishes a dead letter to its queue again and removes it from the dead letters, in one step.
    fn retry_dead_letter(&mut self, id: &str) -> Result<bool, Error>;
    /// Removes dead letters: the one with this id, or all. Returns how many.
    fn purge_dead_letters(&mut self, id: Option<&str>) -> Result<u64, Error>;
}

/// A blocking connection to a result store.
pub trait ResultClient: ChordClient + Send {
    /// To be called before a task is published whose result is going to be asked for, where results are messages: there has to
    /// be a queue that they come to.
    fn prepare(&mut self) -> Result<(), Error> {
        Ok(())
    }
    /// The stored document, if any.
    fn get(&mut self, task_id: &str) -> Result<Option<Bytes>, Error>;
    /// The stored documents of many tasks, in one round trip per thousand, in the order asked.
    fn get_many(&mut self, task_ids: &[&str]) -> Result<Vec<Option<Bytes>>, Error>;
    /// Waits until the stored document of `task_id` exists and differs from `seen`, at most `timeout`; wakes by push
    /// where the store has one. `None`: the time is over.
    fn wait(&mut self, task_id: &str, seen: Option<&[u8]>, timeout: Duration) -> Result<Option<Bytes>, Error>;
    /// Watches the results of these tasks too, for [`news`](ResultClient::news). Does not touch the network.
    fn watch(&mut self, task_ids: &[&str]);
    /// Watches the results of these tasks no longer.
    fn unwatch(&mut self, task_ids: &[&str]);
    /// Waits until something is stored for a watched task, at most `timeout`, and returns what: `(task id, document)`.
    /// The first call after `watch` also returns what was stored before. A document may come twice, and an older one of
    /// a task once more before its youngest; none is left out while its task is watched. After an error nothing is missed either: all that is
    /// watched is looked at again. Nothing watched: returns at once.
    fn news(&mut self, timeout: Duration) -> Result<Vec<(String, Bytes)>, Error>;
    /// Stores documents (eager results, states set by a client). A stored SUCCESS is never overwritten.
    fn store(&mut self, batch: &[ResultDoc]) -> Result<(), Error>;
    /// Stores one in the place of `seen`, the stored document when it was looked at (`None`: there was none). False:
    /// another one is there now, and nothing was done.
    fn replace(&mut self, seen: Option<&[u8]>, doc: &ResultDoc) -> Result<bool, Error>;
    /// Removes documents.
    fn forget(&mut self, task_ids: &[&str]) -> Result<(), Error>;
}
