//! Consumers: what brings deliveries from a queue, and how many at most.
//!
//! The server sends as many messages as a consumer's prefetch allows, before anybody has asked for them. So the prefetch
//! follows what the engine asks for: it begins with that, doubles while the engine takes all that comes, or when nothing
//! was here although the server had some, and a consumer whose messages nobody has fetched for a second is stopped and
//! gives them back, for other workers to run. AMQP cannot change the prefetch of a consumer: another one is started beside
//! it, and then it is stopped. In this order, since a queue may be one that goes with its last consumer.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::{join, try_join_all};
use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _};
use lapin::Consumer;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use tokio::task::AbortHandle;

use super::line::Line;
use super::message::{Incoming, short};
use super::session::{Lease, Session};
use super::steps::Step;
use crate::burial::is_json_object;
use crate::portion::Account;
use crate::{Delivery, Error, Portion};

/// What came, and nobody fetched for so long, goes back.
const PATIENCE: Duration = Duration::from_secs(1);

/// The consumer of a line.
pub(super) struct Running {
    /// Shares what it brings with the porter.
    consumer: Consumer,
    pub(super) serial: u64,
    pub(super) prefetch: u16,
    pub(super) since: Instant,
    /// Messages that have come by it.
    pub(super) brought: u64,
    porter: AbortHandle,
}

/// What looking at a consumer has shown.
enum Seen {
    /// Nothing more is there now.
    Dry,
    /// It will bring nothing more.
    Ended,
}

impl Session {
    /// Up to `max` messages, as `Broker::fetch_within` says it. A future that is dropped has taken nothing.
    pub(super) async fn fetch(self: &Arc<Session>, max: usize, portions: &[Portion]) -> Result<Vec<Delivery>, Error> {
        self.take_in_all();
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
        let starting = hungry.into_iter().map(|(line, prefetch)| {
            // In a task of its own, since a consumer that was begun has to be finished.
            let session = Arc::clone(self);
            let starting = tokio::spawn(async move { session.start(line, prefetch).await });
            starting.map(|started| started.expect("nothing panics there"))
        });
        try_join_all(starting).await?;
        if is_new || self.state().is_empty(&account) {
            // They may be what a consumer's prefetch waits for.
            self.send_acks(true).await?;
        }
        if is_new {
            // What was sent may be on its way, and the most urgent last.
            self.catch_up(&account).await?;
        } else if self.state().is_empty(&account) {
            // A busy server takes its time to answer, and meanwhile sends what can be begun.
            let mut known = pin!(self.catch_up(&account));
            while self.state().is_empty(&account) {
                tokio::select! {
                    known = &mut known => {
                        known?;
                        break;
                    }
                    () = self.came.notified() => {}
                }
            }
        }
        let junk = std::mem::take(&mut self.state().junk);
        if let Err(error) = self.bury(&junk).await {
            self.state().junk.extend(junk);
            return Err(error);
        }
        let mut state = self.state();
        state.turn = state.turn.wrapping_add(1);
        let taken = state.take(self.number, max, &mut account, order);
        let has_more = !taken.is_empty() && taken.len() < max && state.has_more(&account);
        self.owner.has_more.store(has_more, Ordering::Release);
        Ok(taken)
    }

    /// Waits until all has come that the queues have for us.
    async fn catch_up(&self, account: &Account<'_>) -> Result<(), Error> {
        let names: Vec<(usize, String)> = {
            let state = self.state();
            let lines = state.lines.iter().enumerate().filter(|(at, _)| account.room(*at) > 0);
            lines.map(|(at, line)| (at, line.name.clone())).collect()
        };
        // A queue answers the first question after all that it had to send; the channel has passed that on before it
        // answers the second. A question that names no queue that is there would close the channel, so each declares it.
        let ask = |&(at, ref name): &(usize, String)| {
            let question = self.owner.steps(name).into_iter().find_map(|step| self.question(step))?;
            Some(question.map_ok(move |queue| (at, queue.message_count())))
        };
        let questions = names.iter().chain(&names).filter_map(ask);
        let left = self.within("look at a queue", try_join_all(questions)).await?;
        self.take_in_all();
        let mut state = self.state();
        left.into_iter().for_each(|(at, count)| state.lines[at].left = u64::from(count));
        Ok(())
    }

    fn question(&self, step: Step) -> Option<impl Future<Output = Result<lapin::Queue, lapin::Error>> + use<'_>> {
        let Step::Queue { name, life, arguments } = step else { return None };
        let (durable, exclusive, auto_delete) = life.flags();
        let options = QueueDeclareOptions { durable, exclusive, auto_delete, ..QueueDeclareOptions::default() };
        Some(self.tasks.queue_declare(short(&name), options, arguments))
    }

    /// Starts a consumer in the place of the one that runs.
    async fn start(self: &Arc<Session>, line: usize, prefetch: u16) -> Result<(), Error> {
        let _steering = self.steering.lock().await;
        let (name, serial, may_be_gone) = {
            let mut state = self.state();
            state.consumers += 1;
            let serial = state.consumers;
            let line = &mut state.lines[line];
            (line.name.clone(), serial, std::mem::take(&mut line.may_be_gone))
        };
        if may_be_gone {
            self.declare_again(&name, || self.owner.steps(&name)).await?;
        }
        let consume = self.tasks.basic_consume(
            short(&name),
            short(&format!("fastworker-{}-{}-{serial}", self.owner.incarnation, self.number)),
            BasicConsumeOptions::default(),
            self.owner.options.topology.consumer_arguments(&name),
        );
        // Sent together: whoever sets the prefetch of the next consumer in between (`sync`) would set it for this one.
        let both = join(self.tasks.basic_qos(prefetch, BasicQosOptions::default()), consume);
        let consumer = self.within("consume", both.map(|(set, consumer)| set.and(consumer))).await?;
        let before = {
            // The porter tells of the consumer's end to who is known to run.
            let mut state = self.state();
            let porter = self.carry(line, serial, consumer.clone());
            state.lines[line].running.replace(Running {
                consumer,
                serial,
                prefetch,
                since: Instant::now(),
                brought: 0,
                porter,
            })
        };
        match before {
            None => Ok(()),
            Some(before) => self.stop(line, before).await,
        }
    }

    /// Takes in whatever a consumer brings, for as long as there is one.
    fn carry(self: &Arc<Session>, line: usize, serial: u64, mut consumer: Consumer) -> AbortHandle {
        let session = Arc::downgrade(self);
        let porter = tokio::spawn(async move {
            while let Some(came) = consumer.next().await {
                let Some(session) = session.upgrade() else { return };
                session.take_one(line, serial, came);
                if let Seen::Ended = session.take_in(line, serial, &mut consumer) {
                    return;
                }
            }
            if let Some(session) = session.upgrade() {
                session.stopped(line, serial);
            }
        });
        porter.abort_handle()
    }

    /// Takes in what has come by all consumers.
    fn take_in_all(&self) {
        let running: Vec<(usize, u64, Consumer)> = {
            let state = self.state();
            let running = state.lines.iter().enumerate();
            running
                .filter_map(|(at, line)| line.running.as_ref().map(|one| (at, one.serial, one.consumer.clone())))
                .collect()
        };
        for (line, serial, mut consumer) in running {
            self.take_in(line, serial, &mut consumer);
        }
    }

    fn take_in(&self, line: usize, serial: u64, consumer: &mut Consumer) -> Seen {
        while let Some(came) = consumer.next().now_or_never() {
            let Some(came) = came else {
                self.stopped(line, serial);
                return Seen::Ended;
            };
            self.take_one(line, serial, came);
        }
        Seen::Dry
    }

    fn take_one(&self, line: usize, serial: u64, came: Result<lapin::message::Delivery, lapin::Error>) {
        match came {
            Ok(delivery) => self.arrived(line, serial, delivery),
            Err(_broken) => self.end(),
        }
    }

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
        if !state.ledger.arrived(at) {
            return;
        }
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
            let line = &mut state.lines[line];
            line.left = line.left.saturating_sub(1);
            if let Some(running) = line.running.as_mut().filter(|running| running.serial == serial) {
                running.brought += 1;
            }
            if line.waiting.is_empty() {
                // An idle worker has asked long ago, and is only now told that there is something.
                line.wanted = Instant::now();
            }
            line.waiting.insert((u8::MAX - incoming.priority, at), at);
        }
        self.came.notify_waiters();
        if state.lines[line].is_wanted {
            self.owner.bell.notify_one();
        }
    }

    /// The server has ended a consumer: its queue was deleted, or has moved.
    fn stopped(&self, line: usize, serial: u64) {
        let mut state = self.state();
        let line = &mut state.lines[line];
        if let Some(running) = line.running.take_if(|running| running.serial == serial) {
            running.porter.abort();
            line.may_be_gone = true;
            self.owner.bell.notify_one();
        }
    }

    /// Stops a consumer; what it brought stays.
    async fn stop(&self, line: usize, mut running: Running) -> Result<(), Error> {
        let cancel = self.tasks.basic_cancel(running.consumer.tag(), BasicCancelOptions::default());
        self.within("stop consuming", cancel).await?;
        // What came while it was being stopped.
        self.take_in(line, running.serial, &mut running.consumer);
        running.porter.abort();
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
        self.take_in_all();
        let given_up = self.state().ledger.give_up_missing();
        if !given_up.is_empty() {
            tracing::warn!(count = given_up.len(), "deliveries came for a consumer that was gone: they go back");
            self.nack_ended(given_up).await?;
        }
        let is_idle = |line: &Line| line.wanted.elapsed() > PATIENCE && !line.waiting.is_empty() && !line.is_kept;
        let idle: Vec<usize> =
            self.state().lines.iter().enumerate().filter(|(_, line)| is_idle(line)).map(|(at, _)| at).collect();
        for line in idle {
            let _steering = self.steering.lock().await;
            let running = self.state().lines[line].running.take();
            if let Some(running) = running {
                self.stop(line, running).await?;
            }
            let leases: Vec<Lease> = {
                let mut state = self.state();
                state.lines[line].may_be_gone = true;
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
            self.ack(worn.iter().map(|lease| lease.at)).await?;
        }
        self.nack(fresh.iter().map(|lease| lease.at)).await
    }
}
