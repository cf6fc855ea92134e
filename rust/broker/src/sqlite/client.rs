//! A blocking connection to the embedded broker, for client processes and the command line.

use rusqlite::OptionalExtension;

use super::options::SqliteOptions;
use super::session::Session;
use super::slot::Slot;
use super::{dead, lane, park, publish};
use crate::parked::is_of;
use crate::{Client, DeadLetter, Error, Publish};

/// A purge removes this many messages a transaction, so that workers are not kept from the file.
const PURGED: i64 = 10_000;

/// A client of a queue in a SQLite file. Opens the file at its first call.
pub struct SqliteClient {
    pub(super) slot: Slot,
}

impl SqliteClient {
    /// Opens nothing yet: a web server makes one before it forks.
    pub fn new(options: SqliteOptions) -> SqliteClient {
        SqliteClient { slot: Slot::new(options) }
    }
}

impl Client for SqliteClient {
    fn publish(&mut self, batch: &[Publish]) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        self.slot.write("publish", |session| publish::publish(session, batch))
    }

    fn depth(&mut self, queue: &str) -> Result<u64, Error> {
        self.slot.read("depth", |session| {
            let Some(queue) = session.known_queue_id(queue)? else { return Ok(0) };
            let mut count = session.sql.prepare_cached("SELECT count(*) FROM ready WHERE queue = ?1")?;
            let waiting = count.query_row([queue], |row| row.get::<_, i64>(0))?;
            Ok((waiting + lane::count(session, queue)?) as u64)
        })
    }

    /// Every message has its row there, wherever it is.
    fn holds(&mut self, task_id: &str, _queues: &[&str]) -> Result<bool, Error> {
        self.slot.read("search for a message", |session| {
            let mut found = session.sql.prepare_cached("SELECT message FROM bodies WHERE instr(message, ?1)")?;
            let mut rows = found.query([task_id.as_bytes()])?;
            while let Some(row) = rows.next()? {
                if is_of(row.get_ref(0)?.as_blob()?, task_id) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Removes what waits now; what is published meanwhile stays, or the purge of a busy queue would never end.
    fn purge(&mut self, queue: &str) -> Result<u64, Error> {
        let newest = self.slot.read("purge", |session| newest(session, queue))?;
        let mut total = self.empty_lanes("purge", queue, true)?;
        let Some((queue, newest)) = newest else { return Ok(total) };
        loop {
            let removed = self.slot.write("purge", |session| purge_some(session, queue, newest))?;
            total += removed;
            if removed == 0 {
                return Ok(total);
            }
        }
    }

    fn unlane(&mut self, queue: &str) -> Result<u64, Error> {
        self.empty_lanes("unlane", queue, false)
    }

    fn unpark(&mut self) -> Result<u64, Error> {
        let mut total = 0;
        loop {
            let moved = self.slot.write("unpark", park::release_some)?;
            total += moved;
            if moved == 0 {
                return Ok(total);
            }
        }
    }

    fn dead_letters(&mut self, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.slot.read("dead letters", |session| dead::newest(session, limit))
    }

    fn dead_letter(&mut self, id: &str) -> Result<Option<DeadLetter>, Error> {
        self.slot.read("dead letters", |session| dead::one(session, id))
    }

    fn retry_dead_letter(&mut self, id: &str) -> Result<bool, Error> {
        self.slot.write("retry of a dead letter", |session| dead::retry(session, id))
    }

    fn purge_dead_letters(&mut self, id: Option<&str>) -> Result<u64, Error> {
        self.slot.write("purge of dead letters", |session| dead::purge(session, id))
    }
}

impl SqliteClient {
    /// Puts all messages in the lanes of a queue back, or drops them; returns how many.
    fn empty_lanes(&mut self, what: &'static str, queue: &str, is_purge: bool) -> Result<u64, Error> {
        let mut total = 0;
        loop {
            let moved = self.slot.write(what, |session| match session.known_queue_id(queue)? {
                Some(queue) => lane::empty(session, queue, i64::MAX, is_purge),
                None => Ok(0),
            })?;
            total += moved;
            if moved == 0 {
                return Ok(total);
            }
        }
    }
}

/// The queue's number and the age of its newest waiting message.
fn newest(session: &Session, queue: &str) -> rusqlite::Result<Option<(i64, i64)>> {
    let Some(queue) = session.known_queue_id(queue)? else { return Ok(None) };
    let newest: Option<Option<i64>> = session
        .sql
        .prepare_cached("SELECT max(id) FROM ready WHERE queue = ?1")?
        .query_row([queue], |row| row.get(0))
        .optional()?;
    Ok(newest.flatten().map(|newest| (queue, newest)))
}

pub(super) fn purge_some(session: &Session, queue: i64, newest: i64) -> rusqlite::Result<u64> {
    let mut waiting =
        session.sql.prepare_cached("SELECT priority, id FROM ready WHERE queue = ?1 AND id <= ?2 LIMIT ?3")?;
    let batch: Vec<(u8, i64)> =
        waiting.query_map((queue, newest, PURGED), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut place = session.sql.prepare_cached("DELETE FROM ready WHERE queue = ?1 AND priority = ?2 AND id = ?3")?;
    let mut body = session.sql.prepare_cached("DELETE FROM bodies WHERE id = ?1")?;
    for (priority, id) in &batch {
        place.execute((queue, priority, id))?;
        body.execute([id])?;
    }
    Ok(batch.len() as u64)
}
