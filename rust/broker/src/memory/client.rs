//! A client's connection to a room.

use std::sync::Arc;

use crate::{Client, DeadLetter, Error, Publish};

use super::dead;
use super::lane;
use super::room::Room;

/// A client of a room. Enters it at once; there is nothing to connect to.
pub struct MemoryClient {
    pub(super) room: Arc<Room>,
}

impl MemoryClient {
    /// In the room of this name.
    pub fn new(name: &str) -> MemoryClient {
        MemoryClient { room: Room::enter(name) }
    }
}

impl Client for MemoryClient {
    fn publish(&mut self, batch: &[Publish]) -> Result<(), Error> {
        self.room.lock("publish")?.publish(batch);
        Ok(())
    }

    fn depth(&mut self, queue: &str) -> Result<u64, Error> {
        let state = self.room.lock("depth")?;
        let waiting = state.queues.get(queue).map_or(0, |queue| queue.len());
        Ok((waiting + state.lanes.count(queue)) as u64)
    }

    fn holds(&mut self, task_id: &str, _queues: &[&str]) -> Result<bool, Error> {
        Ok(self.room.lock("search for a message")?.holds(task_id))
    }

    fn purge(&mut self, queue: &str) -> Result<u64, Error> {
        let mut state = self.room.lock("purge")?;
        let waiting = state.queues.remove(queue).map_or(0, |queue| queue.len() as u64);
        Ok(waiting + lane::empty(&mut state, queue, true))
    }

    fn unlane(&mut self, queue: &str) -> Result<u64, Error> {
        Ok(lane::empty(&mut *self.room.lock("unlane")?, queue, false))
    }

    fn unpark(&mut self) -> Result<u64, Error> {
        Ok(self.room.lock("unpark")?.unpark())
    }

    fn dead_letters(&mut self, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        Ok(self.room.lock("dead letters")?.dead.newest(limit))
    }

    fn dead_letter(&mut self, id: &str) -> Result<Option<DeadLetter>, Error> {
        Ok(self.room.lock("dead letters")?.dead.one(id))
    }

    fn retry_dead_letter(&mut self, id: &str) -> Result<bool, Error> {
        Ok(dead::retry(&mut *self.room.lock("retry of a dead letter")?, id))
    }

    fn purge_dead_letters(&mut self, id: Option<&str>) -> Result<u64, Error> {
        Ok(self.room.lock("purge of dead letters")?.dead.purge(id))
    }
}
