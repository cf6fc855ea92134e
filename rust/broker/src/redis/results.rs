//! The blocking result client.
//!
//! Waiting takes two round trips: SUBSCRIBE to the result's channel, then GET, in this order, so that a result stored
//! between them is seen twice rather than never. Then it sleeps in a read until the document itself arrives. The
//! subscription is left standing and exchanged by the next wait for another task: one at most, whatever is waited for.

use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::{Msg, RedisResult, Value};

use super::blocking::Blocking;
use super::options::RedisResults;
use super::resp;
use super::script::{REPLACE, STORE};
use super::watch::{Settled, Watch};
use crate::{Error, ResultClient, ResultDoc};

/// Keys per MGET or DEL.
const KEYS_AT_ONCE: usize = 1000;
/// A read sleeps at least so long: a socket takes no time-out of zero.
const SHORTEST_READ: Duration = Duration::from_millis(1);

/// A blocking Redis result store. Opens its connections at the first call.
pub struct RedisResultClient {
    pub(super) results: RedisResults,
    pub(super) asking: Blocking,
    listening: Blocking,
    /// The channel that `listening` hears, and the number of the connection on which it was subscribed.
    heard: Option<(String, u64)>,
    watch: Watch,
}

impl RedisResultClient {
    /// Does not touch the network.
    pub fn new(results: RedisResults) -> Self {
        let (asking, listening) = (Blocking::new(results.server.clone()), Blocking::new(results.server.clone()));
        let watch = Watch::new(Blocking::new(results.server.clone()));
        Self { results, asking, listening, heard: None, watch }
    }

    /// Hears the channel of one key from here on.
    fn subscribe(&mut self, key: &str) -> Result<(), Error> {
        let is_open = self.listening.is_open();
        let heard = self.heard.take().filter(|(_, number)| is_open && *number == self.listening.number());
        match &heard {
            Some((channel, _)) if channel == key => {
                self.heard = heard;
                return Ok(());
            }
            Some((channel, _)) => resp::words(&mut self.listening.out, &[b"UNSUBSCRIBE", channel.as_bytes()]),
            None => {}
        }
        resp::words(&mut self.listening.out, &[b"SUBSCRIBE", key.as_bytes()]);
        // Messages of the old channel may come first; the confirmation is what names ours.
        let mut replies = self.listening.exchange("wait for result", 1 + usize::from(heard.is_some()))?;
        while !replies.last().is_some_and(is_subscription) {
            let next = self.listening.connection().and_then(|connection| connection.recv_response());
            let next = next.map_err(|error| self.listening.call("wait for result").failed(&error));
            match next {
                Ok(Value::ServerError(error)) => return Err(self.listening.call("wait for result").answered(&error)),
                Ok(value) => replies.push(value),
                Err(error) => {
                    self.listening.close();
                    return Err(error);
                }
            }
        }
        self.heard = Some((key.to_owned(), self.listening.number()));
        Ok(())
    }

    /// The next message on the channel, or `None` when the time is over.
    fn next_message(&mut self, key: &str, left: Duration) -> Result<Option<Bytes>, Error> {
        let message = self.read_message(left);
        match message {
            Ok(message) if message.get_channel_name() == key => {
                Ok(Some(Bytes::copy_from_slice(message.get_payload_bytes())))
            }
            Ok(_) => Ok(None),
            Err(error) if error.is_timeout() => Ok(None),
            Err(error) => {
                self.listening.close();
                Err(self.listening.call("wait for result").failed(&error))
            }
        }
    }

    fn read_message(&mut self, left: Duration) -> RedisResult<Msg> {
        let connection = self.listening.connection()?;
        let mut messages = connection.as_pubsub();
        let message = messages.set_read_timeout(Some(left.max(SHORTEST_READ))).and_then(|()| messages.get_message());
        // Dropping it would unsubscribe, with a round trip; it owns nothing else.
        std::mem::forget(messages);
        self.listening.reset_timeouts()?;
        message
    }

    fn store_one(&mut self, doc: &ResultDoc) -> Result<(), Error> {
        let key = self.results.key(&doc.task_id);
        let ttl = super::store::ttl_text(doc);
        let is_success: &[u8] = if doc.is_success { b"1" } else { b"0" };
        self.asking.script("store result", &STORE, &[key.as_bytes()], &[&doc.doc, ttl.as_bytes(), is_success]).map(drop)
    }
}

impl ResultClient for RedisResultClient {
    fn get(&mut self, task_id: &str) -> Result<Option<Bytes>, Error> {
        let key = self.results.key(task_id);
        resp::words(&mut self.asking.out, &[b"GET", key.as_bytes()]);
        let reply = self.asking.exchange("get result", 1)?.pop().unwrap_or(Value::Nil);
        Ok(document(self.asking.call("get result").value(reply)?))
    }

    fn get_many(&mut self, task_ids: &[&str]) -> Result<Vec<Option<Bytes>>, Error> {
        let mut found = Vec::with_capacity(task_ids.len());
        for ids in task_ids.chunks(KEYS_AT_ONCE) {
            resp::command(&mut self.asking.out, 1 + ids.len());
            resp::word(&mut self.asking.out, b"MGET");
            ids.iter().for_each(|id| resp::word(&mut self.asking.out, self.results.key(id).as_bytes()));
            let reply = self.asking.exchange("get results", 1)?.pop().unwrap_or(Value::Nil);
            match self.asking.call("get results").value(reply)? {
                Value::Array(values) => found.extend(values.into_iter().map(document)),
                other => return Err(self.asking.call("get results").unexpected(&other)),
            }
        }
        Ok(found)
    }

    fn wait(&mut self, task_id: &str, seen: Option<&[u8]>, timeout: Duration) -> Result<Option<Bytes>, Error> {
        let deadline = Instant::now() + timeout;
        let key = self.results.key(task_id);
        loop {
            self.subscribe(&key)?;
            if let Some(doc) = self.get(task_id)?.filter(|doc| Some(&doc[..]) != seen) {
                return Ok(Some(doc));
            }
            let heard = self.listen(&key, seen, deadline);
            match heard {
                // The connection broke while we slept: listen again on a new one, and look what we missed.
                Err(error) if error.is_transient() && Instant::now() < deadline => {}
                heard => return heard,
            }
        }
    }

    fn watch(&mut self, task_ids: &[&str]) {
        task_ids.iter().for_each(|task_id| self.watch.add(self.results.key(task_id), task_id));
    }

    fn unwatch(&mut self, task_ids: &[&str]) {
        task_ids.iter().for_each(|task_id| self.watch.remove(&self.results.key(task_id)));
    }

    fn news(&mut self, timeout: Duration) -> Result<Vec<(String, Bytes)>, Error> {
        if self.watch.is_empty() {
            return Ok(Vec::new());
        }
        let Settled { fresh, came } = self.watch.settle()?;
        let ids: Vec<&str> = fresh.iter().map(String::as_str).collect();
        let found = self.get_many(&ids).inspect_err(|_| self.watch.forget_connection())?;
        let stored = fresh.into_iter().zip(found).filter_map(|(task_id, doc)| Some((task_id, doc?)));
        // What was found is what came meanwhile, or younger.
        let mut news: Vec<(String, Bytes)> =
            came.into_iter().chain(stored).filter(|(task_id, _)| !task_id.is_empty()).collect();
        if news.is_empty() {
            news.extend(self.watch.next(timeout)?);
        }
        Ok(news)
    }

    fn store(&mut self, batch: &[ResultDoc]) -> Result<(), Error> {
        batch.iter().try_for_each(|doc| self.store_one(doc))
    }

    fn replace(&mut self, seen: Option<&[u8]>, doc: &ResultDoc) -> Result<bool, Error> {
        const WHAT: &str = "store result";
        let (key, ttl) = (self.results.key(&doc.task_id), super::store::ttl_text(doc));
        let is_success: &[u8] = if doc.is_success { b"1" } else { b"" };
        let has_seen: &[u8] = if seen.is_some() { b"1" } else { b"" };
        let args = [&doc.doc[..], ttl.as_bytes(), is_success, has_seen, seen.unwrap_or_default()];
        let reply = self.asking.script(WHAT, &REPLACE, &[key.as_bytes()], &args)?;
        Ok(super::failure::int(&reply) == Some(1))
    }

    fn forget(&mut self, task_ids: &[&str]) -> Result<(), Error> {
        for ids in task_ids.chunks(KEYS_AT_ONCE) {
            resp::command(&mut self.asking.out, 1 + ids.len());
            resp::word(&mut self.asking.out, b"DEL");
            ids.iter().for_each(|id| resp::word(&mut self.asking.out, self.results.key(id).as_bytes()));
            let replies = self.asking.exchange("forget results", 1)?;
            self.asking.call("forget results").values(replies)?;
        }
        Ok(())
    }
}

impl RedisResultClient {
    /// Sleeps until the channel brings a document other than `seen`.
    fn listen(&mut self, key: &str, seen: Option<&[u8]>, deadline: Instant) -> Result<Option<Bytes>, Error> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            match self.next_message(key, left)? {
                Some(doc) if Some(&doc[..]) != seen => return Ok(Some(doc)),
                _ => {}
            }
        }
    }
}

pub(super) fn document(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(doc) => Some(doc.into()),
        _ => None,
    }
}

/// The confirmation of a SUBSCRIBE.
fn is_subscription(value: &Value) -> bool {
    match value {
        Value::Array(parts) => matches!(parts.first(), Some(Value::BulkString(kind)) if kind == b"subscribe"),
        _ => false,
    }
}
