//! A worker's connection to a room.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use crate::clock::now_ms;
use crate::lane::{Ask, Drawn, Granted, Quota};
use crate::order::QueueOrder;
use crate::vigil::Vigil;
use crate::{
    Broker, Delivery, Error, Fanout, Heard, Join, Joined, LeaseTerms, Part, Parts, Portion, Publish, Recovered,
    Remains, ResultDoc, Revocation, Settled, Settlement, Tag,
};

use super::control::Ear;
use super::fetch::{Request, fetch};
use super::lane;
use super::room::Room;
use super::state::Watcher;

/// The next tag, and whose turn it is.
struct Counters {
    next_tag: u64,
    turn: usize,
}

/// A broker, and the results beside it, in a room.
pub struct MemoryBroker {
    room: Arc<Room>,
    owner: i64,
    terms: LeaseTerms,
    order: QueueOrder,
    watcher: Arc<Watcher>,
    ear: Arc<Ear>,
    counters: Mutex<Counters>,
    vigil: Mutex<Vigil>,
    /// Our queues for copies.
    enlisted: Mutex<Vec<Fanout>>,
}

impl MemoryBroker {
    /// A new incarnation in the room of this name, that watches `queues`.
    ///
    /// # Errors
    /// [`Error::Refused`] when the room is another process's; so do all other operations.
    pub fn connect(name: &str, queues: &[String], terms: LeaseTerms) -> Result<MemoryBroker, Error> {
        let room = Room::enter(name);
        let watcher = Arc::new(Watcher { queues: Mutex::new(queues.into()), bell: tokio::sync::Notify::new() });
        let mut state = room.lock("connect")?;
        let owner = state.incarnation();
        state.watch(&watcher);
        state.beat(owner, terms.life);
        let ear = state.desk.ear();
        drop(state);
        Ok(MemoryBroker {
            room,
            owner,
            terms,
            order: QueueOrder::default(),
            watcher,
            ear,
            counters: Mutex::new(Counters { next_tag: 1, turn: 0 }),
            vigil: Mutex::new(Vigil::new(terms.refresh)),
            enlisted: Mutex::default(),
        })
    }

    /// The same, which fetches its queues in this order.
    #[must_use]
    pub fn ordered(self, order: QueueOrder) -> MemoryBroker {
        MemoryBroker { order, ..self }
    }
}

impl Broker for MemoryBroker {
    async fn publish(&self, batch: &[Publish]) -> Result<(), Error> {
        self.room.lock("publish")?.publish(batch);
        Ok(())
    }

    async fn fetch_within(&self, max: usize, portions: &[Portion]) -> Result<Vec<Delivery>, Error> {
        let mut state = self.room.lock("fetch")?;
        state.register(self.owner, self.terms.life);
        let mut counters = self.counters.lock().expect("nothing panics while it holds the counters");
        let request = Request {
            owner: self.owner,
            queues: &self.watcher.queues(),
            max,
            first_tag: counters.next_tag,
            order: self.order,
            turn: counters.turn,
            portions,
        };
        let deliveries = fetch(&mut state, &request);
        counters.next_tag += deliveries.len() as u64;
        counters.turn = counters.turn.wrapping_add(1);
        Ok(deliveries)
    }

    fn watch(&self, queue: &str) {
        self.watcher.add(queue);
    }

    async fn wait(&self) {
        self.watcher.bell.notified().await;
    }

    async fn settle_and_count(&self, batch: &[Settlement]) -> Result<Settled, Error> {
        let settled = self.room.lock("settle")?.settle(self.owner, batch);
        if batch.iter().any(|settlement| settlement.result.is_some()) {
            self.room.stored.notify_all();
        }
        Ok(settled)
    }

    async fn joins(&self) -> Result<Vec<Join>, Error> {
        Ok(self.room.lock("look for joins")?.joins(self.owner))
    }

    async fn parts(&self, group_id: &str) -> Result<Parts, Error> {
        Ok(self.room.lock("read a chord's parts")?.chords.parts(group_id, now_ms()))
    }

    async fn finish_join(&self, joined: &Joined) -> Result<bool, Error> {
        let is_done = self.room.lock("end a join")?.finish_join(joined);
        self.room.stored.notify_all();
        Ok(is_done)
    }

    async fn begin_attempt(&self, tag: Tag, _message_id: &str, floor: u32) -> Result<Option<u32>, Error> {
        Ok(self.room.lock("begin attempt")?.begin_attempt(self.owner, tag.0, floor))
    }

    async fn lost(&self, tags: &[Tag]) -> Result<Vec<Tag>, Error> {
        let state = self.room.lock("look after leases")?;
        Ok(tags.iter().copied().filter(|tag| !state.leased.contains_key(&(self.owner, tag.0))).collect())
    }

    async fn heartbeat(&self) -> Result<(), Error> {
        let enlisted = self.enlisted.lock().expect("nothing panics while it holds the list").clone();
        let mut state = self.room.lock("heartbeat")?;
        state.beat(self.owner, self.terms.life);
        for forgotten in state.enlisted.enlist(&enlisted) {
            state.queues.remove(forgotten.as_str());
        }
        Ok(())
    }

    async fn recover(&self) -> Result<Recovered, Error> {
        let mut state = self.room.lock("recover")?;
        let mut vigil = self.vigil.lock().expect("nothing panics while it holds the vigil");
        Ok(state.recover(&mut vigil, self.owner, self.terms.life, Instant::now().into_std()))
    }

    async fn release_due(&self, now_ms: i64) -> Result<Option<i64>, Error> {
        let mut state = self.room.lock("release")?;
        lane::release_abandoned(&mut state, &self.watcher.queues());
        Ok(state.release_due(now_ms))
    }

    async fn acquire(&self, asks: &[Ask]) -> Result<Vec<Granted>, Error> {
        Ok(lane::acquire(&mut *self.room.lock("acquire")?, self.owner, asks))
    }

    async fn draw_within(&self, max: usize, quotas: &[Quota], portions: &[Portion]) -> Result<Drawn, Error> {
        let mut state = self.room.lock("draw")?;
        state.register(self.owner, self.terms.life);
        let mut counters = self.counters.lock().expect("nothing panics while it holds the counters");
        let first_tag = counters.next_tag;
        let queues = &self.watcher.queues();
        let request = lane::Request { owner: self.owner, queues, max, first_tag, quotas, portions };
        let drawn = lane::draw(&mut state, &request);
        counters.next_tag += drawn.deliveries.len() as u64;
        Ok(drawn)
    }

    async fn store(&self, batch: &[ResultDoc]) -> Result<(), Error> {
        store(&self.room, batch)
    }

    async fn listen(&self, exchange: &str) -> Result<Heard, Error> {
        if self.ear.open(exchange) {
            return Ok(Heard::Gap);
        }
        Ok(Heard::Message(self.ear.next().await))
    }

    async fn enlist(&self, fanout: &Fanout) -> Result<(), Error> {
        self.enlisted.lock().expect("as above").push(fanout.clone());
        self.heartbeat().await
    }

    /// Who publishes puts every copy into its queue.
    async fn gather(&self) -> Result<bool, Error> {
        std::future::pending().await
    }

    async fn revoked(&self) -> Result<Vec<Revocation>, Error> {
        Ok(self.room.lock("read what was revoked")?.desk.revoked())
    }

    async fn close(&self) -> Result<(), Error> {
        self.room.lock("close")?.give_back(self.owner, false);
        Ok(())
    }
}

/// The results of a room, for a worker whose broker is elsewhere.
pub struct MemoryStore(Arc<Room>);

impl MemoryStore {
    /// In the room of this name.
    pub fn connect(name: &str) -> MemoryStore {
        MemoryStore(Room::enter(name))
    }

    /// Stores documents; a stored SUCCESS is never overwritten.
    pub fn store(&self, batch: &[ResultDoc]) -> Result<(), Error> {
        store(&self.0, batch)
    }

    /// Counts members of chords; says of each whether it completed its chord.
    pub fn count(&self, parts: &[Part]) -> Result<Vec<bool>, Error> {
        let mut state = self.0.lock("count a chord's member")?;
        Ok(parts.iter().map(|part| state.chords.count(part, true, now_ms())).collect())
    }

    /// How the members of a chord ended.
    pub fn parts(&self, group_id: &str) -> Result<Parts, Error> {
        Ok(self.0.lock("read a chord's parts")?.chords.parts(group_id, now_ms()))
    }

    /// Makes the claim of a join last. False: the chord is done, or somebody else's.
    pub fn hold(&self, join: &Join) -> Result<bool, Error> {
        Ok(self.0.lock("hold a chord")?.chords.hold(join))
    }

    /// Ends the chord of a join.
    pub fn forget_chord(&self, join: &Join, remains: Remains) -> Result<(), Error> {
        self.0.lock("end a chord")?.chords.forget(join, remains, now_ms());
        Ok(())
    }
}

/// Stores, and wakes who waits.
pub(super) fn store(room: &Room, batch: &[ResultDoc]) -> Result<(), Error> {
    let mut state = room.lock("store of results")?;
    let now = now_ms();
    batch.iter().for_each(|result| state.results.put(result, now));
    room.stored.notify_all();
    Ok(())
}
