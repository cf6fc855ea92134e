//! A watched queue: its consumer, and what has come by it and was not fetched yet.
//!
//! The server sends as many messages as a consumer's prefetch allows, before anybody has asked for them. So the prefetch
//! follows what the engine asks for: it begins with that, doubles while the engine takes all that comes, and a consumer
//! whose messages nobody has fetched for a second is stopped and gives them back, for other workers to run. AMQP cannot
//! change the prefetch of a consumer: another one is started in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _};
use lapin::message::DeliveryResult;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Consumer, ConsumerDelegate};

use super::message::{Incoming, short};
use super::session::{Lease, Session, State};
use crate::burial::is_json_object;
use crate::order::QueueOrder;
use crate::portion::Account;
use crate::{Delivery, Error, Portion, Tag};

/// What came, and nobody fetched for so long, goes back.
const PATIENCE: Duration = Duration::from_secs(1);
/// A consumer that ran dry sooner than this is replaced by one of twice the prefetch.
const SHORT_LIFE: Duration = Duration::from_secs(2);
const MOST: u16 = 4096;
/// Who asks for so many gets twice the prefetch; who asks for fewer has long tasks, and the rest is for other workers.
const AMPLE_FROM: usize = 4;
/// Bits of a tag that name the delivery; the others name the session.
const DELIVERY_BITS: u32 = 40;

/// One watched queue.
pub(super) struct Line {
    pub(super) name: String,
    /// By urgency and age: the leases that were not fetched.
    waiting: BTreeMap<(u8, u64), u64>,
    running: Option<Running>,
    /// When it was last asked for with room for something.
    wanted: Instant,
    is_wanted: bool,
}

struct Running {
    consumer: Consumer,
    serial: u64,
    prefetch: u16,
    since: Instant,
}

impl Line {
    pub(super) fn new(name: &str) -> Line {
        Line {
            name: name.to_owned(),
            waiting: BTreeMap::new(),
            running: None,
            wanted: Instant::now(),
            is_wanted: false,
        }
    }
}

/// A tag that no other session gives.
pub(super) fn tag(session: u64, number: u64) -> Tag {
    Tag(session << DELIVERY_BITS | number)
}

/// The number in a tag of this session; `None`: it is of another one.
pub(super) fn number(session: u64, tag: Tag) -> Option<u64> {
    (tag.0 >> DELIVERY_BITS == session).then_some(tag.0 & ((1 << DELIVERY_BITS) - 1))
}

impl State {
    /// One that was fetched, or was not, is no longer a consumer's.
    pub(super) fn release(&mut self, number: u64) -> Option<Lease> {
        let lease = self.leases.remove(&number)?;
        if let Some(count) = self.outstanding.get_mut(&lease.consumer) {
            *count = count.saturating_sub(1);
        }
        Some(lease)
    }

    /// Lines that have no consumer, or one that may not bring as much as is wanted, with the prefetch of the next one.
    fn hungry(&self, max: usize, account: &Account<'_>) -> Vec<(usize, u16)> {
        let next = |at: usize, line: &Line| {
            let wanted = account.room(at).min(max);
            // What is held in the engine counts against the prefetch too.
            let ample = if wanted < AMPLE_FROM { wanted } else { wanted * 2 };
            let asked = u16::try_from(ample.next_power_of_two()).unwrap_or(MOST).min(MOST);
            let Some(running) = &line.running else { return Some(asked) };
            let unacked = self.outstanding.get(&running.serial).copied().unwrap_or(0) as usize;
            let taken = unacked.saturating_sub(line.waiting.len());
            let supply = usize::from(running.prefetch).saturating_sub(taken);
            let is_short = supply < wanted && running.prefetch < MOST || supply == 0;
            let is_fast = running.since.elapsed() < SHORT_LIFE;
            let grown = if is_fast { running.prefetch.saturating_mul(2).min(MOST) } else { 1 };
            (is_short && line.waiting.len() < wanted).then_some(asked.max(grown))
        };
        let lines = self.lines.iter().enumerate().filter(|(at, _)| account.room(*at).min(max) > 0);
        lines.filter_map(|(at, line)| Some((at, next(at, line)?))).collect()
    }

    /// Whether nothing waits in a line that has room.
    fn is_empty(&self, account: &Account<'_>) -> bool {
        self.lines.iter().enumerate().all(|(at, line)| account.room(at) == 0 || line.waiting.is_empty())
    }

    /// Takes up to `max`: the most urgent first; queues of one priority share, and the turn moves on.
    fn take(&mut self, session: u64, max: usize, account: &mut Account<'_>, order: QueueOrder) -> Vec<Delivery> {
        let names: Vec<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
        let order = order.of(&names, self.turn);
        let mut deliveries = Vec::new();
        while deliveries.len() < max {
            let open = order.iter().filter(|at| account.room(**at) > 0);
            let heads: Vec<(usize, u8)> =
                open.filter_map(|at| Some((*at, self.lines[*at].waiting.keys().next()?.0))).collect();
            let Some(most_urgent) = heads.iter().map(|(_, urgency)| *urgency).min() else { break };
            let live: Vec<usize> =
                heads.into_iter().filter(|(_, urgency)| *urgency == most_urgent).map(|(at, _)| at).collect();
            for (at, share) in live.iter().zip(account.shares(&live, max - deliveries.len())) {
                let before = deliveries.len();
                while deliveries.len() - before < share
                    && let Some(first) = self.lines[*at].waiting.first_entry()
                    && first.key().0 == most_urgent
                {
                    let number = first.remove();
                    let lease = &self.leases[&number];
                    deliveries.push(Delivery {
                        tag: tag(session, number),
                        queue: u16::try_from(*at).expect("a worker watches fewer than 65,536 queues"),
                        message: lease.message.clone(),
                        is_redelivered: lease.is_redelivered,
                    });
                }
                account.took(*at, deliveries.len() - before);
            }
        }
        deliveries
    }
}

/// Puts what a consumer brings where a fetch finds it, in the order in which it comes.
struct Porter {
    session: Weak<Session>,
    line: usize,
    serial: u64,
}

impl ConsumerDelegate for Porter {
    fn on_new_delivery(&self, delivery: DeliveryResult) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (session, line, serial) = (self.session.upgrade(), self.line, self.serial);
        let Some(session) = session else { return Box::pin(std::future::ready(())) };
        let is_over = match delivery {
            Ok(Some(delivery)) => {
                session.arrived(line, serial, delivery);
                false
            }
            Ok(None) => true,
            Err(_broken) => {
                session.end();
                true
            }
        };
        // The library calls this under a lock that the end of a consumer takes too, and with the session ours may end.
        Box::pin(async move {
            if is_over {
                session.stopped(line, serial);
            }
        })
    }
}

impl Session {
    fn arrived(&self, line: usize, serial: u64, delivery: lapin::message::Delivery) {
        let (at, is_redelivered) = (delivery.delivery_tag, delivery.redelivered);
        let incoming = Incoming::of(
            &delivery.properties,
            delivery.exchange.as_str(),
            delivery.routing_key.as_str(),
            delivery.data,
            at,
        );
        let is_junk = !is_json_object(&incoming.message);
        let mut state = self.state();
        state.arrivals += 1;
        let age = state.arrivals;
        state.unacked.insert(at);
        *state.outstanding.entry(serial).or_default() += 1;
        let lease = Lease {
            line,
            consumer: serial,
            at,
            message: incoming.message.into(),
            is_redelivered,
            attempts: incoming.attempts,
            returns: incoming.returns,
            is_held: false,
        };
        state.leases.insert(at, lease);
        if is_junk {
            state.junk.push(at);
        } else {
            state.lines[line].waiting.insert((u8::MAX - incoming.priority, age), at);
        }
        if state.lines[line].is_wanted {
            self.owner.bell.notify_one();
        }
    }

    /// The server has ended a consumer: its queue was deleted, or has moved.
    fn stopped(&self, line: usize, serial: u64) {
        let mut state = self.state();
        let running = &mut state.lines[line].running;
        if running.as_ref().is_some_and(|running| running.serial == serial) {
            *running = None;
            self.owner.bell.notify_one();
        }
    }

    /// Up to `max` messages, as `Broker::fetch_within` says it. A future that is dropped has taken nothing.
    pub(super) async fn fetch(self: &Arc<Session>, max: usize, portions: &[Portion]) -> Result<Vec<Delivery>, Error> {
        let order = self.owner.options.order;
        let mut account = {
            let mut state = self.state();
            let account = Account::new(portions, state.lines.len(), |_| false).ordered(order.is_strict());
            for (at, line) in state.lines.iter_mut().enumerate() {
                line.is_wanted = account.room(at) > 0;
                if line.is_wanted {
                    line.wanted = Instant::now();
                }
            }
            account
        };
        let hungry = self.state().hungry(max, &account);
        let is_new = !hungry.is_empty();
        for (line, prefetch) in hungry {
            // In a task of its own, since a consumer that was begun has to be finished.
            let session = Arc::clone(self);
            let starting = tokio::spawn(async move { session.start(line, prefetch).await });
            starting.await.expect("nothing panics there")?;
        }
        if is_new || self.state().is_empty(&account) {
            // What was sent may be on its way.
            self.catch_up(&account).await?;
        }
        let junk = std::mem::take(&mut self.state().junk);
        self.bury(&junk).await?;
        let mut state = self.state();
        state.turn = state.turn.wrapping_add(1);
        Ok(state.take(self.number, max, &mut account, order))
    }

    /// Waits until all has come that the queues have for us.
    async fn catch_up(&self, account: &Account<'_>) -> Result<(), Error> {
        let names: Vec<String> = {
            let state = self.state();
            let lines = state.lines.iter().enumerate().filter(|(at, _)| account.room(*at) > 0);
            lines.map(|(_, line)| line.name.clone()).collect()
        };
        // A queue answers the first question after all that it had to send; the channel has passed that on before it
        // answers the second.
        for name in names.iter().chain(&names) {
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let looking = self.tasks.queue_declare(short(name), passive, FieldTable::default());
            self.within("look at a queue", looking).await?;
        }
        Ok(())
    }

    /// Starts a consumer in the place of the one that runs.
    async fn start(self: &Arc<Session>, line: usize, prefetch: u16) -> Result<(), Error> {
        let _steering = self.steering.lock().await;
        self.stop(line).await?;
        let (name, serial) = {
            let mut state = self.state();
            state.consumers += 1;
            (state.lines[line].name.clone(), state.consumers)
        };
        self.within("set a prefetch", self.tasks.basic_qos(prefetch, BasicQosOptions::default())).await?;
        let consume = self.tasks.basic_consume(
            short(&name),
            short(&format!("fastworker-{}-{}-{serial}", self.owner.incarnation, self.number)),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = self.within("consume", consume).await?;
        consumer.set_delegate(Porter { session: Arc::downgrade(self), line, serial });
        self.state().lines[line].running = Some(Running { consumer, serial, prefetch, since: Instant::now() });
        Ok(())
    }

    /// Stops a line's consumer; what it brought stays.
    async fn stop(&self, line: usize) -> Result<(), Error> {
        let running = self.state().lines[line].running.take();
        let Some(mut running) = running else { return Ok(()) };
        let cancel = self.tasks.basic_cancel(running.consumer.tag(), BasicCancelOptions::default());
        self.within("stop consuming", cancel).await?;
        // What came while it was being stopped, which the library keeps from the porter.
        while let Some(Some(Ok(delivery))) = running.consumer.next().now_or_never() {
            self.arrived(line, running.serial, delivery);
        }
        Ok(())
    }

    /// Gives back what came and nobody fetched, for as long as the session lasts.
    pub(super) fn watch_idle_lines(self: &Arc<Session>) {
        let session = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(PATIENCE / 2).await;
                let Some(session) = session.upgrade() else { return };
                if !session.is_alive() || session.give_back_idle().await.is_err() {
                    session.end();
                    return;
                }
            }
        });
    }

    async fn give_back_idle(&self) -> Result<(), Error> {
        let is_idle = |line: &Line| line.wanted.elapsed() > PATIENCE && !line.waiting.is_empty();
        let idle: Vec<usize> =
            self.state().lines.iter().enumerate().filter(|(_, line)| is_idle(line)).map(|(at, _)| at).collect();
        for line in idle {
            let _steering = self.steering.lock().await;
            self.stop(line).await?;
            let leases: Vec<Lease> = {
                let mut state = self.state();
                if !is_idle(&state.lines[line]) {
                    continue;
                }
                let waiting = std::mem::take(&mut state.lines[line].waiting);
                waiting.into_values().filter_map(|number| state.release(number)).collect()
            };
            self.give_back(leases).await?;
        }
        Ok(())
    }

    /// Gives unstarted deliveries back to the front of their queue. One that its quorum queue has seen come back too often
    /// would be thrown away for it: a copy is published in its place.
    pub(super) async fn give_back(&self, leases: Vec<Lease>) -> Result<(), Error> {
        let (worn, fresh): (Vec<Lease>, Vec<Lease>) = leases.into_iter().partition(Lease::needs_a_copy);
        let copies: Vec<_> = worn.iter().map(|lease| self.copy_of(lease, false)).collect();
        if !copies.is_empty() {
            self.publish(&copies).await?;
            self.ack(&worn.iter().map(|lease| lease.at).collect()).await?;
        }
        self.nack(&fresh.iter().map(|lease| lease.at).collect::<BTreeSet<u64>>()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_of_one_session() {
        let given = tag(3, 77);
        assert_eq!((number(3, given), number(4, given)), (Some(77), None));
    }
}
