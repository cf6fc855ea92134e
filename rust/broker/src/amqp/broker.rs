//! The contract, by sessions: each call uses the one that works, or opens the next.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::client::fanout;
use super::failure::missing;
use super::line::number;
use super::listen::Ear;
use super::options::AmqpOptions;
use super::session::{Owner, Session};
use super::steps::{Life, Step, arguments, number as value};
use crate::fanout::FORGOTTEN;
use crate::lane::{Ask, Drawn, Granted, Quota};
use crate::{
    Broker, Delivery, Error, EventMessage, Fanout, Heard, Join, Joined, LeaseTerms, Parts, Portion, Publish, Recovered,
    ResultDoc, Revocation, Settled, Settlement, Tag,
};

/// A worker's connection to RabbitMQ.
pub struct AmqpBroker {
    owner: Arc<Owner>,
    queues: Mutex<Vec<String>>,
    current: tokio::sync::Mutex<Option<Arc<Session>>>,
    sessions: AtomicU64,
    ear: tokio::sync::Mutex<Option<Ear>>,
}

impl AmqpBroker {
    /// Connects, declares `queues`, and consumes nothing yet. The server keeps the leases: `terms` say nothing here.
    ///
    /// # Errors
    /// [`Error::Connection`]: no server answers. [`Error::Refused`]: no right, no such virtual host, or a queue that exists
    /// in another form.
    pub async fn connect(options: AmqpOptions, queues: &[String], _terms: LeaseTerms) -> Result<AmqpBroker, Error> {
        let incarnation = format!("{:016x}", getrandom::u64().unwrap_or_default());
        let owner = Owner {
            options,
            incarnation,
            bell: Notify::new(),
            severed: Notify::new(),
            has_more: AtomicBool::new(false),
            copies: Mutex::default(),
        };
        let broker = AmqpBroker {
            owner: Arc::new(owner),
            queues: Mutex::new(queues.to_vec()),
            current: tokio::sync::Mutex::default(),
            sessions: AtomicU64::new(1),
            ear: tokio::sync::Mutex::default(),
        };
        broker.session().await?;
        Ok(broker)
    }

    /// The session that works, or a new one.
    async fn session(&self) -> Result<Arc<Session>, Error> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref().filter(|session| session.is_alive()) {
            return Ok(Arc::clone(session));
        }
        if let Some(old) = current.take() {
            old.end();
        }
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        let queues = self.queues.lock().expect("nothing panics while it holds the list").clone();
        let session = Session::open(&self.owner, number, &queues).await?;
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    /// The session that works, with all watched queues.
    async fn watching(&self) -> Result<Arc<Session>, Error> {
        let session = self.session().await?;
        let queues = self.queues.lock().expect("as above").clone();
        let known = session.state().lines.len();
        let new = &queues[known.min(queues.len())..];
        for queue in new {
            session.add(queue).await?;
        }
        session.offer_delays(new).await;
        Ok(session)
    }
}

impl Broker for AmqpBroker {
    async fn publish(&self, batch: &[Publish]) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        self.session().await?.publish_plain(batch).await
    }

    async fn fetch_within(&self, max: usize, portions: &[Portion]) -> Result<Vec<Delivery>, Error> {
        self.watching().await?.fetch(max, portions).await
    }

    fn has_more(&self) -> bool {
        self.owner.has_more.load(Ordering::Acquire)
    }

    fn watch(&self, queue: &str) {
        let mut queues = self.queues.lock().expect("as above");
        if !queues.iter().any(|watched| watched == queue) {
            queues.push(queue.to_owned());
        }
    }

    async fn wait(&self) {
        self.owner.bell.notified().await;
    }

    async fn severed(&self) {
        self.owner.severed.notified().await;
    }

    fn may_block_publishers(&self) -> bool {
        true
    }

    async fn settle_and_count(&self, batch: &[Settlement]) -> Result<Settled, Error> {
        if batch.is_empty() {
            return Ok(Settled::default());
        }
        self.session().await?.settle(batch).await
    }

    async fn joins(&self) -> Result<Vec<Join>, Error> {
        self.session().await?.joins().await
    }

    /// Results are elsewhere.
    async fn parts(&self, _group_id: &str) -> Result<Parts, Error> {
        Ok(Parts::default())
    }

    async fn finish_join(&self, joined: &Joined) -> Result<bool, Error> {
        let session = self.session().await?;
        if !session.owns_join(&joined.join) {
            return Ok(false);
        }
        session.publish_plain(&joined.messages).await?;
        session.forget_join(&joined.join).await
    }

    async fn begin_attempt(&self, tag: Tag, _message_id: &str, floor: u32) -> Result<Option<u32>, Error> {
        self.session().await?.begin_attempt(tag, floor).await
    }

    async fn lost(&self, tags: &[Tag]) -> Result<Vec<Tag>, Error> {
        let session = self.session().await?;
        let state = session.state();
        let is_ours = |tag: &Tag| number(session.number, *tag).is_some_and(|key| state.leases.contains_key(&key));
        Ok(tags.iter().copied().filter(|tag| !is_ours(tag)).collect())
    }

    async fn heartbeat(&self) -> Result<(), Error> {
        self.session().await.map(drop)
    }

    /// The server has done it.
    async fn recover(&self) -> Result<Recovered, Error> {
        Ok(Recovered::default())
    }

    /// The server does it.
    async fn release_due(&self, _now_ms: i64) -> Result<Option<i64>, Error> {
        Ok(None)
    }

    async fn acquire(&self, asks: &[Ask]) -> Result<Vec<Granted>, Error> {
        let task = asks.first().map_or("", |ask| ask.task.as_str());
        let cause = format!(
            "task {task:?} has a rate limit that all workers share, and RabbitMQ keeps no count for them; use a limit of \
             each worker (rate_limit_scope=\"worker\"), or a Redis broker"
        );
        Err(missing("acquire", &self.owner.options.masked, &cause))
    }

    async fn draw_within(&self, max: usize, quotas: &[Quota], portions: &[Portion]) -> Result<Drawn, Error> {
        self.watching().await?.draw(max, quotas, portions).await
    }

    async fn store(&self, batch: &[ResultDoc]) -> Result<(), Error> {
        let Some(terms) = &self.owner.options.replies else {
            return Err(missing("store", &self.owner.options.masked, "results are kept elsewhere"));
        };
        let replies: Vec<_> = batch.iter().filter_map(|result| terms.message(result)).collect();
        if replies.is_empty() { Ok(()) } else { self.session().await?.publish(&replies).await }
    }

    async fn listen(&self, exchange: &str) -> Result<Heard, Error> {
        let mut ear = self.ear.lock().await;
        let session = self.session().await?;
        if let Some(open) = ear.as_mut().filter(|ear| ear.is_of(&session, exchange)) {
            return match open.next().await {
                Some(heard) => Ok(heard),
                None => {
                    *ear = None;
                    Err(Error::Connection {
                        what: "listen",
                        whom: self.owner.options.masked.clone(),
                        cause: "the connection was lost".to_owned(),
                    })
                }
            };
        }
        *ear = Some(Ear::open(&session, exchange).await?);
        Ok(Heard::Gap)
    }

    async fn publish_events(&self, exchange: &str, batch: &[EventMessage]) -> Result<Vec<bool>, Error> {
        self.session().await?.send_events(exchange, batch).await
    }

    async fn enlist(&self, fanout_queue: &Fanout) -> Result<(), Error> {
        let name = fanout_queue.queue.clone();
        let expires = arguments([("x-expires", value(FORGOTTEN.as_millis() as i64))]);
        let steps = vec![
            fanout(&fanout_queue.exchange, true),
            Step::Queue { name: name.clone(), life: Life::Durable, arguments: expires },
            Step::Bind {
                queue: name.clone(),
                exchange: fanout_queue.exchange.clone(),
                key: fanout_queue.routing_key.clone(),
            },
        ];
        self.owner.copies.lock().expect("as above").insert(name, steps.clone());
        self.session().await?.declare(&steps).await
    }

    /// The server puts every copy into its queue.
    async fn gather(&self) -> Result<bool, Error> {
        std::future::pending().await
    }

    /// There is no place where it could be written down.
    async fn revoked(&self) -> Result<Vec<Revocation>, Error> {
        Ok(Vec::new())
    }

    async fn close(&self) -> Result<(), Error> {
        if let Some(session) = self.current.lock().await.take() {
            session.close().await;
        }
        Ok(())
    }
}
