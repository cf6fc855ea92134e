//! Groups and chords for a client, under Celery's keys: the document of a group, and beside it, with these endings, what
//! is known of a chord: `.s` its size, `.t` how many were added to it, `.j` the parts, `.d` whose they are, `.c` who
//! joins it; and of ours alone `.f`, how many failed where that may end it, and `.m`, the name of its run and which members
//! were added.

use bytes::Bytes;

use super::resp;
use super::results::{RedisResultClient, document};
use super::script::{ADD_TO_CHORD, BEGIN_CHORD, STORE};
use crate::chord::MARKS_S;
use crate::{ChordClient, Error};

/// Documents in one command: a server takes at most a million words.
const KEPT_AT_ONCE: usize = 1_000;

/// Celery's `result_expires = 0` keeps for ever.
fn seconds(ttl_s: Option<u64>) -> Option<String> {
    ttl_s.filter(|ttl_s| *ttl_s > 0).map(|ttl_s| ttl_s.to_string())
}

/// For marks: they outlive the chord's end.
fn marks_s(ttl_s: Option<u64>) -> String {
    ttl_s.unwrap_or_default().max(MARKS_S).to_string()
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
    fn begin_chord(
        &mut self,
        group_id: &str,
        size: Option<u64>,
        ttl_s: Option<u64>,
        run: Option<&str>,
    ) -> Result<(), Error> {
        let [j, t, s, d, _, c, f] = self.results.chord_keys(group_id);
        let marks = self.results.marks_key(group_id);
        let own = self.results.own_claim_key(group_id);
        let keys = [&j, &t, &s, &d, &c, &f, &marks, &own].map(|key| key.as_bytes());
        let size = size.map(|size| size.to_string()).unwrap_or_default();
        let (ttl, run) = (seconds(ttl_s).unwrap_or_default(), run.unwrap_or_default());
        let marks_ttl = marks_s(ttl_s);
        let args = [size.as_bytes(), ttl.as_bytes(), run.as_bytes(), marks_ttl.as_bytes()];
        self.asking.script("begin a chord", &BEGIN_CHORD, &keys, &args).map(drop)
    }

    fn set_chord_size(&mut self, group_id: &str, size: u64, ttl_s: Option<u64>) -> Result<(), Error> {
        let [_, _, s, ..] = self.results.chord_keys(group_id);
        let (size, ttl) = (size.to_string(), seconds(ttl_s));
        resp::words(&mut self.asking.out, &set_size(&s, &size, ttl.as_deref()));
        let replies = self.asking.exchange("set chord size", 1)?;
        self.asking.call("set chord size").values(replies).map(drop)
    }

    fn add_to_chord(&mut self, group_id: &str, ttl_s: Option<u64>, member: Option<&str>) -> Result<(), Error> {
        let [_, added, ..] = self.results.chord_keys(group_id);
        let marks = self.results.marks_key(group_id);
        let (ttl, member) = (seconds(ttl_s).unwrap_or_default(), member.unwrap_or_default());
        let (keys, marks_ttl) = ([added.as_bytes(), marks.as_bytes()], marks_s(ttl_s));
        let args = [ttl.as_bytes(), member.as_bytes(), marks_ttl.as_bytes()];
        self.asking.script("add to chord", &ADD_TO_CHORD, &keys, &args).map(drop)
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
