//! The blocking side of remote control, in kombu's form: PUBLISH to a fanout exchange's channel, replies in a list that
//! is bound to a direct exchange by the mailbox's name.

use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::Value;

use super::client::RedisClient;
use super::failure::{int, texts};
use super::resp;
use super::script::{MARK_REVOKED, REPLY};
use crate::{Binding, Control, Error, Mark, RevokeTerms};

/// A blocking pop is cut into pieces of this length, so that it ends well within the connection's own time limit.
const SLICE: Duration = Duration::from_millis(250);
/// A reply that nobody takes goes away by itself, after this many milliseconds.
const UNREAD_MS: &str = "60000";

impl RedisClient {
    /// The list of a mailbox, as kombu names it.
    fn mailbox(&self, exchange: &str, mailbox: &str) -> String {
        format!("{mailbox}.{exchange}")
    }
}

impl Control for RedisClient {
    fn broadcast(&mut self, exchange: &str, message: &[u8]) -> Result<(), Error> {
        let channel = self.keys.channel(self.db, exchange);
        self.command("broadcast", &[b"PUBLISH", channel.as_bytes(), message]).map(drop)
    }

    fn open_mailbox(&mut self, exchange: &str, mailbox: &str) -> Result<(), Error> {
        let row = self.keys.binding(mailbox, "", &self.mailbox(exchange, mailbox));
        let [table, _permanent] = self.keys.bindings(exchange);
        self.command("open a mailbox", &[b"SADD", table.as_bytes(), row.as_bytes()]).map(drop)
    }

    fn take_reply(&mut self, exchange: &str, mailbox: &str, timeout: Duration) -> Result<Option<Bytes>, Error> {
        let list = self.keys.key(&self.mailbox(exchange, mailbox));
        let end = Instant::now() + timeout;
        loop {
            // Zero would wait for ever.
            let left = end.saturating_duration_since(Instant::now()).min(SLICE).max(Duration::from_millis(1));
            let left = format!("{:.3}", left.as_secs_f64());
            match self.command("wait for replies", &[b"BRPOP", list.as_bytes(), left.as_bytes()])? {
                Value::Array(mut pair) => match pair.pop() {
                    Some(Value::BulkString(message)) => return Ok(Some(Bytes::from(message))),
                    other => {
                        let found = other.unwrap_or(Value::Nil);
                        return Err(self.blocking.call("wait for replies").unexpected(&found));
                    }
                },
                _ if Instant::now() >= end => return Ok(None),
                _ => {}
            }
        }
    }

    fn close_mailbox(&mut self, exchange: &str, mailbox: &str) -> Result<(), Error> {
        let list = self.mailbox(exchange, mailbox);
        let row = self.keys.binding(mailbox, "", &list);
        let [table, _permanent] = self.keys.bindings(exchange);
        let list = self.keys.key(&list);
        resp::words(&mut self.blocking.out, &[b"SREM", table.as_bytes(), row.as_bytes()]);
        resp::words(&mut self.blocking.out, &[b"DEL", list.as_bytes()]);
        self.confirm("close a mailbox", 2).map(drop)
    }

    fn reply(&mut self, exchange: &str, mailbox: &str, message: &[u8]) -> Result<bool, Error> {
        let [table, _permanent] = self.keys.bindings(exchange);
        let (separator, prefix) = (self.keys.separator().to_owned(), self.keys.key(""));
        let args: [&[u8]; 5] =
            [mailbox.as_bytes(), separator.as_bytes(), prefix.as_bytes(), message, UNREAD_MS.as_bytes()];
        let reply = self.blocking.script("reply", &REPLY, &[table.as_bytes()], &args)?;
        Ok(int(&reply) == Some(1))
    }

    fn mark_revoked(&mut self, marks: &[Mark], terminate: Option<i32>, terms: RevokeTerms) -> Result<(), Error> {
        let (keep, most) = (terms.keep.as_secs_f64().to_string(), terms.most.to_string());
        let signal = terminate.map(|signal| signal.to_string()).unwrap_or_default();
        let marks: Vec<String> = marks.iter().map(Mark::to_text).collect();
        // A script takes some thousands of arguments at most.
        for batch in marks.chunks(1000) {
            let mut args: Vec<&[u8]> = vec![keep.as_bytes(), most.as_bytes(), signal.as_bytes()];
            args.extend(batch.iter().map(|mark| mark.as_bytes()));
            let keys = [self.keys.revoked.as_bytes(), self.keys.revoke_signals.as_bytes()];
            self.blocking.script("revoke", &MARK_REVOKED, &keys, &args)?;
        }
        Ok(())
    }

    fn pause_queue(&mut self, queue: &str) -> Result<bool, Error> {
        let paused = self.keys.paused.clone();
        let added = self.command("pause a queue", &[b"SADD", paused.as_bytes(), queue.as_bytes()])?;
        Ok(int(&added) == Some(1))
    }

    fn resume_queue(&mut self, queue: &str) -> Result<bool, Error> {
        let paused = self.keys.paused.clone();
        let removed = self.command("resume a queue", &[b"SREM", paused.as_bytes(), queue.as_bytes()])?;
        Ok(int(&removed) == Some(1))
    }

    fn bind(&mut self, exchange: &str, binding: &Binding) -> Result<(), Error> {
        let row = self.keys.binding(&binding.routing_key, &binding.pattern, &binding.queue);
        let tables = self.keys.bindings(exchange);
        for table in &tables {
            resp::words(&mut self.blocking.out, &[b"SADD", table.as_bytes(), row.as_bytes()]);
        }
        self.confirm("declare a queue", tables.len()).map(drop)
    }

    fn bindings(&mut self, exchange: &str) -> Result<Vec<Binding>, Error> {
        let [table, _permanent] = self.keys.bindings(exchange);
        let reply = self.command("read the bindings of an exchange", &[b"SMEMBERS", table.as_bytes()])?;
        let mut rows = texts(reply).unwrap_or_default();
        rows.sort_unstable();
        let read = |row: &String| {
            let mut columns = row.split(self.keys.separator()).map(str::to_owned);
            Some(Binding { routing_key: columns.next()?, pattern: columns.next()?, queue: columns.next()? })
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    fn paused_queues(&mut self) -> Result<Vec<String>, Error> {
        let paused = self.keys.paused.clone();
        let reply = self.command("read the paused queues", &[b"SMEMBERS", paused.as_bytes()])?;
        let mut names = texts(reply).unwrap_or_default();
        names.sort_unstable();
        Ok(names)
    }
}
