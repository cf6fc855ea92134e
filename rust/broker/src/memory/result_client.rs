//! A client's connection to the results of a room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::clock::now_ms;
use crate::watched::Watched;
use crate::{ChordClient, Error, ResultClient, ResultDoc};

use super::broker;
use super::room::Room;

/// A client of the results of a room.
pub struct MemoryResultClient {
    room: Arc<Room>,
    watched: Watched,
}

impl MemoryResultClient {
    /// In the room of this name.
    pub fn new(name: &str) -> MemoryResultClient {
        MemoryResultClient { room: Room::enter(name), watched: Watched::default() }
    }
}

impl ResultClient for MemoryResultClient {
    fn get(&mut self, task_id: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.room.lock("get of a result")?.results.get(task_id, now_ms()))
    }

    fn get_many(&mut self, task_ids: &[&str]) -> Result<Vec<Option<Bytes>>, Error> {
        let state = self.room.lock("get of results")?;
        let now = now_ms();
        Ok(task_ids.iter().map(|task_id| state.results.get(task_id, now)).collect())
    }

    fn wait(&mut self, task_id: &str, seen: Option<&[u8]>, timeout: Duration) -> Result<Option<Bytes>, Error> {
        let end = Instant::now().checked_add(timeout);
        let mut state = self.room.lock("wait for a result")?;
        loop {
            let found = state.results.get(task_id, now_ms());
            if let Some(found) = found.filter(|found| seen != Some(&found[..])) {
                return Ok(Some(found));
            }
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            (state, _) = self.room.stored.wait_timeout(state, left).expect("nothing panics while it holds a room");
        }
    }

    fn watch(&mut self, task_ids: &[&str]) {
        self.watched.add(task_ids);
    }

    fn unwatch(&mut self, task_ids: &[&str]) {
        self.watched.remove(task_ids);
    }

    fn news(&mut self, timeout: Duration) -> Result<Vec<(String, Bytes)>, Error> {
        let end = Instant::now().checked_add(timeout);
        let mut state = self.room.lock("look at watched results")?;
        while !self.watched.is_empty() {
            let now = now_ms();
            let news = self.watched.look(|task_id| Ok::<_, Error>(state.results.get(task_id, now)))?;
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if !news.is_empty() || left.is_zero() {
                return Ok(news);
            }
            (state, _) = self.room.stored.wait_timeout(state, left).expect("nothing panics while it holds a room");
        }
        Ok(Vec::new())
    }

    fn store(&mut self, batch: &[ResultDoc]) -> Result<(), Error> {
        broker::store(&self.room, batch)
    }

    fn replace(&mut self, seen: Option<&[u8]>, doc: &ResultDoc) -> Result<bool, Error> {
        let is_unchanged = self.room.lock("store of a result")?.results.replace(seen, doc, now_ms());
        self.room.stored.notify_all();
        Ok(is_unchanged)
    }

    fn forget(&mut self, task_ids: &[&str]) -> Result<(), Error> {
        let mut state = self.room.lock("forget of results")?;
        task_ids.iter().for_each(|task_id| state.results.remove(task_id));
        Ok(())
    }
}

impl ChordClient for MemoryResultClient {
    fn begin_chord(
        &mut self,
        group_id: &str,
        size: Option<u64>,
        ttl_s: Option<u64>,
        run: Option<&str>,
    ) -> Result<(), Error> {
        self.room.lock("begin a chord")?.chords.begin(group_id, size, ttl_s, run, now_ms());
        Ok(())
    }

    fn set_chord_size(&mut self, group_id: &str, size: u64, ttl_s: Option<u64>) -> Result<(), Error> {
        self.room.lock("set chord size")?.chords.set_size(group_id, size, ttl_s, now_ms());
        Ok(())
    }

    fn add_to_chord(&mut self, group_id: &str, ttl_s: Option<u64>, member: Option<&str>) -> Result<(), Error> {
        self.room.lock("add to chord")?.chords.add(group_id, ttl_s, member, now_ms());
        Ok(())
    }

    fn save_group(&mut self, group_id: &str, doc: &[u8], ttl_s: Option<u64>) -> Result<(), Error> {
        self.room.lock("save group")?.chords.save_group(group_id, doc, ttl_s, now_ms());
        Ok(())
    }

    fn group(&mut self, group_id: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.room.lock("restore group")?.chords.group(group_id, now_ms()))
    }

    fn keep(&mut self, name: &str, docs: &[&[u8]], ttl_s: Option<u64>) -> Result<(), Error> {
        self.room.lock("keep for a reference")?.chords.keep(name, docs, ttl_s, now_ms());
        Ok(())
    }

    fn kept(&mut self, name: &str, first: u64, count: u64, ttl_s: Option<u64>) -> Result<Vec<Bytes>, Error> {
        let mut state = self.room.lock("read what a reference names")?;
        Ok(state.chords.kept(name, first, count, ttl_s, now_ms()))
    }

    fn delete_group(&mut self, group_id: &str) -> Result<(), Error> {
        self.room.lock("delete group")?.chords.delete_group(group_id);
        Ok(())
    }
}
