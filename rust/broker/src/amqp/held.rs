//! Leases with a record: what has to be known of a message by whoever gets it after us.
//!
//! AMQP changes nothing in a message that lies in a queue. So the message moves: a copy with the record in its headers
//! goes to a queue of our own, and once it has come back from there, unacknowledged, the original is acknowledged. That
//! queue keeps a message for no time at all (`x-message-ttl: 0`) unless somebody takes it at once, and passes on by its
//! routing key what nobody takes. When we are gone, what we held is passed on to the queue that it came from, at once and
//! with its record. So the number of a started attempt survives us, and so does a join.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::future::join;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicGetOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::failure::{late, severed};
use super::message::{HELD, Outgoing, short};
use super::session::Session;
use super::steps::{Life, Step, arguments, long, number};
use super::table;
use crate::{Error, Join, Tag};

/// Where joins lie that nobody owns.
const JOINS: &str = "fastworker.joins";
const GROUP: &str = "x-fastworker-group";
const TOKEN: &str = "x-fastworker-token";
/// Joins taken over at a time.
const JOINS_AT_ONCE: usize = 100;
/// Long after nobody consumes it any more, the queue goes; what was in it has gone before.
const EXPIRES_MS: i64 = 600_000;

/// Our own queue, and who waits for something to come from there.
pub(super) struct Held {
    name: String,
    /// `None`: the session is over, and nothing comes any more.
    expected: Mutex<Option<HashMap<String, oneshot::Sender<u64>>>>,
    next: std::sync::atomic::AtomicU64,
}

impl Held {
    pub(super) fn new(incarnation: &str, session: u64) -> Held {
        let name = format!("fastworker.held.{incarnation}.{session}");
        Held { name, expected: Mutex::new(Some(HashMap::new())), next: 0.into() }
    }

    /// Where the delivery tag of what is called `name` arrives; nothing does once the session is over.
    fn expect(&self, name: &str) -> oneshot::Receiver<u64> {
        let (sender, receiver) = oneshot::channel();
        if let Some(expected) = self.expected().as_mut() {
            expected.insert(name.to_owned(), sender);
        }
        receiver
    }

    /// Who waits for what is called `name`.
    fn take(&self, name: &str) -> Option<oneshot::Sender<u64>> {
        self.expected().as_mut()?.remove(name)
    }

    /// Nobody waits for an answer of a connection that is gone.
    pub(super) fn end(&self) {
        *self.expected() = None;
    }

    fn expected(&self) -> MutexGuard<'_, Option<HashMap<String, oneshot::Sender<u64>>>> {
        self.expected.lock().expect("nothing panics while it holds the list")
    }
}

impl Session {
    /// Declares the queues, and takes what comes into ours.
    pub(super) async fn prepare_held(self: &Arc<Session>) -> Result<(), Error> {
        let name = self.held.name.clone();
        self.declare(&[
            Step::Exchange { name: name.clone(), kind: "fanout".into(), is_durable: false, is_auto_delete: true },
            Step::Queue {
                name: name.clone(),
                life: Life::Durable,
                arguments: arguments([
                    ("x-message-ttl", number(0)),
                    ("x-dead-letter-exchange", long("")),
                    ("x-expires", number(EXPIRES_MS)),
                ]),
            },
            Step::Bind { queue: name.clone(), exchange: name.clone(), key: String::new() },
            Step::Queue { name: JOINS.into(), life: Life::Durable, arguments: FieldTable::default() },
        ])
        .await?;
        let consume =
            self.tasks.basic_consume(short(&name), short(&name), BasicConsumeOptions::default(), FieldTable::default());
        let both = join(self.tasks.basic_qos(0, BasicQosOptions::default()), consume);
        let mut consumer = self.within("consume", both.map(|(set, consumer)| set.and(consumer))).await?;
        let session = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(Ok(delivery)) = consumer.next().await {
                let Some(session) = session.upgrade() else { return };
                session.came_back(&delivery);
            }
            if let Some(session) = session.upgrade() {
                session.end();
            }
        });
        Ok(())
    }

    fn came_back(&self, delivery: &lapin::message::Delivery) {
        self.state().ledger.arrived(delivery.delivery_tag);
        let headers = delivery.properties.headers().as_ref();
        let name = headers.and_then(|headers| headers.inner().get(HELD)).and_then(table::text).unwrap_or_default();
        let waiting = self.held.take(&name);
        if waiting.is_none_or(|waiting| waiting.send(delivery.delivery_tag).is_err()) {
            // Whoever wanted it has given up, and the session is over by that: it goes where it came from.
            self.end();
        }
    }

    /// Puts a message into our own queue; `key` is where it goes when we are gone. Returns the delivery tag that it is
    /// acknowledged by.
    async fn hold(&self, key: &str, message: Outgoing) -> Result<u64, Error> {
        let serial = self.held.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("{}.{serial}", self.held.name);
        let receiver = self.held.expect(&name);
        let held = (self.held.name.clone(), key.to_owned(), message.with_header(HELD, long(&name)));
        if let Err(error) = self.publish(&[held]).await {
            self.held.take(&name);
            return Err(error);
        }
        let options = &self.owner.options;
        match timeout(options.response_timeout, receiver).await {
            Ok(Ok(at)) => Ok(at),
            Ok(Err(_gone)) => Err(severed("hold a message", &options.masked)),
            Err(_elapsed) => {
                self.end();
                Err(late("hold a message", &options.masked, options.response_timeout))
            }
        }
    }

    /// Writes down a started attempt and returns its number. `None`: the lease is not ours.
    pub(super) async fn begin_attempt(&self, tag: Tag, floor: u32) -> Result<Option<u32>, Error> {
        let Some(number) = super::line::number(self.number, tag) else { return Ok(None) };
        let found = {
            let state = self.state();
            state.leases.get(&number).map(|lease| (lease.clone(), state.lines[lease.line].name.clone()))
        };
        let Some((lease, queue)) = found else { return Ok(None) };
        let attempt = lease.attempts.max(floor).saturating_add(1);
        let copy = Outgoing::of(&lease.message).redelivered().with_attempts(attempt);
        let at = self.hold(&queue, copy).await?;
        let old = {
            let mut state = self.state();
            let Some(lease) = state.leases.get_mut(&number) else { return Ok(None) };
            let old = std::mem::replace(&mut lease.at, at);
            (lease.attempts, lease.is_held) = (attempt, true);
            let consumer = std::mem::take(&mut lease.consumer);
            state.forget_outstanding(consumer);
            old
        };
        self.ack([old]).await?;
        Ok(Some(attempt))
    }

    /// Leaves a join behind, as ours.
    pub(super) async fn leave_join(&self, join: &Join) -> Result<(), Error> {
        if self.state().joins.get(&join.group_id).is_some_and(|(known, _)| known.token == join.token) {
            return Ok(());
        }
        let headers = arguments([(GROUP, long(&join.group_id)), (TOKEN, long(&join.token))]);
        let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
        let at = self.hold(JOINS, Outgoing { properties, body: join.record.to_vec(), is_mandatory: true }).await?;
        self.state().joins.insert(join.group_id.clone(), (join.clone(), at));
        Ok(())
    }

    /// Our joins, those included that nobody has owned.
    pub(super) async fn joins(&self) -> Result<Vec<Join>, Error> {
        for _ in 0..JOINS_AT_ONCE {
            let get = self.tasks.basic_get(JOINS.into(), BasicGetOptions::default());
            let Some(got) = self.within("look for joins", get).await? else { break };
            let delivery = got.delivery;
            self.state().ledger.arrived(delivery.delivery_tag);
            let headers = delivery.properties.headers().clone().unwrap_or_default();
            let text = |name: &str| headers.inner().get(name).and_then(table::text);
            match (text(GROUP), text(TOKEN)) {
                (Some(group_id), Some(token)) => {
                    self.leave_join(&Join { group_id, token, record: delivery.data.into() }).await?;
                }
                _ => tracing::error!("a message in {JOINS} that is no join of a chord: removed"),
            }
            self.ack([delivery.delivery_tag]).await?;
        }
        Ok(self.state().joins.values().map(|(join, _)| join.clone()).collect())
    }

    /// Forgets a join. False: it is not ours.
    pub(super) async fn forget_join(&self, join: &Join) -> Result<bool, Error> {
        let at = {
            let mut state = self.state();
            let is_ours = |(known, _): &(Join, u64)| known.token == join.token;
            if !state.joins.get(&join.group_id).is_some_and(is_ours) {
                return Ok(false);
            }
            state.joins.remove(&join.group_id).map(|(_, at)| at)
        };
        self.ack(at).await?;
        Ok(true)
    }

    /// Whether this join is ours.
    pub(super) fn owns_join(&self, join: &Join) -> bool {
        self.state().joins.get(&join.group_id).is_some_and(|(known, _)| known.token == join.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_a_session_that_is_over() {
        let held = Held::new("a", 1);
        let (waiting, came) = (held.expect("a.0"), held.expect("a.1"));
        held.take("a.1").expect("it is expected").send(7).expect("it is waited for");
        held.end();
        assert_eq!(came.await, Ok(7));
        assert!(waiting.await.is_err());
        assert!(held.expect("a.2").await.is_err(), "published before the end was noticed");
        assert!(held.take("a.0").is_none());
    }
}
