//! A blocking connection to the result store in a SQLite file.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::options::SqliteOptions;
use super::slot::Slot;
use super::wake::{self, Bell, Ear};
use super::{chord, results};
use crate::clock::now_ms;
use crate::watched::Watched;
use crate::{ChordClient, Error, ResultClient, ResultDoc};

/// A client of the results in a SQLite file. Opens the file at its first call.
pub struct SqliteResultClient {
    slot: Slot,
    /// Opened at the first wait, and stamped: two processes that read from one inotify steal each other's events.
    ear: Option<(u32, Option<Ear>)>,
    watched: Watched,
}

impl SqliteResultClient {
    /// Opens nothing yet.
    pub fn new(options: SqliteOptions) -> SqliteResultClient {
        SqliteResultClient { slot: Slot::new(options), ear: None, watched: Watched::default() }
    }

    /// The ear of this process; `None` when the system has none to give.
    fn ear(&mut self) -> Option<&Ear> {
        let pid = std::process::id();
        if self.ear.as_ref().is_none_or(|(owner, _)| *owner != pid) {
            self.ear = Some((pid, Ear::new(&self.slot.options().path, Bell::Results)));
        }
        self.ear.as_ref().and_then(|(_, ear)| ear.as_ref())
    }
}

impl ResultClient for SqliteResultClient {
    fn get(&mut self, task_id: &str) -> Result<Option<Bytes>, Error> {
        let found = self.slot.read("get of a result", |session| results::get(session, task_id, now_ms()))?;
        Ok(found.map(Bytes::from))
    }

    fn get_many(&mut self, task_ids: &[&str]) -> Result<Vec<Option<Bytes>>, Error> {
        self.slot.read("get of results", |session| {
            let now = now_ms();
            task_ids.iter().map(|task_id| Ok(results::get(session, task_id, now)?.map(Bytes::from))).collect()
        })
    }

    fn wait(&mut self, task_id: &str, seen: Option<&[u8]>, timeout: Duration) -> Result<Option<Bytes>, Error> {
        let end = Instant::now().checked_add(timeout);
        let mut has_slept = false;
        loop {
            // The first look also creates the file and its log, which the ear needs to be there.
            let found = self.get(task_id)?;
            if let Some(found) = found.filter(|found| seen != Some(&found[..])) {
                return Ok(Some(found));
            }
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            let ear = self.ear();
            if has_slept {
                wake::sleep(ear, left);
            }
            // The ear may have been opened after the look: look once more before the first sleep.
            has_slept = true;
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
        let mut has_slept = false;
        while !self.watched.is_empty() {
            let watched = &mut self.watched;
            let news = self.slot.read("look at watched results", |session| {
                let now = now_ms();
                watched.look(|task_id| Ok(results::get(session, task_id, now)?.map(Bytes::from)))
            })?;
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if !news.is_empty() || left.is_zero() {
                return Ok(news);
            }
            let ear = self.ear();
            if has_slept {
                wake::sleep(ear, left);
            }
            // The ear may have been opened after the look: look once more before the first sleep.
            has_slept = true;
        }
        Ok(Vec::new())
    }

    fn store(&mut self, batch: &[ResultDoc]) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        self.slot.write("store of results", |session| results::store(session, batch, now_ms()))
    }

    fn replace(&mut self, seen: Option<&[u8]>, doc: &ResultDoc) -> Result<bool, Error> {
        self.slot.write("store of a result", |session| results::replace(session, seen, doc, now_ms()))
    }

    fn forget(&mut self, task_ids: &[&str]) -> Result<(), Error> {
        self.slot.write("forget of results", |session| results::forget(session, task_ids))
    }
}

impl ChordClient for SqliteResultClient {
    fn begin_chord(
        &mut self,
        group_id: &str,
        size: Option<u64>,
        ttl_s: Option<u64>,
        run: Option<&str>,
    ) -> Result<(), Error> {
        self.slot.write("begin a chord", |session| chord::begin(session, group_id, size, ttl_s, run, now_ms()))
    }

    fn set_chord_size(&mut self, group_id: &str, size: u64, ttl_s: Option<u64>) -> Result<(), Error> {
        self.slot.write("set chord size", |session| chord::set_size(session, group_id, size, ttl_s, now_ms()))
    }

    fn add_to_chord(&mut self, group_id: &str, ttl_s: Option<u64>, member: Option<&str>) -> Result<(), Error> {
        self.slot.write("add to chord", |session| chord::add(session, group_id, ttl_s, member, now_ms()))
    }

    fn save_group(&mut self, group_id: &str, doc: &[u8], ttl_s: Option<u64>) -> Result<(), Error> {
        self.slot.write("save group", |session| chord::save_group(session, group_id, doc, ttl_s, now_ms()))
    }

    fn group(&mut self, group_id: &str) -> Result<Option<Bytes>, Error> {
        let found = self.slot.read("restore group", |session| chord::group(session, group_id, now_ms()))?;
        Ok(found.map(Bytes::from))
    }

    fn keep(&mut self, name: &str, docs: &[&[u8]], ttl_s: Option<u64>) -> Result<(), Error> {
        self.slot.write("keep for a reference", |session| chord::keep(session, name, docs, ttl_s, now_ms()))
    }

    fn kept(&mut self, name: &str, first: u64, count: u64, ttl_s: Option<u64>) -> Result<Vec<Bytes>, Error> {
        if ttl_s.is_some() {
            self.slot.write("read what a reference names", |session| chord::prolong(session, name, ttl_s, now_ms()))?;
        }
        self.slot.read("read what a reference names", |session| chord::kept(session, name, first, count))
    }

    fn delete_group(&mut self, group_id: &str) -> Result<(), Error> {
        self.slot.write("delete group", |session| chord::delete_group(session, group_id))
    }
}
