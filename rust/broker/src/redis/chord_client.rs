//! Groups and chords for a client, under Celery's keys: the document of a group, and beside it, with these endings, what
//! is known of a chord: `.s` its size, `.t` how many were added to it, `.j` the parts, `.d` whose they are, `.c` who
//! joins it.

use bytes::Bytes;

use super::resp;
use super::results::{RedisResultClient, document};
use super::script::STORE;
use crate::{ChordClient, Error};

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
        let [j, t, s, d, _, c] = self.results.chord_keys(group_id);
        let (size, ttl) = (size.map(|size| size.to_string()), seconds(ttl_s));
        let forget = [&b"DEL"[..], j.as_bytes(), t.as_bytes(), s.as_bytes(), d.as_bytes(), c.as_bytes()];
        let set = size.as_ref().map(|size| set_size(&s, size, ttl.as_deref()));
        self.transact("begin a chord", &[Some(forget.to_vec()), set].into_iter().flatten().collect::<Vec<_>>())
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

    fn delete_group(&mut self, group_id: &str) -> Result<(), Error> {
        let key = self.results.group_key(group_id);
        resp::words(&mut self.asking.out, &[b"DEL", key.as_bytes()]);
        let replies = self.asking.exchange("delete group", 1)?;
        self.asking.call("delete group").values(replies).map(drop)
    }
}
