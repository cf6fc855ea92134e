//! A broker, and a result store, of any kind: what a worker is handed by [`connect`](crate::connect).

use crate::amqp::AmqpBroker;
use crate::lane::{Ask, Drawn, Granted, Quota};
use crate::memory::{MemoryBroker, MemoryStore};
use crate::redis::RedisBroker;
use crate::sqlite::{SqliteBroker, SqliteStore};
use crate::{
    Broker, Delivery, Error, EventMessage, Fanout, Heard, Join, Joined, Part, Parts, Portion, Publish, Recovered,
    Remains, ResultDoc, Revocation, Settled, Settlement, Store, Tag,
};

/// A broker of any kind.
#[allow(clippy::large_enum_variant, reason = "there is one per worker")]
pub enum AnyBroker {
    /// Redis or Valkey.
    Redis(RedisBroker),
    /// A file.
    Sqlite(SqliteBroker),
    /// The memory of this process.
    Memory(MemoryBroker),
    /// RabbitMQ.
    Amqp(AmqpBroker),
}

/// A result store of any kind, where the broker is of another kind, or another file.
#[allow(clippy::large_enum_variant, reason = "there is one per worker")]
pub enum AnyStore {
    /// Redis or Valkey, through a connection that consumes nothing.
    Redis(RedisBroker),
    /// A file.
    Sqlite(SqliteStore),
    /// The memory of this process.
    Memory(MemoryStore),
}

impl Store for AnyStore {
    async fn store(&self, batch: &[ResultDoc]) -> Result<(), Error> {
        match self {
            AnyStore::Redis(broker) => broker.store(batch).await,
            AnyStore::Sqlite(store) => store.store(batch).await,
            AnyStore::Memory(store) => store.store(batch),
        }
    }

    async fn count(&self, parts: &[Part]) -> Result<Vec<bool>, Error> {
        match self {
            AnyStore::Redis(broker) => broker.count_parts(parts).await,
            AnyStore::Sqlite(store) => store.count(parts).await,
            AnyStore::Memory(store) => store.count(parts),
        }
    }

    async fn parts(&self, group_id: &str) -> Result<Parts, Error> {
        match self {
            AnyStore::Redis(broker) => broker.read_parts(group_id).await,
            AnyStore::Sqlite(store) => store.parts(group_id).await,
            AnyStore::Memory(store) => store.parts(group_id),
        }
    }

    async fn hold(&self, join: &Join) -> Result<bool, Error> {
        match self {
            AnyStore::Redis(broker) => broker.hold_chord(join).await,
            AnyStore::Sqlite(store) => store.hold(join).await,
            AnyStore::Memory(store) => store.hold(join),
        }
    }

    async fn forget(&self, join: &Join, remains: Remains) -> Result<(), Error> {
        match self {
            AnyStore::Redis(broker) => broker.forget_chord(join, remains).await,
            AnyStore::Sqlite(store) => store.forget_chord(join, remains).await,
            AnyStore::Memory(store) => store.forget_chord(join, remains),
        }
    }
}

/// Delegates to whichever it is.
macro_rules! either {
    ($any:expr, $broker:ident => $call:expr) => {
        match $any {
            AnyBroker::Redis($broker) => $call,
            AnyBroker::Sqlite($broker) => $call,
            AnyBroker::Memory($broker) => $call,
            AnyBroker::Amqp($broker) => $call,
        }
    };
}

impl Broker for AnyBroker {
    async fn publish(&self, batch: &[Publish]) -> Result<(), Error> {
        either!(self, broker => broker.publish(batch).await)
    }

    async fn fetch_within(&self, max: usize, portions: &[Portion]) -> Result<Vec<Delivery>, Error> {
        either!(self, broker => broker.fetch_within(max, portions).await)
    }

    fn has_more(&self) -> bool {
        either!(self, broker => broker.has_more())
    }

    fn watch(&self, queue: &str) {
        either!(self, broker => broker.watch(queue))
    }

    async fn wait(&self) {
        either!(self, broker => broker.wait().await)
    }

    async fn severed(&self) {
        either!(self, broker => broker.severed().await)
    }

    fn may_block_publishers(&self) -> bool {
        either!(self, broker => broker.may_block_publishers())
    }

    async fn settle_and_count(&self, batch: &[Settlement]) -> Result<Settled, Error> {
        either!(self, broker => broker.settle_and_count(batch).await)
    }

    async fn joins(&self) -> Result<Vec<Join>, Error> {
        either!(self, broker => broker.joins().await)
    }

    async fn hold(&self, join: &Join) -> Result<bool, Error> {
        either!(self, broker => broker.hold(join).await)
    }

    async fn parts(&self, group_id: &str) -> Result<Parts, Error> {
        either!(self, broker => broker.parts(group_id).await)
    }

    async fn finish_join(&self, joined: &Joined) -> Result<bool, Error> {
        either!(self, broker => broker.finish_join(joined).await)
    }

    async fn begin_attempt(&self, tag: Tag, message_id: &str, floor: u32) -> Result<Option<u32>, Error> {
        either!(self, broker => broker.begin_attempt(tag, message_id, floor).await)
    }

    async fn lost(&self, tags: &[Tag]) -> Result<Vec<Tag>, Error> {
        either!(self, broker => broker.lost(tags).await)
    }

    async fn heartbeat(&self) -> Result<(), Error> {
        either!(self, broker => broker.heartbeat().await)
    }

    async fn recover(&self) -> Result<Recovered, Error> {
        either!(self, broker => broker.recover().await)
    }

    async fn release_due(&self, now_ms: i64) -> Result<Option<i64>, Error> {
        either!(self, broker => broker.release_due(now_ms).await)
    }

    async fn acquire(&self, asks: &[Ask]) -> Result<Vec<Granted>, Error> {
        either!(self, broker => broker.acquire(asks).await)
    }

    async fn draw_within(&self, max: usize, quotas: &[Quota], portions: &[Portion]) -> Result<Drawn, Error> {
        either!(self, broker => broker.draw_within(max, quotas, portions).await)
    }

    async fn store(&self, batch: &[ResultDoc]) -> Result<(), Error> {
        either!(self, broker => broker.store(batch).await)
    }

    async fn listen(&self, exchange: &str) -> Result<Heard, Error> {
        either!(self, broker => broker.listen(exchange).await)
    }

    async fn publish_events(&self, exchange: &str, batch: &[EventMessage]) -> Result<Vec<bool>, Error> {
        either!(self, broker => broker.publish_events(exchange, batch).await)
    }

    async fn enlist(&self, fanout: &Fanout) -> Result<(), Error> {
        either!(self, broker => broker.enlist(fanout).await)
    }

    async fn gather(&self) -> Result<bool, Error> {
        either!(self, broker => broker.gather().await)
    }

    async fn revoked(&self) -> Result<Vec<Revocation>, Error> {
        either!(self, broker => broker.revoked().await)
    }

    async fn close(&self) -> Result<(), Error> {
        either!(self, broker => broker.close().await)
    }
}
