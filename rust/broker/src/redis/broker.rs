//! A worker's connection to Redis: what it knows, and the contract's operations by name.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::bindings::Declared;
use super::connection::Link;
use super::event::Audience;
use super::fanout::Copying;
use super::fetch::LostFetch;
use super::keys::Keys;
use super::lease::Held;
use super::listen::Ear;
use super::options::{RedisOptions, RedisResults};
use super::queues::{Queues, Watching};
use super::recover::Watch;
use super::wake::Wake;
use crate::lane::{Ask, Drawn, Granted, Quota};
use crate::order::QueueOrder;
use crate::{
    Broker, Delivery, Error, EventMessage, Fanout, Heard, Join, Joined, LeaseTerms, Parts, Portion, Publish, Recovered,
    ResultDoc, Revocation, Settled, Settlement, Tag,
};

/// The Redis broker of one worker incarnation. Lives on one thread, under a tokio runtime.
pub struct RedisBroker {
    pub(super) keys: Keys,
    pub(super) watching: Watching,
    pub(super) terms: LeaseTerms,
    pub(super) visibility_timeout: Duration,
    pub(super) order: QueueOrder,
    /// The broker's database, to come back to after a write to the results'.
    pub(super) db: i64,
    pub(super) results: Option<ResultSide>,
    /// For fetches alone.
    pub(super) fetching: Link,
    /// For all else.
    pub(super) work: Link,
    pub(super) wake: Arc<Wake>,
    pub(super) ear: Ear,
    pub(super) audience: Audience,
    pub(super) copying: Copying,
    pub(super) held: Held,
    pub(super) declared: RefCell<Declared>,
    /// The number of the next fetch.
    pub(super) next_fetch: Cell<u64>,
    /// Fetches whose reply never came: what they took is read back by the next one.
    pub(super) lost_fetches: RefCell<Vec<LostFetch>>,
    pub(super) watch: RefCell<Watch>,
    /// When all our leases were last made young.
    pub(super) rescored: Cell<Instant>,
    /// When lanes that nobody draws from were last looked for.
    pub(super) unlaned: Cell<Option<Instant>>,
    /// When leases beyond the visibility timeout were last looked for.
    pub(super) swept: Cell<Option<Instant>>,
}

/// Where results go.
pub(super) struct ResultSide {
    pub(super) results: RedisResults,
    /// A connection of its own when it is another server; then a result cannot be stored in one step with the rest.
    pub(super) elsewhere: Option<Link>,
}

impl RedisBroker {
    /// Connects and announces a new incarnation.
    ///
    /// `queues`: the queues to consume; their indices are `Delivery::queue`. `results`: where `settle` and `store` put
    /// result documents; without it a settlement's result is not stored (it lives in another kind of store).
    ///
    /// # Errors
    /// [`Error::Connection`] when the server cannot be reached within the connect time-out; [`Error::Refused`] when it
    /// does not let us in.
    pub async fn connect(
        options: RedisOptions,
        queues: &[String],
        results: Option<RedisResults>,
        terms: LeaseTerms,
    ) -> Result<Self, Error> {
        let keys = options.keys.clone();
        let queues = Queues::of(&keys, queues.iter().cloned());
        let wake = Arc::new(Wake::new(queues.lists.iter().chain([&keys.paused]).cloned()));
        let results = results.map(|results| {
            let elsewhere = (!results.same_server(&options)).then(|| Link::new(results.server.clone()));
            ResultSide { results, elsewhere }
        });
        let broker = Self {
            keys,
            watching: Watching::new(queues),
            terms,
            visibility_timeout: options.visibility_timeout,
            order: options.order,
            db: options.server.db(),
            results,
            fetching: Link::for_fetches(options.server.clone(), wake.clone()),
            work: Link::new(options.server.clone()),
            wake,
            ear: Ear::default(),
            audience: Audience::default(),
            copying: Copying::default(),
            held: Held::new(draw_incarnation(&options)?),
            declared: RefCell::default(),
            next_fetch: Cell::new(1),
            lost_fetches: RefCell::default(),
            watch: RefCell::default(),
            rescored: Cell::new(Instant::now()),
            unlaned: Cell::new(None),
            swept: Cell::new(None),
        };
        broker.fetching.ensure("connect").await?;
        broker.refresh_leases().await?;
        if !broker.watching.now().is_empty() {
            broker.warn_of_eviction().await?;
        }
        Ok(broker)
    }

    /// This connection's identity among the workers: 16 hexadecimal digits.
    pub fn incarnation(&self) -> &str {
        &self.held.incarnation
    }

    /// Whether the server wakes us by push (RESP3 client tracking); otherwise it is polled.
    pub fn is_tracked(&self) -> bool {
        self.wake.is_tracked()
    }
}

fn draw_incarnation(options: &RedisOptions) -> Result<String, Error> {
    let random = getrandom::u64().map_err(|cause| Error::Connection {
        what: "drawing an incarnation",
        whom: options.masked_url().to_owned(),
        cause: format!("the system gives no random numbers: {cause}"),
    })?;
    Ok(format!("{random:016x}"))
}

impl Broker for RedisBroker {
    async fn publish(&self, batch: &[Publish]) -> Result<(), Error> {
        self.publish_batch(batch).await
    }

    async fn fetch_within(&self, max: usize, portions: &[Portion]) -> Result<Vec<Delivery>, Error> {
        self.fetch_up_to(max, portions).await
    }

    fn watch(&self, queue: &str) {
        if self.watching.add(&self.keys, queue) {
            self.wake.watch(self.keys.lists(queue));
        }
    }

    async fn wait(&self) {
        self.wake.wait().await;
    }

    async fn settle_and_count(&self, batch: &[Settlement]) -> Result<Settled, Error> {
        self.settle_batch(batch).await
    }

    async fn joins(&self) -> Result<Vec<Join>, Error> {
        self.find_joins().await
    }

    async fn hold(&self, join: &Join) -> Result<bool, Error> {
        match &self.results {
            Some(side) if side.elsewhere.is_some() => self.hold_chord(join).await,
            _ => Ok(true),
        }
    }

    async fn parts(&self, group_id: &str) -> Result<Parts, Error> {
        self.read_parts(group_id).await
    }

    async fn finish_join(&self, joined: &Joined) -> Result<bool, Error> {
        self.end_join(joined).await
    }

    async fn begin_attempt(&self, tag: Tag, message_id: &str, floor: u32) -> Result<Option<u32>, Error> {
        self.count_attempt(tag, message_id, floor).await
    }

    async fn lost(&self, tags: &[Tag]) -> Result<Vec<Tag>, Error> {
        self.look_after_leases(tags).await
    }

    async fn heartbeat(&self) -> Result<(), Error> {
        self.refresh_leases().await?;
        self.refresh_enlisted().await
    }

    async fn recover(&self) -> Result<Recovered, Error> {
        self.recover_dead().await
    }

    async fn release_due(&self, now_ms: i64) -> Result<Option<i64>, Error> {
        self.release_abandoned_lanes().await?;
        self.release_parked(now_ms).await
    }

    async fn acquire(&self, asks: &[Ask]) -> Result<Vec<Granted>, Error> {
        self.acquire_permits(asks).await
    }

    async fn draw_within(&self, max: usize, quotas: &[Quota], portions: &[Portion]) -> Result<Drawn, Error> {
        self.draw_from_lanes(max, quotas, portions).await
    }

    async fn store(&self, batch: &[ResultDoc]) -> Result<(), Error> {
        self.store_results(batch).await
    }

    async fn listen(&self, exchange: &str) -> Result<Heard, Error> {
        self.hear(exchange).await
    }

    async fn publish_events(&self, exchange: &str, batch: &[EventMessage]) -> Result<Vec<bool>, Error> {
        self.send_events(exchange, batch).await
    }

    async fn enlist(&self, fanout: &Fanout) -> Result<(), Error> {
        self.enlist_queue(fanout).await
    }

    async fn gather(&self) -> Result<bool, Error> {
        self.gather_announced().await
    }

    async fn revoked(&self) -> Result<Vec<Revocation>, Error> {
        self.read_revoked().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.give_back_all().await
    }
}
