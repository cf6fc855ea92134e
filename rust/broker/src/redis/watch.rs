//! Watching the results of many tasks on one connection.
//!
//! One SUBSCRIBE for what is new, then MGET of the same keys, in this order, so that a result stored between them is
//! seen twice rather than never. After that every result comes by push, and costs the server nothing while it does not.
//! When the connection was lost, all that is watched counts as new.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use redis::{RedisResult, Value};

use super::blocking::Blocking;
use super::resp;
use crate::Error;

/// A read sleeps at least so long: a socket takes no time-out of zero.
const SHORTEST_READ: Duration = Duration::from_millis(1);

/// What is watched, and the connection that hears of it.
pub(super) struct Watch {
    listening: Blocking,
    /// Task ids by their channel.
    watched: HashMap<String, String>,
    /// Channels to subscribe to, and to leave, at the next look.
    fresh: Vec<String>,
    gone: Vec<String>,
    /// The connection that is subscribed.
    number: u64,
}

/// What is known after subscribing.
#[derive(Default)]
pub(super) struct Settled {
    /// Tasks that have to be looked at, since nobody listened to them until now.
    pub(super) fresh: Vec<String>,
    /// Documents that came meanwhile.
    pub(super) came: Vec<(String, Bytes)>,
}

impl Watch {
    pub(super) fn new(listening: Blocking) -> Self {
        Self { listening, watched: HashMap::new(), fresh: Vec::new(), gone: Vec::new(), number: 0 }
    }

    /// Watches one more task.
    pub(super) fn add(&mut self, channel: String, task_id: &str) {
        if self.watched.insert(channel.clone(), task_id.to_owned()).is_none() {
            self.fresh.push(channel);
        }
    }

    /// Stops watching a task.
    pub(super) fn remove(&mut self, channel: &str) {
        if self.watched.remove(channel).is_some() {
            self.gone.push(channel.to_owned());
        }
    }

    /// The look at what was new failed: it has to be looked at again, which a new connection sees to.
    pub(super) fn forget_connection(&mut self) {
        self.listening.close();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// Subscribes to what is new and leaves what is no longer watched.
    pub(super) fn settle(&mut self) -> Result<Settled, Error> {
        if !self.listening.is_open() || self.listening.number() != self.number {
            self.fresh = self.watched.keys().cloned().collect();
            self.gone.clear();
        }
        // Watched, left and watched again since the last look: it was subscribed all along, and is looked at anew.
        self.gone.retain(|channel| !self.watched.contains_key(channel));
        self.fresh.retain(|channel| self.watched.contains_key(channel));
        if self.fresh.is_empty() && self.gone.is_empty() {
            return Ok(Settled::default());
        }
        let settled = self.exchange();
        if settled.is_err() {
            self.listening.close();
        }
        let came = settled?;
        self.number = self.listening.number();
        self.gone.clear();
        let fresh = self.fresh.drain(..).filter_map(|channel| self.watched.get(&channel).cloned()).collect();
        Ok(Settled { fresh, came })
    }

    fn exchange(&mut self) -> Result<Vec<(String, Bytes)>, Error> {
        for (word, channels) in [(&b"UNSUBSCRIBE"[..], &self.gone), (&b"SUBSCRIBE"[..], &self.fresh)] {
            if !channels.is_empty() {
                resp::command(&mut self.listening.out, 1 + channels.len());
                resp::word(&mut self.listening.out, word);
                channels.iter().for_each(|channel| resp::word(&mut self.listening.out, channel.as_bytes()));
            }
        }
        let mut unconfirmed = self.gone.len() + self.fresh.len();
        self.listening.exchange("watch results", 0)?;
        let mut came = Vec::new();
        while unconfirmed > 0 {
            let reply = self.listening.connection().and_then(|connection| connection.recv_response());
            match reply.map_err(|error| self.listening.call("watch results").failed(&error))? {
                Value::ServerError(error) => return Err(self.listening.call("watch results").answered(&error)),
                Value::Array(parts) => match self.message(&parts) {
                    Some(message) => came.push(message),
                    None => unconfirmed -= 1,
                },
                other => return Err(self.listening.call("watch results").unexpected(&other)),
            }
        }
        Ok(came)
    }

    /// `[message, channel, document]` of a watched task; `None` for a confirmation, and for a task that is no longer
    /// watched when `parts` is a message of it.
    fn message(&self, parts: &[Value]) -> Option<(String, Bytes)> {
        match parts {
            [Value::BulkString(kind), Value::BulkString(channel), Value::BulkString(doc)] if kind == b"message" => {
                let channel = std::str::from_utf8(channel).ok()?;
                let task_id = self.watched.get(channel).map_or("", String::as_str);
                Some((task_id.to_owned(), Bytes::copy_from_slice(doc)))
            }
            _ => None,
        }
    }

    /// The next document that comes, or `None` when `timeout` is over.
    pub(super) fn next(&mut self, timeout: Duration) -> Result<Option<(String, Bytes)>, Error> {
        match self.read(timeout) {
            Ok((channel, doc)) => Ok(self.watched.get(&channel).map(|task_id| (task_id.clone(), doc))),
            Err(error) if error.is_timeout() => Ok(None),
            Err(error) => {
                self.listening.close();
                Err(self.listening.call("watch results").failed(&error))
            }
        }
    }

    fn read(&mut self, timeout: Duration) -> RedisResult<(String, Bytes)> {
        let connection = self.listening.connection()?;
        let mut messages = connection.as_pubsub();
        let message = messages.set_read_timeout(Some(timeout.max(SHORTEST_READ))).and_then(|()| messages.get_message());
        // Dropping it would unsubscribe, with a round trip; it owns nothing else.
        std::mem::forget(messages);
        self.listening.reset_timeouts()?;
        let message = message?;
        Ok((message.get_channel_name().to_owned(), Bytes::copy_from_slice(message.get_payload_bytes())))
    }
}
