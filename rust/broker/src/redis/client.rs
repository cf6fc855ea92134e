//! The blocking broker client: publishing from web processes, and the command line's view of queues and dead letters.

use std::time::Duration;

use redis::Value;

use super::bindings::Declared;
use super::blocking::Blocking;
use super::dead;
use super::failure::{int, texts};
use super::keys::Keys;
use super::lane::{unlane_words, unlaned};
use super::options::RedisOptions;
use super::parked::UNPARKED_AT_ONCE;
use super::publish::pushes;
use super::resp;
use super::script::{RETRY_DEAD, UNLANE};
use crate::{Client, DeadLetter, Error, ParkedClient, Publish};

/// So much is written before the replies are read: a server that answers while we only write would block us both.
const WRITTEN_AT_ONCE: usize = 4 << 20;
/// Dead letters read at once: each may be as big as a message.
const RECORDS_AT_ONCE: usize = 100;
/// Dead letters looked through by one step of a scan.
const SCANNED_AT_ONCE: &[u8] = b"1000";

/// A blocking Redis broker. Opens its connection at the first call.
pub struct RedisClient {
    pub(super) keys: Keys,
    pub(super) blocking: Blocking,
    /// For events that are heard, once somebody listens.
    pub(super) listening: Blocking,
    /// The number of the database, which channels carry in their names.
    pub(super) db: i64,
    pub(super) visibility_timeout: Duration,
    declared: Declared,
    /// The connection that `declared` speaks of.
    declared_on: u64,
}

impl RedisClient {
    /// Does not touch the network.
    pub fn new(options: RedisOptions) -> Self {
        let db = options.server.db();
        let listening = Blocking::new(options.server.clone());
        let blocking = Blocking::new(options.server);
        let visibility_timeout = options.visibility_timeout;
        Self {
            keys: options.keys,
            blocking,
            listening,
            db,
            visibility_timeout,
            declared: Declared::default(),
            declared_on: 0,
        }
    }

    /// Adds the declarations of new queues to what is written next; returns how many replies that brings.
    fn declare(&mut self, batch: &[Publish]) -> usize {
        let number = self.blocking.number() + u64::from(!self.blocking.is_open());
        if self.declared_on != number {
            self.declared.forget();
            self.declared_on = number;
        }
        let mut replies = 0;
        for publish in batch {
            let Some((tables, member)) = self.declared.first(&self.keys, &publish.queue) else { continue };
            for table in &tables {
                resp::words(&mut self.blocking.out, &[b"SADD", table.as_bytes(), member.as_bytes()]);
            }
            replies += tables.len();
        }
        replies
    }

    /// Sends what was written; any refusal is an error.
    pub(super) fn confirm(&mut self, what: &'static str, replies: usize) -> Result<Vec<Value>, Error> {
        let values = self.blocking.exchange(what, replies)?;
        self.blocking.call(what).values(values)
    }

    pub(super) fn command(&mut self, what: &'static str, words: &[&[u8]]) -> Result<Value, Error> {
        resp::words(&mut self.blocking.out, words);
        Ok(self.confirm(what, 1)?.pop().unwrap_or(Value::Nil))
    }

    fn record(&mut self, id: &str) -> Result<Option<Vec<u8>>, Error> {
        let key = self.keys.dead.clone();
        Ok(match self.command("dead letters", &[b"HGET", key.as_bytes(), id.as_bytes()])? {
            Value::BulkString(record) => Some(record),
            _ => None,
        })
    }

    fn records(&mut self, ids: &[String]) -> Result<Vec<Value>, Error> {
        resp::command(&mut self.blocking.out, 2 + ids.len());
        resp::word(&mut self.blocking.out, b"HMGET");
        resp::word(&mut self.blocking.out, self.keys.dead.as_bytes());
        ids.iter().for_each(|id| resp::word(&mut self.blocking.out, id.as_bytes()));
        match self.confirm("dead letters", 1)?.pop() {
            Some(Value::Array(records)) => Ok(records),
            other => Err(self.blocking.call("dead letters").unexpected(&other.unwrap_or(Value::Nil))),
        }
    }

    fn read(&self, id: &str, record: &[u8]) -> Result<DeadLetter, Error> {
        let whom = self.blocking.call("dead letters").whom;
        dead::read(id, record).map_err(|cause| Error::Format { what: "dead letters", whom: whom.to_owned(), cause })
    }

    /// The full ids that begin with `prefix`; at most two, which is enough to know that it is not unique.
    fn ids_with_prefix(&mut self, prefix: &str) -> Result<Vec<String>, Error> {
        let (key, pattern) = (self.keys.dead_index.clone(), format!("{}*", escape_glob(prefix)));
        let mut ids = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let scan: [&[u8]; 7] =
                [b"ZSCAN", key.as_bytes(), cursor.as_bytes(), b"MATCH", pattern.as_bytes(), b"COUNT", SCANNED_AT_ONCE];
            let reply = self.command("dead letters", &scan)?;
            let Value::Array(mut parts) = reply else {
                return Err(self.blocking.call("dead letters").unexpected(&reply));
            };
            ids.extend(parts.pop().and_then(texts).unwrap_or_default().into_iter().step_by(2));
            ids.sort_unstable();
            ids.dedup();
            cursor = parts.pop().and_then(super::failure::text).unwrap_or_default();
            if cursor == "0" || cursor.is_empty() || ids.len() > 1 {
                return Ok(ids);
            }
        }
    }

    /// The id itself, or the one that it is the beginning of.
    fn full_id(&mut self, id: &str) -> Result<Option<(String, Vec<u8>)>, Error> {
        if let Some(record) = self.record(id)? {
            return Ok(Some((id.to_owned(), record)));
        }
        match &self.ids_with_prefix(id)?[..] {
            [full] => {
                let record = self.record(full)?;
                Ok(record.map(|record| (full.clone(), record)))
            }
            _ => Ok(None),
        }
    }
}

impl Client for RedisClient {
    fn publish(&mut self, batch: &[Publish]) -> Result<(), Error> {
        let replies = self.declare(batch);
        let sent = if let [publish] = batch {
            let list = self.keys.list(&publish.queue, self.keys.step(publish.priority));
            resp::words(&mut self.blocking.out, &[b"LPUSH", list.as_bytes(), &publish.message]);
            self.confirm("publish", replies + 1).map(drop)
        } else {
            self.publish_many(batch, replies)
        };
        if sent.is_err() {
            self.declared.forget();
        }
        sent
    }

    fn depth(&mut self, queue: &str) -> Result<u64, Error> {
        let lists: Vec<String> = self.keys.lists(queue).collect();
        for list in &lists {
            resp::words(&mut self.blocking.out, &[b"LLEN", list.as_bytes()]);
        }
        let laned = self.keys.laned.clone();
        resp::words(&mut self.blocking.out, &[b"HGET", laned.as_bytes(), queue.as_bytes()]);
        let mut lengths = self.confirm("depth", lists.len() + 1)?;
        let laned = lengths.pop().and_then(super::failure::text).and_then(|count| count.parse().ok()).unwrap_or(0);
        Ok((lengths.iter().filter_map(int).sum::<i64>() + laned) as u64)
    }

    fn holds(&mut self, task_id: &str, queues: &[&str]) -> Result<bool, Error> {
        self.holds_message(task_id, queues)
    }

    fn purge(&mut self, queue: &str) -> Result<u64, Error> {
        let lists: Vec<String> = self.keys.lists(queue).collect();
        resp::words(&mut self.blocking.out, &[b"MULTI"]);
        for list in &lists {
            resp::words(&mut self.blocking.out, &[b"LLEN", list.as_bytes()]);
            resp::words(&mut self.blocking.out, &[b"DEL", list.as_bytes()]);
        }
        resp::words(&mut self.blocking.out, &[b"EXEC"]);
        let replies = self.confirm("purge", 2 * lists.len() + 2)?;
        let waiting = match replies.last() {
            Some(Value::Array(counts)) => counts.iter().step_by(2).filter_map(int).sum::<i64>() as u64,
            _ => 0,
        };
        Ok(waiting + self.empty_lanes("purge", queue, true)?)
    }

    fn unlane(&mut self, queue: &str) -> Result<u64, Error> {
        self.empty_lanes("unlane", queue, false)
    }

    fn unpark(&mut self) -> Result<u64, Error> {
        let count = self.parked_count()?;
        // What is parked meanwhile stays, or this would never end beside a worker.
        for _ in 0..count.div_ceil(UNPARKED_AT_ONCE) {
            self.release_some()?;
        }
        Ok(count)
    }

    fn dead_letters(&mut self, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (key, last) = (self.keys.dead_index.clone(), (limit - 1).to_string());
        let reply = self.command("dead letters", &[b"ZREVRANGE", key.as_bytes(), b"0", last.as_bytes()])?;
        let ids = texts(reply).unwrap_or_default();
        let mut letters = Vec::with_capacity(ids.len());
        for ids in ids.chunks(RECORDS_AT_ONCE) {
            for (id, record) in ids.iter().zip(self.records(ids)?) {
                // Somebody may have retried or purged it meanwhile.
                if let Value::BulkString(record) = record {
                    letters.push(self.read(id, &record)?);
                }
            }
        }
        Ok(letters)
    }

    fn dead_letter(&mut self, id: &str) -> Result<Option<DeadLetter>, Error> {
        self.full_id(id)?.map(|(id, record)| self.read(&id, &record)).transpose()
    }

    fn retry_dead_letter(&mut self, id: &str) -> Result<bool, Error> {
        let Some((id, record)) = self.full_id(id)? else { return Ok(false) };
        let letter = self.read(&id, &record)?;
        let list = self.keys.list(&letter.queue, self.keys.step(letter.priority));
        let (dead, index) = (self.keys.dead.clone(), self.keys.dead_index.clone());
        let keys = [dead.as_bytes(), index.as_bytes(), list.as_bytes()];
        let reply = self.blocking.script(
            "retry dead letter",
            &RETRY_DEAD,
            &keys,
            &[id.as_bytes(), &record, &letter.message],
        )?;
        Ok(int(&reply) == Some(1))
    }

    fn purge_dead_letters(&mut self, id: Option<&str>) -> Result<u64, Error> {
        let (dead, index) = (self.keys.dead.clone(), self.keys.dead_index.clone());
        resp::words(&mut self.blocking.out, &[b"MULTI"]);
        match id {
            Some(id) => {
                resp::words(&mut self.blocking.out, &[b"HDEL", dead.as_bytes(), id.as_bytes()]);
                resp::words(&mut self.blocking.out, &[b"ZREM", index.as_bytes(), id.as_bytes()]);
            }
            None => {
                resp::words(&mut self.blocking.out, &[b"HLEN", dead.as_bytes()]);
                resp::words(&mut self.blocking.out, &[b"DEL", dead.as_bytes(), index.as_bytes()]);
            }
        }
        resp::words(&mut self.blocking.out, &[b"EXEC"]);
        let replies = self.confirm("purge dead letters", 4)?;
        match replies.last() {
            Some(Value::Array(counts)) => Ok(counts.first().and_then(int).unwrap_or(0) as u64),
            _ => Ok(0),
        }
    }
}

impl RedisClient {
    /// Puts all messages in the lanes of a queue back, or drops them; returns how many.
    fn empty_lanes(&mut self, what: &'static str, queue: &str, is_purge: bool) -> Result<u64, Error> {
        let words = unlane_words(&self.keys, queue, None, is_purge);
        let keys: Vec<&[u8]> = words.keys.iter().map(String::as_bytes).collect();
        let args: Vec<&[u8]> = words.args.iter().map(String::as_bytes).collect();
        let mut total = 0;
        loop {
            let (moved, has_more) = unlaned(&self.blocking.script(what, &UNLANE, &keys, &args)?);
            total += moved;
            if !has_more {
                return Ok(total);
            }
        }
    }

    /// Many messages in few writes; `replies` of commands already written are read with the first.
    fn publish_many(&mut self, batch: &[Publish], mut replies: usize) -> Result<(), Error> {
        for (list, messages) in pushes(&self.keys, batch) {
            let out = &mut self.blocking.out;
            resp::command(out, 2 + messages.len());
            resp::word(out, b"LPUSH");
            resp::word(out, list.as_bytes());
            messages.iter().for_each(|message| resp::word(out, message));
            replies += 1;
            if self.blocking.out.len() >= WRITTEN_AT_ONCE {
                self.confirm("publish", replies)?;
                replies = 0;
            }
        }
        if replies > 0 {
            self.confirm("publish", replies)?;
        }
        Ok(())
    }
}

/// An id may hold what a pattern would read as its own.
fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
