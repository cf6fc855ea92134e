//! Parked messages as a client sees them: [`park`](super::park) says how they are kept.
//!
//! Their envelopes are read here, never on the server; what is done to one is done by a script, if it is still parked
//! then. kombu's restorer takes an entry out of `unacked` and knows nothing of our two records of it: what stands in
//! those alone is not parked any more, and is struck off when somebody meets it.

use redis::Value;

use super::client::RedisClient;
use super::entry;
use super::failure::{int, texts};
use super::lease::{parked_list, parked_prefix};
use super::options::RedisResults;
use super::resp;
use super::script::{CANCEL_PARKED, HASTEN_PARKED, PARKED_PAGE, RELEASE, RELEASE_PARKED};
use super::store::ttl_text;
use crate::connect::Kind;
use crate::parked::store_first;
use crate::{Cancel, Cancelled, Error, HASTENED, PARKED_AT_ONCE, Parked, ParkedClient, ParkedPage, ResultsAt};

/// Parked messages put back by one call of the script.
pub(super) const UNPARKED_AT_ONCE: u64 = 500;
/// Messages read, or acted on, at once: each may be big, and a script keeps the server's other clients waiting.
const ENTRIES_AT_ONCE: usize = 100;

impl RedisClient {
    /// Puts some parked messages back, those that are due first before others.
    pub(super) fn release_some(&mut self) -> Result<(), Error> {
        let limit = UNPARKED_AT_ONCE.to_string();
        let keys = self.parked_keys();
        let names: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        self.blocking.script("unpark", &RELEASE, &names, &[b"+inf", limit.as_bytes()]).map(drop)
    }

    /// As the scripts on parked messages expect them.
    fn parked_keys(&self) -> [String; 4] {
        let keys = &self.keys;
        [keys.unacked.clone(), keys.unacked_index.clone(), keys.parked.clone(), keys.parked_ids.clone()]
    }

    /// The entries under these tags; what kombu has released is none.
    fn entries(&mut self, what: &'static str, tags: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let mut entries = Vec::with_capacity(tags.len());
        for tags in tags.chunks(ENTRIES_AT_ONCE) {
            let mut words: Vec<&[u8]> = vec![b"HMGET", self.keys.unacked.as_bytes()];
            words.extend(tags.iter().map(|tag| tag.as_bytes()));
            resp::words(&mut self.blocking.out, &words);
            match self.confirm(what, 1)?.pop() {
                Some(Value::Array(found)) => entries.extend(found.into_iter().map(|entry| match entry {
                    Value::BulkString(entry) => Some(entry),
                    _ => None,
                })),
                other => return Err(self.blocking.call(what).unexpected(&other.unwrap_or(Value::Nil))),
            }
        }
        Ok(entries)
    }

    /// The messages under these tags, which are due at the times beside them.
    fn read_parked(&mut self, what: &'static str, found: Vec<(String, i64)>) -> Result<Vec<Parked>, Error> {
        let tags: Vec<&str> = found.iter().map(|(tag, _)| tag.as_str()).collect();
        let entries = self.entries(what, &tags)?;
        let read = |((tag, due_ms), entry): ((String, i64), Option<Vec<u8>>)| {
            let entry = entry?;
            let split = entry::split(&entry)?;
            Some(Parked::read(format!("{due_ms}:{tag}"), split.routing_key, due_ms, split.message))
        };
        Ok(found.into_iter().zip(entries).filter_map(read).collect())
    }

    /// The result side, if a script on the broker's server reaches it.
    fn results_within(&self, results: Option<ResultsAt<'_>>) -> Result<Option<RedisResults>, Error> {
        let Some(at) = results.filter(|at| at.is(Kind::Redis)) else { return Ok(None) };
        let parsed = RedisResults::parse(at.url, at.options)?;
        Ok(parsed.server.is_same(self.blocking.server()).then_some(parsed))
    }

    fn cancel_some(&mut self, cancels: &[Cancel], side: Option<&RedisResults>) -> Result<Vec<Cancelled>, Error> {
        const WHAT: &str = "cancel parked messages";
        let mut keys: Vec<String> = self.parked_keys().into();
        let (db, result_db) = (self.db.to_string(), side.map_or(self.db, RedisResults::db).to_string());
        let ttls: Vec<String> =
            cancels.iter().map(|cancel| cancel.result.as_ref().map(ttl_text).unwrap_or_default()).collect();
        let mut args: Vec<&[u8]> = vec![db.as_bytes(), result_db.as_bytes()];
        for (cancel, ttl) in cancels.iter().zip(&ttls) {
            let result = side.zip(cancel.result.as_ref());
            keys.push(result.map(|(side, doc)| side.key(&doc.task_id)).unwrap_or_default());
            args.extend([
                tag_of(&cancel.handle).as_bytes(),
                result.map_or(&b""[..], |(_, doc)| &doc.doc),
                ttl.as_bytes(),
            ]);
            args.extend([if cancel.seen.is_some() { &b"1"[..] } else { b"" }, cancel.seen.as_deref().unwrap_or(b"")]);
        }
        let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        let reply = self.blocking.script(WHAT, &CANCEL_PARKED, &keys, &args)?;
        let answers = match &reply {
            Value::Array(answers) if answers.len() == cancels.len() => answers,
            other => return Err(self.blocking.call(WHAT).unexpected(other)),
        };
        let answer = |answer: &Value| match int(answer) {
            Some(1) => Cancelled::Removed,
            Some(-1) => Cancelled::ResultChanged,
            _ => Cancelled::NotParked,
        };
        Ok(answers.iter().map(answer).collect())
    }
}

impl ParkedClient for RedisClient {
    fn parked_count(&mut self) -> Result<u64, Error> {
        let key = self.keys.parked.clone();
        let count = self.command("count parked messages", &[b"ZCARD", key.as_bytes()])?;
        Ok(int(&count).unwrap_or(0) as u64)
    }

    fn parked_page(&mut self, after: Option<&str>, limit: usize) -> Result<ParkedPage, Error> {
        const WHAT: &str = "list parked messages";
        let limit = limit.min(PARKED_AT_ONCE);
        let (due, tag) = after.and_then(|after| after.split_once(':')).unwrap_or(("0", ""));
        let (key, count) = (self.keys.parked.clone(), limit.to_string());
        let args = [due.as_bytes(), tag.as_bytes(), count.as_bytes()];
        let reply = self.blocking.script(WHAT, &PARKED_PAGE, &[key.as_bytes()], &args)?;
        let mut found: Vec<(String, i64)> = Vec::with_capacity(limit);
        let mut texts = texts(reply).unwrap_or_default().into_iter();
        while let (Some(tag), Some(score)) = (texts.next(), texts.next()) {
            found.push((tag, milliseconds(&score)));
        }
        let next = found.last().filter(|_| found.len() == limit).map(|(tag, due_ms)| format!("{due_ms}:{tag}"));
        Ok(ParkedPage { messages: self.read_parked(WHAT, found)?, next })
    }

    fn parked_of(&mut self, ids: &[&str]) -> Result<Vec<Parked>, Error> {
        const WHAT: &str = "find parked messages";
        let (by_id, parked) = (self.keys.parked_ids.clone(), self.keys.parked.clone());
        for id in ids {
            let prefix = parked_prefix(id);
            // A semicolon is the byte behind the colon that ends the prefix.
            let (from, to) = (format!("[{prefix}"), format!("({};", &prefix[..prefix.len() - 1]));
            let limit = PARKED_AT_ONCE.to_string();
            let range: [&[u8]; 7] =
                [b"ZRANGEBYLEX", by_id.as_bytes(), from.as_bytes(), to.as_bytes(), b"LIMIT", b"0", limit.as_bytes()];
            resp::words(&mut self.blocking.out, &range);
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let tags: Vec<String> =
            self.confirm(WHAT, ids.len())?.into_iter().flat_map(|tags| texts(tags).unwrap_or_default()).collect();
        if tags.is_empty() {
            return Ok(Vec::new());
        }
        let mut words: Vec<&[u8]> = vec![b"ZMSCORE", parked.as_bytes()];
        words.extend(tags.iter().map(String::as_bytes));
        let scores = match self.command(WHAT, &words)? {
            Value::Array(scores) => scores,
            other => return Err(self.blocking.call(WHAT).unexpected(&other)),
        };
        let due = |(tag, score): (String, Value)| Some((tag, milliseconds(&super::failure::text(score)?)));
        self.read_parked(WHAT, tags.into_iter().zip(scores).filter_map(due).collect())
    }

    fn release_parked(&mut self, handles: &[&str]) -> Result<Vec<bool>, Error> {
        const WHAT: &str = "release parked messages";
        let keys = self.parked_keys();
        let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        let mut released = Vec::with_capacity(handles.len());
        let tags: Vec<&str> = handles.iter().map(|handle| tag_of(handle)).collect();
        for tags in tags.chunks(ENTRIES_AT_ONCE) {
            let mut messages = Vec::with_capacity(tags.len());
            for entry in self.entries(WHAT, tags)? {
                let message = entry.as_deref().and_then(entry::split).map(|split| due_now(split.message));
                messages.push(message.unwrap_or_default());
            }
            let mut args: Vec<&[u8]> = Vec::with_capacity(3 * tags.len());
            for (tag, message) in tags.iter().zip(&messages) {
                // A name that is none of ours, or has no entry, is not found by the script either.
                args.extend([tag.as_bytes(), parked_list(tag).unwrap_or_default().as_bytes(), message]);
            }
            match self.blocking.script(WHAT, &RELEASE_PARKED, &keys, &args)? {
                Value::Array(answers) => released.extend(answers.iter().map(|answer| int(answer) == Some(1))),
                other => return Err(self.blocking.call(WHAT).unexpected(&other)),
            }
        }
        Ok(released)
    }

    fn hasten_parked(&mut self, handles: &[&str]) -> Result<Vec<bool>, Error> {
        const WHAT: &str = "hasten parked messages";
        let keys = self.parked_keys();
        let keys: Vec<&[u8]> = keys.iter().take(3).map(String::as_bytes).collect();
        let (soon, visible) = (HASTENED.as_millis().to_string(), self.visibility_timeout.as_millis().to_string());
        let mut args: Vec<&[u8]> = vec![soon.as_bytes(), visible.as_bytes()];
        args.extend(handles.iter().map(|handle| tag_of(handle).as_bytes()));
        match self.blocking.script(WHAT, &HASTEN_PARKED, &keys, &args)? {
            Value::Array(answers) => Ok(answers.iter().map(|answer| int(answer) == Some(1)).collect()),
            other => Err(self.blocking.call(WHAT).unexpected(&other)),
        }
    }

    fn cancel_parked(&mut self, cancels: &[Cancel], results: Option<ResultsAt<'_>>) -> Result<Vec<Cancelled>, Error> {
        let side = self.results_within(results)?;
        let mut done = Vec::with_capacity(cancels.len());
        for cancels in cancels.chunks(ENTRIES_AT_ONCE) {
            let Some(at) = results.filter(|_| side.is_none()) else {
                done.extend(self.cancel_some(cancels, side.as_ref())?);
                continue;
            };
            let tags: Vec<&str> = cancels.iter().map(|cancel| tag_of(&cancel.handle)).collect();
            let entries = self.entries("cancel parked messages", &tags)?;
            let stands: Vec<bool> = entries.iter().map(Option::is_some).collect();
            let (mut answers, places) = store_first(cancels, &stands, at)?;
            let rest: Vec<Cancel> = places.iter().map(|place| cancels[*place].clone()).collect();
            for (place, answer) in places.into_iter().zip(self.cancel_some(&rest, None)?) {
                answers[place] = answer;
            }
            done.extend(answers);
        }
        Ok(done)
    }
}

/// A handle is the due time, for the next page, and the tag.
fn tag_of(handle: &str) -> &str {
    handle.split_once(':').map_or("", |(_, tag)| tag)
}

/// What cannot be read cannot run either: it goes back as it is, and the next worker buries it.
fn due_now(message: &[u8]) -> Vec<u8> {
    fastworker_wire::envelope::without_eta(message).unwrap_or_else(|error| {
        tracing::warn!(%error, "a message is released with its eta");
        message.to_vec()
    })
}

/// A score of ours.
fn milliseconds(score: &str) -> i64 {
    score.parse::<f64>().map_or(0, |score| score as i64)
}
