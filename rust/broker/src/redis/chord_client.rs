//! Groups and chords for a client, under Celery's keys: the document of a group, and beside it, with these endings, what
//! is known of a chord: `.s` its size, `.t` how many were added to it, `.j` the parts, `.d` whose they are, `.c` who
//! joins it; `.f`, ours alone, how many failed where that may end it.

use bytes::Bytes;

use super::resp;
use super::results::{RedisResultClient, document};
use super::script::STORE;
use crate::{ChordClient, Error};

/// Documents in one command: a server takes at most a million words.
const KEPT_AT_ONCE: usize = 1_000;

/// Celery's `result_expires = 0` keeps for ever.
fn seconds(ttl_s: Option<u64>) -> Option<String> {
    ttl_s.filter(|ttl_s| *ttl_s > 0).map(|ttl_s| ttl_s.to_string())
}

fn set_size<'a>(key: &'a str, size: &'a str, ttl: Option<&'a str>) -> Vec<&'a [u8]> {
    let mut set: Vec<&[u8]> = vec![b"SET", key.as_bytes(), size.as_bytes()];
    if let Some(ttl) = ttl {
        set.extend([&b"EX"[..], ttl.as_bytes()]);
    }
    set
}

impl RedisResultClient {
    /// Runs what `fill` writes as one transaction.
    fn transact(&mut self, what: &'static str, commands: &[Vec<&[u8]>]) -> Result<(), Error> {
        resp::words(&mut self.asking.out, &[b"MULTI"]);
        commands.iter().for_each(|command| resp::words(&mut self.asking.out, command));
        resp::words(&mut self.asking.out, &[b"EXEC"]);
        let replies = self.asking.exchange(what, commands.len() + 2)?;
        self.asking.call(what).values(replies).map(drop)
    }
}

impl ChordClient for RedisResultClient {
    fn begin_chord(&mut self, group_id: &str, size: Option<u64>, ttl_s: Option<u64>) -> Result<(), Error> {
        let [j, t, s, d, _, c, f] = self.results.chord_keys(group_id);
        let (size, ttl) = (size.map(|size| size.to_string()), seconds(ttl_s));
        let keys = [&j, &t, &s, &d, &c, &f].map(|key| key.as_bytes());
        let forget = [&[&b"DEL"[..]], &keys[..]].concat();
        let set = size.as_ref().map(|size| set_size(&s, size, ttl.as_deref()));
        self.transact("begin a chord", &[Some(forget), set].into_iter().flatten().collect::<Vec<_>>())
    }

    fn set_chord_size(&mut self, group_id: &str, size: u64, ttl_s: Option<u64>) -> Result<(), Error> {
        let [_, _, s, ..] = self.results.chord_keys(group_id);
        let (size, ttl) = (size.to_string(), seconds(ttl_s));
        resp::words(&mut self.asking.out, &set_size(&s, &size, ttl.as_deref()));
        let replies = self.asking.exchange("set chord size", 1)?;
        self.asking.call("set chord size").values(replies).map(drop)
    }

    fn add_to_chord(&mut self, group_id: &str, ttl_s: Option<u64>) -> Result<(), Error> {
        let [_, key, ..] = self.results.chord_keys(group_id);
        let ttl = seconds(ttl_s);
        let mut commands = vec![vec![&b"INCR"[..], key.as_bytes()]];
        if let Some(ttl) = &ttl {
            commands.push(vec![b"EXPIRE", key.as_bytes(), ttl.as_bytes()]);
        }
        self.transact("add to chord", &commands)
    }

    fn save_group(&mut self, group_id: &str, doc: &[u8], ttl_s: Option<u64>) -> Result<(), Error> {
        let (key, ttl) = (self.results.group_key(group_id), seconds(ttl_s).unwrap_or_default());
        self.asking.script("save group", &STORE, &[key.as_bytes()], &[doc, ttl.as_bytes(), b"1"]).map(drop)
    }

    fn group(&mut self, group_id: &str) -> Result<Option<Bytes>, Error> {
        let key = self.results.group_key(group_id);
        resp::words(&mut self.asking.out, &[b"GET", key.as_bytes()]);
        let reply = self.asking.exchange("restore group", 1)?.pop().unwrap_or(redis::Value::Nil);
        Ok(document(self.asking.call("restore group").value(reply)?))
    }

    fn keep(&mut self, name: &str, docs: &[&[u8]], ttl_s: Option<u64>) -> Result<(), Error> {
        let [key, ..] = self.results.chord_keys(name);
        let ttl = seconds(ttl_s);
        let places: Vec<String> = (0..docs.len()).map(|place| place.to_string()).collect();
        let mut commands = vec![vec![&b"DEL"[..], key.as_bytes()]];
        for (docs, places) in docs.chunks(KEPT_AT_ONCE).zip(places.chunks(KEPT_AT_ONCE)) {
            if self.results.has_ordered_parts {
                let pairs = places.iter().zip(docs).flat_map(|(place, doc)| [place.as_bytes(), doc]);
                commands.push([&b"ZADD"[..], key.as_bytes()].into_iter().chain(pairs).collect());
            } else {
                commands.push([&b"RPUSH"[..], key.as_bytes()].into_iter().chain(docs.iter().copied()).collect());
            }
        }
        if let Some(ttl) = &ttl {
            commands.push(vec![b"EXPIRE", key.as_bytes(), ttl.as_bytes()]);
        }
        self.transact("keep for a reference", &commands)
    }

    fn kept(&mut self, name: &str, first: u64, count: u64, ttl_s: Option<u64>) -> Result<Vec<Bytes>, Error> {
        const WHAT: &str = "read what a reference names";
        let [key, ..] = self.results.chord_keys(name);
        let (ttl, last) = (seconds(ttl_s), (first + count).saturating_sub(1).to_string());
        let first = first.to_string();
        let range: &[u8] = if self.results.has_ordered_parts { b"ZRANGE" } else { b"LRANGE" };
        resp::words(&mut self.asking.out, &[range, key.as_bytes(), first.as_bytes(), last.as_bytes()]);
        if let Some(ttl) = &ttl {
            resp::words(&mut self.asking.out, &[b"EXPIRE", key.as_bytes(), ttl.as_bytes()]);
        }
        let replies = self.asking.exchange(WHAT, 1 + usize::from(ttl.is_some()))?;
        let mut values = self.asking.call(WHAT).values(replies)?.into_iter();
        let docs = values.next().unwrap_or(redis::Value::Nil);
        let redis::Value::Array(docs) = docs else { return Err(self.asking.call(WHAT).unexpected(&docs)) };
        Ok(docs.into_iter().filter_map(document).collect())
    }

    fn delete_group(&mut self, group_id: &str) -> Result<(), Error> {
        let key = self.results.group_key(group_id);
        resp::words(&mut self.asking.out, &[b"DEL", key.as_bytes()]);
        let replies = self.asking.exchange("delete group", 1)?;
        self.asking.call("delete group").values(replies).map(drop)
    }
}
